"""The tables of the money section. Pure; the figures are :mod:`bench.analysis.economics`'s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    chart,
    data,
    idle_text,
    in_currency,
    limits,
    round_up,
    sides,
    starts,
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
    value: float

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
    drawn, as_of = chart(outlook, ready), outlook.prices.as_of.isoformat()
    blocks: list[Block] = [drawn] if drawn is not None else []
    blocks.append(ranges_table(outlook))
    evens, site = break_evens_table(outlook), site_table(outlook)
    if evens is not None:
        blocks.append(Folded(_("Break-evens of every card, with ranges"), evens))
    if site is not None:
        title = _("A site of {power} MW: what each choice yields", power=figures(outlook.site_mw or 0))
        blocks.append(Folded(title, site))
    remarks = [_("{sentence}.", sentence=sentence(phrase(text))) for text in economics.notes(outlook)]
    blocks.append(Sentences(_("Read with this"), remarks))
    blocks.append(Folded(_("The prices, as of {day}, with their sources", day=as_of), sources_table(outlook)))
    series = {entry.card: entry.series for entry in study.entries}
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
                field, _(name), in_currency(unit, outlook), *limits(field, outlook, ready), value=getattr(likely, field)
            )
            for field, (name, unit) in SLIDERS.items()
        ],
        verdict=verdict_text(economics.advantage(likely), currency),
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
                Cell(written(found[use][key], decimals), out=f"{use}.{key}", value=repr(found[use][key]))
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
        cell = Cell(
            written(value, DECIMALS[name]), out=f"break_even.{name}", value="" if value is None else repr(value)
        )
        rows.append([sentence(_(meaning)), cell, in_currency(unit, outlook)])
    header = (_("Break-even"), _("Value"), _("Unit"))
    return table(_("Where the balance tips, all else equal"), header, rows, numeric={1})


def _cell(value: Range | None, decimals: int) -> str | Cell:
    if value is None:
        return MISSING
    if value.low == value.high or value.low is None or value.high is None:
        return written(value.likely, decimals)
    interval = "(" + _("{low} to {high}", low=written(value.low, decimals), high=written(value.high, decimals)) + ")"
    return Cell(written(value.likely, decimals), interval)


def ranges_table(outlook: Outlook) -> Table:
    """Every card and the ASIC, each figure likely and with its range."""
    rows: list[list[str | Cell]] = []
    verdicts = {"AI": _("AI wins"), "mining": _("mining wins"), "cannot tell": _("ranges overlap")}
    for item in outlook.cards:
        for use, side in ((_("mining"), item.mining), (_("AI, rented out"), item.ai)):
            rows.append([item.card.name, use, verdicts.get(item.verdict, _("a side is missing")), *_side_cells(side)])
    rows.append([outlook.prices.asic.name, _("mining"), _("for scale"), *_side_cells(outlook.asic)])
    header = [
        *(_("Card"), _("Use"), _("Verdict")),
        *(f"{_(name)} ({in_currency(unit, outlook)})" for name, unit, _decimals in ROWS.values()),
    ]
    caption = _("Every card at the price file's prices: likely, and the worst and best corner of all inputs")
    return table(caption, header, rows, numeric=set(range(3, 3 + len(ROWS))), class_="ranges")


def _side_cells(side: Side | None) -> list[str | Cell]:
    held = {entry.name: getattr(side, entry.name) for entry in fields(Side)} if side is not None else {}
    return [_cell(held.get(key), decimals) for key, (_name, _unit, decimals) in ROWS.items()]


def break_evens_table(outlook: Outlook) -> Table | None:
    """The break-evens of every card with their ranges; None where no card has any."""
    rows: list[list[str | Cell]] = [
        [
            item.card.name,
            sentence(_(meaning)),
            _cell(item.break_evens[name], DECIMALS[name]),
            in_currency(unit, outlook),
        ]
        for item in outlook.cards
        for name, (unit, meaning, _terms) in BREAK_EVENS.items()
        if name in item.break_evens
    ]
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
            _cell(item.machines, 0),
            _cell(item.ph_per_s, 2),
            _cell(item.tokens_per_s, 0),
            _cell(item.revenue_per_year, 0),
            _cell(item.net_per_year, 0),
        ]
        for item in outlook.site
    ]
    currency = outlook.prices.currency
    header = (
        *(_("Machine"), _("Use"), _("Machines"), _("Hashrate (PH/s)"), _("Modelled tokens per second")),
        *(_("Revenue ({currency}/year)", currency=currency), _("Net ({currency}/year)", currency=currency)),
    )
    caption = _("A site of {power} MW at its meter, filled with one machine", power=figures(outlook.site_mw))
    return table(caption, header, rows, numeric={2, 3, 4, 5, 6})


def sources_table(outlook: Outlook) -> Table:
    """The price file, with its sources."""
    prices = outlook.prices
    rows: list[list[str | Cell]] = [
        [name, _cell(price.range, 4), in_currency(price.unit, outlook), price.source]
        for name, price in [
            *((_(name.replace("_", " ")), price) for name, price in prices.items.items()),
            *((_("rent of {card}", card=card), price) for card, price in prices.rents),
        ]
    ]
    asic = prices.asic
    rows.append([asic.name, f"{figures(asic.hash_th_per_s)} TH/s, {figures(asic.j_per_th)} J/TH", "", asic.source])
    header = (_("Input"), _("Likely (low to high)"), _("Unit"), _("Source"))
    return table(_("The price file"), header, rows, numeric={1})
