"""How far a mean of a sensor's readings may be off, from the readings alone. Pure statistics; 95% means k = 2."""

from __future__ import annotations

import bisect
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.model import Sample, Sensor

COVERAGE = 2.0
"""Half-widths are twice the standard deviation: the usual 95% of metrology (GUM, k = 2)."""
LAST_DIGIT_STEPS_W = (1.0, 0.5, 0.25, 0.1, 0.05, 0.01, 0.001)
"""Steps in which power readings come, coarsest first."""
BATCHES = 5
BATCH_FACTOR = 2.78 / math.sqrt(BATCHES)
"""Student's t(4) at 95%, for the mean of five batches."""
SLOW_SHARE = 0.12
"""Variance of neighbours over the whole variance, below which the values vary slowly. White noise has 1; a load that
changes every four readings 0.25; a beat within 6% of the sensor's period at most 0.08."""
STEP_SHARE = 0.8
"""Share of a change that a step in the load shows within two readings; a beat takes longer."""
MOST_STEPS = 2
UNKNOWN_DUTY = 0.25
"""The worst published duty cycle."""
NOISE_W = 3.0
NOISE_SHARE = 0.005
FREEDOM_PER_S = 2.0
MEDIAN_TO_DEVIATION = 1.4826
FEW = 0.7
"""Part by which a variance from a single stretch is raised; from n stretches, by this part of 1/n."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Joules of a window as one method sees them, with the 95% half-width from timing and sampling."""

    joules: float
    uncertainty_j: float


def half_width(parts: Iterable[float], seconds: float) -> float:
    """95% half-width from independent parts (each k = 2) that were estimated within one window.

    A short window holds few independent stretches to estimate them from: Student's t with two degrees of freedom a
    second, in place of k = 2.
    """
    freedom = max(2.0, FREEDOM_PER_S * seconds)
    student = 1.96 + 2.4 / freedom + 3 / freedom**2
    return math.hypot(*parts) * student / COVERAGE


def neighbour_scatter(values: Sequence[float]) -> float:
    """Standard deviation of single values by the differences of neighbours, so that slow drift does not count."""
    if len(values) < 2:
        return 0.0
    return math.sqrt(math.fsum((later - earlier) ** 2 for earlier, later in pairwise(values)) / (2 * (len(values) - 1)))


def updates(readings: Sequence[Sample], period_s: float) -> list[float]:
    """Power readings at every update period: several polls may see one update, and equal updates may follow."""
    found: list[float] = []
    due_ns = 0.0
    for sample in readings:
        if sample.t_ns >= due_ns and sample.power_w is not None:
            found.append(sample.power_w)
            due_ns = max(due_ns + period_s * 1e9, sample.t_ns + period_s * 5e8)
    return found


def seen_share(sensor: Sensor) -> float:
    """Share of the time that the readings which are polled report; the worst published one where it is unknown."""
    if sensor.duty is None:
        return UNKNOWN_DUTY
    period_s, poll_s = sensor.power_period_s or 0.0, sensor.poll_s or 0.0
    return sensor.duty * period_s / max(period_s, poll_s) if period_s else sensor.duty


def chance_half_width(scatter_w: float, mean_w: float, seen: float, count: float) -> float:
    """95% half-width of the mean of ``count`` readings with this scatter between neighbours.

    What the sensor does not see can be missed. Its own noise cannot be distinguished from the load, and is taken to be
    as large as the scatter, up to NOISE_W or NOISE_SHARE of the power.
    """
    noise_w = min(scatter_w, max(NOISE_W, NOISE_SHARE * mean_w))
    return COVERAGE * math.sqrt((noise_w**2 + max(0.0, 1 - seen) * scatter_w**2) / count)


def slow_half_width(values: Sequence[float]) -> float:
    """95% half-width of the mean of values that vary slowly, by the means of five batches; 0 where they do not.

    A periodic load near the sensor's own period appears as a slow wave (aliasing) with little scatter between
    neighbours. A step in the load is not counted: it is complete within two readings.
    """
    if len(values) < 2 * BATCHES:
        return 0.0
    return min(_slow(values), _slow(_without_steps(values)))


def _slow(values: Sequence[float]) -> float:
    if neighbour_scatter(values) ** 2 > SLOW_SHARE * statistics.pvariance(values):
        return 0.0
    size = len(values) / BATCHES
    means = [statistics.fmean(values[round(n * size) : round((n + 1) * size)]) for n in range(BATCHES)]
    return BATCH_FACTOR * statistics.stdev(means)


def _without_steps(values: Sequence[float]) -> list[float]:
    """The values with the largest abrupt steps (at most two) taken out of everything that follows them."""
    found = list(values)
    for _ in range(MOST_STEPS):
        scatter = statistics.median(abs(later - earlier) for earlier, later in pairwise(found)) if len(found) > 5 else 0
        rises = [(abs(found[n + 2] - found[n]), n) for n in range(2, len(found) - 4)]
        if not rises:
            break
        height, at = max(rises)
        around = max(found[at - 2 : at + 5]) - min(found[at - 2 : at + 5])
        if height <= 5 * scatter or height < STEP_SHARE * around:
            break
        rise = found[at + 2] - found[at]
        found = [*found[: at + 1], *(value - rise for value in found[at + 2 :])]
    return found


def last_digit_w(readings: Sequence[float]) -> float:
    """The coarsest step, up to 1 W, of which every reading is a multiple; 0 where there is none above 1 mW."""
    for step_w in LAST_DIGIT_STEPS_W:
        if readings and all(abs(watts / step_w - round(watts / step_w)) < 1e-6 for watts in readings):
            return step_w
    return 0.0


def fill_scatter_w(times_s: Sequence[float], joules: Sequence[float], fill_s: float, near_s: float) -> float:
    """How far the mean power of a stretch is from that of the stretch after it: the standard deviation, in watts.

    This is the error of filling ``fill_s`` seconds at the beginning with the mean power of the ``near_s`` seconds
    that follow, found by trying it wherever the window allows. By the median, so that a single step in the load
    counts only where it lies near this edge.

    Args:
        times_s: times, increasing; or decreasing, for the edge at the end.
        joules: energy up to each of these times.
        fill_s: length of the stretch that is filled.
        near_s: length of the stretch whose mean power fills it.
    """
    clock = [abs(time_s - times_s[0]) for time_s in times_s]
    fill_s = max(fill_s, clock[-1] / len(clock))
    near_s = max(min(near_s, clock[-1] - fill_s), fill_s)
    apart_w: list[float] = []
    for start in range(0, len(clock), max(1, len(clock) // 200)):
        middle = bisect.bisect_left(clock, clock[start] + fill_s - 1e-9)
        end = bisect.bisect_left(clock, clock[min(middle, len(clock) - 1)] + near_s - 1e-9)
        if end >= len(clock):
            break
        filled_w = (joules[middle] - joules[start]) / (clock[middle] - clock[start])
        near_w = (joules[end] - joules[middle]) / (clock[end] - clock[middle])
        apart_w.append(abs(filled_w - near_w))
    if not apart_w:
        return 0.0
    first, near = (min(bisect.bisect_left(clock, span_s - 1e-9), len(clock) - 1) for span_s in (fill_s, near_s))
    here_w = abs((joules[first] - joules[0]) / clock[first] - (joules[near] - joules[0]) / clock[near])
    independent = clock[-1] / (fill_s + near_s)
    return max(MEDIAN_TO_DEVIATION * statistics.median(apart_w), here_w) * math.sqrt(1 + FEW / independent)
