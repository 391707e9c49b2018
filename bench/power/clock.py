"""When a sensor's value was updated, by polls that are not in step with it. Pure.

A poll bounds an update only to the time since the poll before. But sensors update at steady intervals (in public traces
a 3090 keeps its own to 0.2 ms, an A100 to 1 ms), so all updates together bound the phase and the period of one clock
far more narrowly than each bounds itself.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

PERIOD_TOLERANCE = 0.04
"""Relative error that the probed period may have."""
JITTERS = (0.002, 0.005, 0.01, 0.02)
"""Shares of its period by which a single update may come early or late: the least that holds them all together."""
MOST_POLL = 0.95
"""Polls further apart than this share of the period do not bound its phase."""
LEAST_UPDATES = 4
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Update:
    """One update: it happened at ``t_ns`` ± ``half_ns``, and showed ``value`` from then on."""

    t_ns: float
    half_ns: float
    value: float
    steady: bool = False
    """Whether its time is that of a steady clock, rather than bounded by two polls alone."""


def updates(polls: Sequence[tuple[int, float]], period_s: float | None) -> list[Update]:
    """The updates that these polls saw.

    Args:
        polls: (time in ns, value), oldest first.
        period_s: the probed update period; None where it is unknown.

    Returns:
        One :class:`Update` for each change of value, oldest first.
    """
    period_ns = None if period_s is None else period_s * 1e9
    seen: list[Update] = []
    for (before_ns, before), (t_ns, value) in pairwise(polls):
        if value != before:
            span_ns = float(t_ns - before_ns) if period_ns is None else min(float(t_ns - before_ns), period_ns)
            seen.append(Update(t_ns - span_ns / 2, span_ns / 2, value))
    if not period_ns or len(seen) < LEAST_UPDATES:
        return seen
    poll_ns = statistics.median(later[0] - earlier[0] for earlier, later in pairwise(polls))
    return _on_a_steady_clock(seen, period_ns) if poll_ns <= MOST_POLL * period_ns else seen


def _on_a_steady_clock(seen: Sequence[Update], period_ns: float) -> list[Update]:
    """The updates, each on the longest steady clock from the first one that is not on the clock before."""
    found: list[Update] = []
    while len(found) < len(seen):
        rest = seen[len(found) :]
        for jitter in JITTERS:
            slack_ns = jitter * period_ns
            numbers, region = _clock(rest, period_ns, slack_ns)
            if len(numbers) == len(rest):
                break
        part = rest[: len(numbers)]
        if len(part) < LEAST_UPDATES:
            found += part
            continue
        for update, number in zip(part, numbers, strict=True):
            times = [part[0].t_ns + start + number * period for start, period in region]
            low, high = min(times), max(times)
            half_ns = min((high - low) / 2 + slack_ns, update.half_ns)
            found.append(Update((low + high) / 2, half_ns, update.value, steady=True))
    return found


def _clock(seen: Sequence[Update], period_ns: float, slack_ns: float) -> tuple[list[int], list[Point]]:
    """The number of each update on one steady clock, as far as one holds them, and the region of (start, period)
    that is left, in ns from the first update.
    """
    origin, first = seen[0].t_ns, seen[0].half_ns + slack_ns
    low, high = period_ns * (1 - PERIOD_TOLERANCE), period_ns * (1 + PERIOD_TOLERANCE)
    region: list[Point] = [(-first, low), (first, low), (first, high), (-first, high)]
    numbers = [0]
    for update in seen[1:]:
        middle, half_ns = update.t_ns - origin, update.half_ns + slack_ns
        soonest = math.floor((middle - half_ns - max(start for start, _ in region)) / high)
        number = max(numbers[-1] + 1, soonest)
        left = _held(region, number, middle, half_ns)
        while not left and number * low < middle + half_ns + first:
            number += 1
            left = _held(region, number, middle, half_ns)
        # an update that changed nothing is not seen; how many there were must be certain
        if not left or (number > numbers[-1] + 1 and _held(region, number + 1, middle, half_ns)):
            break
        numbers.append(number)
        region = left
    return numbers, region


def _held(region: Sequence[Point], number: int, middle: float, half: float) -> list[Point]:
    """The part of a region in which the update of this number happened within ``middle`` ± ``half``."""
    return _clipped(_clipped(region, number, middle - half, 1.0), number, middle + half, -1.0)


def _clipped(region: Sequence[Point], number: int, bound: float, sign: float) -> list[Point]:
    """The part of a convex region of (start, period) in which ``sign`` × (start + number × period − bound) ≥ 0."""
    found: list[Point] = []
    for (x, y), (next_x, next_y) in zip(region, [*region[1:], *region[:1]], strict=True):
        here = sign * (x + number * y - bound)
        there = sign * (next_x + number * next_y - bound)
        if here >= 0:
            found.append((x, y))
        if here * there < 0:
            share = here / (here - there)
            found.append((x + share * (next_x - x), y + share * (next_y - y)))
    return found
