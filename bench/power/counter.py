"""Joules of a window by an energy counter, read at its updates. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from bench.model import Sample, Sensor, Window
from bench.power.clock import Update, updates
from bench.power.profile import LEAST_READINGS, profile
from bench.power.spread import (
    BATCHES,
    COVERAGE,
    UNKNOWN_DUTY,
    Estimate,
    Fill,
    both_edges,
    chance_half_width,
    fill,
    half_width,
    interpolated,
    last_digit_w,
    neighbour_scatter,
    slow_half_width,
    texture_of,
)

EDGE_S = 0.5
"""Stretch inside the window whose ticks all bound the time of the first one."""
DELAY_S = 0.2
"""Updates within this time of the window's start are not used: they may still report the time before it."""
DELAY_LEFT_S = 0.02
"""The same where the delay was measured and corrected: what the measurement leaves open."""
LIKELY_DELAY = 0.5
"""The ± allows for a delay of this share of it: 0.1 s, where seven public traces show 0 to 55 ms."""
PROMPT_S = 0.005
"""A counter that is updated this often (RAPL: every millisecond) is not published late."""
DELAY_SHARE = 0.1
"""The same as a share of a short window."""
EXPLAINED = 0.7
"""Part of the variance expected from uncertain times that is taken off an observed one, which varies itself."""
START_SHARE = 0.03
"""A load that begins with the window may draw this much more or less in the moment before the first update than just
after it (clocks and voltage settle within tens of milliseconds)."""
STEP_HALVES = 16
SHARED = 0.4
"""Slope of the counter's power against the readings', above which it may be built from them."""
COMMAND_AVERAGE_S = 1.0
"""Wattmeters commonly average over up to this time."""
LEAST_PAIRS = 20
CLOCK_TICKS = 5
CLOCK_FLOOR = 0.3
"""The time of an update is never taken as known to better than this share of the interval between two polls."""


def ticks(samples: Sequence[Sample], period_s: float | None) -> list[Update]:
    """Updates of the counter between consecutive good samples."""
    return updates([(s.t_ns, s.counter_j) for s in samples if s.counter_j is not None], period_s)


def delay_margin_ns(window: Window, delay_s: float | None, period_s: float | None = None) -> float:
    """How long after the window's start readings or counter may still report the time before it.

    Args:
        window: the timed stretch.
        delay_s: measured delay, for which the samples' times were corrected; None where it is unknown.
        period_s: update period.
    """
    if period_s is not None and period_s < PROMPT_S:
        return 0.0
    return min(DELAY_S if delay_s is None else DELAY_LEFT_S, DELAY_SHARE * window.seconds) * 1e9


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
    late_ns = window.start_ns + delay_margin_ns(window, sensor.counter_delay_s, sensor.counter_period_s)
    later = [tick for tick in inside if tick.t_ns >= late_ns]
    used = later if len(later) >= 2 else inside
    if len(used) < 2:
        return None
    watts = _profile(samples, window, sensor)
    first, last = _edge(used, watts, window.start_ns), _edge(used[::-1], _reversed(watts), window.end_ns)
    joules = used[-1].value - used[0].value + first.fill.power_w * first.seconds + last.fill.power_w * last.seconds
    known = [
        # the time of an update is uniform within its half-width
        first.fill.power_w * first.half_ns / 1e9 / math.sqrt(3) * COVERAGE,
        last.fill.power_w * last.half_ns / 1e9 / math.sqrt(3) * COVERAGE,
        sensor.counter_resolution_j or 0.0,
        START_SHARE * first.fill.power_w * first.seconds,
        # published late, the same stretch is measured shifted
        LIKELY_DELAY * abs(first.fill.power_w - last.fill.power_w) * (late_ns - window.start_ns) / 1e9,
    ]
    estimated = [
        both_edges(first.fill, first.seconds, last.fill, last.seconds),
        part_time_j(samples, window, sensor, used),
    ]
    return Estimate(joules, half_width(known, estimated, window.seconds))


Profile = tuple[list[float], list[float]]


@dataclass(frozen=True, slots=True)
class _Edge:
    """The stretch between one edge of the window and the update nearest to it."""

    seconds: float
    half_ns: float
    """Half-width of the time of that update."""
    fill: Fill
    """Its power."""


