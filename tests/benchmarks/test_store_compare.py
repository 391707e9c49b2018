"""How long it takes to read and compare a million rows, and 2,000 files; how much memory the former needs.

Run in a process of its own each time, so that the peak is that of this work and imports are counted.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import storage
from tests.support import factory

_SCRIPT = """
import resource, sys
from pathlib import Path
from bench.analysis import compare
from bench import output
from bench import storage
frame = storage.read([Path(sys.argv[1])], compare.COLUMNS)
result = compare.compare(frame)
output.render(output.comparison(result), "csv")
print(len(frame), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def million(path: Path) -> Path:
    cards = (factory.CARD_A, factory.CARD_B, factory.CARD_CPU)
    block = storage.to_csv([record for card in cards for record in factory.run(card, 700)]).splitlines(keepends=True)
    with path.open("w") as stream:
        stream.write(block[0])
        left = 1_000_000
        while left:
            lines = block[1 : left + 1]
            stream.write("".join(lines))
            left -= len(lines)
    return path


def files(folder: Path) -> Path:
    for number in range(2_000):
        card = replace(factory.CARD_A, name=f"Example GPU {number % 8}")
        rows = [replace(record, run_id=f"run-{number}") for record in factory.run(card, 5, seed=number)]
        factory.write(folder / f"{number:04d}.csv", rows)
    return folder


@pytest.mark.parametrize(("make", "rows"), [(million, 1_000_000), (files, 20_000)], ids=["million rows", "2000 files"])
def test_read_and_compare(benchmark: Any, tmp_path: Path, make: Any, rows: int) -> None:
    path = make(tmp_path / "m.csv" if make is million else tmp_path)

    def once() -> str:
        return subprocess.run(
            [sys.executable, "-c", _SCRIPT, str(path)], capture_output=True, text=True, check=True
        ).stdout

    counted, peak_kib = benchmark.pedantic(once, rounds=3).split()
    benchmark.extra_info["peak_mib"] = int(peak_kib) // 1024
    assert int(counted) == rows
    assert int(peak_kib) < 1024 * 1024
