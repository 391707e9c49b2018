"""Each metric of every task on every card, with published figures in grey. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.model import Comparison
from bench.report.entries import Entry, best, interval_text, scale
from bench.report.figure import CUT, PUBLISHED, SYMBOLS, Figure, View, axis, error, is_cut, ranged, reach
from bench.report.html import plot_text

_METRIC_NAMES: Mapping[str, str] = {
    "rate_per_s": "Rate",
    "work_per_j": "Work per joule",
    "power_mean_w": "Power",
    "tokens_per_s": "Modelled tokens per second",
    "tokens_per_j": "Modelled tokens per joule",
}


def draw(entries: Sequence[Entry], unit: str, published: Sequence[Comparison] = ()) -> Figure | None:
    """One row per task, one lane per card in it, for the lines of one unit."""
    mine = [entry for entry in entries if entry.unit == unit]
    views = [
        view
        for metric, name in _METRIC_NAMES.items()
        if (view := _rates_view(mine, metric, name, published if metric == "rate_per_s" else ())) is not None
    ]
    if not views:
        return None
    what, how = {"hash": ("Mining", "hash"), "FLOP": ("AI", "FLOP")}.get(unit, (unit, unit))
    note = (
        "Whiskers are 95% intervals from the repeats; a marker without one had a single window. Same marker, same card."
    )
    if any(entry.setting for entry in mine):
        note += " Small open markers are the same card at its other settings."
    if any(trace["series"] == PUBLISHED for view in views for trace in view.data):
        note += (
            " Grey, open markers are figures that others published, with a dot for a stated peak: they are in no "
            "statistic of this page."
        )
    note += CUT if any(view.cut for view in views) else ""
    return Figure(f"rates-{how.lower()}", f"{what}: each workload on each card", note, views)


def _rates_view(entries: Sequence[Entry], metric: str, name: str, published: Sequence[Comparison]) -> View | None:
    held = [entry for entry in entries if entry.figure(metric) is not None]
    if not held:
        return None
    rows = list(dict.fromkeys(entry.task for entry in held))
    place = {task: len(rows) - 1 - number for number, task in enumerate(rows)}
    factor, unit = scale([entry.metrics[metric].value or 0 for entry in held], held[0].metrics[metric].unit)
    cards = list(dict.fromkeys((entry.series, entry.card) for entry in held))
    values: list[float] = []
    data = []
    for number, (series, card) in enumerate(cards):
        own = [entry for entry in held if entry.series == series]
        first = {task: best([entry for entry in own if entry.task == task], metric) for task in rows}
        found = [entry.metrics[metric] for entry in own]
        values += [(item.value or 0) / factor for item in found]
        main = [entry is first[entry.task] for entry in own]
        shape = SYMBOLS[series % len(SYMBOLS)]
        # cards of nearly the same figure would cover each other
        shift = (number - (len(cards) - 1) / 2) * min(0.2, 0.7 / len(cards))
        data.append(
            {
                "series": series,
                "type": "scatter",
                "mode": "markers",
                "name": plot_text(card),
                "x": [(item.value or 0) / factor for item in found],
                "y": [place[entry.task] - shift for entry in own],
                "marker": {
                    "symbol": [shape if is_main else f"{shape}-open" for is_main in main],
                    "size": [12 if is_main else 8 for is_main in main],
                    "opacity": 1,
                },
                "error_x": error(found, factor),
                "text": [
                    f"<b>{plot_text(entry.name)}</b><br>{plot_text(entry.task)}<br>{plot_text(interval_text(item))}, "
                    f"{item.repeats} windows"
                    for entry, item in zip(own, found, strict=True)
                ],
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    data += _published_traces(held, place, published, factor, values)
    layout = {
        "xaxis": ranged(f"{name} ({unit})", values, reach([entry.metrics[metric] for entry in held], factor)),
        "yaxis": axis(
            "Workload",
            tickvals=[place[row] for row in rows],
            ticktext=[_two_lines(row) for row in rows],
            range=[-0.6, len(rows) - 0.4],
            zeroline=False,
        ),
        "showlegend": True,
        "rows": len(rows),
    }
    legend = len({trace["name"] for trace in data})
    cut = is_cut([entry.metrics[metric] for entry in held])
    return View(f"{name} ({unit})", data, layout, 130 + len(rows) * (30 + 16 * min(len(cards), 6)) + 8 * legend, cut)


def _two_lines(task: str) -> str:
    """A tick that is short enough for a phone: the sizes stand below the name."""
    name, comma, sizes = task.partition(", ")
    return plot_text(name) + (f"<br>{plot_text(sizes)}" if comma else "")


def _published_traces(
    held: Sequence[Entry],
    place: Mapping[str, int],
    published: Sequence[Comparison],
    factor: float,
    values: list[float],
) -> list[dict[str, Any]]:
    """Published FLOP rates beside the whole gemm set of the same type, in grey."""
    found: dict[tuple[str, str], list[tuple[float, int, str]]] = {}
    for item in published:
        if item.value is None or item.metric != "rate_per_s":
            continue
        rows = {
            place[entry.task]
            for entry in held
            if entry.key["phase"] == "gemm"
            and entry.key["product"] is None
            and (entry.key["workload"], entry.key["dtype"]) == (item.key["workload"], item.key["dtype"])
        }
        who = (str(item.key["device_name"]), str(item.key["published_kind"]))
        for row in rows:
            found.setdefault(who, []).append((item.value / factor, row, item.reason or ""))
    values += [value for points in found.values() for value, _, _ in points]
    cards = list(dict.fromkeys(card for card, _ in found))
    return [
        {
            "series": PUBLISHED,
            "type": "scatter",
            "mode": "markers",
            "name": plot_text(f"published: {card}, {kind}"),
            "x": [value for value, _, _ in points],
            "y": [row for _, row, _ in points],
            # one shape a card; a dot inside is a stated peak rather than a measurement
            "marker": {
                "symbol": f"{SYMBOLS[cards.index(card) % len(SYMBOLS)]}-open{'-dot' if kind == 'peak' else ''}",
                "size": 11,
            },
            "text": [
                f"<b>published: {plot_text(card)}</b>, {plot_text(kind)}<br>{plot_text(source)}"
                for _, _, source in points
            ],
            "hovertemplate": "%{text}<br>%{x:.4g}<extra></extra>",
        }
        for (card, kind), points in found.items()
    ]
