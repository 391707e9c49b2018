"""One compared quantity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.model.task import TaskKey


@dataclass(frozen=True, slots=True)
class Comparison:
    """One quantity of one device × workload × setting against its baseline."""

    key: Mapping[str, Any]
    """The columns that name this group (device, workload, setting)."""
    metric: str
    """``rate_per_s``, ``power_mean_w``, ``work_per_j``, ``tokens_per_s`` or ``tokens_per_j``."""
    unit: str
    repeats: int
    value: float | None
    low: float | None
    high: float | None
    """``low`` and ``high`` bound the 95% interval of ``value``."""
    t_low: float | None = None
    t_high: float | None = None
    """The same interval by Student's t on all windows, for comparison with other tools."""
    covers: str | None = None
    """What the interval of ``value`` covers: ``within this run`` or ``between runs``."""
    role: str | None = None
    """``stock``, ``best`` (of a sweep, the most work per joule) or ``other``: how the setting takes part in ratios."""
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    verdict: str = "cannot tell"
    """``faster``, ``slower`` (watts: ``more``, ``less``; per joule: ``better``, ``worse``), ``same``, ``cannot tell``,
    ``not compared``, ``invalid``, ``baseline`` or ``published``."""
    reason: str | None = None
    p_value: float | None = None
    """Probability of a ratio this far from 1 if both sides were equal, before the allowance for many comparisons."""

    @property
    def task(self) -> TaskKey:
        """What was done, without the device and its setting."""
        return TaskKey.of(self.key)
