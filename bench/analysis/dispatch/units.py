"""The units that each series may be in, and what each is worth in the first one."""

from __future__ import annotations

from collections.abc import Mapping

UNITS: Mapping[str, Mapping[str, float]] = {
    "power": {"USD/kWh": 1.0, "USD/MWh": 1e-3},
    "hashprice": {"USD/PH/s/day": 1.0, "USD/TH/s/day": 1000.0},
    "rent": {"USD/GPU/h": 1.0},
    "demand": {"share": 1.0, "%": 0.01},
    "co2": {"kg/kWh": 1.0, "g/kWh": 1e-3, "gCO2/kWh": 1e-3, "gCO2eq/kWh": 1e-3, "kgCO2/MWh": 1e-3, "kg/MWh": 1e-3},
}
"""``USD`` stands for the price file's currency."""


def units(name: str, currency: str) -> dict[str, float]:
    """The units of a series in the price file's currency."""
    return {unit.replace("USD", currency): factor for unit, factor in UNITS[name].items()}
