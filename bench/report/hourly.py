"""What a site should do hour by hour and what that earns. Pure; the figures are :mod:`bench.analysis.dispatch`'s."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bench.analysis.dispatch import Decision
from bench.output.dispatch import SHARES, durations, modes, policies
from bench.output.economics import amount
from bench.report.figure import SYMBOLS, Figure, View, axis
from bench.report.language import N_, _, joined, phrase
from bench.report.section import Block, Content, Folded, Section, Sentences, Study
from bench.report.table import Table, table

DAYS_OF_A_WEEK = 7
MOST_PANELS = 5
"""Modes with a panel of their own in a week's picture; what the others draw is one more."""
_POINTS = 400
"""Points of a load duration curve."""

_NAMES = (
    *(N_("perfect foresight"), N_("day ahead"), N_("always mine"), N_("always rent"), N_("always off")),
    *(N_("mine"), N_("rent"), N_("idle"), N_("off")),
)
"""Policies and modes as :mod:`bench.analysis.dispatch` names them."""


def _build(study: Study) -> Content | None:
    decision = study.decision
    if decision is None:
        return None
    blocks: list[Block] = [Sentences(_("Hour by hour, in short"), list(_in_short(decision))), _policies(decision)]
    weeks = week_figure(decision)
    blocks += [weeks] if weeks is not None else []
    blocks += [duration_figure(decision), _modes(decision)]
    blocks.append(Folded(_("The load duration curve as a table"), _durations(decision)))
    return Content(blocks)


SECTION = Section(
    "hours",
    N_("Hour by hour"),
    N_("Hour by hour"),
    _build,
    absent=N_(
        "Hour by hour (no prices of power over time were given; bitwatt dispatch --output writes a page with it)."
    ),
)


def _in_short(decision: Decision) -> Iterator[str]:
    """What the day-ahead schedule earns and what it is compared with."""
    currency, day = decision.year.currency, decision.day_ahead.accounts

    def money(value: float) -> str:
        return _("{amount} {currency} a year", amount=amount(decision.per_year(value)), currency=currency)

    yield _(
        "Knowing each day's prices the day before, this site earns {money} before fixed costs.", money=money(day.net)
    )
    gain = decision.value_of_choosing
    if gain is not None:
        text = N_("That is {money} more than '{policy}'.") if gain >= 0 else N_("That is {money} less than '{policy}'.")
        yield _(text, money=money(abs(gain)), policy=_(decision.policies[2].name))
    yield _("Perfect foresight would add {money}.", money=money(decision.value_lost))
    start = decision.year.start
    yield _(
        "The prices cover {hours} hours from {first} to {last}; amounts are scaled to 8,760 hours.",
        hours=f"{decision.hours:g}",
        first=str(start[0].date()),
        last=str(start[-1].date()),
    )


def _mode_name(text: str) -> str:
    """A mode, with its fleet's name where there are several, in the page's language."""
    fleet, colon, name = text.rpartition(": ")
    use, _at, setting = name.partition(" at ")
    said = _("{use} at {setting}", use=_(use), setting=phrase(setting)) if setting else _(use)
    return _("{card}: {mode}", card=phrase(fleet), mode=said) if colon else said


def _policies(decision: Decision) -> Table:
    grid = policies(decision)
    header = (
        *(_("Policy"), _("Net ({currency}/year)", currency=decision.year.currency), _("Income"), _("Power")),
        *(_("Other"), _("Mining"), _("Rented out"), _("Idle"), _("Off"), _("Energy"), "CO₂"),
    )
    rows = [[_(row[0]), *row[1:]] for row in grid.rows]
    return table(_("What each way to run the site earns"), header, rows, numeric=grid.right, lean=True)


def _modes(decision: Decision) -> Table:
    grid = modes(decision)
    income = _("Income ({currency}/year)", currency=decision.year.currency)
    header = (_("Mode"), _("Share of time"), _("Card-hours/year"), _("Energy"), income)
    rows = [[_mode_name(row[0]), *row[1:]] for row in grid.rows]
    return table(_("What the cards do, day ahead"), header, rows, numeric=grid.right)


def _durations(decision: Decision) -> Table:
    grid = durations(decision)
    rows = [[_(row[0]), *row[1:]] for row in grid.rows]
    return table(
        _("Power drawn at least for so much of the time"), (_("Policy"), *grid.header[1:]), rows, numeric=grid.right
    )


def duration_figure(decision: Decision) -> Figure:
    """The power that is drawn at least for each share of the time, with perfect foresight and day ahead."""
    shares = np.linspace(0.0, 1.0, _POINTS + 1)
    data: list[dict[str, Any]] = []
    for number, (policy, row) in enumerate(zip(decision.policies[:2], durations(decision).rows, strict=True)):
        kw = policy.accounts.kw
        name = _(policy.name)
        data.append(
            {
                "series": number,
                "mode": "markers",
                "name": name,
                "x": [100 * share for share in SHARES],
                "y": np.quantile(kw, [1 - share for share in SHARES]).tolist(),
                "marker": {"symbol": SYMBOLS[number], "size": 9},
                "hover": [f"{name}\n{share:.0%}: {text}" for share, text in zip(SHARES, row[1:], strict=True)],
            }
        )
        data.append(
            {
                "series": number,
                "mode": "lines",
                "name": name,
                "x": (100 * shares).tolist(),
                "y": np.round(np.quantile(kw, 1 - shares), 3).tolist(),
                "line": {"width": 2, "dash": "dash" if number else "solid"},
            }
        )
    top = max(float(policy.accounts.kw.max()) for policy in decision.policies[:2]) or 1.0
    layout = {
        "xaxis": axis(_("Share of the time (%)"), range=[-1.0, 101.0]),
        "yaxis": axis(_("Power at the meter (kW)"), range=[0, top * 1.08]),
        "showlegend": True,
    }
    note = _("How much power is drawn at the least for each share of the time; marked points are those of the table.")
    return Figure("load-duration", _("Load duration curve"), note, [View("", data, layout, 380)])


