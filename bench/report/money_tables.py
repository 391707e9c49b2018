"""The tables of the money section. Pure; the figures are :mod:`bench.analysis.economics`'s."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

from bench.analysis import economics
from bench.analysis.economics import BREAK_EVENS, Inputs, Outlook, Range, Side
from bench.output.format import MISSING, figures
from bench.report.language import N_, _, phrase, sentence
from bench.report.money import (
    DECIMALS,
    ROWS,
    SLIDERS,
    Start,
    asic_inputs,
    break_even_text,
    chart,
    data,
    exact,
    idle_text,
    in_currency,
    limits,
    round_up,
    sides,
    starts,
    tornado,
    verdict_text,
    written,
)
from bench.report.section import Block, Content, Folded, Section, Sentences, Study
from bench.report.table import Cell, Table, table


@dataclass(frozen=True, slots=True)
class Slider:
    """A price that the reader may change."""

    field: str
    name: str
    unit: str
    low: float
    high: float
    value: str
    """Empty where the reader is asked for it."""

    @property
    def step(self) -> float:
        """What an arrow of the number field adds; any other value may be typed."""
        return round_up((self.high - self.low) / 200)


@dataclass(frozen=True, slots=True)
class Money:
    """What the section's own template writes. ``panel`` is None where no card has all that money needs."""

    as_of: str
    panel: Panel | None


@dataclass(frozen=True, slots=True)
class Panel:
    """The sliders and what they change, at the likely prices of the first card."""

    cards: Sequence[str]
    sliders: Sequence[Slider]
    verdict: str
    idle: str
    figures: Table
    break_evens: Table
    without_rent: Sequence[str]
    """Cards that the price file has no rent for."""


def _build(study: Study) -> Content | None:
    outlook = study.outlook
    if outlook is None:
        return None
    ready = starts(outlook)
    as_of = outlook.prices.as_of.isoformat()
    series = {entry.card: entry.series for entry in study.entries}
    drawn: list[Block | None] = [chart(outlook, ready), tornado(outlook, series)]
    blocks: list[Block] = [block for block in drawn if block is not None]
    blocks.append(ranges_table(outlook))
    power = figures(outlook.site_mw or 0)
    for title, found in (
        (_("What is plausible: 95% of the draws, and how often each use is the best"), intervals_table(outlook)),
        (_("Break-evens of every card, with ranges"), break_evens_table(outlook)),
        (_("A site of {power} MW: what each choice yields, before capital", power=power), site_table(outlook)),
        (_("A site of {power} MW: capital, and what comes back", power=power), capital_table(outlook)),
    ):
        if found is not None:
            blocks.append(Folded(title, found))
    remarks = [_("{sentence}.", sentence=sentence(phrase(text))) for text in economics.notes(outlook)]
    blocks.append(Sentences(_("Read with this"), remarks))
    blocks.append(Folded(_("The prices, as of {day}, with their sources", day=as_of), sources_table(outlook)))
    return Content(
        blocks,
        Money(as_of, panel(outlook, ready) if ready else None),
        {"money": data(outlook, ready, series)} if ready else {},
    )


SECTION = Section(
    "cash",
    N_("Money"),
    N_("Money"),
    _build,
    absent=N_("Money (no price file was given)."),
    template="money.html",
    script="money.js",
)


def panel(outlook: Outlook, ready: Sequence[Start]) -> Panel:
    """What stands in the panel before a slider moves."""
    likely = ready[0].inputs
    currency = outlook.prices.currency
    return Panel(
        cards=[item.name for item in ready],
        sliders=[
            Slider(
                field,
                _(name),
                in_currency(unit, outlook),
                *limits(field, outlook, ready),
                value=exact(float(getattr(likely, field))),
            )
            for field, (name, unit) in SLIDERS.items()
        ],
        verdict=verdict_text(likely, currency),
        idle=idle_text(economics.idle_mining_gain(likely), currency),
        figures=_panel_figures(outlook, likely),
        break_evens=_panel_break_evens(outlook, likely),
        without_rent=[item.name for item in ready if not item.rent_known],
    )


