"""Rate and work per joule of one card over its power limits. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.output.format import figures
from bench.report.entries import Entry, best, interval_text
from bench.report.figure import DASHES, SYMBOLS, WHISKERS, Figure, View, axis, error
from bench.report.language import N_, _, joined
from bench.report.section import Content, Section, Study


def draw(entries: Sequence[Entry]) -> Figure | None:
    """Rate and work per joule over watts, each as a share of the task's own best, for cards at several limits."""
    swept: dict[tuple[int, str, str], list[Entry]] = {}
    for entry in entries:
        usable = all(entry.figure(metric) is not None for metric in ("rate_per_s", "power_mean_w", "work_per_j"))
        if usable and entry.key["power_limit_w"] is not None:
            swept.setdefault((entry.series, entry.card, entry.task), []).append(entry)
    curves = {}
    for where, own in swept.items():
        limits = dict.fromkeys(entry.key["power_limit_w"] for entry in own)
        chosen = [
            found
            for limit in sorted(limits)
            if (found := best([entry for entry in own if entry.key["power_limit_w"] == limit], "work_per_j"))
        ]
        if len(chosen) > 1:
            curves[where] = chosen
    if not curves:
        return None
    note = joined(
        _(
            "Each point is one power limit. Both panels show shares of the task's own best, because hashes and FLOPs "
            "have no ratio to one another; the star is the limit with the most work per joule."
        ),
        _(WHISKERS),
    )
    cards = dict.fromkeys((series, card) for series, card, _task in curves)
    views = [
        _frontier_view(card, {task: own for (number, _card, task), own in curves.items() if number == series}, series)
        for series, card in cards
    ]
    return Figure("frontier", _("Power sweep: what the last watts buy"), note, views, _("Card"))


def _build(study: Study) -> Content | None:
    drawn = draw(study.entries)
    return None if drawn is None else Content([drawn])


SECTION = Section(
    "sweep",
    N_("Power sweep"),
    N_("Power sweep"),
    _build,
    absent=N_("A power sweep (no card was measured at two power limits or more)."),
)


def _frontier_view(card: str, curves: Mapping[str, Sequence[Entry]], series: int) -> View:
    data = []
    for number, (task, own) in enumerate(curves.items()):
        watts = [entry.metrics["power_mean_w"].value or 0 for entry in own]
        limits = [figures(float(entry.key["power_limit_w"])) for entry in own]
        for panel, metric in (("y", "rate_per_s"), ("y2", "work_per_j")):
            found = [entry.metrics[metric] for entry in own]
            top = max(item.value or 0 for item in found)
            crown = [item.value == top and metric == "work_per_j" for item in found]
            shape = SYMBOLS[number % 5]
            data.append(
                {
                    "series": series + number,
                    "mode": "lines+markers",
                    "name": task,
                    "x": watts,
                    "y": [100 * (item.value or 0) / top for item in found],
                    "yaxis": panel,
                    "line": {"dash": DASHES[number % len(DASHES)], "width": 2},
                    "marker": {
                        "symbol": ["star" if best_ else shape for best_ in crown],
                        "size": [17 if best_ else 9 for best_ in crown],
                    },
                    "error_y": error(found, top / 100),
                    "hover": [
                        f"{task}\n{_('limit {watts} W', watts=limit)}\n{interval_text(item)}"
                        for limit, item in zip(limits, found, strict=True)
                    ],
                }
            )
    layout = {
        "xaxis": axis(_("Power drawn (W)"), anchor="y2"),
        "yaxis": axis(_("Rate (% of its best)"), domain=[0.56, 1]),
        "yaxis2": axis(_("Work per joule (% of its best)"), domain=[0, 0.46]),
        "showlegend": True,
    }
    return View(card, data, layout, 620)
