"""A wattmeter behind a command of the user's that prints watts.

The command may print one reading a line without end, or print one reading and exit; then it is run again for each poll.
The first number of a line is the reading. docs/method.md shows vendor tools used this way.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import signal
import subprocess
import time
from itertools import pairwise
from pathlib import Path

from bench.model import BenchError, CardState, Sample, Sensor

FIRST_LINE_S = 10.0
STALE_S = 5.0
"""A command that prints nothing for this long, or for ten of its own intervals, has failed."""
STALE_INTERVALS = 10
PROBE_LINES = 4
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def watts_of(line: str) -> float | None:
    """The first number in a line, in watts; None where there is none or it is not above 0."""
    found = _NUMBER.search(line)
    watts = float(found.group()) if found else 0.0
    return watts if 0 < watts < float("inf") else None


class CommandReader:
    """The command, started, with its first readings taken.

    Raises:
        BenchError: it does not print a number of watts in time.
    """

    sensor: Sensor

    def __init__(self, command: str) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""
        self._last: tuple[int, float] | None = None
        self._interval_s = 1.0
        self._start()
        moments = self._first_lines()
        self._streams = self._process is not None and self._process.poll() is None
        intervals = sorted((later - earlier) / 1e9 for earlier, later in pairwise(moments))
        self._interval_s = intervals[len(intervals) // 2] if intervals else 1.0
        self.sensor = Sensor(
            source="command",
            scope="wall",
            sensor_id=Path(shlex.split(command)[0]).name if command.split() else None,
            power_field="command",
            power_period_s=self._interval_s,
            uncertainty_source="the wattmeter's data sheet; supply it with --sensor-calibration",
            name="external wattmeter",
        )

    def _start(self) -> None:
        self._stop()
        self._rest = b""
        self._process = subprocess.Popen(  # noqa: S602 (the user's own command line is what --meter command: is for)
            self._command,
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )

    def _lines(self, timeout_s: float) -> tuple[list[str], bool]:
        """Lines printed so far or within the timeout, and whether the command's output has ended."""
        assert self._process is not None  # noqa: S101 (started in the constructor)
        assert self._process.stdout is not None  # noqa: S101
        descriptor = self._process.stdout.fileno()
        if not select.select([descriptor], [], [], timeout_s)[0]:
            return [], False
        chunk = os.read(descriptor, 1 << 16)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if not chunk and self._rest:
            lines, self._rest = [self._rest], b""
        return [line.decode(errors="replace") for line in lines], not chunk

    def _first_lines(self) -> list[int]:
        """Times (monotonic ns) of the first readings. A command that exits is run a second time, for its duration."""
        moments: list[int] = []
        deadline_s = time.monotonic() + FIRST_LINE_S
        printed = ""
        while len(moments) < PROBE_LINES and time.monotonic() < deadline_s:
            lines, ended = self._lines(max(0.0, deadline_s - time.monotonic()))
            for line in lines:
                printed = line
                watts = watts_of(line)
                if watts is not None:
                    self._last = (time.monotonic_ns(), watts)
                    moments.append(self._last[0])
            if ended:
                if not moments:
                    break
                if len(moments) < 2:
                    self._start()
                    continue
                assert self._process is not None  # noqa: S101
                self._process.wait()
                break
        if not moments:
            self._stop()
            found = f"it printed {printed!r}" if printed else "it printed nothing"
            raise BenchError(
                f"the meter command gave no watts ({found})", "it must print one number of watts on each line"
            )
        return moments

    def read(self) -> Sample:
        return self._read_stream() if self._streams else self._read_once()

    def _read_stream(self) -> Sample:
        """The newest line; with none since the last poll, the last reading still holds."""
        ended = False
        while True:
            lines, ended = self._lines(0.0)
            watts = [found for found in map(watts_of, lines) if found is not None]
            now_ns = time.monotonic_ns()
            if watts:
                self._last = (now_ns, watts[-1])
            if lines and not watts:
                return Sample.failed(now_ns, f"the meter command printed no watts: {lines[-1]!r}")
            if not lines:
                break
        if ended:
            return Sample.failed(now_ns, "the meter command ended")
        assert self._last is not None  # noqa: S101 (the constructor read a line)
        silent_s = (now_ns - self._last[0]) / 1e9
        if silent_s > max(STALE_S, STALE_INTERVALS * self._interval_s):
            return Sample.failed(now_ns, f"the meter command printed nothing for {silent_s:.0f} s")
        return Sample(now_ns, power_w=self._last[1])

    def _read_once(self) -> Sample:
        before_ns = time.monotonic_ns()
        self._start()
        watts: float | None = None
        printed = "nothing"
        deadline_s = time.monotonic() + STALE_S
        while time.monotonic() < deadline_s:
            lines, ended = self._lines(max(0.0, deadline_s - time.monotonic()))
            for line in lines:
                printed, watts = repr(line), watts_of(line)
            if watts is not None or ended:
                break
        t_ns = (before_ns + time.monotonic_ns()) // 2
        if watts is None:
            return Sample.failed(t_ns, f"the meter command printed {printed}")
        return Sample(t_ns, power_w=watts)

    def card_state(self) -> CardState:
        return CardState()

    def _stop(self) -> None:
        """End the command and whatever it started; it runs in a session of its own."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(1.0)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.stdout is not None:
            process.stdout.close()
        self._process = None

    def close(self) -> None:
        self._stop()


def open_reader(command: str) -> CommandReader:
    """Start the user's command.

    Raises:
        BenchError: it prints no watts.
    """
    return CommandReader(command)
