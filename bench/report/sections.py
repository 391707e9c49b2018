"""The page's sections, in order. A new one is a file of this package with a ``SECTION``, and its line here."""

from __future__ import annotations

from bench.report import (
    answers,
    budget,
    checks,
    fleet,
    history,
    hourly,
    latency,
    leaderboard,
    money_tables,
    pick,
    rates,
    roofline,
    settings,
    side_by_side,
    sweep,
    timeline,
)

SECTIONS = (
    answers.SECTION,
    leaderboard.SECTION,
    pick.SECTION,
    budget.SECTION,
    side_by_side.SECTION,
    rates.SECTION,
    fleet.SECTION,
    history.SECTION,
    timeline.SECTION,
    roofline.SECTION,
    latency.SECTION,
    sweep.SECTION,
    money_tables.SECTION,
    hourly.SECTION,
    checks.SECTION,
    settings.SECTION,
)
