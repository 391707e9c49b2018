"""``bitwatt dispatch`` from CSVs and a series to tables, JSON and a schedule."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support import report_sample
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("dispatch")
    report_sample.study(made)
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    rows = [f"{begin + timedelta(hours=at):%Y-%m-%dT%H:%MZ},{30 * (at % 24 - 4)}" for at in range(24 * 7)]
    (made / "power").write_text("\n".join(["time,price [USD/MWh]", *rows]))
    return made


def bitwatt(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    files = [str(path) for path in sorted(folder.glob("*.csv"))]
    return subprocess.run(
        [sys.executable, "-m", "bench.cli.app", "dispatch", *arguments, *files],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )


def test_table_json_and_schedule_agree(folder: Path, tmp_path: Path) -> None:
    power, out = ("--power", str(folder / "power")), tmp_path / "schedule.csv"
    table = bitwatt(folder, *power, "--cards", "20", "--schedule", str(out))
    assert table.returncode == 0, table.stderr
    assert "knowing each day's prices the day before, this site earns" in table.stdout
    assert "always off" in table.stdout
    data = bitwatt(folder, *power, "--cards", "20", "--format", "json")
    figures = {(row["policy"], row["what"], row["figure"]): row["value"] for row in json.loads(data.stdout)}
    with out.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 24 * 7
    assert sum(float(row["kw"]) for row in rows) == pytest.approx(figures["day ahead", None, "energy"])
    assert figures["perfect foresight", None, "net"] >= figures["day ahead", None, "net"] > 0
    for row in rows:
        assert sum(float(count) for name, count in row.items() if name.split(": ")[0] == "Example GPU A") == 20


def test_the_page_has_the_figures_of_the_terminal(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    arguments = ("--power", str(folder / "power"), "--cards", "20", "--output", str(page), "--lang", "zh")
    table = bitwatt(folder, *arguments, "--format", "markdown")
    assert table.returncode == 0, table.stderr
    assert f"wrote {page}" in table.stderr
    html = page.read_text(encoding="utf-8")
    assert 'lang="zh"' in html
    day = next(line for line in table.stdout.splitlines() if line.startswith("| day ahead"))
    figures = [cell.strip() for cell in day.split("|")[2:-1]]
    row = next(line for line in html.splitlines() if line.startswith("<tr>") and "日前计划" in line)
    for figure in figures:
        assert f">{figure}<" in row or figure == "–"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "no prices of power"),
        (("--power", "missing.csv"), "cannot read missing.csv"),
        (("--power", "POWER", "--cards", "many"), "not a number of cards"),
        (("--power", "POWER", "--cards", "-3"), "not a number of cards"),
        (("--power", "POWER", "--cards", "5", "--fleet"), "--fleet counts the cards"),
        (("--power", "POWER", "--time-zone", "Nowhere"), "is not a time zone"),
        (("--power", "POWER", "--power-unit", "EUR/MWh"), "is in EUR/MWh"),
        (("--power", "POWER", "-o", "page.html", "--lang", "xx"), "not available in 'xx'"),
    ],
)
def test_wrong_use_is_one_sentence(arguments: tuple[str, ...], says: str, folder: Path) -> None:
    done = bitwatt(folder, *(str(folder / "power") if part == "POWER" else part for part in arguments))
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_rules_to_start_from(folder: Path) -> None:
    assert "[min_run_h]" in bitwatt(folder, "--print-rules").stdout
