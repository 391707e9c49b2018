"""The best schedule, the one that knows a day at a time, and what one mode all year would earn. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.analysis.dispatch.accounts import Accounts, account
from bench.analysis.dispatch.problem import Fleet, Rules, Schedule, modes, solve
from bench.analysis.dispatch.rolling import day_ahead
from bench.analysis.dispatch.rules import Year
from bench.model import BenchError

HOURS_PER_YEAR = 8760.0


@dataclass(frozen=True, slots=True)
class Policy:
    """One way to run the site, with its money."""

    name: str
    schedule: Schedule
    accounts: Accounts
    co2_kg: float | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What :func:`decide` finds."""

    fleets: tuple[Fleet, ...]
    year: Year
    rules: Rules
    policies: tuple[Policy, ...]
    """``perfect foresight``, ``day ahead``, then ``always mine``, ``always rent`` and ``always off`` where they fit the
    rules; the best first among the last three."""

    @property
    def hours(self) -> float:
        """Length of what was scheduled."""
        return self.year.steps.hours * len(self.year.start)

    @property
    def best(self) -> Policy:
        """The schedule that knows everything."""
        return self.policies[0]

    @property
    def day_ahead(self) -> Policy:
        """The schedule that knows a day at a time."""
        return self.policies[1]

    @property
    def value_lost(self) -> float:
        """What not knowing the future costs."""
        return self.best.accounts.net - self.day_ahead.accounts.net

    @property
    def value_of_choosing(self) -> float | None:
        """What the day-ahead schedule earns beyond the best single mode; None where none fits the rules."""
        fixed = [policy.accounts.net for policy in self.policies[2:]]
        return self.day_ahead.accounts.net - max(fixed) if fixed else None

    def per_year(self, amount: float) -> float:
        """An amount of the whole length, as of 8,760 hours."""
        return amount * HOURS_PER_YEAR / self.hours


def decide(fleets: Sequence[Fleet], year: Year, rules: Rules) -> Decision:
    """Schedule the fleets with perfect foresight, day by day, and in one use for all of the time.

    Raises:
        BenchError: no schedule fits the rules.
    """
    best = _policy("perfect foresight", fleets, year, rules, solve(fleets, year.steps, rules))
    daily = _policy("day ahead", fleets, year, rules, day_ahead(fleets, year.steps, rules, year.days))
    fixed = [found for use in ("mine", "rent", "off") if (found := _always(use, fleets, year, rules))]
    fixed.sort(key=lambda policy: policy.accounts.net, reverse=True)
    return Decision(tuple(fleets), year, rules, (best, daily, *fixed))


def _policy(name: str, fleets: Sequence[Fleet], year: Year, rules: Rules, schedule: Schedule) -> Policy:
    accounts = account(fleets, year.steps, rules, schedule)
    co2: Any = year.co2_kg_per_kwh
    kg = None if co2 is None else float((accounts.kw * co2).sum() * year.steps.hours)
    return Policy(name, schedule, accounts, kg)


def _always(use: str, fleets: Sequence[Fleet], year: Year, rules: Rules) -> Policy | None:
    """The stock setting of one use whenever it can be, off otherwise; None where no fleet has it or the rules
    forbid it.
    """
    import numpy as np

    if use != "off" and not any(mode.name == use for fleet in fleets for mode in fleet.modes):
        return None
    kept = [
        replace(fleet, modes=tuple(mode for mode in fleet.modes if mode.name == use or mode.use == "off"))
        for fleet in fleets
    ]
    steps = replace(year.steps, power=np.zeros_like(year.steps.power), event=np.zeros_like(year.steps.event))
    free = replace(rules, start_cost={}, min_run_h={}, demand_charge=0.0, block_kw=0.0)
    try:
        # With power for nothing, every card that can be at its use is at it.
        schedule = solve(kept, steps, free)
    except BenchError:
        return None
    columns = modes(fleets)
    at = [columns.index(column) for column in modes(kept)]
    cards = np.zeros((len(schedule.cards), len(columns)))
    cards[:, at] = schedule.cards
    whole = Schedule(cards, np.zeros((len(cards), 0)), schedule.gap)
    # Starts are not charged: one mode all year begins once.
    return _policy(f"always {use}", fleets, year, replace(rules, start_cost={}, min_run_h={}), whole)