def _edge(used: Sequence[Update], watts: Profile | None, edge_ns: float) -> _Edge:
    """The edge at which the given updates begin.

    Where its updates follow a steady clock, the counter gives the power near the edge. Else the power readings do,
    which have no uncertain times; and where power is steady the counter itself is a clock: an update that shows ΔC more
    came ΔC ÷ power later.

    Args:
        used: updates, from the edge inward.
        watts: the energy by instantaneous power readings, from the edge inward.
        edge_ns: the edge of the window.
    """
    origin = used[0]
    at_ns, half_ns = origin.t_ns, origin.half_ns
    fill_s = abs(at_ns - edge_ns) / 1e9
    if watts is not None and not origin.steady:
        found = fill(*watts, fill_s)
        at_ns, half_ns = _by_power([u for u in used if abs(u.t_ns - at_ns) <= EDGE_S * 1e9], found)
    else:
        found = fill([u.t_ns / 1e9 for u in used], [abs(u.value - origin.value) for u in used], fill_s)
        if not origin.steady:
            span_s = abs(used[-1].t_ns - used[0].t_ns) / 1e9
            explained_w = COVERAGE * found.power_w * half_ns / 1e9 * math.sqrt(2 / 3) / max(fill_s, span_s / len(used))
            left = 1 - EXPLAINED * (explained_w / max(found.half_width_w, explained_w)) ** 2
            found = Fill(found.power_w, [math.sqrt(left) * error for error in found.errors_w])
    return _Edge(abs(at_ns - edge_ns) / 1e9, half_ns, found)


def _profile(samples: Sequence[Sample], window: Window, sensor: Sensor) -> Profile | None:
    """Energy by the instantaneous power readings of the window; None where the sensor averages or has too few."""
    if sensor.power_field is None or sensor.averaging_s:
        return None
    inside = inside_readings(samples, window, sensor)
    if len(inside) < LEAST_READINGS:
        return None
    return profile([s for s in samples if s.power_w is not None and not s.missing], inside, window, sensor)


def _reversed(watts: Profile | None) -> Profile | None:
    return None if watts is None else (watts[0][::-1], watts[1][::-1])


def aperture_of(sensor: Sensor) -> float:
    """Length of time in s that one reading reports; the most that it can be where that is unknown."""
    if sensor.averaging_s:
        return sensor.averaging_s
    period_s = sensor.power_period_s or 0.0
    if sensor.source == "command" and sensor.duty is None:
        return max(period_s, COMMAND_AVERAGE_S)  # a wattmeter may print averages or single readings
    return period_s * (1.0 if sensor.duty is None else sensor.duty)


def inside_readings(samples: Sequence[Sample], window: Window, sensor: Sensor) -> list[Sample]:
    """Samples whose power reading reports nothing but the window."""
    margin_ns = 0.0 if sensor.averaging_s else delay_margin_ns(window, sensor.delay_s)
    first_ns = window.start_ns + ((sensor.power_period_s or 0.0) + aperture_of(sensor)) * 1e9 + margin_ns
    return [s for s in samples if s.power_w is not None and not s.missing and first_ns <= s.t_ns <= window.end_ns]


def _by_power(near: Sequence[Update], power: Fill) -> tuple[float, float]:
    """When the first update happened and its half-width, in ns, by those near it.

    Each further one narrows the bounds, by as much as the power is known. One that contradicts them shows that power
    was not steady: then the first has only its own.
    """
    origin = near[0]
    low_ns, high_ns = origin.t_ns - origin.half_ns, origin.t_ns + origin.half_ns
    for update in near[1 : 1 + CLOCK_TICKS]:
        if power.power_w <= 0:
            break
        offset_ns = (update.value - origin.value) / power.power_w * 1e9
        slack_ns = update.half_ns + abs(offset_ns) * power.half_width_w / power.power_w
        low, high = update.t_ns - offset_ns - slack_ns, update.t_ns - offset_ns + slack_ns
        if max(low_ns, low) >= min(high_ns, high):
            return origin.t_ns, origin.half_ns
        low_ns, high_ns = max(low_ns, low), min(high_ns, high)
    return (low_ns + high_ns) / 2, max((high_ns - low_ns) / 2, CLOCK_FLOOR * origin.half_ns)


def step_w(one: Update, other: Update) -> float:
    """Mean watts between two ticks."""
    return (other.value - one.value) / ((other.t_ns - one.t_ns) / 1e9)


