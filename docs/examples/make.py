"""Makes the examples of the documents again: result CSVs of cards that do not exist, prices, and prices of power.

python docs/examples/make.py        # writes into docs/examples/
"""

from __future__ import annotations

import csv
import math
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from bench.analysis import economics
from tests.support import report_sample

HERE = Path(__file__).parent
RENTS = {"Example GPU A": (1.2, 1.9, 3.0), "Example GPU B": (0.5, 0.9, 1.4)}
DAYS = 28


def results() -> None:
    """Two cards that do not exist, one of them swept over power limits."""
    with tempfile.TemporaryDirectory() as folder:
        for path in report_sample.study(Path(folder)):
            if "cpu" not in path.name:
                shutil.copy(path, HERE / path.name)


def prices() -> None:
    """The example prices, with rents for the two cards."""
    text = economics.example_path().read_text(encoding="utf-8")
    for card, (low, likely, high) in RENTS.items():
        text += f'\n[[rent]]\ncard = "{card}"\nunit = "USD/GPU/h"\nlow = {low}\nlikely = {likely}\nhigh = {high}\n'
        text += 'source = "made up"\n'
    (HERE / "prices.toml").write_text(text, encoding="utf-8")


def power() -> None:
    """Four made-up weeks: cheap at noon, dear in the evening, windy nights below zero, a few spikes."""
    draw, begin = Random(20260301), datetime(2026, 3, 1, tzinfo=UTC)
    with (HERE / "power.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["time", "price [USD/MWh]"])
        for hour in range(24 * DAYS):
            moment = begin + timedelta(hours=hour)
            day = 45 - 25 * math.cos((moment.hour - 1) / 12 * math.pi * 2) * 0.4 + (30 if 17 <= moment.hour < 21 else 0)
            wind = -60 if hour // 24 % 9 == 5 and moment.hour < 7 else 0
            spike = 2500 if draw.random() < 0.008 else 0
            table.writerow([f"{moment:%Y-%m-%dT%H:%MZ}", round(day + wind + spike + draw.gauss(0, 8), 2)])


if __name__ == "__main__":
    results()
    prices()
    power()
