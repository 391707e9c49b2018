"""Where a card stands: percentiles among verified rows of its model, and a reason where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from bench.analysis import rank, reference
from bench.model import BenchError
from tests.support.factory import gemm, sha256d
from tests.support.fleets import Fault, Fleet


def known(**columns):
    """101 cards, each 0.1% faster than the one before, and as much cooler."""
    faults = {(n, 0): Fault(rate=0.95 + n / 1000, hotter_c=20 - n / 5) for n in range(101)}
    return reference.build(fleet(101, faults).frame(**columns))


def fleet(nodes, faults, makers=(sha256d,)):
    quiet = {"window_sd": 1e-9, "temperature_sd": 0.0, "windows": 3}
    return Fleet(nodes=nodes, cards=1, faults=faults, makers=makers, **quiet)


def mine(rate=1.0, power=1.0, hotter_c=0.0, **columns):
    return fleet(1, {(0, 0): Fault(rate=rate, power=power, hotter_c=hotter_c)}).frame(**columns)


def standing(found, figure="rate_per_s"):
    (one,) = [item for item in found if item.figure == figure]
    return one


def test_the_percentile_is_the_share_of_cards_that_are_worse():
    table = known()
    one = standing(rank.rank(mine(0.9621), table))
    assert one.cards == 101
    assert one.percentile == pytest.approx(100 * 13 / 101)
    assert one.median == pytest.approx(sha256d().rate_per_s)
    found = rank.rank(mine(1.0, power=0.9, hotter_c=0.0), table)
    assert standing(found).percentile == pytest.approx(50, abs=1)
    assert standing(found, "work_per_j").percentile == 100
    assert standing(found, "power_mean_w").percentile == 0  # draws the least
    assert standing(found, "temperature_max_c").percentile > 95  # cooler than the others
    assert standing(rank.rank(mine(2.0), table)).percentile == 100
    assert standing(rank.rank(mine(0.5), table)).percentile == 0


def test_the_interval_of_a_percentile_follows_the_cards_own():
    table = known()
    noisy = Fleet(nodes=1, cards=1, windows=5, window_sd=0.01).frame(3)
    one = standing(rank.rank(noisy, table))
    assert one.low < one.percentile < one.high
    assert one.high - one.low > 5


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"device_name": "Other"}, "no card of this model"),
        ({"power_limit_w": 300.0}, "no card of this model at this task and setting"),
        ({"mode": "quick"}, "no card of this model at this task and setting"),
        ({"options": "x"}, "no card of this model at this task and setting"),
    ],
)
def test_other_models_and_settings_are_not_ranked(columns, reason):
    one = standing(rank.rank(mine(**columns), known()))
    assert (one.percentile, one.median, one.reason) == (None, None, reason)


def test_another_driver_is_ranked_and_joules_of_another_method_or_scope_are_not():
    assert standing(rank.rank(mine(driver="1.0"), known())).percentile is not None
    for columns in ({"method_version": "1"}, {"energy_scope": "module"}):
        found = rank.rank(mine(**columns), known())
        assert standing(found).percentile is not None
        assert standing(found, "work_per_j").percentile is None
        assert "joules cover something else" in standing(found, "work_per_j").reason


def test_few_cards_make_no_percentile():
    table = reference.build(fleet(4, {}).frame())
    one = standing(rank.rank(mine(), table))
    assert (one.percentile, one.cards, one.reason) == (None, 4, "fewer than 5 cards")


def test_a_reference_has_verified_rows_only_and_names_nobody():
    frame = fleet(20, {(n, 0): Fault(rate=9, wrong=True) for n in range(5)}, (sha256d, gemm)).frame()
    table = reference.build(frame)
    assert table["card"].nunique() == 15
    assert len(table) == 30
    assert table["rate_per_s"].max() < 2 * gemm().rate_per_s
    text = table.to_csv()
    assert "GPU-0" not in text
    assert "n0000" not in text
    assert set(table["card"]) == set(range(15))
    assert np.isfinite(table["work_per_j"]).all()


def test_nothing_verified_is_one_sentence():
    frame = fleet(2, {}).frame(valid=False)
    with pytest.raises(BenchError, match="no row is both valid and verified"):
        reference.build(frame)
    with pytest.raises(BenchError, match="no row is both valid and verified"):
        rank.rank(frame, known())
