"""Compare: figures against scipy's own, pairs that must be refused, rows that must stay out, gates that must bite."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import storage
from bench.analysis import compare, estimate, gate, published
from bench.analysis import groups as lines
from bench.data import cards
from bench.model import EXIT_INVALID, EXIT_REGRESSION, METHOD_VERSION, BenchError, Comparison, Record
from tests.support import factory

A, B, C = factory.CARD_A, factory.CARD_B, factory.CARD_CPU


def compared(records: list[Record], **how: Any) -> compare.Result:
    return compare.compare(storage.to_frame(records), **how)


def one(result: compare.Result, who: str, metric: str = "rate_per_s", workload: str = "sha256d") -> Comparison:
    (line,) = [
        line
        for line in result.comparisons
        if lines.text(line.key[result.subject]) == who and line.metric == metric and line.key["workload"] == workload
    ]
    return line


# ---------------------------------------------------------------------------------------------------------------------
# figures


def logs_of(records: list[Record]) -> Any:
    return np.log([record.rate_per_s for record in records if record.workload == "sha256d"])


def other_run(records: list[Record], name: str = "another run") -> list[Record]:
    return [replace(record, run_id=name) for record in records]


def test_a_figure_is_the_estimate_of_its_windows_and_students_t_is_given_too() -> None:
    from scipy import stats

    here = factory.run(A, 6, rate_sd=0.05, seed=1)
    item = one(compared(here), A.name)
    own = logs_of(here)
    expected = estimate.interval(np.exp(own))
    assert (item.value, item.low, item.high) == pytest.approx((expected.value, expected.low, expected.high))
    assert item.repeats == 6
    assert item.covers == "within this run"
    low, high = stats.t.interval(0.95, 5, own.mean(), stats.sem(own))
    assert (item.t_low, item.t_high) == pytest.approx((math.exp(low), math.exp(high)))


def test_the_ratio_of_one_device_in_one_run_is_welchs_on_logs() -> None:
    """Four windows: nothing is trimmed, so scipy's test is the reference."""
    from scipy import stats

    base = factory.run(A, 4, rate_sd=0.05, seed=1, workloads=[factory.sha256d])
    changed = [
        replace(record, driver="1000.1", rate_per_s=record.rate_per_s * 0.6)
        for record in factory.run(A, 4, rate_sd=0.02, seed=2, workloads=[factory.sha256d])
    ]
    (item,) = [x for x in compared([*base, *changed], by="driver").comparisons if x.ratio and x.metric == "rate_per_s"]
    theirs, own = logs_of(base), logs_of(changed)
    reference = stats.ttest_ind(own, theirs, equal_var=False)
    bounds = reference.confidence_interval(0.95)
    assert item.ratio == pytest.approx(math.exp(own.mean() - theirs.mean()))
    # the degrees of freedom are rounded to 0.01 so that quantiles can be kept
    assert item.ratio_low == pytest.approx(math.exp(bounds.low), rel=1e-4)
    assert item.ratio_high == pytest.approx(math.exp(bounds.high), rel=1e-4)
    assert item.p_value == pytest.approx(reference.pvalue, rel=0.01)
    assert item.verdict == "slower"


def test_rate_over_power_is_work_per_joule_also_in_print() -> None:
    """Exactly where nothing is trimmed; trimming may set different windows of each aside."""
    result = compared(factory.run(A, 4, rate_sd=0.2, power_sd=0.2))
    rate, watts, per_j = (one(result, A.name, name).value for name in ("rate_per_s", "power_mean_w", "work_per_j"))
    assert rate is not None
    assert watts is not None
    assert per_j == pytest.approx(rate / watts, rel=1e-12)


def test_units_and_words_follow_the_metric() -> None:
    result = compared([*factory.run(A), *factory.run(B)])
    assert one(result, A.name).unit == "hash/s"
    assert one(result, A.name, "work_per_j", "transformer").unit == "FLOP/J"
    assert one(result, A.name, "tokens_per_j", "transformer").unit == "tokens/J"
    words = {metric: one(result, B.name, metric).verdict for metric in ("rate_per_s", "power_mean_w", "work_per_j")}
    assert words == {"rate_per_s": "slower", "power_mean_w": "less", "work_per_j": "better"}


def half_width(item: Comparison) -> float:
    assert item.value is not None
    assert item.low is not None
    return math.log(item.value / item.low)


def run_at(factor: float, name: str, card: factory.Card = A) -> list[Record]:
    records = factory.run(card, 20, rate_sd=1e-4, seed=hash(factor) % 100)
    return [replace(record, run_id=name, rate_per_s=record.rate_per_s * factor) for record in records]


