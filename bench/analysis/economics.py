"""Money: the same card as a miner and as an AI card. Pure; every price is the user's, nothing is fetched.

    prices = economics.read_prices(Path("prices.toml"))      # or economics.example_path()
    cards = economics.cards(frame)                           # measured: hashrate, FLOP/s, tokens/s, watts, idle watts
    outlook = economics.evaluate(cards, prices)              # Outlook: per card, the ASIC, the site; ranges throughout
    render.economics_table(outlook), economics.notes(outlook)

One scenario is an :class:`Inputs` of plain numbers (or numpy arrays), and every formula below takes one. They are
those of docs/economics.md, where a letter stands for each field:

    mining  M = H·h·a·(1−p)/24000 − PUE·c·[a·P_mine + (1−a)·P_idle]                        $/h
    AI      A = R·u·(1−f) − PUE·c·[u·P_ai + (1−u)·P_idle] − ΔK                             $/h

Ranges: each input has low, likely and high; a result's bounds are its least and greatest value over all corners of the
inputs. All results are linear, or a quotient of linear terms, in each input alone, so that no point inside the box lies
beyond its corners: the bounds are exact, not sampled. They are the worst and the best case at once, not a 95% interval.
"""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.analysis.compare import COLUMNS as COMPARE_COLUMNS
from bench.analysis.compare import compare
from bench.data import DATA
from bench.model import BenchError, Comparison

if TYPE_CHECKING:
    import pandas as pd

HOURS_PER_YEAR = 8760.0
KW_PER_MW = 1000.0

COLUMNS: tuple[str, ...] = tuple(dict.fromkeys([*COMPARE_COLUMNS, "idle_power_w"]))
"""The columns that :func:`cards` reads, beside ``file`` and ``line``."""

SENTENCE = "SHA-256d on a GPU loses to an ASIC by orders of magnitude"
"""Stands under every table."""


# ---------------------------------------------------------------------------------------------------------------------
# one scenario


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


# ---------------------------------------------------------------------------------------------------------------------
# ranges


@dataclass(frozen=True, slots=True)
class Range:
    """Low, likely and high. A bound is None where there is none (a break-even whose denominator changes sign)."""

    low: float | None
    likely: float | None
    high: float | None

    @staticmethod
    def of(value: float) -> Range:
        """A figure without a spread."""
        return Range(value, value, value)

    def times(self, factor: float) -> Range:
        """Each bound times ``factor`` > 0."""
        return Range(*(None if part is None else part * factor for part in (self.low, self.likely, self.high)))


@dataclass(frozen=True, slots=True)
class Box:
    """A scenario whose every input is a range."""

    likely: Inputs
    corners: Inputs
    """Arrays over all corners."""

    @staticmethod
    def of(ranges: Mapping[str, Range]) -> Box:
        """From a range for each field of :class:`Inputs`."""
        import numpy as np

        names = [entry.name for entry in fields(Inputs)]
        ends = [tuple(dict.fromkeys((ranges[name].low, ranges[name].high))) for name in names]
        table = np.array(list(itertools.product(*ends)), dtype=float)
        return Box(
            Inputs(**{name: ranges[name].likely for name in names}),
            Inputs(**{name: table[:, place] for place, name in enumerate(names)}),
        )

    def over(self, formula: Callable[[Inputs], Any]) -> Range:
        """A result's likely value and its bounds over all corners."""
        import numpy as np

        values = np.asarray(formula(self.corners), dtype=float)
        return Range(float(values.min()), float(formula(self.likely)), float(values.max()))

    def break_even(self, name: str) -> Range:
        """A break-even's likely value and its bounds; no bounds where its denominator changes sign in the box."""
        import numpy as np

        above, below = (np.asarray(part, dtype=float) for part in BREAK_EVENS[name][2](self.corners))
        likely = break_even(name, self.likely)
        if not (below > 0).all() and not (below < 0).all():
            return Range(None, likely, None)
        values = above / below
        return Range(float(values.min()), likely, float(values.max()))