def part_time_j(samples: Sequence[Sample], window: Window, sensor: Sensor, used: Sequence[Update]) -> float:
    """95% half-width of a counter that may sum the same part-time readings as the power field publishes.

    Nothing proves that it does not, except its own scatter (:func:`_sees_more`). The share of time in which the
    sensor does not sample can be missed: by chance, as the scatter of neighbouring readings shows; or in step with the
    load, as slow variance of the counter's own power shows.
    """
    if sensor.counter_period_s is not None and sensor.counter_period_s < PROMPT_S:
        return 0.0  # RAPL: samples all the time, and its noise averages out over thousands of updates
    seen = UNKNOWN_DUTY if sensor.duty is None else sensor.duty  # a counter misses no update that is not polled
    readings = inside_readings(samples, window, sensor) if sensor.power_field is not None else []
    if len(readings) < LEAST_READINGS:
        return chance_half_width(_own_texture(used), seen) * window.seconds
    texture = texture_of(readings, sensor.power_period_s or 0.0)
    slow_w = slow_half_width(texture) if seen < 1 and _shares_slow_wave(readings, used) else 0.0
    if sensor.averaging_s:
        share = max(1.0, sensor.averaging_s / (sensor.power_period_s or sensor.averaging_s))
        chance_w = chance_half_width(texture, seen, share=share)
    elif seen < 1 and _sees_more(samples, used, sensor, seen):
        return 0.0  # neither the gaps nor the noise of the readings are the counter's
    else:
        chance_w = chance_half_width(texture, seen, last_digit_w(texture))
    return math.hypot(chance_w, slow_w) * window.seconds


def _sees_more(samples: Sequence[Sample], used: Sequence[Update], sensor: Sensor, seen: float) -> bool:
    """Whether the counter samples when the readings do not.

    A counter that sums the readings follows each of them: the slope of its power against theirs is 1. One that sees
    all the time follows only the share that the readings see, and scatters less than they do. (One that samples part of
    the time too, but another part, would not follow them, and would scatter as much.)
    """
    period_ns = (sensor.power_period_s or 0.0) * 1e9
    seen_w = updates([(s.t_ns, s.power_w) for s in samples if s.power_w is not None], sensor.power_period_s)
    read = [update for update in seen_w if used[0].t_ns <= update.t_ns <= used[-1].t_ns]
    if len(read) < LEAST_PAIRS or not all(update.steady for update in (*used, *read)):
        return False
    ends_ns = [update.t_ns - period_ns for update in read]
    summed_j = list(accumulate((u.value * (v.t_ns - u.t_ns) / 1e9 for u, v in pairwise(read)), initial=0.0))
    variance = 2 * neighbour_scatter([update.value for update in read]) ** 2
    for quarter in range(-6, 7):  # either may be published later than the other
        late_ns = quarter * period_ns / 4
        inside = [update for update in used if ends_ns[0] <= update.t_ns - late_ns <= ends_ns[-1]]
        spans_s = [(v.t_ns - u.t_ns) / 1e9 for u, v in pairwise(inside)]
        sums_j = [interpolated(ends_ns, summed_j, update.t_ns - late_ns) for update in inside]
        counted = [(v.value - u.value) / span_s for (u, v), span_s in zip(pairwise(inside), spans_s, strict=True)]
        readings = [(b - a) / span_s for (a, b), span_s in zip(pairwise(sums_j), spans_s, strict=True)]
        mine, theirs = ([later - earlier for earlier, later in pairwise(values)] for values in (counted, readings))
        shared = statistics.fmean(x * y for x, y in zip(mine, theirs, strict=True))
        if max(shared, statistics.fmean(x * x for x in mine)) >= (1 + seen) / 2 * variance:
            return False
    return True


def _shares_slow_wave(readings: Sequence[Sample], used: Sequence[Update]) -> bool:
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


def _own_texture(used: Sequence[Update]) -> list[float]:
    """The counter's own power, in steps so long that the uncertain times of its updates are a small part of each."""
    span_ns = used[-1].t_ns - used[0].t_ns
    half_ns = math.fsum(update.half_ns for update in used) / len(used)
    size = math.ceil(STEP_HALVES * half_ns * (len(used) - 1) / span_ns)
    return [step_w(earlier, later) for earlier, later in pairwise(used[:: max(1, size)])]