def test_windows_of_one_run_do_not_pass_for_many_runs() -> None:
    """Two runs 4% apart, each of 20 windows that agree to 0.01%: the spread between runs decides."""
    pooled = one(compared([*run_at(0.98, "r1"), *run_at(1.02, "r2")]), A.name)
    alone = one(compared(run_at(0.98, "r1")), A.name)
    assert pooled.repeats == 40
    assert (alone.covers, pooled.covers) == ("within this run", "between runs")
    assert half_width(pooled) > 0.02
    assert half_width(alone) < 1e-3


def test_another_run_that_agrees_narrows_the_ratio_and_one_that_does_not_widens_it() -> None:
    base = run_at(1.0, "base", B)

    def spread(*factors: float) -> float:
        runs = [record for factor in factors for record in run_at(factor, f"run at {factor}")]
        item = one(compared([*base, *runs]), A.name)
        assert item.ratio is not None
        assert item.ratio_high is not None
        return math.log(item.ratio_high / item.ratio)

    assert spread(1.0) > 0.02, "one run each has a floor"
    assert spread(1.0, 1.001) < spread(1.0)
    assert spread(1.0, 1.001, 0.999) < spread(1.0, 1.001)
    assert spread(1.0, 1.15) > spread(1.0)


def test_one_device_in_one_run_has_no_floor() -> None:
    newer = [replace(record, driver="1000.1") for record in run_at(1.003, "r1")]
    older = run_at(1.0, "r1")
    by_driver = compared([*older, *newer], by="driver")
    assert one(by_driver, "1000.1").verdict == "same"
    apart = compared([*older, *[replace(record, run_id="r2") for record in newer]], by="driver")
    assert one(apart, "1000.1").verdict == "cannot tell"


def test_interval_of_energy_is_no_narrower_than_the_windows_own_uncertainty() -> None:
    same = [
        factory.sha256d(A, repeat, energy_uncertainty_j=factory.sha256d(A).energy_j * 0.02) for repeat in range(1, 5)
    ]  # type: ignore[operator]
    result = compared(same)
    watts, rate = one(result, A.name, "power_mean_w"), one(result, A.name)
    assert rate.low == rate.high == rate.value
    assert watts.low is not None
    assert math.log(watts.value / watts.low) == pytest.approx(3.182 * 0.02 / 1.96 / 2, rel=1e-3)  # type: ignore[operator]


# ---------------------------------------------------------------------------------------------------------------------
# verdicts


def factored(card: factory.Card, factor: float, sd: float, seed: int, repeats: int = 6) -> list[Record]:
    changed = replace(card, name="Example GPU D", uuid="GPU-d", hash_per_s=card.hash_per_s * factor)
    return factory.run(changed, repeats, rate_sd=sd, power_sd=sd, seed=seed)


@pytest.mark.parametrize(
    ("factor", "sd", "verdict"),
    [
        (1.1, 0.002, "faster"),
        (0.9, 0.002, "slower"),
        (1.0, 0.001, "cannot tell"),
        (1.02, 0.1, "cannot tell"),
    ],
)
def test_verdicts(factor: float, sd: float, verdict: str) -> None:
    result = compared([*factory.run(A, 6, rate_sd=sd, seed=5), *factored(A, factor, sd, 6)])
    line = one(result, "Example GPU D")
    assert line.verdict == verdict
    assert line.ratio_low is not None
    assert line.ratio_low <= line.ratio <= line.ratio_high  # type: ignore[operator]


def test_equal_means_with_a_wide_spread_are_not_the_same() -> None:
    swing = (0.9, 1.0, 1 / 0.9)
    here = [factory.sha256d(A, repeat, factor=factor) for repeat, factor in enumerate(swing)]
    there = [factory.sha256d(B, repeat, rate_per_s=A.hash_per_s * factor) for repeat, factor in enumerate(swing)]
    line = one(compared([*here, *there]), B.name)
    assert line.ratio == pytest.approx(1.0)
    assert (line.verdict, line.reason) == ("cannot tell", "the interval contains 1")


def test_the_baseline_is_called_so_and_has_no_ratio() -> None:
    line = one(compared([*factory.run(A), *factory.run(B)]), A.name)
    assert (line.verdict, line.ratio) == ("baseline", None)
    assert one(compared([*factory.run(A), *factory.run(B)], baseline="gpu b"), B.name).verdict == "baseline"


def test_one_window_cannot_tell() -> None:
    result = compared([*factory.run(A, 5), *factory.run(B, 1)])
    line = one(result, B.name)
    assert line.verdict == "cannot tell"
    assert line.low is None
    assert line.ratio is not None
    assert line.ratio_low is None
    assert "no spread" in str(line.reason)


