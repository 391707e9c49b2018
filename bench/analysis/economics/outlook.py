"""Each card as a miner and as an AI card, the ASIC for comparison, and a site full of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis.economics.box import Box
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
from bench.analysis.economics.prices import Price, Prices
from bench.analysis.economics.range import Range
from bench.model import BenchError


@dataclass(frozen=True, slots=True)
class Side:
    """One use of a card, after all costs unless named gross. $/MWh is per MWh at the site's meter."""

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
    verdict: str
    """``AI``, ``mining``, ``cannot tell`` (the ranges overlap) or ``unknown`` (a side is missing)."""
    idle_mining_gain_per_h: Range | None
    """What mining in unrented hours adds; negative: leave it idle."""
    break_evens: Mapping[str, Range]
    """By the names of :data:`BREAK_EVENS`."""
    asic_factor: float | None
    """Joules per hash ÷ the ASIC's, both at their own meter."""
    likely: Inputs | None
    """The likely scenario, for whoever recomputes (the page's sliders)."""
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SiteChoice:
    """What a site of given power holds of one machine in one use."""

    what: str
    use: str
    """``mining`` or ``AI``."""
    machines: Range
    ph_per_s: Range | None
    tokens_per_s: Range | None
    flop_per_s: Range | None
    revenue_per_year: Range
    net_per_year: Range


@dataclass(frozen=True, slots=True)
class Outlook:
    """Everything that :func:`evaluate` finds."""

    prices: Prices
    cards: tuple[CardOutlook, ...]
    asic: Side
    site: tuple[SiteChoice, ...]
    site_mw: float | None


def evaluate(measured: Sequence[Card], prices: Prices, site_mw: float | None = None) -> Outlook:
    """Each card as a miner and as an AI card, the ASIC for comparison, and a site full of each.

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
    asic_box = Box.of(_asic_ranges(prices))
    asic_side = _side(asic_box, mining_revenue, mining_kwh, mining_net)
    outlooks = tuple(_card_outlook(card, prices) for card in measured)
    site: list[SiteChoice] = []
    if power is not None:
        site.append(_choice(prices.asic.name, "mining", asic_box, power, Range.of(prices.asic.hash_th_per_s), None))
        for outlook in outlooks:
            site += _site_of(outlook, prices, power)
    return Outlook(prices, outlooks, asic_side, tuple(site), power)


def _asic_ranges(prices: Prices) -> dict[str, Range]:
    """An ASIC as a scenario: it has no host, its watts are at the wall, it idles at nothing and rents for nothing."""
    watts = prices.asic.hash_th_per_s * prices.asic.j_per_th / 1000
    return {
        **_shared(prices),
        "hash_th_per_s": Range.of(prices.asic.hash_th_per_s),
        "rent": Range.of(0.0),
        "mine_kw": Range.of(watts),
        "ai_kw": Range.of(0.0),
        "idle_kw": Range.of(0.0),
    }


def _shared(prices: Prices) -> dict[str, Range]:
    names = ("hashprice", "uptime", "pool_fee", "utilisation", "market_fee", "ai_extra", "electricity", "pue")
    return {name: prices.items[name].range for name in names}


def wall_kw(watts: Range, card: Card, prices: Prices) -> Range:
    """Watts of a card as kW at the wall plug, with the host's share; as they are where they were read at the wall."""
    if card.scope == "wall":
        return watts.times(1e-3)
    host, supply = prices.items["host_power"].range, prices.items["psu_efficiency"].range
    # more watts and a worse supply make the higher end
    ends = (
        (watts.low, host.low, supply.high),
        (watts.likely, host.likely, supply.likely),
        (watts.high, host.high, supply.low),
    )
    return Range(*((part + share) / good / 1000 for part, share, good in ends))  # type: ignore[operator]


