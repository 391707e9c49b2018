"""Joules of a window by its power readings, integrated. Pure.

Only readings that report the window alone are used; the power near each edge fills what they leave. Nothing is then
taken from the time before or after, however late the sensor publishes (up to :data:`counter.DELAY_S`).
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.model import Sample, Sensor, Window
from bench.power.counter import EDGE_S, aperture_of, inside_readings
from bench.power.spread import (
    COVERAGE,
    Estimate,
    chance_half_width,
    fill_scatter_w,
    half_width,
    last_digit_w,
    neighbour_scatter,
    seen_share,
    slow_half_width,
    updates,
)

LEAST_READINGS = 3
SMOOTHED = 1.4
"""By how much the swing of the load may exceed that of readings which average over its edges."""
HOLE_POLLS = 1.75
"""An interval longer than this many polls or updates is a hole."""


@dataclass(frozen=True, slots=True)
class _Held:
    """One reading and the stretch of time that it stands for."""

    from_ns: float
    to_ns: float
    watts: float

    @property
    def joules(self) -> float:
        return self.watts * (self.to_ns - self.from_ns) / 1e9


def integrated_joules(samples: Sequence[Sample], window: Window, sensor: Sensor) -> Estimate | None:
    """Joules by the power readings; None without a single one."""
    good = [sample for sample in samples if sample.power_w is not None and not sample.missing]
    if not good:
        return None
    if sensor.averaging_s:
        return _averaged(good, window, sensor) or _blurred(good, window, sensor)
    return _instant(good, window, sensor) or _blurred(good, window, sensor)


def _watts(sample: Sample) -> float:
    return sample.power_w or 0.0


def _instant(good: Sequence[Sample], window: Window, sensor: Sensor) -> Estimate | None:
    inside = inside_readings(good, window, sensor)
    if len(inside) < LEAST_READINGS:
        return None
    poll_s, period_s = sensor.poll_s or 0.0, sensor.power_period_s or 0.0
    usual_ns = max(poll_s, 1e-3) * 1e9
    held: list[_Held] = []
    hole_parts: list[float] = []
    readings = [_watts(sample) for sample in inside]
    for earlier, later in pairwise(inside):
        span_ns = float(later.t_ns - earlier.t_ns)
        watts = _watts(earlier)
        if span_ns > HOLE_POLLS * max(usual_ns, period_s * 1e9):
            watts = (_watts(earlier) + _watts(later)) / 2
            hole_parts.append(_hole_j(inside, earlier, later, span_ns / 1e9))
        held.append(_Held(earlier.t_ns, later.t_ns, watts))
    held.append(_Held(inside[-1].t_ns, inside[-1].t_ns + usual_ns, readings[-1]))
    covered_s = (held[-1].to_ns - held[0].from_ns) / 1e9
    lag_s = sensor.lag_s
    start_s = max(0.0, (held[0].from_ns - window.start_ns) / 1e9 - lag_s)
    end_s = window.seconds - covered_s - start_s
    start_w, end_w = _edge_w(held), _edge_w(held[::-1])
    joules = math.fsum(part.joules for part in held) + start_w * start_s + end_w * end_s
    seen = seen_share(sensor)
    texture = updates(inside, period_s)
    scatter_w = neighbour_scatter(texture)
    count = max(2.0, covered_s / max(period_s or poll_s or 0.1, poll_s))
    parts = [
        chance_half_width(scatter_w, statistics.fmean(readings), seen, count) * window.seconds,
        (slow_half_width(texture) if seen < 1 else 0.0) * window.seconds,
        last_digit_w(readings) / 2 * window.seconds,
        _fill_j(held, abs(start_s)),
        _fill_j(held[::-1], abs(end_s)),
        *hole_parts,
    ]
    return Estimate(joules, half_width(parts, window.seconds))


def _edge_w(held: Sequence[_Held]) -> float:
    """Mean watts of the readings within EDGE_S of the first one given."""
    origin = held[0]
    return statistics.fmean(part.watts for part in held if abs(part.from_ns - origin.from_ns) <= EDGE_S * 1e9)


def _fill_j(held: Sequence[_Held], fill_s: float) -> float:
    """95% half-width of the energy of a stretch filled with the mean power near it."""
    times_s = [part.from_ns / 1e9 for part in held]
    joules = list(itertools.accumulate((part.joules for part in held[:-1]), initial=0.0))
    return COVERAGE * fill_s * fill_scatter_w(times_s, joules, fill_s, EDGE_S)


def _hole_j(inside: Sequence[Sample], earlier: Sample, later: Sample, seconds: float) -> float:
    """95% half-width of a stretch without readings.

    If power changed once, at any time in the hole, the mean of both sides errs by up to half the change; and power
    may have varied in the hole as it did within a second around it.
    """
    step_j = abs(_watts(later) - _watts(earlier)) * seconds / math.sqrt(3)
    around = [_watts(s) for s in inside if earlier.t_ns - 1e9 <= s.t_ns <= later.t_ns + 1e9]
    spread_w = statistics.stdev(around) if len(around) > 1 else 0.0
    return math.hypot(step_j, COVERAGE * spread_w * seconds)


def _averaged(good: Sequence[Sample], window: Window, sensor: Sensor) -> Estimate | None:
    """By disjoint averages laid end to end inside the window, over every way to lay them."""
    averaging_s = sensor.averaging_s or 0.0
    poll_s, period_s = sensor.poll_s or 0.0, sensor.power_period_s or 0.0
    inside = inside_readings(good, window, sensor)
    if len(inside) < LEAST_READINGS:
        return None
    trail_s = (period_s + poll_s) / 2
    estimates: list[float] = []
    left: list[tuple[float, float]] = []
    times = [sample.t_ns for sample in inside]
    for number, begin in enumerate(inside):
        if begin.t_ns - inside[0].t_ns >= averaging_s * 1e9:
            break
        chain = [begin]
        due_ns = begin.t_ns + averaging_s * 1e9
        for index in range(number + 1, len(inside)):
            if times[index] >= due_ns - poll_s * 5e8:
                chain.append(inside[index])
                due_ns += averaging_s * 1e9
        start_s = (begin.t_ns - window.start_ns) / 1e9 - trail_s - averaging_s
        end_s = window.seconds - start_s - len(chain) * averaging_s
        whole_j = math.fsum(_watts(sample) for sample in chain) * averaging_s
        estimates.append(whole_j + _watts(inside[0]) * start_s + _watts(inside[-1]) * end_s)
        left.append((start_s, end_s))
    readings = [_watts(sample) for sample in inside]
    shorter = max(1.0, averaging_s / max(period_s, poll_s, 1e-3))
    scatter_w = neighbour_scatter(updates(inside, period_s)) * shorter
    update_s = max(period_s, poll_s)
    start_s, end_s = (statistics.fmean(abs(pair[side]) for pair in left) for side in (0, 1))
    second = [_watts(s) for s in inside if s.t_ns <= inside[0].t_ns + averaging_s * 1e9]
    last = [_watts(s) for s in inside if s.t_ns >= inside[-1].t_ns - averaging_s * 1e9]
    count = max(2.0, window.seconds / max(update_s, 1e-3))
    parts = [
        chance_half_width(scatter_w, statistics.fmean(readings), seen_share(sensor), count) * window.seconds,
        last_digit_w(readings) / 2 * window.seconds,
        (max(second) - min(second)) * start_s,
        (max(last) - min(last)) * end_s,
        statistics.pstdev(estimates),
    ]
    return Estimate(statistics.fmean(estimates), half_width(parts, window.seconds))


def _blurred(good: Sequence[Sample], window: Window, sensor: Sensor) -> Estimate:
    """A window too short for readings of its own: those of the window moved by the sensor's lag.

    A boxcar average over A seconds smears each edge of the load; the window then lacks A ÷ 8 seconds of the change
    of power at each edge, which is put back.
    """
    lag_ns = sensor.lag_s * 1e9
    start_ns, end_ns = window.start_ns + lag_ns, window.end_ns + lag_ns
    joules = 0.0
    for sample, following in zip(good, [*good[1:], None], strict=True):
        from_ns = start_ns if sample is good[0] else max(start_ns, float(sample.t_ns))
        to_ns = end_ns if following is None else min(end_ns, float(following.t_ns))
        if to_ns > from_ns:
            joules += _watts(sample) * (to_ns - from_ns) / 1e9
    aperture_s, period_s, poll_s = aperture_of(sensor), sensor.power_period_s or 0.0, sensor.poll_s or 0.0
    start_w = _near_w(good, window.start_ns)
    end_w = _near_w(good, window.end_ns + (aperture_s + period_s + poll_s) * 1e9)
    lacking_s = min(aperture_s, window.seconds) / 8
    inside_w = joules / window.seconds
    # E = J + a (E/T − start) + a (E/T − end), solved for E
    joules = (joules - lacking_s * (start_w + end_w)) / max(0.5, 1 - 2 * lacking_s / window.seconds)
    highest_w = max(*(_watts(sample) for sample in good), joules / window.seconds, inside_w)
    swing_w = highest_w - min(_watts(sample) for sample in good)
    blur_s = SMOOTHED * ((period_s + poll_s) / 2 + lacking_s)
    readings = [_watts(sample) for sample in good]
    parts = [swing_w * blur_s, swing_w * blur_s, last_digit_w(readings) / 2 * window.seconds]
    return Estimate(joules, math.hypot(*parts))


def _near_w(good: Sequence[Sample], at_ns: float) -> float:
    return _watts(min(good, key=lambda sample: abs(sample.t_ns - at_ns)))