def test_watts_of_two_cards_closer_than_their_sensors_cannot_be_ranked() -> None:
    """Ten per cent apart and steady to 0.1%, but each sensor may be 11% off."""
    near = replace(A, name="Example GPU D", uuid="GPU-d", hash_w=A.hash_w * 0.9, sensor_gain=0.11)
    result = compared(
        [*factory.run(replace(A, sensor_gain=0.11), power_sd=1e-3), *factory.run(near, power_sd=1e-3, seed=4)]
    )
    line = one(result, near.name, "power_mean_w")
    assert line.verdict == "cannot tell"
    assert "within the sensors' errors (±11.0% and ±11.0%)" in str(line.reason)
    assert math.log(line.ratio_high / line.ratio) == pytest.approx(math.hypot(0.11, 0.11), rel=0.03)  # type: ignore[operator]
    assert one(result, near.name, "work_per_j").verdict == "cannot tell"


def test_on_one_sensor_the_gain_cancels() -> None:
    """The same card at two limits: the gain's 11% falls out, and what is left is told apart."""
    full = replace(A, sensor_gain=0.11)
    low = [
        replace(record, power_limit_w=500.0)
        for record in factory.run(replace(full, hash_w=600.0), power_sd=1e-3, seed=8)
    ]
    result = compared([*factory.run(full, power_sd=1e-3), *low], by="power-limit")
    line = one(result, "500", "work_per_j")
    assert line.verdict == "better"
    assert math.log(line.ratio_high / line.ratio) < 0.03  # type: ignore[operator]


def test_on_one_sensor_the_offset_stays() -> None:
    """Error² = (gain·watts)² + offset²: with 20 W of offset, 100 W against 50 W is no sure factor of two."""

    def at(watts: float, limit: float, seed: int) -> list[Record]:
        card = replace(A, hash_w=watts)
        error = math.hypot(0.05 * watts, 20.0)
        return [
            replace(record, power_limit_w=limit, sensor_uncertainty_j=error * record.window_s)
            for record in factory.run(card, 6, power_sd=1e-6, seed=seed, workloads=[factory.sha256d])
        ]

    line = one(compared([*at(100.0, 100.0, 1), *at(50.0, 50.0, 2)], by="power-limit"), "50", "power_mean_w")
    assert math.log(line.ratio_high / line.ratio) == pytest.approx(20.0 * (1 / 50 - 1 / 100), rel=0.02)  # type: ignore[operator]
    assert lines.text(50.0) == "50"


def test_an_unknown_sensor_ranks_no_two_cards() -> None:
    bare = [replace(record, sensor_uncertainty_j=None) for record in factory.run(B)]
    line = one(compared([*factory.run(A), *bare]), B.name, "work_per_j")
    assert line.verdict == "cannot tell"
    assert "unknown" in str(line.reason)


def test_no_watts_is_said_and_is_no_zero() -> None:
    result = compared([*factory.run(A), *factory.run(B, metered=False)])
    line = one(result, B.name, "work_per_j")
    assert (line.value, line.ratio, line.verdict) == (None, None, "cannot tell")
    assert "no watts" in str(line.reason)
    assert one(result, B.name).verdict == "slower"
    turned = one(compared([*factory.run(A), *factory.run(B, metered=False)], baseline=B.name), A.name, "work_per_j")
    assert turned.verdict == "cannot tell"
    assert "in the baseline" in str(turned.reason)


# ---------------------------------------------------------------------------------------------------------------------
# what is left out and what is refused


def test_invalid_rows_are_listed_and_in_no_statistic() -> None:
    good = [record for record in factory.run(A) if record.workload == "sha256d"]
    wild = replace(factory.sha256d(A, 9, factor=50.0), valid=False, invalid_reasons="counter frozen")
    unproven = replace(factory.sha256d(A, 10, factor=0.01), verified=False)
    result = compared([*good, wild, unproven])
    assert one(result, A.name).value == one(compared(good), A.name).value
    assert one(result, A.name).repeats == 5
    assert [(item.line, item.reason) for item in result.invalid] == [(7, "counter frozen"), (8, "not verified")]
    assert "2 invalid of 7 left out" in str(one(result, A.name).reason)


