"""``--fail-if``: what is read from its text, and which ratios and intervals meet it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench import storage
from bench.analysis import compare, gate
from bench.model import BenchError
from tests.support import factory

A, B = factory.run(factory.CARD_A), factory.run(factory.CARD_B)
ITEM = replace(compare.compare(storage.to_frame([*A, *B])).comparisons[0], verdict="slower")


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("slower", gate.Condition("slower", (), "rate_per_s", verdict="slower")),
        (
            "transformer.gemm.faster",
            gate.Condition("transformer.gemm.faster", ("transformer", "gemm"), "rate_per_s", verdict="faster"),
        ),
        ("rate_per_s < 0.95", gate.Condition("rate_per_s < 0.95", (), "rate_per_s", "<", 0.95)),
        ("sha256d.work_per_j>=150%", gate.Condition("sha256d.work_per_j>=150%", ("sha256d",), "work_per_j", ">=", 1.5)),
        ("rate_per_s<=.5", gate.Condition("rate_per_s<=.5", (), "rate_per_s", "<=", 0.5)),
    ],
)
def test_a_condition_is_read(text: str, condition: gate.Condition) -> None:
    assert gate.conditions(text) == [condition]
    assert gate.conditions([f"{text},{text} ", text]) == [condition] * 3


@pytest.mark.parametrize(
    ("text", "message", "fix"),
    [
        ("rate_per_s<", "--fail-if 'rate_per_s<' is not a condition", "write it as"),
        ("rate_per_s", "--fail-if 'rate_per_s' is not a condition: 'rate_per_s' is not a verdict", "write it as"),
        ("mood<1", "--fail-if 'mood<1': there is no metric 'mood'", "choose from rate_per_s, "),
        ("rate_per_s<0", "--fail-if 'rate_per_s<0' compares a ratio with 0", "give the ratio to the baseline, such as"),
    ],
)
def test_what_is_not_a_condition(text: str, message: str, fix: str) -> None:
    with pytest.raises(BenchError) as caught:
        gate.conditions(text)
    assert caught.value.message == message
    assert caught.value.fix.startswith(fix)


@pytest.mark.parametrize(
    ("condition", "ratio", "low", "high", "holds"),
    [
        ("rate_per_s<0.95", 0.9, 0.8, 0.99, True),
        ("rate_per_s<0.95", 0.9, 0.8, 1.0, False),
        ("rate_per_s<0.95", 0.95, 0.9, 0.97, False),
        ("rate_per_s<=0.95", 0.95, 0.9, 0.97, True),
        ("rate_per_s<=0.95", 0.96, 0.9, 0.97, False),
        ("rate_per_s<1.5", 1.2, 1.1, 1.3, True),
        ("rate_per_s<1", 0.99, 0.9, 1.1, False),
        ("rate_per_s>1.05", 1.1, 1.01, 1.2, True),
        ("rate_per_s>1.05", 1.1, 1.0, 1.2, False),
        ("rate_per_s>1.05", 1.05, 1.04, 1.06, False),
        ("rate_per_s>=1.05", 1.05, 1.04, 1.06, True),
        ("rate_per_s>0.5", 0.6, 0.55, 0.65, True),
        ("rate_per_s>1", 1.1, 0.9, 1.3, False),
        ("slower", 0.9, 0.8, 0.95, True),
        ("faster", 0.9, 0.8, 0.95, False),
    ],
)
def test_a_bound_needs_an_interval_on_its_side_of_one(
    condition: str, ratio: float, low: float, high: float, holds: bool
) -> None:
    item = replace(ITEM, ratio=ratio, ratio_low=low, ratio_high=high)
    assert gate.conditions(condition)[0].holds(item) is holds


def test_a_gate_without_a_baseline_says_what_to_give() -> None:
    with pytest.raises(BenchError) as caught:
        gate.judge(compare.compare(storage.to_frame(A)), gate.conditions("slower")[0])
    assert caught.value.message == "--fail-if 'slower' needs a baseline, but there is only one card"
    assert caught.value.fix == "give CSVs of two, or another --by"
