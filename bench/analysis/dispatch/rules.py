"""The file of rules (``bench/data/dispatch.example.toml``), and the steps of a year from it and from series. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from bench.analysis.dispatch.problem import Rules, Steps
from bench.analysis.economics import KW_PER_MW, Prices
from bench.data import DATA
from bench.data.toml_file import read_toml
from bench.model import BenchError
from bench.model.series import Series

if TYPE_CHECKING:
    import pandas as pd

Use = Literal["mine", "rent"]


class Site(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The site at its meter."""

    limit_kw: float | None = None
    block_kw: float = 0.0
    block_price: float = 0.0
    sell_fee: float | None = None


class Contract(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A tenant who must be given a share of the cards."""

    share: float = 0.0
    penalty: float = 0.0


class DemandCharge(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """On each month's highest draw in some hours; times are the site's."""

    per_kw: float = 0.0
    hours: tuple[int, ...] = tuple(range(24))
    months: tuple[int, ...] = tuple(range(1, 13))


class Event(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The grid pays for load that is not drawn, or caps it."""

    start: datetime
    end: datetime
    pay: float = 0.0
    baseline_kw: float = 0.0
    max_kw: float | None = None


class RuleFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """All tables of the file; each may be left out."""

    site: Site = Site()
    start_cost: dict[Use, float] = {}
    min_run_h: dict[Use, float] = {}
    contract: Contract = Contract()
    demand_charge: DemandCharge = DemandCharge()
    event: tuple[Event, ...] = ()

    def rules(self) -> Rules:
        """As the solver takes them."""
        fee = self.site.sell_fee
        return Rules(
            start_cost={str(use): cost for use, cost in self.start_cost.items()},
            min_run_h={str(use): hours for use, hours in self.min_run_h.items()},
            contract_share=self.contract.share,
            shortfall_penalty=self.contract.penalty,
            site_kw=self.site.limit_kw,
            block_kw=self.site.block_kw,
            sell_fee=None if fee is None else fee / KW_PER_MW,
            demand_charge=self.demand_charge.per_kw,
        )


def example_path() -> Path:
    """The example that comes with bitwatt."""
    return DATA / "dispatch.example.toml"


def read_rules(path: Path) -> RuleFile:
    """Read a file of rules, strictly.

    Raises:
        BenchError: not TOML, an unknown table or key, a wrong type, or a figure out of range.
    """
    fix = f"start from a copy of {example_path().name}"
    try:
        found = msgspec.convert(read_toml(path, "file of rules", fix), RuleFile, strict=True)
    except msgspec.ValidationError as error:
        raise BenchError(f"{path}: {error}", fix) from None
    charge, site = found.demand_charge, found.site
    for good, what in (
        (0 <= found.contract.share <= 1, "contract.share must be from 0 to 1"),
        (all(value >= 0 for value in (*found.start_cost.values(), *found.min_run_h.values())), "starts and run times"),
        (all(value <= 336 for value in found.min_run_h.values()), "min_run_h must be at most 336 (two weeks)"),
        (found.contract.penalty >= 0 and charge.per_kw >= 0, "penalties and charges must not be negative"),
        (site.block_kw >= 0 and (site.sell_fee or 0) >= 0, "block_kw and sell_fee must not be negative"),
        (site.limit_kw is None or site.limit_kw > 0, "site.limit_kw must be above 0"),
        (all(hour in range(24) for hour in charge.hours), "demand_charge.hours are from 0 to 23"),
        (all(event.start.tzinfo and event.end.tzinfo for event in found.event), "events need times with an offset"),
        (all(event.start < event.end for event in found.event), "an event must end after it starts"),
    ):
        if not good:
            raise BenchError(f"{path}: {what}", "correct it")
    return found


@dataclass(frozen=True, slots=True)
class Year:
    """The steps with their times: what a schedule is made for."""

    start: pd.DatetimeIndex
    """Beginning of each step, in the site's time zone."""
    steps: Steps
    days: tuple[int, ...]
    """Index of the first step of each local day."""
    co2_kg_per_kwh: Any = None
    """[steps] intensity of the grid, or None."""
    currency: str = "USD"
    """Of every amount of money."""


def year(
    power: Series,
    prices: Prices,
    rent: float,
    file: RuleFile,
    *,
    zone: str = "UTC",
    more: Mapping[str, Series] | None = None,
) -> Year:
    """The steps of the power series, with what the other series say of each.

    Args:
        power: price at the meter, per kWh.
        prices: what the series leave out: hashprice, fees, and the utilisation where no demand is given.
        rent: of the first card per hour at its stock setting, where no series gives it.
        file: demand charges and events.
        zone: the site's time zone, for days, months and hours.
        more: series named ``hashprice`` (per PH/s and day), ``rent`` (per card and hour), ``demand`` (share of cards)
            and ``co2`` (kg/kWh); each must cover the power series.

    Raises:
        BenchError: a series does not cover the power series, or the time zone is unknown.
    """
    import numpy as np
    import pandas as pd

    try:
        start = pd.DatetimeIndex(list(power.start)).tz_convert(zone)
    except (KeyError, ValueError, TypeError) as error:
        raise BenchError(f"{zone!r} is not a time zone ({error})", "write it as Europe/Berlin, or UTC") from None
    given = {name: _along(start, series, name) for name, series in (more or {}).items()}
    count = len(start)
    likely = {name: price.range.likely for name, price in prices.items.items()}

    def of(name: str, otherwise: float | None) -> Any:
        return given[name] if name in given else np.full(count, otherwise, dtype=float)

    charge = file.demand_charge
    counts = start.hour.isin(charge.hours) & start.month.isin(charge.months)
    pay, cap, baseline = np.zeros(count), np.full(count, np.inf), 0.0
    for event in file.event:
        within = (start >= pd.Timestamp(event.start)) & (start < pd.Timestamp(event.end))
        pay[within] += event.pay / KW_PER_MW
        baseline = max(baseline, event.baseline_kw)
        if event.max_kw is not None:
            cap[within] = np.minimum(cap[within], event.max_kw)
    months = (start.year * 12 + start.month).to_numpy()
    steps = Steps(
        hours=power.step_h,
        power=np.asarray(power.values, dtype=float),
        hash_income=of("hashprice", likely["hashprice"]) * (1 - (likely["pool_fee"] or 0.0)) / 24_000,
        rent_income=of("rent", rent) * (1 - (likely["market_fee"] or 0.0)),
        demand=np.clip(of("demand", likely["utilisation"]), 0.0, 1.0),
        event=pay,
        cap_kw=cap,
        peak=counts.astype(float),
        month=months - months[0],
        event_kw=baseline,
    )
    dates = start.date
    days = [0, *(at for at in range(1, count) if dates[at] != dates[at - 1])]
    return Year(start, steps, tuple(days), given.get("co2"), prices.currency)


def _along(start: pd.DatetimeIndex, series: Series, name: str) -> Any:
    """The figure of each step: that of the series' step in which it lies."""
    import numpy as np
    import pandas as pd

    own = pd.DatetimeIndex(list(series.start))
    at = own.searchsorted(start.tz_convert("UTC"), side="right") - 1
    end = own[-1] + pd.Timedelta(hours=series.step_h)
    if at[0] < 0 or start[-1] >= end:
        raise BenchError(
            f"the {name} series ({own[0]:%Y-%m-%d} to {end:%Y-%m-%d}) does not cover the power prices "
            f"({start[0]:%Y-%m-%d} to {start[-1]:%Y-%m-%d})",
            "give both for the same time",
        )
    return np.asarray(series.values, dtype=float)[at]
