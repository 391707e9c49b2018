"""The clock of a node: whether it is synchronized, and how far it is from the clock of the fleet's folder."""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.fleet.layout import Clock
from bench.model import BenchError

_UNSYNCHRONIZED = 5
"""TIME_ERROR of ntp_gettime(3)."""


class _NtpTime(ctypes.Structure):
    """``struct ntptimeval`` of glibc's sys/timex.h."""

    _fields_ = (
        ("seconds", ctypes.c_long),
        ("microseconds", ctypes.c_long),
        ("max_error_us", ctypes.c_long),
        ("estimated_error_us", ctypes.c_long),
        ("tai", ctypes.c_long),
        ("reserved", ctypes.c_long * 4),
    )


def read(folder: Path) -> Clock:
    """Compare this node's clock with the kernel's own bound and with the folder's file server.

    The time stamp of a new file is the server's where the folder is shared; on a local disk the offset is 0 within
    the file system's granularity (4 ms).
    """
    synchronized, max_error_s = _kernel()
    offset_s, uncertainty_s = _folder(folder)
    return Clock(synchronized, max_error_s, offset_s, uncertainty_s)


def _kernel() -> tuple[bool | None, float | None]:
    try:
        call = ctypes.CDLL(None).ntp_gettime
    except (OSError, AttributeError):
        return None, None
    found = _NtpTime()
    state = call(ctypes.byref(found))
    if state < 0:
        return None, None
    return state != _UNSYNCHRONIZED, found.max_error_us / 1e6


def _folder(folder: Path) -> tuple[float | None, float | None]:
    path = folder / f".clock-{os.uname().nodename}-{os.getpid()}"
    try:
        before = time.time()
        path.touch(exist_ok=False)
        after = time.time()
        stamp = path.stat().st_mtime
    except OSError:
        return None, None
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    return stamp - (before + after) / 2, (after - before) / 2


def now_utc() -> str:
    """The time as it stands in the fleet's files."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """The moment that ``--start-at`` names: ISO 8601 with a time zone, or seconds since 1970.

    Raises:
        BenchError: it cannot be understood, or has no time zone.
    """
    try:
        return datetime.fromtimestamp(float(text), UTC)
    except (ValueError, OverflowError, OSError):
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise BenchError(f"{text!r} is not a moment", "give UTC such as 2026-11-24T20:00:00Z, or seconds since 1970")
    return found.astimezone(UTC)