def test_a_line_with_nothing_valid_is_invalid() -> None:
    lost = [factory.invalid(record) for record in factory.run(B)]
    result = compared([*factory.run(A), *lost])
    line = one(result, B.name)
    assert (line.verdict, line.value, line.ratio) == ("invalid", None, None)
    assert "frozen" in str(line.reason)
    turned = one(compared([*factory.run(A), *lost], baseline=B.name), A.name)
    assert turned.verdict == "cannot tell"
    assert "the baseline is invalid" in str(turned.reason)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"method_version": "0"}, f"method_version 0 against {METHOD_VERSION}"),
        ({"implementation": "torch-portable"}, "implementation_class torch-portable against native"),
        ({"implementation": "cuda-v2-roll4"}, "implementation_class version-rolling-4 against native"),
        ({"native": False}, "native False against True"),
        ({"precision": "tf32=on"}, "precision tf32=on against none"),
        ({"options": "inputs=zeros"}, "options inputs=zeros against none"),
        ({"mode": "smoke"}, "mode smoke against standard"),
        ({"work_unit": "nonce"}, "work_unit nonce against hash"),
        ({"schema_version": 0}, "schema_version 0 against 1"),
    ],
)
def test_pairs_that_differ_in_what_must_match_are_refused_by_name(change: dict[str, Any], named: str) -> None:
    there = [replace(record, **change) for record in factory.run(B, workloads=[factory.sha256d])]
    frame = storage.to_frame(
        [*factory.run(A, workloads=[factory.sha256d]), *[replace(r, schema_version=1) for r in there]]
    )
    if "schema_version" in change:
        frame.loc[frame["device_name"] == B.name, "schema_version"] = 0
    result = compare.compare(frame)
    for metric in ("rate_per_s", "power_mean_w", "work_per_j"):
        line = one(result, B.name, metric)
        assert (line.ratio, line.verdict) == (None, "cannot tell")
        assert f"refused: {named}" in str(line.reason)
        assert line.value is not None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"energy_scope": "module"}, "energy_scope module against gpu"),
        ({"energy_method": "assumed"}, "assumed against measured"),
    ],
)
def test_energy_of_another_scope_is_refused_and_the_rate_is_not(change: dict[str, Any], named: str) -> None:
    there = [replace(record, **change) for record in factory.run(B)]
    result = compared([*factory.run(A), *there])
    assert one(result, B.name).verdict == "slower"
    for metric in ("power_mean_w", "work_per_j"):
        assert named in str(one(result, B.name, metric).reason)
        assert one(result, B.name, metric).ratio is None


def test_the_field_one_asks_about_may_differ() -> None:
    portable = [
        replace(record, implementation="torch-portable") for record in factory.run(A, workloads=[factory.sha256d])
    ]
    halved = [replace(record, rate_per_s=record.rate_per_s / 2) for record in portable]
    result = compared([*factory.run(A, workloads=[factory.sha256d]), *halved], by="implementation")
    line = one(result, "torch-portable")
    assert line.verdict == "slower"
    assert line.ratio == pytest.approx(0.5)


def test_threads_must_match_on_one_device_only() -> None:
    few = [replace(record, options="isa=avx2 threads=2") for record in factory.run(C, workloads=[factory.sha256d])]
    on_gpu = factory.run(A, workloads=[factory.sha256d])
    assert one(compared([*on_gpu, *few]), C.name).verdict == "slower"
    more = [replace(record, options="isa=avx2 threads=4", host="other") for record in few]
    refused = one(compared([*few, *more], by="host"), "other")
    assert "options isa=avx2 threads=4 against isa=avx2 threads=2" in str(refused.reason)


def test_a_task_the_baseline_lacks_has_no_ratio() -> None:
    result = compared([*factory.run(A, workloads=[factory.sha256d]), *factory.run(B)])
    line = one(result, B.name, workload="transformer")
    assert line.ratio is None
    assert "did not run this task" in str(line.reason)


def at_limit(card: factory.Card, limit: float, **changes: Any) -> list[Record]:
    """A sweep's windows: fewer watts cost less rate than they save, down to half the stock limit."""
    share = limit / card.limit_w
    slower = replace(card, hash_per_s=card.hash_per_s * share**0.5, hash_w=card.hash_w * share)
    records = factory.run(slower, workloads=[factory.sha256d], rate_sd=1e-3, power_sd=1e-3)
    return [replace(record, power_limit_w=limit, default_power_limit_w=card.limit_w, **changes) for record in records]


def ratios(result: compare.Result, metric: str = "rate_per_s") -> dict[tuple[str, float], tuple[str, float | None]]:
    return {
        (lines.text(item.key[result.subject]), item.key["power_limit_w"]): (item.role or "", item.ratio)
        for item in result.comparisons
        if item.metric == metric
    }


