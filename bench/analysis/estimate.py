"""A figure and its interval from repeated windows. Pure; what the table, the gate and the stopping rule all use.

    interval([101.2, 100.9, 101.1, 52.0, 101.0, 101.3])      # one window disturbed
    # Interval(value=101.05, low=100.8, high=101.3, method="yuen")

Rates, watts and work per joule are positive and their noise is multiplicative, so everything is done on logarithms:
the difference of two results is then the log of a ratio, and rate ÷ watts = work per joule holds for the estimates.

From five windows on the estimate is Yuen's: the mean of what is left after the lowest and highest fifth of the windows
are set aside, with the standard error from the winsorised variance and Student's t with h − 1 degrees of freedom for
h remaining windows (Yuen 1974; Wilcox, Introduction to Robust Estimation, ch. 4). Fewer windows leave nothing to trim:
their estimate is the mean with Student's t.

Windows of one variant are not independent, and a dozen of them cannot show how far: their lag-1 autocorrelation is
combined with a prior of 0.4 worth 20 windows, and with the result ρ the variance is multiplied by (1 + ρ)/(1 − ρ). The
prior is chosen so that intervals cover 94% at an autocorrelation of 0.3; independent windows pay for it with intervals
some 25% wider (docs/method.md).

Why this and not Hodges–Lehmann with Wilcoxon's interval or the median with order statistics: docs/log.md has the
simulated coverage and width of all of them on clean, contaminated, drifting and autocorrelated windows.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIDENCE = 0.95
LARGEST_LOG = 299 * math.log(10)
TRIM = 0.2
"""Share of the windows set aside at each end."""
LEAST_TO_TRIM = 5
"""With fewer windows nothing is set aside."""
PRIOR_CORRELATION = 0.4
PRIOR_CORRELATION_WORTH = 20.0
"""Lag-1 autocorrelation that is expected of windows, and the number of windows that would show as much."""
MOST_CORRELATION = 0.8
"""Lag-1 autocorrelation beyond which the variance is not raised further."""

OUTLIER_DEVIATIONS = 5.0
OUTLIER_LEAST = 0.02
"""A window is named as an outlier if it is further than this many robust standard deviations (1.4826 × the median
absolute deviation) and further than this relative distance from the median of its group."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence interval; ``low`` and ``high`` are None for one window."""

    value: float
    low: float | None
    high: float | None
    method: str
    """``yuen`` (20% trimmed mean of logarithms), ``t`` (geometric mean) or ``single``."""

    @property
    def half_width(self) -> float | None:
        """Half the width relative to the value; None for one window."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2 / self.value


@dataclass(frozen=True, slots=True)
class Reduced:
    """Groups of logarithms, one array entry per group. The half-width of a mean's interval is t(freedom)·√variance."""

    count: NDArray[Any]
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    """Of the mean; NaN for a group of one."""
    freedom: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Part:
    """One independent contribution to the variance of a logarithm, and how well it is known."""

    variance: float
    freedom: float


def exp(log: float) -> float:
    """A ratio or figure from its logarithm; 1e±299 for anything beyond, which no float could hold."""
    return math.exp(min(max(log, -LARGEST_LOG), LARGEST_LOG))


def half_width(parts: Sequence[Part]) -> float:
    """95% half-width of a sum of independent errors: Student's t with Satterthwaite's degrees of freedom (1946)."""
    variance = sum(part.variance for part in parts)
    return student(_freedom(parts)) * math.sqrt(variance) if variance else 0.0


def p_value(difference: float, half: float, parts: Sequence[Part]) -> float:
    """Two-sided probability of a difference this large by chance, given the 95% half-width of its error."""
    from scipy.special import stdtr

    if not half:
        return 0.0 if difference else 1.0
    freedom = _freedom(parts)
    return 2.0 * float(stdtr(freedom, -abs(difference) / half * student(freedom)))


def _freedom(parts: Sequence[Part]) -> float:
    """Rounded to 0.01, so that quantiles can be kept."""
    variance = sum(part.variance for part in parts)
    squares = sum(part.variance**2 / part.freedom for part in parts)
    return round(variance**2 / squares, 2) if squares else 1e6


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p-value adjusted for all of them (Holm 1979): at a limit of 5%, the chance of even one false difference in
    the whole table is at most 5%, however the comparisons depend on one another.
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=lambda at: p_values[at])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = largest
    return adjusted


def interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The estimate for windows in the order in which they were measured.

    Args:
        values: positive figures, such as rates.
        confidence: of the interval, between 0 and 1.

    Raises:
        ValueError: no values, or one that is not finite and above 0.
    """
    import numpy as np

    if not len(values) or not all(0 < value < math.inf for value in values):
        raise ValueError("an interval needs positive, finite values")
    logs = np.log(np.asarray(values, dtype=float))
    found = reduce(logs, np.zeros(len(logs), dtype=np.int64), 1)
    mean = float(found.mean[0])
    if len(values) == 1:
        return Interval(exp(mean), None, None, "single")
    half = student(float(found.freedom[0]), confidence) * math.sqrt(float(found.variance[0]))
    return Interval(exp(mean), exp(mean - half), exp(mean + half), method_of(len(values)))


def method_of(count: int) -> str:
    """The estimator that ``count`` windows get."""
    return "single" if count == 1 else "yuen" if count >= LEAST_TO_TRIM else "t"


BETWEEN_RUNS: dict[str, float] = {"cpu": 0.05}
BETWEEN_RUNS_ELSEWHERE = 0.01
"""Relative standard deviation from run to run of one device: two CPU runs of one virtual machine minutes apart differed
by −3% to +17% (docs/log.md); for accelerators an assumption. It counts as much as :data:`BETWEEN_RUNS_WORTH` runs' own
scatter would, so that a few runs soon outweigh it."""
BETWEEN_RUNS_WORTH = 3.0


def between_runs(kind: str, runs: int, squares: float) -> Part:
    """The run-to-run part of the error of a mean of runs.

    One run shows nothing of it, and two show little: their scatter is combined with :data:`BETWEEN_RUNS` as a prior
    (scaled inverse χ², the usual conjugate). So a comparison of one run each has a floor, and another run that agrees
    narrows the interval rather than widening it as Student's t with one degree of freedom would.

    Args:
        kind: of the device, such as ``cpu``.
        runs: how many there are.
        squares: sum of the squared deviations of the runs' means, less what their windows' scatter explains.
    """
    prior = BETWEEN_RUNS.get(kind, BETWEEN_RUNS_ELSEWHERE)
    freedom = BETWEEN_RUNS_WORTH + runs - 1
    return Part((BETWEEN_RUNS_WORTH * prior**2 + squares) / freedom / runs, freedom)


@functools.lru_cache(maxsize=4096)
def student(freedom: float, confidence: float = CONFIDENCE) -> float:
    """Two-sided quantile of Student's t for ``freedom`` ≥ 1 degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + confidence / 2))


def reduce(logs: NDArray[np.float64], group: NDArray[np.int64], groups: int, trim: float = TRIM) -> Reduced:
    """Yuen's estimate of every group at once.

    Args:
        logs: logarithms of the windows' figures, within each group in the order in which they were measured.
        group: number of the group of each, from 0.
        groups: how many groups there are. An empty one gets NaN.
        trim: share set aside at each end; 0 gives the plain mean with Student's t.
    """
    import numpy as np

    count = np.bincount(group, minlength=groups)
    cut = np.where((count >= LEAST_TO_TRIM) & (trim > 0), np.maximum(1, (trim * count).astype(np.int64)), 0)
    kept = count - 2 * cut
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    by_value = np.lexsort((logs, group))
    ordered, owner = logs[by_value], group[by_value]
    rank = np.arange(len(logs)) - start[owner]
    inside = (rank >= cut[owner]) & (rank < (count - cut)[owner])
    filled = count > 0
    lowest, highest = np.full(groups, np.nan), np.full(groups, np.nan)
    lowest[filled] = ordered[(start + cut)[filled]]
    highest[filled] = ordered[(start + count - 1 - cut)[filled]]
    winsorised = np.clip(logs, lowest[group], highest[group])
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.bincount(owner[inside], weights=ordered[inside], minlength=groups) / kept
        off = winsorised - (np.bincount(group, weights=winsorised, minlength=groups) / count)[group]
        squares = np.bincount(group, weights=off**2, minlength=groups)
        factor = _inflation(off, group, count, squares) if trim > 0 else 1.0
        variance = np.where(count > 1, factor * squares / (kept * (kept - 1)), np.nan)
    return Reduced(count, mean, variance, (kept - 1).astype(float))


def _inflation(
    off: NDArray[np.float64], group: NDArray[np.int64], count: NDArray[Any], squares: NDArray[Any]
) -> NDArray[np.float64]:
    """Factor on each group's variance for the correlation of consecutive windows; 1 for groups too small to trim."""
    import numpy as np

    in_order = np.argsort(group, kind="stable")
    off, group = off[in_order], group[in_order]
    together = group[1:] == group[:-1]
    products = np.bincount(group[1:][together], weights=(off[1:] * off[:-1])[together], minlength=len(count))
    # 1/n: the estimate's bias for independent windows
    seen = np.clip(np.nan_to_num(products / squares) + 1 / np.maximum(count, 1), -1.0, 1.0)
    expected = PRIOR_CORRELATION_WORTH * PRIOR_CORRELATION
    correlation = np.clip((count * seen + expected) / (count + PRIOR_CORRELATION_WORTH), 0.0, MOST_CORRELATION)
    return np.where(count >= LEAST_TO_TRIM, (1 + correlation) / (1 - correlation), 1.0)


def outliers(
    logs: NDArray[np.float64], group: NDArray[np.int64], groups: int
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which values are far from the median of their group (of five values or more), and each one's median."""
    import numpy as np

    middle = _medians(logs, group, groups)
    away = np.abs(logs - middle[group])
    spread = 1.4826 * _medians(away, group, groups)
    enough = np.bincount(group, minlength=groups) >= LEAST_TO_TRIM
    far = enough[group] & (away > np.maximum(OUTLIER_DEVIATIONS * spread, OUTLIER_LEAST)[group])
    return far, middle[group]


def _medians(values: NDArray[np.float64], group: NDArray[np.int64], groups: int) -> NDArray[np.float64]:
    import numpy as np

    count = np.bincount(group, minlength=groups)
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    ordered = values[np.lexsort((values, group))]
    found = np.full(groups, np.nan)
    filled = count > 0
    low, high = (start + (count - 1) // 2)[filled], (start + count // 2)[filled]
    found[filled] = (ordered[low] + ordered[high]) / 2
    return found
