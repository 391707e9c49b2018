"""A simulated study with known truth: do the intervals cover it, and is "faster" rarely wrong?

1,000 pairs of runs go through the whole of compare in one call, each pair as a task of its own.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from bench import storage
from bench.analysis import compare
from tests.support import factory

PAIRS = 1000


def study(ratio: float, repeats: tuple[int, int], spread: tuple[float, float], *, seed: int) -> pd.DataFrame:
    """Rate noise of sd ``spread`` (log-normal) on two cards whose true rates are ``ratio`` apart."""
    random = np.random.default_rng(seed)
    one = storage.to_frame([factory.sha256d(factory.CARD_A), factory.sha256d(factory.CARD_B)])
    parts = []
    for card, (count, sd, scale) in enumerate(zip(repeats, spread, (1.0, ratio), strict=True)):
        part = one.iloc[np.full(PAIRS * count, card)].reset_index(drop=True)
        part["seq"] = pd.array(np.repeat(np.arange(PAIRS), count), dtype="Int64")
        part["rate_per_s"] = 1e9 * scale * np.exp(random.normal(0.0, sd, PAIRS * count))
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def ratios(frame: pd.DataFrame) -> list[compare.Comparison]:
    found = compare.compare(frame, metrics=["rate_per_s"]).comparisons
    lines = [line for line in found if line.verdict != "baseline"]
    assert len(lines) == PAIRS
    return lines


@pytest.mark.parametrize("repeats", [(3, 3), (5, 5), (3, 8), (10, 10)])
@pytest.mark.parametrize("spread", [(0.01, 0.01), (0.004, 0.02), (0.1, 0.1)])
def test_intervals_cover_the_true_ratio(repeats: tuple[int, int], spread: tuple[float, float]) -> None:
    """93–97% of 1,000, as stated. Welch's interval is known to be a little wide at three windows."""
    lines = ratios(study(1.07, repeats, spread, seed=11))
    covered = np.mean([line.ratio_low <= 1.07 <= line.ratio_high for line in lines])
    few = min(repeats) <= 3
    assert 0.93 <= covered <= (0.985 if few else 0.97)


def test_intervals_of_a_value_cover_it() -> None:
    found = compare.compare(study(1.0, (5, 5), (0.02, 0.02), seed=3), metrics=["rate_per_s"]).comparisons
    covered = np.mean([line.low <= 1e9 <= line.high for line in found])
    assert 0.935 <= covered <= 0.965


@pytest.mark.parametrize("repeats", [(3, 3), (5, 5), (10, 10)])
@pytest.mark.parametrize("spread", [(0.003, 0.003), (0.02, 0.02), (0.003, 0.03)])
def test_equal_cards_are_seldom_called_faster(repeats: tuple[int, int], spread: tuple[float, float]) -> None:
    lines = ratios(study(1.0, repeats, spread, seed=17))
    wrong = np.mean([line.verdict in ("faster", "slower") for line in lines])
    assert wrong <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / PAIRS)
    assert np.mean([line.verdict == "faster" for line in lines]) <= 0.05


def test_a_real_difference_is_found_and_has_the_right_sign() -> None:
    lines = ratios(study(1.05, (5, 5), (0.01, 0.01), seed=23))
    said = [line.verdict for line in lines]
    assert said.count("faster") / PAIRS > 0.99
    assert said.count("slower") == 0


def test_the_study_can_fail() -> None:
    """The same count with a normal quantile instead of Student's: three windows then cover too seldom."""
    lines = ratios(study(1.07, (3, 3), (0.01, 0.01), seed=11))
    normal = []
    for line in lines:
        half = math.log(line.ratio_high / line.ratio) * 1.96 / 2.9
        normal.append(abs(math.log(line.ratio / 1.07)) <= half)
    assert np.mean(normal) < 0.93


def test_runs_that_differ_are_the_unit_of_several_runs() -> None:
    """Five runs of six windows; the runs differ by 2%, their windows by 0.3%. Pooled windows cover far too seldom."""
    random = np.random.default_rng(29)
    runs, windows = 5, 6
    one = storage.to_frame([factory.sha256d(factory.CARD_A), factory.sha256d(factory.CARD_B)])
    parts = []
    for card, scale in enumerate((1.0, 1.07)):
        part = one.iloc[np.full(PAIRS * runs * windows, card)].reset_index(drop=True)
        part["seq"] = pd.array(np.repeat(np.arange(PAIRS), runs * windows), dtype="Int64")
        part["run_id"] = pd.Categorical(np.tile(np.repeat([f"r{n}" for n in range(runs)], windows), PAIRS))
        between = np.repeat(random.normal(0.0, 0.02, PAIRS * runs), windows)
        part["rate_per_s"] = 1e9 * scale * np.exp(between + random.normal(0.0, 0.003, len(part)))
        parts.append(part)
    frame = pd.concat(parts, ignore_index=True)
    covered = np.mean([line.ratio_low <= 1.07 <= line.ratio_high for line in ratios(frame)])
    assert 0.93 <= covered <= 0.97
    pooled = np.mean([line.ratio_low <= 1.07 <= line.ratio_high for line in ratios(frame.assign(run_id="one"))])
    assert pooled < 0.75
