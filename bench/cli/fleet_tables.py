"""What a worker and a fleet leave, as tables: cards with their state, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from bench.fleet.layout import Missing, Status
from bench.output import Document, Grid


def cards(statuses: Sequence[Status]) -> Document:
    """One line per card."""
    rows = [
        {
            "node": status.node,
            "card": status.card,
            "slot": status.slot,
            "state": status.state,
            "rows": status.rows,
            "unsound_rows": status.unsound_rows,
            "joules": status.joules,
            "error": status.error,
        }
        for status in statuses
    ]
    cells = tuple(
        (
            status.node,
            status.card,
            status.state,
            str(status.rows),
            str(status.unsound_rows),
            "–" if status.joules is None else f"{status.joules:.0f}",
            status.error or "",
        )
        for status in statuses
    )
    styles = tuple("" if status.state == "done" else "red" for status in statuses)
    header = ("node", "card", "state", "rows", "not sound", "joules", "error")
    return Document((Grid(header, cells, frozenset({3, 4, 5}), styles),), rows)


def missing(found: Sequence[Missing]) -> Document:
    """One line per card, or node, that a fleet still lacks."""
    cells = tuple((each.node or "?", each.card or "all", each.reason) for each in found)
    grids = (Grid(("node", "card", "missing because"), cells),) if found else ()
    return Document(grids, [asdict(each) for each in found])
