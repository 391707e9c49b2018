"""What the plots show, as tables: every result, geometric means, published figures, measured windows. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.compare import Result
from bench.model import Comparison
from bench.output.format import MISSING, figures, quantity
from bench.report.entries import Entry, best, interval_text
from bench.report.figure import GLYPHS
from bench.report.runs import Run, medians
from bench.report.table import MOST_ROWS, Cell, Table, table

_RESULTS_HEADER = (
    "Card",
    "Workload",
    "Setting",
    "Implementation",
    "Windows",
    "Rate",
    "Power",
    "Work per joule",
    "Modelled tokens per second",
    "Modelled tokens per joule",
    "Share of stated peak",
    "Rate against baseline",
    "Work per joule against baseline",
)


def results_table(entries: Sequence[Entry], result: Result) -> Table:
    """Every result with its intervals and verdicts."""
    rows: list[list[str | Cell]] = []
    # where not all fit, each card's leading setting of each task comes before its others
    shown = sorted(entries, key=lambda entry: not _leads(entry, entries)) if len(entries) > MOST_ROWS else entries
    for entry in shown:
        rate = entry.metrics.get("rate_per_s")
        mfu = entry.means.get("mfu")
        rows.append(
            [
                Cell(f"{GLYPHS[entry.series % len(GLYPHS)]} {entry.card}", sort=entry.card),
                entry.task,
                entry.setting,
                str(entry.key["implementation"]) + ("" if entry.key["native"] else " (emulated)"),
                str(rate.repeats if rate else 0),
                *(
                    figure_cell(found) if (found := entry.figure(metric)) else MISSING
                    for metric in ("rate_per_s", "power_mean_w", "work_per_j", "tokens_per_s", "tokens_per_j")
                ),
                MISSING if mfu is None else f"{mfu:.1%}",
                *(_verdict(entry, metric, result) for metric in ("rate_per_s", "work_per_j")),
            ]
        )
    caption = "Every result: a card, a task and a setting, with 95% intervals from the repeats"
    return table(
        caption,
        _RESULTS_HEADER,
        rows,
        what="results",
        numeric={4},
        class_="results",
        lean=True,
        id="results-board",
        facet="Workload",
    )


def _leads(entry: Entry, entries: Sequence[Entry]) -> bool:
    same = [other for other in entries if other.card == entry.card and other.task == entry.task]
    return entry is best(same, "rate_per_s")


def figure_cell(found: Comparison) -> Cell:
    """The value, and its interval in small print on a line of its own."""
    text = interval_text(found)
    value, gap, rest = text.partition(" [") if "[" in text else text.partition(" (")
    return Cell(value, interval=f"{gap.strip()}{rest}", sort=found.value)


def _verdict(entry: Entry, metric: str, result: Result) -> str | Cell:
    found = entry.metrics.get(metric)
    if found is None:
        return MISSING
    if found.verdict == "baseline":
        return "baseline" if result.baseline is not None else MISSING
    said = found.verdict if found.ratio is None else f"{figures(found.ratio, 4)}× {found.verdict}"
    interval = ""
    if found.ratio_low is not None and found.ratio_high is not None:
        interval = f"({figures(found.ratio_low, 4)} to {figures(found.ratio_high, 4)})"
    return Cell(
        said, interval, sort=found.ratio, note=found.reason or "" if found.verdict in ("cannot tell", "invalid") else ""
    )


def means_table(result: Result) -> Table | None:
    """Geometric means over the tasks that all cards have."""
    rows = [
        [
            str(item.key[result.subject]),
            str(item.key["workload"]),
            item.metric.replace("_", " "),
            MISSING
            if item.ratio is None
            else f"{figures(item.ratio)}× ({figures(item.ratio_low or 0)} to {figures(item.ratio_high or 0)})",
            item.verdict,
            str(item.repeats),
        ]
        for item in result.means
    ]
    header = ("Against the baseline", "Workload", "Figure", "Geometric mean of ratios", "Verdict", "Tasks")
    caption = f"Geometric means of ratios against {result.baseline}"
    return table(caption, header, rows, what="means", numeric={5}) if rows else None


def published_table(result: Result) -> Table | None:
    """Figures of others with their source; board limits are not readings."""
    rows = [
        [
            str(item.key["device_name"]),
            str(item.key["published_metric"]),
            str(item.key["published_kind"]),
            quantity(item.value, item.unit),
            item.reason or "",
        ]
        for item in result.published
    ]
    header = ("Card", "What", "Kind", "Figure", "Source")
    caption = "Published by others; power figures are board limits, not readings"
    return table(caption, header, rows, what="published figures") if rows else None


def windows_table(runs: Sequence[Run]) -> Table:
    """The windows of the time plots as text."""
    rows = []
    for run in runs:
        middle = medians(run)
        rows += [
            [
                run.name,
                str(item.row),
                item.task,
                f"{item.start_s:.1f}",
                f"{item.end_s - item.start_s:.1f}",
                f"{100 * item.rate_per_s / middle[(item.card, item.task)]:.2f}",
                ", ".join(item.throttle) or "none",
                "valid" if item.valid else "invalid",
            ]
            for item in run.stretches
        ]
    header = ("Run", "Row", "Workload", "Start (s)", "Length (s)", "Rate (% of median)", "Throttled by", "Window")
    return table("Measured windows in their order", header, rows, what="windows", numeric={1, 3, 4, 5})
