"""The page's plots as plain Plotly specifications: traces and layout without a colour. Pure.

Colours belong to the reader's theme, so the page's script fills them in from each trace's ``series`` (a card's number
or ``published``). What must be told apart without colour is decided here: marker shape and dash by card, text labels.
Every text passes through :func:`bench.report.markup.label`: Plotly reads a dialect of HTML.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.model import Comparison
from bench.output.format import figures
from bench.report.entries import Entry, best, interval_text, scale
from bench.report.markup import label

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "x", "pentagon", "hexagon", "triangle-down")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
GLYPHS = ("●", "■", "◆", "▲", "✚", "★", "✖", "⬟", "⬢", "▼")
"""The markers of :data:`SYMBOLS` as text, for legends in words."""

PUBLISHED = "published"
MOST_VIEWS = 60


@dataclass(frozen=True, slots=True)
class View:
    """One state of a figure: what its chooser names, the traces and the layout."""

    name: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    height: int = 460
    cut: bool = False
    """Whether a whisker leaves the plot."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot of the page. ``note`` says how to read it; ``choose`` names what the chooser chooses."""

    id: str
    title: str
    note: str
    views: list[View] = field(default_factory=list)
    choose: str = "Show"


def marker(series: int, *, size: int = 11) -> dict[str, Any]:
    """The card's own marker, the same in every figure."""
    return {"symbol": SYMBOLS[series % len(SYMBOLS)], "size": size, "opacity": 1}


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis with its title, unit included; ticks never run out of the picture."""
    return {"title": {"text": title}, "automargin": True, **more}


def error(found: Sequence[Comparison], factor: float) -> dict[str, Any]:
    """95% intervals as error bars; none where a line has one window."""

    def gap(item: Comparison, bound: float | None) -> float:
        return 0.0 if bound is None or item.value is None else abs(bound - item.value) / factor

    return {
        "type": "data",
        "symmetric": False,
        "array": [gap(item, item.high) for item in found],
        "arrayminus": [gap(item, item.low) for item in found],
        "thickness": 2,
        "width": 6,
    }


_FARTHEST = 4.0
"""An axis follows the whiskers up to this many times its largest value; two wild windows must not flatten the rest."""

CUT = " A whisker that leaves the plot goes on beyond it: the table has its end."


def reach(found: Sequence[Comparison], factor: float) -> list[float]:
    """Ends of the intervals in the axis' unit, those that the axis follows."""
    values = [item.value for item in found if item.value is not None]
    low, high = min(values) / _FARTHEST, max(values) * _FARTHEST
    ends = [bound for item in found for bound in (item.low, item.high) if bound is not None]
    return [min(max(bound, low), high) / factor for bound in ends]


def is_cut(found: Sequence[Comparison]) -> bool:
    """Whether an interval ends beyond what the axis follows."""
    values = [item.value for item in found if item.value is not None]
    return any(
        bound is not None and not min(values) / _FARTHEST <= bound <= max(values) * _FARTHEST
        for item in found
        for bound in (item.low, item.high)
    )


def ranged(title: str, values: Sequence[float], ends: Sequence[float] = ()) -> dict[str, Any]:
    """An axis from zero, or a logarithmic one that says so where the values span more than a factor of 20.

    ``ends`` are those of whiskers: they are on the axis, and do not decide its kind.
    """
    low, high = min(values), max(values)
    least, most = min([low, *ends]), max([high, *ends])
    if low > 0 and high / low > 20:
        return axis(f"{title}, logarithmic", **log_ticks(least / 1.4, most * 1.4))
    return axis(title, range=[0, max(high * 1.12, most * 1.04)])


