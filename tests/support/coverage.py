"""Simulated coverage and width of estimators of a rate, on windows whose true rate is known. Prints a table.

    python -m tests.support.coverage

Every figure follows from a seed. The estimator in use is :mod:`bench.analysis.estimate`'s; the others are what it was
chosen over. Nothing here is measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.analysis import estimate

Draws = NDArray[np.float64]
Interval = tuple[Draws, Draws]
NOISE = 0.02
WINDOWS = (5, 8, 12, 20, 30)


# ---- windows: a row per run, logarithms, true value 0 -------------------------------------------------------------


def clean(random: np.random.Generator, runs: int, windows: int) -> Draws:
    return random.normal(0.0, NOISE, (runs, windows))


def one_bad(random: np.random.Generator, runs: int, windows: int) -> Draws:
    """One window at 0.03 to 0.5 of the others, as measured while something else ran."""
    draws = clean(random, runs, windows)
    draws[np.arange(runs), random.integers(0, windows, runs)] += np.log(random.uniform(0.03, 0.5, runs))
    return draws


def contaminated(random: np.random.Generator, runs: int, windows: int) -> Draws:
    """Each window is bad with a chance of one in twelve."""
    bad = random.random((runs, windows)) < 1 / 12
    return clean(random, runs, windows) + bad * np.log(random.uniform(0.03, 0.5, (runs, windows)))


def drifting(random: np.random.Generator, runs: int, windows: int) -> Draws:
    """A straight drift of 6% in all; the true value is the run's mean."""
    return clean(random, runs, windows) + np.linspace(-0.03, 0.03, windows)


def correlated(random: np.random.Generator, runs: int, windows: int, r: float = 0.5) -> Draws:
    """First-order autoregressive noise."""
    draws = clean(random, runs, windows)
    for at in range(1, windows):
        draws[:, at] = r * draws[:, at - 1] + math.sqrt(1 - r * r) * draws[:, at]
    return draws


CASES: Mapping[str, Callable[[np.random.Generator, int, int], Draws]] = {
    "clean": clean,
    "one bad window": one_bad,
    "bad, 1 in 12": contaminated,
    "drift of 6%": drifting,
    "autocorrelated, r = 0.5": correlated,
}


# ---- estimators ---------------------------------------------------------------------------------------------------


def _ours(draws: Draws, trim: float) -> Interval:
    runs, windows = draws.shape
    found = estimate.reduce(draws.ravel(), np.repeat(np.arange(runs), windows), runs, trim)
    half = estimate.student(float(found.freedom[0])) * np.sqrt(found.variance)
    return found.mean - half, found.mean + half


def in_use(draws: Draws) -> Interval:
    return _ours(draws, estimate.TRIM)


def student(draws: Draws) -> Interval:
    return _ours(draws, 0.0)


def yuen(draws: Draws) -> Interval:
    """The trimmed mean without the allowance for correlated windows."""
    windows = draws.shape[1]
    cut = max(1, int(0.2 * windows))
    ordered = np.sort(draws, axis=1)
    kept = windows - 2 * cut
    mean = ordered[:, cut : windows - cut].mean(axis=1)
    winsorised = np.clip(ordered, ordered[:, cut : cut + 1], ordered[:, windows - cut - 1 : windows - cut])
    squares = ((winsorised - winsorised.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    half = stats.t.ppf(0.975, kept - 1) * np.sqrt(squares / (kept * (kept - 1)))
    return mean - half, mean + half


def hodges_lehmann(draws: Draws) -> Interval:
    """Order statistics of the Walsh averages by Wilcoxon's signed-rank distribution; no interval below six windows."""
    windows = draws.shape[1]
    one, other = np.triu_indices(windows)
    averages = np.sort((draws[:, one] + draws[:, other]) / 2, axis=1)
    ways = np.zeros(windows * (windows + 1) // 2 + 1)
    ways[0] = 1.0
    for rank in range(1, windows + 1):
        ways[rank:] += ways[: len(ways) - rank].copy()
    k = int(np.searchsorted(np.cumsum(ways) / 2.0**windows, 0.025, side="right"))
    if k < 1:
        return np.full(len(draws), -np.inf), np.full(len(draws), np.inf)
    return averages[:, k - 1], averages[:, -k]


def median(draws: Draws) -> Interval:
    """Order statistics of the windows by the binomial distribution; no interval below six windows."""
    windows = draws.shape[1]
    k = int(np.searchsorted(stats.binom.cdf(np.arange(windows), windows, 0.5), 0.025, side="right"))
    if k < 1:
        return np.full(len(draws), -np.inf), np.full(len(draws), np.inf)
    ordered = np.sort(draws, axis=1)
    return ordered[:, k - 1], ordered[:, -k]


ESTIMATORS: Mapping[str, Callable[[Draws], Interval]] = {
    "in use": in_use,
    "Yuen": yuen,
    "Student's t": student,
    "Hodges–Lehmann": hodges_lehmann,
    "median": median,
}


def coverage(case: str, estimator: str, windows: int, runs: int = 10_000, seed: int = 1) -> tuple[float, float]:
    """Share of the intervals that hold the true value, and the median half-width."""
    low, high = ESTIMATORS[estimator](CASES[case](np.random.default_rng(seed), runs, windows))
    return float(np.mean((low <= 0) & (high >= 0))), float(np.median((high - low) / 2))


def table() -> str:
    lines = [f"| windows | n | {' | '.join(ESTIMATORS)} |", f"|---|---:|{'---|' * len(ESTIMATORS)}"]
    for case in CASES:
        for windows in WINDOWS:
            cells = []
            for name in ESTIMATORS:
                covered, half = coverage(case, name, windows)
                cells.append(f"{covered:.1%} ±{half:.1%}" if math.isfinite(half) else "–")
            lines.append(f"| {case} | {windows} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
