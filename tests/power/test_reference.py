"""Gain and offset from two meters: the fit, on simulated meters and on wrong input."""

from __future__ import annotations

import random
import statistics

import pytest

from bench.model import BenchError
from bench.model.sensor_test import Level
from bench.power.reference import different_levels, fit_levels

GAIN, OFFSET_W = 1.05, 12.0


def levels(seed: int, true_sd_w: float = 0.5, reading_sd_w: float = 1.0, powers: int = 4) -> list[Level]:
    """Each power twice; both meters err at random, and their half-widths say by how much."""
    chance = random.Random(seed)
    found = []
    for _ in range(2):
        for number in range(powers):
            watts = 80 + 100 * number
            found.append(
                Level(
                    watts + chance.gauss(0, true_sd_w),
                    2 * true_sd_w,
                    GAIN * watts + OFFSET_W + chance.gauss(0, reading_sd_w),
                    2 * reading_sd_w,
                )
            )
    return found


def test_without_errors_the_line_is_exact() -> None:
    line = fit_levels(levels(1, 0.0, 0.0))
    assert line.gain == pytest.approx(GAIN, abs=1e-9)
    assert line.offset_w == pytest.approx(OFFSET_W, abs=1e-6)


@pytest.mark.parametrize("errors", [(0.5, 1.0), (2.0, 0.2), (3.0, 3.0)])
def test_the_half_widths_hold_the_truth_in_95_of_100(errors: tuple[float, float]) -> None:
    lines = [fit_levels(levels(seed, *errors)) for seed in range(400)]
    gain = statistics.mean(abs(line.gain - GAIN) <= line.gain_uncertainty * line.gain for line in lines)
    offset = statistics.mean(abs(line.offset_w - OFFSET_W) <= line.offset_uncertainty_w for line in lines)
    assert gain >= 0.94
    assert offset >= 0.94
    # errors in the reference alone would flatten a plain line; this one keeps its slope
    assert statistics.mean(line.gain for line in lines) == pytest.approx(GAIN, abs=0.002)


def test_windows_that_scatter_more_than_they_say_widen_the_result() -> None:
    honest = fit_levels(levels(1, 1.0, 3.0))
    boastful = fit_levels([Level(level.true_w, 0.02, level.reading_w, 0.06) for level in levels(1, 1.0, 3.0)])
    assert boastful.scatter > 10
    assert boastful.gain_uncertainty > 0.3 * honest.gain_uncertainty


def test_the_references_own_uncertainty_is_added() -> None:
    line = fit_levels(levels(1), reference_gain=0.01, reference_offset_w=2.0)
    assert line.gain_uncertainty > 0.01
    assert line.offset_uncertainty_w > 2.0 * GAIN


@pytest.mark.parametrize("powers", [1, 2])
def test_fewer_than_three_levels_are_refused(powers: int) -> None:
    with pytest.raises(BenchError, match=f"lie at {powers} power level"):
        fit_levels(levels(1, powers=powers))
    assert different_levels(levels(1, powers=powers)) == powers


def test_readings_that_fall_as_power_rises_are_refused() -> None:
    falling = [Level(watts, 1.0, 500 - watts, 1.0) for watts in (100.0, 200.0, 300.0)]
    with pytest.raises(BenchError, match="do not rise"):
        fit_levels(falling)
