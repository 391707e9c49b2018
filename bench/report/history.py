"""A card's figures run by run, where it was measured on several days or with several drivers. Pure.

Whether a run differs from the first one is :mod:`bench.analysis.compare`'s to say, run against run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.analysis.compare import compare
from bench.analysis.metrics import METRICS
from bench.model import Comparison
from bench.output.format import MISSING, digits, scale
from bench.report.answers import ai_tasks
from bench.report.entries import Entry, best, collect, interval_text, setting_label, tasks
from bench.report.figure import WHISKERS, Figure, View, axis, error, marker
from bench.report.language import N_, _, joined, sentence
from bench.report.section import Block, Content, Folded, Section, Study
from bench.report.table import Cell, table
from bench.report.tables import figure_cell

if TYPE_CHECKING:
    import pandas as pd

MOST_RUNS = 200
"""More runs than these of one model are a fleet, and not the history of a card."""
_METRICS = ("work_per_j", "tokens_per_j", "rate_per_s", "tokens_per_s", "power_mean_w")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a card and its results, one for each task."""

    run_id: str
    day: str
    driver: str
    harness: str
    entries: Mapping[str, Entry]
    """By task."""

    @property
    def label(self) -> str:
        """``2026-01-01, 580.65``."""
        return f"{self.day}, {self.driver}" if self.driver else self.day


def card_runs(frame: pd.DataFrame, card: str) -> list[Run]:
    """The runs of a card, the earliest first and all compared with it; none where there is nothing to follow."""
    part = frame[(frame["device_name"].astype(str) == card).to_numpy(dtype=bool)]
    if part["run_id"].nunique() > MOST_RUNS:
        return []
    found = {
        str(run_id): (min(rows["started_utc"].astype(str)), _only(rows["driver"]), _only(rows["harness_version"]))
        for run_id, rows in part.groupby("run_id", observed=True, sort=False)
    }
    if len({(started[:10], driver) for started, driver, _harness in found.values()}) < 2:
        return []
    ordered = sorted(found, key=lambda run_id: found[run_id][0])
    entries: dict[str, dict[str, list[Entry]]] = {}
    for entry in collect(part, compare(part, ordered[0], by="run")):
        entries.setdefault(str(entry.key["run_id"]), {}).setdefault(entry.task, []).append(entry)
    return [
        Run(
            run_id,
            *(found[run_id][0][:10], *found[run_id][1:]),
            {
                task: first
                for task, own in entries.get(run_id, {}).items()
                if (first := best(own, "work_per_j") or best(own, "rate_per_s")) is not None
            },
        )
        for run_id in ordered
    ]


def _only(values: Any) -> str:
    return ", ".join(str(value) for value in values.dropna().unique())


def draw(runs: Mapping[str, Sequence[Run]], entries: Sequence[Entry]) -> Figure | None:
    """The leading tasks of each card over its runs."""
    series = {entry.card: entry.series for entry in entries}
    wanted = [*tasks(entries, "hash", "rate_per_s"), *ai_tasks(entries)]
    views = [
        view
        for card, own in runs.items()
        for task in wanted
        for metric in _METRICS
        if (view := _view(own, task, metric, card, series[card])) is not None
    ]
    if not views:
        return None
    note = joined(
        _("Each mark is one run, named by its day and driver. The vertical axis does not start at zero."), _(WHISKERS)
    )
    return Figure("history", _("Run by run"), note, views)


def _view(runs: Sequence[Run], task: str, metric: str, card: str, series: int) -> View | None:
    held = [(run, item) for run in runs if task in run.entries and (item := run.entries[task].figure(metric))]
    if len(held) < 2:
        return None
    factor, unit = scale([item.value or 0 for _run, item in held], held[0][1].unit)
    found = [item for _run, item in held]
    data = {
        "series": series,
        "mode": "lines+markers",
        "name": card,
        "x": list(range(len(held))),
        "y": [(item.value or 0) / factor for item in found],
        "line": {"width": 1, "dash": "dot"},
        "marker": marker(series),
        "error_y": error(found, factor),
        "hover": [f"{run.label}\n{task}\n{interval_text(item)}" for run, item in held],
    }
    few = len(held) <= 5
    heading = sentence(_(METRICS[metric].heading))
    layout = {
        "xaxis": axis(
            _("Run"),
            range=[-0.5, len(held) - 0.5],
            tickvals=list(range(len(held))),
            ticktext=[run.label if few else run.day for run, _item in held],
        ),
        "yaxis": axis(f"{heading} ({unit})", range=_around(found, factor)),
    }
    return View(f"{task}: {heading}", [data], layout, 340, group=card)


def _around(found: Sequence[Comparison], factor: float) -> list[float]:
    """The intervals and a margin; at least 2% either way, so that noise does not fill the plot."""
    values = [bound for item in found for bound in (item.value, item.low, item.high) if bound is not None]
    low, high = min(values) / factor, max(values) / factor
    margin = max((high - low) * 0.15, 0.02 * high)
    return [max(0.0, low - margin), high + margin]


def _table(card: str, runs: Sequence[Run]) -> Folded:
    rows: list[list[str | Cell]] = []
    for task in dict.fromkeys(task for run in runs for task in run.entries):
        for run in runs:
            entry = run.entries.get(task)
            if entry is None:
                continue
            metric = "work_per_j" if entry.figure("work_per_j") else "rate_per_s"
            rows.append(
                [
                    run.day,
                    run.driver or MISSING,
                    run.harness,
                    task,
                    setting_label("power_limit_w", entry.key["power_limit_w"]) or MISSING,
                    *(
                        figure_cell(item) if (item := entry.figure(name)) else MISSING
                        for name in ("rate_per_s", "power_mean_w", "work_per_j")
                    ),
                    _against_first(entry.metrics[metric]),
                ]
            )
    header = [
        *(_("Day"), _("Driver"), "bitwatt", _("Workload"), _("Setting")),
        *(sentence(_(METRICS[name].heading)) for name in ("rate_per_s", "power_mean_w", "work_per_j")),
        _("Against the first run"),
    ]
    title = _("{card}, run by run", card=card)
    return Folded(title, table(title, header, rows, lean=True))


def _against_first(item: Comparison) -> str:
    if item.ratio is None:
        return _(item.verdict)
    bounds = ""
    if item.ratio_low is not None and item.ratio_high is not None:
        bounds = f" [{digits(item.ratio_low)}, {digits(item.ratio_high)}]"
    return f"{digits(item.ratio)}×{bounds} {_(item.verdict)}"


def _build(study: Study) -> Content | None:
    runs = {card: own for card in study.cards if (own := card_runs(study.frame, card))}
    drawn = draw(runs, study.entries)
    if drawn is None:
        return None
    blocks: list[Block] = [drawn, *(_table(card, own) for card, own in runs.items())]
    return Content(blocks)


SECTION = Section("history", N_("History"), N_("History by driver and date"), _build)
