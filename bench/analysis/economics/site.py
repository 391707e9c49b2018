"""A site of given power, filled with one kind of machine in one use: its margin, its capital, and what comes of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from bench.analysis.economics import capital, scenario
from bench.analysis.economics.box import Box
from bench.analysis.economics.capital import Project
from bench.analysis.economics.formulas import (
    HOURS_PER_YEAR,
    KW_PER_MW,
    Inputs,
    ai_net,
    ai_revenue,
    hosting_net,
    hosting_revenue,
    mining_net,
    mining_revenue,
    reserved_net,
    reserved_revenue,
)
from bench.analysis.economics.measured import Card
from bench.analysis.economics.prices import Asic, Contract, Prices
from bench.analysis.economics.range import Range

Formula = Callable[[Inputs], Any]


@dataclass(frozen=True, slots=True)
class SiteChoice:
    """What a site of given power holds of one machine in one use. Money has no capital in it unless it says so."""

    what: str
    use: str
    """``mining``, ``AI``, ``AI, reserved`` or ``hosting``."""
    building: str
    """``new`` or ``converted``; empty where the price file has no capital."""
    machines: Range
    ph_per_s: Range | None
    tokens_per_s: Range | None
    flop_per_s: Range | None
    revenue_per_year: Range
    net_per_year: Range
    """The operating margin: after power and running costs, before capital."""
    capital: Range | None = None
    """The outlay; None where a price is missing."""
    npv: Range | None = None
    """Net present value."""
    payback: Range | None = None
    """Years from the outlay, undiscounted; infinite: never."""
    irr: Range | None = None
    """Share per year; −1: nothing comes back."""


@dataclass(frozen=True, slots=True)
class _Use:
    """What a machine does: its formulas at today's prices, and as a project."""

    name: str
    revenue: Formula
    net: Formula
    kw: Formula
    """At the wall plug at work."""
    pue: Formula
    prices: Callable[[Inputs, int], Inputs]
    later: Callable[[Inputs, float], Any] | None = None
    """The margin of a year, where it is not ``net`` of that year's prices."""

    def count(self, power: float) -> Formula:
        """As many machines as the site feeds when all of them work: its power ÷ (PUE × kW of one at work)."""
        return lambda i: power * KW_PER_MW / (self.pue(i) * self.kw(i))

    @property
    def project(self) -> Project:
        """One machine, for its capital."""
        return Project(self.later or (lambda i, _year: self.net(i)), self.kw, self.prices)


def _reserved_later(i: Inputs, year: float) -> Any:
    """The contract's price while it runs, then the market's."""
    import numpy as np

    share = np.clip(i.term - year, 0.0, 1.0)
    return share * reserved_net(i) + (1 - share) * ai_net(i)


def _mine_kw(i: Inputs) -> Any:
    return i.mine_kw


def _ai_kw(i: Inputs) -> Any:
    return i.ai_kw


def _one_kw(_i: Inputs) -> float:
    return 1.0


def _pue_mining(i: Inputs) -> Any:
    return i.pue_mining


def _pue_ai(i: Inputs) -> Any:
    return i.pue_ai


MINING = _Use("mining", mining_revenue, mining_net, _mine_kw, _pue_mining, capital.mining_prices)
AI = _Use("AI", ai_revenue, ai_net, _ai_kw, _pue_ai, capital.ai_prices)
RESERVED = _Use("AI, reserved", reserved_revenue, reserved_net, _ai_kw, _pue_ai, capital.ai_prices, _reserved_later)
HOSTING = _Use("hosting", hosting_revenue, hosting_net, _one_kw, _pue_ai, capital.fixed_prices)
HOSTING_WITHOUT_ENERGY = replace(HOSTING, net=hosting_revenue)


def asic_choice(asic: Asic, prices: Prices, power: float) -> SiteChoice:
    """A site full of one ASIC."""
    ranges = scenario.asic_ranges(asic, prices)
    price = None
    if asic.price is not None and prices.has_capital:
        price = asic.price.range.times(asic.hash_th_per_s)
        ranges |= scenario.mining_capital(price, prices)
    box = Box(ranges)
    return _choice(asic.name, MINING, box, power, price is not None, "new", rate=Range.of(asic.hash_th_per_s))


