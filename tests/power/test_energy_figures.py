"""The same samples give the same figures, until METHOD_VERSION says that they do not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bench.model import METHOD_VERSION
from tests.support.energy_figures import FILE, SENSORS, WINDOWS, figures

RECORDED: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
NOW = figures()


def test_the_figures_are_those_of_this_method() -> None:
    assert RECORDED["method_version"] == METHOD_VERSION, "write them again: python -m tests.support.energy_figures"
    assert RECORDED.keys() == NOW.keys()


@pytest.mark.parametrize("case", [f"{sensor}, {length}" for sensor in SENSORS for length in WINDOWS])
def test_a_figure_changes_only_with_the_method(case: str) -> None:
    """After a deliberate change raise METHOD_VERSION, then ``python -m tests.support.energy_figures``."""
    recorded, now = RECORDED[case], NOW[case]
    assert recorded.keys() == now.keys()
    for name, value in recorded.items():
        if isinstance(value, float):
            assert now[name] == pytest.approx(value, rel=1e-10), name
        elif name == "idle":
            assert now[name] == [part and pytest.approx(part, rel=1e-10) for part in value]
        else:
            assert now[name] == value, name


def test_the_cases_cover_every_outcome() -> None:
    cases = [case for name, case in RECORDED.items() if name != "method_version"]
    assert {case["method"] for case in cases} == {"counter", "integrated", None}
    assert any(case["crosscheck_ratio"] for case in cases)
    for kind in ("warnings", "invalid_reasons"):
        assert len({text for case in cases for text in case[kind]}) > 4, kind
