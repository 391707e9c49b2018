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
    """The columns that name this line (device, workload, setting)."""
    metric: str
    """``rate_per_s``, ``power_mean_w``, ``work_per_j``, ``tokens_per_s`` or ``tokens_per_j``."""
    unit: str
    repeats: int
    value: float | None
    low: float | None
    high: float | None
    """``low`` and ``high`` bound the 95% interval of ``value``."""
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    verdict: str = "cannot tell"
    """``faster``, ``slower`` (watts: ``more``, ``less``; per joule: ``better``, ``worse``), ``same``, ``cannot tell``,
    ``invalid``, ``baseline`` or ``published``."""
    reason: str | None = None

    @property
    def task(self) -> TaskKey:
        """What was done, without the device and its setting."""
        return TaskKey.of(self.key)
