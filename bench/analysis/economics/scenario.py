"""Boxes: from measured cards, ASICs and prices to a range for every input."""

from __future__ import annotations

from bench.analysis.economics.box import Box
from bench.analysis.economics.formulas import wall_kw
from bench.analysis.economics.measured import Card
from bench.analysis.economics.prices import Asic, Contract, Price, Prices
from bench.analysis.economics.range import ONE, ZERO, Range
from bench.analysis.economics.units import OPERATION


def card_ranges(card: Card, prices: Prices, rent: Price | None) -> dict[str, Range]:
    """A card as a scenario. What is missing is set to 0, and no result that reads it may be shown.

    Watts that were read at the wall have the host in them, and went through the supply.
    """
    at_wall = card.scope == "wall"
    free = {"host_power_mining": ZERO, "host_power_ai": ZERO, "psu_efficiency": ONE} if at_wall else {}
    return {
        **_shared(prices),
        **free,
        "hash_th_per_s": ZERO if card.hash_per_s is None else card.hash_per_s.times(1e-12),
        "rent": ZERO if rent is None else rent.range,
        "mine_w": card.mine_w or ZERO,
        "ai_w": card.ai_w or ZERO,
        "idle_w": card.idle_w or ZERO,
        "sensor_gain": card.sensor_gain,
    }


def asic_ranges(asic: Asic, prices: Prices) -> dict[str, Range]:
    """An ASIC as a scenario: it has no host, its watts are at the wall, it idles at nothing and rents for nothing."""
    return {
        **_shared(prices),
        "hash_th_per_s": Range.of(asic.hash_th_per_s),
        "rent": ZERO,
        "mine_w": Range.of(asic.hash_th_per_s * asic.j_per_th),
        "ai_w": ZERO,
        "idle_w": ZERO,
        "sensor_gain": ONE,
        "host_power_mining": ZERO,
        "host_power_ai": ZERO,
        "psu_efficiency": ONE,
    }


def asic_box(asic: Asic, prices: Prices) -> Box:
    """An ASIC as a box, without capital."""
    return Box(asic_ranges(asic, prices))


def growth(prices: Prices) -> dict[str, Range]:
    """Yearly rates, which only capital reads."""
    names = ("hashprice_decay", "difficulty_growth", "halving", "rent_decay", "ramp", "discount_rate", "building_life")
    return {name: prices.range(name) for name in names}


def mining_capital(price: Range, prices: Prices) -> dict[str, Range]:
    """What a machine costs, in a new building for miners."""
    return {
        **growth(prices),
        "machine_price": price,
        "building": prices.range("building_mining"),
        "machine_life": prices.range("asic_life"),
        "delay": prices.range("delay_mining"),
    }


def ai_capital(price: Range, prices: Prices, *, converted: bool) -> dict[str, Range]:
    """What a machine costs, in a new building for AI or in a mining site that is converted."""
    return {
        **growth(prices),
        "machine_price": price,
        "building": prices.range("conversion" if converted else "building_ai"),
        "machine_life": prices.range("card_life"),
        "delay": prices.range("delay_conversion" if converted else "delay_ai"),
    }


def contract_ranges(contract: Contract) -> dict[str, Range]:
    """What a contract says."""
    return {
        "contract_price": contract.price.range,
        "term": contract.term,
        "take_or_pay": contract.take_or_pay,
        "cost_share": contract.cost,
    }


def with_server(card: Range, prices: Prices) -> Range:
    """A card's price and its share of a server."""
    server = prices.range("server_price")
    ends = ((card.low, server.low), (card.likely, server.likely), (card.high, server.high))
    return Range(*((one or 0.0) + (other or 0.0) for one, other in ends))


def _shared(prices: Prices) -> dict[str, Range]:
    return {name: prices.range(name) for name, table in OPERATION.items() if not table.shared}


def meter_kw(watts: float, card: Card, prices: Prices, use: str) -> float:
    """A card's measured watts as kW at the site's meter, at the likely figures.

    Args:
        watts: at the card's own meter.
        card: whose watts they are.
        prices: host power, supply and PUE.
        use: ``mining`` or ``ai``.
    """
    likely = Box(card_ranges(card, prices, None)).likely
    host, pue = (
        (likely.host_power_mining, likely.pue_mining) if use == "mining" else (likely.host_power_ai, likely.pue_ai)
    )
    return float(wall_kw(watts, host, likely) * pue)
