"""The energy of a window up to each moment, by instantaneous power readings. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from bench.model import Sample, Sensor, Window
from bench.power.clock import updates

LEAST_READINGS = 3
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


def profile(
    good: Sequence[Sample], inside: Sequence[Sample], window: Window, sensor: Sensor
) -> tuple[list[float], list[float]]:
    """Times in s and the joules since the first of them, increasing.

    Args:
        good: samples with a power reading.
        inside: those of them that report nothing but the window, three or more.
        window: the timed stretch.
        sensor: what was read.
    """
    held = _by_updates(good, inside, sensor) or _by_polls(inside, window, sensor)
    times_s = [held[0].from_ns / 1e9, *(part.to_ns / 1e9 for part in held)]
    return times_s, list(accumulate((part.joules for part in held), initial=0.0))


def watts_of(sample: Sample) -> float:
    """The power reading of a sample that has one."""
    return sample.power_w or 0.0


def _by_updates(good: Sequence[Sample], inside: Sequence[Sample], sensor: Sensor) -> list[_Held] | None:
    """Each reading for the update period that ends with it; None where the times of the updates are not known."""
    found = updates([(sample.t_ns, watts_of(sample)) for sample in good], sensor.power_period_s)
    period_ns = (sensor.power_period_s or 0.0) * 1e9
    last_ns = inside[-1].t_ns
    used = [update for update in found if update.t_ns <= last_ns]
    if len(used) < LEAST_READINGS or not all(update.steady for update in used):
        return None
    held = []
    for update, following in zip(used, [*used[1:], None], strict=True):
        if following is None:
            to_ns = update.t_ns + math.floor((last_ns - update.t_ns) / period_ns) * period_ns
        else:
            to_ns = following.t_ns - period_ns
        # nothing of an update that came before those which report the window alone
        from_ns = max(update.t_ns - period_ns, inside[0].t_ns - period_ns)
        if to_ns > from_ns:
            held.append(_Held(from_ns, to_ns, update.value))
    return held


def _by_polls(inside: Sequence[Sample], window: Window, sensor: Sensor) -> list[_Held]:
    """Each polled reading until the next one, earlier by the sensor's lag."""
    usual_ns = max(sensor.poll_s or 0.0, 1e-3) * 1e9
    # not before the window: the first reading reports nothing of that time
    lag_ns = min(sensor.lag_s * 1e9, inside[0].t_ns - window.start_ns)
    marks = [*(float(sample.t_ns) for sample in inside), inside[-1].t_ns + usual_ns]
    watts = [watts_of(sample) for sample in inside]
    for index, (earlier, later) in enumerate(pairwise(inside)):
        if is_hole(earlier, later, sensor):
            watts[index] = (watts_of(earlier) + watts_of(later)) / 2
    return [_Held(a - lag_ns, b - lag_ns, w) for (a, b), w in zip(pairwise(marks), watts, strict=True)]


def is_hole(earlier: Sample, later: Sample, sensor: Sensor) -> bool:
    """Whether readings are missing between these two."""
    usual_s = max(sensor.poll_s or 0.0, 1e-3, sensor.power_period_s or 0.0)
    return later.t_ns - earlier.t_ns > HOLE_POLLS * usual_s * 1e9
