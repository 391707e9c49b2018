"""Energy from samples, against sensors whose true power is known, in simulated time."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from bench.model import Energy, Sample, Sensor, Window
from bench.power.counter import ticks
from bench.power.energy import idle_power, measure, net_work_per_j
from bench.power.integrate import integrated_joules
from tests.fakes.nvml.truth import Curve
from tests.fakes.sensor import FakeSensor

START, END = 3.0137, 13.0471

CURVES = {
    "constant": Curve(points=((0.0, 300.0),)),
    "step": Curve(points=((0.0, 150.0), (7.5, 150.0), (7.5, 450.0))),
    "ramp": Curve(points=((0.0, 100.0), (20.0, 500.0))),
    "noisy": Curve(points=((0.0, 300.0),), noise_w=60.0, noise_cell=0.004, noise_seed=7),
}


def window(start: float = START, end: float = END) -> Window:
    return Window(round(start * 1e9), round(end * 1e9), launches=1, work=1.0)


def run(fake: FakeSensor, start: float = START, end: float = END, **facts: object) -> Energy:
    return measure(fake.poll(start - 2.0, end + 2.0), window(start, end), fake.sensor(**facts))


@pytest.mark.parametrize("load", CURVES)
@pytest.mark.parametrize("counter", ["true counter", "counter of readings", "no counter"])
def test_part_time_sensor_within_one_percent_of_what_it_could_know(load: str, counter: str) -> None:
    """100 ms updates that sample 25 ms. What it could know: each reading stands for its whole period."""
    fake = FakeSensor(
        CURVES[load],
        counter=counter != "no counter",
        counter_part_time=counter == "counter of readings",
        counter_phase=0.03,
    )
    energy = run(fake)
    assert energy.invalid_reasons == ()
    assert energy.joules is not None
    assert energy.uncertainty_j is not None
    assert energy.method == ("integrated" if counter == "no counter" else "counter")
    true_j = fake.curve.energy_j(START, END)
    known_j = true_j if counter == "true counter" else fake.known_j(START, END)
    assert energy.joules == pytest.approx(known_j, rel=0.01)
    assert abs(energy.joules - true_j) <= energy.uncertainty_j
    if load != "ramp":  # which a part-time sensor cannot distinguish from a beat
        assert energy.uncertainty_j < 0.02 * energy.joules


def test_constant_load_is_exact_to_a_poll_at_each_edge() -> None:
    energy = run(FakeSensor(CURVES["constant"]))
    assert energy.joules == pytest.approx(300 * (END - START), rel=0.005)
    assert energy.power_mean_w == pytest.approx(300, rel=0.005)
    assert energy.crosscheck_ratio == pytest.approx(1, rel=0.005)


def test_uncertainty_falls_with_the_window() -> None:
    fake = FakeSensor(CURVES["noisy"])
    short, long = run(fake, 3.0, 6.0), run(fake, 3.0, 33.0)
    assert short.joules
    assert long.joules
    assert short.uncertainty_j
    assert long.uncertainty_j
    assert long.uncertainty_j / long.joules < short.uncertainty_j / short.joules / 2


def test_trapezoid_over_distinct_samples_is_what_we_do_not_do() -> None:
    """A constant load whose every sample is alike still has its energy."""
    fake = FakeSensor(CURVES["constant"], counter=False)
    samples = fake.poll(START - 1, END + 1)
    assert len({sample.power_w for sample in samples}) == 1
    energy = measure(samples, window(), fake.sensor())
    assert energy.joules == pytest.approx(300 * (END - START), rel=1e-6)


def test_averaging_is_delagged() -> None:
    """A one-second average before and after a load: the window is found half a second later."""
    curve = Curve(points=((0.0, 100.0), (START, 100.0), (START, 400.0), (END, 400.0), (END, 100.0)))
    fake = FakeSensor(curve, counter=False, averaging=1.0, aperture=0.1, sensor_noise=0.1)
    energy = run(fake)
    true_j = curve.energy_j(START, END)
    assert energy.joules is not None
    assert energy.uncertainty_j is not None
    assert abs(energy.joules - true_j) <= energy.uncertainty_j
    undelagged = integrated_joules(fake.poll(START - 2, END + 2), window(), replace(fake.sensor(), averaging_s=None))
    assert undelagged is not None
    assert abs(energy.joules - true_j) < abs(undelagged.joules - true_j)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"frozen_at": 6.0, "power": False}, "frozen"),
        ({"frozen_at": 1.0, "power": False}, "frozen"),
        ({"reset_at": 8.0}, "backward"),
        ({"lost_at": 9.0}, "device lost"),
        ({"fails": ((4.0, 4.4),), "counter": False}, "failed"),
        ({"fails": ((4.0, 9.0),)}, "failed"),
        ({"fails": ((0.0, 99.0),)}, "failed"),
    ],
)
def test_a_fault_gives_its_reason_and_never_a_number(fault: dict[str, object], words: str) -> None:
    start, end = (3.0, 6.0) if "fails" in fault else (START, END)
    energy = run(FakeSensor(CURVES["constant"], **fault), start, end)  # type: ignore[arg-type]
    assert energy.joules is None
    assert energy.uncertainty_j is None
    assert energy.power_mean_w is None
    assert any(words in reason for reason in energy.invalid_reasons), energy.invalid_reasons


def test_one_failed_read_in_a_long_window_is_told_and_borne() -> None:
    energy = run(FakeSensor(CURVES["constant"], fails=((10.0, 10.04),)), 3.0, 33.0)
    assert energy.joules == pytest.approx(300 * 30, rel=0.005)
    assert energy.samples_missing == 1
    assert any("failed" in warning for warning in energy.warnings)


def test_faults_outside_the_window_do_not_count() -> None:
    energy = run(FakeSensor(CURVES["constant"], fails=((1.2, 1.5),), lost_at=END + 1.0))
    assert energy.invalid_reasons == ()
    assert energy.joules == pytest.approx(300 * (END - START), rel=0.005)


def test_counter_and_samples_apart() -> None:
    fake = FakeSensor(CURVES["constant"])
    start, end = 3.0, 33.0
    samples = fake.poll(start - 1, end + 1)
    for gain, verdict in ((1.01, "fine"), (1.03, "warn"), (1.08, "invalid")):
        skewed = [replace(s, power_w=s.power_w * gain) for s in samples if s.power_w is not None]
        energy = measure(skewed, window(start, end), fake.sensor())
        assert energy.joules == pytest.approx(300 * (end - start), rel=0.005)
        assert energy.crosscheck_ratio == pytest.approx(1 / gain, rel=0.005)
        assert bool(energy.warnings) == (verdict == "warn")
        assert bool(energy.invalid_reasons) == (verdict == "invalid")


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("sw_power_cap", True),
        ("gpu_idle", True),
        ("sw_thermal", False),
        ("hw_thermal", False),
        ("hw_power_brake", False),
        ("hw_slowdown", False),
    ],
)
def test_throttling(name: str, valid: bool) -> None:
    energy = run(FakeSensor(CURVES["constant"], throttled=((5.0, 5.5, name),)))
    assert energy.joules is not None
    assert energy.throttle_reasons == (name,)
    assert (energy.invalid_reasons == ()) == valid
    assert energy.throttle_s == (0.0 if valid else pytest.approx(0.5, abs=0.02))


def test_a_throttle_between_two_polls_is_seen_by_its_counter() -> None:
    energy = run(FakeSensor(CURVES["constant"], throttled=((5.001, 5.002, "hw_thermal"),)))
    assert energy.throttle_s == pytest.approx(0.001)
    assert any("hw_thermal" in reason for reason in energy.invalid_reasons)


def test_throttling_before_the_window_does_not_count() -> None:
    energy = run(FakeSensor(CURVES["constant"], throttled=((1.0, 2.5, "hw_thermal"),)))
    assert energy.invalid_reasons == ()


def test_sensor_uncertainty_is_kept_apart_and_does_not_fall() -> None:
    fake = FakeSensor(CURVES["constant"])
    facts = {"gain_uncertainty": 0.05, "offset_uncertainty_w": 10.0}
    short, long = run(fake, 3.0, 6.0, **facts), run(fake, 3.0, 33.0, **facts)
    for energy, seconds in ((short, 3.0), (long, 30.0)):
        assert energy.sensor_uncertainty_j == pytest.approx(math.hypot(15, 10) * seconds, rel=0.01)
    assert run(fake).sensor_uncertainty_j is None


def test_calibration_corrects_energy_and_power() -> None:
    fake = FakeSensor(CURVES["constant"], gain=1.044, offset=-22.6)
    energy = run(fake, calibration_gain=1.044, calibration_offset_w=-22.6)
    assert energy.joules == pytest.approx(300 * (END - START), rel=0.005)
    assert energy.power_p95_w == pytest.approx(300, rel=0.001)
    wrong = run(fake)
    assert wrong.joules != pytest.approx(300 * (END - START), rel=0.005)


def test_samples_that_miss_part_of_the_window() -> None:
    fake = FakeSensor(CURVES["constant"])
    samples = fake.poll(START, END)
    kept = [sample for sample in samples if not 5.0e9 < sample.t_ns < 7.0e9]
    counted = measure(kept, window(), fake.sensor())
    assert counted.joules == pytest.approx(300 * (END - START), rel=0.005), "the counter spans the gap"
    energy = measure([replace(sample, counter_j=None) for sample in kept], window(), fake.sensor(counter=False))
    assert energy.joules is None
    assert "no sample for 2." in energy.invalid_reasons[0]
    assert measure([], window(), fake.sensor()).joules is None


def test_a_slow_wattmeter_has_no_gaps() -> None:
    fake = FakeSensor(CURVES["ramp"], counter=False, period=0.9, aperture=0.9)
    samples = fake.poll(START - 2, END + 3, poll_s=0.9)
    energy = measure(samples, window(), fake.sensor(poll_s=0.05))
    assert energy.joules == pytest.approx(fake.curve.energy_j(START, END), rel=0.03)


def test_without_a_sensor_nothing_is_invalid_and_the_reason_is_told() -> None:
    energy = measure([], window(), Sensor(source="none", scope=None, reason="no watts here"))
    assert energy == Energy(None, None, None, warnings=("no watts here",))


def test_a_sensor_that_cannot_tell_makes_no_number() -> None:
    energy = measure([], window(), Sensor(source="nvml", scope=None, reason="MIG is on"))
    assert energy.joules is None
    assert energy.invalid_reasons == ("MIG is on",)


def test_assumed_watts() -> None:
    energy = measure([], window(0.0, 4.0), Sensor(source="assumed", scope="assumed", assumed_w=250.0))
    assert energy.joules == 1000.0
    assert energy.method == "assumed"


def test_a_window_must_end_after_it_starts() -> None:
    with pytest.raises(ValueError, match="end after"):
        measure([], window(2.0, 2.0), Sensor(source="nvml", scope="gpu"))


def test_short_window_without_ticks_falls_back_to_samples() -> None:
    fake = FakeSensor(CURVES["constant"], counter_period=0.5)
    energy = run(fake, 3.1, 3.4)
    assert energy.method == "integrated"
    assert any("too few updates" in warning for warning in energy.warnings)


def test_idle_power() -> None:
    fake = FakeSensor(Curve(points=((0.0, 70.0),), noise_w=2.0))
    watts, uncertainty = idle_power(fake.poll(0.0, 5.0), 1_000_000_000, 4_000_000_000, fake.sensor())
    assert watts == pytest.approx(70, rel=0.03)
    assert uncertainty is not None
    assert 0 < uncertainty < 5
    broken = FakeSensor(CURVES["constant"], lost_at=2.0)
    assert idle_power(broken.poll(0.0, 5.0), 1_000_000_000, 4_000_000_000, broken.sensor()) == (None, None)


def test_ticks_lie_between_polls_and_within_a_period() -> None:
    samples = [Sample(int(t * 1e9), counter_j=c) for t, c in ((0.0, 5.0), (0.05, 5.0), (0.1, 8.0), (0.3, 9.0))]
    assert [(tick.t_ns, tick.half_ns, tick.value) for tick in ticks(samples, 0.1)] == [
        (pytest.approx(0.075e9), pytest.approx(0.025e9), 8.0),
        (pytest.approx(0.25e9), pytest.approx(0.05e9), 9.0),
    ]


@pytest.mark.parametrize(
    ("joules", "uncertainty_j", "idle_w", "wanted"),
    [
        (100.0, 1.0, 20.0, 1000.0 / 60.0),
        (100.0, None, 20.0, 1000.0 / 60.0),
        (100.0, 1.0, 50.0, None),
        (100.0, 1.0, 49.6, None),
        (100.0, 1.0, None, None),
        (None, None, 20.0, None),
    ],
    ids=["above idle", "no uncertainty", "nothing above idle", "within the uncertainty", "no baseline", "no joules"],
)
def test_net_work_needs_joules_that_can_be_told_from_idle(
    joules: float | None, uncertainty_j: float | None, idle_w: float | None, wanted: float | None
) -> None:
    energy = Energy(joules, "counter", "gpu", uncertainty_j=uncertainty_j)
    assert net_work_per_j(1000.0, energy, 2.0, idle_w) == (None if wanted is None else pytest.approx(wanted))
