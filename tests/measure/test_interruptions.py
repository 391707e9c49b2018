"""A stopped process, a sleeping machine and a clock that jumps are in the row; durations follow none of them."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench import storage
from bench.audit.verify import verify
from bench.measure import interruptions, runner
from bench.measure.interruptions import Clocks
from bench.measure.row import Context
from bench.measure.timing import Timing
from bench.model import Device, Measurement, Variant
from bench.power.none import NullMeter
from tests.fakes import workload
from tests.support.paths import ROOT

NOW = Clocks(1000.0, 1.7e9, 5000.0)
FAST = Timing("standard", 0.1, 0.02, 0.04, 0.01, 0.0, launch_s=0.01, repeats=1, settle_s=0.01)


def later(seconds: float, *, set_by: float = 0.0, slept: float = 0.0) -> Clocks:
    return Clocks(1000.0 + seconds, 1.7e9 + seconds + slept + set_by, 5000.0 + seconds + slept)


@pytest.mark.parametrize(
    ("launches", "usual", "stalled"),
    [
        ([(10, 0.1)] * 20, 0.01, 0.0),
        ([(10, 0.1)] * 20 + [(10, 10.1)], 0.01, 10.0),
        ([(10, 10.1)], 0.01, 10.0),
        ([(10, 10.1), (10, 0.1), (10, 0.1)], 5.0, 10.0),
        ([(10, 0.1)] * 20 + [(10, 1.5)], 0.01, 0.0),
        ([(1, 30.0), (1, 34.0), (1, 28.0)], 29.0, 0.0),
    ],
    ids=["even", "one stopped", "only one launch", "stopped in the warm-up too", "a busy machine", "long iterations"],
)
def test_a_launch_far_too_long_stood_still(launches, usual: float, stalled: float) -> None:
    assert interruptions.stalled_s(launches, usual) == pytest.approx(stalled)


def test_sleep_and_a_set_clock_are_told_apart() -> None:
    assert interruptions.clock_warning(NOW, later(30)) is None
    assert interruptions.invalid_reasons(0.0, NOW, later(30)) == ()
    assert interruptions.clock_warning(NOW, later(30, slept=600)) is None, "the wall clock only went on"
    (reason,) = interruptions.invalid_reasons(0.0, NOW, later(30, slept=600))
    assert reason == "the machine slept for 600.0 s in the window"
    for step in (-7200, 7200):
        warning = interruptions.clock_warning(NOW, later(30, set_by=step))
        assert warning is not None
        assert warning.startswith(f"the wall clock was set by {step:+d} s")
    assert interruptions.invalid_reasons(0.0, NOW, later(30, set_by=7200)) == ()
    bare = replace(NOW, boot_s=None)
    assert "+7200" in str(interruptions.clock_warning(bare, replace(later(30, set_by=7200), boot_s=None)))


def test_a_clock_set_between_two_windows_is_in_the_next_row(monkeypatch: pytest.MonkeyPatch) -> None:
    jump = itertools.chain([0.0] * 3, itertools.repeat(3600.0))
    plain = interruptions.read
    monkeypatch.setattr(runner.interruptions, "read", lambda: replace(now := plain(), wall_s=now.wall_s + next(jump)))
    items = list(
        runner.measure(
            Device("cpu", 0, "Example CPU"), [Variant("fake", shape="a")], workload.build, NullMeter("-"),
            replace(FAST, repeats=3), Context("run", "0"), seed=1,
        )
    )  # fmt: skip
    warned = [str(item.record.warnings) for item in items if isinstance(item, Measurement)]
    assert ["set by +3600 s" in text for text in warned] == [False, True, False]


def start(out: Path, *arguments: str, workload: str = "fake", **environment: str) -> subprocess.Popen[str]:
    command = [
        *(sys.executable, "-m", "tests.fakes.bitwatt", "run", "--device", "cpu", "--workload", workload, "--smoke"),
        *("--meter", "none", "--warmup", "0.1", "--out", str(out), *arguments),
    ]
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environment}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def wait_for_rows(out: Path, count: int) -> None:
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        for path in out.glob("*.csv"):
            if len(path.read_text().splitlines()) > count:
                return
        time.sleep(0.02)
    raise AssertionError(f"there are no {count} rows")


@pytest.mark.slow
def test_a_process_stopped_for_ten_seconds_in_a_window_has_an_invalid_row(tmp_path: Path) -> None:
    process = start(tmp_path, "--window", "3", "--repeats", "3")
    wait_for_rows(tmp_path, 1)
    time.sleep(1.5)  # within the second window
    process.send_signal(signal.SIGSTOP)
    time.sleep(10)
    process.send_signal(signal.SIGCONT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 3, stderr
    (path,) = tmp_path.glob("*.csv")
    first, second, third = storage.read_records(path)
    assert (first.valid, second.valid, third.valid) == (True, False, True)
    stood = float(str(second.invalid_reasons).partition("stood still for ")[2].split()[0])
    assert 9.5 < stood < 12
    assert "invalid window of fake" in stderr
    assert verify([path]).findings == ()


FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@pytest.mark.slow
@pytest.mark.skipif(FAKETIME is None or not shutil.which("faketime"), reason="needs libfaketime (Debian: faketime)")
@pytest.mark.parametrize("step", ["+2h", "-2h"])
def test_a_wall_clock_that_jumps_is_in_the_row_and_changes_no_duration(step: str, tmp_path: Path) -> None:
    offset = tmp_path / "offset"
    offset.write_text("+0s")
    # A workload that does not sleep: libfaketime 0.9.10 breaks clock_nanosleep, and with it time.sleep.
    process = start(
        tmp_path / "out", "--window", "2", "--repeats", "3", "--threads", "1", "--isa", "generic",
        workload="sha256d",
        LD_PRELOAD=str(FAKETIME), FAKETIME_TIMESTAMP_FILE=str(offset), FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
    )  # fmt: skip
    wait_for_rows(tmp_path / "out", 1)
    time.sleep(0.7)
    offset.write_text(step)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    (path,) = (tmp_path / "out").glob("*.csv")
    rows = storage.read_records(path)
    assert [row.valid for row in rows] == [True] * 3
    assert all(2 <= row.window_s < 3 for row in rows), "the monotonic clock times the windows"
    expected = "+7200" if step[0] == "+" else "-7200"
    assert [f"wall clock was set by {expected} s" in str(row.warnings) for row in rows] == [False, True, False]
    assert f"wall clock was set by {expected} s" in stderr
    assert verify([path]).findings == ()


def test_two_runs_at_once_into_one_folder_lose_no_row(tmp_path: Path) -> None:
    runs = [start(tmp_path, "--window", "0.1", "--repeats", "8") for _ in range(2)]
    for process in runs:
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
    paths = sorted(tmp_path.glob("*.csv"))
    assert [len(storage.read_records(path)) for path in paths] == [8, 8]
    verdict = verify(paths)
    assert (verdict.findings, verdict.rows) == ((), 16)
    assert len(list(tmp_path.iterdir())) == 4, "nothing else is left behind"
