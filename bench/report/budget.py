"""What a power budget buys, with the cards at their most efficient settings: plain data for the page's script. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.report.answers import ai_tasks
from bench.report.entries import Entry, leaders, tasks
from bench.report.language import N_
from bench.report.section import Content, Section, Study


def budget(entries: Sequence[Entry]) -> dict[str, Any] | None:
    """Goals that a power budget can serve, each with the cards' rate and power at their most efficient setting."""
    goals = []
    for unit, per_joule, rate, wanted in (
        ("hash", "work_per_j", "rate_per_s", tasks(entries, "hash", "work_per_j")[:2]),
        ("FLOP", "tokens_per_j", "tokens_per_s", ai_tasks(entries)),
    ):
        for task in wanted:
            cards = [
                {
                    "name": entry.card,
                    "setting": entry.setting,
                    "rate": entry.metrics[rate].value,
                    "watts": entry.metrics["power_mean_w"].value,
                }
                for entry in leaders(entries, task, per_joule, of_a_sweep=True)
                if entry.figure(rate) is not None and entry.figure("power_mean_w") is not None
            ]
            if cards:
                goals.append({"task": task, "unit": "H/s" if unit == "hash" else "tokens/s", "cards": cards})
    return {"goals": goals} if goals else None


def _build(study: Study) -> Content | None:
    found = budget(study.entries)
    return None if found is None else Content(data={"budget": found})


SECTION = Section(
    "power",
    N_("Power budget"),
    N_("A power budget"),
    _build,
    template="power.html",
    script="budget.js",
    needs_script=True,
)