def card_choices(card: Card, prices: Prices, power: float, *, mines: bool, rents: bool) -> Iterator[SiteChoice]:
    """A site full of one card: mining, rented out, and under each contract that is for it."""
    ranges = scenario.card_ranges(card, prices, prices.rent(card.name))
    found = prices.card_price(card.name) if prices.has_capital else None
    price = None if found is None else scenario.with_server(found.range, prices)
    if mines and card.hash_per_s is not None:
        more = {} if price is None else scenario.mining_capital(price, prices)
        if more:
            more["machine_life"] = prices.range("card_life")
        box = Box({**ranges, **more})
        rate = card.hash_per_s.times(1e-12)
        yield _choice(card.name, MINING, box, power, price is not None, "new", rate=rate)
    if not rents:
        return
    for building in _buildings(prices) if price is not None else ("",):
        more = {} if price is None else scenario.ai_capital(price, prices, converted=building == "converted")
        yield _choice(card.name, AI, Box({**ranges, **more}), power, price is not None, building, card=card)
        for contract in prices.contracts:
            if contract.mode == "reserved" and prices.fits(contract.card, card.name):
                box = Box({**ranges, **more, **scenario.contract_ranges(contract)})
                what = f"{card.name}: {contract.name}"
                yield _choice(what, RESERVED, box, power, price is not None, building, card=card)


def hosting_choices(contract: Contract, prices: Prices, power: float) -> Iterator[SiteChoice]:
    """A site whose building is let by the kilowatt; its machines are kilowatts."""
    use = HOSTING_WITHOUT_ENERGY if contract.tenant_pays_energy else HOSTING
    nothing = Asic("", 0.0, 0.0, "")
    for building in _buildings(prices) if prices.has_capital else ("",):
        ranges = {**scenario.asic_ranges(nothing, prices), **scenario.contract_ranges(contract)}
        if building:
            price = contract.equipment.times(1 / KW_PER_MW)
            ranges |= scenario.ai_capital(price, prices, converted=building == "converted")
            ranges["machine_life"] = contract.term
        yield _choice(contract.name, use, Box(ranges), power, bool(building), building)


def _buildings(prices: Prices) -> tuple[str, ...]:
    return ("new", "converted") if "conversion" in prices.items else ("new",)


def _choice(
    what: str,
    use: _Use,
    box: Box,
    power: float,
    priced: bool,
    building: str,
    *,
    rate: Range | None = None,
    card: Card | None = None,
) -> SiteChoice:
    count, project = use.count(power), use.project
    machines = box.over(count)
    tokens = None if card is None or card.tokens_per_s is None else _scaled(machines, card.tokens_per_s)
    found: dict[str, Range] = {}
    if priced:
        found["capital"] = box.over(lambda i: capital.outlay(i, project) * count(i))
        found["npv"] = box.search(lambda i: capital.npv(i, project) * count(i))
        # both by the profitability at the likely rate: neither is smooth, and payback may be infinite
        discount = box.likely.discount_rate
        worst, best = box.ends(lambda i: capital.profitability(i, project, discount))
        at = {"worst": worst, "likely": box.likely, "best": best}
        irr = {name: float(capital.irr(i, project)) for name, i in at.items()}
        found["irr"] = Range(irr["worst"], irr["likely"], irr["best"])
        years = {name: float(capital.payback(i, project)) for name, i in at.items()}
        found["payback"] = Range(years["best"], years["likely"], years["worst"])
    return SiteChoice(
        what=what,
        use=use.name,
        building=building if priced else "",
        machines=_floor(machines),
        ph_per_s=None if rate is None else _scaled(machines, rate.times(1e-3)),
        tokens_per_s=tokens,
        flop_per_s=None if card is None or card.ai_per_s is None else _scaled(machines, card.ai_per_s),
        revenue_per_year=box.over(lambda i: use.revenue(i) * count(i) * HOURS_PER_YEAR),
        net_per_year=box.over(lambda i: use.net(i) * count(i) * HOURS_PER_YEAR),
        **found,
    )


def _scaled(machines: Range, each: Range) -> Range:
    """Both above 0, so the ends multiply end by end."""
    pairs = zip((machines.low, machines.likely, machines.high), (each.low, each.likely, each.high), strict=True)
    return Range(*(None if a is None or b is None else a * b for a, b in pairs))


def _floor(machines: Range) -> Range:
    """Whole machines."""
    ends = (machines.low, machines.likely, machines.high)
    return Range(*(None if part is None else float(math.floor(part)) for part in ends))
