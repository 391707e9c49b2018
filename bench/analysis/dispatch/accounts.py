"""What a schedule earns and draws, term by term; the terms add up to the objective of :mod:`.problem`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.analysis.dispatch.problem import (
    Fleet,
    Rules,
    Schedule,
    Steps,
    draws,
    groups,
    incomes,
    let,
    modes,
    power_prices,
    rent_of,
    rentable,
)

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Accounts:
    """Money of a schedule, all of it over its whole length."""

    by_mode: Mapping[str, ModeAccount]
    """Name of a mode, with the fleet's where there are several → what it did."""
    power_cost: float
    """Of what was drawn beyond the block."""
    resale: float
    """Of what of the block was left; negative where power was worth less than nothing."""
    events: float
    start_cost: float
    shortfall: float
    demand_charge: float
    unlet: float
    """Rent that was counted for cards without a tenant, kept on by a minimum run time."""
    kw: Array
    """[steps] draw at the site's meter."""

    @property
    def income(self) -> float:
        """Of mining and rent."""
        return sum(mode.income for mode in self.by_mode.values())

    @property
    def net(self) -> float:
        """What the schedule earns, before fixed costs."""
        costs = self.power_cost + self.start_cost + self.shortfall + self.demand_charge + self.unlet
        return self.income + self.resale + self.events - costs


@dataclass(frozen=True, slots=True)
class ModeAccount:
    """What the cards in one mode did."""

    use: str
    card_hours: float
    kwh: float
    income: float


def account(fleets: Sequence[Fleet], steps: Steps, rules: Rules, schedule: Schedule) -> Accounts:
    """The terms of the objective at ``schedule``."""
    import numpy as np

    cards, hours = schedule.cards, steps.hours
    kw = cards @ draws(fleets)
    buy, resale = power_prices(steps, rules)
    over, left = np.maximum(kw - rules.block_kw, 0.0), np.maximum(rules.block_kw - kw, 0.0)
    earned = (incomes(fleets, steps) * cards).sum(axis=0)
    by_mode = {}
    for place, (number, mode) in enumerate(modes(fleets)):
        name = mode.name if len(fleets) == 1 else f"{fleets[number].name}: {mode.name}"
        card_hours = float(cards[:, place].sum()) * hours
        by_mode[name] = ModeAccount(mode.use, card_hours, card_hours * mode.kw, float(earned[place]))
    rented = cards[:, [place for place, (_, mode) in enumerate(modes(fleets)) if mode.use == "rent"]].sum(axis=1)
    missing = np.maximum(rules.contract_share * rentable(fleets) - rented, 0.0)
    costs = np.array([rules.start_cost.get(use, 0.0) for _, use in groups(fleets, rules)])
    return Accounts(
        by_mode=by_mode,
        power_cost=float((over * buy).sum() * hours),
        resale=float((left * resale).sum() * hours),
        events=float((steps.event * (steps.event_kw - kw)).sum() * hours),
        start_cost=float((schedule.starts @ costs).sum()),
        shortfall=float(missing.sum() * hours * rules.shortfall_penalty),
        demand_charge=rules.demand_charge * sum(highest_kw(kw, steps).values()),
        unlet=float((np.maximum(rented - let(fleets, steps, rules), 0.0) * steps.rent_income).sum() * hours)
        * rent_of(fleets),
        kw=kw,
    )


def highest_kw(kw: Array, steps: Steps) -> dict[int, float]:
    """Month → its highest draw in the steps that count for the demand charge."""
    import numpy as np

    counts = steps.peak > 0
    months = np.unique(steps.month[counts]).tolist()
    return {int(month): float(kw[counts & (steps.month == month)].max()) for month in months}
