"""How often the interval holds the truth when a rule ends the windows: ``python -m tests.support.stopping_study``.

Windows have log-normal noise, independent or autocorrelated (AR(1), φ = 0.3 from window to window of a variant).
"""

from __future__ import annotations

import math

import numpy as np

from bench.analysis import estimate
from bench.measure.stopping import RULES, RuleName

NOISES = (0.005, 0.012, 0.02, 0.05)
COUNTS = {"without watts": 12, "with watts": 5}


def windows(rng: np.random.Generator, noise: float, phi: float, count: int) -> np.ndarray:
    """Figures whose logarithm has mean 0 and standard deviation ``noise``."""
    logs = np.empty(count)
    logs[0] = rng.normal(0, noise)
    for index in range(1, count):
        logs[index] = phi * logs[index - 1] + rng.normal(0, noise * math.sqrt(1 - phi**2))
    return np.exp(logs)


def coverage(
    rule: RuleName, noise: float, phi: float, count: int, runs: int, seed: int = 1
) -> tuple[float, float, float]:
    """Share of intervals that hold 1: of all runs, of those that ended early (NaN: none), and the share that did."""
    rng = np.random.default_rng(seed)
    held: list[bool] = []
    early: list[bool] = []
    for _ in range(runs):
        values = windows(rng, noise, phi, count)
        used = next((n for n in range(1, count) if RULES[rule].enough(list(values[:n]))), count)
        found = estimate.interval(list(values[:used]))
        assert found.low is not None
        assert found.high is not None
        held.append(found.low <= 1 <= found.high)
        early.append(used < count)
    ended = [ok for ok, ended in zip(held, early, strict=True) if ended]
    return float(np.mean(held)), float(np.mean(ended)) if ended else math.nan, float(np.mean(early))


def table(runs: int = 4000) -> str:
    """The table in docs/method.md."""
    lines = [
        "| rule | windows | noise | coverage, independent | … ended early | coverage, φ = 0.3 |",
        "|---|---|---|---|---|---|",
    ]
    for rule, counts in (("count", COUNTS.values()), ("half-width", (12,)), ("entropy", (12,))):
        for count in counts:
            for noise in NOISES:
                white, ended, share = coverage(rule, noise, 0.0, count, runs)
                correlated, _, _ = coverage(rule, noise, 0.3, count, runs)
                stopped = "–" if math.isnan(ended) else f"{ended:.1%} of the {share:.0%} that did"
                lines.append(f"| {rule} | {count} | {noise:.1%} | {white:.1%} | {stopped} | {correlated:.1%} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
