"""Options of the bandwidth workload."""

from __future__ import annotations

from dataclasses import dataclass

from bench.model import BenchError
from bench.model.options import Names, option_group

PATTERNS = ("copy", "triad")


@option_group("Bandwidth", 4)
@dataclass(frozen=True, kw_only=True)
class BandwidthOptions:
    """Which patterns of access are measured.

    Raises:
        BenchError: an unknown pattern, or none.
    """

    pattern: Names = PATTERNS
    """copy (a = b) and triad (a = b + 3·c), over arrays far larger than the cache."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.pattern if name not in PATTERNS]
        if unknown or not self.pattern:
            said = f"there is no pattern named {unknown[0]!r}" if unknown else "no pattern is named"
            raise BenchError(said, f"choose from {', '.join(PATTERNS)}")
