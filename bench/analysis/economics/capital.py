"""Capital: what it costs to set a machine up, what it earns year by year, and the usual figures of both. Pure.

A :class:`Project` is one machine with its share of the building. Its yearly margins follow from the formulas of one
scenario, with the prices of that year; a year that would lose money is spent switched off. The building is paid for at
the start, the machines when there is power; the building keeps a straight-line value when the machines are worn out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.analysis.economics.formulas import HOURS_PER_YEAR, Inputs

HALVING_YEARS = 4.0
MOST_YEARS = 40
HIGHEST_IRR = 10.0
STEPS = 50
"""Of the search for a rate: enough for 1e-14."""

Flows = Sequence[tuple[Any, Any]]
"""Years from the outlay, and dollars, of each sum that comes in."""


@dataclass(frozen=True, slots=True)
class Project:
    """One machine."""

    margin: Callable[[Inputs, float], Any]
    """Scenario of a year and its number → $/h per machine before capital."""
    kw: Callable[[Inputs], Any]
    """kW at the wall plug at work, for which there must be a building."""
    prices: Callable[[Inputs, int], Inputs]
    """Scenario and number of a year → the scenario of that year: one of the ``*_prices`` functions here."""


def outlay(i: Inputs, project: Project) -> Any:
    """$ per machine: itself and its share of the building."""
    return i.machine_price + _building(i, project)


def flows(i: Inputs, project: Project) -> Flows:
    """What comes in: the margin of each year at its middle, then what the building is still worth."""
    import numpy as np

    found: list[tuple[Any, Any]] = []
    for year in range(min(MOST_YEARS, math.ceil(float(np.max(i.machine_life))))):
        share = np.clip(i.machine_life - year, 0.0, 1.0)
        margin = project.margin(project.prices(i, year), float(year))
        found.append((i.delay + year + share / 2, np.maximum(0.0, margin) * HOURS_PER_YEAR * share))
    left = np.clip(1 - i.machine_life / i.building_life, 0.0, 1.0)
    return [*found, (i.delay + i.machine_life, _building(i, project) * left)]


def mining_prices(i: Inputs, year: int) -> Inputs:
    """The hashprice in the middle of a year after the first power, from that of today."""
    when = i.delay + year + 0.5
    yearly = (1 - i.hashprice_decay) / (1 + i.difficulty_growth)
    return replace(i, hashprice=i.hashprice * yearly**when * subsidy(i, year))


def ai_prices(i: Inputs, year: int) -> Inputs:
    """Rent and utilisation in a year after the first power, from those of today."""
    rent = i.rent * (1 - i.rent_decay) ** (i.delay + year + 0.5)
    return replace(i, rent=rent, utilisation=i.utilisation * ramped(i, year))


def fixed_prices(i: Inputs, _year: int) -> Inputs:
    """A contract's price does not change."""
    return i


def subsidy(i: Inputs, year: int) -> Any:
    """Share of today's block subsidy in a year, averaged over it where it falls within."""
    import numpy as np

    found: Any = 1.0
    until = i.halving - (i.delay + year)
    while (np.asarray(until) < 1).any():
        found = found * (1 + np.clip(until, 0.0, 1.0)) / 2
        until = until + HALVING_YEARS
    return found


def ramped(i: Inputs, year: int) -> Any:
    """Share of the full utilisation, averaged over a year, while it grows in a straight line from nothing."""
    import numpy as np

    length = np.maximum(i.ramp, 1e-12)

    def area(until: float) -> Any:
        within = np.minimum(until, length)
        return within * within / (2 * length) + np.maximum(0.0, until - length)

    return area(year + 1.0) - area(float(year))


def npv(i: Inputs, project: Project) -> Any:
    """Net present value, $ per machine."""
    return _value(i, project, flows(i, project), i.discount_rate)


def present(coming: Flows, rate: Any) -> Any:
    """Value today of what comes in."""
    return sum(amount / (1 + rate) ** when for when, amount in coming)


def profitability(i: Inputs, project: Project, rate: float) -> Any:
    """Net present value at a rate, per dollar of the outlay."""
    return _value(i, project, flows(i, project), rate) / outlay(i, project)


def payback(i: Inputs, project: Project) -> Any:
    """Years from the outlay until the margins have paid for it, undiscounted; infinite where they never do.

    What the building is worth at the end counts, as its sale.
    """
    import numpy as np

    owed = np.asarray(outlay(i, project), dtype=float)
    found: Any = np.inf
    for year, (when, amount) in enumerate(flows(i, project)):
        last = np.asarray(when) >= i.delay + i.machine_life
        begin = np.where(last, when, i.delay + year)
        length = np.where(last, 0.0, np.clip(i.machine_life - year, 0.0, 1.0))
        part = np.divide(owed, amount, out=np.full_like(owed + amount, np.inf), where=np.asarray(amount) > 0)
        reached = (owed <= amount) & np.isinf(found)
        found = np.where(reached, begin + length * np.clip(part, 0.0, 1.0), found)
        owed = owed - amount
    return found


def irr(i: Inputs, project: Project) -> Any:
    """The rate at which the net present value is nothing: −1 where nothing comes in, at most :data:`HIGHEST_IRR`."""
    import numpy as np

    coming = flows(i, project)
    shape = np.shape(_value(i, project, coming, 0.0))
    low, high = np.full(shape, -0.999999), np.full(shape, HIGHEST_IRR)
    for _step in range(STEPS):
        middle = (low + high) / 2
        more = _value(i, project, coming, middle) > 0
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return (low + high) / 2


def _value(i: Inputs, project: Project, coming: Flows, rate: Any) -> Any:
    return present(coming, rate) - _building(i, project) - i.machine_price / (1 + rate) ** i.delay


def _building(i: Inputs, project: Project) -> Any:
    return i.building * project.kw(i) / 1000
