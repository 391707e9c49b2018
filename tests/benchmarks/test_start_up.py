"""How much later than bare Python ``bitwatt --help`` has printed: wanted is 0.3 s or less, on a quiet machine."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

BITWATT = Path(sys.executable).with_name("bitwatt")


def seconds(*command: str | Path) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["compare", "--help"]], ids=" ".join)
def test_help(benchmark, arguments):
    over = []

    def one_pair():
        bare = seconds(sys.executable, "-c", "pass")
        over.append(seconds(BITWATT, *arguments) - bare)

    benchmark.pedantic(one_pair, rounds=10, warmup_rounds=1)
    benchmark.extra_info["seconds_over_bare_python"] = statistics.median(over)
