"""One scenario of one card, and every formula of docs/economics.md: revenue, energy, net, break-evens. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

HOURS_PER_YEAR = 8760.0
MONTHS_PER_YEAR = 12.0
KW_PER_MW = 1000.0


@dataclass(frozen=True, slots=True)
class Inputs:
    """One scenario of one card. Any field may be a numpy array, and so then is the result.

    Power is kept as it was measured: kilowatts at the wall follow from the card's watts, the sensor's gain, the host's
    share and the supply's efficiency, so that what these have in common varies in common.
    """

    hashprice: Any
    """H, $/PH/s/day."""
    hash_th_per_s: Any
    """h, TH/s."""
    pool_fee: Any
    """p, share."""
    uptime: Any
    """a, share of the time spent mining."""
    mine_w: Any
    """Watts of the card while it mines."""
    host_power_mining: Any
    """Watts of the host per card while it mines, before the supply."""
    pue_mining: Any
    """Power at the site's meter ÷ power at the machine's wall plug, at a mining site."""
    electricity: Any
    """c, $/kWh at the site's meter."""
    idle_w: Any
    sensor_gain: Any
    """True watts ÷ watts read, of the one sensor that read all three."""
    psu_efficiency: Any
    """Share of the power at the wall plug that reaches the machine."""
    pue_ai: Any
    host_power_ai: Any
    ai_w: Any
    ai_extra: Any
    """ΔK, $/GPU-h that running AI costs beyond mining."""
    ai_uptime: Any
    """Share of the rented time that the card delivers, and is paid for."""
    market_fee: Any
    """f, share."""
    utilisation: Any
    """u, share of the time rented."""
    rent: Any
    """R, $/GPU-h."""
    machine_price: Any = 0.0
    """$ per machine, with its share of a server."""
    building: Any = 0.0
    """$ per MW at the machines' wall plugs."""
    machine_life: Any = 0.0
    """Years."""
    building_life: Any = 1.0
    """Years."""
    discount_rate: Any = 0.0
    """Share per year."""
    delay: Any = 0.0
    """Years from the outlay until there is power."""
    hashprice_decay: Any = 0.0
    """Share per year that coins and fees lose in value; negative where they gain."""
    difficulty_growth: Any = 0.0
    """Share per year."""
    halving: Any = 1000.0
    """Years until the next halving; one more every :data:`HALVING_YEARS` years."""
    rent_decay: Any = 0.0
    """Share per year."""
    ramp: Any = 0.0
    """Years from the first power until the full utilisation is reached, in a straight line from nothing."""
    contract_price: Any = 0.0
    """$/GPU-h of a reserved card, or $/kW-month of a building that is let."""
    term: Any = 0.0
    """Years that the contract runs."""
    take_or_pay: Any = 0.0
    """Share of the hours that is paid for in any case."""
    cost_share: Any = 0.0
    """Share of a rent that running the building costs, without energy."""

    @property
    def busy(self) -> Any:
        """Share of the time that a card for rent works and is paid for."""
        return self.utilisation * self.ai_uptime

    @property
    def mine_kw(self) -> Any:
        """Kilowatts at the wall plug while it mines, with the host's share."""
        return wall_kw(self.mine_w, self.host_power_mining, self)

    @property
    def idle_mining_kw(self) -> Any:
        """Kilowatts at the wall plug of a miner that stands idle."""
        return wall_kw(self.idle_w, self.host_power_mining, self)

    @property
    def ai_kw(self) -> Any:
        """Kilowatts at the wall plug at AI work."""
        return wall_kw(self.ai_w, self.host_power_ai, self)

    @property
    def idle_ai_kw(self) -> Any:
        """Kilowatts at the wall plug of an AI card that stands idle."""
        return wall_kw(self.idle_w, self.host_power_ai, self)


def wall_kw(watts: Any, host: Any, i: Inputs) -> Any:
    """Measured watts of a card as kW at the wall plug, with the host's share."""
    return (watts * i.sensor_gain + host) / i.psu_efficiency / 1000


def mining_revenue(i: Inputs) -> Any:
    """$/h, after the pool's fee."""
    return i.hashprice * i.hash_th_per_s * i.uptime * (1 - i.pool_fee) / 24_000


def mining_kwh(i: Inputs) -> Any:
    """Energy at the site's meter, kWh per hour."""
    return i.pue_mining * (i.uptime * i.mine_kw + (1 - i.uptime) * i.idle_mining_kw)


def mining_net(i: Inputs) -> Any:
    """$/h, after power."""
    return mining_revenue(i) - i.electricity * mining_kwh(i)


def ai_revenue(i: Inputs) -> Any:
    """$/h, after the market's fee."""
    return i.rent * i.busy * (1 - i.market_fee)


