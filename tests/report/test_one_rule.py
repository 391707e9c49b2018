"""Table, JSON, page and money give the same ratio for the same pair: three scripted cards and a sweep."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bench import output, storage
from bench.analysis import compare, economics
from bench.model import Record
from bench.report.answers import answers
from bench.report.entries import collect, interval_text
from bench.report.leaderboard import leaderboard
from bench.report.section import Study
from bench.report.words import headline, lead, summary
from tests.support import factory

A, B, C = factory.CARD_A, factory.CARD_B, replace(factory.CARD_B, name="Example GPU E", uuid="GPU-e", hash_per_s=3e9)


def at(card: factory.Card, limit: float, factor: float = 1.0) -> list[Record]:
    share = limit / card.limit_w
    slower = replace(card, hash_per_s=card.hash_per_s * factor, hash_w=card.hash_w * share, flop_w=card.flop_w * share)
    quiet = factory.run(slower, 8, rate_sd=1e-3, power_sd=1e-3)
    return [replace(record, power_limit_w=limit, default_power_limit_w=card.limit_w) for record in quiet]


@pytest.fixture(scope="module")
def rows() -> list[Record]:
    """B and E at stock; A at stock, where B does more per joule, and at half its watts, where A does."""
    return [*at(B, 300.0), *at(A, 700.0), *at(A, 350.0, 0.9), *at(A, 500.0, 0.95), *at(C, 300.0)]


def test_every_output_gives_the_same_ratio_for_the_same_pair(rows: list[Record]) -> None:
    frame = storage.to_frame(rows)
    result = compare.compare(frame)
    chosen = {
        item.role: item
        for item in result.comparisons
        if item.key["device_name"] == A.name and item.metric == "work_per_j" and item.key["workload"] == "sha256d"
    }
    stock, best = chosen["stock"], chosen["best"]
    assert stock.ratio is not None
    assert best.ratio is not None
    assert stock.ratio < 1 < best.ratio
    assert best.key["power_limit_w"] == 350.0

    document = output.comparison(result)
    (grid,) = [grid for grid in document.grids if "per joule ratio" in grid.header]
    column = grid.header.index("per joule ratio")
    per_joule: dict[tuple[str, str], str] = {}
    for cells in grid.rows:
        per_joule.setdefault((cells[0], cells[1]), cells[column])  # sha256d comes first
    assert per_joule[A.name, "700"].startswith(f"worse {stock.ratio:.3f}")
    assert per_joule[A.name, "350 (best)"].startswith(f"better {best.ratio:.2f}")

    (text,) = output.render(document, "json")
    items = [item for item in json.loads(str(text)) if item["kind"] == "group" and item["workload"] == "sha256d"]
    ratios = {(item["device_name"], item["role"]): item["ratio"] for item in items if item["metric"] == "work_per_j"}
    assert ratios[A.name, "stock"] == stock.ratio
    assert ratios[A.name, "best"] == best.ratio
    assert ratios[A.name, "other"] is None

    entries = collect(frame, result)
    chosen_tasks = headline(entries)
    sentences = [text for text in summary(Study(frame, result, entries), chosen_tasks) if "hashes per joule" in text]
    assert any(f"{A.name} does {stock.ratio:.2f} times" in text for text in sentences)
    assert any(f"{A.name} at its best setting (350 W limit) does {best.ratio:.2f} times" in text for text in sentences)
    shown = {card: lead(entries, card, chosen_tasks.mining, "work_per_j") for card in (A.name, B.name)}
    values = {card: entry.metrics["work_per_j"].value for card, entry in shown.items() if entry is not None}
    assert values[A.name] / values[B.name] == pytest.approx(stock.ratio)  # type: ignore[operator]

    cards = {card.name: card for card in economics.cards(frame)}
    costs = [cards[name].j_per_th for name in (B.name, A.name)]
    first_screen = answers(frame, entries, None)[0]
    assert (first_screen.answer, first_screen.figure) == (B.name, interval_text(shown[B.name].metrics["work_per_j"]))
    assert first_screen.notes[-1] == (
        f"With each card at its best setting, {A.name} leads (350 W limit): {interval_text(best)}."
    )
    board = leaderboard(Study(frame, result, entries))
    assert board is not None
    assert board.header[1:3] == ["sha256d: hashes per joule", "sha256d: hashes per joule, best setting of a sweep"]
    (row,) = [row.cells for row in board.rows if row.cells[0].sort == A.name]  # type: ignore[union-attr]
    assert [cell.sort for cell in row[1:3]] == [stock.value, best.value]  # type: ignore[union-attr]
    assert row[2].note == "350 W limit"  # type: ignore[union-attr]

    assert costs[0] / costs[1] == pytest.approx(stock.ratio, rel=2e-3)  # type: ignore[operator]
    assert any("best setting, 350 W limit" in reason for reason in cards[A.name].reasons)
