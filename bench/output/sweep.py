"""What a power sweep gave: rate, watts and work per joule at each limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from bench.output.document import Document, Grid
from bench.output.format import quantity

if TYPE_CHECKING:
    from bench.analysis.frontier import Frontier, Point


def sweep(frontiers: Sequence[Frontier]) -> Document:
    """One table per workload, the best limit and the knee marked."""
    rows = [
        {
            **dict(frontier.setting),
            "work_unit": frontier.work_unit,
            **asdict(point),
            "best": frontier.best == (point,),
            "may_be_best": point in frontier.best,
            "knee": point == frontier.knee,
        }
        for frontier in frontiers
        for point in frontier.points
    ]
    return Document(grids=tuple(map(_grid, frontiers)), rows=rows, notes=tuple(_notes(frontiers)))


def _notes(frontiers: Sequence[Frontier]) -> list[str]:
    if not all(frontier.best for frontier in frontiers):
        return ["no limit is called the best: one window has no interval (measure with --repeats 3 or more)"]
    if any(len(frontier.best) > 1 for frontier in frontiers):
        return ["limits marked as perhaps the best cannot be told apart: their 95% intervals overlap"]
    return []


def _grid(frontier: Frontier) -> Grid:
    unit = frontier.work_unit
    rows = []
    for point in frontier.points:
        marks = ["most per joule" if len(frontier.best) == 1 else "perhaps the best"] * (point in frontier.best)
        marks += ["knee"] * (point == frontier.knee)
        rows.append(
            (
                quantity(point.limit_w, "W"),
                quantity(point.power_w, "W"),
                quantity(point.rate_per_s, f"{unit}/s"),
                quantity(point.work_per_j, f"{unit}/J") + _half_width(point),
                str(point.windows),
                ", ".join(marks),
            )
        )
    header = ("power limit", "power", "rate", "work per joule", "n", "mark")
    return Grid(header, tuple(rows), frozenset(range(5)), title=frontier.label, drop=(4, 1))


def _half_width(point: Point) -> str:
    if point.work_per_j_low is None or point.work_per_j_high is None:
        return ""
    return f" ±{(point.work_per_j_high - point.work_per_j_low) / 2 / point.work_per_j:.1%}"