def week_figure(decision: Decision) -> Figure | None:
    """What the modes draw over a week, and the price of power; None for less than two days."""
    chosen = _weeks(decision)
    if not chosen:
        return None
    views = [_week(decision, name, first, last) for name, first, last in chosen]
    note = joined(
        _("The day-ahead schedule: what the cards in each mode draw at the meter, and the price of power below."),
        _("Modes that draw nothing have no panel; each panel has a scale of its own."),
    )
    return Figure("week", _("A week of the schedule"), note, views, _("Week"))


def _weeks(decision: Decision) -> list[tuple[str, int, int]]:
    """Name, first step and end of the weeks to show: where the price of power varied most, was highest and lowest."""
    days = [*decision.year.days, len(decision.year.start)]
    length = min(DAYS_OF_A_WEEK, len(days) - 1)
    if length < 2:
        return []
    # The first and the last day may be cut short.
    spans = [(days[at], days[at + length]) for at in range(0, len(days) - length, length)]
    price = decision.year.steps.power
    scores: tuple[tuple[str, Callable[[Any], float]], ...] = (
        (N_("the price of power varied most"), np.std),
        (N_("power was dearest"), np.mean),
        (N_("power was cheapest"), lambda part: -np.mean(part)),
    )
    found: dict[tuple[int, int], list[str]] = {}
    for name, score in scores:
        worth = [score(price[first:last]) for first, last in spans]
        found.setdefault(spans[worth.index(max(worth))], []).append(_(name))
    return [
        (_("{day}: {what}", day=str(decision.year.start[first].date()), what=_(", ").join(names)), first, last)
        for (first, last), names in found.items()
    ]


def drawn_kw(decision: Decision, first: int, last: int) -> dict[str, Any]:
    """Mode → [steps] kW that its cards draw day ahead, the one with the most energy first; classes of a card are added
    up, and beyond :data:`MOST_PANELS` modes too.
    """
    total: dict[str, Any] = {}
    day = decision.day_ahead
    cards = day.schedule.cards[first:last]
    kw = [mode.kw for fleet in decision.fleets for mode in fleet.modes]
    for at, name in enumerate(day.accounts.by_mode):
        drawn = cards[:, at] * kw[at]
        if drawn.any():
            fleet, colon, mode = name.rpartition(": ")
            plain = _mode_name(f"{fleet.partition(', class ')[0]}{colon}{mode}")
            total[plain] = total.get(plain, 0.0) + drawn
    order = sorted(total, key=lambda name: -float(total[name].sum()))
    shown = {name: total[name] for name in order[:MOST_PANELS]}
    if order[MOST_PANELS:]:
        shown[_("other modes")] = sum(total[name] for name in order[MOST_PANELS:])
    return shown


def _week(decision: Decision, name: str, first: int, last: int) -> View:
    year = decision.year
    panels = [
        (_("{mode} (kW)", mode=mode), kw, number)
        for number, (mode, kw) in enumerate(drawn_kw(decision, first, last).items())
    ]
    price = _("Price of power ({unit})", unit=f"{year.currency}/MWh")
    panels.append((price, 1000 * year.steps.power[first:last], len(panels)))
    share = 1 / len(panels)
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {}
    for number, (title, values, series) in enumerate(panels):
        side = str(number + 1) if number else ""
        top = 1 - number * share
        low, high = min(0.0, float(values.min())), max(0.0, float(values.max())) or 1.0
        layout[f"yaxis{side}"] = axis(
            title, domain=[max(0.0, top - 0.92 * share), top], range=[low * 1.05, high * 1.05]
        )
        data.append(
            {
                "series": series,
                "mode": "lines",
                "name": title,
                "x": [
                    edge for at in range(last - first) for edge in (at * year.steps.hours, (at + 1) * year.steps.hours)
                ],
                "y": [round(float(value), 3) for value in values for _edge in range(2)],
                "yaxis": f"y{side}",
                "line": {"width": 1.5},
                "fill": True,
            }
        )
    midnights = [day for day in year.days if first <= day < last]
    layout["xaxis"] = axis(
        _("Date (time zone {zone})", zone=str(year.start.tz)),
        anchor=f"y{len(panels)}",
        range=[0, (last - first) * year.steps.hours],
        tickvals=[(day - first) * year.steps.hours for day in midnights],
        ticktext=[f"{year.start[day]:%m-%d}" for day in midnights],
    )
    return View(name, data, layout, 90 + 110 * len(panels))
