"""Several meters as one: joules add up, and so do half-widths, each part by its kind."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path

import pytest

from bench import power
from bench.model import BenchError, CardState, Device, Energy, Sample, Sensor, Window
from bench.model.sidecar import IdleNote, Opening, SensorNote, decode, encode
from bench.power.energy import idle_power, measure
from bench.power.group import GroupMeter, combine, group_sensor
from bench.storage.anonymous import Pseudonyms
from tests.fakes.meter import SteadyMeter
from tests.fakes.nvml.truth import Curve
from tests.fakes.sensor import FakeSensor

WINDOW = Window(3_013_700_000, 13_047_100_000, launches=1, work=1.0)
KNOWN = {"delay_s": 0.0, "counter_delay_s": 0.0}


def cards(*watts: float) -> list[FakeSensor]:
    return [FakeSensor(Curve(points=((0.0, each),), noise_w=20.0), seed=number) for number, each in enumerate(watts)]


def polled(fakes: list[FakeSensor]) -> list[Sample]:
    found = [replace(sample, member=number) for number, fake in enumerate(fakes) for sample in fake.poll(1.0, 15.0)]
    return sorted(found, key=lambda sample: sample.t_ns)


def test_the_joules_of_all_cards_are_added() -> None:
    fakes = cards(300.0, 500.0)
    found = measure(polled(fakes), WINDOW, group_sensor([fake.sensor(**KNOWN) for fake in fakes]))
    true_j = sum(fake.curve.energy_j(3.0137, 13.0471) for fake in fakes)
    assert found.invalid_reasons == ()
    assert found.uncertainty_j is not None
    assert found.joules == pytest.approx(true_j, abs=found.uncertainty_j)
    assert found.power_mean_w == pytest.approx(800, rel=0.01)
    assert found.crosscheck_ratio == pytest.approx(1, rel=0.02)
    alone = [measure(fake.poll(1.0, 15.0), WINDOW, fake.sensor(**KNOWN)) for fake in fakes]
    assert found.uncertainty_j == pytest.approx(math.hypot(*(each.uncertainty_j or 0.0 for each in alone)))
    assert found.sample_count == sum(each.sample_count or 0 for each in alone)


def test_an_unknown_delay_is_common_to_all_cards_and_noise_is_not() -> None:
    """Four cards alike: the delay's part is four times one card's, the rest twice."""
    fakes = cards(300.0, 300.0, 300.0, 300.0)
    for fake in fakes:
        # Off before and after the window, so that its edges move with a delay.
        fake.curve = Curve(points=((0.0, 100.0), (3.0, 100.0), (3.0, 500.0), (13.0, 500.0), (13.0, 100.0)))
        fake.seed = 1
    unknown, known = fakes[0].sensor(), fakes[0].sensor(**KNOWN)
    assert unknown.delay_s is None
    one, prompt = (measure(fakes[0].poll(1.0, 15.0), WINDOW, sensor).uncertainty_j for sensor in (unknown, known))
    assert one is not None
    assert prompt is not None
    assert one > prompt
    delay = math.sqrt(one**2 - prompt**2)
    found = measure(polled(fakes), WINDOW, group_sensor([unknown] * 4))
    assert found.uncertainty_j == pytest.approx(math.hypot(2 * prompt, 4 * delay))


def test_gains_add_linearly() -> None:
    parts = [Energy(1000.0, "counter", "gpu", uncertainty_j=3.0, sensor_uncertainty_j=50.0)] * 4
    found = combine(parts, [3.0] * 4, WINDOW)
    assert found.joules == 4000.0
    assert found.uncertainty_j == pytest.approx(6.0)
    assert found.sensor_uncertainty_j == pytest.approx(200.0)


def test_one_card_without_joules_leaves_none_for_the_group() -> None:
    fakes = cards(300.0, 300.0)
    fakes[1].lost_at = 5.0
    sensor = group_sensor([fake.sensor(**KNOWN) for fake in fakes])
    found = measure(polled(fakes), WINDOW, sensor)
    alone = measure(fakes[1].poll(1.0, 15.0), WINDOW, fakes[1].sensor(**KNOWN))
    assert alone.joules is None
    assert found.joules is None
    assert found.uncertainty_j is None
    assert found.invalid_reasons == tuple(f"card 2 of 2: {reason}" for reason in alone.invalid_reasons)
    assert idle_power(polled(fakes), WINDOW.start_ns, WINDOW.end_ns, sensor) == (None, None)


def test_a_sentence_that_all_cards_say_stands_once() -> None:
    said = [Energy(1.0, "counter", "gpu", warnings=(*own, "the same")) for own in (("hot",), ())]
    assert combine(said, [None, None], WINDOW).warnings == ("the same", "card 1 of 2: hot")


def test_sensors_of_different_scope_are_refused() -> None:
    members = [SteadyMeter(), SteadyMeter()]
    members[1].sensor = replace(members[1].sensor, scope="module")
    with pytest.raises(BenchError, match="different power sources"):
        GroupMeter(members)
    assert all(member.closed for member in members)


def test_a_group_of_meters_reads_as_one() -> None:
    members = [SteadyMeter(100.0), SteadyMeter(250.0)]
    members[1].origin = members[0].origin  # both polled at the same moments
    group = GroupMeter(members)
    group.start()
    assert all(member.started for member in members)
    latest = group.latest()
    assert latest is not None
    assert latest.power_w == 350.0
    start_ns = members[0].origin + 1_000_000_000
    samples = group.samples(start_ns, start_ns + 1_000_000_000)
    times = [sample.t_ns for sample in samples]
    assert times == sorted(set(times))
    assert {sample.member for sample in samples} == {0, 1}
    found = measure(samples, Window(start_ns, start_ns + 1_000_000_000, 1, 1.0), group.sensor)
    assert found.joules == pytest.approx(350.0, rel=0.01)
    group.close()
    assert all(member.closed for member in members)


def test_settings_that_differ_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    members = [SteadyMeter(), SteadyMeter()]
    assert GroupMeter(members).card_state() == members[0].card_state()
    other = CardState(power_limit_w=200.0, default_power_limit_w=350.0, co_tenants=2)
    monkeypatch.setattr(members[1], "card_state", lambda: other)
    assert GroupMeter(members).card_state() == CardState(default_power_limit_w=350.0, co_tenants=2)


def test_what_no_card_reads_alone_covers_all_cards() -> None:
    devices = [Device("cuda", index, "a card") for index in range(2)]
    assert power.open_group("assume:700", devices).sensor.assumed_w == 700.0
    assert power.open_group("none", devices).sensor.source == "none"
    with pytest.raises(BenchError, match="reads one card, and 2 work together"):
        power.open_group("nvml:0", devices)


def test_cards_whose_power_cannot_be_read_leave_the_group_without_a_meter() -> None:
    meter = power.open_group("auto", [Device("xpu", index, "a card") for index in range(2)])
    assert meter.sensor.source == "none"
    assert meter.sensor.reason


def test_a_sidecar_keeps_each_card_apart() -> None:
    fakes = cards(300.0, 500.0)
    sensor = group_sensor([fake.sensor(**KNOWN) for fake in fakes])
    samples = tuple(polled(fakes))
    samples = tuple(replace(sample, t_ns=sample.t_ns + number) for number, sample in enumerate(samples))
    lines = [Opening(), SensorNote(0, sensor), IdleNote(0, "before", WINDOW.start_ns, WINDOW.end_ns, samples)]
    read = decode(io.BytesIO(b"".join(encode(line) for line in lines)), Path("x"))
    (seen,), (idle,) = read.sensors, read.idles
    assert seen.sensor == sensor
    again = measure(idle.samples, WINDOW, seen.sensor)
    assert again == measure(samples, WINDOW, sensor)
    wrong = SensorNote(0, replace(sensor, members=(replace(sensor.members[0], duty=2.0),)))
    with pytest.raises(BenchError, match="duty"):
        decode(io.BytesIO(encode(Opening()) + encode(wrong)), Path("x"))


def test_a_shared_result_names_no_card_of_the_group() -> None:
    members = [Sensor("nvml", "gpu", sensor_id=f"GPU-{number}") for number in range(2)]
    hidden = Pseudonyms(b"salt").sensor(group_sensor(members))
    assert "GPU-" not in repr(hidden)
    assert hidden.members[0].sensor_id != hidden.members[1].sensor_id
