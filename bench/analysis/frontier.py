"""Rate and efficiency over a card's power limits: where work per joule is best, and where watts stop paying. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from bench.analysis import estimate
from bench.model import Record, TaskKey

SETTING = ("workload", "phase", "shape", "dtype", "batch", "seq", "product", "implementation", "precision", "options")
"""Columns that must match for rows to lie on one frontier."""
FLAT = 0.02
"""A frontier whose rate moves by less than this share has no knee."""


@dataclass(frozen=True, slots=True)
class Point:
    """One power limit: means over its valid windows."""

    limit_w: float
    power_w: float
    rate_per_s: float
    work_per_j: float
    windows: int
    work_per_j_low: float | None = None
    work_per_j_high: float | None = None
    """95% interval of the work per joule from the windows' scatter; None with one window."""


@dataclass(frozen=True, slots=True)
class Frontier:
    """One workload's rate and efficiency over the limits, lowest first."""

    setting: tuple[tuple[str, object], ...]
    """The columns that name the workload."""
    work_unit: str
    points: tuple[Point, ...]
    best: tuple[Point, ...]
    """The limit with the most work per joule; several where their intervals overlap its own, none where a limit has
    no interval."""
    knee: Point | None
    """Beyond it, further watts bring less than the range's average: the point furthest above the straight line from
    the lowest to the highest. None with fewer than three points, or where the rate hardly moves."""

    @property
    def label(self) -> str:
        """The workload in a few words."""
        return TaskKey.of(dict(self.setting)).label


def frontiers(records: Iterable[Record]) -> list[Frontier]:
    """The efficiency frontier of each workload among the rows. Rows without joules or a limit, and invalid ones, are
    left out.
    """
    groups: dict[tuple[tuple[str, object], ...], dict[float, list[Record]]] = {}
    for record in records:
        if record.valid and record.verified and record.power_limit_w is not None and record.work_per_j is not None:
            setting = tuple((name, getattr(record, name)) for name in SETTING)
            groups.setdefault(setting, {}).setdefault(record.power_limit_w, []).append(record)
    found = []
    for setting, by_limit in groups.items():
        points = tuple(_point(limit_w, rows) for limit_w, rows in sorted(by_limit.items()))
        unit = next(iter(by_limit.values()))[0].work_unit
        found.append(Frontier(setting, unit, points, _best(points), knee(points)))
    return found


def _best(points: Sequence[Point]) -> tuple[Point, ...]:
    if any(point.work_per_j_low is None for point in points):
        return ()
    low = max(points, key=lambda point: point.work_per_j).work_per_j_low or 0.0
    return tuple(point for point in points if (point.work_per_j_high or 0.0) >= low)


def _point(limit_w: float, rows: Sequence[Record]) -> Point:
    work = math.fsum(row.work for row in rows)
    joules = math.fsum(row.energy_j for row in rows if row.energy_j is not None)
    found = estimate.interval([row.work_per_j for row in rows if row.work_per_j is not None])
    return Point(
        limit_w=limit_w,
        power_w=joules / math.fsum(row.window_s for row in rows),
        rate_per_s=fmean(row.rate_per_s for row in rows),
        work_per_j=work / joules,
        windows=len(rows),
        work_per_j_low=found.low,
        work_per_j_high=found.high,
    )


def knee(points: Sequence[Point]) -> Point | None:
    """Where watts stop paying: see :attr:`Frontier.knee`."""
    if len(points) < 3:
        return None
    ordered = sorted(points, key=lambda point: point.power_w)
    first, last = ordered[0], ordered[-1]
    span_w, span_rate = last.power_w - first.power_w, last.rate_per_s - first.rate_per_s
    if span_w <= 0 or span_rate <= FLAT * last.rate_per_s:
        return None

    def above(point: Point) -> float:
        return (point.rate_per_s - first.rate_per_s) / span_rate - (point.power_w - first.power_w) / span_w

    furthest = max(ordered, key=above)
    return furthest if above(furthest) > FLAT else None
