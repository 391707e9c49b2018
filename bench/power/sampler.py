"""The sampler: a process of its own that polls one power source and streams samples to the run.

A workload that holds the interpreter lock, or keeps every core busy, cannot starve it, and no vendor library is ever
called from the workload's process. The child writes marshalled messages, each preceded by its length: first the
sensor, then samples. It ends on request, and when its parent dies.
"""

from __future__ import annotations

import bisect
import contextlib
import fcntl
import gc
import importlib
import json
import marshal
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from operator import attrgetter
from typing import Any, Protocol

from bench.model import BenchError, CardState, Sample, Sensor
from bench.power.child import spawn

POLL_S = 0.06
"""Default poll interval. Under 50 ms some NVML versions answer 0 or not-supported; polls at 60 ms do not stay in
phase with sensors of 20 or 100 ms, and cost less than half a per cent of a core."""
START_TIMEOUT_S = 20.0
NICENESS = -5
LENGTH = struct.Struct("<I")
"""The length that precedes each message of the child."""
PIPE_BYTES = 1 << 20
"""Room for about five minutes of samples while the parent is too busy to read them."""
BATCH = 2
"""Samples per message: sending costs as much as reading."""
CARD_TIMEOUT_S = 5.0
SETTLE_MARGIN_S = 0.25

SAMPLE_FIELDS = tuple(field.name for field in fields(Sample))
"""The order in which a sample's values are sent."""


class Reader(Protocol):
    """One opened power source inside the sampler's process."""

    sensor: Sensor

    def read(self) -> Sample:
        """Poll once. A failed read is a missing :class:`Sample` with its ``error``, never an exception."""

    def card_state(self) -> CardState:
        """Settings of the card as they are now."""

    def close(self) -> None:
        """Release the vendor library."""


# ---------------------------------------------------------------------------------------------------------------------
# the child


class _Outbox:
    """Messages for the parent. Writing never blocks the polling: what the pipe cannot take yet waits here."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._waiting: deque[bytes] = deque()

    def put(self, message: Any) -> None:
        body = marshal.dumps(message)
        self._waiting.append(LENGTH.pack(len(body)) + body)
        self.flush()

    def flush(self) -> None:
        while self._waiting:
            message = self._waiting[0]
            try:
                written = os.write(self._descriptor, message)
            except BlockingIOError:
                return
            if written < len(message):
                self._waiting[0] = message[written:]
            else:
                self._waiting.popleft()


def _poll(reader: Reader, outbox: _Outbox, poll_s: float, parent: int) -> None:
    """Poll until the parent closes stdin, asks to stop, or dies."""
    commands = sys.stdin.fileno()
    values_of = attrgetter(*SAMPLE_FIELDS)
    waiting = b""
    sampling, samples, batch = False, [], 1
    due_s = time.monotonic()
    while os.getppid() == parent:
        timeout_s = max(0.0, due_s - time.monotonic()) if sampling else 1.0
        if select.select([commands], [], [], timeout_s)[0]:
            chunk = os.read(commands, 4096)
            if not chunk:
                return
            waiting += chunk
            *lines, waiting = waiting.split(b"\n")
            for line in lines:
                if line == b"stop":
                    return
                if line == b"start":
                    sampling, due_s = True, time.monotonic()
                if line == b"card":
                    outbox.put({"card": asdict(reader.card_state())})
            continue
        if sampling:
            samples.append(values_of(reader.read()))
            if len(samples) >= batch:
                outbox.put(samples)
                samples, batch = [], BATCH
            # A late poll is not made up for: two reads in quick succession see the same update.
            due_s = max(due_s + poll_s, time.monotonic())


def child_main(argument: str) -> int:
    """Run the sampler's process: ``argument`` is JSON with module, arguments, poll_s and parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when measuring ends
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    gc.freeze()
    options = json.loads(argument)
    # vendor libraries may print to stdout; only our messages may reach the parent
    outbox = _Outbox(os.dup(1))
    os.dup2(2, 1)
    try:
        module = importlib.import_module(options["module"])
        reader: Reader = module.open_reader(**options["arguments"])
    except BenchError as error:
        outbox.put({"fatal": error.message, "fix": error.fix})
        return 1
    try:
        sensor = replace(reader.sensor, poll_s=options["poll_s"])
        outbox.put({"sensor": asdict(sensor), "card": asdict(reader.card_state())})
        _poll(reader, outbox, options["poll_s"], options["parent"])
    except BrokenPipeError:
        return 0
    finally:
        reader.close()
    return 0


# ---------------------------------------------------------------------------------------------------------------------
# the parent


