"""What the plots show, as tables: every result, geometric means, published figures, measured windows. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.compare import Result
from bench.analysis.metrics import METRICS
from bench.model import Comparison
from bench.model.throttle import meaning
from bench.output.format import MISSING, figures, quantity
from bench.report.entries import Entry, best, interval_text
from bench.report.figure import GLYPHS
from bench.report.language import N_, _, phrase
from bench.report.runs import Run, medians
from bench.report.table import MOST_ROWS, Cell, Table, table

_RESULTS_HEADER = (
    N_("Card"),
    N_("Workload"),
    N_("Setting"),
    N_("Implementation"),
    N_("Windows"),
    N_("Rate"),
    N_("Power"),
    N_("Work per joule"),
    N_("Modelled tokens per second"),
    N_("Modelled tokens per joule"),
    N_("Share of stated peak"),
    N_("Rate against baseline"),
    N_("Work per joule against baseline"),
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
                f"{entry.key['implementation']}{'' if entry.key['native'] else ' (' + _('emulated') + ')'}",
                str(rate.repeats if rate else 0),
                *(
                    figure_cell(found) if (found := entry.figure(metric)) else MISSING
                    for metric in ("rate_per_s", "power_mean_w", "work_per_j", "tokens_per_s", "tokens_per_j")
                ),
                MISSING if mfu is None else f"{mfu:.1%}",
                *(_verdict(entry, metric, result) for metric in ("rate_per_s", "work_per_j")),
            ]
        )
    return table(
        _("Every result: a card, a task and a setting, with 95% intervals from the repeats within a run"),
        [_(name) for name in _RESULTS_HEADER],
        rows,
        more=_("{count} more results are not shown here."),
        numeric={4},
        class_="results",
        lean=True,
        id="results-board",
        facet=_("Workload"),
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
        return _("baseline") if result.baseline is not None else MISSING
    said = _(found.verdict) if found.ratio is None else f"{figures(found.ratio, 4)}× {_(found.verdict)}"
    interval = ""
    if found.ratio_low is not None and found.ratio_high is not None:
        interval = "(" + _("{low} to {high}", low=figures(found.ratio_low, 4), high=figures(found.ratio_high, 4)) + ")"
    note = phrase(found.reason or "") if found.verdict in ("cannot tell", "invalid") else ""
    return Cell(said, interval, sort=found.ratio, note=note)


def means_table(result: Result) -> Table | None:
    """Geometric means over the tasks that all cards have."""
    rows = [
        [
            str(item.key[result.subject]),
            str(item.key["workload"]),
            _(METRICS[item.metric].heading),
            MISSING
            if item.ratio is None
            else f"{figures(item.ratio)}× ("
            + _("{low} to {high}", low=figures(item.ratio_low or 0), high=figures(item.ratio_high or 0))
            + ")",
            _(item.verdict),
            str(item.repeats),
        ]
        for item in result.means
    ]
    header = (
        *(_("Against the baseline"), _("Workload"), _("Figure"), _("Geometric mean of ratios")),
        *(_("Verdict"), _("Tasks")),
    )
    caption = _("Geometric means of ratios against {baseline}", baseline=result.baseline)
    return table(caption, header, rows, numeric={5}) if rows else None


def published_table(result: Result) -> Table | None:
    """Figures of others with their source; board limits are not readings."""
    rows = [
        [
            str(item.key["device_name"]),
            str(item.key["published_metric"]),
            _(str(item.key["published_kind"])),
            quantity(item.value, item.unit),
            item.reason or "",
        ]
        for item in result.published
    ]
    header = (_("Card"), _("What"), _("Kind"), _("Figure"), _("Source"))
    caption = _("Published by others; power figures are board limits, not readings")
    return table(caption, header, rows) if rows else None


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
                ", ".join(_(meaning(why)) for why in item.throttle) or _("none"),
                _("valid") if item.valid else _("invalid"),
            ]
            for item in run.stretches
        ]
    header = (
        *(_("Run"), _("Row"), _("Workload"), _("Start (s)"), _("Length (s)"), _("Rate (% of median)")),
        *(_("Throttled by"), _("Window")),
    )
    more = _("{count} more windows are not shown here.")
    return table(_("Measured windows in their order"), header, rows, more=more, numeric={1, 3, 4, 5})
