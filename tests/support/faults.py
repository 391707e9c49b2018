"""Writes a short result again and again, each time with a fault at another system call. Run as a program:

python -m tests.support.faults FOLDER FAULT

makes ``FOLDER/FAULT-000``, ``-001`` …: in each the n-th call that touches a file fails, or ends the process, as FAULT
says. Each run is a fork of its own.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import storage
from bench.model import BenchError, Sample, Sensor, Window
from tests.support import factory

CALLS = ((os, "open"), (os, "write"), (os, "fsync"), (os, "close"), (os, "ftruncate"), (Path, "replace"))
WINDOW = Window(0, 1_000_000_000, 2, 1e12)


def _fail(code: int) -> Callable[[], None]:
    def fault() -> None:
        raise OSError(code, os.strerror(code))

    return fault


def _raise(error: type[BaseException]) -> Callable[[], None]:
    def fault() -> None:
        raise error

    return fault


FAULTS: dict[str, Callable[[], None]] = {
    "EIO": _fail(errno.EIO),
    "ENOSPC": _fail(errno.ENOSPC),
    "SIGINT": _raise(KeyboardInterrupt),
    "SIGTERM": _raise(SystemExit),
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
}
"""What happens at the chosen call. The two signals are what their handlers raise."""


def result(folder: Path) -> None:
    """Three rows with evidence, settled at the end, as a run writes them."""
    with storage.create(folder, "a") as results:
        results.plan({"device": "cpu"})
        sensor = results.sensor(Sensor(source="none", scope=None))
        results.idle("before", 0, 5, [Sample(1)], sensor=sensor)
        for repeat in (1, 2, 3):
            record = factory.gemm(repeat=repeat, metered=False, work=1e12, window_s=1.0, launches=2, rate_per_s=1e12)
            results.append(record, window=WINDOW, samples=[Sample(1)])
        results.settle(results.records, first=1)


def _inject(fault: Callable[[], None], at: int, *, after: bool) -> None:
    """Let the call number ``at`` of those in :data:`CALLS` meet the fault, before or after it does its work."""
    left = at

    def wrapped(call: Callable[..., Any]) -> Callable[..., Any]:
        def replacement(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == -1 and not after:
                fault()
            found = call(*arguments, **options)
            if left == -1 and after:
                fault()
            return found

        return replacement

    for owner, name in CALLS:
        setattr(owner, name, wrapped(getattr(owner, name)))


def main(folder: Path, name: str) -> None:
    at = 0
    for after in (False, True):
        at = 0
        while True:
            child = os.fork()
            if not child:
                _inject(FAULTS[name], at, after=after)
                try:
                    result(folder / f"{name}-{'after' if after else 'before'}-{at:03d}")
                except (BenchError, OSError, KeyboardInterrupt, SystemExit):
                    os._exit(1)
                os._exit(0)
            _, status = os.waitpid(child, 0)
            if not status:
                break
            at += 1
            assert at < 500


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