def _panel_figures(outlook: Outlook, likely: Inputs) -> Table:
    found: Mapping[str, Mapping[str, float]] = {**sides(likely), "asic": sides(asic_inputs(outlook))["mining"]}
    rows: list[list[str | Cell]] = [
        [
            f"{_(name)} ({in_currency(unit, outlook)})",
            *(
                Cell(written(found[use][key], decimals), out=f"{use}.{key}", value=exact(found[use][key]))
                for use in ("mining", "ai", "asic")
            ),
        ]
        for key, (name, unit, decimals) in ROWS.items()
    ]
    header = (
        *(_("Figure"), sentence(_("mining")), _("AI, rented out")),
        _("{name}, for scale", name=outlook.prices.asic.name),
    )
    return table(_("At these prices, per card"), header, rows, numeric={1, 2, 3})


def _panel_break_evens(outlook: Outlook, likely: Inputs) -> Table:
    rows: list[list[str | Cell]] = []
    for name, (unit, meaning, _terms) in BREAK_EVENS.items():
        value = economics.break_even(name, likely)
        cell = Cell(break_even_text(name, value, likely), out=f"break_even.{name}", value=exact(value))
        rows.append([sentence(_(meaning)), cell, in_currency(unit, outlook)])
    header = (_("Break-even"), _("Value"), _("Unit"))
    return table(_("Where the balance tips, all else equal"), header, rows, numeric={1})


def _cell(value: Range | None, write: Callable[[float | None], str]) -> str | Cell:
    if value is None:
        return MISSING
    if value.low == value.high or value.low is None or value.high is None:
        return write(value.likely)
    return Cell(write(value.likely), _interval(value.low, value.high, write))


def _cell95(value: Range | None, write: Callable[[float | None], str]) -> str | Cell:
    """The same with the ends of the draws' interval."""
    return MISSING if value is None else _cell(Range(value.low95, value.likely, value.high95), write)


def _interval(low: float, high: float, write: Callable[[float | None], str]) -> str:
    return "(" + _("{low} to {high}", low=write(low), high=write(high)) + ")"


def _to(decimals: int) -> Callable[[float | None], str]:
    return functools.partial(written, decimals=decimals)


def ranges_table(outlook: Outlook) -> Table:
    """Every card and the ASICs, each figure likely and with its range."""
    rows: list[list[str | Cell]] = []
    for item in outlook.cards:
        for use, side in ((_("mining"), item.mining), (_("AI, rented out"), item.ai)):
            rows.append([item.card.name, use, _(economics.decision(item)), *_side_cells(side)])
    for asic, side in zip(outlook.prices.asics, outlook.asics, strict=True):
        rows.append([asic.name, _("mining"), _("for scale"), *_side_cells(side)])
    header = [
        *(_("Card"), _("Use"), _("Verdict")),
        *(f"{_(name)} ({in_currency(unit, outlook)})" for name, unit, _decimals in ROWS.values()),
    ]
    caption = _(
        "Every card at the price file's prices, before capital: likely, and the worst and best corner of all inputs"
    )
    return table(caption, header, rows, numeric=set(range(3, 3 + len(ROWS))), class_="ranges")


def _side_cells(side: Side | None) -> list[str | Cell]:
    held = {entry.name: getattr(side, entry.name) for entry in fields(Side)} if side is not None else {}
    return [_cell(held.get(key), _to(decimals)) for key, (_name, _unit, decimals) in ROWS.items()]


def intervals_table(outlook: Outlook) -> Table | None:
    """What is plausible: intervals of the draws, and how often each use is the best."""
    rows: list[list[str | Cell]] = []
    for item in outlook.cards:
        shares = item.verdict.shares
        if shares:
            nets = [None if side is None else side.net_per_h for side in (item.mining, item.ai)]
            cells = [_cell95(value, _to(4)) for value in (*nets, item.advantage_per_h)]
            rows.append([item.card.name, *cells, *(f"{shares[use]:.1%}" for use in economics.USES)])
    unit = f"({in_currency('USD/h', outlook)})"
    header = (
        *(_("Card"), f"{_('Net of mining')} {unit}", f"{_('Net of AI')} {unit}", f"{_('AI beats mining by')} {unit}"),
        *(_("Mining is best"), _("Renting out is best"), _("Switching off is best")),
    )
    caption = _("Likely, and 95% of 100,000 scenarios drawn between low, likely and high")
    return table(caption, header, rows, numeric=set(range(1, 7))) if rows else None


