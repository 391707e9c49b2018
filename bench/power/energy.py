"""From samples and a window to joules with their uncertainty. Pure: no device, no clock, no file.

The counter is primary, read at its ticks; the integrated samples are the check (docs/method.md). Two figures of
uncertainty are kept apart: what falls with longer windows (timing, ticks, sampling), and the sensor's own gain and
offset, which does not. Where the joules cannot be known they are None, with the reasons why.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from bench.model import DEVICE_LOST, Energy, Sample, Sensor, Window
from bench.model.throttle import INVALIDATING

CROSSCHECK_WARN = 0.02
CROSSCHECK_INVALID = 0.05
"""Counter and integrated samples apart by these shares, beyond their own uncertainties, warn and invalidate; this
project's own thresholds."""
MISSING_SHARE_MAX = 0.01
"""Failed reads beyond this share of a window's polls leave its energy unknown."""
GAP_MIN_S = 0.5
"""A stretch without a good sample may last this long, or five polls, or three updates of a slow sensor."""
FROZEN_MIN_S = 1.0
FROZEN_PERIODS = 5
"""A counter that stands still for this many update periods, and this long, is frozen."""
EDGE_S = 0.5
"""Stretch inside the window whose mean power fills the time between the window's edge and the nearest tick."""
SAME_BEAT = 0.02
"""Counter and power readings whose measured periods differ by less are updated together."""
UNKNOWN_DUTY = 0.25
"""The worst published share of time during which a sensor looks."""
LAST_DIGIT_STEPS_W = (1.0, 0.5, 0.25, 0.1, 0.05, 0.01, 0.001)
"""Steps in which power readings come, coarsest first."""
LEAST_READINGS = 5
COVERAGE = 2.0
"""Half-widths are twice the standard deviation: the usual 95% of metrology (GUM, k = 2)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Joules of a window as one method sees them, with the 95% half-width from timing and sampling."""

    joules: float
    uncertainty_j: float


@dataclass(frozen=True, slots=True)
class Tick:
    """One update of a counter: it happened at ``t_ns`` ± ``half_ns``, and showed ``counter_j`` from then on."""

    t_ns: float
    half_ns: float
    counter_j: float


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


def measure(samples: Sequence[Sample], window: Window, sensor: Sensor) -> Energy:
    """Energy of one window.

    Args:
        samples: oldest first, with some before and after the window (as :meth:`Meter.samples` gives them).
        window: the timed stretch, on the samples' clock.
        sensor: what the power source is; ``source`` ``none`` gives no joules, ``assumed`` the user's watts.

    Returns:
        Joules with both uncertainties, or None with ``invalid_reasons``. A throttled window keeps its joules and is
        flagged. Without a sensor the joules are None and nothing is invalid: the warning says why.
    """
    if window.end_ns <= window.start_ns:
        raise ValueError("a window must end after it starts")
    if sensor.source == "none":
        return Energy(None, None, None, warnings=(sensor.reason,) if sensor.reason else ())
    if sensor.source == "assumed" and sensor.assumed_w is not None:
        watts = sensor.assumed_w
        return Energy(watts * window.seconds, "assumed", sensor.scope, power_mean_w=watts)
    if sensor.reason is not None:
        return Energy(None, None, sensor.scope, invalid_reasons=(sensor.reason,))

    ordered = sorted(samples, key=lambda sample: sample.t_ns)
    conditions = _conditions(ordered, window)
    warnings, invalid = _judge_samples(ordered, window, sensor)
    if invalid:
        return replace(conditions, scope=sensor.scope, warnings=warnings, invalid_reasons=invalid)

    counted = counter_joules(ordered, window, sensor) if sensor.counter else None
    integrated = integrated_joules(ordered, window, sensor)
    best = counted or integrated
    if best is None:
        reason = "too few samples to tell the energy of the window"
        return replace(conditions, scope=sensor.scope, warnings=warnings, invalid_reasons=(reason,))
    if sensor.counter and counted is None:
        warnings += ("the window holds too few updates of the energy counter: power samples were integrated",)

    ratio = None
    if counted is not None and integrated is not None and sensor.power_field is not None and integrated.joules > 0:
        ratio = counted.joules / integrated.joules
        verdict = _crosscheck(counted, integrated)
        warnings += verdict[0]
        invalid += verdict[1]
    warned, flagged = _judge_throttling(conditions)
    joules = _calibrated(best.joules, window, sensor)
    return replace(
        conditions,
        joules=joules,
        method="counter" if counted is not None else "integrated",
        scope=sensor.scope,
        uncertainty_j=best.uncertainty_j / sensor.calibration_gain,
        sensor_uncertainty_j=_sensor_uncertainty_j(joules, window, sensor),
        crosscheck_ratio=ratio,
        power_mean_w=joules / window.seconds,
        power_p95_w=_calibrated_w(conditions.power_p95_w, sensor),
        warnings=warnings + warned,
        invalid_reasons=invalid + flagged,
    )


