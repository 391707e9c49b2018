"""Details of a comparison that no table shows alone: the sensor's offset, means over tasks, and the flat rows."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from bench import storage
from bench.analysis import compare
from bench.model import Record
from tests.support import factory

A = factory.CARD_A


def compared(records: list[Record], by: str = "card") -> compare.Result:
    return compare.compare(storage.to_frame(records), by=by)


def at(watts: float, gain: float, offset_w: float, seed: int) -> list[Record]:
    error_w = math.hypot(gain * watts, offset_w)
    return [
        replace(record, power_limit_w=watts, sensor_uncertainty_j=error_w * record.window_s)
        for record in factory.run(replace(A, hash_w=watts), 6, power_sd=1e-6, seed=seed, workloads=[factory.sha256d])
    ]


@pytest.mark.parametrize(("gain", "offset_w"), [(0.2, 5.0), (0.05, 20.0)])
def test_the_offset_is_what_the_gain_does_not_explain(gain: float, offset_w: float) -> None:
    result = compared([*at(100.0, gain, offset_w, 1), *at(50.0, gain, offset_w, 2)], by="power-limit")
    (line,) = (item for item in result.comparisons if item.metric == "power_mean_w" and item.ratio_high is not None)
    assert line.ratio is not None
    assert line.ratio_high is not None
    assert math.log(line.ratio_high / line.ratio) == pytest.approx(offset_w * (1 / 50 - 1 / 100), rel=0.01)


@pytest.mark.parametrize(("factor", "verdict"), [(1.5, "faster"), (0.6, "slower"), (1.0, "cannot tell")])
def test_the_mean_over_tasks_has_a_verdict(factor: float, verdict: str) -> None:
    other = replace(
        A, name="Example GPU D", uuid="GPU-d", hash_per_s=A.hash_per_s * factor, flop_per_s=A.flop_per_s * factor
    )

    def wide(card: factory.Card, repeat: int, **changes: Any) -> Record:
        return factory.gemm(card, repeat, dtype="fp32", **changes)

    both = [factory.gemm, wide]
    records = [
        *factory.run(A, 8, rate_sd=1e-4, workloads=both),
        *factory.run(other, 8, rate_sd=1e-4, seed=2, workloads=both),
    ]
    means = [item for item in compared(records).means if item.metric == "rate_per_s"]
    assert means
    for mean in means:
        assert mean.ratio == pytest.approx(factor, rel=1e-3)
        assert mean.verdict == verdict


def test_outliers_are_flat_rows_with_their_share() -> None:
    records = factory.run(A, 12, workloads=[factory.sha256d])
    records[4] = replace(records[4], rate_per_s=records[4].rate_per_s * 0.7, work=records[4].work * 0.7)
    result = compared(records)
    (far,) = result.outliers
    (row,) = (row for row in compare.flat(result) if "outlier" in row.values())
    assert row["ratio"] == far.share == pytest.approx(0.7, rel=0.02)
    assert row["metric"] == "rate_per_s"


@pytest.mark.parametrize(
    ("used", "says"),
    [
        ({"others_cpu_s": 9.0, "steal_s": 2.0}, "other processes took 45% of the CPU time and other machines"),
        ({"others_cpu_s": 0.1, "steal_s": 7.0}, "other machines of the host took 35% of the CPU time"),
        ({"others_cpu_s": 1.0, "steal_s": 0.0}, None),
        ({"others_cpu_s": 9.0, "steal_s": 2.0, "device_kind": "cuda"}, None),
        ({}, None),
    ],
)
def test_an_outlier_is_named_with_what_explains_it(used: dict[str, Any], says: str | None) -> None:
    """Windows of 10 s on two cores: 20 CPU seconds."""
    cpu = {"device_kind": "cpu", "device_cores": 2, "window_s": 10.0} | {
        name: value for name, value in used.items() if name == "device_kind"
    }
    records = [replace(record, **cpu) for record in factory.run(A, 12, workloads=[factory.sha256d])]
    records[4] = replace(records[4], rate_per_s=records[4].rate_per_s * 0.5, **used)
    (far,) = compared(records).outliers
    if says is None:
        assert far.cause is None
    else:
        assert says in (far.cause or "")
        assert sum(far.cause in str(row["reason"]) for row in compare.flat(compared(records))) == 1
