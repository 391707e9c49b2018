"""A schedule that knows no more than an operator does: each day is planned with that day's prices only. Pure.

Day-ahead prices are published the day before, and so are the offers of tenants and events. What comes after the day is
taken to repeat it (:data:`AHEAD` of the day's length), so that a start late in the day may still pay. The schedule
obeys every rule that binds the whole year; it can therefore earn no more than the one that knew everything.
"""

from __future__ import annotations

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
    for first, last in zip(days, [*days[1:], len(steps.power)], strict=True):
        known = steps.part(first, last)
        plan = solve(fleets, _repeated(known, 1 + AHEAD), rules, past)
        cards.append(plan.cards[: last - first])
        starts.append(plan.starts[: last - first])
        kw = cards[-1] @ draws(fleets)
        for month, highest in highest_kw(kw, known).items():
            peaks[month] = max(peaks.get(month, 0.0), highest)
        so_far = np.concatenate(starts)
        recent = so_far[-max(1, round(longest / steps.hours)) :]
        past = Past(_by_group(fleets, rules, cards[-1][-1]), recent, dict(peaks))
    return Schedule(np.concatenate(cards), np.concatenate(starts), 0.0)


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
