"""From samples and a window to joules with their uncertainty. Pure: no device, no clock, no file.

The counter is primary, read at its updates; the integrated samples are the check (docs/method.md). Two figures of
uncertainty are kept apart: what falls with longer windows (timing, updates, sampling), and the sensor's own gain and
offset, which does not. Where the joules cannot be known they are None, with the reasons why.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from bench.model import Energy, Sample, Sensor, Window
from bench.power.counter import counter_joules
from bench.power.group import combine
from bench.power.integrate import integrated_joules
from bench.power.judge import conditions, judge_limit, judge_samples, judge_throttling, plausible
from bench.power.spread import Estimate

CROSSCHECK_WARN = 0.02
CROSSCHECK_INVALID = 0.05
"""Counter and integrated samples apart by these shares, beyond their own uncertainties, warn and invalidate; this
project's own thresholds."""
UNCERTAIN = 0.2
"""A half-width beyond this share of the joules is a warning."""


def measure(samples: Sequence[Sample], window: Window, sensor: Sensor) -> Energy:
    """Energy of one window.

    Args:
        samples: with some before and after the window (as :meth:`Meter.samples` gives them).
        window: the timed stretch, on the samples' clock.
        sensor: what the power source is; ``source`` ``none`` gives no joules, ``assumed`` the user's watts.

    Returns:
        Joules with both uncertainties, or None with ``invalid_reasons``. A throttled window keeps its joules and is
        flagged. Without a sensor the joules are None and nothing is invalid: the warning says why.

    Raises:
        ValueError: the window does not end after it starts.
    """
    if window.end_ns <= window.start_ns:
        raise ValueError("a window must end after it starts")
    if sensor.members and sensor.reason is None:
        return _measure_group(samples, window, sensor)
    if sensor.source == "none":
        return Energy(None, None, None, warnings=(sensor.reason,) if sensor.reason else ())
    if sensor.source == "assumed" and sensor.assumed_w is not None:
        watts = sensor.assumed_w
        return Energy(watts * window.seconds, "assumed", sensor.scope, power_mean_w=watts)
    if sensor.reason is not None:
        return Energy(None, None, sensor.scope, invalid_reasons=(sensor.reason,))

    ordered = plausible(samples, sensor)
    found = replace(conditions(ordered, window), scope=sensor.scope)
    verdict = judge_samples(ordered, window, sensor)
    if verdict.invalid:
        return replace(found, warnings=verdict.warnings, invalid_reasons=verdict.invalid)

    on_time, prompt = _undelayed(ordered, sensor)
    powerless = on_time if verdict.power else [replace(sample, power_w=None) for sample in on_time]
    counted = counter_joules(powerless, window, prompt) if verdict.counter else None
    integrated = integrated_joules(on_time, window, prompt) if verdict.power else None
    best = counted or integrated
    warnings = verdict.warnings
    if best is None:
        reason = "too few samples to give the energy of the window"
        return replace(found, warnings=warnings, invalid_reasons=(reason,))
    if verdict.counter and counted is None:
        warnings += ("the window holds too few updates of the energy counter: power samples were integrated",)
    if best.uncertainty_j > UNCERTAIN * abs(best.joules):
        known = f"{best.uncertainty_j / abs(best.joules):.0%}" if best.joules else f"{best.uncertainty_j:.3g} J"
        warnings += (f"the energy is known to ±{known} only",)

    ratio, invalid = None, judge_limit(ordered, window)
    if counted is not None and integrated is not None and sensor.power_field is not None and integrated.joules > 0:
        ratio = counted.joules / integrated.joules
        warned, flagged = _crosscheck(counted, integrated)
        warnings, invalid = warnings + warned, invalid + flagged
    warned, flagged = judge_throttling(found)
    joules = (best.joules - sensor.calibration_offset_w * window.seconds) / sensor.calibration_gain
    p95_w = found.power_p95_w
    return replace(
        found,
        joules=joules,
        method="counter" if counted is not None else "integrated",
        uncertainty_j=best.uncertainty_j / sensor.calibration_gain,
        sensor_uncertainty_j=_sensor_uncertainty_j(joules, window, sensor),
        crosscheck_ratio=ratio,
        power_mean_w=joules / window.seconds,
        power_p95_w=None if p95_w is None else (p95_w - sensor.calibration_offset_w) / sensor.calibration_gain,
        warnings=warnings + warned,
        invalid_reasons=invalid + flagged,
    )


