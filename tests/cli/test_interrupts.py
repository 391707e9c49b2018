"""Ctrl-C and SIGTERM, once and twice: one word, no traceback, no temporary file, and the rows that were done."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.audit.verify import verify
from tests.support.paths import ROOT

COMMAND = [
    *(sys.executable, "-m", "tests.fakes.bitwatt", "run", "--device", "cpu", "--workload", "fake", "--smoke"),
    *("--meter", "none", "--warmup", "0.1", "--window", "0.3", "--repeats", "200", "--out"),
]


def wait_for_rows(out: Path, count: int) -> None:
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        if any(len(path.read_text().splitlines()) > count for path in out.glob("*.csv")):
            return
        time.sleep(0.01)
    raise AssertionError(f"there are no {count} rows")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("gap_s", [None, 0.0, 0.005, 0.03])
def test_an_interrupt_and_a_second_one(number: signal.Signals, gap_s: float | None, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, str(tmp_path)], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait_for_rows(tmp_path, 2)  # the first is then known to the process too
    process.send_signal(number)
    if gap_s is not None:
        time.sleep(gap_s)
        process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert "bitwatt: interrupted." in stderr
    assert "safe in" in stderr
    assert not list(tmp_path.glob(".*")), "a temporary file was left behind"
    assert verify([*tmp_path.glob("*.csv")]).findings == ()


def test_what_is_said_at_the_end_stands_on_a_line_of_its_own_on_a_terminal(tmp_path: Path) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(ROOT)
        os.execve(sys.executable, [*COMMAND, str(tmp_path)], {**os.environ, "TERM": "xterm", "COLUMNS": "300"})
    seen = bytearray()
    asked = False
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:
                break
        if not asked and list(tmp_path.glob("*.csv")):
            os.kill(child, signal.SIGINT)
            asked = True
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 130
    text = seen.decode(errors="replace")
    safe = next(line for line in text.split("\n") if "safe in" in line)
    # What the terminal shows of a line is what comes after its last return and erase.
    assert re.fullmatch(r"\d+ rows? (is|are) safe in \S+\.csv", re.split(r"\r|\x1b\[2K", safe.rstrip("\r"))[-1])
    assert text.rstrip().endswith("bitwatt: interrupted.")
