"""An outlook as sentences under the tables, and as flat rows for CSV and JSON."""

from __future__ import annotations

from typing import Any

from bench.analysis.economics.formulas import BREAK_EVENS
from bench.analysis.economics.outlook import Outlook
from bench.analysis.economics.range import Range

SENTENCE = "SHA-256d on a GPU loses to an ASIC by orders of magnitude"
"""Shown under every table."""


def notes(outlook: Outlook) -> list[str]:
    """Sentences under the tables: the ASIC, what is missing, what the ranges are, the date and the sources."""
    asic = outlook.prices.asic
    lines = []
    factors = [(item.card.name, item.card.j_per_th, item.asic_factor) for item in outlook.cards]
    said = [
        f"{name} takes {joules:,.0f} J/TH, {factor:,.0f} times the {asic.name}'s {asic.j_per_th:g} J/TH"
        for name, joules, factor in factors
        if joules is not None and factor is not None
    ]
    lines.append(f"{SENTENCE}{': ' + '; '.join(said) if said else ''}")
    for item in outlook.cards:
        if item.card.ai_task is not None:
            lines.append(f"{item.card.name}: AI power is that of {item.card.ai_task}")
        lines += [f"{item.card.name}: {reason}" for reason in item.reasons]
        gain = item.idle_mining_gain_per_h
        if gain is not None and gain.likely is not None:
            word = "adds" if gain.likely > 0 else "loses"
            advice = "" if gain.likely > 0 else ": leave it idle"
            lines.append(f"{item.card.name}: mining in unrented hours {word} {abs(gain.likely):.2g} USD/h{advice}")
        sides = [side for side in (item.mining, item.ai) if side is not None]
        if sides and all(side.net_per_h.likely is not None and side.net_per_h.likely < 0 for side in sides):
            lines.append(f"{item.card.name}: loses money in both uses; better switched off")
    lines.append("ranges take every input at its worst or at its best; they are not 95% intervals")
    lines.append(f"prices as of {outlook.prices.as_of.isoformat()}, from the price file; nothing was fetched")
    return [line.replace("USD", outlook.prices.currency) for line in lines]


def flat(outlook: Outlook) -> list[dict[str, Any]]:
    """Everything as flat objects with the same keys, for CSV and JSON: what, use, figure, unit, low, likely, high."""
    unit = outlook.prices.currency
    rows: list[dict[str, Any]] = []

    def add(what: str, use: str, figure: str, units: str, value: Range | None) -> None:
        if value is not None:
            bounds = {"low": value.low, "likely": value.likely, "high": value.high}
            rows.append({"what": what, "use": use, "figure": figure, "unit": units, **bounds})

    sides = [(outlook.prices.asic.name, "mining", outlook.asic)]
    for item in outlook.cards:
        sides += [(item.card.name, use, side) for use, side in (("mining", item.mining), ("AI", item.ai)) if side]
    for what, use, side in sides:
        add(what, use, "revenue", f"{unit}/h", side.revenue_per_h)
        add(what, use, "power cost", f"{unit}/h", side.power_cost_per_h)
        add(what, use, "net", f"{unit}/h", side.net_per_h)
        add(what, use, "net", f"{unit}/MWh", side.net_per_mwh)
        add(what, use, "net", f"{unit}/GPU/year", side.net_per_year)
    for item in outlook.cards:
        add(item.card.name, "both", "AI beats mining by", f"{unit}/h", item.advantage_per_h)
        add(item.card.name, "AI", "mining in unrented hours adds", f"{unit}/h", item.idle_mining_gain_per_h)
        for name, value in item.break_evens.items():
            add(item.card.name, "both", f"break-even {name}", BREAK_EVENS[name][0].replace("USD", unit), value)
        if item.asic_factor is not None:
            add(item.card.name, "mining", "joules per hash over the ASIC's", "ratio", Range.of(item.asic_factor))
    for choice in outlook.site:
        add(choice.what, choice.use, "site machines", "count", choice.machines)
        add(choice.what, choice.use, "site hashrate", "PH/s", choice.ph_per_s)
        add(choice.what, choice.use, "site tokens (modelled)", "tokens/s", choice.tokens_per_s)
        add(choice.what, choice.use, "site FLOPs", "FLOP/s", choice.flop_per_s)
        add(choice.what, choice.use, "site revenue", f"{unit}/year", choice.revenue_per_year)
        add(choice.what, choice.use, "site net", f"{unit}/year", choice.net_per_year)
    return rows
