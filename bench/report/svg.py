"""A figure's view as SVG, drawn here and not in the reader's browser: it prints, needs no script, follows the theme.

A drawing fits every width because only its horizontal positions are relative: x in per cent of the plot area, y and
all text in pixels. Colours are classes (``s0`` … ``s7``, ``published``, ``alarm``) that the style sheet gives values.
Every text is escaped by ``templates/plot.svg``. Pure.
"""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.output.format import figures
from bench.report.figure import DASHES, View

PALETTE = 8
"""Colours that cards take in turn; shapes and dashes distinguish those that share one."""

_DASHES = dict(zip(DASHES, ("", "7 4", "2 3", "7 3 2 3", "12 5", "12 4 2 4"), strict=True))
_TOP, _BOTTOM, _RIGHT = 26.0, 46.0, 12.0
_CHARACTER = 6.6
"""Mean width of a character of a label, in pixels."""
_USUAL_WIDTH = 860.0
"""Width of the plot area for which labels are kept apart; narrower ones show fewer."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps an axis' values to 0 … 1."""

    low: float
    high: float
    log: bool = False

    def __call__(self, value: float) -> float:
        if self.log:
            value = math.log10(value) if value > 0 else self.low
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True, slots=True)
class Tick:
    """A position on an axis with its text. ``minor`` ones are left out where a drawing is narrow."""

    at: str
    text: str
    minor: bool = False
    more: str = ""
    """Further text of a row's name, left out where a drawing is narrow."""
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class Panel:
    """One vertical axis; panels are stacked and share the horizontal one."""

    top: float
    bottom: float
    title: str
    ticks: Sequence[Tick]
    rows: bool
    """Whether the ticks are names of rows, written inside the plot."""


@dataclass(slots=True)
class Drawing:
    """All that the template writes, in page units."""

    height: float
    left: float
    right: float
    area: float
    """Height of the plot area."""
    top: float
    title: str
    ticks: Sequence[Tick]
    panels: Sequence[Panel]
    boxes: list[dict[str, Any]] = field(default_factory=list)
    paths: list[dict[str, Any]] = field(default_factory=list)
    bars: list[dict[str, Any]] = field(default_factory=list)
    marks: list[dict[str, Any]] = field(default_factory=list)
    labels: list[dict[str, Any]] = field(default_factory=list)


def drawing(view: View) -> Drawing:
    """A view with every position worked out."""
    layout = view.layout
    top = _TOP
    area = view.height - top - _BOTTOM
    names = sorted((name for name in layout if name.startswith("yaxis")), key=lambda name: int(name[5:] or 1))
    x_scale, x_ticks = _axis(layout["xaxis"], _values(view.data, "x"))
    panels, scales = [], {}
    for name in names:
        side = "y" + name[5:]
        item = layout[name]
        scale, ticks = _axis(item, _values([trace for trace in view.data if trace.get("yaxis", "y") == side], "y"))
        # the title is written above its panel
        low, high = item.get("domain", (0.0, 1.0))
        upper, lower = (1 - high) * area + (22 if high < 1 else 0), (1 - low) * area
        scales[side] = (scale, upper, lower)
        rows = bool(item.get("rows"))
        placed = [
            Tick(f"{lower - share * (lower - upper):.1f}", text.partition("\t")[0], more=text.partition("\t")[2])
            for share, text in ticks
            if 0 <= share <= 1
        ]
        panels.append(Panel(upper, lower, "" if rows else item["title"]["text"], placed, rows))
    widest = max((_letters(tick.text) for panel in panels if not panel.rows for tick in panel.ticks), default=0)
    drawn = Drawing(
        height=view.height,
        left=min(120.0, 10 + widest * _CHARACTER) if widest else 6.0,
        right=_RIGHT,
        area=area,
        top=top,
        title=layout["xaxis"]["title"]["text"],
        ticks=[
            Tick(
                _percent(share),
                text,
                minor=bool(number % 2) and len(x_ticks) > 4,
                anchor="end" if share > 0.96 else "middle",
            )
            for number, (share, text) in enumerate(x_ticks)
            if -1e-9 <= share <= 1 + 1e-9
        ],
        panels=panels,
    )
    for shape in layout.get("shapes", ()):
        _shape(drawn, shape, x_scale, scales)
    for trace in view.data:
        _trace(drawn, trace, x_scale, *scales[trace.get("yaxis", "y")])
    for item in layout.get("annotations", ()):
        drawn.labels.append(_label(_percent(x_scale(item["x"])), -4, item["text"], "middle", "small"))
    _place_labels(drawn)
    return drawn


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def colour_class(series: object) -> str:
    """The class of a card by its number, or of ``published`` and the like by its name."""
    return f"s{series % PALETTE}" if isinstance(series, int) else str(series)