class SampledMeter:
    """A :class:`~bench.model.Meter` whose samples come from a sampler process.

    Opening it starts the process, which finds and probes its sensor. Samples wait in the pipe until they are asked
    for, so that between two requests the run spends nothing on them.

    Args:
        module: the power source's module, loaded in the child only; its ``open_reader(**arguments)`` gives a
            :class:`Reader`.
        arguments: JSON-compatible arguments of ``open_reader``.
        poll_s: poll interval in seconds.

    Raises:
        BenchError: the process does not start, or finds no readable sensor.
    """

    sensor: Sensor

    def __init__(self, module: str, arguments: Mapping[str, object], poll_s: float = POLL_S) -> None:
        self._lock = threading.Lock()
        self._samples: list[Sample] = []
        self._card: CardState | None = None
        self._cards_seen = 0
        self._hello: dict[str, Any] | None = None
        self._rest = b""
        self._ended = False
        self._closed = False
        options = {"module": module, "arguments": dict(arguments), "poll_s": poll_s, "parent": os.getpid()}
        self._child = spawn(child_main, json.dumps(options), stderr=subprocess.PIPE, bufsize=0)
        assert self._child.stdout is not None  # noqa: S101 (PIPE was asked for)
        self._pipe = self._child.stdout.fileno()
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.set_blocking(self._pipe, False)
        self._wait(lambda: self._hello is not None, START_TIMEOUT_S)
        if self._hello is None or "fatal" in self._hello:
            detail = self._failure()
            self.close()
            if self._hello is not None:
                raise BenchError(self._hello["fatal"], self._hello["fix"])
            raise BenchError(f"the power sampler did not start: {detail}", "run again with --meter none to go without")
        self.sensor = Sensor(**self._hello["sensor"])

    def _receive(self) -> None:
        """Read every message that the pipe holds."""
        while not self._ended:
            try:
                chunk = os.read(self._pipe, 1 << 16)
            except BlockingIOError:
                return
            if not chunk:
                self._ended = True
            self._rest += chunk
            while len(self._rest) >= LENGTH.size:
                (size,) = LENGTH.unpack_from(self._rest)
                if len(self._rest) < LENGTH.size + size:
                    break
                message = marshal.loads(self._rest[LENGTH.size : LENGTH.size + size])  # noqa: S302 (our own child's)
                self._rest = self._rest[LENGTH.size + size :]
                if isinstance(message, list):
                    self._samples += [Sample(*values) for values in message]
                    continue
                if self._hello is None:
                    self._hello = message
                if "card" in message:
                    self._card = CardState(**message["card"])
                    self._cards_seen += 1

    def _wait(self, arrived: Callable[[], bool], timeout_s: float) -> None:
        """Receive messages until ``arrived``, the child's end, or the timeout."""
        deadline_s = time.monotonic() + timeout_s
        with self._lock:
            if self._closed:
                return
            self._receive()
            while not arrived() and not self._ended and (left_s := deadline_s - time.monotonic()) > 0:
                select.select([self._pipe], [], [], left_s)
                self._receive()

    def _failure(self) -> str:
        """The last line that the child wrote to stderr, or how it ended."""
        if self._child.poll() is None:
            try:
                self._child.wait(1.0)
            except subprocess.TimeoutExpired:
                return f"no answer within {START_TIMEOUT_S:g} s"
        stderr = self._child.stderr.read().decode(errors="replace").strip() if self._child.stderr else ""
        return stderr.splitlines()[-1] if stderr else f"its process ended with code {self._child.returncode}"

    def _send(self, command: bytes) -> None:
        if self._child.stdin is not None and not self._closed:
            with contextlib.suppress(BrokenPipeError):
                self._child.stdin.write(command + b"\n")

    def card_state(self) -> CardState:
        """Settings of the metered card as they are now, or as last known where the sampler is gone."""
        seen = self._cards_seen
        self._send(b"card")
        self._wait(lambda: self._cards_seen > seen, CARD_TIMEOUT_S)
        return self._card or CardState()

    def start(self) -> None:
        self._send(b"start")
        self._wait(lambda: bool(self._samples), START_TIMEOUT_S)
        if not self._samples:
            detail = self._failure()
            self.close()
            raise BenchError(f"the power sampler gave no sample: {detail}", "run again with --meter none to go without")

    def latest(self) -> Sample | None:
        self._wait(lambda: True, 0.0)
        return self._samples[-1] if self._samples else None

    def samples(self, start_ns: int, end_ns: int) -> tuple[Sample, ...]:
        around_ns = int(self.sensor.settle_s * 1e9)
        first_ns = start_ns - 2 * around_ns - int(1e9 * SETTLE_MARGIN_S)
        last_ns = end_ns + around_ns

        def arrived() -> bool:
            return bool(self._samples) and self._samples[-1].t_ns >= last_ns

        self._wait(arrived, last_ns / 1e9 - time.monotonic() + SETTLE_MARGIN_S)
        begin = bisect.bisect_left(self._samples, first_ns, key=attrgetter("t_ns"))
        end = bisect.bisect_right(self._samples, last_ns, key=attrgetter("t_ns"))
        found = self._samples[begin:end]
        if self._ended and not self._closed:
            # The run goes on; the window carries the reason why it has no joules.
            now_ns = min(last_ns, time.monotonic_ns())
            error = f"the power sampler ended: {self._failure()}"
            found.append(Sample(t_ns=max(now_ns, start_ns), missing=True, error=error))
        return tuple(found)

    def close(self) -> None:
        if self._closed:
            return
        self._send(b"stop")
        self._closed = True
        if self._child.stdin is not None:
            self._child.stdin.close()
        try:
            self._child.wait(2.0)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        for stream in (self._child.stdout, self._child.stderr):
            if stream is not None:
                stream.close()
