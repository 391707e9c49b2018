"""Tables on a screen: no line is longer than the screen is wide, and no word is cut.

Where a table is too wide, columns are left out in the order that the grid states, and a line under it names them; what
is still too wide is wrapped between words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from rich.cells import cell_len
from rich.text import Text

from bench.model.text import clean
from bench.output.document import Document, Grid

GAP = 2
"""Spaces between two columns."""


def render(document: Document, width: int) -> list[str | Text]:
    """The verdict, the tables with an empty line between them, and notes where they are results."""
    parts: list[str | Text] = [Text("\n".join(wrap(clean(text), width)), style="bold") for text in document.lead]
    for grid in document.grids:
        if parts:
            parts.append(Text(""))
        parts.append(table(grid, width))
    return parts


def table(grid: Grid, width: int) -> Text:
    """One grid, at most ``width`` columns wide unless a single word of each column needs more."""
    cells = [[clean(text) for text in row] for row in grid.rows]
    header = [clean(text) for text in grid.header]
    columns, widths = _fit(header, cells, grid, width)
    lines: list[Text] = []

    def add(text: str, style: str) -> None:
        lines.append(Text(text.rstrip(), style=style))

    def row(texts: Sequence[str], style: str, *, from_below: bool = False) -> None:
        parts = [wrap(texts[number], widths[number]) for number in columns]
        if from_below:
            tallest = max(map(len, parts))
            parts = [[""] * (tallest - len(part)) + part for part in parts]
        for line in zip_longest(*parts, fillvalue=""):
            padded = (_pad(text, widths[n], right=n in grid.right) for n, text in zip(columns, line, strict=True))
            add((" " * GAP).join(padded), style)

    for text in wrap(clean(grid.title), width) if grid.title else ():
        add(text, "italic")
    row(header, "bold", from_below=True)
    add("─" * min(width, _total(widths, columns)), "")
    for number, texts in enumerate(cells):
        for text in wrap(clean(grid.sections[number]), width) if number in grid.sections else ():
            add(text, "bold")
        row(texts, grid.styles[number] if grid.styles else "")
    left_out = [header[number] for number in grid.drop if number not in columns]
    if left_out:
        note = f"Not shown at this width: {'; '.join(left_out)}. A wider terminal or --format csv shows all."
        for text in wrap(note, width):
            add(text, "dim")
    return Text("\n").join(lines)


def _fit(
    header: Sequence[str], cells: Sequence[Sequence[str]], grid: Grid, width: int
) -> tuple[list[int], dict[int, int]]:
    """The columns that are shown, and the width of each."""
    words = {
        number: max(cell_len(word) for text in (name, *(row[number] for row in cells)) for word in text.split(" "))
        for number, name in enumerate(header)
    }
    widths = {
        number: max([_longest(name), *(cell_len(row[number]) for row in cells)]) for number, name in enumerate(header)
    }
    columns = list(widths)
    for number in grid.drop:
        if _total(widths, columns) <= width:
            break
        columns.remove(number)
    # names of things are wrapped before figures are
    for number in sorted(columns, key=lambda number: (number in grid.right, -widths[number])):
        over = _total(widths, columns) - width
        if over > 0:
            widths[number] = max(words[number], widths[number] - over)
    return columns, widths


def _total(widths: Mapping[int, int], columns: Sequence[int]) -> int:
    return sum(widths[number] for number in columns) + GAP * (len(columns) - 1)


def _longest(text: str) -> int:
    return max(map(cell_len, text.split(" ")))


def _pad(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - cell_len(text))
    return space + text if right else text + space


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` columns, broken between words; a longer word has a line of its own."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if not lines[-1] or cell_len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
