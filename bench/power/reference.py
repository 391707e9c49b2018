"""Gain and offset of a sensor from a reference meter on the same device at the same time. Pure.

The line reading = gain × true + offset is fitted by least squares with errors in both (York et al., Unified equations
for the slope, intercept, and standard errors of the best straight line, American Journal of Physics 72, 367, 2004).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.model import BenchError
from bench.model.sensor_test import Level, Line

LEAST_LEVELS = 3
APART = 4.0
"""Levels closer than this many of their standard deviations, or than :data:`LEAST_APART_W`, are one level."""
LEAST_APART_W = 2.0
ROUNDS = 100
FLOOR_W = 1e-3
"""No mean power is known better than this (standard deviation)."""


def fit_levels(
    levels: Sequence[Level], *, reference_gain: float | None = None, reference_offset_w: float | None = None
) -> Line:
    """The line through the levels.

    Args:
        levels: windows at three or more different powers.
        reference_gain: 95% relative uncertainty of the reference's own gain; None: unknown, not included.
        reference_offset_w: the same of its offset.

    Raises:
        BenchError: fewer than three different levels, or readings that do not rise with the true power.
    """
    count = different_levels(levels)
    if count < LEAST_LEVELS:
        raise BenchError(
            f"the windows lie at {count} power level{'s' if count != 1 else ''}, and a line needs {LEAST_LEVELS}",
            "use work that moves the watts, or give more --seconds",
        )
    from scipy import stats

    x = [level.true_w for level in levels]
    y = [level.reading_w for level in levels]
    weight_x = [1 / max(level.true_half_w / 2, FLOOR_W) ** 2 for level in levels]
    weight_y = [1 / max(level.reading_half_w / 2, FLOOR_W) ** 2 for level in levels]
    gain = float(stats.linregress(x, y).slope)
    for _ in range(ROUNDS):
        weights = [wx * wy / (wx + gain * gain * wy) for wx, wy in zip(weight_x, weight_y, strict=True)]
        total = math.fsum(weights)
        mean_x = math.fsum(w * a for w, a in zip(weights, x, strict=True)) / total
        mean_y = math.fsum(w * b for w, b in zip(weights, y, strict=True)) / total
        u = [a - mean_x for a in x]
        v = [b - mean_y for b in y]
        beta = [
            w * (du / wy + gain * dv / wx) for w, du, dv, wx, wy in zip(weights, u, v, weight_x, weight_y, strict=True)
        ]
        last = gain
        gain = math.fsum(w * b * dv for w, b, dv in zip(weights, beta, v, strict=True)) / math.fsum(
            w * b * du for w, b, du in zip(weights, beta, u, strict=True)
        )
        if abs(gain - last) < 1e-12:
            break
    if not gain > 0:
        raise BenchError(
            f"the readings do not rise with the true power: a gain of {gain:.4g}",
            "see that both meters measure the same device",
        )
    offset_w = mean_y - gain * mean_x
    adjusted = [mean_x + b for b in beta]
    mean_adjusted = math.fsum(w * a for w, a in zip(weights, adjusted, strict=True)) / total
    gain_deviation = 1 / math.sqrt(
        math.fsum(w * (a - mean_adjusted) ** 2 for w, a in zip(weights, adjusted, strict=True))
    )
    offset_deviation = math.sqrt(1 / total + (mean_adjusted * gain_deviation) ** 2)
    free = len(levels) - 2
    chi2 = math.fsum(w * (b - gain * a - offset_w) ** 2 for w, a, b in zip(weights, x, y, strict=True))
    scatter = math.sqrt(chi2 / free)
    # half-widths of the windows are wide rather than narrow, so a small scatter does not shrink the result
    factor = float(stats.t.ppf(0.975, free)) * max(1.0, scatter)
    return Line(
        gain,
        offset_w,
        math.hypot(factor * gain_deviation / gain, reference_gain or 0.0),
        math.hypot(factor * offset_deviation, gain * (reference_offset_w or 0.0)),
        scatter,
    )


def different_levels(levels: Sequence[Level]) -> int:
    """How many different true powers there are."""
    count, highest_w = 0, -math.inf
    for level in sorted(levels, key=lambda level: level.true_w):
        if level.true_w - highest_w > max(LEAST_APART_W, APART * level.true_half_w / 2):
            count += 1
            highest_w = level.true_w
    return count
