"""The one table of metrics: what each is called, its unit, and the words for a ratio. Everything else reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """One column of results that is compared."""

    name: str
    """The column's name."""
    unit_pattern: str
    """Its unit; ``{work}`` is the workload's own unit, ``hash`` or ``FLOP``."""
    heading: str
    """Title of its column in a table."""
    above: str
    """Verdict for a ratio above one …"""
    below: str
    """… and below one. More watts are neither faster nor better."""
    energy: bool = False
    """Whether it rests on a power reading."""
    multiple_of: str | None = None
    """The measured metric of which this modelled one is a fixed multiple for one task: their ratios are the same."""

    def unit(self, work_unit: str) -> str:
        """``hash/s`` for a rate of hashes."""
        return self.unit_pattern.format(work=work_unit)


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("rate_per_s", "{work}/s", "rate", "faster", "slower"),
        Metric("power_mean_w", "W", "power", "more", "less", energy=True),
        Metric("work_per_j", "{work}/J", "work per joule", "better", "worse", energy=True),
        Metric("tokens_per_s", "tokens/s", "tokens/s (modelled)", "faster", "slower", multiple_of="rate_per_s"),
        Metric(
            "tokens_per_j",
            "tokens/J",
            "tokens/J (modelled)",
            "better",
            "worse",
            energy=True,
            multiple_of="work_per_j",
        ),
    )
}
"""By name, in the order in which tables show them."""
