"""The runner: order, sizes, rows, and that nothing unverified is timed."""

from __future__ import annotations

import math
import os
import typing
from dataclasses import replace

import pytest

from bench.measure import row, runner, stopping
from bench.measure import timing as timings
from bench.measure.observer import Silent
from bench.measure.timing import TimingOptions
from bench.model import BenchError, Device, Idle, Measurement, Refusal, Skip, Variant
from bench.power.none import NullMeter
from tests.fakes import workload
from tests.fakes.meter import SteadyMeter

CPU = Device("cpu", 0, "Example CPU", cores=2, memory_bytes=8 << 30)
CONTEXT = row.Context(run_id="run", harness_version="0", host="here", torch="2")
FAST = timings.Timing("standard", 0.12, 0.06, 0.12, 0.03, 0.0, launch_s=0.01, repeats=1)
A, B, C = (Variant("fake", shape=name) for name in "abc")


def run(variants, timing=FAST, meter=None, **kwargs):
    return list(
        runner.measure(
            CPU, variants, workload.build, meter or NullMeter("none here"), timing, CONTEXT, seed=1, **kwargs
        )
    )


@pytest.fixture(autouse=True)
def no_job_left_open(monkeypatch):
    monkeypatch.delenv("FAKE_FAULT", raising=False)
    workload.FakeJob.alive = 0
    yield
    assert workload.FakeJob.alive == 0, "a job was not closed"


def test_repeats_interleave_the_variants():
    items = run([A, B, C], replace(FAST, repeats=2))
    assert [item.record.shape for item in items[:3]] == ["a", "b", "c"], "the first round builds them in order"
    assert sorted(item.record.shape for item in items[3:]) == ["a", "b", "c"]
    assert [item.record.repeat for item in items] == [1, 1, 1, 2, 2, 2]
    assert [item.row for item in items] == [1, 2, 3, 4, 5, 6]


def test_the_order_of_later_rounds_is_drawn_anew_and_follows_the_seed():
    many = replace(FAST, repeats=5, window_s=0.02, warmup_min_s=0.0, warmup_max_s=0.01, block_s=0.01, settle_s=0.01)
    shapes = [item.record.shape for item in run([A, B, C], many)]
    rounds = {tuple(shapes[first : first + 3]) for first in range(0, 15, 3)}
    assert all(sorted(each) == ["a", "b", "c"] for each in rounds)
    assert len(rounds) > 1
    assert shapes == [item.record.shape for item in run([A, B, C], many)], "same seed, same order"


def test_only_the_first_window_of_a_job_is_warmed_up_at_length():
    stages = []

    class Watching(Silent):
        def stage(self, variant, stage, seconds):
            stages.append(stage)

    run([A], replace(FAST, repeats=3), observer=Watching())
    assert stages.count("warm up") == 1
    assert stages.count("window 2/3") == stages.count("window 3/3") == 1


def test_what_others_used_is_in_the_row():
    (item,) = run([A], replace(FAST, window_s=0.3))
    record = item.record
    assert record.others_cpu_s is None or 0 <= record.others_cpu_s <= 2 * record.window_s * (os.cpu_count() or 1)
    assert record.involuntary_switches is not None


def test_rate_is_work_over_window_and_the_window_is_as_long_as_asked():
    (item,) = run([A])
    record = item.record
    assert record.window_s >= FAST.window_s
    assert record.window_s == item.window.seconds
    assert record.rate_per_s == pytest.approx(record.work / record.window_s)
    # the fake does 1e9 hashes a second of sleep, and sleeping costs at least that
    assert 3e8 < record.rate_per_s <= 1.0e9
    assert record.tokens_per_s == pytest.approx(record.rate_per_s / 1e6 * 2)
    assert record.mfu == pytest.approx(record.rate_per_s / 2e9)
    assert record.mbu == pytest.approx(record.rate_per_s / 1e6 * 1e3 / 1e7)
    assert record.intensity_flop_per_byte is None, "hashes are no FLOPs"


def test_without_watts_the_energy_cells_are_empty_and_the_row_is_valid():
    (item,) = run([A])
    record = item.record
    assert record.valid
    assert record.verified
    assert {record.energy_j, record.work_per_j, record.power_mean_w, record.idle_power_w, record.meter} == {None}


def test_under_a_meter_joules_are_watts_times_seconds_and_idle_comes_first_and_last():
    timing = replace(FAST, idle_s=0.1, window_s=0.3)
    meter = SteadyMeter(100.0)
    items = run([A], timing, meter)
    before, measured, after = items
    assert isinstance(before, Idle)
    assert isinstance(after, Idle)
    assert (before.when, after.when) == ("before", "after")
    assert isinstance(measured, Measurement)
    record = measured.record
    assert record.energy_j == pytest.approx(100.0 * record.window_s, rel=1e-3)
    assert record.work_per_j == pytest.approx(record.work / record.energy_j)
    assert record.idle_power_w == pytest.approx(100.0)
    assert record.net_work_per_j is None, "a load that draws no more than idle has no net joules"
    assert record.power_limit_w == 300.0
    assert record.sm_clock_mhz_mean == pytest.approx(1500.0)
    assert record.meter == "fake"


