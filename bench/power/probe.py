"""How often a sensor's readings change, found by polling them rapidly for a short time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

POLL_S = 0.002


def watch(
    reads: Mapping[str, Callable[[], float]], seconds: float, failures: tuple[type[Exception], ...]
) -> dict[str, list[float]]:
    """Poll each reading for ``seconds`` and note when it changes.

    Args:
        reads: by name, a function that gives the reading.
        seconds: how long to poll.
        failures: exceptions of a failed read, which is skipped.

    Returns:
        By name, the times (monotonic s) at which the reading was seen to change.
    """
    changes: dict[str, list[float]] = {name: [] for name in reads}
    last: dict[str, float] = {}
    deadline_s = time.monotonic() + seconds
    while (now_s := time.monotonic()) < deadline_s:
        for name, read in reads.items():
            try:
                value = read()
            except failures:
                continue
            if value <= 0:
                continue  # what a sensor polled too often may answer; not a reading
            if name in last and value != last[name]:
                changes[name].append(now_s)
            last[name] = value
        time.sleep(POLL_S)
    return changes


def period_s(times_s: list[float]) -> float | None:
    """Update period in s from the times of change. None for fewer than three.

    Some updates repeat the previous value, which makes single intervals too long, never too short, so the lower
    quartile of the intervals is used.
    """
    if len(times_s) < 3:
        return None
    intervals = sorted(later - earlier for earlier, later in pairwise(times_s))
    return intervals[(len(intervals) - 1) // 4]


def co_tenants(pids: Sequence[int], own_pid: int | None) -> int | None:
    """Number of other processes on a card. In a container many drivers report the host's process ids: where ours is
    not among them, one of them may be this process, so the count is unknown.
    """
    if pids and own_pid not in pids:
        return None
    return len([pid for pid in pids if pid != own_pid])
