"""How merge, outliers and the page grow with a fleet: of cards that do not exist, with planted faults.

python -m tests.support.scale_study FOLDER NODES…    # writes shards below FOLDER, prints one line per fleet and stage
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from bench import storage
from bench.fleet import layout
from bench.fleet.layout import Card, Node, Status
from bench.storage.columns import row
from tests.support import factory

CARDS = 8
REPEATS = 4
WINDOW_SD, CARD_SD = 0.01, 0.005
PLANTED = {"slow": (0.005, 0.95, 1.0, 0.0), "thirsty": (0.0025, 1.0, 1.10, 0.0), "hot": (0.0025, 1.0, 1.0, 12.0)}
"""Kind → share of the cards, factors on rate and power, °C."""
NOW = "2026-11-24T20:00:00.000Z"


def write_shards(folder: Path, nodes: int, seed: int = 1) -> dict[tuple[str, str], str]:
    """The shards of a fleet, eight rows per card; returns the planted faults by node and card."""
    random = np.random.default_rng(seed)
    makers = (factory.sha256d, factory.gemm)
    templates = [(make(factory.CARD_A), row(make(factory.CARD_A))) for make in makers]
    at = {name: number for number, name in enumerate(storage.NAMES)}
    header = ",".join(storage.NAMES)
    draws = random.random(nodes * CARDS)
    planted = {}
    for node in range(nodes):
        name = f"node{node:05d}"
        cards = []
        for slot in range(CARDS):
            number = node * CARDS + slot
            uuid = f"GPU-{number:08x}-0000-4000-8000-000000000000"
            kind, rate, power, hotter = _fault(draws[number])
            if kind:
                planted[name, uuid] = kind
            rate *= float(np.exp(random.normal(0, CARD_SD)))
            lines = [header]
            for repeat in range(1, REPEATS + 1):
                for record, cells in templates:
                    own_rate = record.rate_per_s * rate * float(np.exp(random.normal(0, WINDOW_SD)))
                    watts = record.power_mean_w * power * float(np.exp(random.normal(0, WINDOW_SD / 2)))
                    values = {
                        "run_id": uuid,
                        "started_utc": f"2026-01-01T00:00:{repeat:02d}.000000Z",
                        "host": name,
                        "device_uuid": uuid,
                        "repeat": repeat,
                        "work": own_rate * record.window_s,
                        "rate_per_s": own_rate,
                        "energy_j": watts * record.window_s,
                        "power_mean_w": watts,
                        "work_per_j": own_rate / watts,
                        "temperature_max_c": round(64 + hotter + random.normal(), 0),
                    }
                    changed = list(cells)
                    for column, value in values.items():
                        changed[at[column]] = str(value)
                    lines.append(",".join(changed))
            place = layout.card_folder(folder, name, uuid)
            place.mkdir(parents=True, exist_ok=True)
            (place / "run.csv").write_text("\n".join(lines) + "\n")
            status = Status(name, uuid, slot, "done", NOW, "together", csv="run.csv", rows=len(lines) - 1)
            (place / layout.STATUS).write_bytes(layout.msgspec.json.encode(status))
            cards.append(Card(uuid, slot, "cuda", factory.CARD_A.name))
        (folder / name / layout.NODE).write_bytes(layout.msgspec.json.encode(Node(name, tuple(cards), "together", NOW)))
    return planted


def _fault(draw: float) -> tuple[str, float, float, float]:
    for kind, (share, *rest) in PLANTED.items():
        if draw < share:
            return (kind, *rest)
        draw -= share
    return "", 1.0, 1.0, 0.0


def measured(command: list[str], output: Path) -> tuple[float, float]:
    """CPU seconds and MB (peak resident) of a command, whose stdout goes to a file."""
    with output.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in (0, 1), (command, process.returncode)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def study(folder: Path, nodes: int) -> None:
    """One fleet through merge, outliers and page."""
    home = folder / str(nodes)
    planted = write_shards(home, nodes)
    fleet, page, flags = folder / f"{nodes}.parquet", folder / f"{nodes}.html", folder / f"{nodes}.csv"
    bitwatt = [sys.executable, "-m", "bench.cli.app"]
    more = ["--verdicts", str(folder / "verdicts.jsonl"), "--prometheus", str(folder / "bitwatt.prom")]
    for name, command in (
        ("merge", [*bitwatt, "merge", str(home), "-o", str(fleet)]),
        ("outliers", [*bitwatt, "outliers", str(fleet), "--format", "csv", *more]),
        ("page", [*bitwatt, "report", str(fleet), "-o", str(page)]),
    ):
        output = flags if name == "outliers" else folder / f"{name}.out"
        seconds, megabytes = measured(command, output)
        print(f"{nodes * CARDS:>7,} cards  {name:9}  {seconds:7.1f} CPU s  {megabytes:7.0f} MB", flush=True)
    with flags.open(newline="") as stream:
        flagged = {(each["node"], each["card"]) for each in csv.DictReader(stream)}
    wrong = len(flagged - set(planted))
    hits = {kind: [key in flagged for key, own in planted.items() if own == kind] for kind in PLANTED}
    found = ", ".join(f"{kind} {sum(each)} of {len(each)}" for kind, each in hits.items())
    size, html = fleet.stat().st_size / 1e6, page.stat().st_size / 1e6
    print(
        f"{found}; {wrong} of {len(flagged)} flagged cards wrong; Parquet {size:.1f} MB, page {html:.1f} MB", flush=True
    )


if __name__ == "__main__":
    for count in sys.argv[2:]:
        study(Path(sys.argv[1]), int(count))
