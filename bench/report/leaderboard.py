"""One row per card: the leading tasks at its stock setting, the best setting of a sweep, and its money. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.output.format import MISSING, figures, interval
from bench.report.answers import ai_tasks
from bench.report.entries import Entry, leaders, swept, tasks
from bench.report.figure import GLYPHS
from bench.report.language import N_, _
from bench.report.section import Content, Section, Study
from bench.report.table import Cell, Row, Table
from bench.report.tables import figure_cell

_HASH = {"work_per_j": N_("hashes per joule"), "rate_per_s": N_("hashrate"), "power_mean_w": N_("power")}
_AI = {"tokens_per_j": N_("tokens per joule"), "tokens_per_s": N_("tokens per second"), "power_mean_w": N_("power")}
_FIRST = frozenset({"work_per_j", "tokens_per_j"})
"""Metrics that are shown before the reader chooses; the others too where there is nothing per joule."""


def leaderboard(study: Study) -> Table | None:
    """The cards, the best miner first; None without any figure."""
    entries, cards = study.entries, study.cards
    columns = _columns(entries)
    if not columns or not cards:
        return None
    header, hidden = [_("Card")], []
    cells: dict[str, list[str | Cell]] = {card: [] for card in cards}
    per_joule = any(metric in _FIRST for _task, metric, _name in columns)
    for task, metric, name in columns:
        header.append(f"{task}: {_(name)}")
        if per_joule and metric not in _FIRST:
            hidden.append(header[-1])
        lead_by = "work_per_j" if per_joule else "rate_per_s"
        held = {entry.card: entry for entry in leaders(entries, task, lead_by)}
        tuned = {card: swept(entries, entry, metric) for card, entry in held.items()}
        for card in cards:
            found = held[card].figure(metric) if card in held else None
            cells[card].append(MISSING if found is None else figure_cell(found))
        if metric in _FIRST and any(tuned.values()):
            header.append(_("{task}: {name}, best setting of a sweep", task=task, name=_(name)))
            for card in cards:
                cells[card].append(MISSING if (best := tuned.get(card)) is None else _tuned_cell(best, metric))
    for title, values in _settings(entries, cards).items():
        header.append(title)
        for card in cards:
            cells[card].append(values[card])
    if study.outlook is not None and study.outlook.cards:
        currency = study.outlook.prices.currency
        header += [
            _("Mining, net ({currency}/h)", currency=currency),
            _("AI rented out, net ({currency}/h)", currency=currency),
        ]
        money = {item.card.name: item for item in study.outlook.cards}
        for card in cards:
            item = money.get(card)
            for side in (item.mining, item.ai) if item is not None else (None, None):
                cells[card].append(MISSING if side is None else _range_cell(side.net_per_h))
    series = {entry.card: entry.series for entry in entries}
    cards.sort(key=lambda card: -_sort(cells[card][0]))
    return Table(
        _("Cards: each task at the card's stock setting, with 95% intervals from the repeats within a run"),
        header,
        [
            Row(
                [
                    Cell(f"{GLYPHS[series[card] % len(GLYPHS)]} {card}", sort=card, href=study.hrefs.get(card, "")),
                    *cells[card],
                ]
            )
            for card in cards
        ],
        class_="cards",
        id="cards-board",
        hidden=hidden,
    )


def _build(study: Study) -> Content | None:
    board = leaderboard(study)
    return None if board is None else Content([board])


SECTION = Section("cards", N_("Cards"), N_("Cards"), _build)


def _tuned_cell(entry: Entry, metric: str) -> Cell:
    return replace(figure_cell(entry.metrics[metric]), note=entry.setting)


def _columns(entries: Sequence[Entry]) -> list[tuple[str, str, str]]:
    """(task, metric, name), those that any card has a figure for."""
    mining = tasks(entries, "hash", "rate_per_s")
    wanted = [(task, metric, name) for task in mining for metric, name in _HASH.items()]
    wanted += [(task, metric, name) for task in ai_tasks(entries) for metric, name in _AI.items()]
    have = {(entry.task, metric) for entry in entries for metric in entry.metrics if entry.figure(metric)}
    return [column for column in wanted if column[:2] in have]


def _settings(entries: Sequence[Entry], cards: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for title, name in (
        (_("Power limits (W)"), "power_limit_w"),
        (_("Power covers"), "energy_scope"),
        (_("Driver"), "driver"),
    ):
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
