"""Low, likely and high: how every input and every result of the economics is given."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Range:
    """Low, likely and high. A bound is None where there is none (a break-even whose denominator changes sign)."""

    low: float | None
    likely: float | None
    high: float | None

    @staticmethod
    def of(value: float) -> Range:
        """A figure without a spread."""
        return Range(value, value, value)

    def times(self, factor: float) -> Range:
        """Each bound times ``factor`` > 0."""
        return Range(*(None if part is None else part * factor for part in (self.low, self.likely, self.high)))
