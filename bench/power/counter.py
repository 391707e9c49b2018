"""Joules of a window by an energy counter, read at its updates. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from bench.model import Sample, Sensor, Window
from bench.power.spread import (
    BATCHES,
    COVERAGE,
    UNKNOWN_DUTY,
    Estimate,
    chance_half_width,
    fill_scatter_w,
    half_width,
    neighbour_scatter,
    slow_half_width,
    updates,
)

EDGE_S = 0.5
"""Stretch inside the window whose ticks all bound the time of the first one."""
NEAR_S = 0.5
"""Stretch inside the window by which the power at its edge is known."""
DELAY_S = 0.2
"""Updates within this time of the window's start are not used: they may still report the time before it."""
PROMPT_S = 0.005
"""A counter that is updated this often (RAPL: every millisecond) is not published late."""
DELAY_SHARE = 0.1
"""The same as a share of a short window."""
SLOPE_S = 3.0
"""The same by the ticks alone, whose uncertain times a longer stretch makes up for."""
LEAST_READINGS = 3
EXPLAINED = 0.7
"""Part of the variance expected from uncertain times that is taken off an observed one, which varies itself."""
STEP_HALVES = 16
SHARED = 0.4
"""Slope of the counter's power against the readings', above which it may be built from them."""
CLOCK_TICKS = 5
CLOCK_FLOOR = 0.3
"""The time of an update is never taken as known to better than this share of the interval between two polls."""


@dataclass(frozen=True, slots=True)
class Tick:
    """One update of a counter: it happened at ``t_ns`` ± ``half_ns``, and showed ``counter_j`` from then on."""

    t_ns: float
    half_ns: float
    counter_j: float


@dataclass(frozen=True, slots=True)
class Edge:
    """The ticks nearest to one edge of the window."""

    at_ns: float
    """When the counter passed ``counter_j``, by the times of all ticks near the edge."""
    half_ns: float
    counter_j: float
    power_w: float
    """Mean over NEAR_S."""


def ticks(samples: Sequence[Sample], period_s: float | None) -> list[Tick]:
    """Updates of the counter between consecutive good samples.

    The last update before a sample lies after the sample before it, and no further back than one period.
    """
    found: list[Tick] = []
    before: Sample | None = None
    for sample in samples:
        if sample.counter_j is None:
            continue
        if before is not None and sample.counter_j != before.counter_j:
            span_ns = float(sample.t_ns - before.t_ns)
            if period_s is not None:
                span_ns = min(span_ns, period_s * 1e9)
            found.append(Tick(sample.t_ns - span_ns / 2, span_ns / 2, sample.counter_j))
        before = sample
    return found


def delay_margin_ns(window: Window, period_s: float | None = None) -> float:
    """How long after the window's start readings and counter may still report the time before it."""
    if period_s is not None and period_s < PROMPT_S:
        return 0.0
    return min(DELAY_S, DELAY_SHARE * window.seconds) * 1e9


def counter_joules(samples: Sequence[Sample], window: Window, sensor: Sensor) -> Estimate | None:
    """Joules by the counter, between its first and last update inside the window, and the power near each edge times
    the time left there.

    The first updates are passed over (:data:`DELAY_S`): a counter that is published late by a constant time then
    measures the same stretch of the load, only shifted, and the power near the edges fills the rest.

    Returns:
        None with fewer than two usable updates.
    """
    found = ticks(samples, sensor.counter_period_s)
    inside = [tick for tick in found if window.start_ns <= tick.t_ns <= window.end_ns]
    late_ns = window.start_ns + delay_margin_ns(window, sensor.counter_period_s)
    later = [tick for tick in inside if tick.t_ns >= late_ns]
    used = later if len(later) >= 2 else inside
    if len(used) < 2:
        return None
    readings = _readings(samples, window, sensor, used)
    first, last = edge(used, readings), edge(used[::-1], readings[::-1])
    start_s, end_s = (first.at_ns - window.start_ns) / 1e9, (window.end_ns - last.at_ns) / 1e9
    joules = last.counter_j - first.counter_j + first.power_w * start_s + last.power_w * end_s
    parts = [
        # the time of an update is uniform within its half-width
        first.power_w * first.half_ns / 1e9 / math.sqrt(3) * COVERAGE,
        last.power_w * last.half_ns / 1e9 / math.sqrt(3) * COVERAGE,
        _fill_j(used, readings, abs(start_s)),
        _fill_j(used[::-1], readings[::-1], abs(end_s)),
        sensor.counter_resolution_j or 0.0,
        part_time_j(samples, window, sensor, used),
    ]
    return Estimate(joules, half_width(parts, window.seconds))


