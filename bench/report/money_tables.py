"""The tables of the money section. Pure; the figures are :mod:`bench.analysis.economics`'s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from bench.analysis import economics
from bench.analysis.economics import BREAK_EVENS, Inputs, Outlook, Range, Side
from bench.output.format import MISSING, figures
from bench.report.figure import Figure
from bench.report.money import (
    DECIMALS,
    ROWS,
    SLIDERS,
    Start,
    asic_inputs,
    idle_text,
    in_currency,
    limits,
    round_up,
    sides,
    verdict_text,
    written,
)
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
    """The whole section. ``panel`` and ``chart`` are None where no card has all that money needs."""

    as_of: str
    panel: Panel | None
    chart: Figure | None
    ranges: Table
    break_evens: Table | None
    site: Table | None
    site_mw: str
    remarks: Sequence[str]
    sources: Table


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


def section(outlook: Outlook, ready: Sequence[Start], drawn: Figure | None) -> Money:
    """The section for one price file."""
    return Money(
        as_of=outlook.prices.as_of.isoformat(),
        panel=panel(outlook, ready) if ready else None,
        chart=drawn,
        ranges=ranges_table(outlook),
        break_evens=break_evens_table(outlook),
        site=site_table(outlook),
        site_mw="" if outlook.site_mw is None else figures(outlook.site_mw),
        remarks=[f"{_sentence(text)}." for text in economics.notes(outlook)],
        sources=sources_table(outlook),
    )


def panel(outlook: Outlook, ready: Sequence[Start]) -> Panel:
    """What stands in the panel before a slider moves."""
    likely = ready[0].inputs
    currency = outlook.prices.currency
    return Panel(
        cards=[item.name for item in ready],
        sliders=[
            Slider(
                field, name, in_currency(unit, outlook), *limits(field, outlook, ready), value=getattr(likely, field)
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
            f"{name} ({in_currency(unit, outlook)})",
            *(
                Cell(written(found[use][key], decimals), out=f"{use}.{key}", value=repr(found[use][key]))
                for use in ("mining", "ai", "asic")
            ),
        ]
        for key, (name, unit, decimals) in ROWS.items()
    ]
    header = ("Figure", "Mining", "AI, rented out", f"{outlook.prices.asic.name}, for scale")
    return table("At these prices, per card", header, rows, numeric={1, 2, 3})


def _panel_break_evens(outlook: Outlook, likely: Inputs) -> Table:
    rows: list[list[str | Cell]] = []
    for name, (unit, meaning, _) in BREAK_EVENS.items():
        value = economics.break_even(name, likely)
        cell = Cell(
            written(value, DECIMALS[name]), out=f"break_even.{name}", value="" if value is None else repr(value)
        )
        rows.append([_sentence(meaning), cell, in_currency(unit, outlook)])
    return table("Where the balance tips, all else equal", ("Break-even", "Value", "Unit"), rows, numeric={1})


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _cell(value: Range | None, decimals: int) -> str | Cell:
    if value is None:
        return MISSING
    if value.low == value.high or value.low is None or value.high is None:
        return written(value.likely, decimals)
    interval = f"({written(value.low, decimals)} to {written(value.high, decimals)})"
    return Cell(written(value.likely, decimals), interval)


def ranges_table(outlook: Outlook) -> Table:
    """Every card and the ASIC, each figure likely and with its range."""
    rows: list[list[str | Cell]] = []
    verdicts = {"AI": "AI wins", "mining": "mining wins", "cannot tell": "ranges overlap"}
    for item in outlook.cards:
        for use, side in (("mining", item.mining), ("AI, rented out", item.ai)):
            rows.append([item.card.name, use, verdicts.get(item.verdict, "a side is missing"), *_side_cells(side)])
    rows.append([outlook.prices.asic.name, "mining", "for scale", *_side_cells(outlook.asic)])
    header = [
        *("Card", "Use", "Verdict"),
        *(f"{name} ({in_currency(unit, outlook)})" for name, unit, _ in ROWS.values()),
    ]
    caption = "Every card at the price file's prices: likely, and the worst and best corner of all inputs"
    return table(caption, header, rows, what="rows", numeric=set(range(3, 3 + len(ROWS))), class_="ranges")


def _side_cells(side: Side | None) -> list[str | Cell]:
    held = {entry.name: getattr(side, entry.name) for entry in fields(Side)} if side is not None else {}
    return [_cell(held.get(key), decimals) for key, (_, _, decimals) in ROWS.items()]


def break_evens_table(outlook: Outlook) -> Table | None:
    """The break-evens of every card with their ranges; None where no card has any."""
    rows: list[list[str | Cell]] = [
        [item.card.name, _sentence(meaning), _cell(item.break_evens[name], DECIMALS[name]), in_currency(unit, outlook)]
        for item in outlook.cards
        for name, (unit, meaning, _) in BREAK_EVENS.items()
        if name in item.break_evens
    ]
    header = ("Card", "Break-even", "Value", "Unit")
    return table("Break-evens with their ranges", header, rows, what="break-evens", numeric={2}) if rows else None


def site_table(outlook: Outlook) -> Table | None:
    """What a whole site yields, filled with one machine; None where the price file has no site."""
    if not outlook.site or outlook.site_mw is None:
        return None
    rows: list[list[str | Cell]] = [
        [
            item.what,
            item.use,
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
        *("Machine", "Use", "Machines", "Hashrate (PH/s)", "Modelled tokens per second"),
        *(f"Revenue ({currency}/year)", f"Net ({currency}/year)"),
    )
    caption = f"A site of {figures(outlook.site_mw)} MW at its meter, filled with one machine"
    return table(caption, header, rows, numeric={2, 3, 4, 5, 6})


def sources_table(outlook: Outlook) -> Table:
    """The price file, with its sources."""
    prices = outlook.prices
    rows: list[list[str | Cell]] = [
        [name.replace("_", " "), _cell(price.range, 4), in_currency(price.unit, outlook), price.source]
        for name, price in [*prices.items.items(), *((f"rent of {card}", price) for card, price in prices.rents)]
    ]
    asic = prices.asic
    rows.append([asic.name, f"{figures(asic.hash_th_per_s)} TH/s, {figures(asic.j_per_th)} J/TH", "", asic.source])
    return table("The price file", ("Input", "Likely (low to high)", "Unit", "Source"), rows, numeric={1})
