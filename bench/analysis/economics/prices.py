"""The price file: the user's own figures, read strictly, so that none is taken in the wrong unit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from bench.analysis.economics.range import ZERO, Range
from bench.analysis.economics.units import (
    ASIC_PRICE,
    CAPITAL,
    CARD_PRICE,
    COST,
    EQUIPMENT,
    HOSTING,
    OPERATION,
    RENT,
    SITE,
    TERM,
    Table,
)
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
    """A machine that a GPU competes with at SHA-256d; watts at the wall."""

    name: str
    hash_th_per_s: float
    j_per_th: float
    source: str
    price: Price | None = None
    """$ per TH/s."""


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract for AI: cards reserved at a price, or a building let by the kilowatt."""

    name: str
    mode: str
    """``reserved`` or ``hosting``."""
    price: Price
    """Reserved: $/GPU-h. Hosting: $/kW-month of IT load."""
    term: Range
    """Years."""
    card: str = ""
    take_or_pay: Range = ZERO
    """Reserved: share of the hours that is paid for in any case."""
    tenant_pays_energy: bool = False
    equipment: Range = ZERO
    """Hosting: $ per MW of IT load for cards that the landlord owns."""
    cost: Range = ZERO
    """Hosting: share of the revenue that running the building costs, without energy."""


@dataclass(frozen=True, slots=True)
class Prices:
    """A price file, in the units of :class:`Inputs`."""

    as_of: date
    currency: str
    items: Mapping[str, Price]
    """By the names of :data:`~bench.analysis.economics.units.UNITS`; those of capital only where the file has them."""
    rents: tuple[tuple[str, Price], ...]
    """(name of a card or a part of it, rent); the first that fits is used."""
    asics: tuple[Asic, ...]
    """The first is the one that every card is compared with."""
    site_mw: float | None = None
    card_prices: tuple[tuple[str, Price], ...] = ()
    contracts: tuple[Contract, ...] = ()

    @property
    def asic(self) -> Asic:
        """The ASIC that every card is compared with."""
        return self.asics[0]

    @property
    def has_capital(self) -> bool:
        """Whether capital can be worked out at all."""
        return "discount_rate" in self.items

    def rent(self, device_name: str) -> Price | None:
        """The rent of a card, or None where the file has none."""
        return _of_card(self.rents, device_name)

    def card_price(self, device_name: str) -> Price | None:
        """What a card costs, or None where the file has no price."""
        return _of_card(self.card_prices, device_name)

    @staticmethod
    def fits(card: str, device_name: str) -> bool:
        """Whether a name in the price file is that of a card."""
        return card == "*" or is_named(card, device_name)

    def range(self, name: str) -> Range:
        """A table's range, or what holds where the file leaves it out."""
        if name in self.items:
            return self.items[name].range
        table = OPERATION.get(name) or CAPITAL[name]
        return self.range(table.default) if isinstance(table.default, str) else Range.of(table.default or 0.0)


def _of_card(found: tuple[tuple[str, Price], ...], device_name: str) -> Price | None:
    return next((price for card, price in found if Prices.fits(card, device_name)), None)


DEFAULT_ASIC = Asic("S21-class ASIC", 200.0, 17.5, "docs/method.md")
_LISTS = ("rent", "card_price", "contract")


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
    known = {"format", "as_of", "currency", "asic", "site", *_LISTS, *OPERATION, *CAPITAL}
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
    items = _items(data, currency)
    asics = data.get("asic", [])
    site = data.get("site")
    return Prices(
        as_of=as_of,
        currency=currency,
        items=items,
        rents=tuple(_named("rent", item, RENT, currency) for item in _tables(data, "rent")),
        asics=tuple(_asic(item, currency) for item in (asics if isinstance(asics, list) else [asics]))
        or (DEFAULT_ASIC,),
        site_mw=None if site is None else _price("site", site, SITE, currency).range.likely,
        card_prices=tuple(_named("card_price", item, CARD_PRICE, currency) for item in _tables(data, "card_price")),
        contracts=tuple(_contract(item, currency) for item in _tables(data, "contract")),
    )


def _items(data: Mapping[str, Any], currency: str) -> dict[str, Price]:
    """Every input's price: its own table's, or that of the table which stands for two; then those of capital."""
    found: dict[str, Price] = {}
    given = {
        name: _price(name, data[name], table, currency)
        for name, table in {**OPERATION, **CAPITAL}.items()
        if name in data
    }
    for name, table in OPERATION.items():
        if table.shared:
            continue
        also = table.default if isinstance(table.default, str) else name
        if name in given or also in given:
            found[name] = given[name] if name in given else given[also]
        elif not isinstance(table.default, float):
            both = f"[{also}], or [{name}]" if also != name else f"[{name}]"
            raise BenchError(f"the table {both} is missing", f"copy it from {example_path().name}")
    for shared in (name for name, table in OPERATION.items() if table.shared and name in given):
        uses = [name for name, table in OPERATION.items() if table.default == shared]
        if all(name in given for name in uses):
            raise BenchError(f"[{shared}] has no effect beside {' and '.join(uses)}", f"remove [{shared}]")
    missing = [name for name, table in CAPITAL.items() if table.default is None and name not in given]
    if any(name in given for name in CAPITAL) and missing:
        raise BenchError(
            f"capital also needs {', '.join(f'[{name}]' for name in missing)}",
            f"copy them from {example_path().name}, or leave all tables of capital out",
        )
    return found | {name: price for name, price in given.items() if name in CAPITAL}


