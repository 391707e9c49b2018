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
NOISE_W = 0.6
NOISE_SHARE = 0.003
"""What a sensor's own noise can be, in W and as a share of the power: instant readings of an A100, an A5000, two 3090
and a 4090 differ from an external meter's mean over the same time by 0.3 to 0.9 W, once gain and offset are fitted."""
LEAST_SPECTRUM = 16
SPECTRUM_SHARE = 0.08
CLEARLY_LESS = 0.6
NOISE_DIGITS = 3.0
"""The same in units of the last digit."""
FREEDOM_PER_S = 2.0
NEAR_S = (0.5, 1.5)
MOST_TRIALS = 60
TRIALS_PER_FILL = 3
FEW = 0.7
"""Part by which a variance from a single stretch is raised; from n stretches, by this part of 1/n."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Joules of a window as one method sees them, with the 95% half-width from timing and sampling."""

    joules: float
    uncertainty_j: float


def half_width(known: Iterable[float], estimated: Iterable[float], seconds: float) -> float:
    """95% half-width from independent parts, each k = 2.

    Args:
        known: parts whose distribution is known, such as the time of an update between two polls.
        estimated: parts that were estimated within the window. A short one holds few independent stretches to estimate
            them from: Student's t with two degrees of freedom a second, in place of k = 2.
        seconds: length of the window.
    """
    freedom = max(2.0, FREEDOM_PER_S * seconds)
    student = 1.96 + 2.4 / freedom + 3 / freedom**2
    return math.hypot(math.hypot(*known), math.hypot(*estimated) * student / COVERAGE)


def neighbour_scatter(values: Sequence[float]) -> float:
    """Standard deviation of single values by the differences of neighbours, so that slow drift does not count."""
    if len(values) < 2:
        return 0.0
    return math.sqrt(math.fsum((later - earlier) ** 2 for earlier, later in pairwise(values)) / (2 * (len(values) - 1)))


def texture_of(readings: Sequence[Sample], period_s: float) -> list[float]:
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


def chance_half_width(values: Sequence[float], seen: float, digit_w: float = 0.0, share: float = 1.0) -> float:
    """95% half-width of the mean of readings, by what they show of their scatter.

    The scatter is the load's, of which the sensor misses the share that it does not see; or the sensor's own noise.
    The two cannot be distinguished: as much of it as a sensor's noise can be is taken for noise. Readings of a periodic
    load scatter widely around a mean that is known far better, which their own slow variation shows.

    Args:
        values: one reading per update.
        seen: share of the time that the readings report.
        digit_w: last digit of the readings; whole watts are published by sensors that do not resolve less.
        share: deviation of the quantity that is averaged, as a multiple of that of these values.
    """
    if len(values) < 2:
        return 0.0
    scatter_w = share * neighbour_scatter(values)
    noise_w = min(scatter_w, max(NOISE_W, NOISE_SHARE * statistics.fmean(values), NOISE_DIGITS * digit_w))
    deviation_w = math.sqrt(noise_w**2 + max(0.0, 1 - seen) * (scatter_w**2 - noise_w**2))
    if len(values) >= LEAST_SPECTRUM and (slow_w := share * _low_frequency(values)) < CLEARLY_LESS * deviation_w:
        deviation_w = slow_w
    return COVERAGE * deviation_w / math.sqrt(len(values))


def _low_frequency(values: Sequence[float]) -> float:
    """Deviation of single values as their slowest variations show it: √n times that of their mean, whatever the shape
    of their spectrum. By the lowest ordinates of the periodogram.
    """
    count = len(values)
    lowest = max(4, round(SPECTRUM_SHARE * count))
    mean = statistics.fmean(values)
    total = 0.0
    for number in range(1, lowest + 1):
        turn = 2 * math.pi * number / count
        real = math.fsum((value - mean) * math.cos(turn * index) for index, value in enumerate(values))
        imaginary = math.fsum((value - mean) * math.sin(turn * index) for index, value in enumerate(values))
        total += (real * real + imaginary * imaginary) / count
    freedom = 2 * lowest
    return math.sqrt(total / lowest) * (1.96 + 2.4 / freedom + 3 / freedom**2) / 1.96


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


