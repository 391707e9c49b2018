"""The price file: the user's own figures, read strictly, so that none is taken in the wrong unit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

from bench.analysis.economics.range import Range
from bench.data import DATA
from bench.data.cards import is_named
from bench.data.toml_file import read_toml
from bench.model import BenchError


@dataclass(frozen=True, slots=True)
class Price:
    """One price with its spread and where it comes from."""

    range: Range
    unit: str
    source: str


@dataclass(frozen=True, slots=True)
class Asic:
    """The machine that a GPU competes with at SHA-256d; watts at the wall."""

    name: str
    hash_th_per_s: float
    j_per_th: float
    source: str


@dataclass(frozen=True, slots=True)
class Prices:
    """A price file, in the units of :class:`Inputs`."""

    as_of: date
    currency: str
    items: Mapping[str, Price]
    """By the names of :data:`UNITS`."""
    rents: tuple[tuple[str, Price], ...]
    """(name of a card or a part of it, rent); the first that fits is used."""
    asic: Asic
    site_mw: float | None = None

    def rent(self, device_name: str) -> Price | None:
        """The rent of a card, or None where the file has none."""
        for card, price in self.rents:
            if card == "*" or is_named(card, device_name):
                return price
        return None


DEFAULT_ASIC = Asic("S21-class ASIC", 200.0, 17.5, "docs/method.md")

_SHARE = {"share": 1.0, "%": 0.01}

UNITS: Mapping[str, Mapping[str, float]] = {
    "hashprice": {"USD/PH/s/day": 1.0, "USD/TH/s/day": 1000.0},
    "pool_fee": _SHARE,
    "uptime": _SHARE,
    "utilisation": _SHARE,
    "market_fee": _SHARE,
    "ai_extra": {"USD/GPU/h": 1.0},
    "electricity": {"USD/kWh": 1.0, "USD/MWh": 1e-3},
    "pue": {"ratio": 1.0},
    "host_power": {"W": 1.0, "kW": 1000.0},
    "psu_efficiency": _SHARE,
}
"""Table of the price file → the units it may have and what each is worth in the first one. ``USD`` stands for the
file's own ``currency``."""

_RENT_UNITS = {"USD/GPU/h": 1.0}
_SITE_UNITS = {"MW": 1.0, "kW": 1e-3}

_BOUNDS: Mapping[str, tuple[float, float]] = {
    "pool_fee": (0.0, 0.99),
    "market_fee": (0.0, 0.99),
    "uptime": (0.01, 1.0),
    "utilisation": (0.01, 1.0),
    "psu_efficiency": (0.5, 1.0),
    "pue": (1.0, 10.0),
    "electricity": (-1.0, 10.0),
    "hashprice": (0.0, 1e6),
    "host_power": (0.0, 1e4),
    "ai_extra": (-1e3, 1e3),
    "rent": (0.0, 1e4),
    "site": (1e-6, 1e6),
}


def example_path() -> Path:
    """The dated example price file that comes with bitwatt."""
    return DATA / "prices.example.toml"


def read_prices(path: Path) -> Prices:
    """Read a price file, strictly.

    Raises:
        BenchError: no such file, not TOML, an unknown or missing table, key or unit, a figure out of bounds or out of
            order (low ≤ likely ≤ high), no date, or no source.
    """
    data = read_toml(path, "price file", f"start from a copy of {example_path().name}")
    try:
        return _prices(data)
    except BenchError as error:
        raise BenchError(f"{path}: {error.message}", error.fix) from None