def edge(inside: Sequence[Tick], readings: Sequence[Sample] = ()) -> Edge:
    """The edge at which the given ticks begin.

    Where power is steady the counter itself is a clock: a tick that shows ΔC more came ΔC ÷ power later. All ticks
    near the edge then bound the time of the first one, more narrowly than the two polls around it.

    Args:
        inside: ticks, from the edge inward.
        readings: instantaneous power readings, from the edge inward. They have no uncertain times, so power near the
            edge is known better by them.
    """
    origin = inside[0]
    near = [tick for tick in inside if abs(tick.t_ns - origin.t_ns) <= SLOPE_S * 1e9]
    power_w = _slope_w(near if len(near) >= 2 else inside[:2])
    watts = [sample.power_w or 0.0 for sample in readings]
    nearby = [w for w, s in zip(watts, readings, strict=True) if abs(s.t_ns - origin.t_ns) <= NEAR_S * 1e9]
    if len(nearby) >= LEAST_READINGS:
        power_w = statistics.fmean(nearby)
    if not readings:
        return Edge(origin.t_ns, origin.half_ns, origin.counter_j, power_w)
    at_ns, half_ns = _clock([tick for tick in inside if abs(tick.t_ns - origin.t_ns) <= EDGE_S * 1e9], power_w)
    return Edge(at_ns, half_ns, origin.counter_j, power_w)


def _readings(samples: Sequence[Sample], window: Window, sensor: Sensor, used: Sequence[Tick]) -> list[Sample]:
    """Instantaneous power readings of the window; none where the sensor averages."""
    if sensor.power_field is None or sensor.averaging_s:
        return []
    return [sample for sample in inside_readings(samples, window, sensor) if sample.t_ns >= used[0].t_ns]


def aperture_of(sensor: Sensor) -> float:
    """Length of time in s that one reading reports."""
    period_s = sensor.power_period_s or 0.0
    return sensor.averaging_s or period_s * (1.0 if sensor.duty is None else sensor.duty)


def inside_readings(samples: Sequence[Sample], window: Window, sensor: Sensor) -> list[Sample]:
    """Samples whose power reading reports nothing but the window."""
    margin_ns = 0.0 if sensor.averaging_s else delay_margin_ns(window)
    first_ns = window.start_ns + ((sensor.power_period_s or 0.0) + aperture_of(sensor)) * 1e9 + margin_ns
    return [s for s in samples if s.power_w is not None and not s.missing and first_ns <= s.t_ns <= window.end_ns]


def _slope_w(near: Sequence[Tick]) -> float:
    """Power of the line through the ticks, by least squares."""
    origin = near[0]
    xs = [(tick.t_ns - origin.t_ns) / 1e9 for tick in near]
    ys = [tick.counter_j - origin.counter_j for tick in near]
    mean_x, mean_y = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    below = math.fsum((x - mean_x) ** 2 for x in xs)
    return math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / below


def _fill_j(used: Sequence[Tick], readings: Sequence[Sample], fill_s: float) -> float:
    """95% half-width of the energy of a stretch filled with the power near it.

    By the power readings where there are instantaneous ones; else by the ticks, less what their uncertain times
    explain.
    """
    if len(readings) >= LEAST_READINGS:
        steps_j = [(s.power_w or 0.0) * abs(t.t_ns - s.t_ns) / 1e9 for s, t in pairwise(readings)]
        times_s = [sample.t_ns / 1e9 for sample in readings]
        return COVERAGE * fill_s * fill_scatter_w(times_s, list(accumulate(steps_j, initial=0.0)), fill_s, NEAR_S)
    times_s, counts_j = [tick.t_ns / 1e9 for tick in used], [abs(tick.counter_j - used[0].counter_j) for tick in used]
    scatter_w = fill_scatter_w(times_s, counts_j, fill_s, NEAR_S)
    span_s = abs(times_s[-1] - times_s[0])
    half_s = math.fsum(tick.half_ns for tick in used) / len(used) / 1e9
    mean_w = counts_j[-1] / span_s
    explained_w = mean_w * half_s * math.sqrt(2 / 3) / max(fill_s, span_s / len(times_s))
    # the times may drift against the polls all along the stretch whose slope is the power near the edge
    slope_w = mean_w * half_s / min(span_s, SLOPE_S)
    return COVERAGE * fill_s * math.sqrt(max(0.0, scatter_w**2 - EXPLAINED * explained_w**2) + slope_w**2)


