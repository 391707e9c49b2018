"""Random power curves, sensors and windows, and the same samples measured the naive way."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from hypothesis import strategies as st

from bench.model import Energy, Sample, Sensor, Window
from bench.power.energy import measure
from tests.fakes.nvml.truth import Curve
from tests.fakes.sensor import FakeSensor

BEFORE_S, AFTER_S = 2.5, 2.5
COVERAGE = 2.0
"""Stated half-widths are twice the standard deviation, as metrology's usual 95% is."""


@dataclass(frozen=True)
class Draw:
    """One window of one load under one sensor. ``gain_share`` is what the sensor's data sheet would admit (95%)."""

    fake: FakeSensor
    start: float
    end: float
    poll_s: float
    gain_share: float = 0.0
    offset_share_w: float = 0.0
    seed: int = 1
    probed: float = 1.0
    """Update periods as the probe found them, as a multiple of the true ones."""

    @property
    def window(self) -> Window:
        return Window(round(self.start * 1e9), round(self.end * 1e9), launches=1, work=1.0)

    def samples(self) -> list[Sample]:
        return self.fake.poll(self.start - BEFORE_S, self.end + AFTER_S, self.poll_s, self.seed)

    def sensor(self, **facts: object) -> Sensor:
        """What a probe would say of the sensor."""
        found = self.fake.sensor(self.poll_s, **facts)
        power_s, counter_s = found.power_period_s, found.counter_period_s
        return replace(
            found,
            power_period_s=None if power_s is None else power_s * self.probed,
            counter_period_s=None if counter_s is None else counter_s * self.probed,
        )

    def energy(self, samples: Sequence[Sample] | None = None) -> Energy:
        facts = {"gain_uncertainty": self.gain_share, "offset_uncertainty_w": self.offset_share_w}
        samples = self.samples() if samples is None else samples
        return measure(samples, self.window, self.sensor(**facts))

    @property
    def true_j(self) -> float:
        return self.fake.curve.energy_j(self.start, self.end)

    @property
    def through_sensor_j(self) -> float:
        """True joules as this sensor's gain and offset show them: what timing and sampling alone should reach."""
        return self.true_j * self.fake.gain + self.fake.offset * (self.end - self.start)


def naive_power_j(samples: Sequence[Sample], window: Window) -> float:
    """What most tools do: the trapezoid rule over the readings polled inside the window."""
    inside = [s for s in samples if window.start_ns <= s.t_ns <= window.end_ns and s.power_w is not None]
    joules = 0.0
    for earlier, later in pairwise(inside):
        joules += (earlier.power_w + later.power_w) / 2 * (later.t_ns - earlier.t_ns) / 1e9  # type: ignore[operator]
    return joules


def naive_counter_j(samples: Sequence[Sample], window: Window) -> float | None:
    """The counter read once at each edge, whenever its last update was."""
    at_start = [s for s in samples if s.t_ns <= window.start_ns and s.counter_j is not None]
    at_end = [s for s in samples if s.t_ns <= window.end_ns and s.counter_j is not None]
    if not at_start or not at_end:
        return None
    return at_end[-1].counter_j - at_start[-1].counter_j  # type: ignore[operator]


def _logarithmic(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(math.log(low), math.log(high)).map(math.exp)


@st.composite
def curves(draw: st.DrawFn, span_s: float) -> Curve:
    """Constant, step, ramp, square wave or noise, and mixtures. Watts stay positive."""
    base_w = draw(st.floats(60, 600))
    kind = draw(st.sampled_from(["constant", "step", "ramp", "square", "noisy", "mixed"]))
    points: tuple[tuple[float, float], ...] = ((0.0, base_w),)
    if kind in ("step", "mixed"):
        at = draw(st.floats(0, span_s))
        points = ((0.0, base_w), (at, base_w), (at, draw(st.floats(60, 600))))
    if kind == "ramp":
        points = ((0.0, base_w), (span_s, draw(st.floats(60, 600))))
    square, noise = {}, {}
    if kind in ("square", "mixed"):
        square = {
            "square_period": draw(_logarithmic(0.005, 5.0)),
            "square_duty": draw(st.floats(0.1, 0.9)),
            "square_high": draw(st.floats(0, 300)),
            "square_phase": draw(st.floats(0, 5)),
        }
    if kind in ("noisy", "mixed"):
        noise = {
            "noise_w": draw(st.floats(0, 0.2)) * 60,
            "noise_cell": draw(_logarithmic(0.002, 1.0)),
            "noise_seed": draw(st.integers(0, 2**31)),
        }
    return Curve(points, **square, **noise)  # type: ignore[arg-type]


@st.composite
def draws(draw: st.DrawFn) -> Draw:
    """A sound sensor (faults have tests of their own) over a random curve in a window of 1 to 20 s."""
    length = draw(_logarithmic(1.0, 20.0))
    start = BEFORE_S + 2 + draw(st.floats(0, 1))
    curve = draw(curves(start + length + AFTER_S))
    period = draw(st.sampled_from([0.02, 0.05, 0.1]) | st.floats(0.018, 0.12))
    duty = draw(st.sampled_from([0.25, 0.5, 1.0]))
    counter = draw(st.booleans())
    gain_share = draw(st.sampled_from([0.0, 0.05, 0.11]))
    offset_share_w = draw(st.sampled_from([0.0, 5.0, 22.6]))
    seed = draw(st.integers(1, 2**31))
    # a stated 95% half-width is a claim about chance, so these two are left to chance, anew in each example
    chance = random.Random(repr((curve, length, start, seed)))
    fake = FakeSensor(
        curve,
        period=period,
        phase=draw(st.floats(0, 1)) * period,
        aperture=duty * period,
        averaging=draw(st.sampled_from([None, None, 1.0])),
        gain=1 + gain_share / COVERAGE * chance.gauss(0, 1),
        offset=offset_share_w / COVERAGE * chance.gauss(0, 1),
        # never so quiet that a live reading stays the same, which only a frozen one does
        sensor_noise=draw(st.sampled_from([0.5, 1.0, 3.0])),
        resolution=draw(st.sampled_from([0.001, 0.1, 1.0])),
        counter=counter,
        power=True if not counter else draw(st.sampled_from([True, True, False])),
        counter_period=draw(st.floats(0.02, 0.1)),
        counter_phase=draw(st.floats(0, 0.02)),
        counter_resolution=draw(st.sampled_from([0.001, 0.1])),
        counter_part_time=draw(st.booleans()),
        seed=seed,
    )
    return Draw(fake, start, start + length, draw(st.sampled_from([0.05, 0.06, 0.1])), gain_share, offset_share_w, seed)