def _tables(data: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = data.get(name, [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise BenchError(f"{name} must be a list of tables", f"write each as [[{name}]]")
    return found


def _named(what: str, item: Mapping[str, Any], table: Table, currency: str) -> tuple[str, Price]:
    card = item.get("card")
    if not isinstance(card, str) or not card:
        raise BenchError(f"a [[{what}]] has no card", 'write card = "H100" (a part of the device\'s name) or "*"')
    rest = {key: value for key, value in item.items() if key != "card"}
    return card, _price(f"{what.replace('_', ' ')} of {card}", rest, table, currency)


def _price(name: str, item: object, table: Table, currency: str) -> Price:
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
    local = {unit.replace("USD", currency): factor for unit, factor in table.units.items()}
    if not isinstance(item["unit"], str) or item["unit"] not in local:
        raise BenchError(f"[{name}] has the unknown unit {item['unit']!r}", f"use {' or '.join(local)}")
    if not isinstance(item["source"], str) or not item["source"].strip():
        raise BenchError(f"[{name}] has no source", 'say where the figure comes from, if only "my contract"')
    values = [_number(f"[{name}] {key}", item[key]) * local[item["unit"]] for key in figures]
    return Price(_ordered(name, values, table, next(iter(local))), next(iter(local)), item["source"])


def _number(what: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BenchError(f"{what} is {value!r} and must be a number", "correct it")
    return float(value)


def _ordered(name: str, values: list[float], table: Table, unit: str) -> Range:
    if not all(table.low <= value <= table.high for value in values):
        raise BenchError(
            f"[{name}] is outside {table.low:g} … {table.high:g} {unit}", "correct the figure, or its unit"
        )
    if values != sorted(values):
        raise BenchError(f"low, likely and high of [{name}] are out of order", "give low ≤ likely ≤ high")
    first, likely, last = values * 3 if len(values) == 1 else values
    return Range(first, likely, last)


def _asic(item: object, currency: str) -> Asic:
    names = {"name", "hash_th_per_s", "j_per_th", "source"}
    if not isinstance(item, dict) or set(item) - {"price"} != names:
        raise BenchError(
            "[asic] must have exactly its four keys, and a price if it is known",
            f"give it {', '.join(sorted(names))} and [asic.price]",
        )
    good = all(
        isinstance(item[name], int | float) and not isinstance(item[name], bool) and 1e-6 <= item[name] <= 1e9
        for name in ("hash_th_per_s", "j_per_th")
    )
    if not good or not all(isinstance(item[name], str) and item[name] for name in ("name", "source")):
        raise BenchError("[asic] needs a name, a source and figures above 0", "correct it")
    price = None if "price" not in item else _price("asic.price", item["price"], ASIC_PRICE, currency)
    return Asic(item["name"], float(item["hash_th_per_s"]), float(item["j_per_th"]), item["source"], price)


def _contract(item: Mapping[str, Any], currency: str) -> Contract:
    """One [[contract]], whose figures other than the price are plain numbers or [low, likely, high]."""
    name, mode = item.get("name"), item.get("mode")
    if not isinstance(name, str) or not name:
        raise BenchError("a [[contract]] has no name", 'write name = "…"')
    allowed = {
        "reserved": {"card", "take_or_pay"},
        "hosting": {"energy", "equipment_per_mw", "cost_share"},
    }
    if not isinstance(mode, str) or mode not in allowed:
        raise BenchError(f"the contract {name!r} has the unknown mode {mode!r}", "use reserved or hosting")
    wanted = {"name", "mode", "price", "term_years", *allowed[mode]}
    for key in item:
        if key not in wanted:
            raise BenchError(
                f"the contract {name!r} has an unknown key {key!r}", f"use only {', '.join(sorted(wanted))}"
            )
    for key in ("price", "term_years", *(("card", "take_or_pay") if mode == "reserved" else ("energy",))):
        if key not in item:
            raise BenchError(f"the contract {name!r} has no {key}", f"give it {', '.join(sorted(wanted))}")
    energy = item.get("energy", "landlord")
    if energy not in ("tenant", "landlord"):
        raise BenchError(f"energy of {name!r} is {energy!r}", "say who pays for it: tenant or landlord")

    def span(key: str, table: Table) -> Range:
        value = item.get(key, 0.0)
        values = [_number(f"{key} of {name!r}", part) for part in (value if isinstance(value, list) else [value])]
        if len(values) not in (1, 3):
            raise BenchError(f"{key} of {name!r} must be one figure or three", "give [low, likely, high]")
        return _ordered(f"{key} of {name}", values, table, "")

    return Contract(
        name=name,
        mode=mode,
        price=_price(f"contract {name}", item["price"], RENT if mode == "reserved" else HOSTING, currency),
        term=span("term_years", TERM),
        card=str(item.get("card", "")),
        take_or_pay=span("take_or_pay", COST),
        tenant_pays_energy=energy == "tenant",
        equipment=span("equipment_per_mw", EQUIPMENT),
        cost=span("cost_share", COST),
    )
