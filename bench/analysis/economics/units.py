"""What a price file may hold: every table, its units, its bounds, and what holds where the table is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the price file."""

    units: Mapping[str, float]
    """Units that it may have and what each is worth in the first one. ``USD`` stands for the file's ``currency``."""
    low: float
    high: float
    default: float | str | None = None
    """What holds where it is left out: a figure, or the name of another table; None: it must be there."""
    shared: bool = False
    """Whether it stands for two inputs at once and is no input itself."""


_SHARE = {"share": 1.0, "%": 0.01}
_YEARLY = {"share/year": 1.0, "%/year": 0.01}
_YEARS = {"years": 1.0, "months": 1 / 12}
_RATIO = {"ratio": 1.0}
_WATTS = {"W": 1.0, "kW": 1000.0}
_PER_MW = {"USD/MW": 1.0, "MUSD/MW": 1e6}

OPERATION: Mapping[str, Table] = {
    "hashprice": Table({"USD/PH/s/day": 1.0, "USD/TH/s/day": 1000.0}, 0.0, 1e6),
    "pool_fee": Table(_SHARE, 0.0, 0.99),
    "uptime": Table(_SHARE, 0.01, 1.0),
    "utilisation": Table(_SHARE, 0.01, 1.0),
    "ai_uptime": Table(_SHARE, 0.01, 1.0, 1.0),
    "market_fee": Table(_SHARE, 0.0, 0.99),
    "ai_extra": Table({"USD/GPU/h": 1.0}, -1e3, 1e3),
    "electricity": Table({"USD/kWh": 1.0, "USD/MWh": 1e-3}, -1.0, 10.0),
    "pue": Table(_RATIO, 1.0, 10.0, shared=True),
    "pue_mining": Table(_RATIO, 1.0, 10.0, "pue"),
    "pue_ai": Table(_RATIO, 1.0, 10.0, "pue"),
    "host_power": Table(_WATTS, 0.0, 1e4, shared=True),
    "host_power_mining": Table(_WATTS, 0.0, 1e4, "host_power"),
    "host_power_ai": Table(_WATTS, 0.0, 1e4, "host_power"),
    "psu_efficiency": Table(_SHARE, 0.5, 1.0),
}

CAPITAL: Mapping[str, Table] = {
    "building_mining": Table(_PER_MW, 0.0, 1e9),
    "building_ai": Table(_PER_MW, 0.0, 1e9),
    "conversion": Table(_PER_MW, 0.0, 1e9, 0.0),
    "server_price": Table({"USD/GPU": 1.0}, 0.0, 1e7, 0.0),
    "asic_life": Table(_YEARS, 0.5, 30.0),
    "card_life": Table(_YEARS, 0.5, 30.0),
    "building_life": Table(_YEARS, 1.0, 100.0),
    "discount_rate": Table(_YEARLY, 0.0, 1.0),
    "delay_mining": Table(_YEARS, 0.0, 10.0, 0.0),
    "delay_ai": Table(_YEARS, 0.0, 10.0, 0.0),
    "delay_conversion": Table(_YEARS, 0.0, 10.0, "delay_ai"),
    "hashprice_decay": Table(_YEARLY, -1.0, 0.99, 0.0),
    "difficulty_growth": Table(_YEARLY, -0.9, 10.0, 0.0),
    "halving": Table(_YEARS, 0.0, 1000.0, 1000.0),
    "rent_decay": Table(_YEARLY, -1.0, 0.99, 0.0),
    "ramp": Table(_YEARS, 0.0, 10.0, 0.0),
}
"""What capital needs; a price file has all those without a default, or none."""

UNITS: Mapping[str, Mapping[str, float]] = {name: table.units for name, table in {**OPERATION, **CAPITAL}.items()}
"""Table of the price file → its units and what each is worth in the first one."""

RENT = Table({"USD/GPU/h": 1.0}, 0.0, 1e4)
CARD_PRICE = Table({"USD/GPU": 1.0}, 0.0, 1e7)
ASIC_PRICE = Table({"USD/TH/s": 1.0}, 0.0, 1e6)
SITE = Table({"MW": 1.0, "kW": 1e-3}, 1e-6, 1e6)
HOSTING = Table({"USD/kW/month": 1.0, "USD/MWh": 8.76 / 12}, 0.0, 1e6)
EQUIPMENT = Table(_PER_MW, 0.0, 1e9)
COST = Table(_SHARE, 0.0, 1.0)
TERM = Table(_YEARS, 0.1, 100.0)