def log_ticks(low: float, high: float) -> dict[str, Any]:
    """A logarithmic range with whole numbers at its ticks: each decade, with 2 and 5 where there are few decades."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if last - first <= 3 else (1,)
    ticks = [step * 10.0**decade for decade in range(first, last + 1) for step in steps]
    shown = [tick for tick in ticks if low <= tick <= high]
    return {
        "type": "log",
        "range": [math.log10(low), math.log10(high)],
        "tickvals": shown,
        "ticktext": [f"{tick:,.10g}" for tick in shown],
    }


# ---------------------------------------------------------------------------------------------------------------------
# 1: the pick


@dataclass(frozen=True, slots=True)
class Pair:
    """A card at one setting: its mining line and its AI line."""

    mining: Entry
    ai: Entry


def pairs(entries: Sequence[Entry], mining: str, ai: str, metrics: tuple[str, str]) -> list[Pair]:
    """Cards that have both tasks at one power limit and clock lock, with a figure for each."""

    def place(entry: Entry) -> tuple[Any, ...]:
        return entry.card, entry.key["power_limit_w"], entry.key["sm_clock_lock_mhz"]

    found = []
    for where in dict.fromkeys(map(place, entries)):
        here = [entry for entry in entries if place(entry) == where]
        first = best([entry for entry in here if entry.task == mining], metrics[0])
        second = best([entry for entry in here if entry.task == ai], metrics[1])
        if first is not None and second is not None:
            found.append(Pair(first, second))
    return found


def tasks(entries: Sequence[Entry], unit: str, metric: str) -> list[str]:
    """Tasks of one unit with a figure, the one that most cards share first; of equals sha256d, then whole sets."""
    held: dict[str, set[str]] = {}
    detail: dict[str, bool] = {}
    for entry in entries:
        if entry.unit == unit and entry.figure(metric) is not None:
            held.setdefault(entry.task, set()).add(entry.card)
            detail[entry.task] = entry.key["product"] is not None
    return sorted(held, key=lambda task: (-len(held[task]), task != "sha256d", detail[task]))


def pick(entries: Sequence[Entry]) -> Figure | None:
    """Hashes per joule against modelled tokens per joule; rates where no watts were read; None without both."""
    for metrics, word in ((("work_per_j", "tokens_per_j"), "joule"), (("rate_per_s", "tokens_per_s"), "second")):
        choices = itertools.product(tasks(entries, "hash", metrics[0]), tasks(entries, "FLOP", metrics[1]))
        views = [
            _pick_view(found, mining, ai, metrics, word)
            for mining, ai in itertools.islice(choices, MOST_VIEWS)
            if (found := pairs(entries, mining, ai, metrics))
        ]
        if views:
            note = (
                "Up and to the right is more of both. Whiskers are 95% intervals from the repeats; the shaded box adds "
                "what the power sensor itself may be wrong by, which no repeat takes away. Tokens are modelled from "
                "the block's matrix work, not served."
                if word == "joule"
                else "No watts were read for a card that ran both, so this shows rates, not efficiency: it says "
                "nothing about joules. Whiskers are 95% intervals from the repeats. Tokens are modelled from the "
                "block's matrix work, not served."
            )
            note += CUT if any(view.cut for view in views) else ""
            return Figure("pick", f"Hashes against tokens per {word}", note, views, "AI task")
    return None


def _pick_view(found: list[Pair], mining: str, ai: str, metrics: tuple[str, str], word: str) -> View:
    xs = [pair.mining.metrics[metrics[0]] for pair in found]
    ys = [pair.ai.metrics[metrics[1]] for pair in found]
    x_factor, x_unit = scale([item.value or 0 for item in xs], xs[0].unit)
    y_factor, y_unit = scale([item.value or 0 for item in ys], ys[0].unit)
    most_x, most_y = (max(item.value or 0 for item in items) for items in (xs, ys))
    data, shapes = [], []
    for series, card in dict.fromkeys((pair.mining.series, pair.mining.card) for pair in found):
        own = sorted(
            (item for item in zip(found, xs, ys, strict=True) if item[0].mining.card == card),
            key=lambda item: -(item[0].mining.key["power_limit_w"] or 0.0),
        )
        # names stand below their point, a sweep's limits above, all clear of the edges
        sides = [
            ("top" if number or (y.value or 0) < 0.08 * most_y else "bottom")
            + (" left" if number or (x.value or 0) > 0.8 * most_x else " right")
            for number, (_, x, y) in enumerate(own)
        ]
        # the first point carries the card's name, the others of a sweep only what tells them from it
        texts = [card if number == 0 else pair.mining.setting for number, (pair, _, _) in enumerate(own)]
        data.append(
            {
                "series": series,
                "type": "scatter",
                "mode": "markers+text" if len(own) == 1 else "lines+markers+text",
                "name": label(card),
                "x": [(x.value or 0) / x_factor for _, x, _ in own],
                "y": [(y.value or 0) / y_factor for _, _, y in own],
                "text": [f"<b>{label(text)}</b>" if number == 0 else label(text) for number, text in enumerate(texts)],
                "textposition": sides,
                "cliponaxis": False,
                "line": {"width": 1, "dash": "dot"},
                "marker": marker(series) | {"size": [15] + [9] * (len(own) - 1)},
                "error_x": error([x for _, x, _ in own], x_factor),
                "error_y": error([y for _, _, y in own], y_factor),
                "hovertext": [
                    f"<b>{label(pair.mining.name)}</b><br>{label(mining)}: {label(interval_text(x))}"
                    f"<br>{label(ai)}: {label(interval_text(y))}"
                    for pair, x, y in own
                ],
                "hovertemplate": "%{hovertext}<extra></extra>",
            }
        )
        for pair, x, y in own:
            across, up = _with_sensor(x, pair.mining), _with_sensor(y, pair.ai)
            if word == "joule" and across and up:
                (x0, x1), (y0, y1) = across, up
                shapes.append(
                    {
                        "series": series,
                        "type": "rect",
                        "layer": "below",
                        **{"x0": x0 / x_factor, "x1": x1 / x_factor, "y0": y0 / y_factor, "y1": y1 / y_factor},
                        "line": {"width": 0},
                        "opacity": 0.13,
                    }
                )
    # always from zero: twice as far from the corner is twice as much
    layout = {
        "xaxis": axis(
            f"{label(mining)}: hashes per {word} ({x_unit})",
            range=[0, max([most_x / x_factor * 1.15, *(end * 1.04 for end in reach(xs, x_factor))])],
            zeroline=False,
        ),
        "yaxis": axis(
            f"Modelled tokens per {word} ({y_unit})",
            range=[0, max([most_y / y_factor * 1.15, *(end * 1.04 for end in reach(ys, y_factor))])],
            zeroline=False,
        ),
        "shapes": shapes,
        "showlegend": False,
        "legend_when_narrow": True,
    }
    single = ai if mining == "sha256d" else f"{mining} against {ai}"
    return View(single, data, layout, 500, cut=is_cut(xs) or is_cut(ys))


def _with_sensor(item: Comparison, entry: Entry) -> tuple[float, float] | None:
    """The interval widened by the sensor's own 95% half-width (root of the sum of squares); None where unknown."""
    own = entry.means.get("sensor_relative")
    if own is None or item.value is None:
        return None
    low, high = (item.value if bound is None else bound for bound in (item.low, item.high))
    below, above = ((abs(bound / item.value - 1) ** 2 + own**2) ** 0.5 for bound in (low, high))
    return item.value * (1 - below), item.value * (1 + above)