def _values(traces: Iterable[Mapping[str, Any]], name: str) -> list[float]:
    return [value for trace in traces for value in trace[name] if value is not None]


def _axis(item: Mapping[str, Any], values: Sequence[float]) -> tuple[Scale, list[tuple[float, str]]]:
    log = item.get("type") == "log"
    if "range" in item:
        low, high = item["range"]
    else:
        low, high = min(values, default=0.0), max(values, default=1.0)
        margin = (high - low or abs(high) or 1.0) * 0.08
        low, high = low - margin, high + margin
    scale = Scale(low, high, log)
    if "tickvals" in item:
        return scale, [(scale(at), text) for at, text in zip(item["tickvals"], item["ticktext"], strict=True)]
    return scale, [(scale(at), figures(at, 5)) for at in nice_ticks(low, high)]


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round numbers from ``low`` to ``high``."""
    span = (high - low) / count
    decade = 10.0 ** math.floor(math.log10(span))
    step = next(size * decade for size in (1, 2, 2.5, 5, 10) if size * decade >= span * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _shape(drawn: Drawing, shape: Mapping[str, Any], x_scale: Scale, scales: Mapping[str, Any]) -> None:
    def vertical(value: float) -> float:
        if shape.get("yref") == "paper":
            return (1 - value) * drawn.area
        scale, upper, lower = scales[shape.get("yref", "y")]
        return float(lower - scale(value) * (lower - upper))

    x0, x1 = (
        (shape["x0"], shape["x1"]) if shape.get("xref") == "paper" else (x_scale(shape["x0"]), x_scale(shape["x1"]))
    )
    x0, x1 = (min(max(value, 0.0), 1.0) for value in (x0, x1))
    y0, y1 = sorted((vertical(shape["y0"]), vertical(shape["y1"])))
    y0, y1 = max(0.0, y0), min(drawn.area, y1)
    class_ = colour_class(shape["series"])
    if shape["type"] == "rect":
        box = {"x": _percent(x0), "width": _percent(max(x1 - x0, 0.0)), "y": round(y0, 1), "height": round(y1 - y0, 1)}
        drawn.boxes.append({**box, "class": class_, "opacity": shape["opacity"]})
        return
    points = {"x1": _percent(x0), "x2": _percent(x1), "y1": round(y0, 1), "y2": round(y1, 1)}
    drawn.bars.append({**points, "class": f"{class_} rule"})
    if "label" in shape:
        drawn.labels.append(_label(_percent(x0), round(y0 - 4, 1), shape["label"]["text"], "start", "small", dx=4))


def _trace(
    drawn: Drawing, trace: Mapping[str, Any], x_scale: Scale, y_scale: Scale, upper: float, lower: float
) -> None:
    def down(value: float) -> float:
        return lower - y_scale(value) * (lower - upper)

    class_ = colour_class(trace["series"])
    points = [
        None if x is None or y is None else (x_scale(x), down(y)) for x, y in zip(trace["x"], trace["y"], strict=True)
    ]
    if "lines" in trace["mode"]:
        line = trace.get("line", {})
        if trace.get("fill") and points:
            drawn.paths.append(_area(points, class_, down(0.0)))
        drawn.paths.append(
            {
                "d": _path(points),
                "class": class_,
                "width": line.get("width", 2),
                "dash": _DASHES[line.get("dash", "solid")],
                "top": upper - 2,
                "height": lower - upper + 4,
            }
        )
    if "markers" not in trace["mode"]:
        return
    for number, point in enumerate(points):
        if point is None or not -0.001 <= point[0] <= 1.001:
            continue
        x, y = trace["x"][number], trace["y"][number]
        if "error_x" in trace:
            ends = (x - trace["error_x"]["arrayminus"][number], x + trace["error_x"]["array"][number])
            x0, x1 = (min(max(x_scale(end), 0.0), 1.0) for end in ends)
            _whisker(drawn, class_, x0, x1, point[1], point[1])
        if "error_y" in trace:
            ends = (y - trace["error_y"]["arrayminus"][number], y + trace["error_y"]["array"][number])
            y0, y1 = (min(max(down(end), upper), lower) for end in ends)
            _whisker(drawn, class_, point[0], point[0], y0, y1)
        symbol, size = (_nth(trace["marker"][name], number) for name in ("symbol", "size"))
        shape, _, opened = symbol.partition("-open")
        drawn.marks.append(
            {
                "x": _percent(point[0]),
                "y": round(point[1], 1),
                "href": f"#{shape}{'' if size > 9 else '-small'}",
                "class": f"{class_}{' open' if symbol != shape else ''}",
                "dot": opened == "-dot",
                "title": trace["hover"][number] if trace.get("hover") else trace["name"],
                "label": trace["text"][number] if "text" in trace["mode"] else "",
            }
        )


def _nth(value: Any, number: int) -> Any:
    return value[number] if isinstance(value, list) else value


def _whisker(drawn: Drawing, class_: str, x0: float, x1: float, y0: float, y1: float) -> None:
    if abs(x1 - x0) > 1e-4 or abs(y1 - y0) > 0.1:
        points = {"x1": _percent(x0), "x2": _percent(x1), "y1": round(y0, 1), "y2": round(y1, 1)}
        drawn.bars.append({**points, "class": f"{class_} whisker"})


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    """SVG path data in a box of 1000 by the area's height; a missing point is a gap."""
    parts = []
    for before, point in zip([None, *points], points, strict=False):
        if point is not None:
            parts.append(f"{'L' if before is not None else 'M'}{1000 * point[0]:.1f} {point[1]:.1f}")
    return "".join(parts)


