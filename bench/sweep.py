"""A sweep over power limits: the limits to try, the commands it amounts to, and where efficiency is best.

Pure but for :func:`sweep`, which takes the limiter as an argument and sees that it is closed on every way out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import fmean
from typing import Protocol, TypeVar

from bench.model import BenchError, Record

STEPS = 6
"""Limits in a range without a step of its own."""
SYNTAX = "give a range such as 50%..100%, 200W..400W:50W, or a list such as 200,300,400"
SETTING = ("workload", "phase", "shape", "dtype", "batch", "seq", "product", "implementation", "precision", "options")
"""Columns that must match for rows to lie on one frontier."""
FLAT = 0.02
"""A frontier whose rate moves by less than this share has no knee."""

T = TypeVar("T")


class Range(Protocol):
    """What limits a card takes, in watts."""

    @property
    def uuid(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def low_w(self) -> float: ...
    @property
    def high_w(self) -> float: ...
    @property
    def default_w(self) -> float: ...
    @property
    def now_w(self) -> float: ...


class Limiter(AbstractContextManager["Limiter"], Protocol):
    """A card's power limit, put back when the ``with`` block ends (:class:`bench.meters.limits.PowerLimiter`)."""

    def set(self, watts: float) -> float: ...


def parse_limits(text: str, card: Range) -> tuple[float, ...]:
    """The limits that ``--power-limits`` names, in watts, highest first.

    A range (``50%..100%``, ``200W..400W``, with ``:step`` if wanted) keeps within what the card takes: what lies
    below is replaced by the card's lowest limit. A listed limit must lie within it. Per cent are of the default limit.

    Raises:
        BenchError: the text cannot be read, or a listed limit is out of the card's range.
    """
    low_text, dots, rest = text.partition("..")
    if not dots:
        limits = [_watts(part, card) for part in text.split(",")]
        for watts in limits:
            if not card.low_w <= watts <= card.high_w:
                raise BenchError(
                    f"{card.name} takes no limit of {watts:g} W", f"stay between {card.low_w:g} W and {card.high_w:g} W"
                )
        return tuple(sorted(set(limits), reverse=True))
    high_text, _, step_text = rest.partition(":")
    low_w, high_w = _watts(low_text, card), _watts(high_text, card)
    step_w = _watts(step_text, card) if step_text else (high_w - low_w) / (STEPS - 1)
    if low_w > high_w or (low_w < high_w and step_w <= 0):
        raise BenchError(f"{text!r} is no range of power limits", SYNTAX)
    count = 0 if low_w == high_w else math.floor((high_w - low_w) / step_w + 1e-9)
    wanted = [high_w - number * step_w for number in range(count + 1)]
    kept = {round(min(max(watts, card.low_w), card.high_w), 3) for watts in wanted}
    return tuple(sorted(kept, reverse=True))


def _watts(text: str, card: Range) -> float:
    """One limit: ``70%`` of the default, ``250`` or ``250W``."""
    plain = text.strip()
    percent = plain.endswith("%")
    try:
        value = float(plain.rstrip("%") if percent else plain.upper().removesuffix("W"))
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise BenchError(f"{text!r} is no power limit", SYNTAX)
    return round(value / 100 * card.default_w, 3) if percent else value


def commands(limits_w: Iterable[float], card: Range) -> list[str]:
    """What a sweep does to the card, as the commands that would do the same; the last one puts the old limit back."""
    return [f"nvidia-smi -i {card.uuid} -pl {watts:g}" for watts in (*limits_w, card.now_w)]


def sweep(limiter: Limiter, limits_w: Iterable[float], measure: Callable[[float], Iterable[T]]) -> Iterator[T]:
    """Set each limit and hand on what ``measure(limit in watts)`` yields under it; the old limit is back afterwards.

    Raises:
        BenchError: a limit could not be set or put back; whatever ``measure`` raises.
    """
    with limiter:
        for watts in limits_w:
            yield from measure(limiter.set(watts))


# ---------------------------------------------------------------------------------------------------------------------
# the frontier


@dataclass(frozen=True, slots=True)
class Point:
    """One power limit: means over its valid windows."""

    limit_w: float
    power_w: float
    rate_per_s: float
    work_per_j: float
    windows: int


@dataclass(frozen=True, slots=True)
class Frontier:
    """One workload's rate and efficiency over the limits, lowest first."""

    setting: tuple[tuple[str, object], ...]
    """The columns that name the workload."""
    work_unit: str
    points: tuple[Point, ...]
    best: Point
    """Most work per joule."""
    knee: Point | None
    """Beyond it, further watts bring less than the range's average: the point furthest above the straight line from
    the lowest to the highest. None with fewer than three points, or where the rate hardly moves."""

    @property
    def label(self) -> str:
        """The workload in a few words."""
        return " ".join(str(value) for name, value in self.setting if value is not None and name in SETTING[:7])


def frontiers(records: Iterable[Record]) -> list[Frontier]:
    """The efficiency frontier of each workload among the rows. Rows without joules or a limit, and invalid ones, are
    left out.
    """
    groups: dict[tuple[tuple[str, object], ...], dict[float, list[Record]]] = {}
    for record in records:
        if record.valid and record.verified and record.power_limit_w is not None and record.work_per_j is not None:
            setting = tuple((name, getattr(record, name)) for name in SETTING)
            groups.setdefault(setting, {}).setdefault(record.power_limit_w, []).append(record)
    found = []
    for setting, by_limit in groups.items():
        points = tuple(_point(limit_w, rows) for limit_w, rows in sorted(by_limit.items()))
        unit = next(iter(by_limit.values()))[0].work_unit
        best = max(points, key=lambda point: point.work_per_j)
        found.append(Frontier(setting, unit, points, best, knee(points)))
    return found


def _point(limit_w: float, rows: Sequence[Record]) -> Point:
    work = math.fsum(row.work for row in rows)
    joules = math.fsum(row.energy_j for row in rows if row.energy_j is not None)
    return Point(
        limit_w=limit_w,
        power_w=joules / math.fsum(row.window_s for row in rows),
        rate_per_s=fmean(row.rate_per_s for row in rows),
        work_per_j=work / joules,
        windows=len(rows),
    )


def knee(points: Sequence[Point]) -> Point | None:
    """Where watts stop paying: see :attr:`Frontier.knee`."""
    if len(points) < 3:
        return None
    ordered = sorted(points, key=lambda point: point.power_w)
    first, last = ordered[0], ordered[-1]
    span_w, span_rate = last.power_w - first.power_w, last.rate_per_s - first.rate_per_s
    if span_w <= 0 or span_rate <= FLAT * last.rate_per_s:
        return None

    def above(point: Point) -> float:
        return (point.rate_per_s - first.rate_per_s) / span_rate - (point.power_w - first.power_w) / span_w

    furthest = max(ordered, key=above)
    return furthest if above(furthest) > FLAT else None
