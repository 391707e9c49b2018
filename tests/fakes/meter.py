"""A meter of known watts, made up on the spot: lets the runner's own logic be tested without a sampler."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.model import CardState, Sample, Sensor

STEP_NS = 20_000_000


class SteadyMeter:
    """Reports ``watts(t_s since start)`` every 20 ms, through a counter and a power reading."""

    def __init__(self, watts: Callable[[float], float] | float = 100.0) -> None:
        self.watts = watts if callable(watts) else (lambda _t, w=watts: w)
        self.sensor = Sensor(
            source="fake",
            scope="gpu",
            sensor_id="FAKE-0",
            counter=False,
            power_field="instant",
            power_period_s=0.02,
        )
        self.origin = time.monotonic_ns()
        self.started = self.closed = False

    def card_state(self) -> CardState:
        return CardState(power_limit_w=300.0, default_power_limit_w=350.0, co_tenants=0)

    def start(self) -> None:
        self.started = True

    def _sample(self, t_ns: int) -> Sample:
        return Sample(t_ns, power_w=self.watts((t_ns - self.origin) / 1e9), temperature_c=50.0, sm_clock_mhz=1500.0)

    def latest(self) -> Sample | None:
        return self._sample(time.monotonic_ns())

    def samples(self, start_ns: int, end_ns: int) -> tuple[Sample, ...]:
        first = (start_ns - self.origin) // STEP_NS - 2
        last = (end_ns - self.origin) // STEP_NS + 2
        return tuple(self._sample(self.origin + n * STEP_NS) for n in range(first, last + 1))

    def close(self) -> None:
        self.closed = True
