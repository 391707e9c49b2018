"""Joules of a window by its power readings, integrated. Pure.

Only readings that report the window alone are used; the power near each edge fills what they leave. Nothing is then
taken from the time before or after, however late the sensor publishes (up to :data:`counter.DELAY_S`).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

from bench.model import Sample, Sensor, Window
from bench.power.counter import LIKELY_DELAY, aperture_of, delay_margin_ns, inside_readings
from bench.power.profile import LEAST_READINGS, is_hole, profile, watts_of
from bench.power.spread import (
    COVERAGE,
    Estimate,
    both_edges,
    chance_half_width,
    digit_half_width,
    fill,
    half_width,
    last_digit_w,
    neighbour_scatter,
    seen_share,
    slow_half_width,
    texture_of,
)

SMOOTHED = 1.4
"""By how much the swing of the load may exceed that of readings which average over its edges."""


def integrated_joules(samples: Sequence[Sample], window: Window, sensor: Sensor) -> Estimate | None:
    """Joules by the power readings; None without a single one."""
    good = [sample for sample in samples if sample.power_w is not None and not sample.missing]
    if not good:
        return None
    if sensor.averaging_s:
        return _averaged(good, window, sensor) or _blurred(good, window, sensor)
    return _instant(good, window, sensor) or _blurred(good, window, sensor)


def _instant(good: Sequence[Sample], window: Window, sensor: Sensor) -> Estimate | None:
    inside = inside_readings(good, window, sensor)
    if len(inside) < LEAST_READINGS:
        return None
    times_s, joules = profile(good, inside, window, sensor)
    start_s = max(0.0, times_s[0] - window.start_ns / 1e9)
    end_s = window.end_ns / 1e9 - times_s[-1]
    start, end = fill(times_s, joules, start_s), fill(times_s[::-1], joules[::-1], end_s)
    readings = [watts_of(sample) for sample in inside]
    seen = seen_share(sensor)
    texture, digit_w = texture_of(inside, sensor.power_period_s or 0.0), last_digit_w(readings)
    estimated = [
        chance_half_width(texture, seen, digit_w) * window.seconds,
        (slow_half_width(texture) if seen < 1 else 0.0) * window.seconds,
        both_edges(start, start_s, end, end_s),
        *_holes_j(inside, sensor),
    ]
    known = [
        digit_half_width(digit_w, neighbour_scatter(texture)) * window.seconds,
        # published late, the same stretch is measured shifted
        LIKELY_DELAY * abs(start.power_w - end.power_w) * delay_margin_ns(window, sensor.delay_s) / 1e9,
    ]
    return Estimate(
        joules[-1] + start.power_w * start_s + end.power_w * end_s, half_width(known, estimated, window.seconds)
    )


def _holes_j(inside: Sequence[Sample], sensor: Sensor) -> list[float]:
    """95% half-widths of the stretches without readings."""
    pairs = [(earlier, later) for earlier, later in pairwise(inside) if is_hole(earlier, later, sensor)]
    return [_hole_j(inside, earlier, later, (later.t_ns - earlier.t_ns) / 1e9) for earlier, later in pairs]


def _hole_j(inside: Sequence[Sample], earlier: Sample, later: Sample, seconds: float) -> float:
    """95% half-width of a stretch without readings.

    If power changed once, at any time in the hole, the mean of both sides errs by up to half the change; and power
    may have varied in the hole as it did within a second around it.
    """
    step_j = abs(watts_of(later) - watts_of(earlier)) * seconds / math.sqrt(3)
    around = [watts_of(s) for s in inside if earlier.t_ns - 1e9 <= s.t_ns <= later.t_ns + 1e9]
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
        whole_j = math.fsum(watts_of(sample) for sample in chain) * averaging_s
        estimates.append(whole_j + watts_of(inside[0]) * start_s + watts_of(inside[-1]) * end_s)
        left.append((start_s, end_s))
    readings = [watts_of(sample) for sample in inside]
    shorter = max(1.0, averaging_s / max(period_s, poll_s, 1e-3))
    texture = texture_of(inside, period_s)
    start_s, end_s = (statistics.fmean(abs(pair[side]) for pair in left) for side in (0, 1))
    second = [watts_of(s) for s in inside if s.t_ns <= inside[0].t_ns + averaging_s * 1e9]
    last = [watts_of(s) for s in inside if s.t_ns >= inside[-1].t_ns - averaging_s * 1e9]
    estimated = [
        chance_half_width(texture, seen_share(sensor), share=shorter) * window.seconds,
        (max(second) - min(second)) * start_s,
        (max(last) - min(last)) * end_s,
        statistics.pstdev(estimates),
    ]
    known = [digit_half_width(last_digit_w(readings), neighbour_scatter(texture)) * window.seconds]
    return Estimate(statistics.fmean(estimates), half_width(known, estimated, window.seconds))


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
            joules += watts_of(sample) * (to_ns - from_ns) / 1e9
    aperture_s, period_s, poll_s = aperture_of(sensor), sensor.power_period_s or 0.0, sensor.poll_s or 0.0
    start_w = _near_w(good, window.start_ns)
    end_w = _near_w(good, window.end_ns + (aperture_s + period_s + poll_s) * 1e9)
    lacking_s = min(aperture_s, window.seconds) / 8
    inside_w = joules / window.seconds
    # E = J + a (E/T − start) + a (E/T − end), solved for E
    joules = (joules - lacking_s * (start_w + end_w)) / max(0.5, 1 - 2 * lacking_s / window.seconds)
    highest_w = max(*(watts_of(sample) for sample in good), joules / window.seconds, inside_w)
    swing_w = highest_w - min(watts_of(sample) for sample in good)
    blur_s = SMOOTHED * ((period_s + poll_s) / 2 + lacking_s)
    readings = [watts_of(sample) for sample in good]
    parts = [swing_w * blur_s, swing_w * blur_s, last_digit_w(readings) / 2 * window.seconds]
    return Estimate(joules, math.hypot(*parts))


def _near_w(good: Sequence[Sample], at_ns: float) -> float:
    return watts_of(min(good, key=lambda sample: abs(sample.t_ns - at_ns)))
