"""The estimator: exact where it can be, robust where one window is disturbed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.analysis import estimate

QUIET = [101.2, 100.9, 101.1, 101.0, 101.3, 100.8, 101.15, 100.95, 101.05, 101.1, 100.9, 101.0]


def test_few_windows_get_the_geometric_mean_and_students_t() -> None:
    values = [99.0, 101.0, 102.0]
    logs = np.log(values)
    half = stats.t.ppf(0.975, 2) * logs.std(ddof=1) / math.sqrt(3)
    found = estimate.interval(values)
    assert found.method == "t"
    assert (found.value, found.low, found.high) == pytest.approx(
        (math.exp(logs.mean()), math.exp(logs.mean() - half), math.exp(logs.mean() + half))
    )


def test_five_windows_or_more_get_yuens_estimate() -> None:
    """Alternating values: no positive autocorrelation, so the textbook's formula stands alone."""
    values = [100.0, 103.0, 99.0, 104.0, 98.0, 102.0, 97.0, 105.0, 99.5, 101.5]
    logs = np.sort(np.log(values))
    winsorised = np.clip(logs, logs[2], logs[-3])
    half = stats.t.ppf(0.975, 5) * winsorised.std(ddof=1) / (0.6 * math.sqrt(10))
    # (n − 1)·s²/(h·(h − 1)) is Yuen's; s/((1 − 2γ)·√n) is Tukey and McLaughlin's: close for these sizes
    found = estimate.interval(values)
    assert found.method == "yuen"
    assert math.log(found.value) == pytest.approx(stats.trim_mean(logs, 0.2))
    assert found.low is not None
    assert math.log(found.value / found.low) == pytest.approx(half, rel=0.1)


def test_one_disturbed_window_hardly_moves_the_figure_or_its_interval() -> None:
    quiet, disturbed = estimate.interval(QUIET), estimate.interval([*QUIET[:-1], 40.0])
    assert disturbed.value == pytest.approx(quiet.value, rel=0.002)
    assert disturbed.half_width is not None
    assert disturbed.half_width < 0.004
    logs = np.log([*QUIET[:-1], 40.0])
    plain = estimate.reduce(logs, np.zeros(12, dtype=np.int64), 1, trim=0.0)
    assert estimate.student(11.0) * math.sqrt(plain.variance[0]) > 0.15, "Student's t would have been useless"


def test_windows_that_follow_one_another_widen_the_interval() -> None:
    rising = sorted(QUIET)
    shuffled = [rising[at] for at in (0, 11, 2, 9, 4, 7, 6, 5, 8, 3, 10, 1)]
    drift, random = estimate.interval(rising), estimate.interval(shuffled)
    assert drift.value == random.value
    assert drift.half_width is not None
    assert random.half_width is not None
    assert drift.half_width > 1.5 * random.half_width


def test_one_window_has_no_interval() -> None:
    assert estimate.interval([5.0]) == estimate.Interval(pytest.approx(5.0), None, None, "single")
    assert estimate.interval([5.0]).half_width is None


@pytest.mark.parametrize("values", [[], [1.0, 0.0], [1.0, -1.0], [1.0, math.nan], [1.0, math.inf]])
def test_what_is_not_a_rate_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        estimate.interval(values)


@given(st.lists(st.lists(st.floats(0.1, 1e18), min_size=1, max_size=15), min_size=1, max_size=6))
def test_groups_do_not_influence_one_another(groups: list[list[float]]) -> None:
    """Rows of several groups mixed: each group's result is the one it has alone."""
    rows = [(place, value) for at in range(15) for place, group in enumerate(groups) for value in group[at : at + 1]]
    owner, values = np.array([row[0] for row in rows]), np.log([row[1] for row in rows])
    together = estimate.reduce(values, owner, len(groups) + 1)
    assert math.isnan(together.mean[-1]), "an empty group has no mean"
    for place, group in enumerate(groups):
        alone = estimate.reduce(np.log(group), np.zeros(len(group), dtype=np.int64), 1)
        assert together.mean[place] == pytest.approx(alone.mean[0], rel=1e-9, abs=1e-9)
        np.testing.assert_allclose(together.variance[place], alone.variance[0], rtol=1e-6, atol=1e-12)


def test_outliers_are_far_windows_and_only_those() -> None:
    logs = np.log([*QUIET[:-1], 40.0])
    assert estimate.outliers(logs, np.zeros(12, dtype=np.int64), 1)[0].tolist() == [False] * 11 + [True]
    assert not estimate.outliers(np.log(QUIET), np.zeros(12, dtype=np.int64), 1)[0].any()
    # identical windows and one that is 1% off: not worth a word
    assert not estimate.outliers(np.log([100.0] * 8 + [99.0]), np.zeros(9, dtype=np.int64), 1)[0].any()
    assert not estimate.outliers(np.log([100.0, 100.0, 50.0]), np.zeros(3, dtype=np.int64), 1)[0].any(), (
        "too few to say"
    )