# ---------------------------------------------------------------------------------------------------------------------
# 2: rates per workload per card

_METRIC_NAMES: Mapping[str, str] = {
    "rate_per_s": "Rate",
    "work_per_j": "Work per joule",
    "power_mean_w": "Power",
    "tokens_per_s": "Modelled tokens per second",
    "tokens_per_j": "Modelled tokens per joule",
}


def rates(entries: Sequence[Entry], unit: str, published: Sequence[Comparison] = ()) -> Figure | None:
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
                "name": label(card),
                "x": [(item.value or 0) / factor for item in found],
                "y": [place[entry.task] - shift for entry in own],
                "marker": {
                    "symbol": [shape if is_main else f"{shape}-open" for is_main in main],
                    "size": [12 if is_main else 8 for is_main in main],
                    "opacity": 1,
                },
                "error_x": error(found, factor),
                "text": [
                    f"<b>{label(entry.name)}</b><br>{label(entry.task)}<br>{label(interval_text(item))}, "
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
    return label(name) + (f"<br>{label(sizes)}" if comma else "")


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
            "name": label(f"published: {card}, {kind}"),
            "x": [value for value, _, _ in points],
            "y": [row for _, row, _ in points],
            # one shape a card; a dot inside is a stated peak rather than a measurement
            "marker": {
                "symbol": f"{SYMBOLS[cards.index(card) % len(SYMBOLS)]}-open{'-dot' if kind == 'peak' else ''}",
                "size": 11,
            },
            "text": [f"<b>published: {label(card)}</b>, {label(kind)}<br>{label(source)}" for _, _, source in points],
            "hovertemplate": "%{text}<br>%{x:.4g}<extra></extra>",
        }
        for (card, kind), points in found.items()
    ]


# ---------------------------------------------------------------------------------------------------------------------
# 4: roofline