def test_stock_is_compared_with_stock_and_the_best_of_a_sweep_is_a_second_figure() -> None:
    result = compared(
        [*at_limit(A, 700.0), *at_limit(A, 500.0), *at_limit(A, 350.0), *at_limit(B, 300.0)], baseline=B.name
    )
    found = ratios(result)
    per_watt = A.hash_per_s / B.hash_per_s
    assert found[A.name, 700.0] == ("stock", pytest.approx(per_watt, rel=1e-2))
    assert found[A.name, 350.0] == ("best", pytest.approx(per_watt * 0.5**0.5, rel=1e-2))
    assert found[A.name, 500.0] == ("other", None)
    verdicts = {item.key["power_limit_w"]: item.verdict for item in result.comparisons if item.metric == "work_per_j"}
    assert verdicts[500.0] == "not compared"
    # both are said: at stock B does more per joule, at its best limit A does
    joules = ratios(result, "work_per_j")
    assert joules[A.name, 700.0][1] < 1 < joules[A.name, 350.0][1]  # type: ignore[operator]


def test_two_sweeps_compare_stock_with_stock_and_best_with_best() -> None:
    cards = [*at_limit(A, 700.0), *at_limit(A, 350.0), *at_limit(B, 300.0), *at_limit(B, 200.0)]
    found = ratios(compared(cards))
    per_watt = B.hash_per_s / A.hash_per_s
    assert found[B.name, 300.0] == ("stock", pytest.approx(per_watt, rel=1e-2))
    assert found[B.name, 200.0] == ("best", pytest.approx(per_watt * (2 / 3 / 0.5) ** 0.5, rel=1e-2))


def test_no_setting_is_matched_to_the_nearest_one() -> None:
    """Two drivers of the baseline, the other card has a third: which of the two is meant is the user's to say."""
    two = [*at_limit(A, 700.0, driver="1"), *at_limit(A, 700.0, driver="2")]
    item = one(compared([*two, *at_limit(B, 300.0, driver="3")]), B.name)
    assert item.ratio is None
    assert "2 results for this task (driver differ)" in str(item.reason)


def test_runs_of_one_card_are_compared_at_equal_limits() -> None:
    first = [*at_limit(A, 700.0), *at_limit(A, 500.0), *at_limit(A, 350.0)]
    second = [replace(record, run_id="r2", rate_per_s=record.rate_per_s * 1.2) for record in first]
    found = ratios(compared([*first, *second], by="run"))
    assert [ratio for (_, _), (_, ratio) in found.items() if ratio] == pytest.approx([1.2] * 3)


def test_what_differs_is_listed_and_what_one_side_does_not_know() -> None:
    here = [replace(record, driver="1000.1", ecc=None, temperature_start_c=75.0) for record in factory.run(B)]
    found = {item.column: item for item in compared([*factory.run(A), *here]).differences}
    assert (found["driver"].here, found["driver"].baseline) == (("1000.1",), ("999.99",))
    assert found["ecc"].is_unknown
    assert not found["driver"].is_unknown
    assert (found["temperature_start_c"].here, found["temperature_start_c"].baseline) == ((75.0,), (61.0,))
    assert "power_limit_w" in found
    assert "default_power_limit_w" not in found, "a trait of the card"
    assert not compared([*factory.run(A), *other_run(factory.run(A, seed=2))], by="run").differences


def test_windows_far_from_their_group_are_named_and_stay() -> None:
    records = factory.run(A, 12, workloads=[factory.sha256d])
    records[4] = replace(records[4], rate_per_s=records[4].rate_per_s / 3)
    result = compared(records)
    (far,) = result.outliers
    assert (far.file, far.line, far.subject) == ("this run", 6, A.name)
    assert far.share == pytest.approx(1 / 3, rel=0.02)
    assert one(result, A.name).repeats == 12
    assert one(result, A.name).value == pytest.approx(A.hash_per_s, rel=0.01)
    assert compared(factory.run(A, 12)).outliers == ()


def test_a_table_of_many_comparisons_shows_none_by_chance_alone() -> None:
    """A difference with p = 2% is a verdict by itself, and is taken back among forty others."""

    def noisy(seed: int) -> list[Record]:
        return factory.run(A, 12, workloads=[factory.sha256d], rate_sd=0.03, seed=seed)

    drivers = [replace(record, driver="1000.1") for record in noisy(2)]
    base = noisy(1)

    def changed(factor: float, many: int) -> list[Record]:
        """The first task differs by ``factor``, the others only by noise; a batch size for each."""
        return [
            replace(record, batch=batch, rate_per_s=record.rate_per_s * (factor if batch == 0 and new else 1.0))
            for batch in range(many)
            for new, records in enumerate((base, drivers))
            for record in records
        ]

    def first(many: int) -> Comparison:
        result = compared(changed(1.015, many), by="driver", metrics=["rate_per_s"])
        return next(item for item in result.comparisons if item.ratio and item.key["batch"] == 0)

    alone, among = first(1), first(40)
    assert alone.p_value is not None
    assert 0.05 / 40 < alone.p_value < 0.05
    assert alone.verdict == "faster"
    assert among.ratio_low == alone.ratio_low
    assert among.verdict == "cannot tell"
    assert "of 40 comparisons some do by chance" in str(among.reason)