def idle_power(
    samples: Sequence[Sample], start_ns: int, end_ns: int, sensor: Sensor
) -> tuple[float | None, float | None]:
    """Mean watts of an idle stretch and their 95% half-width from timing and sampling; (None, None) if unknown."""
    window = Window(start_ns, end_ns, launches=0, work=0.0)
    energy = measure(samples, window, sensor)
    if energy.joules is None:
        return None, None
    uncertainty_w = None if energy.uncertainty_j is None else energy.uncertainty_j / window.seconds
    return energy.joules / window.seconds, uncertainty_w


def net_work_per_j(work: float, joules: Energy, seconds: float, idle_power_w: float | None) -> float | None:
    """Work per joule above idle. None where there is no baseline, or where the joules above it cannot be told from
    nothing: a difference within the window's own uncertainty is no denominator.
    """
    if joules.joules is None or idle_power_w is None:
        return None
    net_j = joules.joules - idle_power_w * seconds
    least_j = max(joules.uncertainty_j or 0.0, 1e-6 * joules.joules)
    return work / net_j if net_j > least_j else None


# ---------------------------------------------------------------------------------------------------------------------
# the counter


def counter_joules(samples: Sequence[Sample], window: Window, sensor: Sensor) -> Estimate | None:
    """Joules by the counter: the difference between its first and last tick inside the window, and the power beside
    each edge times the time left over there. None with fewer than two ticks inside.
    """
    inside = [tick for tick in ticks(samples, sensor.counter_period_s) if window.start_ns <= tick.t_ns <= window.end_ns]
    if len(inside) < 2:
        return None
    first, last = inside[0], inside[-1]
    start_w, start_drift_w, start_walk = _edge_power(inside)
    end_w, end_drift_w, end_walk = _edge_power(inside[::-1])
    start_s = (first.t_ns - window.start_ns) / 1e9
    end_s = (window.end_ns - last.t_ns) / 1e9
    joules = last.counter_j - first.counter_j + start_w * start_s + end_w * end_s
    looks_s = _look_behind_s(sensor)
    parts = [
        # a tick's moment is uniform within its half-width, and so is the age of what it adds up
        start_w * math.hypot(first.half_ns / 1e9, looks_s) / math.sqrt(3) * COVERAGE,
        end_w * math.hypot(last.half_ns / 1e9, looks_s) / math.sqrt(3) * COVERAGE,
        start_drift_w * start_s,
        end_drift_w * end_s,
        start_walk * math.sqrt(start_s),
        end_walk * math.sqrt(end_s),
        sensor.counter_resolution_j or 0.0,
        _part_time_j(samples, window, sensor, inside),
    ]
    return Estimate(joules, math.hypot(*parts))


def _look_behind_s(sensor: Sensor) -> float:
    """Half of the time by which a tick may trail the looks that it adds up: none where both keep one beat.

    Where no power reading shows the looks, they are taken to come as slowly as the ticks.
    """
    counter_s, power_s = sensor.counter_period_s or 0.0, sensor.power_period_s
    if power_s is None:
        return counter_s / 2
    return 0.0 if abs(counter_s - power_s) < SAME_BEAT * power_s else power_s / 2