def test_finish_settles_net_work_and_flags_an_idle_that_moved():
    timing = replace(FAST, idle_s=0.1, window_s=0.3)
    _, measured, _ = run([A], timing, SteadyMeter(100.0))
    before = Idle("before", 0, 1, 20.0, 0.1, ())
    near, far = (Idle("after", 2, 3, watts, 0.1, ()) for watts in (20.4, 30.0))
    (same,) = row.settle([measured.record], before, near)
    assert same.idle_power_w == pytest.approx(20.2)
    net_j = measured.record.energy_j - 20.2 * measured.record.window_s
    assert same.net_work_per_j == pytest.approx(measured.record.work / net_j)
    assert same.warnings == measured.record.warnings
    (moved,) = row.settle([measured.record], before, far)
    assert "idle power moved from 20.0 W to 30.0 W" in moved.warnings
    assert row.settle([measured.record], None, None) == [measured.record]


def test_wrong_output_is_refused_and_never_timed(monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "verify")
    items = run([A, Variant("fake", shape="good"), B])
    assert [type(item) for item in items] == [Refusal, Measurement, Refusal]
    assert all(item.wrong and "off by one" in item.reason for item in items if isinstance(item, Refusal))


def test_a_failed_audit_keeps_the_row_and_flags_it(monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "audit")
    (item,) = run([A])
    assert not item.record.verified
    assert not item.record.valid
    assert item.record.invalid_reasons == "a share does not hash, by nonce", "a ; in a reason would split the cell"


def test_a_skipped_variant_does_not_stop_the_rest(monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "skip")
    skipped, measured = run([Variant("fake", shape="big"), A])
    assert isinstance(skipped, Refusal)
    assert not skipped.wrong
    assert "9 GiB" in skipped.reason
    assert measured.record.shape == "a"


def test_a_device_that_dies_leaves_the_windows_before_it(monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "device")
    seen = []
    with pytest.raises(BenchError, match="fell off the bus"):
        for item in runner.measure(CPU, [A], workload.build, NullMeter("-"), replace(FAST, repeats=3), CONTEXT, seed=1):
            seen.append(item)  # noqa: PERF402 - the point is what was there before the error
    assert len(seen) == 1


def test_the_meter_that_loses_its_card_gives_an_invalid_row():
    class Lost(SteadyMeter):
        def samples(self, start_ns, end_ns):
            return tuple(
                replace(sample, power_w=None, missing=True, error="GPU is lost")
                for sample in super().samples(start_ns, end_ns)
            )

    (item,) = run([A], FAST, Lost())
    assert item.record.energy_j is None
    assert not item.record.valid
    assert item.record.invalid_reasons


def test_launches_are_sized_near_the_aim_and_vary():
    seen = []

    class Spy(workload.FakeJob):
        def launch(self, iterations):
            seen.append(iterations)
            super().launch(iterations)

    timing = replace(FAST, window_s=0.5, launch_s=0.02)
    list(runner.measure(CPU, [A], lambda _d, v: Spy(v, None), NullMeter("-"), timing, CONTEXT, seed=1))
    last = seen[-10:]
    assert len(set(last)) > 2, "launches of one length beat with the sensor's period"
    assert 8 <= sum(last) / len(last) <= 32


def test_a_rule_judges_rates_and_work_per_joule_of_valid_windows():
    (item,) = run([A])

    def rows(rates, per_j=None, valid=True):
        pairs = zip(rates, per_j or [None] * len(rates), strict=True)
        return [replace(item.record, rate_per_s=rate, work_per_j=eff, valid=valid) for rate, eff in pairs]

    rule = stopping.HalfWidth(target=0.01, least=4)
    narrow, wide = [100.0, 100.1, 99.9, 100.0], [100.0, 107.0, 93.0, 100.0]
    assert stopping.enough(rows(narrow), rule)
    assert stopping.enough(rows(narrow, narrow), rule)
    assert not stopping.enough(rows(wide), rule)
    assert not stopping.enough(rows(narrow, wide), rule)
    assert not stopping.enough(rows(narrow)[:3], rule), "too few windows"
    assert not stopping.enough(rows(narrow, valid=False), rule), "invalid windows settle nothing"
    assert not stopping.enough(rows(narrow), stopping.FixedCount())
    assert stopping.enough(rows(narrow * 4), stopping.Entropy()), "the same figures again bring nothing new"
    assert not stopping.enough(rows([100.0 * 1.02**n for n in range(16)]), stopping.Entropy()), "each one is new"


def test_every_rule_has_a_name_that_the_timing_knows():
    assert set(stopping.RULES) == set(typing.get_args(typing.get_type_hints(TimingOptions)["stop"]))