def test_a_driver_is_only_set_against_a_driver_on_the_same_card() -> None:
    newer = [
        replace(r, driver="1000.1", rate_per_s=r.rate_per_s * 1.2) for r in factory.run(B, workloads=[factory.sha256d])
    ]
    older = factory.run(B, workloads=[factory.sha256d])
    result = compared([*factory.run(A), *older, *newer], by="driver")
    (line,) = [x for x in result.comparisons if x.key["driver"] == "1000.1" and x.metric == "rate_per_s"]
    assert line.ratio == pytest.approx(1.2)
    only_a = compared([*factory.run(A), *newer], by="driver")
    (line,) = [x for x in only_a.comparisons if x.key["driver"] == "1000.1" and x.metric == "rate_per_s"]
    assert line.ratio is None


# ---------------------------------------------------------------------------------------------------------------------
# keys, means


def test_only_the_columns_that_differ_are_shown() -> None:
    result = compared([*factory.run(A), *factory.run(B)])
    assert result.shown[:2] == ("device_name", "workload")
    assert "mode" not in result.shown
    assert result.common["mode"] == "standard"
    assert result.about[B.name] == {"power_limit_w": 300.0, "default_power_limit_w": 300.0}
    assert result.common["driver"] == "999.99"
    detail = [replace(factory.gemm(A, repeat), product=name) for name in ("qkv", "o") for repeat in (1, 2)]
    assert "product" in compared(detail).shown
    assert "dtype" not in compared(detail).shown


def three_types(card: factory.Card, factor: float = 1.0) -> list[Record]:
    return [
        replace(record, dtype=dtype, rate_per_s=record.rate_per_s * (factor if dtype == "fp16" else 1.0))
        for dtype in ("bf16", "fp16", "fp32")
        for record in factory.run(card, workloads=[factory.gemm], rate_sd=1e-3)
    ]


def test_geometric_means_run_over_the_intersection_only() -> None:
    third = replace(B, name="Example GPU E", uuid="GPU-e")
    lacking = [record for record in three_types(third) if record.dtype != "fp32"]
    result = compared([*three_types(A), *three_types(B, 2.0), *lacking])
    means = {(mean.key["device_name"], mean.metric): mean for mean in result.means}
    mean = means[B.name, "rate_per_s"]
    assert mean.repeats == 2
    assert mean.ratio == pytest.approx(B.flop_per_s / A.flop_per_s * math.sqrt(2.0))
    assert "bf16" in str(mean.reason)
    assert "fp32" not in str(mean.reason)
    assert all(mean.key["workload"] == "transformer" for mean in result.means)
    # without the card that lacks a type, all three count
    assert compared([*three_types(A), *three_types(B)]).means[0].repeats == 3


def test_no_mean_over_one_task_and_none_of_hashes_with_flops() -> None:
    assert compared([*factory.run(A), *factory.run(B)]).means == ()


@pytest.mark.parametrize("by", ["mood", "workload", "line"])
def test_an_unknown_by_is_refused(by: str) -> None:
    with pytest.raises(BenchError, match="is not known"):
        compared(factory.run(A), by=by)


def test_unknown_baseline_metric_and_no_rows() -> None:
    both = [*factory.run(A), *factory.run(B)]
    with pytest.raises(BenchError, match="matches none of them") as told:
        compared(both, baseline="H999")
    assert A.name in told.value.fix
    with pytest.raises(BenchError, match="matches 2 of them"):
        compared(both, baseline="Example")
    with pytest.raises(BenchError, match="no metric 'speed'"):
        compared(both, metrics=["speed"])
    with pytest.raises(BenchError, match="no rows"):
        compare.compare(storage.to_frame(both).iloc[:0])


def test_every_by_works_on_a_frame_as_read(tmp_path: Path) -> None:
    factory.write(tmp_path / "a.csv", factory.run(A))
    factory.write(tmp_path / "b.csv", factory.run(B))
    frame = storage.read([tmp_path], compare.COLUMNS)
    for by in [*compare.SUBJECTS, "driver", "dtype", "mig", "power_limit_w", "energy_scope"]:
        result = compare.compare(frame, by=by)
        assert len(result.comparisons) >= 4 * 3
    assert compare.compare(frame, by="file").subjects == (str(tmp_path / "a.csv"), str(tmp_path / "b.csv"))


