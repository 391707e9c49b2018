"""The first figure: hashes per joule against modelled tokens per joule, one point per card and setting. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.model import Comparison
from bench.report.entries import Entry, best, interval_text, scale
from bench.report.figure import CUT, MOST_VIEWS, Figure, View, axis, error, is_cut, marker, reach
from bench.report.html import plot_text


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


def draw(entries: Sequence[Entry]) -> Figure | None:
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
                "name": plot_text(card),
                "x": [(x.value or 0) / x_factor for _, x, _ in own],
                "y": [(y.value or 0) / y_factor for _, _, y in own],
                "text": [
                    f"<b>{plot_text(text)}</b>" if number == 0 else plot_text(text) for number, text in enumerate(texts)
                ],
                "textposition": sides,
                "cliponaxis": False,
                "line": {"width": 1, "dash": "dot"},
                "marker": marker(series) | {"size": [15] + [9] * (len(own) - 1)},
                "error_x": error([x for _, x, _ in own], x_factor),
                "error_y": error([y for _, _, y in own], y_factor),
                "hovertext": [
                    f"<b>{plot_text(pair.mining.name)}</b><br>{plot_text(mining)}: {plot_text(interval_text(x))}"
                    f"<br>{plot_text(ai)}: {plot_text(interval_text(y))}"
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
            f"{plot_text(mining)}: hashes per {word} ({x_unit})",
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
