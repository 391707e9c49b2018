"""What interrupted a window: work that stood still, a machine that slept, a wall clock that was set.

Durations come from the monotonic clock, which nobody can set; it stops while the machine sleeps (clock_gettime(2)).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

STALL_S, STALL_FACTOR = 2.0, 3.0
"""A launch that takes this much longer than it should, in seconds and relative to its length, stood still: its process
was stopped (SIGSTOP, a frozen container, a paused virtual machine)."""
CLOCK_STEP_S = 1.0
"""Clocks that moved apart by more than this did not drift."""

Launch = tuple[int, float]
"""Iterations, and the seconds they took."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks as they are now, in seconds."""

    monotonic_s: float
    wall_s: float
    boot_s: float | None
    """Like the monotonic clock, but it goes on while the machine sleeps; None where there is none."""


def read() -> Clocks:
    """The clocks of this moment."""
    try:
        boot_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    except (AttributeError, OSError):
        # not Linux, or a sandbox without this clock
        boot_s = None
    return Clocks(time.monotonic(), time.time(), boot_s)


def stalled_s(launches: Sequence[Launch], seconds_per_iteration: float) -> float:
    """Seconds that the launches of a window stood still.

    Args:
        launches: iterations and seconds of each launch.
        seconds_per_iteration: what the warm-up took. The window's own median replaces it where that is less.
    """
    usual = min(seconds_per_iteration, statistics.median(seconds / size for size, seconds in launches))
    excess = [(seconds - size * usual, size * usual) for size, seconds in launches]
    return sum(more for more, due in excess if more > max(STALL_S, STALL_FACTOR * due))


def invalid_reasons(stalled: float, before: Clocks, after: Clocks) -> tuple[str, ...]:
    """Why a window between two readings measured something other than the device."""
    reasons = []
    if stalled > 0:
        reasons.append(f"the work stood still for {stalled:.1f} s of the window (a stopped process or machine)")
    if before.boot_s is not None and after.boot_s is not None:
        slept = (after.boot_s - before.boot_s) - (after.monotonic_s - before.monotonic_s)
        if slept > CLOCK_STEP_S:
            reasons.append(f"the machine slept for {slept:.1f} s in the window")
    return tuple(reasons)


def clock_warning(before: Clocks, after: Clocks) -> str | None:
    """What was done to the wall clock between two readings; None where it went on as it should."""
    passed = after.monotonic_s - before.monotonic_s
    if before.boot_s is not None and after.boot_s is not None:
        passed = after.boot_s - before.boot_s
    step = after.wall_s - before.wall_s - passed
    if abs(step) <= CLOCK_STEP_S:
        return None
    return f"the wall clock was set by {step:+.0f} s; rates and joules do not depend on it, started_utc does"
