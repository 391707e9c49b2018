"""A power sensor in simulated time: polls a true curve through a sensor model and gives the samples a meter would.

The model is the fake NVML library's (tests/fakes/nvml/nvml.c); ``test_nvml.py`` holds the two together.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from bench.model import DEVICE_LOST, Sample, Sensor
from tests.fakes.nvml.truth import ROOT_12, Curve, uniform


@dataclass
class FakeSensor:
    """One sensor over one curve. Seconds and watts; the names are those of nvml.c's script keys."""

    curve: Curve
    period: float = 0.1
    phase: float = 0.0
    aperture: float = 0.025
    averaging: float | None = None
    gain: float = 1.0
    offset: float = 0.0
    sensor_noise: float = 0.0
    resolution: float = 0.001
    counter: bool = True
    power: bool = True
    counter_period: float = 0.1
    counter_phase: float = 0.0
    counter_resolution: float = 0.001
    counter_base: float = 1000.0
    counter_part_time: bool = False
    """Whether the counter sums the published readings instead of the true power."""
    delay: float = 0.0
    counter_delay: float = 0.0
    """Seconds by which readings and counter are published late."""
    jitter: float = 0.0
    """Seconds by which an update of either may come early or late."""
    stuck: tuple[tuple[float, float, float], ...] = ()
    """``(from, to, watts)``: times at which the power reading is this value, whatever the load."""
    frozen_at: float = math.inf
    reset_at: float = math.inf
    lost_at: float = math.inf
    fails: tuple[tuple[float, float], ...] = ()
    throttled: tuple[tuple[float, float, str], ...] = ()
    seed: int = 1
    _published: dict[int, float] = field(default_factory=dict)
    _sums: list[float] = field(default_factory=lambda: [0.0])

    def _update_at(self, k: int, phase: float, period: float) -> float:
        """When update ``k`` happens."""
        late = 2 * self.jitter * uniform(self.seed + 2, k) if self.jitter else 0.0
        return phase + k * period + late

    def _newest(self, t: float, phase: float, period: float) -> int:
        """The number of the newest update at ``t``."""
        k = math.floor((t - phase) / period)
        if self.jitter and t < self._update_at(k, phase, period):
            return k - 1
        return k + 1 if self.jitter and t >= self._update_at(k + 1, phase, period) else k

    def published_w(self, k: int) -> float:
        """What is published at update ``k``."""
        if k not in self._published:
            t = self._update_at(k, self.phase, self.period)
            watts = self.curve.energy_j(t - self.aperture, t) / self.aperture * self.gain + self.offset
            watts += self.sensor_noise * ROOT_12 * uniform(self.seed + 1, k)
            if self.resolution > 0:
                watts = math.floor(watts / self.resolution + 0.5) * self.resolution
            self._published[k] = watts
        return self._published[k]

    def _published_sum(self, k: int) -> float:
        """Sum of the readings published at updates 0 … ``k``; whole sums are kept."""
        while len(self._sums) <= k + 1:
            self._sums.append(self._sums[-1] + self.published_w(len(self._sums) - 1))
        return self._sums[max(0, k + 1)]

    def power_w(self, t: float) -> float:
        for low, high, watts in self.stuck:
            if low <= t < high:
                return watts
        t -= self.delay
        k = self._newest(t, self.phase, self.period)
        if self.averaging is None:
            return self.published_w(k)
        count = max(1, int(self.averaging / self.period + 0.5))
        return round(math.fsum(self.published_w(k - i) for i in range(count)) / count, 3)  # in mW, as NVML gives it

    def counter_j(self, t: float) -> float:
        base, start = self.counter_base, 0.0
        t = min(t - self.counter_delay, self.frozen_at)
        if t >= self.reset_at:
            base, start = 0.0, self.reset_at
        k = self._newest(t, self.counter_phase, self.counter_period)
        tick = self._update_at(k, self.counter_phase, self.counter_period)
        if self.counter_part_time:
            first, last = (self._newest(time, self.phase, self.period) for time in (start, tick))
            joules = (self._published_sum(last) - self._published_sum(first)) * self.period
        else:
            joules = 0.0
            if tick > start:
                joules = self.curve.energy_j(start, tick) * self.gain + self.offset * (tick - start)
        joules += base
        if self.counter_resolution > 0:
            joules = math.floor(joules / self.counter_resolution) * self.counter_resolution
        return max(0.0, joules)

    def known_j(self, start: float, end: float) -> float:
        """Joules that this sensor could at best report of [start, end]: each update's reading stands for the
        period that ends with it; the parts of periods at the edges count by their share."""
        k = math.floor((start - self.phase) / self.period) + 1
        joules = 0.0
        while self.phase + (k - 1) * self.period < end:
            high = self.phase + k * self.period
            joules += self.published_w(k) * (min(high, end) - max(high - self.period, start))
            k += 1
        return joules

    def read(self, t: float) -> Sample:
        t_ns = round(t * 1e9)
        if t >= self.lost_at:
            return Sample(t_ns, missing=True, error=f"{DEVICE_LOST}: GPU is lost")
        if any(low <= t < high for low, high in self.fails):
            return Sample(t_ns, missing=True, error="Unknown Error")
        active = tuple(name for low, high, name in self.throttled if low <= t < high)
        totals: dict[str, int] = {}
        for low, high, name in self.throttled:
            totals[name] = totals.get(name, 0) + round(max(0.0, min(t, high) - low) * 1e9)
        return Sample(
            t_ns,
            power_w=self.power_w(t) if self.power else None,
            counter_j=self.counter_j(t) if self.counter else None,
            temperature_c=50.0,
            sm_clock_mhz=1500.0,
            mem_clock_mhz=2000.0,
            throttle=active,
            throttle_ns=tuple(totals.items()),
        )

    def poll(self, start: float, end: float, poll_s: float = 0.05, seed: int = 1) -> list[Sample]:
        """Samples of [start, end] as the sampler takes them: every ``poll_s``, a little late each time."""
        chance = random.Random(seed)
        samples, due = [], start
        while due <= end:
            t = due + min(chance.expovariate(1 / 0.0003), 0.02)
            samples.append(self.read(t))
            due = max(due + poll_s, t)
        return samples

    def sensor(self, poll_s: float = 0.05, **facts: object) -> Sensor:
        """What a probe would say of this sensor."""
        # a counter that sums readings changes no more often than they do
        visible_s = max(self.counter_period, self.period if self.counter_part_time else 0.0)
        known: dict[str, object] = {
            "counter": self.counter,
            "counter_period_s": visible_s if self.counter else None,
            "counter_resolution_j": self.counter_resolution if self.counter else None,
            "power_field": None if not self.power else ("instant" if self.averaging is None else "average"),
            "power_period_s": self.period if self.power else None,
            "averaging_s": self.averaging,
            "duty": self.aperture / self.period,
            "poll_s": poll_s,
        }
        return Sensor(source="nvml", scope="gpu", **{**known, **facts})  # type: ignore[arg-type]
