"""What a power sweep gave: rate, watts and work per joule at each limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from bench.output.document import Document, Grid
from bench.output.format import quantity

if TYPE_CHECKING:
    from bench.analysis.frontier import Frontier


def sweep(frontiers: Sequence[Frontier]) -> Document:
    """One table per workload, the best limit and the knee marked."""
    rows = [
        {
            **dict(frontier.setting),
            "work_unit": frontier.work_unit,
            **asdict(point),
            "best": point == frontier.best,
            "knee": point == frontier.knee,
        }
        for frontier in frontiers
        for point in frontier.points
    ]
    return Document(grids=tuple(map(_grid, frontiers)), rows=rows)


def _grid(frontier: Frontier) -> Grid:
    unit = frontier.work_unit
    rows = []
    for point in frontier.points:
        marks = [name for name, mark in (("most per joule", frontier.best), ("knee", frontier.knee)) if mark == point]
        rows.append(
            (
                quantity(point.limit_w, "W"),
                quantity(point.power_w, "W"),
                quantity(point.rate_per_s, f"{unit}/s"),
                quantity(point.work_per_j, f"{unit}/J"),
                str(point.windows),
                ", ".join(marks),
            )
        )
    header = ("power limit", "power", "rate", "work per joule", "n", "mark")
    return Grid(header, tuple(rows), frozenset(range(5)), title=frontier.label, drop=(4, 1))