def ai_kwh(i: Inputs) -> Any:
    """Energy at the site's meter, kWh per hour."""
    return i.pue_ai * (i.busy * i.ai_kw + (1 - i.busy) * i.idle_ai_kw)


def ai_net(i: Inputs) -> Any:
    """$/h, after power and what running AI costs beyond mining."""
    return ai_revenue(i) - i.electricity * ai_kwh(i) - i.ai_extra


def advantage(i: Inputs) -> Any:
    """$/h by which AI beats mining; negative where mining wins."""
    return ai_net(i) - mining_net(i)


def reserved_revenue(i: Inputs) -> Any:
    """$/h of a card under contract: the hours that are used, or those that are paid for in any case."""
    import numpy as np

    return i.contract_price * np.maximum(i.utilisation, i.take_or_pay) * i.ai_uptime


def reserved_net(i: Inputs) -> Any:
    """$/h of a card under contract, after power and what running AI costs; nobody keeps a fee."""
    return reserved_revenue(i) - i.electricity * ai_kwh(i) - i.ai_extra


def hosting_revenue(i: Inputs) -> Any:
    """$/h of one kilowatt of IT load that is let, after running the building."""
    return i.contract_price * MONTHS_PER_YEAR / HOURS_PER_YEAR * (1 - i.cost_share)


def hosting_net(i: Inputs) -> Any:
    """$/h of one kilowatt of IT load that is let, where the landlord pays for its energy."""
    return hosting_revenue(i) - i.electricity * i.pue_ai


def idle_mining_gain(i: Inputs) -> Any:
    """$/h by which an AI card gains if it mines whenever it is not rented (a share ``uptime`` of that time).

    Negative: leave it idle. The host stays on either way, so only the card's own watts differ.
    """
    earned = i.hashprice * i.hash_th_per_s * (1 - i.pool_fee) / 24_000
    kw = wall_kw(i.mine_w - i.idle_w, 0.0, i)
    return (1 - i.utilisation) * i.uptime * (earned - i.electricity * i.pue_ai * kw)


def mining_gross_per_mwh(i: Inputs) -> Any:
    """$ per MWh at the site's meter while it mines; with PUE 1 and no fee this is H/(0.024·η), η in J/TH."""
    return i.hashprice * i.hash_th_per_s * (1 - i.pool_fee) / 24_000 / (i.pue_mining * i.mine_kw) * KW_PER_MW


# Break-even: numerator and denominator apart, for a denominator that is 0 or changes sign has no break-even.


def _rent(i: Inputs) -> tuple[Any, Any]:
    owed = mining_net(i) + i.electricity * ai_kwh(i) + i.ai_extra
    return owed, i.busy * (1 - i.market_fee)


def _electricity(i: Inputs) -> tuple[Any, Any]:
    return ai_revenue(i) - i.ai_extra - mining_revenue(i), ai_kwh(i) - mining_kwh(i)


def _utilisation(i: Inputs) -> tuple[Any, Any]:
    owed = mining_net(i) + i.electricity * i.pue_ai * i.idle_ai_kw + i.ai_extra
    paid = i.rent * (1 - i.market_fee) - i.electricity * i.pue_ai * (i.ai_kw - i.idle_ai_kw)
    return owed, paid * i.ai_uptime


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

POSSIBLE: Mapping[str, tuple[float, float, str, str]] = {
    "rent": (0.0, math.inf, "any rent is enough", "no rent is enough"),
    "utilisation": (0.0, 1.0, "any utilisation is enough", "no utilisation is enough"),
    "hashprice": (0.0, math.inf, "any hashprice is enough", "no hashprice is enough"),
}
"""Break-even → least and greatest value that it can have, and what it means to lie below and above. A power price may
have any sign."""


def break_even(name: str, i: Inputs) -> float | None:
    """The value of one input at which the two sides meet, all else being as it is; None where there is none.

    It may lie outside what is possible; :func:`impossible` says what that means.
    """
    above, below = BREAK_EVENS[name][2](i)
    return above / below if below else None


def impossible(name: str, value: float | None, i: Inputs) -> str | None:
    """What a break-even outside its possible range means, such as ``no utilisation is enough``; None within it.

    For rent and utilisation the denominator decides the direction: where more of it makes AI worse, what is below the
    range is what no value reaches.
    """
    if value is None or not math.isfinite(value) or name not in POSSIBLE:
        return None
    low, high, any_is, none_is = POSSIBLE[name]
    if low <= value <= high:
        return None
    rising = BREAK_EVENS[name][2](i)[1] > 0
    return any_is if (value < low) == rising else none_is
