"""A figure that changes with the hour: the price of power, a hashprice, a rent, a demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Series:
    """Equal steps in time, without gaps.

    ``start[i]`` is the beginning of step ``i`` in UTC, ``values[i]`` its figure in ``unit``.
    """

    start: Sequence[datetime]
    values: Sequence[float]
    unit: str
    step_h: float
    source: str = ""
    notes: tuple[str, ...] = ()
    """What was understood or repaired when it was read, a sentence each."""
    zone: str | None = None
    """The time zone that the file's times are in, where its format has one."""
