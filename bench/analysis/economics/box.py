"""A scenario whose inputs are ranges, and what a formula comes to over it: bounds, a 95% interval, what moves it most.

Bounds are a result's least and greatest value over all corners of the inputs. All results of the formulas are linear,
or a quotient of linear terms, in each input alone (in the supply's efficiency through its inverse), so that no point
inside the box lies beyond its corners: the bounds are exact, not sampled. They are the worst and the best case at once.
The interval is another statement: of many scenarios drawn independently from triangles over low, likely and high, 95%
lie in it.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from bench.analysis.economics.formulas import BREAK_EVENS, Inputs, break_even
from bench.analysis.economics.range import Range

if TYPE_CHECKING:
    import numpy as np

DRAWS = 100_000
SEED = 20260520
TAIL = 2.5
"""Per cent of the draws on either side of the interval."""

_NAMES = tuple(entry.name for entry in fields(Inputs))
_DEFAULTS = {entry.name: Range.of(entry.default) for entry in fields(Inputs) if isinstance(entry.default, float)}


@dataclass(frozen=True, slots=True)
class Swing:
    """What one input does to a result, the others at their likely values."""

    name: str
    at_low: float
    at_high: float

    @property
    def size(self) -> float:
        """How far it moves the result."""
        return abs(self.at_high - self.at_low)


class Box:
    """A scenario whose every input is a range.

    Args:
        ranges: by the fields of :class:`Inputs`; those that have a default there may be left out.
    """

    def __init__(self, ranges: Mapping[str, Range]) -> None:
        self.ranges: Mapping[str, Range] = {**_DEFAULTS, **ranges}
        self.likely = Inputs(**{name: self.ranges[name].likely for name in _NAMES})
        self._varying = [name for name in _NAMES if self.ranges[name].low != self.ranges[name].high]

    @functools.cached_property
    def corners(self) -> Inputs:
        """Each input that varies along an axis of its own, so that a formula only spans the inputs that it reads."""
        import numpy as np

        values: dict[str, Any] = {name: self.ranges[name].likely for name in _NAMES}
        for axis, name in enumerate(self._varying):
            shape = [1] * len(self._varying)
            shape[axis] = 2
            values[name] = np.array([self.ranges[name].low, self.ranges[name].high]).reshape(shape)
        return Inputs(**values)

    @functools.cached_property
    def draws(self) -> Inputs:
        """:data:`DRAWS` scenarios, each input from a triangle of its own; always the same ones."""
        values: dict[str, Any] = {name: self.ranges[name].likely for name in _NAMES}
        for name in self._varying:
            span = self.ranges[name]
            values[name] = _triangular(name, span.low or 0.0, span.likely or 0.0, span.high or 0.0)
        return Inputs(**values)

    def over(self, formula: Callable[[Inputs], Any]) -> Range:
        """A result's likely value, its exact bounds over all corners, and its 95% interval."""
        import numpy as np

        values = np.asarray(formula(self.corners), dtype=float)
        return Range(
            float(values.min()), float(formula(self.likely)), float(values.max()), *self._interval(formula(self.draws))
        )

    def break_even(self, name: str) -> Range:
        """A break-even's likely value and its bounds; no bounds where its denominator changes sign in the box."""
        import numpy as np

        terms = BREAK_EVENS[name][2]
        above, below = (np.asarray(part, dtype=float) for part in terms(self.corners))
        likely = break_even(name, self.likely)
        if not (below > 0).all() and not (below < 0).all():
            return Range(None, likely, None)
        values = above / below
        drawn, of = terms(self.draws)
        return Range(float(values.min()), likely, float(values.max()), *self._interval(drawn / of))

    def search(self, formula: Callable[[Inputs], Any]) -> Range:
        """Bounds of a formula that reads too many inputs for all corners, and its interval; see :meth:`ends`."""
        low, high = (float(formula(at)) for at in self.ends(formula))
        return Range(low, float(formula(self.likely)), high, *self._interval(formula(self.draws)))

    def ends(self, formula: Callable[[Inputs], Any]) -> tuple[Inputs, Inputs]:
        """Scenarios of the least and the greatest result.

        From the likely scenario, every input goes to the end that helps, until nothing helps. This is exact where each
        input keeps its direction whatever the others are, and no more than a good guess where one does not.
        """
        return self._furthest(formula, -1), self._furthest(formula, 1)

    def swings(self, formula: Callable[[Inputs], Any]) -> list[Swing]:
        """What each input alone does to a result, the one that moves it most first; those without effect left out."""
        values = self._one_at_a_time(formula, {name: self.ranges[name].likely for name in _NAMES})
        found = [Swing(name, *values[at]) for at, name in enumerate(self._varying)]
        return sorted((swing for swing in found if swing.size > 0), key=lambda swing: -swing.size)

    def _one_at_a_time(self, formula: Callable[[Inputs], Any], base: Mapping[str, Any]) -> np.ndarray:
        """The result with each varying input at its low and its high end: a row per input."""
        import numpy as np

        count = len(self._varying)
        columns: dict[str, Any] = dict(base)
        for at, name in enumerate(self._varying):
            columns[name] = np.full((count, 2), float(base[name]))
            columns[name][at] = self.ranges[name].low, self.ranges[name].high
        return np.broadcast_to(np.asarray(formula(Inputs(**columns)), dtype=float), (count, 2))

    def _furthest(self, formula: Callable[[Inputs], Any], sign: int) -> Inputs:
        base: dict[str, Any] = {name: self.ranges[name].likely for name in _NAMES}
        best = sign * float(formula(self.likely))
        for _round in range(6):
            values = sign * self._one_at_a_time(formula, base)
            moved = dict(base)
            for at, name in enumerate(self._varying):
                low, high = values[at]
                if low != high:
                    moved[name] = self.ranges[name].low if low > high else self.ranges[name].high
            found = sign * float(formula(Inputs(**moved)))
            if not found > best:
                break
            best, base = found, moved
        return Inputs(**base)

    def _interval(self, values: Any) -> tuple[float, float]:
        import numpy as np

        low, high = np.percentile(np.asarray(values, dtype=float), (TAIL, 100 - TAIL))
        return float(low), float(high)


@functools.lru_cache(maxsize=64)
def _uniform(name: str) -> np.ndarray:
    """The same numbers for the same input wherever it stands, so that what two cards share varies in common."""
    import numpy as np

    return np.random.default_rng([SEED, zlib.crc32(name.encode())]).random(DRAWS)


@functools.lru_cache(maxsize=96)
def _triangular(name: str, low: float, likely: float, high: float) -> np.ndarray:
    """Draws of an input: the inverse of the triangle's cumulative distribution."""
    import numpy as np

    width = (high - low) * _uniform(name)
    rising = low + np.sqrt(width * (likely - low))
    falling = high - np.sqrt((high - low - width) * (high - likely))
    return np.where(width < likely - low, rising, falling)
