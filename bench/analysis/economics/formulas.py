"""One scenario of one card, and every formula of docs/economics.md: revenue, energy, net, break-evens. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

HOURS_PER_YEAR = 8760.0
KW_PER_MW = 1000.0


@dataclass(frozen=True, slots=True)
class Inputs:
    """One scenario of one card. Any field may be a numpy array, and so then is the result."""

    hashprice: Any
    """H, $/PH/s/day."""
    hash_th_per_s: Any
    """h, TH/s."""
    uptime: Any
    """a, share of the time spent mining."""
    pool_fee: Any
    """p, share."""
    rent: Any
    """R, $/GPU-h."""
    utilisation: Any
    """u, share of the time rented."""
    market_fee: Any
    """f, share."""
    ai_extra: Any
    """ΔK, $/GPU-h that AI costs beyond mining, capital included."""
    electricity: Any
    """c, $/kWh at the site's meter."""
    pue: Any
    """Power at the site's meter ÷ power at the machine's wall plug."""
    mine_kw: Any
    """P_mine, kW at the wall with the host's share."""
    ai_kw: Any
    """P_ai, the same."""
    idle_kw: Any
    """P_idle, the same."""


def mining_revenue(i: Inputs) -> Any:
    """$/h, after the pool's fee."""
    return i.hashprice * i.hash_th_per_s * i.uptime * (1 - i.pool_fee) / 24_000


def mining_kwh(i: Inputs) -> Any:
    """Energy at the site's meter, kWh per hour."""
    return i.pue * (i.uptime * i.mine_kw + (1 - i.uptime) * i.idle_kw)


def mining_net(i: Inputs) -> Any:
    """$/h, after power."""
    return mining_revenue(i) - i.electricity * mining_kwh(i)


def ai_revenue(i: Inputs) -> Any:
    """$/h, after the market's fee."""
    return i.rent * i.utilisation * (1 - i.market_fee)


def ai_kwh(i: Inputs) -> Any:
    """Energy at the site's meter, kWh per hour."""
    return i.pue * (i.utilisation * i.ai_kw + (1 - i.utilisation) * i.idle_kw)


def ai_net(i: Inputs) -> Any:
    """$/h, after power and what AI costs beyond mining."""
    return ai_revenue(i) - i.electricity * ai_kwh(i) - i.ai_extra


def advantage(i: Inputs) -> Any:
    """$/h by which AI beats mining; negative where mining wins."""
    return ai_net(i) - mining_net(i)


def idle_mining_gain(i: Inputs) -> Any:
    """$/h by which an AI card gains if it mines whenever it is not rented (a share ``uptime`` of that time).

    Negative: leave it idle.
    """
    earned = i.hashprice * i.hash_th_per_s * (1 - i.pool_fee) / 24_000
    return (1 - i.utilisation) * i.uptime * (earned - i.electricity * i.pue * (i.mine_kw - i.idle_kw))


def mining_gross_per_mwh(i: Inputs) -> Any:
    """$ per MWh at the site's meter while it mines; with PUE 1 and no fee this is H/(0.024·η), η in J/TH."""
    return i.hashprice * i.hash_th_per_s * (1 - i.pool_fee) / 24_000 / (i.pue * i.mine_kw) * KW_PER_MW


# Break-even: numerator and denominator apart, for a denominator that is 0 or changes sign has no break-even.


def _rent(i: Inputs) -> tuple[Any, Any]:
    owed = mining_net(i) + i.electricity * ai_kwh(i) + i.ai_extra
    return owed, i.utilisation * (1 - i.market_fee)


def _electricity(i: Inputs) -> tuple[Any, Any]:
    return ai_revenue(i) - i.ai_extra - mining_revenue(i), ai_kwh(i) - mining_kwh(i)


def _utilisation(i: Inputs) -> tuple[Any, Any]:
    owed = mining_net(i) + i.electricity * i.pue * i.idle_kw + i.ai_extra
    return owed, i.rent * (1 - i.market_fee) - i.electricity * i.pue * (i.ai_kw - i.idle_kw)


def _hashprice(i: Inputs) -> tuple[Any, Any]:
    owed = ai_net(i) + i.electricity * mining_kwh(i)
    return owed * 24_000, i.hash_th_per_s * i.uptime * (1 - i.pool_fee)


def _mining_power(i: Inputs) -> tuple[Any, Any]:
    return mining_revenue(i), mining_kwh(i)


def _ai_power(i: Inputs) -> tuple[Any, Any]:
    return ai_revenue(i) - i.ai_extra, ai_kwh(i)


BREAK_EVENS: Mapping[str, tuple[str, str, Callable[[Inputs], tuple[Any, Any]]]] = {
    "rent": ("USD/GPU/h", "rent above which AI wins", _rent),
    "electricity": ("USD/kWh", "power price at which both earn the same", _electricity),
    "utilisation": ("share", "utilisation above which AI wins", _utilisation),
    "hashprice": ("USD/PH/s/day", "hashprice above which mining wins", _hashprice),
    "mining_power": ("USD/kWh", "power price above which a miner is better switched off", _mining_power),
    "ai_power": ("USD/kWh", "power price above which an AI card is better switched off", _ai_power),
}
"""Name → unit, what it means, closed form. The first four make :func:`advantage` zero; the last two make
:func:`mining_net` and :func:`ai_net` zero."""


def break_even(name: str, i: Inputs) -> float | None:
    """The value of one input at which the two sides meet, all else being as it is; None where there is none.

    It may lie outside what is possible (a utilisation above 1: no utilisation is enough; below 0: any is).
    """
    above, below = BREAK_EVENS[name][2](i)
    return above / below if below else None