def digit_half_width(digit_w: float, scatter_w: float) -> float:
    """95% half-width of a mean of rounded readings: half the last digit where they do not scatter. Scatter moves them
    across the steps, and the rounding then averages out.
    """
    if digit_w == 0:
        return 0.0
    own_w = math.sqrt(max(0.0, scatter_w**2 - digit_w**2 / 4))
    return digit_w / 2 * math.exp(-2 * (math.pi * own_w / digit_w) ** 2)


def last_digit_w(readings: Sequence[float]) -> float:
    """The coarsest step, up to 1 W, of which every reading is a multiple; 0 where there is none above 1 mW."""
    for step_w in LAST_DIGIT_STEPS_W:
        if readings and all(abs(watts / step_w - round(watts / step_w)) < 1e-6 for watts in readings):
            return step_w
    return 0.0


def interpolated(at: Sequence[float], values: Sequence[float], wanted: float) -> float:
    """Linear interpolation between increasing points; beyond them, their continuation."""
    index = min(max(bisect.bisect_right(at, wanted), 1), len(at) - 1)
    share = (wanted - at[index - 1]) / (at[index] - at[index - 1])
    return values[index - 1] + share * (values[index] - values[index - 1])


@dataclass(frozen=True, slots=True)
class Fill:
    """Power of a stretch that no reading reports alone, and what such a guess errs by elsewhere in the window."""

    power_w: float
    errors_w: Sequence[float]
    """Errors of the same guess at other times, in watts."""

    @property
    def half_width_w(self) -> float:
        """95% half-width: a quantile, since one step in the load makes few but large errors."""
        return _quantile(self.errors_w)


def _quantile(errors: Iterable[float]) -> float:
    ordered = sorted(map(abs, errors))
    return ordered[math.ceil(0.95 * len(ordered)) - 1]


def both_edges(start: Fill, start_s: float, end: Fill, end_s: float) -> float:
    """95% half-width of the joules filled in at both edges: the errors of either, in every pairing."""
    ends_j = [error * end_s for error in end.errors_w]
    return _quantile(error * start_s + other for error in start.errors_w for other in ends_j)


def fill(times_s: Sequence[float], joules: Sequence[float], fill_s: float) -> Fill:
    """Power of a stretch before the first of these times, by the mean over a stretch after it.

    The length of that second stretch, and how far such a mean is off, are found by trying it wherever the window
    allows, in both directions.

    Args:
        times_s: times, increasing; or decreasing, for the edge at the end.
        joules: energy up to each of these times, increasing.
        fill_s: length of the stretch to be filled.
    """
    clock = [abs(time_s - times_s[0]) for time_s in times_s]
    energy = [abs(value - joules[0]) for value in joules]
    total_s = clock[-1]
    # within one interval the power is not seen: shorter stretches are taken to deviate as white noise does
    shown_s = min(max(abs(fill_s), total_s / (len(clock) - 1)), total_s)
    finer = math.sqrt(shown_s / max(abs(fill_s), 1e-6))

    def mean_w(begin_s: float, end_s: float) -> float:
        return (interpolated(clock, energy, end_s) - interpolated(clock, energy, begin_s)) / (end_s - begin_s)

    def trials(last_s: float) -> list[float]:
        count = min(MOST_TRIALS, 1 + round(TRIALS_PER_FILL * last_s / shown_s))
        return [last_s * number / max(1, count - 1) for number in range(count)]

    tried: list[tuple[float, list[float], float]] = []
    for near_s in NEAR_S:
        both_s = shown_s + near_s
        if both_s <= total_s:
            times = trials(total_s - both_s)
            errors = [mean_w(t, t + shown_s) - mean_w(t + shown_s, t + both_s) for t in times]
            errors += [mean_w(t + near_s, t + both_s) - mean_w(t, t + near_s) for t in times]
            tried.append((mean_w(0, near_s), errors, total_s / both_s))
    if not tried:
        whole_w = mean_w(0, total_s)
        tried = [(whole_w, [mean_w(t, t + shown_s) - whole_w for t in trials(total_s - shown_s)], total_s / shown_s)]
    found = []
    for power_w, errors, independent in tried:
        raised = finer * math.sqrt(1 + FEW / independent)  # few of them are independent
        found.append(Fill(power_w, [raised * error for error in errors]))
    return min(found, key=lambda one: one.half_width_w)