def test_flat_rows_hold_everything(tmp_path: Path) -> None:
    result = published.with_published(
        compared([*factory.run(A), *factory.run(B), factory.invalid(factory.sha256d(B, 7))]), ["B200"]
    )
    items = compare.flat(result)
    assert {item["kind"] for item in items} == {"group", "published", "difference", "invalid row"}
    assert len({tuple(item) for item in items}) == 1
    invalid = next(item for item in items if item["kind"] == "invalid row")
    assert "frozen" in invalid["reason"]


# ---------------------------------------------------------------------------------------------------------------------
# --fail-if


@pytest.fixture(scope="module")
def both() -> compare.Result:
    return compared([*factory.run(A), *factory.run(B)])


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        ("sha256d.rate_per_s<0.95", 1),
        ("sha256d.rate_per_s<0.5", 0),
        ("sha256d.rate_per_s>0.5", 1),
        ("rate_per_s<95%", 2),
        ("transformer.gemm.bf16.rate_per_s <= 0.4", 1),
        ("transformer.llama3-8b.b1.s8192.work_per_j<0.9", 1),
        ("sha256d.scan.work_per_j<0.95", 0),
        ("sha256d.work_per_j>=1.0", 1),
    ],
)
def test_conditions(both: compare.Result, text: str, failed: int) -> None:
    (condition,) = gate.conditions(text)
    judgement = gate.judge(both, condition)
    assert len(judgement.failed) == failed
    assert judgement.judged >= failed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "work_per_j",
        "sha256d.quick",
        "work_per_j=0.9",
        "work_per_j<",
        "<0.9",
        "a.b.work_per_j<x",
        "work_per_j<0",
        "work_per_j<-1",
        "work_per_j<0.9 or 1",
    ],
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(BenchError, match="--fail-if"):
        gate.conditions(text)


def test_unknown_names_are_refused_with_the_choices(both: compare.Result) -> None:
    with pytest.raises(BenchError, match="no metric 'hashrate'") as told:
        gate.conditions("sha256d.hashrate<0.9")
    assert "work_per_j" in told.value.fix
    with pytest.raises(BenchError, match="do not contain") as told:
        gate.judge(both, *gate.conditions("scrypt.rate_per_s<0.9"))
    assert "sha256d" in told.value.fix
    with pytest.raises(BenchError, match="do not contain"):
        gate.judge(both, *gate.conditions("transformer.fp8.rate_per_s<0.9"))


def test_a_gate_that_judges_nothing_does_not_pass(both: compare.Result) -> None:
    with pytest.raises(BenchError, match="cannot be judged"):
        gate.judge(both, *gate.conditions("sha256d.tokens_per_s<0.9"))
    with pytest.raises(BenchError, match="cannot be judged"):
        gate.judge(both, *gate.conditions("sha256d.bf16.rate_per_s<0.9"))
    with pytest.raises(BenchError, match="needs a baseline"):
        gate.judge(compared(factory.run(A)), *gate.conditions("rate_per_s<0.9"))
    lacking = compared([*factory.run(A), *factory.run(B, workloads=[factory.gemm])])
    with pytest.raises(BenchError, match="cannot be judged"):
        gate.judge(lacking, *gate.conditions("sha256d.rate_per_s<0.9"), allow_missing=True)


def fallen_back(records: list[Record]) -> list[Record]:
    return [
        replace(record, implementation="torch-portable") if record.workload == "sha256d" else record
        for record in records
    ]


def lost(records: list[Record]) -> list[Record]:
    return [factory.invalid(record) if record.workload == "sha256d" else record for record in records]


@pytest.mark.parametrize(
    ("other", "says", "code"),
    [
        (factory.run(B, workloads=[factory.gemm]), "not measured", EXIT_REGRESSION),
        (fallen_back(factory.run(B)), "torch-portable against native", EXIT_REGRESSION),
        (lost(factory.run(B)), "frozen", EXIT_INVALID),
        ([*factory.run(B, workloads=[factory.gemm]), factory.sha256d(B)], "no spread", EXIT_REGRESSION),
        ([*factory.run(B, workloads=[factory.gemm]), *factory.run(B, metered=False)], "", 0),
    ],
    ids=["missing", "fell back", "invalid", "one window", "nothing wrong"],
)
def test_a_gate_fails_closed(other: list[Record], says: str, code: int) -> None:
    """Nothing here is slower than the bound; what the baseline has must all be there."""
    (condition,) = gate.conditions("rate_per_s<0.1")
    result = compared([*factory.run(A), *other])
    judgement = gate.judge(result, condition)
    assert judgement.exit_code == code
    assert says in " ".join(judgement.missing)
    assert bool(judgement.missing) == bool(code)
    assert judgement.failed == ()
    assert gate.judge(result, condition, allow_missing=True).exit_code == 0