def _prices(data: Mapping[str, Any]) -> Prices:
    known = {"format", "as_of", "currency", "rent", "asic", "site", *UNITS}
    for name in data:
        if name not in known:
            raise BenchError(f"the table {name!r} is unknown", f"use only {', '.join(sorted(known))}")
    if data.get("format") != 1:
        raise BenchError(f"format is {data.get('format')!r} and must be 1", "write `format = 1` at the top")
    as_of, currency = data.get("as_of"), data.get("currency")
    if not isinstance(as_of, date):
        raise BenchError("as_of must be a date", "write the date of the prices, as in `as_of = 2026-05-20`")
    if not isinstance(currency, str) or not currency:
        raise BenchError("currency is missing", 'write for example `currency = "USD"`')
    for name in UNITS:
        if name not in data:
            raise BenchError(f"the table [{name}] is missing", f"copy it from {example_path().name}")
    rents = data.get("rent", [])
    if not isinstance(rents, list) or not all(isinstance(item, dict) for item in rents):
        raise BenchError("rent must be a list of tables", "write each as [[rent]]")
    found = []
    for item in rents:
        card = item.get("card")
        if not isinstance(card, str) or not card:
            raise BenchError("a [[rent]] has no card", 'write card = "H100" (a part of the device\'s name) or "*"')
        rest = {key: value for key, value in item.items() if key != "card"}
        found.append((card, _price(f"rent of {card}", rest, _RENT_UNITS, currency, "rent")))
    site = data.get("site")
    return Prices(
        as_of=as_of,
        currency=currency,
        items={name: _price(name, data[name], units, currency, name) for name, units in UNITS.items()},
        rents=tuple(found),
        asic=_asic(data["asic"]) if "asic" in data else DEFAULT_ASIC,
        site_mw=None if site is None else _price("site", site, _SITE_UNITS, currency, "site").range.likely,
    )


def _price(name: str, item: object, units: Mapping[str, float], currency: str, bounds: str) -> Price:
    if not isinstance(item, dict):
        raise BenchError(f"[{name}] must be a table", "give it unit, low, likely, high and source")
    figures = ("value",) if "value" in item else ("low", "likely", "high")
    wanted = {"unit", "source", *figures}
    for key in item:
        if key not in wanted:
            raise BenchError(f"[{name}] has an unknown key {key!r}", f"use only {', '.join(sorted(wanted))}")
    for key in sorted(wanted):
        if key not in item:
            raise BenchError(f"[{name}] has no {key}", "give it unit, source, and low, likely, high (or one value)")
    local = {unit.replace("USD", currency): factor for unit, factor in units.items()}
    if not isinstance(item["unit"], str) or item["unit"] not in local:
        raise BenchError(f"[{name}] has the unknown unit {item['unit']!r}", f"use {' or '.join(local)}")
    if not isinstance(item["source"], str) or not item["source"].strip():
        raise BenchError(f"[{name}] has no source", 'say where the figure comes from, if only "my contract"')
    factor = local[item["unit"]]
    values = []
    for key in figures:
        value = item[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise BenchError(f"[{name}] {key} is {value!r} and must be a number", "correct it")
        values.append(value * factor)
    low, high = _BOUNDS[bounds]
    if not all(low <= value <= high for value in values):
        raise BenchError(
            f"[{name}] is outside {low:g} … {high:g} {next(iter(local))}", "correct the figure, or its unit"
        )
    if values != sorted(values):
        raise BenchError(f"low, likely and high of [{name}] are out of order", "give low ≤ likely ≤ high")
    first, likely, last = values * 3 if len(values) == 1 else values
    return Price(Range(first, likely, last), next(iter(local)), item["source"])


def _asic(item: object) -> Asic:
    names = {entry.name for entry in fields(Asic)}
    if not isinstance(item, dict) or set(item) != names:
        raise BenchError("[asic] must have exactly its four keys", f"give it {', '.join(sorted(names))}")
    good = all(
        isinstance(item[name], int | float) and not isinstance(item[name], bool) and 1e-6 <= item[name] <= 1e9
        for name in ("hash_th_per_s", "j_per_th")
    )
    if not good or not all(isinstance(item[name], str) and item[name] for name in ("name", "source")):
        raise BenchError("[asic] needs a name, a source and figures above 0", "correct it")
    return Asic(**item)