def test_the_budget_lets_no_round_begin_that_would_pass_it():
    timing = replace(FAST, budget_s=100.0)
    assert not stopping.over_budget([], timing), "the first round is always run"
    assert not stopping.over_budget([50.0], timing)
    assert stopping.over_budget([51.0], timing)
    assert not stopping.over_budget([60.0, 70.0, 80.0], timing), "the first round's set-up is not expected again"
    assert not stopping.over_budget([60.0, 80.0], timing)
    assert stopping.over_budget([60.0, 80.1], timing)
    assert stopping.over_budget([10.0, 50.0, 61.0], timing), "a round may be as slow as the slowest"
    assert not stopping.over_budget([1e8, 1e9], FAST)
    items = run([A], replace(FAST, repeats=50, budget_s=0.9))
    assert 1 <= len(items) < 10


@pytest.mark.parametrize("on_close", [RuntimeError("CUDA error: still broken"), BenchError("still broken", "reset it")])
@pytest.mark.parametrize("audits", [0, 3])
def test_a_device_error_of_torch_is_one_sentence_and_every_job_is_closed(on_close, audits):
    """Whether it fails while it is verified (0) or in a window (3), and whatever closing raises."""

    class Faulty(workload.FakeJob):
        def sync(self):
            if self.audits >= audits:
                raise RuntimeError("CUDA error: unspecified launch failure\nmore")
            super().sync()

        def close(self):
            super().close()
            raise on_close

    seen = []
    with pytest.raises(BenchError, match=r"failed in fake [ab] \(CUDA error: unspecified launch failure\)") as caught:
        for item in runner.measure(
            CPU, [A, B], lambda _d, v: Faulty(v, None), NullMeter("-"), replace(FAST, repeats=2), CONTEXT, seed=1
        ):
            seen.append(item)  # noqa: PERF402 - the point is what was there before the error
    assert caught.value.exit_code == 3
    assert bool(seen) == bool(audits)


def test_a_variant_that_lacks_memory_is_tried_again_without_the_kept_jobs():
    def build(device, variant):
        if variant is B and workload.FakeJob.alive:
            raise Skip("b needs 9 GiB", "choose less")
        return workload.build(device, variant)

    items = list(runner.measure(CPU, [A, B], build, NullMeter("-"), FAST, CONTEXT, seed=1))
    assert [type(item) for item in items] == [Measurement, Measurement]


def test_memory_is_freed_between_variants_when_it_is_short():
    small = replace(CPU, memory_bytes=3 << 20)  # each fake job holds 1 MiB, half of the device is 1.5 MiB
    high_water = []

    def build(device, variant):
        job = workload.build(device, variant)
        high_water.append(workload.FakeJob.alive)
        return job

    list(runner.measure(small, [A, B, C], build, NullMeter("-"), FAST, CONTEXT, seed=1))
    assert max(high_water) == 2
    high_water.clear()
    list(runner.measure(CPU, [A, B, C], build, NullMeter("-"), FAST, CONTEXT, seed=1))
    assert max(high_water) == 3


def test_timing_of_the_modes():
    metered, plain = (timings.timing(TimingOptions(), metered=each) for each in (True, False))
    assert (metered.window_s, metered.repeats) == (10, 5)
    assert (plain.window_s, plain.repeats) == (1, 12)
    assert timings.timing(TimingOptions(thorough=True), metered=True).window_s == 30
    assert timings.timing(TimingOptions(quick=True), metered=True).window_s == 5
    assert timings.timing(TimingOptions(smoke=True), metered=True).window_s == 1
    assert timings.timing(TimingOptions(smoke=True), metered=False).idle_s == 0
    asked = timings.timing(TimingOptions(window_s=7, repeats=9, warmup_s=1.5), metered=True)
    assert (asked.window_s, asked.repeats, asked.warmup_max_s) == (7, 9, 1.5)
    assert asked.warmup_min_s <= 1.5


@pytest.mark.parametrize(
    "asked",
    [
        {"window_s": 0.0},
        {"window_s": -1.0},
        {"window_s": math.nan},
        {"window_s": math.inf},
        {"repeats": 0},
        {"warmup_s": -1.0},
        {"warmup_s": math.nan},
        {"quick": True, "smoke": True},
        {"quick": True, "thorough": True},
    ],
)
def test_impossible_timing_is_refused(asked):
    with pytest.raises(BenchError):
        TimingOptions(**asked)


def test_another_meter_beside_sees_just_the_windows():
    class Other:
        def __init__(self):
            self.calls = []

        def begin(self):
            self.calls.append("begin")

        def end(self):
            self.calls.append("end")
            return 12.5

    other = Other()
    items = run([A], replace(FAST, repeats=2), reference_meter=other)
    assert other.calls == ["begin", "end"] * 2
    assert [item.reference_energy_j for item in items] == [12.5, 12.5]
    (plain,) = run([A])
    assert plain.reference_energy_j is None
