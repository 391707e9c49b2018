"""A site's schedule as tables: what each policy earns, what the cards did, and how long which power was drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bench.output.document import Document, Grid
from bench.output.economics import amount
from bench.output.format import MISSING, digits

if TYPE_CHECKING:
    from bench.analysis.dispatch import Decision, Policy

USES = ("mine", "rent", "idle", "off")
SHARES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""Points of the load duration curve: shares of the time."""


def dispatch(decision: Decision, notes: tuple[str, ...] = ()) -> Document:
    """The verdict, then a table of policies, one of modes, and the load duration curve; money is per year."""
    gap = max(decision.best.schedule.gap, decision.day_ahead.schedule.gap)
    if gap > 1e-9:
        notes = (
            f"the solver stopped before its schedule was proven the best; a better one may earn {gap:.1%} more",
            *notes,
        )
    return Document(
        grids=(policies(decision), modes(decision), durations(decision)),
        rows=list(_flat(decision)),
        notes=notes,
        lead=(_verdict(decision),),
        notes_are_results=True,
    )


def schedule_rows(policy: Policy, decision: Decision) -> Iterator[Mapping[str, Any]]:
    """A row per step: its time, the price of power, the draw at the meter, and the cards in each mode."""
    names = list(policy.accounts.by_mode)
    table = zip(decision.year.start, decision.year.steps.power, policy.accounts.kw, policy.schedule.cards, strict=True)
    for moment, price, kw, cards in table:
        counts = {name: round(float(count), 6) for name, count in zip(names, cards, strict=True)}
        yield {"time": moment.isoformat(), "power_price_per_kwh": float(price), "kw": float(kw), **counts}


def _verdict(decision: Decision) -> str:
    day, currency = decision.day_ahead, decision.year.currency
    said = "; ".join(_used(decision, number) for number in range(len(decision.fleets)))
    text = (
        f"knowing each day's prices the day before, this site earns {amount(decision.per_year(day.accounts.net))} "
        f"{currency} a year before fixed costs ({said} of the time)"
    )
    gain = decision.value_of_choosing
    if gain is not None:
        other = decision.policies[2]
        word = "more" if gain >= 0 else "less"
        text += f": {amount(abs(decision.per_year(gain)))} {currency} {word} than '{other.name}'"
    return f"{text}; perfect foresight would add {amount(decision.per_year(decision.value_lost))} {currency}."


def percent(share: float) -> str:
    """A share as ``12.3%``."""
    return f"{share:.1%}"


def _mwh(kwh: float) -> str:
    return f"{digits(kwh / 1000, 3)} MWh" if kwh else "0"


def _used(decision: Decision, number: int) -> str:
    """``rent 65.0%, off 35.0%`` of a fleet's time, with its name where there are several."""
    fleets, schedule = decision.fleets, decision.day_ahead.schedule
    first = sum(len(fleet.modes) for fleet in fleets[:number])
    shares = dict.fromkeys(USES, 0.0)
    for at, mode in enumerate(fleets[number].modes, first):
        shares[mode.use] += float(schedule.cards[:, at].mean()) / fleets[number].cards
    said = ", ".join(f"{use} {percent(share)}" for use, share in shares.items() if share >= 0.0005)
    return said if len(fleets) == 1 else f"{fleets[number].name}: {said}"


def _shares(policy: Policy) -> dict[str, float]:
    total = sum(mode.card_hours for mode in policy.accounts.by_mode.values())
    return {
        use: sum(mode.card_hours for mode in policy.accounts.by_mode.values() if mode.use == use) / total
        for use in USES
    }


def policies(decision: Decision) -> Grid:
    """What each policy earns in a year of 8,760 hours, how the cards spend their time, energy and CO₂."""
    rows = []
    for policy in decision.policies:
        accounts, shares = policy.accounts, _shares(policy)
        other = round(accounts.net - accounts.income + accounts.power_cost, 6)
        kwh = float(accounts.kw.sum()) * decision.year.steps.hours
        rows.append(
            (
                policy.name,
                *(amount(decision.per_year(part)) for part in (accounts.net, accounts.income, accounts.power_cost)),
                amount(decision.per_year(other)),
                *(percent(shares[use]) for use in USES),
                _mwh(decision.per_year(kwh)),
                MISSING if policy.co2_kg is None else f"{digits(decision.per_year(policy.co2_kg / 1000), 3)} t",
            )
        )
    header = ("policy", f"net {decision.year.currency}/year", "income", "power", "other", *USES, "energy", "CO₂")
    return Grid(header, tuple(rows), frozenset(range(1, 11)), title="what each way to run the site earns", drop=(10, 4))


def modes(decision: Decision) -> Grid:
    """What the cards do day ahead: share of time, card-hours, energy and income of each mode."""
    day = decision.day_ahead.accounts
    total = sum(mode.card_hours for mode in day.by_mode.values())
    rows = tuple(
        (
            name,
            percent(mode.card_hours / total),
            amount(decision.per_year(mode.card_hours)),
            _mwh(decision.per_year(mode.kwh)),
            amount(decision.per_year(mode.income)),
        )
        for name, mode in day.by_mode.items()
        if mode.card_hours
    )
    header = ("mode", "share of time", "card-hours/year", "energy", f"income {decision.year.currency}/year")
    return Grid(header, rows, frozenset({1, 2, 3, 4}), title="what the cards do, day ahead")


def durations(decision: Decision) -> Grid:
    """The power drawn at least for each of :data:`SHARES`, with perfect foresight and day ahead."""
    import numpy as np

    rows = []
    for policy in decision.policies[:2]:
        points = np.quantile(policy.accounts.kw, [1 - share for share in SHARES])
        rows.append((policy.name, *(f"{digits(float(kw), 3)} kW" if kw else "0 kW" for kw in points)))
    header = ("policy", *(f"{share:.0%}" for share in SHARES))
    return Grid(header, tuple(rows), frozenset(range(1, 9)), title="power drawn at least for so much of the time")


def _flat(decision: Decision) -> Iterator[dict[str, Any]]:
    """policy, what, figure, unit, value: money as it is over the whole length, not per year."""

    def row(policy: str, what: str | None, figure: str, unit: str, value: float | None) -> dict[str, Any]:
        return {"policy": policy, "what": what, "figure": figure, "unit": unit, "value": value}

    currency = decision.year.currency
    for policy in decision.policies:
        accounts = policy.accounts
        for figure in ("net", "income", "power_cost", "resale", "events", "start_cost", "shortfall", "demand_charge"):
            yield row(policy.name, None, figure, currency, getattr(accounts, figure))
        yield row(policy.name, None, "unlet", currency, accounts.unlet)
        yield row(policy.name, None, "energy", "kWh", float(accounts.kw.sum()) * decision.year.steps.hours)
        yield row(policy.name, None, "highest draw", "kW", float(accounts.kw.max()))
        yield row(policy.name, None, "co2", "kg", policy.co2_kg)
        for name, mode in accounts.by_mode.items():
            yield row(policy.name, name, "card hours", "h", mode.card_hours)
            yield row(policy.name, name, "energy", "kWh", mode.kwh)
            yield row(policy.name, name, "income", currency, mode.income)
    yield row("all", None, "length", "h", decision.hours)
    yield row("all", None, "value lost by not knowing the future", currency, decision.value_lost)
