"""Tables on a screen: never wider than it, no word cut, the verdict first, the best of many cards on one screen."""

from __future__ import annotations

import functools
import itertools
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from bench import output, storage
from bench.analysis import compare
from bench.output import Document, Grid
from bench.output.formats import table
from tests.support import factory, report_sample

WIDTHS = (80, 100, 120, 200)


@functools.cache
def compared(cards: int, *, every: bool = False) -> Document:
    """A comparison of made-up cards: one, the report's three with a sweep, or forty."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if cards == 1:
            paths = [factory.write(folder / "one.csv", factory.run())]
        elif cards == 3:
            paths = report_sample.study(folder)
        else:
            paths = [report_sample.many(folder, cards, repeats=3)]
        return output.comparison(compare.compare(storage.read(paths, compare.COLUMNS)), every=every)


def lines_of(document: Document, width: int) -> list[str]:
    return "\n".join(str(part) for part in output.render(document, "table", width)).split("\n")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("cards", [1, 3, 40])
def test_no_line_is_wider_than_the_screen_and_no_word_is_cut(cards: int, width: int) -> None:
    document = compared(cards)
    lines = lines_of(document, width)
    assert max(map(cell_len, lines)) <= width
    known = {"Not", "shown", "at", "this", "width:", "A", "wider", "terminal", "or", "--format", "csv", "shows", "all."}
    for text in (*document.lead, *(grid.title or "" for grid in document.grids)):
        known |= set(text.split())
    for grid in document.grids:
        for text in (*grid.header, *grid.sections.values(), *(cell for cells in grid.rows for cell in cells)):
            known |= set(text.split())
        known |= {f"{word}{mark}" for text in grid.header for word in text.split() for mark in ";."}
    for line in lines:
        assert set(line.strip("─").split()) <= known, line


@pytest.mark.parametrize("width", WIDTHS)
def test_the_verdict_is_in_the_first_three_lines(width: int) -> None:
    first = " ".join(lines_of(compared(3), width)[:3])
    assert first.startswith("Example GPU B against Example GPU A: per joule better at sha256d")
    first = " ".join(lines_of(compared(40), width)[:3])
    assert first.startswith("Most work per joule of 40 (--by card): sha256d Example GPU 14 (")


@pytest.mark.parametrize("width", WIDTHS)
def test_three_cards_and_forty_fit_on_a_screen(width: int) -> None:
    assert len(lines_of(compared(3), width)) < 60
    assert len(lines_of(compared(40), width)) <= 45


def test_of_many_cards_the_best_and_the_baseline_are_shown_and_the_rest_is_counted() -> None:
    (grid,) = compared(40).grids
    (whole,) = compared(40, every=True).grids
    assert len(whole.rows) == 160
    assert f"--all shows {len(whole.rows) - len(grid.rows)} more rows" in (grid.title or "")
    assert "--all" not in (whole.title or "")
    starts = [*sorted(grid.sections), len(grid.rows)]
    for begin, end in itertools.pairwise(starts):
        names = [cells[0] for cells in grid.rows[begin:end]]
        assert names[0] == "Example GPU 14", "the best comes first"
        assert "Example GPU 01" in names, "the baseline is always there"
        assert len(names) == len(set(names))


def test_columns_go_in_the_stated_order_and_a_line_names_them() -> None:
    grid = Grid(
        ("name", "first to go", "second to go", "kept"),
        (("a long name of a thing", "1234567890", "1234567890", "1234567890"),),
        frozenset({1, 2, 3}),
        drop=(1, 2),
    )
    for width, gone in ((60, []), (50, ["first to go"]), (40, ["first to go", "second to go"])):
        text = str(table.table(grid, width))
        noted = f"Not shown at this width: {'; '.join(gone)}." in " ".join(text.split())
        assert noted == bool(gone)
        assert text.count("1234567890") == 3 - len(gone)
    narrow = str(table.table(grid, 20)).split("\n")
    assert max(map(len, narrow)) <= 20, "what must stay is wrapped between words"
    assert {"a", "long", "name", "of", "thing"} <= set(" ".join(narrow).split())


def test_wide_characters_count_as_two_columns() -> None:
    records = [replace(record, device_name="显卡 一号") for record in factory.run()]
    document = output.comparison(compare.compare(storage.to_frame([*records, *factory.run(factory.CARD_B)])))
    assert max(map(cell_len, lines_of(document, 100))) <= 100
    rows = [line for line in lines_of(document, 200) if "±" in line and "GH/s" in line]
    assert len({cell_len(line[: line.index("GH/s")]) for line in rows}) == 1


def test_a_line_break_is_never_within_a_word() -> None:
    assert table.wrap("one two three", 7) == ["one two", "three"]
    assert table.wrap("incomprehensibilities here", 5) == ["incomprehensibilities", "here"]
