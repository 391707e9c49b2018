"""The first figure: what a joule does on each card, mining against AI, one point per card and setting. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.model import Comparison
from bench.output.format import scale
from bench.report.entries import Entry, best, interval_text, tasks
from bench.report.figure import CUT, MOST_VIEWS, WHISKERS, Figure, View, axis, error, is_cut, marker, reach
from bench.report.language import N_, _, joined
from bench.report.section import Content, Note, Section, Sentences, Study
from bench.report.words import headline, no_pick, summary


@dataclass(frozen=True, slots=True)
class Point:
    """A card at one setting, with the two figures that are compared."""

    entry: Entry
    """The result whose card and setting name the point."""
    x: Comparison
    y: Comparison
    box: tuple[float, float, float, float] | None = None
    """x and y, low and high, with the sensor's own uncertainty; None where it is not known."""


def pairs(entries: Sequence[Entry], mining: str, ai: str, metrics: tuple[str, str]) -> list[Point]:
    """Cards that have both tasks at one power limit and clock lock, with a figure for each."""

    def where(entry: Entry) -> tuple[Any, ...]:
        return entry.card, entry.key["power_limit_w"], entry.key["sm_clock_lock_mhz"]

    here: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in entries:
        here.setdefault(where(entry), []).append(entry)
    found = []
    for own in here.values():
        first = best([entry for entry in own if entry.task == mining], metrics[0])
        second = best([entry for entry in own if entry.task == ai], metrics[1])
        if first is not None and second is not None:
            x, y = first.metrics[metrics[0]], second.metrics[metrics[1]]
            across, up = _with_sensor(x, first), _with_sensor(y, second)
            found.append(Point(first, x, y, (*across, *up) if across and up and metrics[0] == "work_per_j" else None))
    return found


def draw(entries: Sequence[Entry]) -> Figure | None:
    """Hashes per joule against modelled tokens per joule; rates where no power was read; None without both."""
    for metrics, title, titles in (
        (
            ("work_per_j", "tokens_per_j"),
            _("Hashes against tokens per joule"),
            (_("{task}: hashes per joule"), _("Modelled tokens per joule")),
        ),
        (
            ("rate_per_s", "tokens_per_s"),
            _("Hashes against tokens per second"),
            (_("{task}: hashes per second"), _("Modelled tokens per second")),
        ),
    ):
        mining_tasks, ai_tasks = tasks(entries, "hash", metrics[0]), tasks(entries, "FLOP", metrics[1])
        views = [
            _view(found, title, ai if number == 0 else f"{ai}, {mining}", (titles[0].format(task=mining), titles[1]))
            for number, mining in enumerate(mining_tasks)
            for ai in ai_tasks
            if (found := pairs(entries, mining, ai, metrics))
        ]
        if views:
            views += _joules(entries, mining_tasks, ai_tasks) + _speed(entries, ai_tasks)
            note = _note(views, per_joule=metrics[0] == "work_per_j")
            return Figure("pick", title, note, views[:MOST_VIEWS], _("Draw"))
    return None


def _note(views: Sequence[View], *, per_joule: bool) -> str:
    parts = [_("Up and to the right is more of both."), _(WHISKERS)]
    if per_joule:
        parts.append(_("The shaded box adds what the power sensor itself may be wrong by, which no repeat takes away."))
    else:
        parts.append(
            _(
                "No power was read for a card that ran both, so this shows rates, not efficiency: it says nothing "
                "about joules."
            )
        )
    parts.append(
        _(
            "Tokens are modelled from the block's matrix work, not served. A dotted line joins the power limits of one "
            "card. Names that would cover others are left out: point at a mark to read it."
        )
    )
    if len(views) > MOST_VIEWS:
        parts.append(_("{count} more combinations of tasks are not drawn.", count=len(views) - MOST_VIEWS))
    return joined(*parts, _(CUT) if any(view.cut for view in views) else "")


def _joules(entries: Sequence[Entry], mining_tasks: Sequence[str], ai_tasks: Sequence[str]) -> list[View]:
    """Joules per terahash against joules per token, for the leading hash."""
    views = []
    for ai in ai_tasks if mining_tasks else ():
        found = [
            replace(point, x=_inverse(point.x, 1e12, "J/TH"), y=_inverse(point.y, 1.0, "J/token"), box=None)
            for point in pairs(entries, mining_tasks[0], ai, ("work_per_j", "tokens_per_j"))
        ]
        if found:
            titles = (_("{task}: joules per terahash", task=mining_tasks[0]), _("Joules per modelled token"))
            views.append(_view(found, _("J/TH against J/token (down and left is better)"), ai, titles))
    return views


