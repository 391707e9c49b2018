"""Low, likely and high: how every input and every result of the economics is given."""

from __future__ import annotations

from dataclasses import astuple, dataclass


@dataclass(frozen=True, slots=True)
class Range:
    """Low, likely and high. A bound is None where there is none (a break-even whose denominator changes sign)."""

    low: float | None
    likely: float | None
    high: float | None
    low95: float | None = None
    """Of a result: ends of the interval that holds 95% of the draws; None for an input."""
    high95: float | None = None

    @staticmethod
    def of(value: float) -> Range:
        """A figure without a spread."""
        return Range(value, value, value)

    def times(self, factor: float) -> Range:
        """Each bound times ``factor`` > 0."""
        return Range(*(None if part is None else part * factor for part in astuple(self)))


ZERO, ONE = Range.of(0.0), Range.of(1.0)
