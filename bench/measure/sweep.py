"""A sweep over power limits: the limits to try, and the equivalent commands.

Pure except for :func:`sweep`, which takes the limiter as an argument and closes it on every exit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from bench.model import BenchError

STEPS = 6
"""Limits in a range without a step of its own."""
MOST_LIMITS = 64
"""A sweep over more takes days."""
SYNTAX = "give a range such as 50%..100%, 200W..400W:50W, or a list such as 200,300,400"

T = TypeVar("T")


class Range(Protocol):
    """The limits that a card accepts, in watts."""

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
    """A card's power limit, restored when the ``with`` block ends (:class:`bench.power.limits.PowerLimiter`)."""

    def set(self, watts: float) -> float: ...


def parse_limits(text: str, card: Range, tell: Callable[[str], object] = lambda _: None) -> tuple[float, ...]:
    """The limits that ``--power-limits`` names, in watts, highest first.

    A range (``50%..100%``, ``200W..400W``, optionally with ``:step``) that reaches beyond what the card accepts is
    clipped, which ``tell`` is given as a sentence. A listed limit must lie within what the card accepts. Percentages
    are of the default limit.

    Raises:
        BenchError: the text cannot be parsed, names more than :data:`MOST_LIMITS` limits, or a listed limit or a whole
            range is outside the card's range.
    """
    low_text, dots, rest = text.partition("..")
    if not dots:
        limits = [_watts(part, card) for part in text.split(",")]
        for watts in limits:
            if not card.low_w <= watts <= card.high_w:
                raise _not_accepted(card, f"a limit of {watts:g} W")
        return _ordered(set(limits))
    high_text, _, step_text = rest.partition(":")
    low_w, high_w = _watts(low_text, card), _watts(high_text, card)
    step_w = _watts(step_text, card) if step_text else (high_w - low_w) / (STEPS - 1)
    if low_w > high_w or (low_w < high_w and step_w <= 0):
        raise BenchError(f"{text!r} is not a range of power limits", SYNTAX)
    if high_w < card.low_w or low_w > card.high_w:
        raise _not_accepted(card, f"limits from {low_w:g} W to {high_w:g} W")
    count = 0 if low_w == high_w else math.floor((high_w - low_w) / step_w + 1e-9)
    if count >= MOST_LIMITS:
        raise _too_many(count + 1)
    wanted = [high_w - number * step_w for number in range(count + 1)]
    kept = _ordered({round(min(max(watts, card.low_w), card.high_w), 3) for watts in wanted})
    if min(wanted) < card.low_w or max(wanted) > card.high_w:
        tell(
            f"{card.name} accepts {card.low_w:g} W to {card.high_w:g} W: of {text!r} the limits "
            f"{', '.join(f'{watts:g} W' for watts in kept)} are measured"
        )
    return kept


def _ordered(limits: set[float]) -> tuple[float, ...]:
    if len(limits) > MOST_LIMITS:
        raise _too_many(len(limits))
    return tuple(sorted(limits, reverse=True))


def _too_many(count: int) -> BenchError:
    return BenchError(f"a sweep over {count} power limits would take days", f"choose at most {MOST_LIMITS}")


def _not_accepted(card: Range, what: str) -> BenchError:
    return BenchError(f"{card.name} does not accept {what}", f"stay between {card.low_w:g} W and {card.high_w:g} W")


def _watts(text: str, card: Range) -> float:
    """One limit: ``70%`` of the default, ``250`` or ``250W``."""
    plain = text.strip()
    percent = plain.endswith("%")
    try:
        value = float(plain.rstrip("%") if percent else plain.upper().removesuffix("W"))
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise BenchError(f"{text!r} is not a power limit", SYNTAX)
    return round(value / 100 * card.default_w, 3) if percent else value


def commands(limits_w: Iterable[float], card: Range) -> list[str]:
    """The commands equivalent to a sweep; the last one restores the old limit."""
    return [f"nvidia-smi -i {card.uuid} -pl {watts:g}" for watts in (*limits_w, card.now_w)]


def sweep(limiter: Limiter, limits_w: Iterable[float], measure: Callable[[float], Iterable[T]]) -> Iterator[T]:
    """Set each limit and yield what ``measure(limit in watts)`` yields under it; the old limit is restored at the end.

    Raises:
        BenchError: a limit could not be set or restored.
        Exception: whatever ``measure`` raises.
    """
    with limiter:
        for watts in limits_w:
            yield from measure(limiter.set(watts))
