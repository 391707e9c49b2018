"""Sensors that read nothing but zero, or almost: a figure or a reason, never an error."""

from __future__ import annotations

import pytest

from bench.model import Sample, Sensor, Window
from bench.power.energy import idle_power, measure
from tests.support import evidence
from tests.support.evidence import SAMPLES, WINDOW

SENSOR = Sensor(source="nvml", scope="gpu", power_field="instant", power_period_s=0.1, poll_s=0.05)


def samples(watts: float, end_s: float = 3.0) -> list[Sample]:
    return [Sample(t_ns=round(n * 1e8), power_w=watts + n % 2 * watts / 10) for n in range(round(end_s * 10))]


@pytest.mark.parametrize("watts", [0.0, 1e-9, 1e9])
@pytest.mark.parametrize("seconds", [1e-9, 0.05, 1.0])
@pytest.mark.parametrize("count", [1, 2, 30])
def test_any_power_gives_joules_or_a_reason(watts: float, seconds: float, count: int) -> None:
    window = Window(10**9, 10**9 + max(1, round(seconds * 1e9)), 1, 1.0)
    found = measure(samples(watts)[:count], window, SENSOR)
    assert found.joules is not None or found.invalid_reasons
    idle_power(samples(watts)[:count], window.start_ns, window.end_ns, SENSOR)


def test_the_uncertainty_of_no_joules_is_given_in_joules() -> None:
    """A window of 3 ns with a reading at its start: no joules, and a share of them cannot be named."""
    found = measure(SAMPLES, WINDOW, evidence.SENSOR)
    assert found.joules == 0
    assert [text for text in found.warnings if "known to" in text] == ["the energy is known to ±1.5e-10 J only"]
