"""One panel per task and metric: every card as a row, the best first, with published figures in grey. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.analysis.metrics import METRICS
from bench.model import Comparison
from bench.output.format import scale
from bench.report.entries import Entry, best, interval_text, tasks
from bench.report.figure import (
    CUT,
    PUBLISHED,
    SYMBOLS,
    WHISKERS,
    Figure,
    View,
    axis,
    error,
    is_cut,
    ranged,
    reach,
)
from bench.report.language import N_, _, joined, sentence
from bench.report.section import Block, Content, Folded, Note, Section, Study
from bench.report.tables import means_table, published_table, results_table

_ORDER = ("work_per_j", "tokens_per_j", "rate_per_s", "tokens_per_s", "power_mean_w")


def draw(entries: Sequence[Entry], unit: str, published: Sequence[Comparison] = ()) -> Figure | None:
    """The tasks of one unit, per joule first; None where there is no figure."""
    mine = [entry for entry in entries if entry.unit == unit]
    views = [
        view
        for task in tasks(mine, unit, "rate_per_s")
        for metric in _ORDER
        if (view := _view([entry for entry in mine if entry.task == task], metric, published)) is not None
    ]
    if not views:
        return None
    note = [_(WHISKERS), _("A mark without one had a single window. The best card is on top.")]
    if any(entry.setting for entry in mine):
        note.append(_("Small open marks are the same card at its other settings."))
    if any(trace["series"] == PUBLISHED for view in views for trace in view.data):
        note.append(
            _(
                "Grey open marks are figures that others published, with “peak” for a stated peak: they are in no "
                "statistic of this page."
            )
        )
    note.append(_(CUT) if any(view.cut for view in views) else "")
    id_, title = {
        "hash": ("rates-hash", _("Mining: every card, task by task")),
        "FLOP": ("rates-flop", _("AI: every card, task by task")),
    }[unit]
    return Figure(id_, title, joined(*note), views)


def _build(study: Study) -> Content:
    published = study.result.published
    figures = [found for unit in ("hash", "FLOP") if (found := draw(study.entries, unit, published)) is not None]
    blocks: list[Block] = [*figures] or [Note(_("No window is valid, so there is no rate."))]
    results, means, others = (
        results_table(study.entries, study.result),
        means_table(study.result),
        published_table(study.result),
    )
    if results.rows:
        blocks.append(results)
    if means is not None:
        blocks.append(Folded(_("Means over all tasks that every card ran"), means))
    if others is not None:
        blocks.append(Folded(_("Published figures for comparison (not measured here, in no statistic)"), others))
    return Content(blocks)


SECTION = Section("rates", N_("Workloads"), N_("Every workload on every card"), _build)


def _view(entries: Sequence[Entry], metric: str, published: Sequence[Comparison]) -> View | None:
    held = [entry for entry in entries if entry.figure(metric) is not None]
    if not held:
        return None
    factor, unit = scale([entry.metrics[metric].value or 0 for entry in held], held[0].metrics[metric].unit)
    first = {entry.card: best([other for other in held if other.card == entry.card], metric) for entry in held}
    leads = [entry for entry in first.values() if entry is not None]
    leads.sort(key=lambda entry: entry.metrics[metric].value or 0, reverse=True)
    grey = _published(held[0], published) if metric == "rate_per_s" else []
    names = [*(entry.card for entry in leads), *(name for name, _, _ in grey)]
    row = {name: len(names) - 1 - number for number, name in enumerate(names)}
    data = [_trace([entry for entry in held if entry.card == lead.card], lead, metric, row, factor) for lead in leads]
    data += [_grey_trace(name, value / factor, row[name], source) for name, value, source in grey]
    values = [value for trace in data for value in trace["x"]]
    found = [entry.metrics[metric] for entry in held]
    heading = sentence(_(METRICS[metric].heading))
    layout = {
        "xaxis": ranged(f"{heading} ({unit})", values, reach(found, factor)),
        "yaxis": axis(
            _("Card"),
            rows=True,
            tickvals=list(row.values()),
            ticktext=[
                *(f"{lead.card}\t{interval_text(lead.metrics[metric])}" for lead in leads),
                *(name for name, _, _ in grey),
            ],
            range=[-0.5, len(names) - 0.2],
        ),
    }
    return View(heading, data, layout, 86 + 38 * len(names), group=held[0].task, cut=is_cut(found))


def _trace(own: Sequence[Entry], lead: Entry, metric: str, row: dict[str, int], factor: float) -> dict[str, Any]:
    found = [entry.metrics[metric] for entry in own]
    shape = SYMBOLS[lead.series % len(SYMBOLS)]
    return {
        "series": lead.series,
        "mode": "markers",
        "name": lead.card,
        "x": [(item.value or 0) / factor for item in found],
        "y": [row[lead.card]] * len(own),
        "marker": {
            "symbol": [shape if entry is lead else f"{shape}-open" for entry in own],
            "size": [12 if entry is lead else 8 for entry in own],
        },
        "error_x": error(found, factor),
        "hover": [
            f"{entry.name}\n{entry.task}\n{interval_text(item)}, {_('{count} windows', count=item.repeats)}"
            for entry, item in zip(own, found, strict=True)
        ],
    }


def _published(task: Entry, published: Sequence[Comparison]) -> list[tuple[str, float, str]]:
    """Name, FLOP/s and source of what others published for the whole gemm set of the same type, best first."""
    if task.key["phase"] != "gemm" or task.key["product"] is not None:
        return []
    found = [
        (
            _("published: {name}", name=f"{item.key['device_name']}, {_(item.key['published_kind'])}"),
            item.value,
            item.reason or "",
        )
        for item in published
        if item.value is not None
        and item.metric == "rate_per_s"
        and (item.key["workload"], item.key["dtype"]) == (task.key["workload"], task.key["dtype"])
    ]
    return sorted(found, key=lambda figure: -figure[1])


def _grey_trace(name: str, value: float, row: int, source: str) -> dict[str, Any]:
    return {
        "series": PUBLISHED,
        "mode": "markers",
        "name": name,
        "x": [value],
        "y": [row],
        "marker": {"symbol": "diamond-open", "size": 11},
        "hover": [f"{name}\n{source}"],
    }
