"""How often a sensor's readings change, found by polling them quickly for a moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

POLL_S = 0.002


def watch(
    reads: Mapping[str, Callable[[], float]], seconds: float, failures: tuple[type[Exception], ...]
) -> dict[str, list[float]]:
    """Poll each reading for ``seconds``; gives by name the moments (monotonic s) at which it was seen to change.

    ``failures`` are passed over: a read that fails is no change.
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
                continue  # what a sensor that is asked too often may answer: no reading
            if name in last and value != last[name]:
                changes[name].append(now_s)
            last[name] = value
        time.sleep(POLL_S)
    return changes


def period_s(moments_s: list[float]) -> float | None:
    """Update period from the moments of change, in s. None for fewer than three.

    Some updates repeat the value before them, which makes single intervals too long, never too short: the lower
    quartile of the intervals stands.
    """
    if len(moments_s) < 3:
        return None
    intervals = sorted(later - earlier for earlier, later in pairwise(moments_s))
    return intervals[(len(intervals) - 1) // 4]


def co_tenants(pids: Sequence[int], own_pid: int | None) -> int | None:
    """Other processes on a card. In a container many drivers give the host's process ids: where ours is not among
    them, nobody can tell which of them is us, so the count is unknown.
    """
    if pids and own_pid not in pids:
        return None
    return len([pid for pid in pids if pid != own_pid])
