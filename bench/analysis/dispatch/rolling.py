"""A schedule that knows no more than an operator does: each day is planned with that day's prices only. Pure.

Day-ahead prices are published the day before, and so are the offers of tenants and events. What comes after the day is
taken to repeat it (:data:`AHEAD` of the day's length), so that a start late in the day may still pay; a demand charge
is spread over the days of the month that are left, since a peak once paid for may be drawn again. Limits that the grid
has announced are known for as long as a run that starts today may last, so that none has to be cut short. The schedule
obeys every rule that binds the whole year; it can therefore earn no more than the one that knew everything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bench.analysis.dispatch.accounts import highest_kw
from bench.analysis.dispatch.problem import Fleet, Past, Rules, Schedule, Steps, draws, groups, modes, solve

AHEAD = 1
"""Repetitions of the day that a plan looks ahead."""


def day_ahead(fleets: Sequence[Fleet], steps: Steps, rules: Rules, days: Sequence[int]) -> Schedule:
    """The schedule of somebody who knows one day at a time.

    Args:
        fleets: what there is.
        steps: what each step brings.
        rules: what ties the steps together.
        days: index of the first step of each day.

    Raises:
        BenchError: no schedule fits the rules on some day.
    """
    import numpy as np

    past: Past | None = None
    cards: list[Any] = []
    starts: list[Any] = []
    peaks: dict[int, float] = {}
    longest = max([0.0, *rules.min_run_h.values()])
    gap = 0.0
    left = _charged_days(steps, days)
    for number, (first, last) in enumerate(zip(days, [*days[1:], len(steps.power)], strict=True)):
        known = steps.part(first, last)
        known_caps = bool(np.isfinite(steps.cap_kw[first:]).any())
        times = 1 + (max(AHEAD, math.ceil(longest / (steps.hours * (last - first)))) if known_caps else AHEAD)
        ahead = _repeated(known, times)
        announced = steps.cap_kw[first : first + len(ahead.cap_kw)]
        caps = np.full(len(ahead.cap_kw), np.inf)
        caps[: len(announced)] = announced
        charge = rules.demand_charge * min(1.0, times / left[number])
        plan = solve(fleets, replace(ahead, cap_kw=caps), replace(rules, demand_charge=charge), past)
        gap = max(gap, plan.gap)
        cards.append(plan.cards[: last - first])
        starts.append(plan.starts[: last - first])
        kw = cards[-1] @ draws(fleets)
        for month, highest in highest_kw(kw, known).items():
            peaks[month] = max(peaks.get(month, 0.0), highest)
        so_far = np.concatenate(starts)
        recent = so_far[-max(1, round(longest / steps.hours)) :]
        past = Past(_by_group(fleets, rules, cards[-1][-1]), recent, dict(peaks))
    return Schedule(np.concatenate(cards), np.concatenate(starts), gap)


def _charged_days(steps: Steps, days: Sequence[int]) -> list[int]:
    """For each day, how many days of its month are left that a demand charge counts, itself among them; at least 1."""
    found: list[int] = []
    month, count = -1, 0
    for first, last in zip(reversed(days), [len(steps.power), *reversed(days[1:])], strict=True):
        if steps.month[first] != month:
            month, count = int(steps.month[first]), 0
        count += bool(steps.peak[first:last].any())
        found.append(max(1, count))
    return found[::-1]


def _by_group(fleets: Sequence[Fleet], rules: Rules, row: Any) -> Any:
    import numpy as np

    columns = modes(fleets)
    return np.array(
        [
            sum(row[j] for j, (owner, mode) in enumerate(columns) if (owner, mode.use) == group)
            for group in groups(fleets, rules)
        ]
    )


def _repeated(steps: Steps, times: int) -> Steps:
    import numpy as np

    names = ("power", "hash_income", "rent_income", "demand", "event", "cap_kw", "peak", "month")
    again: dict[str, Any] = {name: np.tile(getattr(steps, name), times) for name in names}
    return replace(steps, **again)