def test_an_invalid_baseline_fails_a_gate_with_its_own_code() -> None:
    result = compared([*factory.run(A), *lost(factory.run(B))], baseline=B.name)
    judgement = gate.judge(result, *gate.conditions("rate_per_s<0.1"))
    assert judgement.exit_code == EXIT_INVALID
    assert "the baseline is invalid" in judgement.missing[0]


def test_a_missing_energy_figure_fails_an_energy_gate() -> None:
    unmetered = compared([*factory.run(A), *factory.run(B, metered=False)])
    judgement = gate.judge(unmetered, *gate.conditions("work_per_j<0.1"))
    assert judgement.exit_code == EXIT_REGRESSION
    assert "no watts" in judgement.missing[0]


@pytest.mark.parametrize(
    ("text", "failed"),
    [("slower", 2), ("sha256d.slower", 1), ("faster", 0), ("sha256d.scan.better", 1), ("worse", 1), ("less", 2)],
)
def test_a_verdict_is_a_condition(both: compare.Result, text: str, failed: int) -> None:
    judgement = gate.judge(both, *gate.conditions(text))
    assert len(judgement.failed) == failed
    assert judgement.exit_code == (EXIT_REGRESSION if failed else 0)


def test_a_ratio_below_the_bound_by_noise_raises_no_alarm() -> None:
    noisy = factory.run(replace(A, name="Example GPU D", uuid="GPU-d"), 3, rate_sd=0.2, seed=3)
    result = compared([*factory.run(A, 3, rate_sd=0.2), *noisy])
    low = [item for item in result.comparisons if item.ratio and item.ratio < 0.95 and item.metric == "rate_per_s"]
    assert low, "the point alone would have failed"
    assert gate.judge(result, *gate.conditions("rate_per_s<0.95")).failed == ()


def test_a_shape_with_dots_in_its_name_can_be_named() -> None:
    dotted = [
        replace(record, shape="qwen2.5-7b") for card in (A, B) for record in factory.run(card, workloads=[factory.gemm])
    ]
    judgement = gate.judge(compared(dotted), *gate.conditions("transformer.qwen2.5-7b.rate_per_s<0.9"))
    assert len(judgement.failed) == 1


# ---------------------------------------------------------------------------------------------------------------------
# published figures


def test_every_published_card_has_a_driver_s_name() -> None:
    named = {name for card in cards.every() for name in card.names}
    assert {figure.card for figure in published.figures()} <= named


def test_published_figures_are_laid_beside_and_in_no_statistic() -> None:
    here = [replace(record, device_name="NVIDIA H100 80GB HBM3") for record in factory.run(A)]
    plain = compared([*here, *factory.run(B)])
    laid = published.with_published(plain, ["B200"])
    assert laid.comparisons == plain.comparisons
    assert laid.means == plain.means
    assert {line.key["device_name"] for line in laid.published} == {"H100 SXM", "B200"}
    assert {line.verdict for line in laid.published} == {"published"}
    assert all(line.ratio is None and line.low is None and line.repeats == 0 and line.reason for line in laid.published)
    (rate,) = [
        line
        for line in laid.published
        if line.key["device_name"] == "H100 SXM"
        and line.key["published_metric"] == "bf16_dense"
        and line.key["published_kind"] == "measured"
    ]
    assert (rate.metric, rate.unit, rate.value) == ("rate_per_s", "FLOP/s", 795e12)
    assert "ml-engineering" in str(rate.reason)
    # types that nobody measured here are not laid beside
    assert not [line for line in laid.published if line.key["dtype"] == "fp8"]
    with pytest.raises(BenchError, match="no published figures"):
        published.with_published(plain, ["H999"])
    assert len(published.with_published(plain, ["all"]).published) > 60


@pytest.mark.parametrize(
    "row",
    [
        "X,bf16_dense,peak,many,TFLOP/s,s,",
        "X,bf16_dense,peak,-1,TFLOP/s,s,",
        "X,bf16_dense,hoped,1,TFLOP/s,s,",
        "X,bf16_dense,peak,1,TFLOP/s,,",
        "X,bf16_dense",
    ],
)
def test_a_published_figure_without_its_source_is_refused(tmp_path: Path, row: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(f"card,metric,kind,value,unit,source,note\n{row}\n")
    with pytest.raises(BenchError, match="line 2"):
        published.figures(path)


def test_compare_loads_no_gpu_stack() -> None:
    imports = "from bench.analysis import compare, estimate, gate, published; from bench import output"
    script = f"import sys; {imports}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert not {"torch", "cupy", "pandas", "scipy"} & set(done.stdout.split())
