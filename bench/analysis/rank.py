"""Where a card stands among the cards of its model: the percentile of each of its figures in a reference. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.analysis.reference import SAME, SAME_ENERGY, figures
from bench.model import BenchError, TaskKey

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

LEAST_CARDS = 5
"""A percentile among fewer cards says nothing."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A figure that is ranked."""

    name: str
    heading: str
    unit: str
    """``{work}`` is the workload's own unit."""
    higher_is_better: bool | None
    """None: neither; the percentile is that of the value."""
    energy: bool = False


RANKED = (
    Ranked("rate_per_s", "rate", "{work}/s", True),
    Ranked("work_per_j", "work per joule", "{work}/J", True, energy=True),
    Ranked("power_mean_w", "power", "W", None, energy=True),
    Ranked("temperature_max_c", "highest temperature", "°C", False),
)


@dataclass(frozen=True, slots=True)
class Standing:
    """One figure of one card among the cards of its model."""

    card: str
    model: str
    power_limit_w: float | None
    task: str
    figure: str
    heading: str
    value: float
    unit: str
    cards: int
    """Cards of the reference with this figure at this setting."""
    median: float | None
    """Theirs; None for too few."""
    percentile: float | None
    """Share of them, in per cent, that are worse; of the power, that draw less. Equal ones count half."""
    low: float | None
    high: float | None
    """The percentiles of the ends of the card's own 95% interval."""
    reason: str = ""
    """Why there is no percentile."""


def rank(frame: pd.DataFrame, reference: pd.DataFrame) -> list[Standing]:
    """The standing of every card, task and figure of ``frame``.

    Args:
        frame: rows with :data:`bench.analysis.reference.COLUMNS`.
        reference: what :func:`bench.analysis.reference.build` made.

    Raises:
        BenchError: no row is both valid and verified.
    """
    mine = figures(frame)
    if mine.empty:
        raise BenchError("no row is both valid and verified", "see invalid_reasons, and measure in standard mode")
    keyed = dict(_by_key(reference))
    models = set(reference["device_name"].astype(str))
    return [
        _standing(row, ranked, keyed.get(_key(row)), str(row["device_name"]) in models)
        for row in mine.astype(object).where(mine.notna(), None).to_dict("records")
        for ranked in RANKED
        if row[ranked.name] is not None
    ]


def _key(row: Mapping[Any, Any]) -> tuple[Any, ...]:
    """What must agree, with numbers as numbers; missing is None."""
    values = (row[name] for name in SAME)
    return tuple(float(value) if isinstance(value, int | float) else value for value in values)


def _by_key(reference: pd.DataFrame) -> list[tuple[tuple[Any, ...], pd.DataFrame]]:
    numbers = reference.groupby(list(SAME), dropna=False, sort=False, observed=True).ngroup()
    parts = [part for _number, part in reference.groupby(numbers, sort=False)]
    firsts = [part.iloc[[0]].astype(object) for part in parts]
    return [
        (_key(first.where(first.notna(), None).iloc[0].to_dict()), part)
        for first, part in zip(firsts, parts, strict=True)
    ]


def _standing(row: Mapping[Any, Any], ranked: Ranked, part: pd.DataFrame | None, known: bool) -> Standing:
    values, reason = _values(row, ranked, part)
    if part is None:
        reason = "no card of this model" if not known else "no card of this model at this task and setting"
    elif not reason and len(values) < LEAST_CARDS:
        reason = f"fewer than {LEAST_CARDS} cards"
    value = float(row[ranked.name])
    ends = _ends(row, ranked.name)
    enough = not reason
    percentiles = [_percentile(values, at, ranked) for at in (value, *ends)] if enough else []
    return Standing(
        card=str(row["card"]),
        model=str(row["device_name"]),
        power_limit_w=row["power_limit_w"],
        task=TaskKey.of(row).label,
        figure=ranked.name,
        heading=ranked.heading,
        value=value,
        unit=ranked.unit.format(work=row["work_unit"]),
        cards=len(values),
        median=_median(values) if enough else None,
        percentile=percentiles[0] if enough else None,
        low=min(percentiles) if enough and ends else None,
        high=max(percentiles) if enough and ends else None,
        reason=reason,
    )


def _values(
    row: Mapping[Any, Any], ranked: Ranked, part: pd.DataFrame | None
) -> tuple[NDArray[np.float64] | Sequence[float], str]:
    """The reference's figures, one per card; and why they do not compare."""
    if part is None:
        return (), ""
    held = part[part[ranked.name].notna()]
    if ranked.energy:
        for name in SAME_ENERGY:
            held = held[held[name].astype(str) == str(row[name])]
        if held.empty and len(part):
            return (), "its joules cover something else or are of another method"
    # a card with several drivers counts once
    return held.groupby("card")[ranked.name].median().to_numpy(dtype=float), ""


def _ends(row: Mapping[Any, Any], figure: str) -> tuple[float, ...]:
    if figure == "rate_per_s":
        return float(row["rate_low"]), float(row["rate_high"])
    if figure == "work_per_j":
        return 1 / float(row["joules_high"]), 1 / float(row["joules_low"])
    return ()


def _percentile(values: NDArray[np.float64] | Sequence[float], at: float, ranked: Ranked) -> float:
    from scipy import stats

    below = float(stats.percentileofscore(values, at, kind="mean"))
    return 100 - below if ranked.higher_is_better is False else below


def _median(values: NDArray[np.float64] | Sequence[float]) -> float:
    import numpy as np

    return float(np.median(values))
