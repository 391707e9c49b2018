"""The cards of a fleet among cards like them: distribution, node × slot, and those to pull. Pure.

It is there for rows of `bitwatt merge`. What is an outlier is :mod:`bench.analysis.outliers`' to say; of a large fleet
the most conspicuous nodes and cards are shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.analysis import outliers
from bench.analysis.explain import Effect
from bench.analysis.outliers import Flag, Found, Suspect
from bench.output.format import MISSING, digits
from bench.report.figure import Figure, View, axis
from bench.report.language import N_, _, joined, plural
from bench.report.section import Block, Content, Section, Sentences, Study
from bench.report.table import Cell, table

if TYPE_CHECKING:
    import pandas as pd

MOST_NODES = 40
"""Rows of the heat map."""
MOST_MARKS = 40
"""Outliers marked in a distribution."""
_BINS = 40

_KINDS: Mapping[str, str] = {
    "missing": N_("not measured"),
    "wrong": N_("wrong output"),
    "unsound": N_("no sound row"),
    "throttled": N_("throttled"),
    "slow": N_("slow"),
    "thirsty": N_("thirsty"),
    "hot": N_("hot"),
    "unstable": N_("unstable"),
}
_STATES = (N_("healthy"), N_("degraded"), N_("failed"))
_FACTORS = {"rack": N_("rack {level}"), "slot": N_("slot {level}"), "node": N_("node {level}")}
_EFFECTS = {
    "slow": N_("{where}: {count} cards are {size} slower than the others"),
    "thirsty": N_("{where}: {count} cards need {size} more joules per unit of work than the others"),
    "hot": N_("{where}: {count} cards are {size} hotter than the others"),
}
_AXES = {
    "slow": N_("Rate, difference from the median (%)"),
    "thirsty": N_("Joules per unit of work, difference from the median (%)"),
    "hot": N_("Temperature, difference from the median (°C)"),
}
"""By measure: what its distance is called."""


def differences(found: Found, kind: str) -> pd.DataFrame:
    """One row per card: its difference from the median of cards like it, in per cent or °C, over its tasks."""
    import numpy as np

    cards = found.units.groupby("card_number").agg(
        dict.fromkeys(("node", "card", "slot", "device_name"), "first") | {kind: "median"}
    )
    sign = next(measure.sign for measure in outliers.MEASURES if measure.kind == kind)
    away = sign * cards[kind]
    cards["difference"] = away if kind == "hot" else 100 * np.expm1(away)
    return cards.dropna(subset=["difference"])


def _plain(cards: pd.DataFrame) -> list[tuple[str, str, int, float]]:
    """Node, card, slot and difference of each row of :func:`differences`."""
    columns = [cards[name].tolist() for name in ("node", "card", "slot", "difference")]
    return [(str(node), str(card), int(slot), float(off)) for node, card, slot, off in zip(*columns, strict=True)]


def distribution(found: Found) -> Figure | None:
    """How the cards of each model are distributed around their median, outliers marked."""
    views = []
    flagged = {(item.node, item.card): item for item in found.suspects}
    for measure in outliers.MEASURES:
        for model, cards in differences(found, measure.kind).groupby("device_name", observed=True, sort=False):
            if len(cards) >= outliers.LEAST_CARDS:
                views.append(_distribution(str(model), measure.kind, cards, flagged))
    note = _(
        "Bars count cards. Crosses are cards with a flag of this kind, the {count} farthest at most.",
        count=MOST_MARKS,
    )
    return Figure("fleet", _("Cards around the median of cards like them"), note, views) if views else None


def _distribution(model: str, kind: str, cards: pd.DataFrame, flagged: Mapping[tuple[str, str], Suspect]) -> View:
    import numpy as np

    values = cards["difference"].to_numpy()
    least = 1.0 if kind == "hot" else 0.5
    low, high = min(values.min(), -least), max(values.max(), least)
    margin = (high - low) * 0.03
    counts, edges = np.histogram(values, bins=_BINS, range=(low - margin, high + margin))
    top = float(counts.max()) * 1.1
    shapes = [
        {
            "type": "rect",
            "x0": float(edges[n]),
            "x1": float(edges[n + 1]),
            "y0": 0.0,
            "y1": float(count),
            "series": 0,
            "opacity": 0.55,
        }
        for n, count in enumerate(counts)
        if count
    ]
    mine = [
        (node, card, off)
        for node, card, _slot, off in _plain(cards)
        if (item := flagged.get((node, card))) is not None and kind in item.kinds
    ]
    mine = sorted(mine, key=lambda item: -abs(item[2]))[:MOST_MARKS]
    layout = {
        "xaxis": axis(_(_AXES[kind]), range=[low - margin, high + margin]),
        "yaxis": axis(_("Cards (count)"), range=[0.0, top]),
        "shapes": shapes,
    }
    marks = _marks(
        _("flagged"), [x for _n, _c, x in mine], [top * 0.03] * len(mine), [f"{n}, {c}" for n, c, _x in mine]
    )
    return View(_(_KINDS[kind]), [marks], layout, 320, group=model)


def _marks(series: str, x: Sequence[float], y: Sequence[float], hover: Sequence[str]) -> dict[str, Any]:
    return {
        "series": series,
        "mode": "markers",
        "name": _("flagged"),
        "x": list(x),
        "y": list(y),
        "marker": {"symbol": "x", "size": 8},
        "hover": list(hover),
    }


def heat_map(found: Found) -> Figure | None:
    """Node × slot: how far each card is off, the nodes with the farthest cards first."""
    views = [view for measure in outliers.MEASURES if (view := _heat_map(found, measure)) is not None]
    count = found.units["node"].nunique()
    note = joined(
        _("The darker a cell, the farther the card is off; red is the bad direction, blue the good one."),
        _("Crosses are cards with a flag of this kind."),
        _(
            "Shown are {shown} of {count} nodes, those with the cards farthest off.",
            shown=MOST_NODES,
            count=f"{count:,}",
        )
        if count > MOST_NODES
        else "",
    )
    return Figure("fleet-map", _("Node and slot"), note, views) if views else None


def _heat_map(found: Found, measure: outliers.Measure) -> View | None:
    cards = differences(found, measure.kind)
    if cards.empty:
        return None
    worst = (measure.sign * cards["difference"]).groupby(cards["node"].astype(str)).max()
    nodes = list(worst.sort_values(ascending=False).index[:MOST_NODES])
    row_of = {node: -number for number, node in enumerate(nodes)}
    full = 2 * (measure.floor if measure.kind == "hot" else 100 * math.expm1(measure.floor))
    kinds = {(item.node, item.card): item.kinds for item in found.suspects}
    shapes, marked = [], []
    for node, card, x, difference in _plain(cards[cards["node"].isin(nodes)]):
        off, y = measure.sign * difference, row_of[node]
        shapes.append(
            {
                "type": "rect",
                "x0": x - 0.47,
                "x1": x + 0.47,
                "y0": y - 0.44,
                "y1": y + 0.44,
                "series": "alarm" if off > 0 else 0,
                "opacity": round(0.06 + 0.84 * min(1.0, abs(off) / full), 3),
            }
        )
        if measure.kind in kinds.get((node, card), ()):
            unit = "°C" if measure.kind == "hot" else "%"
            marked.append((x, y, f"{node}, {card}: {difference:+.1f} {unit}"))
    slots = sorted({int(slot) for slot in cards["slot"]})
    layout = {
        "xaxis": axis(
            _("Slot (index)"), range=[slots[0] - 0.6, slots[-1] + 0.6], tickvals=slots, ticktext=[str(n) for n in slots]
        ),
        "yaxis": axis(
            _("Node (name)"),
            range=[0.6 - len(nodes), 0.6],
            tickvals=list(row_of.values()),
            ticktext=[node if len(node) <= 16 else f"…{node[-15:]}" for node in nodes],
        ),
        "shapes": shapes,
    }
    marks = _marks("limit", [x for x, _y, _t in marked], [y for _x, y, _t in marked], [t for _x, _y, t in marked])
    return View(_(_KINDS[measure.kind]), [marks], layout, 96 + 20 * len(nodes))


def listing(found: Found) -> Block:
    """Every flag of the cards to pull, the gravest first."""
    rows: list[list[str | Cell]] = [
        [
            item.node or MISSING,
            item.card or MISSING,
            MISSING if item.slot is None else Cell(str(item.slot), sort=float(item.slot)),
            item.model or MISSING,
            Cell(_(_STATES[item.code]), sort=float(item.code)),
            _where(item.cause),
            _(_KINDS[flag.kind]),
            flag.task or MISSING,
            _difference(flag, flag.deviation),
            _difference(flag, flag.bound, ""),
            MISSING if flag.p_adjusted is None else Cell(f"{flag.p_adjusted:.2g}", sort=flag.p_adjusted),
        ]
        for item in found.suspects
        for flag in item.flags
    ]
    header = [
        *(_("Node"), _("Card"), _("Slot"), _("Model"), _("State"), _("Cause"), _("Flag"), _("Workload")),
        *(_("Difference"), _("Bound"), _("False-discovery rate")),
    ]
    return table(_("Cards to pull"), header, rows, numeric={2, 8, 9, 10}, id="fleet-board", facet=_("Flag"), lean=True)


def _where(cause: str) -> str:
    factor, _space, level = cause.partition(" ")
    return _(_FACTORS[factor], level=level) if level else _("the card")


def _difference(flag: Flag, value: float | None, sign: str = "+") -> str | Cell:
    if value is None:
        return MISSING
    text = f"{value:{sign}.1f} °C" if flag.kind == "hot" else f"{value:{sign}.1%}"
    return Cell(text.replace("-", "−"), sort=value)


def _effect(effect: Effect) -> str:
    where = (
        _("driver {level}", level=effect.level)
        if effect.factor == "driver"
        else _where(f"{effect.factor} {effect.level}")
    )
    size = f"{digits(effect.deviation, 2)} °C" if effect.kind == "hot" else f"{abs(effect.deviation):.1%}"
    return _(_EFFECTS[effect.kind], where=where, count=f"{effect.cards:,}", size=size)


def _build(study: Study) -> Content | None:
    if not {"node", "card", "slot"} <= set(study.frame.columns):
        return None
    found = outliers.find(study.frame)
    if not found.judged:
        return None
    summary = _(
        "{judged} of {cards} cards are compared with cards of the same model, power limit, profile and driver.",
        judged=f"{found.judged:,}",
        cards=f"{found.cards:,}",
    )
    own = sum(item.cause == "card" for item in found.suspects)
    pull = plural("{count} card is to be pulled", "{count} cards are to be pulled", own)
    rate = _(
        "{pull}; of the flagged cards {rate} are expected to be like the others.",
        pull=pull,
        rate=f"{found.false_discovery_rate:.0%}",
    )
    blocks: list[Block] = [Sentences(_("In short"), [summary, rate, *map(_effect, found.effects)])]
    blocks += [figure for figure in (distribution(found), heat_map(found)) if figure is not None]
    if found.suspects:
        blocks.append(listing(found))
    return Content(blocks)


SECTION = Section("fleet", N_("Fleet"), N_("The cards of a fleet"), _build)
