"""The self-test of a sensor, on simulated sensors of every class: what it finds is what the simulator was given."""

from __future__ import annotations

import random

import pytest

from bench.model import BenchError, Sample
from bench.model.sensor_test import PROPERTIES, Estimate
from bench.power.selftest import examine
from tests.fakes.sensor import FakeSensor
from tests.support.energy_coverage import SENSORS, SensorClass
from tests.support.square_load import BEGIN_S, POLL_S, loaded

DELAYS = ((0.0, 0.0), (0.06, 0.11))
"""Delay of reading and counter, per seed."""


def settings_of(sensor: SensorClass, seed: int) -> dict[str, float]:
    """The class's settings; no two specimens keep the same period."""
    slower = random.Random(seed).uniform(0.98, 1.03)
    found = {"period": 0.1, "sensor_noise": 0.3, **sensor.settings}
    found["period"] *= slower
    found["aperture"] *= slower
    found["delay"], found["counter_delay"] = DELAYS[seed % len(DELAYS)]
    return found


def examined(settings: dict[str, float], seed: int) -> dict[str, Estimate]:
    truth, end_s = loaded(round(settings["period"], 2), seed)
    fake = FakeSensor(truth, seed=seed, phase=0.03, counter_phase=0.007, **settings)  # type: ignore[arg-type]
    return examine(fake.poll(BEGIN_S - 1.5, end_s, POLL_S, seed), truth.load)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("sensor", SENSORS, ids=lambda sensor: sensor.name)
def test_what_it_finds_is_what_the_sensor_does(sensor: SensorClass, seed: int) -> None:
    settings = settings_of(sensor, seed)
    found = examined(settings, seed)
    assert set(found) == set(PROPERTIES)
    expected: dict[str, float | None] = {}
    averaging_s = settings.get("averaging")
    if settings.get("power", True):
        count = round(averaging_s / settings["period"]) if averaging_s else 1
        expected |= {
            "update_period_s": settings["period"],
            "duty": settings["aperture"] / settings["period"],
            "delay_s": settings["delay"],
            "averaging_s": count * settings["period"] if averaging_s else None,
            "step_w": 330.0,
            "last_digit_w": settings.get("resolution", 0.001),
        }
        if averaging_s:
            expected["rise_s"] = 0.8 * count * settings["period"]
    if settings.get("counter", True) and not settings.get("counter_part_time"):
        period_s = settings.get("counter_period", 0.1)
        expected["counter_period_s"] = period_s if period_s > 2 * POLL_S else None
        expected["counter_delay_s"] = settings["counter_delay"]
        expected["counter_tick_j"] = 0.001
    for name, value in expected.items():
        estimate = found[name]
        if value is None:
            assert estimate.value is None, (name, estimate)
            assert estimate.note
            continue
        assert estimate.value is not None, (name, estimate)
        # half-widths are of 95%: one of twenty may be missed, twice the half-width never
        assert abs(estimate.value - value) <= 2 * (estimate.half_width or 0) + 1e-9, (name, value, estimate)
    if "duty" in expected:
        assert (found["duty"].half_width or 1) < 0.15
        assert (found["fit"].value or 0) > 0.95


@pytest.mark.slow
def test_half_widths_hold_in_nineteen_of_twenty() -> None:
    held = []
    for seed in range(1, 21):
        settings = settings_of(SENSORS[0], seed)
        settings["aperture"] = random.Random(seed).uniform(0.1, 1.0) * settings["period"]
        found = examined(settings, seed)
        for name, value in (("duty", settings["aperture"] / settings["period"]), ("delay_s", settings["delay"])):
            estimate = found[name]
            assert estimate.value is not None
            held.append(abs(estimate.value - value) <= (estimate.half_width or 0))
    assert sum(held) >= 0.85 * len(held), f"{sum(held)} of {len(held)}"


def test_a_load_that_moves_nothing_is_refused() -> None:
    truth, end_s = loaded(0.1, 1, load_w=0.0)
    fake = FakeSensor(truth, phase=0.03, sensor_noise=1.0)
    with pytest.raises(BenchError, match="the load moves the reading by"):
        examine(fake.poll(BEGIN_S - 1.5, end_s, POLL_S), truth.load)


def test_a_frozen_reading_is_refused() -> None:
    truth, end_s = loaded(0.1, 1)
    fake = FakeSensor(truth, stuck=((0.0, 1e9, 250.0),))
    with pytest.raises(BenchError, match="moves the reading by 0 W only"):
        examine(fake.poll(BEGIN_S - 1.5, end_s, POLL_S), truth.load)


def test_too_few_readings_are_refused() -> None:
    truth, _ = loaded(0.1, 1)
    fake = FakeSensor(truth)
    with pytest.raises(BenchError, match=r"changed \d+ times, 40 are needed"):
        examine(fake.poll(BEGIN_S, BEGIN_S + 2.0, POLL_S), truth.load)
    with pytest.raises(BenchError, match="no readings at all"):
        examine([Sample.failed(n, "no") for n in range(1000)], truth.load)


def test_a_counter_only_source_says_so() -> None:
    found = examined(settings_of(SENSORS[-1], 1), 1)
    assert found["duty"] == Estimate(None, note="the source has an energy counter only")
    assert found["counter_period_s"].value == pytest.approx(0.1, rel=0.01)


def test_a_reading_that_follows_no_boxcar_is_doubtful() -> None:
    """An exponential average, as some older cards publish it."""
    truth, end_s = loaded(0.1, 1)
    fake = FakeSensor(truth, phase=0.03, aperture=0.1)
    samples, level_w, last_w = [], 70.0, -1.0
    for sample in fake.poll(BEGIN_S - 1.5, end_s, POLL_S):
        watts = sample.power_w or 0.0
        if watts != last_w:
            level_w, last_w = level_w + 0.05 * (watts - level_w), watts
        samples.append(Sample(sample.t_ns, power_w=level_w))
    found = examine(samples, truth.load)
    assert (found["fit"].value or 0) < 0.95
    assert (found["rise_s"].value is None) or found["rise_s"].value > 0.5