# ---------------------------------------------------------------------------------------------------------------------
# prices


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
    """(part of a device's name, rent), the first that fits is used."""
    asic: Asic
    site_mw: float | None = None

    def rent(self, device_name: str) -> Price | None:
        """The rent of a card, or None where the file has none."""
        for card, price in self.rents:
            if card == "*" or card.casefold() in device_name.casefold():
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
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchError(f"cannot read {path} ({(error.strerror or str(error)).lower()})", "check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BenchError(
            f"{path} is not a TOML file ({error})", f"start from a copy of {example_path().name}"
        ) from None
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
        raise BenchError("as_of must be a date", "write the day the prices were true, as in `as_of = 2026-05-20`")
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
    if item["unit"] not in local:
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
            f"[{name}] lies outside {low:g} … {high:g} {next(iter(local))}", "correct the figure, or its unit"
        )
    if values != sorted(values):
        raise BenchError(f"[{name}] is not in order", "give low ≤ likely ≤ high")
    first, likely, last = values * 3 if len(values) == 1 else values
    return Price(Range(first, likely, last), next(iter(local)), item["source"])


def _asic(item: object) -> Asic:
    names = {entry.name for entry in fields(Asic)}
    if not isinstance(item, dict) or set(item) != names:
        raise BenchError("[asic] must have exactly its four keys", f"give it {', '.join(sorted(names))}")
    good = all(isinstance(item[name], int | float) and item[name] > 0 for name in ("hash_th_per_s", "j_per_th"))
    if not good or not all(isinstance(item[name], str) and item[name] for name in ("name", "source")):
        raise BenchError("[asic] holds a figure that is no number above 0, or no name or source", "correct it")
    return Asic(**item)


# ---------------------------------------------------------------------------------------------------------------------
# measured cards


@dataclass(frozen=True, slots=True)
class Card:
    """What a card was measured to do.

    Ranges hold the 95% intervals; watts under load also the sensor's own uncertainty; idle watts are the least, mean
    and greatest baseline.
    """

    name: str
    hash_per_s: Range | None
    mine_w: Range | None
    ai_task: str | None
    ai_per_s: Range | None
    """FLOP/s of ``ai_task``."""
    tokens_per_s: Range | None
    """Of the whole model, modelled from one block."""
    ai_w: Range | None
    idle_w: Range | None
    scope: str | None
    """What the watts cover; at ``wall`` the host is in them already."""
    reasons: tuple[str, ...] = ()
    """What is missing, and why."""

    @property
    def j_per_th(self) -> float | None:
        """Joules per terahash at the card's own meter."""
        if self.hash_per_s is None or self.mine_w is None or not self.hash_per_s.likely:
            return None
        return None if self.mine_w.likely is None else self.mine_w.likely / (self.hash_per_s.likely / 1e12)


def cards(frame: pd.DataFrame, ai: str | None = None) -> list[Card]:
    """The cards in a frame, each with its mining and its AI figures.

    Args:
        frame: rows with at least :data:`COLUMNS`, ``file`` and ``line``.
        ai: words of the AI task to use, such as ``decode`` or ``llama3-8b bf16``; default: the transformer task that
            draws the most power, so that AI's power bill is not flattered.

    A card measured in several settings (power limits …) is given by its most efficient mining line and the AI line as
    above; a card whose AI task or watts are missing says so in ``reasons``.

    Raises:
        BenchError: no rows, or no transformer task holds the words of ``ai``.
    """
    result = compare(frame, metrics=("rate_per_s", "power_mean_w", "work_per_j", "tokens_per_s"))
    lines: dict[int, dict[str, Comparison]] = {}
    for item in result.comparisons:
        lines.setdefault(id(item.key), {})[item.metric] = item
    usable = [held for held in lines.values() if held["rate_per_s"].value is not None]
    words = (ai or "").split()
    if words and not any(_is_ai(held) and _has_words(held, words) for held in usable):
        tasks = dict.fromkeys(held["rate_per_s"].task.label for held in usable if _is_ai(held))
        raise BenchError(f"no transformer task here holds {ai!r}", f"choose from {'; '.join(tasks) or 'none'}")
    valid = frame[frame["valid"] & frame["verified"]]
    return [_card(name, usable, words, valid) for name in dict.fromkeys(result.subjects)]


def _is_ai(held: Mapping[str, Comparison]) -> bool:
    key = held["rate_per_s"].key
    return bool(key["workload"] == "transformer" and key["product"] is None)


def _has_words(held: Mapping[str, Comparison], words: Sequence[str]) -> bool:
    return set(words) <= set(held["rate_per_s"].task.label.split())


