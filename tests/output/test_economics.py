"""Money as tables: what to do comes first, what several cards have in common is said once, many cards fit."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from bench import output, storage
from bench.analysis.economics import CardOutlook, Outlook, Range, Side, decide
from bench.output import Document
from bench.output.economics import MOST_CARDS, decisions, once_per_reason
from tests.support import report_sample


@functools.cache
def outlook(cards: int) -> Outlook:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = report_sample.study(folder) if cards == 3 else [report_sample.many(folder, cards, repeats=2)]
        return report_sample.outlook(storage.read(paths))


def lines_of(document: Document, width: int) -> list[str]:
    return "\n".join(str(part) for part in output.render(document, "table", width)).split("\n")


@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize("cards", [3, 40])
def test_what_to_do_comes_first_and_no_line_is_too_wide(cards: int, width: int) -> None:
    lines = lines_of(output.economics(outlook(cards)), width)
    assert max(map(cell_len, lines)) <= width
    assert any(word in lines[0] for word in ("Cannot tell", "Switch off", "Rent out", "Mine"))


def test_of_many_cards_those_with_the_highest_net_are_shown() -> None:
    grid, *_ = output.economics(outlook(40)).grids
    names = {cells[0] for cells in grid.rows}
    assert len(names) == MOST_CARDS + 3, "and the ASICs"
    assert f"--all shows {40 - MOST_CARDS} more cards" in (grid.title or "")
    whole, *_ = output.economics(outlook(40), every=True).grids
    assert len({cells[0] for cells in whole.rows}) == 43


def with_nets(mining: float | None, ai: float | None, spread: float = 0.1) -> CardOutlook:
    def side(net: float | None) -> Side | None:
        if net is None:
            return None
        value = Range(net - spread, net, net + spread)
        return Side(value, value, value, value, value)

    gap = (
        None if mining is None or ai is None else Range(ai - mining - 2 * spread, ai - mining, ai - mining + 2 * spread)
    )
    sides = side(mining), side(ai)
    verdict = decide(*(None if item is None else item.net_per_h for item in sides), gap)
    return replace(outlook(3).cards[0], mining=sides[0], ai=sides[1], verdict=verdict)


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (with_nets(-1.0, -2.0), "Switch off: both uses lose money"),
        (with_nets(-1.0, None), "Switch off: mining loses money, the only use with a price"),
        (with_nets(None, -1.0), "Switch off: AI work loses money, the only use with a price"),
        (with_nets(1.0, None), "Only mining has a price"),
        (with_nets(-1.0, 2.0), "Rent out for AI"),
        (with_nets(2.0, -1.0), "Mine"),
        (with_nets(2.0, 1.0), "Mine"),
        (with_nets(1.0, 1.1), "Cannot tell whether to mine or rent out for AI"),
        (with_nets(-1.0, 0.05), "Cannot tell whether to rent out for AI or switch off"),
        (with_nets(0.05, -1.0), "Cannot tell whether to mine or switch off"),
        (with_nets(0.05, 0.05), "Cannot tell whether to mine, rent out for AI or switch off"),
        (with_nets(None, None), "Cannot tell, for want of figures or prices"),
    ],
)
def test_a_decision_rests_on_the_whole_range(item: CardOutlook, says: str) -> None:
    assert decisions(replace(outlook(3), cards=(item,))) == [f"{says}: Example GPU A."]


def test_what_several_cards_have_in_common_is_said_once() -> None:
    notes = ["of all", "A: no rent", "B: no rent", "A: hot"]
    assert once_per_reason(notes, ["A", "B"]) == ["of all", "A, B: no rent", "A: hot"]
