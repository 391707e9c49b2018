"""A figure of the page as plain data: traces and layout without a colour. Pure.

Colours belong to the reader's theme: the style sheet gives them to each trace's ``series`` (a card's number or
``published``). What distinguishes cards without colour is decided here: marker shape and dash by card, text labels.
:mod:`bench.report.svg` draws it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from bench.model import Comparison
from bench.report.language import N_, _

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
    group: str = ""
    """Heading of the view's name in the chooser."""
    cut: bool = False
    """Whether a whisker leaves the plot."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot of the page. ``note`` says how to read it; ``choose`` names what the chooser chooses."""

    kind: ClassVar[str] = "figure"
    id: str
    title: str
    note: str
    views: list[View] = field(default_factory=list)
    choose: str = N_("Show")


def marker(series: int, *, size: int = 11) -> dict[str, Any]:
    """The card's own marker, the same in every figure."""
    return {"symbol": SYMBOLS[series % len(SYMBOLS)], "size": size}


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis with its title, unit included."""
    return {"title": {"text": title}, **more}


def error(found: Sequence[Comparison], factor: float) -> dict[str, Any]:
    """95% intervals as error bars; none where a result has one window."""

    def gap(item: Comparison, bound: float | None) -> float:
        return 0.0 if bound is None or item.value is None else abs(bound - item.value) / factor

    return {
        "array": [gap(item, item.high) for item in found],
        "arrayminus": [gap(item, item.low) for item in found],
    }


_FARTHEST = 4.0
"""An axis follows the whiskers up to this many times its largest value; two wild windows must not flatten the rest."""

CUT = N_("A whisker that ends at the edge goes on beyond it; the table has its end.")
WHISKERS = N_("Whiskers are 95% intervals: from the repeats within a run, or between runs where a figure says so.")


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
        return axis(_("{title}, log scale", title=title), **log_ticks(least / 1.4, most * 1.4))
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