def _card(name: str, lines: Sequence[Mapping[str, Comparison]], words: Sequence[str], valid: pd.DataFrame) -> Card:
    mine = [held for held in lines if held["rate_per_s"].key["device_name"] == name]
    hashing = [held for held in mine if held["rate_per_s"].key["workload"] == "sha256d"]
    thinking = [held for held in mine if _is_ai(held) and _has_words(held, words)]
    miner = max(hashing, key=lambda held: (_likely(held, "work_per_j"), _likely(held, "rate_per_s")), default=None)
    thinker = max(thinking, key=lambda held: (_likely(held, "power_mean_w"), _likely(held, "rate_per_s")), default=None)
    rows = valid[valid["device_name"].astype(object) == name]
    reasons = []
    if miner is None:
        reasons.append("sha256d was not measured")
    if thinker is None:
        reasons.append("no transformer task was measured")
    watts = [None if held is None else _watts(held, rows) for held in (miner, thinker)]
    if any(held is not None and watt is None for held, watt in zip((miner, thinker), watts, strict=True)):
        reasons.append("no watts were read")
    if (rows["energy_method"].astype(object) == "assumed").any():
        reasons.append("watts are assumed, not measured")
    idle = rows["idle_power_w"].dropna()
    if idle.empty:
        reasons.append("no idle power was read")
    scopes = rows["energy_scope"].dropna().astype(str).unique().tolist()
    return Card(
        name=name,
        hash_per_s=_spread(miner, "rate_per_s"),
        mine_w=watts[0],
        ai_task=None if thinker is None else thinker["rate_per_s"].task.label,
        ai_per_s=_spread(thinker, "rate_per_s"),
        tokens_per_s=_spread(thinker, "tokens_per_s"),
        ai_w=watts[1],
        idle_w=None if idle.empty else Range(float(idle.min()), float(idle.mean()), float(idle.max())),
        scope=scopes[0] if len(scopes) == 1 else None,
        reasons=tuple(reasons),
    )


def _likely(held: Mapping[str, Comparison], metric: str) -> float:
    value = held[metric].value if metric in held else None
    return 0.0 if value is None else value


def _spread(held: Mapping[str, Comparison] | None, metric: str) -> Range | None:
    line = None if held is None else held.get(metric)
    if line is None or line.value is None:
        return None
    return Range(
        line.value if line.low is None else line.low, line.value, line.value if line.high is None else line.high
    )


def _watts(held: Mapping[str, Comparison], rows: pd.DataFrame) -> Range | None:
    """Watts with both their uncertainties: of the repeats, and of the sensor itself."""
    spread = _spread(held, "power_mean_w")
    if spread is None or spread.low is None or spread.likely is None or spread.high is None:
        return None
    task = held["rate_per_s"].key["workload"]
    of_task = rows[rows["workload"].astype(object) == task]
    sensor = float((of_task["sensor_uncertainty_j"] / of_task["energy_j"]).fillna(0.0).max()) * spread.likely
    down, up = math.hypot(spread.likely - spread.low, sensor), math.hypot(spread.high - spread.likely, sensor)
    return Range(max(0.0, spread.likely - down), spread.likely, spread.likely + up)


# ---------------------------------------------------------------------------------------------------------------------
# the outlook


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
    """Each card as a miner and as an AI card, the ASIC beside them, and a site full of each.

    Args:
        measured: from :func:`cards`.
        prices: from :func:`read_prices`.
        site_mw: power at the site's meter; default: the price file's.

    Raises:
        BenchError: ``site_mw`` is not above 0.
    """
    power = prices.site_mw if site_mw is None else site_mw
    if power is not None and not 0 < power < math.inf:
        raise BenchError(f"a site of {power} MW holds nothing", "give the megawatts at its meter, above 0")
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


def _wall_kw(watts: Range, card: Card, prices: Prices) -> Range:
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
        "mine_kw": nothing if card.mine_w is None else _wall_kw(card.mine_w, card, prices),
        "ai_kw": nothing if card.ai_w is None else _wall_kw(card.ai_w, card, prices),
        "idle_kw": nothing if card.idle_w is None else _wall_kw(card.idle_w, card, prices),
    }


