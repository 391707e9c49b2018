"""What a result holds, before it is written in any format. Pure: finished text and plain rows.

Each kind of result has a function that makes a :class:`Document` of it; each format of :mod:`bench.output.formats` is
one function over documents. A table on the screen and the same table in Markdown therefore hold the same text, as do
CSV and JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of finished text. ``styles`` holds a Rich style per row, ``right`` the columns that hold figures."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[int] = frozenset()
    styles: tuple[str, ...] = ()
    title: str | None = None
    drop: tuple[int, ...] = ()
    """Columns that a narrow screen leaves out, the first one first; the others are always shown."""
    sections: Mapping[int, str] = field(default_factory=dict)
    """Headings within the table: the number of a row → the text above it."""


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
    lead: tuple[str, ...] = ()
    """The verdict: sentences above the tables."""
    conclusion: str = ""
    """One sentence that ends the result."""
    windows: Callable[[], Sequence[Mapping[str, Any]]] = list
    """Gives rows of single windows with ``rate_per_s`` and the columns of a task, for formats that hold samples."""
