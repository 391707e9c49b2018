"""Each card as a miner and as an AI card, the ASICs for comparison, and a site full of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.analysis.economics import scenario, verdict
from bench.analysis.economics.box import Box, Swing
from bench.analysis.economics.formulas import (
    BREAK_EVENS,
    HOURS_PER_YEAR,
    KW_PER_MW,
    Inputs,
    advantage,
    ai_kwh,
    ai_net,
    ai_revenue,
    idle_mining_gain,
    mining_kwh,
    mining_net,
    mining_revenue,
)
from bench.analysis.economics.measured import Card
from bench.analysis.economics.prices import Prices
from bench.analysis.economics.range import Range
from bench.analysis.economics.site import SiteChoice, asic_choice, card_choices, hosting_choices
from bench.analysis.economics.verdict import Verdict
from bench.model import BenchError


@dataclass(frozen=True, slots=True)
class Side:
    """One use of a card, after all running costs unless named gross. $/MWh is per MWh at the site's meter."""

    revenue_per_h: Range
    power_cost_per_h: Range
    net_per_h: Range
    net_per_mwh: Range
    net_per_year: Range


@dataclass(frozen=True, slots=True)
class CardOutlook:
    """A card's money. A side is None where its figures or its rent are missing; ``reasons`` says which."""

    card: Card
    mining: Side | None
    ai: Side | None
    advantage_per_h: Range | None
    """By which AI beats mining."""
    verdict: Verdict
    idle_mining_gain_per_h: Range | None
    """What mining in unrented hours adds; negative: leave it idle."""
    break_evens: Mapping[str, Range]
    """By the names of :data:`BREAK_EVENS`."""
    asic_factor: float | None
    """Joules per hash ÷ the ASIC's, both at their own meter."""
    likely: Inputs | None
    """The likely scenario, for whoever recomputes (the page's sliders); without a rent it is 0."""
    reasons: tuple[str, ...]
    swings: tuple[Swing, ...] = ()
    """What each input alone does to ``advantage_per_h``, the one that moves it most first."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """Everything that :func:`evaluate` finds."""

    prices: Prices
    cards: tuple[CardOutlook, ...]
    asics: tuple[Side, ...]
    """In the order of the price file."""
    site: tuple[SiteChoice, ...]
    site_mw: float | None
    missing: tuple[str, ...] = field(default=())
    """What the site lacks for its capital."""

    @property
    def asic(self) -> Side:
        """The ASIC that every card is compared with."""
        return self.asics[0]


def evaluate(measured: Sequence[Card], prices: Prices, site_mw: float | None = None) -> Outlook:
    """Each card as a miner and as an AI card, the ASICs for comparison, and a site full of each.

    Args:
        measured: from :func:`cards`.
        prices: from :func:`read_prices`.
        site_mw: power at the site's meter; default: the price file's.

    Raises:
        BenchError: ``site_mw`` is not above 0.
    """
    power = prices.site_mw if site_mw is None else site_mw
    if power is not None and not 0 < power < math.inf:
        raise BenchError(f"a site cannot have {power} MW", "give the megawatts at its meter, above 0")
    sides = tuple(
        _side(scenario.asic_box(asic, prices), mining_revenue, mining_kwh, mining_net) for asic in prices.asics
    )
    outlooks = tuple(_card_outlook(card, prices) for card in measured)
    site: list[SiteChoice] = []
    if power is not None:
        site += (asic_choice(asic, prices, power) for asic in prices.asics)
        for item in outlooks:
            mines, rents = item.mining is not None, item.ai is not None
            site += card_choices(item.card, prices, power, mines=mines, rents=rents)
        for contract in prices.contracts:
            if contract.mode == "hosting":
                site += hosting_choices(contract, prices, power)
    return Outlook(prices, outlooks, sides, tuple(site), power, _missing(site, prices))


def _missing(site: Sequence[SiteChoice], prices: Prices) -> tuple[str, ...]:
    if not site:
        return ()
    if not prices.has_capital:
        return ("the price file has no capital (building, life, discount rate), so no margin here pays for anything",)
    names = dict.fromkeys(choice.what for choice in site if choice.capital is None)
    return tuple(f"{name}: the price file does not say what it costs to buy" for name in names)


def _card_outlook(card: Card, prices: Prices) -> CardOutlook:
    rent = prices.rent(card.name)
    reasons = list(card.reasons)
    if rent is None:
        reasons.append("the price file has no rent for it")
    can_mine = None not in (card.hash_per_s, card.mine_w, card.idle_w)
    can_work = None not in (card.ai_w, card.idle_w)
    can_ai = can_work and rent is not None
    box = Box(scenario.card_ranges(card, prices, rent))
    both = can_mine and can_ai
    gap = box.over(advantage) if both else None
    mining = _side(box, mining_revenue, mining_kwh, mining_net) if can_mine else None
    ai = _side(box, ai_revenue, ai_kwh, ai_net) if can_ai else None
    nets = [None if side is None else side.net_per_h for side in (mining, ai)]
    decided = verdict.decide(nets[0], nets[1], gap)
    held = {"mining_power": can_mine, "ai_power": can_ai}
    factor = card.j_per_th
    return CardOutlook(
        card=card,
        mining=mining,
        ai=ai,
        advantage_per_h=gap,
        verdict=verdict.with_shares(decided, box) if both else decided,
        idle_mining_gain_per_h=box.over(idle_mining_gain) if both else None,
        break_evens={name: box.break_even(name) for name in BREAK_EVENS if held.get(name, both)},
        asic_factor=None if factor is None else factor / prices.asic.j_per_th,
        likely=box.likely if can_mine and can_work else None,
        reasons=tuple(reasons),
        swings=tuple(box.swings(advantage)) if both else (),
    )


def _side(
    box: Box, revenue: Callable[[Inputs], Any], kwh: Callable[[Inputs], Any], net: Callable[[Inputs], Any]
) -> Side:
    hourly = box.over(net)
    return Side(
        revenue_per_h=box.over(revenue),
        power_cost_per_h=box.over(lambda i: i.electricity * kwh(i)),
        net_per_h=hourly,
        net_per_mwh=box.over(lambda i: net(i) / kwh(i) * KW_PER_MW),
        net_per_year=hourly.times(HOURS_PER_YEAR),
    )