def _edge_power(inside: Sequence[Tick]) -> tuple[float, float, float]:
    """Mean watts over the ticks within EDGE_S of the first one given, and how power near it departs from that (95%):
    its drift in watts, and its scatter in joules per root of a second left to fill.

    The scatter is that of single steps beyond what the ticks' own moments explain. Power that is restless within a
    step departs further over a shorter time, as the root of the two times.
    """
    origin = inside[0]
    near = [tick for tick in inside if abs(tick.t_ns - origin.t_ns) <= EDGE_S * 1e9]
    if len(near) < 2:
        near = list(inside[:2])
    mean_w = _step_w(origin, near[-1])
    drift_w = 2 * abs(_step_w(origin, near[len(near) // 2]) - mean_w)
    squares = 0.0
    for earlier, later in pairwise(near):
        moments = math.hypot(earlier.half_ns, later.half_ns) / math.sqrt(3) / abs(later.t_ns - earlier.t_ns)
        squares += max(0.0, (_step_w(earlier, later) - mean_w) ** 2 - (mean_w * moments) ** 2)
    step_s = abs(near[-1].t_ns - origin.t_ns) / (len(near) - 1) / 1e9
    return mean_w, drift_w, COVERAGE * math.sqrt(squares / (len(near) - 1) * step_s)


def _step_w(one: Tick, other: Tick) -> float:
    """Mean watts between two ticks."""
    return (other.counter_j - one.counter_j) / ((other.t_ns - one.t_ns) / 1e9)


def _part_time_j(samples: Sequence[Sample], window: Window, sensor: Sensor, inside: Sequence[Tick]) -> float:
    """95% half-width of a counter that may be built from the same part-time looks as the power readings.

    Nothing proves that it is not. Without readings beside it, the scatter of its own steps stands for theirs, and
    only the share of time in which the sensor does not look can be missed.
    """
    if sensor.power_field is not None:
        return _look_j(samples, window, sensor)
    duty = UNKNOWN_DUTY if sensor.duty is None else sensor.duty
    steps = [_step_w(earlier, later) for earlier, later in pairwise(inside)]
    return COVERAGE * _neighbour_scatter(steps) * math.sqrt(max(0.0, 1 - duty) / len(steps)) * window.seconds


def _look_j(samples: Sequence[Sample], window: Window, sensor: Sensor) -> float:
    """95% half-width from looking now and then: the scatter of one look, averaged over the looks that were read.

    The scatter is that of neighbouring readings, so that drift does not count. It holds what the load did between
    looks and the sensor's own noise, which no reading can tell apart. A load that repeats in step with the sensor
    shows no scatter and cannot be seen this way: docs/method.md. A reading's last digit adds half of itself.
    """
    period_s = sensor.power_period_s or sensor.poll_s or 0.1
    looks = max(2, round(window.seconds / max(period_s, sensor.poll_s or 0.0)))
    # a reading that still tells of the time before the window would show its beginning as scatter
    begin_ns = window.start_ns + (sensor.lag_s + period_s / 2) * 1e9
    told = [sample for sample in _within(samples, window) if sample.power_w is not None]
    readings = [sample.power_w for sample in told if sample.t_ns >= begin_ns and sample.power_w is not None]
    if len(readings) < LEAST_READINGS:
        readings = [sample.power_w for sample in told if sample.power_w is not None]
    # several polls see one update: those repeats are no news, but a true repeat is a look without a difference
    squares = math.fsum((later - earlier) ** 2 for earlier, later in pairwise(readings))
    scatter_w = math.sqrt(squares / (2 * (looks - 1)))
    if sensor.averaging_s:
        # neighbouring averages share all but one look, so one look scatters by their number times more
        scatter_w *= max(1.0, sensor.averaging_s / max(period_s, sensor.poll_s or 0.0))
    by_chance_w = COVERAGE * scatter_w / math.sqrt(looks)
    return math.hypot(by_chance_w, _last_digit_w(readings) / 2) * window.seconds


def _last_digit_w(readings: Sequence[float]) -> float:
    """The coarsest step, up to 1 W, of which every reading is a multiple; 0 where there is none above 1 mW."""
    for step_w in LAST_DIGIT_STEPS_W:
        if readings and all(abs(watts / step_w - round(watts / step_w)) < 1e-6 for watts in readings):
            return step_w
    return 0.0


def _neighbour_scatter(values: Sequence[float]) -> float:
    if len(values) < 2:
        return 0.0
    squares = sum((later - earlier) ** 2 for earlier, later in pairwise(values))
    return math.sqrt(squares / (2 * (len(values) - 1)))


# ---------------------------------------------------------------------------------------------------------------------
# integrated samples


def integrated_joules(samples: Sequence[Sample], window: Window, sensor: Sensor) -> Estimate | None:
    """Joules by power samples: each held until the next, clipped to the window moved by the sensor's lag.

    A reading tells of the time before it, so the held readings of the window are found one lag later. None
    without a power reading.
    """
    good = [sample for sample in samples if sample.power_w is not None and not sample.missing]
    if not good:
        return None
    lag_ns = sensor.lag_s * 1e9
    start_ns, end_ns = window.start_ns + lag_ns, window.end_ns + lag_ns
    joules = 0.0
    for sample, following in zip(good, [*good[1:], None], strict=True):
        from_ns = start_ns if sample is good[0] else max(start_ns, float(sample.t_ns))
        to_ns = end_ns if following is None else min(end_ns, float(following.t_ns))
        if to_ns > from_ns and sample.power_w is not None:
            joules += sample.power_w * (to_ns - from_ns) / 1e9
    period_s, poll_s, averaging_s = sensor.power_period_s or 0.0, sensor.poll_s or 0.0, sensor.averaging_s or 0.0
    # when an update falls and what it looked at are known to half a period and a poll; an average smears an edge
    blur_s = period_s / 2 + poll_s / 2 + averaging_s / 8
    around_ns = (averaging_s + 2 * period_s + 2 * poll_s) * 1e9
    start_w, end_w = (_near_w(good, edge, around_ns) for edge in (window.start_ns, window.end_ns))
    parts = [
        (max(start_w) - min(start_w)) * blur_s,
        (max(end_w) - min(end_w)) * blur_s,
        # a lag that is wrong throughout moves the window along whatever the load did from end to end
        (math.fsum(end_w) / len(end_w) - math.fsum(start_w) / len(start_w)) * blur_s,
        _look_j(good, window, sensor),
    ]
    return Estimate(joules, math.hypot(*parts))


def _near_w(good: Sequence[Sample], edge_ns: int, around_ns: float) -> list[float]:
    """Readings near one edge of the window, or else the nearest one."""
    near = [sample for sample in good if abs(sample.t_ns - edge_ns) <= around_ns]
    near = near or [min(good, key=lambda sample: abs(sample.t_ns - edge_ns))]
    return [sample.power_w for sample in near if sample.power_w is not None]


def _crosscheck(counted: Estimate, integrated: Estimate) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Warnings and reasons from the two figures. What their own uncertainties explain is no disagreement."""
    explained_j = math.hypot(counted.uncertainty_j, integrated.uncertainty_j)
    beyond = max(0.0, abs(counted.joules - integrated.joules) - explained_j) / integrated.joules
    share = abs(counted.joules - integrated.joules) / integrated.joules
    text = f"energy counter and power samples are {share:.1%} apart"
    if beyond > CROSSCHECK_INVALID:
        return (), (text,)
    return ((text,), ()) if beyond > CROSSCHECK_WARN else ((), ())


# ---------------------------------------------------------------------------------------------------------------------
# the sensor's own error


def _calibrated(joules: float, window: Window, sensor: Sensor) -> float:
    return (joules - sensor.calibration_offset_w * window.seconds) / sensor.calibration_gain


def _calibrated_w(watts: float | None, sensor: Sensor) -> float | None:
    return None if watts is None else (watts - sensor.calibration_offset_w) / sensor.calibration_gain


def _sensor_uncertainty_j(joules: float, window: Window, sensor: Sensor) -> float | None:
    if sensor.gain_uncertainty is None and sensor.offset_uncertainty_w is None:
        return None
    return math.hypot((sensor.gain_uncertainty or 0.0) * joules, (sensor.offset_uncertainty_w or 0.0) * window.seconds)


# ---------------------------------------------------------------------------------------------------------------------
# what the samples say about the window


def _within(samples: Iterable[Sample], window: Window) -> list[Sample]:
    return [sample for sample in samples if window.start_ns <= sample.t_ns <= window.end_ns]


def _judge_samples(
    samples: Sequence[Sample], window: Window, sensor: Sensor
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Warnings, and the reasons why the joules of this window cannot be known."""
    inside = _within(samples, window)
    missing = [sample for sample in inside if sample.missing]
    good = [sample for sample in samples if not sample.missing]
    warnings = [sensor.note] if sensor.note else []
    invalid: list[str] = []
    lost = next((sample for sample in missing if (sample.error or "").startswith(DEVICE_LOST)), None)
    if lost is not None:
        invalid.append(f"{lost.error}, {(lost.t_ns - window.start_ns) / 1e9:.1f} s into the window")
    elif missing:
        text = f"{len(missing)} of {len(inside)} sensor reads failed ({missing[0].error})"
        (invalid if len(missing) > MISSING_SHARE_MAX * len(inside) else warnings).append(text)
    gap_s = _longest_gap_s([sample.t_ns for sample in good], window)
    if not invalid and gap_s > max(GAP_MIN_S, 5 * (sensor.poll_s or 0.0), 3 * (sensor.power_period_s or 0.0)):
        invalid.append(f"the sensor gave no sample for {gap_s:.1f} s of the window")
    if sensor.counter and not invalid:
        fault = _counter_fault(good, window, sensor)
        if fault is not None:
            invalid.append(fault)
    return tuple(warnings), tuple(invalid)


def _longest_gap_s(times_ns: Sequence[int], window: Window) -> float:
    """Longest part of the window between two neighbouring moments, or between one and the window's edge."""
    marks = [window.start_ns, *(t for t in times_ns if window.start_ns < t < window.end_ns), window.end_ns]
    return max(later - earlier for earlier, later in pairwise(marks)) / 1e9


def _counter_fault(good: Sequence[Sample], window: Window, sensor: Sensor) -> str | None:
    """A counter that went backward or stood still while the card drew power."""
    reach_ns = 2 * (sensor.counter_period_s or 0.0) * 1e9
    near = [
        sample
        for sample in good
        if sample.counter_j is not None and window.start_ns - reach_ns <= sample.t_ns <= window.end_ns + reach_ns
    ]
    for earlier, later in pairwise(near):
        if earlier.counter_j is not None and later.counter_j is not None and later.counter_j < earlier.counter_j:
            return (
                f"the energy counter went backward ({earlier.counter_j:.3f} J to {later.counter_j:.3f} J):"
                " the driver was reloaded or the card reset"
            )
    longest_s = max(FROZEN_MIN_S, FROZEN_PERIODS * (sensor.counter_period_s or 0.0))
    changes = [tick.t_ns for tick in ticks(good, sensor.counter_period_s)]
    still_s = _longest_gap_s([int(t_ns) for t_ns in changes], window)
    if still_s > longest_s:
        return f"the energy counter stood still for {still_s:.1f} s (frozen)"
    return None


def _conditions(samples: Sequence[Sample], window: Window) -> Energy:
    """The window's samples told as conditions, with no joules yet."""
    inside = _within(samples, window)
    good = [sample for sample in inside if not sample.missing]

    def present(pick: Callable[[Sample], float | None]) -> list[float]:
        return [value for value in map(pick, good) if value is not None]

    def mean(values: list[float]) -> float | None:
        return math.fsum(values) / len(values) if values else None

    watts = sorted(present(lambda sample: sample.power_w))
    temperatures = present(lambda sample: sample.temperature_c)
    reasons = dict.fromkeys(name for sample in good for name in sample.throttle)
    throttle_s = _throttle_s(good, window)
    for name, _ in _throttle_growth(good):
        reasons.setdefault(name)
    return Energy(
        None,
        None,
        None,
        sample_count=len(inside),
        samples_missing=len(inside) - len(good),
        power_p95_w=watts[math.ceil(0.95 * len(watts)) - 1] if watts else None,
        temperature_start_c=temperatures[0] if temperatures else None,
        temperature_end_c=temperatures[-1] if temperatures else None,
        temperature_max_c=max(temperatures, default=None),
        sm_clock_mhz_mean=mean(present(lambda sample: sample.sm_clock_mhz)),
        mem_clock_mhz_mean=mean(present(lambda sample: sample.mem_clock_mhz)),
        throttle_reasons=tuple(reasons),
        throttle_s=throttle_s,
    )


def _throttle_growth(good: Sequence[Sample]) -> list[tuple[str, float]]:
    """Seconds by which each cumulative counter of an invalidating reason grew between the first and last sample."""
    counted = [dict(sample.throttle_ns) for sample in good if sample.throttle_ns]
    if len(counted) < 2:
        return []
    first, last = counted[0], counted[-1]
    growth = [(name, (last[name] - first[name]) / 1e9) for name in last if name in first and name in INVALIDATING]
    return [(name, seconds) for name, seconds in growth if seconds > 0]


def _throttle_s(good: Sequence[Sample], window: Window) -> float | None:
    """Seconds under a reason that invalidates: by the driver's own counters where it has them, else by samples."""
    if not good:
        return None
    held_ns = 0
    for sample, following in zip(good, [*good[1:], None], strict=True):
        if INVALIDATING.intersection(sample.throttle):
            held_ns += (window.end_ns if following is None else following.t_ns) - sample.t_ns
    counted_s = max((seconds for _, seconds in _throttle_growth(good)), default=0.0)
    return max(counted_s, held_ns / 1e9)


def _judge_throttling(conditions: Energy) -> tuple[tuple[str, ...], tuple[str, ...]]:
    active = [name for name in conditions.throttle_reasons if name in INVALIDATING]
    if not active:
        return (), ()
    return (), (f"the card was throttled ({', '.join(active)}) for {conditions.throttle_s or 0.0:.2f} s",)
