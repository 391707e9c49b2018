"""The default rule's interval covers what it says; a rule that peeks does not (docs/method.md has the whole table)."""

from __future__ import annotations

import math

import pytest

from tests.support.stopping_study import COUNTS, coverage


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.005, 0.05])
@pytest.mark.parametrize("count", COUNTS.values())
def test_a_count_fixed_beforehand_covers_95_percent(count, noise):
    all_runs, ended_early, share = coverage("count", noise, 0.0, count, 1500)
    assert all_runs >= 0.955
    assert share == 0
    assert math.isnan(ended_early)


@pytest.mark.slow
@pytest.mark.parametrize("count", COUNTS.values())
def test_autocorrelated_windows_are_covered_too(count):
    """1,500 runs of a true 94.5% have a standard deviation of 0.6%."""
    assert coverage("count", 0.02, 0.3, count, 1500)[0] >= 0.93


@pytest.mark.slow
def test_the_study_sees_that_peeking_covers_less():
    _, ended_early, share = coverage("half-width", 0.02, 0.0, 12, 800)
    assert share > 0.05
    assert ended_early < 0.9
