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
