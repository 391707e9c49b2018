"""Short runs of the whole program, killed at random moments: every row on disk verifies."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import storage
from bench.audit.verify import verify
from tests.support.paths import ROOT

KILLS = int(os.environ.get("BITWATT_KILLS", "12"))
"""A thousand take about an hour on two cores."""


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_run_leaves_only_rows_that_verify(ending: signal.Signals, tmp_path: Path) -> None:
    source = random.Random(f"{ending} {KILLS}")
    rows = 0
    for number in range(KILLS):
        folder = tmp_path / str(number)
        command = [
            *(sys.executable, "-m", "tests.fakes.bitwatt", "run", "--device", "cpu", "--workload", "fake", "--smoke"),
            *("--meter", "none", "--warmup", "0.05", "--window", "0.1", "--repeats", "30", "-q", "--out", str(folder)),
        ]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
            limit = time.monotonic() + 60
            while not list(folder.glob("*.jsonl")) and run.poll() is None and time.monotonic() < limit:
                time.sleep(0.01)
            time.sleep(source.uniform(0, 2))
            run.send_signal(ending)
            run.wait(timeout=60)
        for path in folder.glob("*.csv"):
            assert verify([path]).findings == (), path
            rows += len(storage.read_records(path))
        if ending != signal.SIGKILL:
            assert not list(folder.glob(".*")), "a temporary file was left behind"
    assert rows > KILLS