def _area(points: Sequence[tuple[float, float] | None], class_: str, zero: float) -> dict[str, Any]:
    """What lies between an unbroken line and zero."""
    known = [point for point in points if point is not None]
    ends = [(known[0][0], zero), *known, (known[-1][0], zero)]
    return {"d": f"{_path(ends)}Z", "class": f"{class_} area", "width": 0, "dash": ""}


def _label(x: str, y: float, text: str, anchor: str, class_: str, dx: float = 0) -> dict[str, Any]:
    return {"x": x, "y": y, "text": text, "anchor": anchor, "class": class_, "dx": dx}


def _letters(text: str) -> int:
    """Width of a text in Latin letters: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _place_labels(drawn: Drawing) -> None:
    """Names next to their marks, each on the first side where it covers no other mark or name; else none."""

    def box(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
        return x, y, x + width, y + height

    def free(one: tuple[float, float, float, float]) -> bool:
        inside = one[0] >= -4 and one[2] <= _USUAL_WIDTH + 4 and one[1] >= -14 and one[3] <= drawn.area + 2
        return inside and not any(
            one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3] for other in taken
        )

    at = [(float(mark["x"].rstrip("%")) / 100 * _USUAL_WIDTH, mark["y"]) for mark in drawn.marks]
    taken = [box(x - 5, y - 5, 10, 10) for x, y in at]
    for mark, (x, y) in zip(drawn.marks, at, strict=True):
        if not mark["label"]:
            continue
        width = _letters(mark["label"]) * _CHARACTER
        sides = (
            (box(x + 11, y - 8, width, 14), "start", 11, 4),
            (box(x - 11 - width, y - 8, width, 14), "end", -11, 4),
            (box(x - width / 2, y + 9, width, 14), "middle", 0, 21),
            (box(x - width / 2, y - 25, width, 14), "middle", 0, -13),
        )
        chosen = next((side for side in sides if free(side[0])), None)
        if chosen is not None:
            taken.append(chosen[0])
            drawn.labels.append(_label(mark["x"], y + chosen[3], mark["label"], chosen[1], "name", chosen[2]))


def legend(view: View) -> list[tuple[str, str, str]]:
    """(class, shape, name) of each series that has a name of its own, in order; empty where names are in the plot."""
    found: dict[str, tuple[str, str, str]] = {}
    for trace in view.data if view.layout.get("showlegend") else ():
        symbol = _nth(trace.get("marker", {}).get("symbol", "line"), -1)
        found.setdefault(trace["name"], (colour_class(trace["series"]), symbol.partition("-open")[0], trace["name"]))
    return list(itertools.islice(found.values(), 24))