def break_evens_table(outlook: Outlook) -> Table | None:
    """The break-evens of every card with their ranges; None where no card has any."""
    rows: list[list[str | Cell]] = []
    for item in outlook.cards:
        for name, (unit, meaning, _terms) in BREAK_EVENS.items():
            if name in item.break_evens:

                def write(value: float | None, name: str = name, i: Inputs | None = item.likely) -> str:
                    return written(value, DECIMALS[name]) if i is None else break_even_text(name, value, i)

                cell = _cell(item.break_evens[name], write)
                rows.append([item.card.name, sentence(_(meaning)), cell, in_currency(unit, outlook)])
    header = (_("Card"), _("Break-even"), _("Value"), _("Unit"))
    return table(_("Break-evens with their ranges"), header, rows, numeric={2}) if rows else None


def site_table(outlook: Outlook) -> Table | None:
    """What a whole site yields, filled with one machine; None where the price file has no site."""
    if not outlook.site or outlook.site_mw is None:
        return None
    rows: list[list[str | Cell]] = [
        [
            item.what,
            _(item.use),
            _cell(item.machines, _to(0)),
            _cell(item.ph_per_s, _to(2)),
            _cell(item.tokens_per_s, _to(0)),
            _cell(item.revenue_per_year, _to(0)),
            _cell(item.net_per_year, _to(0)),
        ]
        for item in outlook.site
        if item.building != "converted"
    ]
    currency = outlook.prices.currency
    header = (
        *(_("Machine"), _("Use"), _("Machines"), _("Hashrate (PH/s)"), _("Modelled tokens per second")),
        _("Revenue ({currency}/year)", currency=currency),
        _("Operating margin ({currency}/year)", currency=currency),
    )
    caption = _("A site of {power} MW at its meter, filled with one machine", power=figures(outlook.site_mw))
    return table(caption, header, rows, numeric={2, 3, 4, 5, 6})


def capital_table(outlook: Outlook) -> Table | None:
    """What the same choices cost and bring back; None where the price file does not say what anything costs."""
    rows: list[list[str | Cell]] = []
    for item in outlook.site:
        if item.npv is not None:
            money = [_cell(value, _to(0)) for value in (item.capital, item.net_per_year, item.npv)]
            spread = _cell95(item.npv, _to(0))
            rows.append(
                [
                    item.what,
                    _(item.use),
                    _(item.building),
                    *money,
                    spread,
                    _cell(item.payback, _years),
                    _cell(item.irr, _rate),
                ]
            )
    currency = outlook.prices.currency
    header = (
        *(_("Machine"), _("Use"), _("Building"), _("Capital ({currency})", currency=currency)),
        _("Operating margin ({currency}/year)", currency=currency),
        _("Net present value ({currency})", currency=currency),
        _("Net present value, 95% of the draws ({currency})", currency=currency),
        *(_("Payback (years)"), _("Rate of return per year")),
    )
    caption = _("The same site with its capital, by the price file's lives, delays, growth and discount rate")
    return table(caption, header, rows, numeric=set(range(3, 9))) if rows else None


def _years(value: float | None) -> str:
    return _("never") if value == math.inf else written(value, 1)


def _rate(value: float | None) -> str:
    if value is None:
        return MISSING
    return f"{100 * value:.0f}%".replace("-", "−") if value > -0.9999 else _("all is lost")


def sources_table(outlook: Outlook) -> Table:
    """The price file, with its sources."""
    prices = outlook.prices
    rows: list[list[str | Cell]] = [
        [name, _cell(price.range, _to(4)), in_currency(price.unit, outlook), price.source]
        for name, price in [
            *((_(economics.input_name(name)), price) for name, price in prices.items.items()),
            *((_("rent of {card}", card=card), price) for card, price in prices.rents),
            *((_("price of {card}", card=card), price) for card, price in prices.card_prices),
            *((_("price of {card}", card=asic.name), asic.price) for asic in prices.asics if asic.price is not None),
            *((contract.name, contract.price) for contract in prices.contracts),
        ]
    ]
    rows += [
        [asic.name, f"{figures(asic.hash_th_per_s)} TH/s, {figures(asic.j_per_th)} J/TH", "", asic.source]
        for asic in prices.asics
    ]
    header = (_("Input"), _("Likely (low to high)"), _("Unit"), _("Source"))
    return table(_("The price file"), header, rows, numeric={1})
