"""One row per card: its figures for the leading tasks, each at the card's best setting, and its money. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.economics import Outlook
from bench.output.format import MISSING, figures, interval
from bench.report.answers import ai_tasks, leaders
from bench.report.entries import Entry
from bench.report.figure import GLYPHS
from bench.report.pick import tasks
from bench.report.table import Cell, Row, Table
from bench.report.tables import figure_cell

_HASH = {"work_per_j": "hashes per joule", "rate_per_s": "hashrate", "power_mean_w": "power"}
_AI = {"tokens_per_j": "tokens per joule", "tokens_per_s": "tokens per second", "power_mean_w": "power"}
_FIRST = frozenset({"work_per_j", "tokens_per_j"})
"""Metrics that are shown before the reader chooses; the others too where there is nothing per joule."""


def leaderboard(entries: Sequence[Entry], outlook: Outlook | None) -> Table | None:
    """The cards, the best miner first; None without any figure."""
    columns = _columns(entries)
    cards = list(dict.fromkeys(entry.card for entry in entries))
    if not columns or not cards:
        return None
    header, hidden = ["Card"], []
    cells: dict[str, list[str | Cell]] = {card: [] for card in cards}
    per_joule = any(metric in _FIRST for _, metric, _ in columns)
    for task, metric, name in columns:
        header.append(f"{task}: {name}")
        if per_joule and metric not in _FIRST:
            hidden.append(header[-1])
        held = {entry.card: entry for entry in leaders(entries, task, "work_per_j" if per_joule else "rate_per_s")}
        for card in cards:
            found = held[card].figure(metric) if card in held else None
            cells[card].append(MISSING if found is None else figure_cell(found))
    for title, values in _settings(entries, cards).items():
        header.append(title)
        for card in cards:
            cells[card].append(values[card])
    if outlook is not None and outlook.cards:
        header += [f"Mining, net ({outlook.prices.currency}/h)", f"AI rented out, net ({outlook.prices.currency}/h)"]
        money = {item.card.name: item for item in outlook.cards}
        for card in cards:
            item = money.get(card)
            for side in (item.mining, item.ai) if item is not None else (None, None):
                cells[card].append(MISSING if side is None else _range_cell(side.net_per_h))
    series = {entry.card: entry.series for entry in entries}
    cards.sort(key=lambda card: -_sort(cells[card][0]))
    return Table(
        "Cards: each task at the card's best setting, with 95% intervals from the repeats",
        header,
        [Row([Cell(f"{GLYPHS[series[card] % len(GLYPHS)]} {card}", sort=card), *cells[card]]) for card in cards],
        class_="cards",
        id="cards-board",
        hidden=hidden,
    )


def _columns(entries: Sequence[Entry]) -> list[tuple[str, str, str]]:
    """(task, metric, name), those that any card has a figure for."""
    mining = tasks(entries, "hash", "rate_per_s")
    wanted = [(task, metric, name) for task in mining for metric, name in _HASH.items()]
    wanted += [(task, metric, name) for task in ai_tasks(entries) for metric, name in _AI.items()]
    have = {(entry.task, metric) for entry in entries for metric in entry.metrics if entry.figure(metric)}
    return [column for column in wanted if column[:2] in have]


def _settings(entries: Sequence[Entry], cards: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for title, name in (("Power limits (W)", "power_limit_w"), ("Power covers", "energy_scope"), ("Driver", "driver")):
        values: dict[str, dict[str, None]] = {card: {} for card in cards}
        for entry in entries:
            value = entry.key.get(name)
            if value is not None:
                values[entry.card][figures(value) if isinstance(value, float) else str(value)] = None
        if any(values.values()):
            found[title] = {card: ", ".join(held) or MISSING for card, held in values.items()}
    return found


def _range_cell(value: object) -> Cell:
    likely, low, high = (getattr(value, name) for name in ("likely", "low", "high"))
    number, bracket, bounds = interval(likely, low, high, 3).replace("-", "−").partition(" [")
    return Cell(number, f"[{bounds}" if bracket else "", sort=likely)


def _sort(cell: str | Cell) -> float:
    return cell.sort if isinstance(cell, Cell) and isinstance(cell.sort, float) else float("-inf")
