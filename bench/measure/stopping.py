"""When enough windows of a variant have been measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from bench.measure.timing import Timing
from bench.model import Record

LEAST_REPEATS = 3
"""Windows before an interval may stop the repeats."""


def precise_enough(records: Sequence[Record], timing: Timing) -> bool:
    """Whether the 95% intervals of the rate, and of work per joule where there is any, are narrow enough."""
    good = [record for record in records if record.valid]
    if timing.target_half_width is None or len(good) < LEAST_REPEATS:
        return False
    from scipy.stats import t

    factor = t.ppf(0.975, len(good) - 1) / math.sqrt(len(good))
    figures = [[record.rate_per_s for record in good], [r.work_per_j for r in good if r.work_per_j is not None]]
    return all(
        factor * statistics.stdev(values) <= timing.target_half_width * statistics.fmean(values)
        for values in figures
        if len(values) >= LEAST_REPEATS
    )


def over_budget(spent_s: float, rounds: int, timing: Timing) -> bool:
    """Whether one more round, as long as the ``rounds`` so far on average, would end after the budget."""
    if timing.budget_s is None or rounds == 0:
        return False
    return spent_s + spent_s / rounds > timing.budget_s
