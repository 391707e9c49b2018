"""An outlook as sentences under the tables, and as flat rows for CSV and JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from bench.analysis.economics.formulas import BREAK_EVENS
from bench.analysis.economics.outlook import CardOutlook, Outlook
from bench.analysis.economics.range import Range
from bench.analysis.economics.site import SiteChoice

SENTENCE = "SHA-256d on a GPU loses to an ASIC by orders of magnitude"
"""Shown under every table."""

_OPEN: Mapping[tuple[str, ...], str] = {
    ("mine", "rent"): "Cannot tell whether to mine or rent out for AI",
    ("mine", "off"): "Cannot tell whether to mine or switch off",
    ("rent", "off"): "Cannot tell whether to rent out for AI or switch off",
    ("mine", "rent", "off"): "Cannot tell whether to mine, rent out for AI or switch off",
}
_ONE: Mapping[str, str] = {
    "mine": "Mine",
    "rent": "Rent out for AI",
    "off": "Switch off: both uses lose money",
}
_ONLY = ("Only mining has a price", "Only AI work has a price")
_OFF = (
    "Switch off: mining loses money, the only use with a price",
    "Switch off: AI work loses money, the only use with a price",
)
_WANT = "Cannot tell, for want of figures or prices"

DECISIONS: tuple[str, ...] = (*_ONE.values(), *_OPEN.values(), *_ONLY, *_OFF, _WANT)
"""Everything that :func:`decision` may say."""

_SHOWN_SWINGS = 3
INPUT_WORDS: Mapping[str, str] = {
    "hash_th_per_s": "hashrate",
    "mine_w": "watts while mining",
    "ai_w": "watts at AI work",
    "idle_w": "idle watts",
    "sensor_gain": "the sensor's gain",
    "psu_efficiency": "supply efficiency",
    "ai_extra": "running cost of AI",
    "ai_uptime": "uptime of AI",
    "pue_ai": "PUE of AI",
    "pue_mining": "PUE of mining",
    "host_power_ai": "host power at AI work",
    "host_power_mining": "host power while mining",
    "asic_life": "life of an ASIC",
    "card_life": "life of a card",
    "building_life": "life of a building",
    "building_mining": "building for mining",
    "building_ai": "building for AI",
    "conversion": "conversion of a mining site",
    "server_price": "share of a server",
    "delay_mining": "wait for power, mining",
    "delay_ai": "wait for power, AI",
    "delay_conversion": "wait for a conversion",
    "halving": "time until the halving",
    "ramp": "time until full utilisation",
}
"""Inputs whose field does not say what they are."""


def decision(item: CardOutlook) -> str:
    """What to do with a card, one of :data:`DECISIONS`."""
    mining, ai, verdict = item.mining is not None, item.ai is not None, item.verdict
    if not mining and not ai:
        return _WANT
    if mining != ai:
        return (_OFF if verdict.kind == "off" else _ONLY)[0 if mining else 1]
    return _ONE[verdict.kind] if verdict.kind in _ONE else _OPEN[verdict.open]


def input_name(field: str) -> str:
    """An input as words."""
    return INPUT_WORDS.get(field, field.replace("_", " "))


def notes(outlook: Outlook) -> list[str]:
    """Sentences under the tables: the ASIC, what decides, what is missing, what the ranges are, date and sources."""
    asic = outlook.prices.asic
    factors = [(item.card.name, item.card.j_per_th, item.asic_factor) for item in outlook.cards]
    said = [
        f"{name} takes {joules:,.0f} J/TH, {factor:,.0f} times the {asic.name}'s {asic.j_per_th:g} J/TH"
        for name, joules, factor in factors
        if joules is not None and factor is not None
    ]
    lines = [f"{SENTENCE}{': ' + '; '.join(said) if said else ''}"]
    for item in outlook.cards:
        lines += [f"{item.card.name}: {text}" for text in _card_notes(item)]
    lines += _site_notes(outlook)
    lines.append("ranges take every input at its worst or at its best; they are not 95% intervals")
    lines.append(f"prices as of {outlook.prices.as_of.isoformat()}, from the price file; nothing was fetched")
    return [line.replace("USD", outlook.prices.currency) for line in lines]


def _card_notes(item: CardOutlook) -> Iterator[str]:
    if item.card.ai_task is not None:
        yield f"AI power is that of {item.card.ai_task}"
    yield from item.reasons
    gain = item.idle_mining_gain_per_h
    if gain is not None and gain.likely is not None:
        word = "adds" if gain.likely > 0 else "loses"
        advice = "" if gain.likely > 0 else ": leave it idle"
        yield f"mining in unrented hours {word} {abs(gain.likely):.2g} USD/h{advice}"
    shares = item.verdict.shares
    if shares:
        yield (
            f"renting out is best in {shares['rent']:.0%} of the draws, mining in {shares['mine']:.0%}, "
            f"switching off in {shares['off']:.0%}"
        )
    if item.swings:
        yield f"what decides between mining and AI: {', '.join(swing_texts(item))}"


def swing_texts(item: CardOutlook) -> list[str]:
    """The inputs that move the difference of both uses most, with how far."""
    return [f"{input_name(swing.name)} ({swing.size:.2g} USD/h)" for swing in item.swings[:_SHOWN_SWINGS]]


def _site_notes(outlook: Outlook) -> Iterator[str]:
    yield from outlook.missing
    priced = [choice for choice in outlook.site if choice.npv is not None]
    if not priced:
        return
    yield "an operating margin is before capital; the net present value has paid for machines and building"
    best = best_choice(outlook)
    if best is None:
        yield "no choice for this site pays for its capital at any of the prices"
        return
    name, sure = best
    said = f"{name.what} ({name.use}{', ' + name.building + ' building' if name.building else ''})"
    yield (
        f"the highest net present value is that of {said}"
        if sure
        else f"cannot tell what to build: ranges overlap; {said} has the highest likely net present value"
    )


def best_choice(outlook: Outlook) -> tuple[SiteChoice, bool] | None:
    """The choice with the highest likely net present value, and whether it leads whatever the prices.

    None where no choice pays for its capital at any of the prices.
    """
    priced = [choice for choice in outlook.site if choice.npv is not None]
    if all(_end(choice, "high") < 0 for choice in priced):
        return None
    best = max(priced, key=lambda choice: _end(choice, "likely"))
    others = [_end(choice, "high") for choice in priced if choice is not best]
    return best, _end(best, "low") > max(0.0, *others) if others else _end(best, "low") > 0


def _end(choice: SiteChoice, end: str) -> float:
    value = getattr(choice.npv, end)
    return -math.inf if value is None else float(value)


def flat(outlook: Outlook) -> list[dict[str, Any]]:
    """Everything as flat objects with the same keys, for CSV and JSON: what, use, figure, unit, and the range."""
    unit = outlook.prices.currency
    rows: list[dict[str, Any]] = []

    def add(what: str, use: str, figure: str, units: str, value: Range | None) -> None:
        if value is not None:
            ends = {name: getattr(value, name) for name in ("low", "likely", "high", "low95", "high95")}
            finite = {name: end if end is not None and math.isfinite(end) else None for name, end in ends.items()}
            rows.append({"what": what, "use": use, "figure": figure, "unit": units, **finite})

    sides = [(asic.name, "mining", side) for asic, side in zip(outlook.prices.asics, outlook.asics, strict=True)]
    for item in outlook.cards:
        sides += [(item.card.name, use, side) for use, side in (("mining", item.mining), ("AI", item.ai)) if side]
    for what, use, side in sides:
        add(what, use, "revenue", f"{unit}/h", side.revenue_per_h)
        add(what, use, "power cost", f"{unit}/h", side.power_cost_per_h)
        add(what, use, "net", f"{unit}/h", side.net_per_h)
        add(what, use, "net", f"{unit}/MWh", side.net_per_mwh)
        add(what, use, "net", f"{unit}/GPU/year", side.net_per_year)
    for item in outlook.cards:
        name = item.card.name
        add(name, "both", "AI beats mining by", f"{unit}/h", item.advantage_per_h)
        add(name, "AI", "mining in unrented hours adds", f"{unit}/h", item.idle_mining_gain_per_h)
        for even, value in item.break_evens.items():
            add(name, "both", f"break-even {even}", BREAK_EVENS[even][0].replace("USD", unit), value)
        if item.asic_factor is not None:
            add(name, "mining", "joules per hash over the ASIC's", "ratio", Range.of(item.asic_factor))
        for use, share in item.verdict.shares.items():
            add(name, use, "best in a share of the draws", "share", Range.of(share))
        for swing in item.swings:
            span = Range(swing.at_low, (item.advantage_per_h or Range.of(0.0)).likely, swing.at_high)
            add(name, "both", f"AI beats mining by, over {swing.name}", f"{unit}/h", span)
    for choice in outlook.site:
        use = f"{choice.use}, {choice.building} building" if choice.building else choice.use
        add(choice.what, use, "site machines", "count", choice.machines)
        add(choice.what, use, "site hashrate", "PH/s", choice.ph_per_s)
        add(choice.what, use, "site tokens (modelled)", "tokens/s", choice.tokens_per_s)
        add(choice.what, use, "site FLOPs", "FLOP/s", choice.flop_per_s)
        add(choice.what, use, "site revenue", f"{unit}/year", choice.revenue_per_year)
        add(choice.what, use, "site operating margin", f"{unit}/year", choice.net_per_year)
        add(choice.what, use, "site capital", unit, choice.capital)
        add(choice.what, use, "site net present value", unit, choice.npv)
        add(choice.what, use, "site payback", "years", choice.payback)
        add(choice.what, use, "site internal rate of return", "share/year", choice.irr)
    return rows
