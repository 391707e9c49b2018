"""Money as tables: each card as a miner and as an AI card, the break-evens, and a site full of each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bench.output.document import Document, Grid
from bench.output.format import MISSING, digits

if TYPE_CHECKING:
    from bench.analysis.economics import Outlook, Range


def economics(outlook: Outlook) -> Document:
    """Mining and AI per card; the notes under the tables carry the ASIC's sentence and are part of the result."""
    from bench.analysis.economics import flat, notes

    return Document(
        grids=tuple(_grids(outlook)), rows=flat(outlook), notes=tuple(notes(outlook)), notes_are_results=True
    )


def money(value: Range | None, count: int = 3) -> str:
    """``1.23 [0.98, 1.60]``; one figure where there is no spread, a dash where there is none at all."""
    if value is None or value.likely is None:
        return MISSING
    likely = _amount(value.likely, count)
    if value.low is None or value.high is None:
        return f"{likely} [no bounds]"
    if value.low == value.high:
        return likely
    return f"{likely} [{_amount(value.low, count)}, {_amount(value.high, count)}]"


def _amount(value: float, count: int) -> str:
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else MISSING
    size = abs(value)
    if size >= 1000:
        scale, sign = next((scale, sign) for scale, sign in ((1e9, "bn"), (1e6, "M"), (1e3, "k")) if size >= scale)
        return f"{digits(value / scale, count)}{sign}"
    return digits(value, count) if size >= 1e-6 else f"{value:.1e}"


def _grids(outlook: Outlook) -> list[Grid]:
    """Mining and AI side by side with the ASIC; what would have to be true for them to meet; the site full of each."""
    unit = outlook.prices.currency
    header = ["card", "use", "revenue/h", "power/h", f"net {unit}/h", f"net {unit}/MWh", f"net {unit}/GPU/year"]
    asic, rows, styles = outlook.prices.asic, [], []
    sides = [
        (item.card.name, use, side)
        for item in outlook.cards
        for use, side in (("mining", item.mining), ("AI", item.ai))
    ]
    for name, use, side in [*sides, (asic.name, "mining", outlook.asic)]:
        if side is None:
            rows.append((name, use, *[MISSING] * 5))
        else:
            cells = (side.revenue_per_h, side.power_cost_per_h, side.net_per_h, side.net_per_mwh, side.net_per_year)
            rows.append((name, use, *map(money, cells)))
        styles.append("dim italic" if name == asic.name else "")
    first = Grid(
        tuple(header),
        tuple(rows),
        frozenset(range(2, 7)),
        tuple(styles),
        f"per card, in {unit}: likely [least, greatest]",
    )
    even = _break_even_grid(outlook)
    grids = [first, even] if even.rows else [first]
    if outlook.site:
        grids.append(_site_grid(outlook))
    return grids


def _break_even_grid(outlook: Outlook) -> Grid:
    from bench.analysis.economics import BREAK_EVENS

    unit = outlook.prices.currency
    rows = []
    for item in outlook.cards:
        if item.advantage_per_h is not None:
            best = f"AI earns more than mining by (better as: {item.verdict})"
            rows.append((item.card.name, best, money(item.advantage_per_h), f"{unit}/h"))
        for name, value in item.break_evens.items():
            units, meaning, _ = BREAK_EVENS[name]
            rows.append((item.card.name, meaning, money(value), units.replace("USD", unit)))
    header = ("card", "what would have to be true", "likely [least, greatest]", "unit")
    return Grid(header, tuple(rows), frozenset({2}), (), "break-even: where both earn the same")


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
    return Grid(header, rows, frozenset(range(2, 7)), (), title)
