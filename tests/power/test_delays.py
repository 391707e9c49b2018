"""Sensors that publish late: a delay that was measured is taken off, one that was not and exceeds 0.2 s does harm."""

from __future__ import annotations

import pytest

from bench.model import Energy, Window
from bench.power.energy import measure
from tests.fakes.nvml.truth import Curve
from tests.fakes.sensor import FakeSensor

START_S, END_S = 5.0, 15.0
CURVE = Curve(
    points=((0.0, 70.0), (4.9, 70.0), (4.9, 400.0), (END_S, 400.0), (END_S, 80.0)), noise_w=4.0, noise_cell=0.02
)
TRUE_J = CURVE.energy_j(START_S, END_S)


def measured(delay_s: float, *, counter: bool, known: bool) -> Energy:
    fake = FakeSensor(CURVE, phase=0.03, aperture=0.1, counter=counter, delay=delay_s, counter_delay=delay_s)
    facts = {"delay_s": delay_s, "counter_delay_s": delay_s} if known else {}
    window = Window(round(START_S * 1e9), round(END_S * 1e9), launches=1, work=1.0)
    return measure(fake.poll(START_S - 3, END_S + 4, 0.06), window, fake.sensor(0.06, **facts))


@pytest.mark.parametrize("counter", [False, True], ids=["readings", "counter"])
@pytest.mark.parametrize("delay_s", [0.15, 0.6, 1.5])
def test_a_measured_delay_is_taken_off(delay_s: float, counter: bool) -> None:
    energy = measured(delay_s, counter=counter, known=True)
    assert energy.joules is not None
    assert energy.uncertainty_j is not None
    assert abs(energy.joules - TRUE_J) <= energy.uncertainty_j
    assert energy.uncertainty_j < 0.005 * TRUE_J


@pytest.mark.parametrize("counter", [False, True], ids=["readings", "counter"])
def test_an_unknown_delay_of_half_a_second_is_an_error_of_two_per_cent(counter: bool) -> None:
    energy = measured(0.6, counter=counter, known=False)
    assert energy.joules is not None
    assert energy.joules < 0.985 * TRUE_J


def test_samples_are_waited_for_as_long_as_they_are_late() -> None:
    sensor = FakeSensor(CURVE).sensor(0.06)
    late = FakeSensor(CURVE).sensor(0.06, delay_s=1.5)
    later = FakeSensor(CURVE).sensor(0.06, counter_delay_s=2.0)
    assert late.settle_s >= sensor.settle_s + 1.3
    assert later.settle_s >= 2.0
