"""A scenario whose inputs are ranges, and the bounds of any formula over it.

A result's bounds are its least and greatest value over all corners of the inputs. All results are linear, or a quotient
of linear terms, in each input alone, so that no point inside the box lies beyond its corners: the bounds are exact, not
sampled. They are the worst and the best case at once, not a 95% interval.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from bench.analysis.economics.formulas import BREAK_EVENS, Inputs, break_even
from bench.analysis.economics.range import Range


@dataclass(frozen=True, slots=True)
class Box:
    """A scenario whose every input is a range."""

    likely: Inputs
    corners: Inputs
    """Arrays over all corners."""

    @staticmethod
    def of(ranges: Mapping[str, Range]) -> Box:
        """From a range for each field of :class:`Inputs`."""
        import numpy as np

        names = [entry.name for entry in fields(Inputs)]
        ends = [tuple(dict.fromkeys((ranges[name].low, ranges[name].high))) for name in names]
        table = np.array(list(itertools.product(*ends)), dtype=float)
        return Box(
            Inputs(**{name: ranges[name].likely for name in names}),
            Inputs(**{name: table[:, place] for place, name in enumerate(names)}),
        )

    def over(self, formula: Callable[[Inputs], Any]) -> Range:
        """A result's likely value and its bounds over all corners."""
        import numpy as np

        values = np.asarray(formula(self.corners), dtype=float)
        return Range(float(values.min()), float(formula(self.likely)), float(values.max()))

    def break_even(self, name: str) -> Range:
        """A break-even's likely value and its bounds; no bounds where its denominator changes sign in the box."""
        import numpy as np

        above, below = (np.asarray(part, dtype=float) for part in BREAK_EVENS[name][2](self.corners))
        likely = break_even(name, self.likely)
        if not (below > 0).all() and not (below < 0).all():
            return Range(None, likely, None)
        values = above / below
        return Range(float(values.min()), likely, float(values.max()))
