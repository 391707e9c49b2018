"""Figures: no figure bent by its prefix, equal things with equal digits."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.output import format as fmt

PREFIXES = {"E": 1e18, "P": 1e15, "T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3, "": 1.0, "m": 1e-3, "µ": 1e-6}


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (8.0655e9, "hash/s", "8.066 GH/s"),
        (8.0655e9, "H/s", "8.066 GH/s"),
        (999_960.0, "hash/s", "1.000 MH/s"),
        (999_940.0, "hash/s", "999.9 kH/s"),
        (7.0e14, "FLOP/s", "700.0 TFLOP/s"),
        (1.03e12, "FLOP/J", "1.030 TFLOP/J"),
        (640.12, "W", "640.1 W"),
        (1400.0, "W", "1400 W"),
        (0.25, "tokens/J", "0.2500 tokens/J"),
        (12.0, "tokens/s", "12.00 tokens/s"),
        (12_345.6, "tokens/s", "12350 tokens/s"),
        (3.21e6, "tokens/s", "3.210 Mtokens/s"),
        (7.7e12, "B/s", "7.700 TB/s"),
        (0.0, "hash/s", "0 H/s"),
        (None, "W", "–"),
        (math.nan, "W", "–"),
        (math.inf, "W", "–"),
    ],
)
def test_quantities(value: float | None, unit: str, text: str) -> None:
    assert fmt.quantity(value, unit) == text


@given(st.floats(1e-3, 1e20))
def test_a_quantity_reads_back_within_its_digits(value: float) -> None:
    number, unit = fmt.quantity(value, "hash/s").split()
    assert float(number) * PREFIXES[unit.removesuffix("H/s")] == pytest.approx(value, rel=6e-4)
    assert 0.99 <= float(number) < 1000.0


def test_one_prefix_serves_all_values_of_an_axis() -> None:
    assert fmt.scale([2e9, 8e12], "hash/s") == (1e12, "TH/s")
    assert fmt.scale([], "W") == (1.0, "W")
    assert fmt.scale([0.0], "hash/s") == (1.0, "H/s")
    assert fmt.scale([8000.0], "tokens/s") == (1.0, "tokens/s")


def test_half_widths() -> None:
    assert fmt.plus_minus(100.0, 99.0, 101.0) == "±1.0%"
    assert fmt.plus_minus(100.0, None, None) == ""
    assert fmt.plus_minus(1.0, 0.001, 1000.0) == "±>1000%"


def test_bounds_have_the_decimals_of_their_value() -> None:
    assert fmt.interval(1.7161, 1.7032, 1.729) == "1.716 [1.703, 1.729]"
    assert fmt.interval(0.99871, 0.9934, 1.004) == "0.9987 [0.9934, 1.0040]"
    assert fmt.interval(0.99996, None, None) == "1.000"
    assert fmt.interval(None, None, None) == "–"


def test_settings_are_exact_and_measured_figures_keep_their_zeros() -> None:
    assert (fmt.figures(700.0), fmt.digits(700.0)) == ("700", "700.0")
    assert (fmt.figures(0.25), fmt.digits(0.25)) == ("0.25", "0.2500")
    assert fmt.digits(123_456.0) == "123500"
