"""Frontiers over power limits: which rows count, how a point averages, and where the knee is."""

from __future__ import annotations

import pytest

from bench.analysis.frontier import FLAT, SETTING, Point, frontiers, knee
from bench.model import Record
from tests.support import factory


def at(limit_w: float, watts: float, rate: float, window_s: float = 30.0, **changes: object) -> Record:
    card = factory.Card(limit_w=limit_w, hash_w=watts, hash_per_s=rate)
    return factory.sha256d(card, window_s=window_s, **changes)


def point(power_w: float, rate: float, limit_w: float = 1.0) -> Point:
    return Point(limit_w, power_w, rate, rate / power_w, 1)


def test_points_average_the_windows_of_each_limit() -> None:
    rows = [at(300, 290, 6e9), at(200, 190, 5e9, 10.0), at(200, 170, 4e9, 30.0)]
    (found,) = frontiers(rows)
    low, high = found.points
    assert (low.limit_w, low.windows, low.rate_per_s) == (200, 2, 4.5e9)
    assert low.power_w == pytest.approx((190 * 10 + 170 * 30) / 40)
    assert low.work_per_j == pytest.approx((5e10 + 12e10) / (190 * 10 + 170 * 30))
    assert (high.limit_w, high.windows) == (300, 1)
    assert found.best == ()  # one limit has no interval
    assert found.knee is None
    assert found.work_unit == "hash"
    assert found.label == "sha256d scan"
    assert dict(found.setting) == {name: getattr(rows[0], name) for name in SETTING}


def test_the_best_is_not_the_knee() -> None:
    true = [(100, 1.0e9), (200, 1.9e9), (300, 2.0e9)]
    (found,) = frontiers(at(watts, watts, rate * factor) for watts, rate in true for factor in (1, 1.0001, 0.9999))
    assert [one.limit_w for one in found.best] == [100]
    assert found.knee == found.points[1]


@pytest.mark.parametrize(
    "change", [{"valid": False}, {"verified": False}, {"power_limit_w": None}, {"work_per_j": None}]
)
def test_a_row_that_lacks_something_is_left_out(change: dict[str, object]) -> None:
    rows = [at(200, 190, 5e9), at(300, 290, 6e9, **change)]
    (found,) = frontiers(rows)
    assert [one.limit_w for one in found.points] == [200]
    assert frontiers(rows[1:]) == []


@pytest.mark.parametrize("name", SETTING)
def test_rows_of_another_setting_are_another_frontier(name: str) -> None:
    other = 7 if name in ("batch", "seq") else "other"
    assert len(frontiers([at(200, 190, 5e9), at(200, 190, 5e9, **{name: other})])) == 2


def test_the_knee_is_furthest_above_the_line_between_the_ends() -> None:
    points = [point(100, 10), point(250, 19), point(200, 18), point(300, 20)]
    assert knee(points) == points[2]
    assert knee(points[::-1]) == points[2]


@pytest.mark.parametrize(
    ("points", "why"),
    [
        ([point(100, 10), point(300, 20)], "two points"),
        ([point(100, 10), point(200, 15), point(300, 20)], "a straight line"),
        ([point(100, 10), point(200, 10.1), point(300, 10 / (1 - FLAT))], "the rate hardly moves"),
        ([point(100, 10), point(200, 12), point(300, 20)], "all below the line"),
        ([point(100, 10), point(100, 15), point(100, 20)], "one power"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_there_is_no_knee(points: list[Point], why: str) -> None:
    assert knee(points) is None


def test_three_points_have_a_knee() -> None:
    points = [point(100, 10), point(200, 18), point(300, 20)]
    assert knee(points) == points[1]
