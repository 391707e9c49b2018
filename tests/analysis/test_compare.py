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
from bench.analysis import compare, gate, published
from bench.analysis import groups as lines
from bench.data import cards
from bench.model import EXIT_INVALID, BenchError, Comparison, Record
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


def test_interval_and_ratio_are_those_of_scipy_on_logs() -> None:
    from scipy import stats

    here, there = factory.run(A, 6, rate_sd=0.05, seed=1), factory.run(B, 4, rate_sd=0.02, seed=2)
    result = compared([*here, *there])
    mine = np.log([record.rate_per_s for record in here if record.workload == "sha256d"])
    theirs = np.log([record.rate_per_s for record in there if record.workload == "sha256d"])
    line = one(result, A.name)
    assert line.value == pytest.approx(math.exp(mine.mean()))
    assert line.repeats == 6
    low, high = stats.t.interval(0.95, 5, mine.mean(), stats.sem(mine))
    assert (line.low, line.high) == pytest.approx((math.exp(low), math.exp(high)))
    other = one(result, B.name)
    reference = stats.ttest_ind(theirs, mine, equal_var=False).confidence_interval(0.95)
    assert other.ratio == pytest.approx(math.exp(theirs.mean() - mine.mean()))
    # the degrees of freedom are rounded to 0.01 so that quantiles can be kept
    assert other.ratio_low == pytest.approx(math.exp(reference.low), rel=1e-4)
    assert other.ratio_high == pytest.approx(math.exp(reference.high), rel=1e-4)
    assert other.verdict == "slower"


def test_rate_over_power_is_work_per_joule_also_in_print() -> None:
    result = compared(factory.run(A, 5, rate_sd=0.2, power_sd=0.2))
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


def test_windows_of_one_run_do_not_pass_for_many_runs() -> None:
    """Two runs 4% apart, each of 20 windows that agree to 0.01%: the spread between runs decides."""
    runs = [
        [
            replace(record, run_id=f"run-{number}", rate_per_s=record.rate_per_s * factor)
            for record in factory.run(A, 20, rate_sd=1e-4, seed=number)
        ]
        for number, factor in enumerate((0.98, 1.02))
    ]
    pooled = one(compared([*runs[0], *runs[1]]), A.name)
    alone = one(compared(runs[0]), A.name)
    assert pooled.repeats == 40
    assert pooled.low is not None
    assert alone.low is not None
    assert (pooled.value - pooled.low) / pooled.value > 0.1  # type: ignore[operator]
    assert (alone.value - alone.low) / alone.value < 1e-3  # type: ignore[operator]


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
        (1.0, 0.001, "same"),
        (1.004, 0.0005, "same"),
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
    assert math.log(line.ratio_high / line.ratio) == pytest.approx(math.hypot(0.11, 0.11), rel=0.01)  # type: ignore[operator]
    assert one(result, near.name, "work_per_j").verdict == "cannot tell"
    assert one(result, near.name).verdict == "same"


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
    assert math.log(line.ratio_high / line.ratio) < 0.01  # type: ignore[operator]


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
        ({"method_version": "0"}, "method_version 0 against 1"),
        ({"implementation": "torch-portable"}, "implementation_class torch-portable against native"),
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


def test_the_baseline_line_of_the_same_setting_is_taken() -> None:
    def at(card: factory.Card, limit: float) -> list[Record]:
        slower = replace(card, hash_per_s=card.hash_per_s * limit / 1000)
        return [replace(r, power_limit_w=limit) for r in factory.run(slower, workloads=[factory.sha256d], rate_sd=1e-3)]

    result = compared([*at(A, 300.0), *at(A, 500.0), *at(B, 300.0), *at(B, 500.0)])
    ratios = [line.ratio for line in result.comparisons if line.ratio and line.metric == "rate_per_s"]
    assert ratios == pytest.approx([B.hash_per_s / A.hash_per_s] * 2)
    assert "power_limit_w" in result.shown
    unclear = compared([*at(A, 300.0), *at(A, 500.0), *at(B, 400.0)])
    line = one(unclear, B.name)
    assert line.ratio is None
    assert "2 results for this task (power_limit_w differ)" in str(line.reason)


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
    assert result.about[B.name] == {"power_limit_w": 300.0}
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
    result = published.lay(
        compared([*factory.run(A), *factory.run(B), factory.invalid(factory.sha256d(B, 7))]), ["B200"]
    )
    items = compare.flat(result)
    assert {item["kind"] for item in items} == {"line", "published", "invalid row"}
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
    unwatted = compared([*factory.run(A), *factory.run(B, metered=False)])
    with pytest.raises(BenchError, match="no watts"):
        gate.judge(unwatted, *gate.conditions("work_per_j<0.9"))


def test_an_invalid_line_fails_a_gate_with_its_own_code() -> None:
    lost = [factory.invalid(record) if record.workload == "sha256d" else record for record in factory.run(B)]
    result = compared([*factory.run(A), *lost])
    with pytest.raises(BenchError, match="frozen") as told:
        gate.judge(result, *gate.conditions("rate_per_s<0.9"))
    assert told.value.exit_code == EXIT_INVALID
    with pytest.raises(BenchError) as told:
        gate.judge(compared([*factory.run(A), *lost], baseline=B.name), *gate.conditions("sha256d.rate_per_s<0.9"))
    assert told.value.exit_code == EXIT_INVALID
    assert len(gate.judge(result, *gate.conditions("transformer.rate_per_s<0.9")).failed) == 1


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
    laid = published.lay(plain, ["B200"])
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
        published.lay(plain, ["H999"])
    assert len(published.lay(plain, ["all"]).published) > 60


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
    imports = "from bench.analysis import compare, gate, published; from bench import output"
    script = f"import sys; {imports}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert not {"torch", "cupy", "pandas", "scipy"} & set(done.stdout.split())
