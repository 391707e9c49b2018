"""GitHub's Markdown: the verdict, the tables, the notes as a list."""

from __future__ import annotations

from collections.abc import Iterable

from bench.model.text import clean
from bench.output.document import Document, Grid


def render(document: Document, width: int) -> list[str]:  # noqa: ARG001 - every format is called alike
    """The whole document as one text."""
    parts = [f"{_escape(sentence)}\n" for sentence in document.lead]
    parts += [grid_markdown(grid) for grid in document.grids]
    if document.notes:
        parts.append("".join(f"- {_escape(note)}\n" for note in document.notes))
    if document.conclusion:
        parts.append(f"{_escape(document.conclusion)}\n")
    return ["\n".join(parts)]


def grid_markdown(grid: Grid) -> str:
    """A grid as a GitHub table; a heading within it is a row with one bold cell."""
    lines = [f"**{_escape(grid.title)}**\n"] if grid.title else []
    lines.append(_pipe(_escape(text) for text in grid.header))
    lines.append(_pipe(["---:" if number in grid.right else "---" for number in range(len(grid.header))]))
    for number, cells in enumerate(grid.rows):
        if number in grid.sections:
            lines.append(_pipe([f"**{_escape(grid.sections[number])}**", *[""] * (len(cells) - 1)]))
        lines.append(_pipe([_escape(text) for text in cells]))
    return "\n".join(lines) + "\n"


def _pipe(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape(text: str) -> str:
    """Text inside a Markdown table: a bar would end the cell, and a tag or a link would be drawn."""
    return "".join(f"\\{char}" if char in "\\|<[*_`" else char for char in clean(text))