def _clock(near: Sequence[Tick], power_w: float) -> tuple[float, float]:
    """When the first tick happened and its half-width, in ns, by the ticks near it.

    Each further tick narrows the bounds. One that contradicts them shows that power was not steady: then the first
    tick has only its own.
    """
    origin = near[0]
    low_ns, high_ns = origin.t_ns - origin.half_ns, origin.t_ns + origin.half_ns
    for tick in near[1 : 1 + CLOCK_TICKS]:
        if power_w <= 0:
            break
        offset_ns = (tick.counter_j - origin.counter_j) / power_w * 1e9
        low, high = tick.t_ns - tick.half_ns - offset_ns, tick.t_ns + tick.half_ns - offset_ns
        if max(low_ns, low) >= min(high_ns, high):
            return origin.t_ns, origin.half_ns
        low_ns, high_ns = max(low_ns, low), min(high_ns, high)
    return (low_ns + high_ns) / 2, max((high_ns - low_ns) / 2, CLOCK_FLOOR * origin.half_ns)


def step_w(one: Tick, other: Tick) -> float:
    """Mean watts between two ticks."""
    return (other.counter_j - one.counter_j) / ((other.t_ns - one.t_ns) / 1e9)


def part_time_j(samples: Sequence[Sample], window: Window, sensor: Sensor, used: Sequence[Tick]) -> float:
    """95% half-width of a counter that may sum the same part-time readings as the power field publishes.

    Nothing proves that it does not. The share of time in which the sensor does not sample can be missed: by chance,
    as the scatter of neighbouring readings shows; or in step with the load, as slow variance of the counter's own
    power shows.
    """
    seen = UNKNOWN_DUTY if sensor.duty is None else sensor.duty  # a counter misses no update that is not polled
    mean_w = step_w(used[0], used[-1])
    readings = inside_readings(samples, window, sensor) if sensor.power_field is not None else []
    if len(readings) >= LEAST_READINGS:
        texture = updates(readings, sensor.power_period_s or 0.0)
        scatter_w = neighbour_scatter(texture)
        if sensor.averaging_s and sensor.power_period_s:
            scatter_w *= max(1.0, sensor.averaging_s / sensor.power_period_s)
        count = max(2.0, window.seconds / max(sensor.power_period_s or 0.1, sensor.poll_s or 0.0))
        slow_w = slow_half_width(texture) if seen < 1 and _shares_slow_wave(readings, used) else 0.0
    else:
        (scatter_w, count), slow_w = _own_scatter_w(used), 0.0
    chance_w = chance_half_width(scatter_w, mean_w, seen, count)
    return math.hypot(chance_w, slow_w) * window.seconds


def _shares_slow_wave(readings: Sequence[Sample], used: Sequence[Tick]) -> bool:
    """Whether the counter rises and falls with the readings from one fifth of the window to the next.

    A counter that samples all the time does not show the slow wave that part-time readings make of a fast load.
    """
    begin_ns, end_ns = max(readings[0].t_ns, used[0].t_ns), min(readings[-1].t_ns, used[-1].t_ns)
    size_ns = (end_ns - begin_ns) / BATCHES
    counted, read = [], []
    for number in range(BATCHES):
        low_ns, high_ns = begin_ns + number * size_ns, begin_ns + (number + 1) * size_ns
        part = [tick for tick in used if low_ns <= tick.t_ns <= high_ns]
        watts = [sample.power_w or 0.0 for sample in readings if low_ns <= sample.t_ns <= high_ns]
        if len(part) < 2 or not watts:
            return True
        counted.append(step_w(part[0], part[-1]))
        read.append(statistics.fmean(watts))
    if statistics.pvariance(read) == 0:
        return True
    return statistics.covariance(counted, read) / statistics.variance(read) > SHARED


def _own_scatter_w(used: Sequence[Tick]) -> tuple[float, int]:
    """Scatter of the counter's own power beyond what the uncertain times of its ticks explain, and the number of steps.

    Steps are pooled until the uncertain times are a small part of each.
    """
    span_ns = used[-1].t_ns - used[0].t_ns
    half_ns = math.fsum(tick.half_ns for tick in used) / len(used)
    size = math.ceil(STEP_HALVES * half_ns * (len(used) - 1) / span_ns)
    pooled = used[:: max(1, size)]
    steps = [step_w(earlier, later) for earlier, later in pairwise(pooled)]
    if len(steps) < 2:
        return 0.0, 1
    share = half_ns * math.sqrt(2 / 3) / (span_ns / len(steps))
    explained_w = abs(step_w(used[0], used[-1])) * share
    # neighbouring steps share a tick, which moves them apart
    return math.sqrt(max(0.0, neighbour_scatter(steps) ** 2 - 1.5 * explained_w**2)), len(steps)