def _inverse(item: Comparison, scaled_by: float, unit: str) -> Comparison:
    value, high, low = (None if bound is None else scaled_by / bound for bound in (item.value, item.low, item.high))
    return replace(item, unit=unit, value=value, low=low, high=high)


def _speed(entries: Sequence[Entry], ai_tasks: Sequence[str]) -> list[View]:
    """Tokens per second against tokens per joule: what speed costs in efficiency, over a card's power limits."""
    views = []
    for ai in ai_tasks:
        found = [
            Point(entry, x, y)
            for entry in entries
            if entry.task == ai and (x := entry.figure("tokens_per_s")) and (y := entry.figure("tokens_per_j"))
        ]
        if found:
            titles = (_("Modelled tokens per second"), _("Modelled tokens per joule; × 10⁶ is tokens/s per MW"))
            views.append(_view(found, _("Tokens/s against tokens/J"), ai, titles))
    return views


def _view(found: Sequence[Point], group: str, name: str, titles: tuple[str, str]) -> View:
    xs, ys = [point.x for point in found], [point.y for point in found]
    x_factor, x_unit = scale([item.value or 0 for item in xs], xs[0].unit)
    y_factor, y_unit = scale([item.value or 0 for item in ys], ys[0].unit)
    data: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    by_card: dict[int, list[Point]] = {}
    # the best come first, so that theirs are the names that are written where names would cover each other
    for point in sorted(found, key=lambda point: -(point.x.value or 0) * (point.y.value or 0)):
        by_card.setdefault(point.entry.series, []).append(point)
    for series, points in by_card.items():
        own = sorted(points, key=lambda point: -(point.entry.key["power_limit_w"] or 0.0))
        card = own[0].entry.card
        data.append(
            {
                "series": series,
                "mode": "markers+text" if len(own) == 1 else "lines+markers+text",
                "name": card,
                "x": [(point.x.value or 0) / x_factor for point in own],
                "y": [(point.y.value or 0) / y_factor for point in own],
                # the first point carries the card's name, the others of a sweep what distinguishes them from it
                "text": [card, *(point.entry.setting for point in own[1:])],
                "line": {"width": 1, "dash": "dot"},
                "marker": marker(series) | {"size": [15] + [9] * (len(own) - 1)},
                "error_x": error([point.x for point in own], x_factor),
                "error_y": error([point.y for point in own], y_factor),
                "hover": [
                    f"{point.entry.name}\n{titles[0]}: {interval_text(point.x)}\n{titles[1]}: {interval_text(point.y)}"
                    for point in own
                ],
            }
        )
        for x0, x1, y0, y1 in (point.box for point in own if point.box is not None):
            ends = {"x0": x0 / x_factor, "x1": x1 / x_factor, "y0": y0 / y_factor, "y1": y1 / y_factor}
            shapes.append({"series": series, "type": "rect", **ends, "opacity": 0.13})
    layout = {
        "xaxis": axis(f"{titles[0]} ({x_unit})", range=_from_zero(xs, x_factor)),
        "yaxis": axis(f"{titles[1]} ({y_unit})", range=_from_zero(ys, y_factor)),
        "shapes": shapes,
    }
    return View(name, data, layout, 500, cut=is_cut(xs) or is_cut(ys), group=group)


def _from_zero(items: Sequence[Comparison], factor: float) -> list[float]:
    """From zero always: twice as far from the corner is twice as much."""
    most = max(item.value or 0 for item in items) / factor
    return [0, max([most * 1.15, *(end * 1.04 for end in reach(items, factor))])]


def _with_sensor(item: Comparison, entry: Entry) -> tuple[float, float] | None:
    """The interval widened by the sensor's own 95% half-width (root of the sum of squares); None where unknown."""
    own = entry.means.get("sensor_relative")
    if own is None or item.value is None:
        return None
    low, high = (item.value if bound is None else bound for bound in (item.low, item.high))
    below, above = ((abs(bound / item.value - 1) ** 2 + own**2) ** 0.5 for bound in (low, high))
    return item.value * (1 - below), item.value * (1 + above)


def _build(study: Study) -> Content:
    chosen = headline(study.entries)
    drawn = draw(study.entries) or Note(no_pick(chosen))
    return Content([drawn, Sentences(_("In plain words"), summary(study, chosen))])


SECTION = Section("pick", N_("Hashes and tokens"), N_("Hashes and tokens for the same watts"), _build)
