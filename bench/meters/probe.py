"""How often a sensor's readings change, found by polling them quickly for a moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
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