def roofline(entries: Sequence[Entry], published: Sequence[Comparison] = ()) -> Figure | None:
    """Attained FLOP/s against arithmetic intensity, under each card's roof where peak and bandwidth are known.

    Published peaks and bandwidths are roofs in grey; no point stands under them.
    """
    held = [
        entry
        for entry in entries
        if entry.unit == "FLOP"
        and entry.figure("rate_per_s") is not None
        and entry.means.get("intensity_flop_per_byte", 0) > 0
    ]
    if not held:
        return None
    by_type: dict[str, list[Entry]] = {}
    for entry in held:
        by_type.setdefault(str(entry.key["dtype"] or "unknown type"), []).append(entry)
    roofless = sorted({entry.card for entry in held if "peak_per_s" not in entry.means})
    note = (
        "A point on its card's roof uses all that the card states: memory bandwidth on the slope, arithmetic on the "
        "flat. Intensity counts the least bytes that must cross memory."
    )
    if roofless:
        note += f" No peak is known for {', '.join(roofless)}: points without a roof."
    views = [_roofline_view(dtype, own, _published_roofs(dtype, published)) for dtype, own in by_type.items()]
    if any(trace["series"] == PUBLISHED for view in views for trace in view.data):
        note += " Grey roofs are peaks that others published."
    note += CUT if any(view.cut for view in views) else ""
    return Figure("roofline", "Roofline: how near to the card's own limits", note, views, "Number type")


def _published_roofs(dtype: str, published: Sequence[Comparison]) -> dict[str, tuple[float, float | None]]:
    """Card → published peak in FLOP/s of this type, and published bandwidth in bytes/s where there is one."""
    stated = {
        (str(item.key["device_name"]), str(item.key["published_metric"])): item.value
        for item in published
        if item.key["published_kind"] == "peak" and item.value is not None
    }
    return {
        card: (peak, stated.get((card, "memory_bandwidth")))
        for (card, metric), peak in stated.items()
        if metric == f"{dtype}_dense"
    }


def _roof(
    name: str,
    series: int | str,
    peak: float,
    bandwidth: float | None,
    left: float,
    right: float,
    factor: float,
    unit: str,
) -> dict[str, Any]:
    """Bandwidth × intensity up to the ridge, then the peak; the peak alone where no bandwidth is known."""
    points = [(left, peak), (right, peak)]
    if bandwidth:
        points = [(left, left * bandwidth), (peak / bandwidth, peak), (right, peak)]
    said = f"{figures(peak / factor)} {unit}"
    said += f", {figures(bandwidth / 1e9)} GB/s" if bandwidth else ", bandwidth not known"
    return {
        "series": series,
        "type": "scatter",
        "mode": "lines",
        "name": label(f"{name}: roof, {said}"),
        "x": [x for x, _ in points],
        "y": [y / factor for _, y in points],
        "line": {"dash": DASHES[series % len(DASHES)] if isinstance(series, int) else "dot", "width": 2},
        "hovertemplate": f"<b>{label(name)}</b><br>roof: {label(said)}<extra></extra>",
    }