def _measure_group(samples: Sequence[Sample], window: Window, sensor: Sensor) -> Energy:
    """Each card by its own sensor, then all together; an unknown delay is the same on all cards of a model."""
    cards, prompt_j = [], []
    for number, member in enumerate(sensor.members):
        own = [sample for sample in samples if sample.member == number]
        prompt = replace(member, delay_s=member.delay_s or 0.0, counter_delay_s=member.counter_delay_s or 0.0)
        cards.append(measure(own, window, member))
        prompt_j.append(measure(own, window, prompt).uncertainty_j)
    return combine(cards, prompt_j, window)


def _undelayed(samples: Sequence[Sample], sensor: Sensor) -> tuple[Sequence[Sample], Sensor]:
    """Readings and counts at the times that they report, where the sensor's delays were measured, and a sensor without
    delay. What has no measured delay keeps its time.
    """
    if not sensor.delay_s and not sensor.counter_delay_s:
        return samples, sensor
    power_ns, counter_ns = (round(1e9 * (delay or 0.0)) for delay in (sensor.delay_s, sensor.counter_delay_s))
    found = [replace(s, t_ns=s.t_ns - power_ns, counter_j=None) for s in samples if s.power_w is not None]
    found += [replace(s, t_ns=s.t_ns - counter_ns, power_w=None) for s in samples if s.counter_j is not None]
    prompt = replace(
        sensor,
        delay_s=None if sensor.delay_s is None else 0.0,
        counter_delay_s=None if sensor.counter_delay_s is None else 0.0,
    )
    return sorted(found, key=lambda sample: sample.t_ns), prompt


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


def net_work_per_j(
    work: float, joules: Energy, seconds: float, idle_power_w: float | None, *, power_smoothing: bool | None = None
) -> float | None:
    """Work per joule above idle.

    None while power smoothing is on, since its floor is not what an idle card draws; where there is no baseline; or
    where the joules above it cannot be distinguished from zero: a difference within the window's own uncertainty is
    no denominator.
    """
    if joules.joules is None or idle_power_w is None or power_smoothing:
        return None
    net_j = joules.joules - idle_power_w * seconds
    least_j = max(joules.uncertainty_j or 0.0, 1e-6 * joules.joules)
    return work / net_j if net_j > least_j else None


def _crosscheck(counted: Estimate, integrated: Estimate) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Warnings and reasons from the two figures. A difference within their own uncertainties is no disagreement."""
    explained_j = math.hypot(counted.uncertainty_j, integrated.uncertainty_j)
    beyond = max(0.0, abs(counted.joules - integrated.joules) - explained_j) / integrated.joules
    share = abs(counted.joules - integrated.joules) / integrated.joules
    text = f"energy counter and power samples are {share:.1%} apart"
    if beyond > CROSSCHECK_INVALID:
        return (), (text,)
    return ((text,), ()) if beyond > CROSSCHECK_WARN else ((), ())


def _sensor_uncertainty_j(joules: float, window: Window, sensor: Sensor) -> float | None:
    """95% half-width from the sensor's own gain and offset."""
    if sensor.gain_uncertainty is None and sensor.offset_uncertainty_w is None:
        return None
    return math.hypot((sensor.gain_uncertainty or 0.0) * joules, (sensor.offset_uncertainty_w or 0.0) * window.seconds)
