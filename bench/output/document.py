"""A result as tables, notes and flat rows, and its four formats. Pure: returns text and renderables, prints nothing.

Each kind of result has a function that makes a :class:`Document` of it; each format is one function over documents. A
table on the screen and the same table in Markdown therefore hold the same text, as do CSV and JSON.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.model.options import Format
from bench.model.text import clean

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of finished text. ``styles`` holds a Rich style per row, ``right`` the columns that hold figures."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[int] = frozenset()
    styles: tuple[str, ...] = ()
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """One result, ready for every format."""

    grids: tuple[Grid, ...]
    rows: Sequence[Mapping[str, Any]]
    """For CSV and JSON: objects with the same keys; missing is None. An object within an object is a group of columns
    in CSV."""
    notes: tuple[str, ...] = ()
    """Sentences about the result, one each."""
    notes_are_results: bool = False
    """Whether the tables mislead without the notes, which then belong to stdout."""


def render(document: Document, to: Format = "table") -> list[str | Table]:
    """A document in one of the formats: text, and Rich tables for ``table``.

    Notes are part of Markdown. On the screen they are the caller's to print, to stderr or to stdout as
    :attr:`Document.notes_are_results` says; they are no part of CSV and JSON, whose rows hold the reasons.
    """
    return _FORMATS[to](document)


# ---- the screen ---------------------------------------------------------------------------------------------------


def _tables(document: Document) -> list[str | Table]:
    return [_table(grid) for grid in document.grids]


def _table(grid: Grid) -> Table:
    from rich.table import Table
    from rich.text import Text

    title = None if grid.title is None else Text(clean(grid.title), style="table.title")
    table = Table(title=title, title_justify="left", header_style="bold")
    for number, name in enumerate(grid.header):
        table.add_column(Text(clean(name)), justify="right" if number in grid.right else "left", overflow="fold")
    for number, cells in enumerate(grid.rows):
        style = grid.styles[number] if grid.styles else ""
        table.add_row(*(Text(clean(text)) for text in cells), style=style)
    return table


# ---- Markdown -----------------------------------------------------------------------------------------------------


def _markdown(document: Document) -> list[str | Table]:
    parts = [grid_markdown(grid) for grid in document.grids]
    if document.notes:
        parts.append("".join(f"- {_escape(note)}\n" for note in document.notes))
    return ["\n".join(parts)]


def grid_markdown(grid: Grid) -> str:
    """A grid as a GitHub table."""
    lines = [f"**{_escape(grid.title)}**\n"] if grid.title else []
    lines.append(_pipe(grid.header))
    lines.append(_pipe(["---:" if number in grid.right else "---" for number in range(len(grid.header))]))
    lines += [_pipe([_escape(text) for text in cells]) for cells in grid.rows]
    return "\n".join(lines) + "\n"


def _pipe(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape(text: str) -> str:
    """Text inside a Markdown table: a bar would end the cell, and a tag or a link would be drawn."""
    return "".join(f"\\{char}" if char in "\\|<[*_`" else char for char in clean(text))


# ---- CSV and JSON -------------------------------------------------------------------------------------------------


def _csv(document: Document) -> list[str | Table]:
    from bench.storage import cell

    rows = [_flat(row) for row in document.rows]
    if not rows:
        return [""]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows(
        [_inert(value) if isinstance(value, str) else cell(value) for value in row.values()] for row in rows
    )
    return [out.getvalue()]


def _flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _inert(text: str) -> str:
    """Text that a spreadsheet would take for a formula gets an apostrophe, which keeps it text."""
    text = clean(text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _json(document: Document) -> list[str | Table]:
    return [json.dumps(list(document.rows), indent=1, allow_nan=False) + "\n"]


_FORMATS: Mapping[Format, Callable[[Document], list[str | Table]]] = {
    "table": _tables,
    "json": _json,
    "csv": _csv,
    "markdown": _markdown,
}
