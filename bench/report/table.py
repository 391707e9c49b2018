"""A table of the page as plain data; ``templates/macros.html`` writes it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

from bench.output.format import MISSING
from bench.report.language import _

MOST_ROWS = 600
"""Rows of a table on the page; a line below says how many more there are."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell that is more than a text."""

    text: str
    interval: str = ""
    """In small print below the text. Neither is broken over lines where there is one."""
    note: str = ""
    """A sentence in small print below that."""
    sort: float | str | None = None
    """What the column is sorted by; None: the text."""
    out: str | None = None
    """Name of the figure that the page's script rewrites here."""
    value: str = ""
    """The exact number behind ``out``."""
    href: str = ""
    """Address that the text leads to."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of one row. A row of one cell is a heading over the rows that follow."""

    cells: Sequence[str | Cell]
    class_: str | None = None
    title: str | None = None
    """What its first cell means, shown on hovering."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table in a box that scrolls sideways on its own, so that the page never does."""

    kind: ClassVar[str] = "table"
    caption: str
    header: Sequence[str]
    rows: Sequence[Row]
    numeric: Collection[int] = ()
    """Columns that are aligned to the right."""
    class_: str | None = None
    id: str | None = None
    """With it, the reader can sort, search, choose columns and copy."""
    hidden: Collection[str] = ()
    """Columns that are shown only once the reader chooses them (all are, where no script runs)."""
    facet: str = ""
    """Column by whose values the reader can filter."""
    more: str = ""
    """What is not shown, as a sentence; empty where everything is."""

    @property
    def tall(self) -> bool:
        """Whether the box also scrolls downwards."""
        return len(self.rows) > 14


def table(
    caption: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str | Cell]],
    *,
    more: str = "",
    numeric: Collection[int] = (),
    class_: str | None = None,
    lean: bool = False,
    id: str | None = None,  # noqa: A002 - the attribute's own name
    facet: str = "",
) -> Table:
    """A table of at most :data:`MOST_ROWS` rows; ``more`` says that ``{count}`` more are left out.

    ``lean`` leaves out columns from the third on in which no row has anything.
    """
    shown = rows[:MOST_ROWS]
    kept = [
        column
        for column in range(len(header))
        if not lean or column < 2 or any(str(row[column]) not in ("", MISSING) for row in shown)
    ]
    return Table(
        caption,
        [header[column] for column in kept],
        [Row([row[column] for column in kept]) for row in shown],
        numeric={kept.index(column) for column in numeric if column in kept},
        class_=class_,
        id=id,
        facet=facet,
        more=not_shown(len(rows), more),
    )


def not_shown(count: int, text: str = "") -> str:
    """How many of ``count`` rows a table leaves out, as a sentence."""
    if count <= MOST_ROWS:
        return ""
    return (text or _("{count} more rows are not shown here.")).format(count=f"{count - MOST_ROWS:,}")
