"""``bitwatt worker``: measure every card of this node."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from bench.cli import options, streams
from bench.measure.plan import RunPlan
from bench.model import EXIT_INVALID, EXIT_OK, BenchError

_FILE = Parameter(group=Group("Plan", sort_key=0))
Level = Literal["quick", "medium", "long"]


def worker(
    run_plan: options.Plan = RunPlan(),
    *,
    plan: Annotated[Path | None, _FILE] = None,  # noqa: ARG001 - read before the command line is (plan_defaults)
    together: bool = False,
    one_by_one: bool = False,
    start_at: str | None = None,
    node: str | None = None,
    level: Level | None = None,
    format: options.FormatOption = "table",  # noqa: A002 - the flag's name
) -> int:
    """Measure every card of this node, each in its own process; run again, it measures what is missing.

    Rows go to OUT/NODE/CARD/, and `bitwatt merge OUT` joins them. Exit codes: 0 every card is measured and sound,
    3 a card failed or has a row that is not sound.

    Parameters
    ----------
    plan
        A TOML file with options, by group; options given here override it.
    together
        All cards at once, as in production, with windows that begin at one moment (default).
    one_by_one
        One card after another, the others idle.
    start_at
        Begin at this moment, as other nodes do: UTC such as 2026-11-24T20:00:00Z, or seconds since 1970.
    node
        Name of this node; default: its host name.
    level
        quick (under a minute per card and workload), medium (the standard run) or long (about an hour).
    format
        Format of the list of cards on stdout.
    """
    from bench.cli import fleet_tables
    from bench.fleet import clock
    from bench.fleet import worker as working

    if together and one_by_one:
        raise BenchError("--together and --one-by-one exclude each other", "give one of them")
    statuses = working.work(
        at_level(run_plan, level),
        run_plan.output.out,
        node=node,
        together=not one_by_one,
        start_at=None if start_at is None else clock.moment(start_at),
        say=streams.say,
    )
    streams.show(fleet_tables.cards(statuses), format)
    sound = all(status.state == "done" and not status.unsound_rows for status in statuses)
    return EXIT_OK if sound and statuses else EXIT_INVALID


def at_level(plan: RunPlan, level: Level | None) -> RunPlan:
    """The plan at one of the levels by minutes that cluster diagnostics have."""
    if level is None:
        return plan
    timing = replace(plan.timing, quick=level == "quick", thorough=level == "long", smoke=False)
    return replace(plan, timing=timing)