def _ranges(card: Card, prices: Prices, rent: Price | None) -> dict[str, Range]:
    """A card as a scenario. What is missing is set to 0 and must not be read; see :func:`_card_outlook`."""
    nothing = Range.of(0.0)
    return {
        **_shared(prices),
        "hash_th_per_s": nothing if card.hash_per_s is None else card.hash_per_s.times(1e-12),
        "rent": nothing if rent is None else rent.range,
        "mine_kw": nothing if card.mine_w is None else wall_kw(card.mine_w, card, prices),
        "ai_kw": nothing if card.ai_w is None else wall_kw(card.ai_w, card, prices),
        "idle_kw": nothing if card.idle_w is None else wall_kw(card.idle_w, card, prices),
    }


def _card_outlook(card: Card, prices: Prices) -> CardOutlook:
    rent = prices.rent(card.name)
    reasons = list(card.reasons)
    if rent is None:
        reasons.append("the price file has no rent for it")
    can_mine = None not in (card.hash_per_s, card.mine_w, card.idle_w)
    can_ai = None not in (card.ai_w, card.idle_w, rent)
    box = Box.of(_ranges(card, prices, rent))
    both = can_mine and can_ai
    gap = box.over(advantage) if both else None
    verdict = "unknown"
    if gap is not None and gap.low is not None and gap.high is not None:
        verdict = "AI" if gap.low > 0 else "mining" if gap.high < 0 else "cannot tell"
    held = {"mining_power": can_mine, "ai_power": can_ai}
    factor = card.j_per_th
    return CardOutlook(
        card=card,
        mining=_side(box, mining_revenue, mining_kwh, mining_net) if can_mine else None,
        ai=_side(box, ai_revenue, ai_kwh, ai_net) if can_ai else None,
        advantage_per_h=gap,
        verdict=verdict,
        idle_mining_gain_per_h=box.over(idle_mining_gain) if both else None,
        break_evens={name: box.break_even(name) for name in BREAK_EVENS if held.get(name, both)},
        asic_factor=None if factor is None else factor / prices.asic.j_per_th,
        likely=box.likely if both else None,
        reasons=tuple(reasons),
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


def _site_of(outlook: CardOutlook, prices: Prices, power: float) -> list[SiteChoice]:
    card, choices = outlook.card, []
    box = Box.of(_ranges(card, prices, prices.rent(card.name)))
    if outlook.mining is not None and card.hash_per_s is not None:
        choices.append(_choice(card.name, "mining", box, power, card.hash_per_s.times(1e-12), None))
    if outlook.ai is not None:
        choices.append(_choice(card.name, "AI", box, power, None, card))
    return choices


def _choice(what: str, use: str, box: Box, power: float, hash_th_per_s: Range | None, card: Card | None) -> SiteChoice:
    """As many machines as the site feeds when all of them work: its power ÷ (PUE × kW of one at work)."""

    def count(i: Inputs) -> Any:
        return power * KW_PER_MW / (i.pue * (i.mine_kw if use == "mining" else i.ai_kw))

    revenue, net = (mining_revenue, mining_net) if use == "mining" else (ai_revenue, ai_net)
    machines = box.over(count)
    tokens = None if card is None or card.tokens_per_s is None else _scaled(machines, card.tokens_per_s)
    return SiteChoice(
        what=what,
        use=use,
        machines=_floor(machines),
        ph_per_s=None if hash_th_per_s is None else _scaled(machines, hash_th_per_s.times(1e-3)),
        tokens_per_s=tokens,
        flop_per_s=None if card is None or card.ai_per_s is None else _scaled(machines, card.ai_per_s),
        revenue_per_year=box.over(lambda i: revenue(i) * count(i) * HOURS_PER_YEAR),
        net_per_year=box.over(lambda i: net(i) * count(i) * HOURS_PER_YEAR),
    )


def _scaled(machines: Range, each: Range) -> Range:
    """Both above 0, so the ends multiply end by end."""
    pairs = zip((machines.low, machines.likely, machines.high), (each.low, each.likely, each.high), strict=True)
    return Range(*(None if a is None or b is None else a * b for a, b in pairs))


def _floor(machines: Range) -> Range:
    """Whole machines."""
    ends = (machines.low, machines.likely, machines.high)
    return Range(*(None if part is None else float(math.floor(part)) for part in ends))
