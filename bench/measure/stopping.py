"""When enough windows of a variant have been measured.

A rule is part of the statistics: an interval that stops the measurement when it happens to be narrow covers less than
it says. docs/method.md has the simulated coverage of each rule (``tests/support/stopping_study.py``).
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from bench.analysis import estimate
from bench.measure.timing import Timing
from bench.model import Record

RuleName = Literal["count", "half-width", "entropy"]


class StoppingRule(Protocol):
    """Decides from the figures so far."""

    def enough(self, values: Sequence[float]) -> bool:
        """Whether these positive figures, in the order of their windows, need no further window."""


@dataclass(frozen=True, slots=True)
class FixedCount:
    """Never stops early: the number of windows was fixed beforehand, so the interval covers what it says."""

    def enough(self, values: Sequence[float]) -> bool:  # noqa: ARG002 - every rule is asked alike
        return False


@dataclass(frozen=True, slots=True)
class HalfWidth:
    """Stops once the interval's half-width is within ``target`` of the value, at ``least`` windows or more."""

    target: float = 0.01
    least: int = 8

    def enough(self, values: Sequence[float]) -> bool:
        if len(values) < self.least:
            return False
        half_width = estimate.interval(values).half_width
        return half_width is not None and half_width <= self.target


@dataclass(frozen=True, slots=True)
class Entropy:
    """Stops once new windows no longer add information: the entropy of the binned figures has levelled off.

    NVBench's criterion (docs/cli_help.md there): a straight line through the entropies so far rises by no more than
    ``max_angle`` radians and explains them (``min_r2``), or they stopped changing. Figures are binned on a log scale,
    since windows of a real machine never repeat a figure exactly.
    """

    max_angle: float = 0.048
    min_r2: float = 0.36
    bin_width: float = 0.005
    least: int = 8

    def enough(self, values: Sequence[float]) -> bool:
        if len(values) < self.least:
            return False
        bins = [round(math.log(value) / self.bin_width) for value in values]
        entropies = [_entropy(bins[:count]) for count in range(1, len(bins) + 1)]
        slope, r2 = _line(entropies[len(entropies) // 2 :])
        return slope == 0 or (math.atan(abs(slope)) <= self.max_angle and r2 >= self.min_r2)


def _entropy(bins: Sequence[int]) -> float:
    """In bits."""
    return -sum(n / len(bins) * math.log2(n / len(bins)) for n in Counter(bins).values())


def _line(values: Sequence[float]) -> tuple[float, float]:
    """Slope and coefficient of determination of the least-squares line through equally spaced values."""
    count = len(values)
    middle, mean = (count - 1) / 2, math.fsum(values) / count
    covariance = math.fsum((index - middle) * (value - mean) for index, value in enumerate(values))
    spread_x = count * (count**2 - 1) / 12
    spread_y = math.fsum((value - mean) ** 2 for value in values)
    slope = covariance / spread_x
    return slope, 1.0 if spread_y == 0 else covariance**2 / (spread_x * spread_y)


RULES: dict[RuleName, StoppingRule] = {"count": FixedCount(), "half-width": HalfWidth(), "entropy": Entropy()}


def enough(records: Sequence[Record], rule: StoppingRule) -> bool:
    """Whether the rule is satisfied by the valid rows' rates, and by their work per joule where there is any."""
    good = [record for record in records if record.valid]
    rates = [record.rate_per_s for record in good]
    per_joule = [record.work_per_j for record in good if record.work_per_j is not None]
    return bool(rates) and rule.enough(rates) and (not per_joule or rule.enough(per_joule))


def over_budget(ends_s: Sequence[float], timing: Timing) -> bool:
    """Whether one more round would end after the budget.

    Args:
        ends_s: when each round so far ended, in seconds after the start. The next one is taken to last as long as the
            longest of them but the first, which also builds, verifies and warms up.
        timing: holds the budget.
    """
    if timing.budget_s is None or not ends_s:
        return False
    lengths = [end - begin for begin, end in itertools.pairwise(ends_s)] or [ends_s[0]]
    return ends_s[-1] + max(lengths) > timing.budget_s