def _card_outlook(card: Card, prices: Prices) -> CardOutlook:
    rent = prices.rent(card.name)
    reasons = list(card.reasons)
    if rent is None:
        reasons.append("the price file has no rent for it")
    can_mine = None not in (card.hash_per_s, card.mine_w, card.idle_w)
    can_think = None not in (card.ai_w, card.idle_w, rent)
    box = Box.of(_ranges(card, prices, rent))
    both = can_mine and can_think
    gap = box.over(advantage) if both else None
    verdict = "unknown"
    if gap is not None and gap.low is not None and gap.high is not None:
        verdict = "AI" if gap.low > 0 else "mining" if gap.high < 0 else "cannot tell"
    held = {"mining_power": can_mine, "ai_power": can_think}
    factor = card.j_per_th
    return CardOutlook(
        card=card,
        mining=_side(box, mining_revenue, mining_kwh, mining_net) if can_mine else None,
        ai=_side(box, ai_revenue, ai_kwh, ai_net) if can_think else None,
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


def notes(outlook: Outlook) -> list[str]:
    """What stands under the table: the ASIC, what is missing, what the ranges are, the date and the sources."""
    asic = outlook.prices.asic
    lines = []
    factors = [(item.card.name, item.card.j_per_th, item.asic_factor) for item in outlook.cards]
    said = [
        f"{name} takes {joules:,.0f} J/TH, {factor:,.0f} times the {asic.name}'s {asic.j_per_th:g} J/TH"
        for name, joules, factor in factors
        if joules is not None and factor is not None
    ]
    lines.append(f"{SENTENCE}{': ' + '; '.join(said) if said else ''}")
    for item in outlook.cards:
        if item.card.ai_task is not None:
            lines.append(f"{item.card.name}: AI power is that of {item.card.ai_task}")
        lines += [f"{item.card.name}: {reason}" for reason in item.reasons]
        gain = item.idle_mining_gain_per_h
        if gain is not None and gain.likely is not None:
            word = "adds" if gain.likely > 0 else "loses"
            advice = "" if gain.likely > 0 else ": leave it idle"
            lines.append(f"{item.card.name}: mining in unrented hours {word} {abs(gain.likely):.2g} USD/h{advice}")
        sides = [side for side in (item.mining, item.ai) if side is not None]
        if sides and all(side.net_per_h.likely is not None and side.net_per_h.likely < 0 for side in sides):
            lines.append(f"{item.card.name}: loses money in every use reckoned here; better switched off")
    lines.append("ranges are the worst and the best corner of all inputs at once, not a 95% interval")
    lines.append(f"prices as of {outlook.prices.as_of.isoformat()}, from the price file; nothing was fetched")
    return [line.replace("USD", outlook.prices.currency) for line in lines]


def flat(outlook: Outlook) -> list[dict[str, Any]]:
    """Everything as flat objects with the same keys, for CSV and JSON: what, use, figure, unit, low, likely, high."""
    unit = outlook.prices.currency
    rows: list[dict[str, Any]] = []

    def add(what: str, use: str, figure: str, units: str, value: Range | None) -> None:
        if value is not None:
            bounds = {"low": value.low, "likely": value.likely, "high": value.high}
            rows.append({"what": what, "use": use, "figure": figure, "unit": units, **bounds})

    sides = [(outlook.prices.asic.name, "mining", outlook.asic)]
    for item in outlook.cards:
        sides += [(item.card.name, use, side) for use, side in (("mining", item.mining), ("AI", item.ai)) if side]
    for what, use, side in sides:
        add(what, use, "revenue", f"{unit}/h", side.revenue_per_h)
        add(what, use, "power cost", f"{unit}/h", side.power_cost_per_h)
        add(what, use, "net", f"{unit}/h", side.net_per_h)
        add(what, use, "net", f"{unit}/MWh", side.net_per_mwh)
        add(what, use, "net", f"{unit}/GPU/year", side.net_per_year)
    for item in outlook.cards:
        add(item.card.name, "both", "AI beats mining by", f"{unit}/h", item.advantage_per_h)
        add(item.card.name, "AI", "mining in unrented hours adds", f"{unit}/h", item.idle_mining_gain_per_h)
        for name, value in item.break_evens.items():
            add(item.card.name, "both", f"break-even {name}", BREAK_EVENS[name][0].replace("USD", unit), value)
        if item.asic_factor is not None:
            add(item.card.name, "mining", "joules per hash over the ASIC's", "ratio", Range.of(item.asic_factor))
    for choice in outlook.site:
        add(choice.what, choice.use, "site machines", "count", choice.machines)
        add(choice.what, choice.use, "site hashrate", "PH/s", choice.ph_per_s)
        add(choice.what, choice.use, "site tokens (modelled)", "tokens/s", choice.tokens_per_s)
        add(choice.what, choice.use, "site FLOPs", "FLOP/s", choice.flop_per_s)
        add(choice.what, choice.use, "site revenue", f"{unit}/year", choice.revenue_per_year)
        add(choice.what, choice.use, "site net", f"{unit}/year", choice.net_per_year)
    return rows


def with_(inputs: Inputs, **changes: Any) -> Inputs:
    """A scenario with some inputs changed."""
    return replace(inputs, **changes)