def _roofline_view(dtype: str, entries: Sequence[Entry], published: Mapping[str, tuple[float, float | None]]) -> View:
    factor, unit = scale(
        [max(entry.means.get("peak_per_s", 0), entry.metrics["rate_per_s"].value or 0) for entry in entries], "FLOP/s"
    )
    xs = [entry.means["intensity_flop_per_byte"] for entry in entries]
    data: list[dict[str, Any]] = []
    left, right = min(xs) / 4, max(xs) * 4
    roofs: dict[tuple[int, str], tuple[float, float | None]] = {}
    for entry in entries:
        peak, bandwidth = entry.means.get("peak_per_s"), entry.means.get("peak_bytes_per_s")
        if peak is not None:
            known = roofs.get((entry.series, entry.card), (peak, None))[1]
            roofs[(entry.series, entry.card)] = (peak, known or bandwidth)
    for peak, bandwidth in (*roofs.values(), *published.values()):
        if bandwidth is not None:
            left, right = min(left, peak / bandwidth / 8), max(right, peak / bandwidth * 4)
    data += [
        _roof(card, series, peak, bandwidth, left, right, factor, unit)
        for (series, card), (peak, bandwidth) in roofs.items()
    ]
    data += [
        _roof(f"published: {card}", PUBLISHED, peak, bandwidth, left, right, factor, unit)
        for card, (peak, bandwidth) in published.items()
    ]
    for series, card in dict.fromkeys((entry.series, entry.card) for entry in entries):
        own = [entry for entry in entries if entry.series == series]
        found = [entry.metrics["rate_per_s"] for entry in own]
        data.append(
            {
                "series": series,
                "type": "scatter",
                "mode": "markers",
                "name": label(card),
                "x": [entry.means["intensity_flop_per_byte"] for entry in own],
                "y": [(item.value or 0) / factor for item in found],
                "marker": marker(series),
                "error_y": error(found, factor),
                "text": [
                    f"<b>{label(entry.name)}</b><br>{label(entry.task)}<br>{label(interval_text(item))}"
                    + (f"<br>{entry.means['mfu']:.0%} of the stated peak" if "mfu" in entry.means else "")
                    for entry, item in zip(own, found, strict=True)
                ],
                "hovertemplate": "%{text}<br>%{x:.4g} FLOP/byte<extra></extra>",
            }
        )
    ys = [y for trace in data for y in trace["y"]]
    ys += reach([entry.metrics["rate_per_s"] for entry in entries], factor)
    layout = {
        "xaxis": axis("Arithmetic intensity (FLOP/byte), logarithmic", **log_ticks(left, right)),
        "yaxis": axis(f"Attained rate ({unit}), logarithmic", **log_ticks(min(ys) / 2, max(ys) * 1.6)),
        "showlegend": True,
    }
    return View(dtype, data, layout, 480, cut=is_cut([entry.metrics["rate_per_s"] for entry in entries]))


# ---------------------------------------------------------------------------------------------------------------------
# 5: the power sweep


def frontier(entries: Sequence[Entry]) -> Figure | None:
    """Rate and work per joule over watts, each as a share of the task's own best, for cards at several limits."""
    swept: dict[tuple[int, str, str], list[Entry]] = {}
    for entry in entries:
        usable = all(entry.figure(metric) is not None for metric in ("rate_per_s", "power_mean_w", "work_per_j"))
        if usable and entry.key["power_limit_w"] is not None:
            swept.setdefault((entry.series, entry.card, entry.task), []).append(entry)
    lines = {}
    for where, own in swept.items():
        limits = dict.fromkeys(entry.key["power_limit_w"] for entry in own)
        chosen = [
            found
            for limit in sorted(limits)
            if (found := best([entry for entry in own if entry.key["power_limit_w"] == limit], "work_per_j"))
        ]
        if len(chosen) > 1:
            lines[where] = chosen
    if not lines:
        return None
    note = (
        "Each point is one power limit. Both panels show shares of the task's own best, because hashes and FLOPs have "
        "no ratio to one another; the star is the limit with the most work per joule. Whiskers are 95% intervals from "
        "the repeats."
    )
    cards = dict.fromkeys((series, card) for series, card, _ in lines)
    views = [
        _frontier_view(card, {task: own for (number, _, task), own in lines.items() if number == series}, series)
        for series, card in cards
    ]
    return Figure("frontier", "Power sweep: what the last watts buy", note, views, "Card")


def _frontier_view(card: str, lines: Mapping[str, Sequence[Entry]], series: int) -> View:
    data = []
    for number, (task, own) in enumerate(lines.items()):
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
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": label(task),
                    "legendgroup": str(number),
                    "showlegend": panel == "y",
                    "x": watts,
                    "y": [100 * (item.value or 0) / top for item in found],
                    "yaxis": panel,
                    "line": {"dash": DASHES[number % len(DASHES)], "width": 2},
                    "marker": {
                        "symbol": ["star" if best_ else shape for best_ in crown],
                        "size": [17 if best_ else 9 for best_ in crown],
                        "opacity": 1,
                    },
                    "error_y": error(found, top / 100),
                    "text": [
                        f"<b>{label(task)}</b><br>limit {limit} W<br>{label(interval_text(item))}"
                        for limit, item in zip(limits, found, strict=True)
                    ],
                    "hovertemplate": "%{text}<br>%{x:.1f} W drawn, %{y:.1f}% of the best<extra></extra>",
                }
            )
    layout = {
        "xaxis": axis("Power drawn (W)", anchor="y2"),
        "yaxis": axis("Rate<br>(% of its best)", domain=[0.56, 1]),
        "yaxis2": axis("Work per joule<br>(% of its best)", domain=[0, 0.46]),
        "showlegend": True,
    }
    return View(card, data, layout, 620)
