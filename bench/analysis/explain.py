"""Is it the card, or its node, rack, slot or driver? Whole groups of cards compared with all others. Pure.

A level of a factor (rack r2, slot 3) differs as a whole if the median of its cards' distances is off: one bad card of
eight does not move it. Racks are compared first, then slots over all nodes, then nodes, each after what was found
before is taken off, so that the nodes of a hot rack are not named one by one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

FACTORS = ("rack", "slot", "node")
LEAST = 3
"""A level of fewer cards is not compared."""
EXACT_SHARE = 0.05
"""A level with more than this share of the cards is compared with the others alone, a smaller one with all."""


class Judged(Protocol):
    """What is read of a measure: see :class:`bench.analysis.outliers.Measure`."""

    @property
    def kind(self) -> str: ...
    @property
    def column(self) -> str: ...
    @property
    def floor(self) -> float: ...
    @property
    def sign(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Effect:
    """A level of a factor that differs from the others as a whole."""

    factor: str
    """``rack``, ``slot``, ``node`` or ``driver``."""
    level: str
    kind: str
    """``slow``, ``thirsty`` or ``hot``."""
    cards: int
    distance: float
    """Median of its cards less that of the others, in the bad direction: a difference of logarithms, or °C."""
    p_adjusted: float
    model: str = ""
    """For drivers: the model of the cards."""

    @property
    def deviation(self) -> float:
        """The difference as a share of the others' figure; °C for ``hot``."""
        if self.kind == "hot":
            return self.distance
        return math.expm1(-self.distance if self.kind == "slow" else self.distance)


def effects(table: pd.DataFrame, measures: Sequence[Judged], false_discovery_rate: float) -> list[Effect]:
    """Racks, slots and nodes that differ as a whole, the largest first.

    Args:
        table: :func:`bench.analysis.units.units` with the distance (``slow``) and the distance in standard deviations
            (``slow_z``) of each measure.
        measures: what to compare.
        false_discovery_rate: expected share of wrong ones among the effects.
    """
    found: list[Effect] = []
    first = table.drop_duplicates("card_number").set_index("card_number")
    for measure in measures:
        cards = table.groupby("card_number")[[measure.kind, f"{measure.kind}_z"]].median()
        cards = cards.join(first[list(FACTORS)]).dropna(subset=[measure.kind])
        scale = (cards[measure.kind] / cards[f"{measure.kind}_z"]).to_numpy()
        distance = cards[measure.kind].to_numpy(copy=True)
        for factor in FACTORS:
            here = _levels(distance, scale, cards[factor], factor, measure, false_discovery_rate)
            for effect in here:
                distance[(cards[factor].astype(str) == effect.level).to_numpy()] -= effect.distance
            found += here
    return sorted(found, key=lambda effect: (effect.kind, effect.factor, -effect.distance))


def driver_effects(table: pd.DataFrame, measures: Sequence[Judged], false_discovery_rate: float) -> list[Effect]:
    """Drivers with which cards of one model, limit and profile do worse than with the others."""
    found: list[Effect] = []
    drivers = table.groupby("device_name", observed=True)["driver"].transform("nunique")
    several = table[(drivers > 1).to_numpy()]
    for model, part in several.groupby("device_name", observed=True):
        for measure in measures:
            values = part[measure.column]
            away = measure.sign * (values - values.groupby(part["wide_series"]).transform("median"))
            scale = part[measure.kind] / part[f"{measure.kind}_z"]
            cards = away.groupby(part["card_number"]).median()
            level = part.drop_duplicates("card_number").set_index("card_number")["driver"].reindex(cards.index)
            spread = scale.groupby(part["card_number"]).median().to_numpy()
            held = cards.notna().to_numpy()
            found += _levels(
                cards.to_numpy()[held], spread[held], level[held], "driver", measure, false_discovery_rate, str(model)
            )
    return found


def _levels(
    distance: NDArray[np.float64],
    scale: NDArray[np.float64],
    labels: pd.Series[str],
    factor: str,
    measure: Judged,
    false_discovery_rate: float,
    model: str = "",
) -> list[Effect]:
    """The levels of one factor whose median is off by the measure's floor or more, and not by chance."""
    import numpy as np
    import pandas as pd
    from scipy import stats

    codes, names = pd.factorize(labels)
    if len(names) < 2:
        return []
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    middle = pd.Series(distance).groupby(codes).median().reindex(range(len(names))).to_numpy()
    spread = pd.Series(scale).groupby(codes).median().reindex(range(len(names))).to_numpy()
    others = np.full(len(names), np.median(distance[codes >= 0]))
    for level in np.flatnonzero(counts > EXACT_SHARE * counts.sum()):
        others[level] = np.median(distance[(codes >= 0) & (codes != level)])
    off = middle - others
    # a median of n normal values has 1.2533 times the standard error of their mean
    p = stats.norm.sf(off * np.sqrt(counts) / (1.2533 * spread))
    judged = (counts >= LEAST) & np.isfinite(p)
    adjusted = np.ones(len(names))
    if judged.any():
        adjusted[judged] = stats.false_discovery_control(p[judged])
    return [
        Effect(factor, str(names[n]), measure.kind, int(counts[n]), float(off[n]), float(adjusted[n]), model)
        for n in np.flatnonzero((off >= measure.floor) & (adjusted <= false_discovery_rate)).tolist()
    ]


def cause(place: Mapping[str, str | None], kind: str, distance: float, bound: float, known: Sequence[Effect]) -> str:
    """``card``, or the largest effect on its node, rack or slot where the card is within the bound without them."""
    here = [effect for effect in known if effect.kind == kind and place.get(effect.factor) == effect.level]
    if not here or distance - sum(effect.distance for effect in here) > bound:
        return "card"
    largest = max(here, key=lambda effect: effect.distance)
    return f"{largest.factor} {largest.level}"


def majorities(first: pd.DataFrame, kinds: Mapping[int, Sequence[str]]) -> dict[tuple[str, str], str]:
    """(node, kind) → ``node n7`` where most of a node's cards have a flag that rests on counts."""
    nodes = first["node"].astype(str)
    sizes = Counter(nodes)
    flagged = Counter((nodes[card], kind) for card, kind in _each(kinds))
    return {
        (node, kind): f"node {node}"
        for (node, kind), count in flagged.items()
        if sizes[node] >= LEAST and count > sizes[node] / 2
    }


def _each(kinds: Mapping[int, Sequence[str]]) -> Iterator[tuple[int, str]]:
    for card, found in kinds.items():
        for kind in found:
            yield card, kind
