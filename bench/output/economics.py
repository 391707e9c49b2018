"""Money as tables: each card as a miner and as an AI card, the break-evens, and a site full of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.output.document import Document, Grid
from bench.output.format import MISSING, digits

if TYPE_CHECKING:
    from bench.analysis.economics import CardOutlook, Outlook, Range


MOST_CARDS = 12
"""Of more cards than these, the tables show those with the highest net."""


def economics(outlook: Outlook, *, every: bool = False) -> Document:
    """What to do with each card, then its money as a miner and as an AI card.

    The notes under the tables carry the ASIC's sentence and are part of the result.

    Args:
        outlook: what was evaluated.
        every: show all cards however many there are, in place of those with the highest net.
    """
    from bench.analysis.economics import flat, notes

    shown = outlook
    if len(outlook.cards) > MOST_CARDS and not every:
        best = sorted(outlook.cards, key=_net, reverse=True)[:MOST_CARDS]
        kept = {outlook.prices.asic.name, *(item.card.name for item in best)}
        site = tuple(choice for choice in outlook.site if choice.what in kept)
        shown = replace(outlook, cards=tuple(best), site=site)
    return Document(
        grids=tuple(_grids(shown, len(outlook.cards) - len(shown.cards))),
        rows=flat(outlook),
        notes=tuple(once_per_reason(notes(shown), [item.card.name for item in shown.cards])),
        notes_are_results=True,
        lead=tuple(decisions(outlook)),
    )


def decisions(outlook: Outlook) -> list[str]:
    """What to do with which cards, by the whole range of the prices: one sentence per decision."""
    found: dict[str, list[str]] = {}
    for item in sorted(outlook.cards, key=_net, reverse=True):
        found.setdefault(_decision(item), []).append(item.card.name)
    return [f"{what}: {_names(cards)}." for what, cards in found.items()]


def _decision(item: CardOutlook) -> str:
    sides = [side for side in (item.mining, item.ai) if side is not None]
    if not sides:
        return "Cannot tell, for want of figures or prices"
    highest = [side.net_per_h.likely if side.net_per_h.high is None else side.net_per_h.high for side in sides]
    if all(net is not None and net < 0 for net in highest):
        only = "mining" if item.ai is None else "AI work"
        return (
            "Switch off: both uses lose money"
            if len(sides) == 2
            else f"Switch off: {only} loses money, the only use with a price"
        )
    if len(sides) == 1:
        return f"Only {'mining' if item.ai is None else 'AI work'} has a price"
    return {"AI": "Rent out for AI", "mining": "Mine"}.get(
        item.verdict, "Cannot tell whether to mine or rent out for AI"
    )


def _net(item: CardOutlook) -> float:
    nets = (side.net_per_h.likely for side in (item.mining, item.ai) if side is not None)
    return max((net for net in nets if net is not None), default=-math.inf)


def _names(names: Sequence[str], most: int = 6) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def once_per_reason(notes: Sequence[str], cards: Sequence[str]) -> list[str]:
    """Notes of several cards that say the same (``card: reason``) become one, with the cards' names."""
    who: dict[str, list[str]] = {}
    for note in notes:
        card = next((name for name in cards if note.startswith(f"{name}: ")), "")
        who.setdefault(note.removeprefix(f"{card}: ") if card else note, []).extend([card] if card else [])
    return [f"{_names(names)}: {text}" if names else text for text, names in who.items()]


def money(value: Range | None, count: int = 3) -> str:
    """``1.23 [0.98, 1.60]``; one figure where there is no spread, a dash where there is none at all."""
    if value is None or value.likely is None:
        return MISSING
    likely = amount(value.likely, count)
    if value.low is None or value.high is None:
        return f"{likely} [no bounds]"
    if value.low == value.high:
        return likely
    return f"{likely} [{amount(value.low, count)}, {amount(value.high, count)}]"


def amount(value: float, count: int = 3) -> str:
    """An amount of money: ``1.23M``, ``45.6``; a dash where it is no number."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else MISSING
    size = abs(value)
    if size >= 1000:
        scale, sign = next((scale, sign) for scale, sign in ((1e9, "bn"), (1e6, "M"), (1e3, "k")) if size >= scale)
        return f"{digits(value / scale, count)}{sign}"
    return digits(value, count) if size >= 1e-3 else f"{value:.{count - 1}e}"


def _grids(outlook: Outlook, hidden: int) -> list[Grid]:
    """Mining and AI side by side with the ASIC; what would have to be true for them to meet; the site full of each."""
    unit = outlook.prices.currency
    header = ("card", "use", f"net {unit}/h", f"net {unit}/MWh", f"net {unit}/GPU/year", "revenue/h", "power/h")
    asic, rows, styles = outlook.prices.asic, [], []
    sides = [
        (item.card.name, use, side)
        for item in outlook.cards
        for use, side in (("mining", item.mining), ("AI", item.ai))
        if side is not None
    ]
    for name, use, side in [*sides, (asic.name, "mining", outlook.asic)]:
        cells = (side.net_per_h, side.net_per_mwh, side.net_per_year, side.revenue_per_h, side.power_cost_per_h)
        rows.append((name, use, *map(money, cells)))
        styles.append("dim italic" if name == asic.name else "")
    more = f"; --all shows {hidden} more cards" if hidden else ""
    first = Grid(
        header,
        tuple(rows),
        frozenset(range(2, 7)),
        tuple(styles),
        f"per card, in {unit}: likely [least, greatest]{more}",
        drop=(6, 5, 4, 3),
    )
    even = _break_even_grid(outlook)
    grids = [first, even] if even.rows else [first]
    if outlook.site:
        grids.append(_site_grid(outlook))
    return grids


def _break_even_grid(outlook: Outlook) -> Grid:
    """A section per question, a row per card."""
    from bench.analysis.economics import BREAK_EVENS

    unit = outlook.prices.currency
    found: dict[str, list[tuple[str, str, str]]] = {}
    for item in outlook.cards:
        if item.advantage_per_h is not None:
            found.setdefault("AI earns more than mining by", []).append(
                (item.card.name, money(item.advantage_per_h), f"{unit}/h")
            )
        for name, value in item.break_evens.items():
            units, meaning, _ = BREAK_EVENS[name]
            found.setdefault(meaning, []).append((item.card.name, money(value), units.replace("USD", unit)))
    rows: list[tuple[str, str, str]] = []
    sections = {}
    for meaning, cards in found.items():
        sections[len(rows)] = meaning
        rows += cards
    header = ("card", "likely [least, greatest]", "unit")
    return Grid(header, tuple(rows), frozenset({1}), (), "break-even: where both uses earn the same", sections=sections)


def _site_grid(outlook: Outlook) -> Grid:
    unit = outlook.prices.currency
    header = (
        "machines of",
        "use",
        "count",
        "hashrate, PH/s",
        "tokens/s (modelled)",
        f"revenue {unit}/year",
        f"net {unit}/year",
    )
    rows = tuple(
        (
            choice.what,
            choice.use,
            money(choice.machines),
            money(choice.ph_per_s),
            money(choice.tokens_per_s),
            money(choice.revenue_per_year),
            money(choice.net_per_year),
        )
        for choice in outlook.site
    )
    title = f"a site of {outlook.site_mw:g} MW at its meter, filled with one kind of machine"
    return Grid(header, rows, frozenset(range(2, 7)), (), title, drop=(5, 4, 3))
