"""Money as tables: each card as a miner and as an AI card, the break-evens, and a site full of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
        gone = {item.card.name for item in outlook.cards} - {item.card.name for item in best}
        site = tuple(choice for choice in outlook.site if choice.what.partition(": ")[0] not in gone)
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
    from bench.analysis.economics import decision

    found: dict[str, list[str]] = {}
    for item in sorted(outlook.cards, key=_net, reverse=True):
        found.setdefault(decision(item), []).append(item.card.name)
    return [f"{what}: {_names(cards)}." for what, cards in found.items()]


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
    """Mining and AI side by side with the ASICs; what would have to be true for them to meet; the site full of each."""
    grids = [_side_grid(outlook, hidden), _interval_grid(outlook), _break_even_grid(outlook)]
    if outlook.site:
        grids.append(_site_grid(outlook))
        if any(choice.npv is not None for choice in outlook.site):
            grids.append(_capital_grid(outlook))
    return [grid for grid in grids if grid.rows]


def _side_grid(outlook: Outlook, hidden: int) -> Grid:
    unit = outlook.prices.currency
    header = ("card", "use", f"net {unit}/h", f"net {unit}/MWh", f"net {unit}/GPU/year", "revenue/h", "power/h")
    sides = [
        (item.card.name, use, side, "")
        for item in outlook.cards
        for use, side in (("mining", item.mining), ("AI", item.ai))
        if side is not None
    ]
    asics = zip(outlook.prices.asics, outlook.asics, strict=True)
    sides += [(asic.name, "mining", side, "dim italic") for asic, side in asics]
    rows, styles = [], []
    for name, use, side, style in sides:
        cells = (side.net_per_h, side.net_per_mwh, side.net_per_year, side.revenue_per_h, side.power_cost_per_h)
        rows.append((name, use, *map(money, cells)))
        styles.append(style)
    more = f"; --all shows {hidden} more cards" if hidden else ""
    title = f"per card, before capital, in {unit}: likely [least, greatest]{more}"
    return Grid(header, tuple(rows), frozenset(range(2, 7)), tuple(styles), title, drop=(6, 5, 4, 3))


def _interval_grid(outlook: Outlook) -> Grid:
    """The same by draws in place of corners: what is plausible, and how often each use is the best."""
    unit = outlook.prices.currency
    header = ("card", f"net of mining {unit}/h", f"net of AI {unit}/h", f"AI beats mining by {unit}/h", "best in")
    rows = []
    for item in outlook.cards:
        shares = item.verdict.shares
        if shares:
            often = ", ".join(f"{use} {share:.0%}" for use, share in shares.items() if share >= 0.005)
            nets = (side.net_per_h for side in (item.mining, item.ai) if side is not None)
            rows.append((item.card.name, *map(interval95, (*nets, item.advantage_per_h)), often))
    title = "per card, before capital: likely [95% interval of 100,000 draws]"
    return Grid(header, tuple(rows), frozenset({1, 2, 3}), (), title, drop=(1, 2))


def interval95(value: Range | None) -> str:
    """``1.23 [1.01, 1.42]`` by draws; a dash where there is none."""
    from bench.analysis.economics import Range

    return MISSING if value is None else money(Range(value.low95, value.likely, value.high95))


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
            found.setdefault(meaning, []).append(
                (item.card.name, break_even(item, name, value), units.replace("USD", unit))
            )
    rows: list[tuple[str, str, str]] = []
    sections = {}
    for meaning, cards in found.items():
        sections[len(rows)] = meaning
        rows += cards
    header = ("card", "likely [least, greatest]", "unit")
    return Grid(header, tuple(rows), frozenset({1}), (), "break-even: where both uses earn the same", sections=sections)


def break_even(item: CardOutlook, name: str, value: Range) -> str:
    """A break-even, in words where it lies outside what is possible; so do its ends."""
    from bench.analysis.economics import impossible

    if item.likely is None:
        return money(value)
    words = {end: impossible(name, getattr(value, end), item.likely) for end in ("low", "likely", "high")}
    if not any(words.values()):
        return money(value)
    texts = {end: text or _or_none(getattr(value, end)) for end, text in words.items()}
    if value.low is None or value.high is None or texts["low"] == texts["likely"] == texts["high"]:
        return texts["likely"]
    return f"{texts['likely']} [{texts['low']}, {texts['high']}]"


def _or_none(value: float | None) -> str:
    return MISSING if value is None else amount(value)


def _site_grid(outlook: Outlook) -> Grid:
    unit = outlook.prices.currency
    header = (
        "machines of",
        "use",
        "count",
        "hashrate, PH/s",
        "tokens/s (modelled)",
        f"revenue {unit}/year",
        f"operating margin {unit}/year",
    )
    rows = [
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
    ]
    title = f"a site of {outlook.site_mw:g} MW at its meter, filled with one kind of machine, before capital"
    return Grid(header, tuple(dict.fromkeys(rows)), frozenset(range(2, 7)), (), title, drop=(5, 4, 3))


def _capital_grid(outlook: Outlook) -> Grid:
    unit = outlook.prices.currency
    header = (
        *("machines of", "use", "building", f"capital {unit}", f"net present value {unit}"),
        *("payback, years", "rate of return", "value, 95% of the draws"),
    )
    rows = [
        (
            *(choice.what, choice.use, choice.building, money(choice.capital), money(choice.npv)),
            *(years(choice.payback), percent(choice.irr), interval95(choice.npv)),
        )
        for choice in outlook.site
        if choice.npv is not None
    ]
    title = "the same site with its capital: likely [least, greatest]"
    return Grid(header, tuple(rows), frozenset({3, 4, 5, 6, 7}), (), title, drop=(7, 6, 5))


def years(value: Range | None) -> str:
    """``2.3 [1.6, never]``."""
    return _ends(value, lambda part: digits(part, 2) if math.isfinite(part) else "never")


def percent(value: Range | None) -> str:
    """``12% [3%, 40%]`` a year."""
    return _ends(value, lambda part: f"{100 * part:.0f}%" if part > -0.9999 else "all is lost")


def _ends(value: Range | None, written: Callable[[float], str]) -> str:
    if value is None or value.likely is None or value.low is None or value.high is None:
        return MISSING
    likely, low, high = (written(part) for part in (value.likely, value.low, value.high))
    return likely if low == high else f"{likely} [{low}, {high}]"
