"""Cards whose maker locked a unit: a type, or the hash loop, at a fraction of what the silicon does. Pure.

What tells a lock from a slow card is that something else runs at its full rate: each rate is compared with
multiprocessors × mean clock × work per clock, and a lock is named only where another rate of the same card comes near
its own. Mining cards (CMP 170HX) run fused multiply-add at 1/32 while integers run in full; "LHR" cards the reverse.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.data.architectures import FLOP_PER_SM_CLOCK, HALF_ON_GEFORCE, HASH_CLOCKS
from bench.model import Record

FULL = 0.5
"""A rate of at least this share of the expected one shows that clocks and driver are in order."""
LOCKED = 0.3
"""Below this share a rate cannot be a full one that is merely inefficient. So a lock to one half is not named."""
BUSY_PHASES = ("gemm", "mamf")
"""Phases bound by arithmetic."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One measured rate and what the multiprocessors could do at the mean clock, in the same unit."""

    name: str
    """A type, or ``sha256d``."""
    measured_per_s: float
    expected_per_s: float
    unit: str

    @property
    def share(self) -> float:
        """Of the expected rate."""
        return self.measured_per_s / self.expected_per_s


@dataclass(frozen=True, slots=True)
class Lock:
    """A rate that is locked to about 1/``divisor``."""

    rate: Rate
    divisor: int
    witness: Rate
    """The card's best rate, which shows that its clocks are in order."""


def find(rates: Iterable[Rate]) -> list[Lock]:
    """The locked rates among those of one card; none where no rate comes near its own expectation."""
    listed = [rate for rate in rates if rate.expected_per_s > 0 and rate.measured_per_s > 0]
    witness = max(listed, key=lambda rate: rate.share, default=None)
    if witness is None or witness.share < FULL:
        return []
    return [Lock(rate, divisor(rate.share), witness) for rate in listed if rate.share < LOCKED]


def divisor(share: float) -> int:
    """The power of two that a lock divides by: full rates reach some 80% of the expected one."""
    return 1 << max(1, round(math.log2(0.8 / share)))


def rates(records: Iterable[Record]) -> dict[str, list[Rate]]:
    """Card (label and name) → its best rate of each type and of the hash loop, from valid windows of a full run.

    Cards whose architecture, multiprocessors or mean clock are unknown are left out.
    """
    best: dict[str, dict[str, Rate]] = {}
    for record in records:
        made = _rate(record) if record.valid and record.mode != "smoke" else None
        if made is not None:
            card = best.setdefault(f"{record.device_kind}:{record.device_index} ({record.device_name})", {})
            if made.name not in card or made.share > card[made.name].share:
                card[made.name] = made
    return {card: list(found.values()) for card, found in best.items()}


def _rate(record: Record) -> Rate | None:
    if record.device_kind != "cuda" or not record.device_cores or not record.sm_clock_mhz_mean:
        return None
    arch, clocks = record.device_arch or "", record.device_cores * record.sm_clock_mhz_mean * 1e6
    if record.workload == "sha256d" and arch in HASH_CLOCKS and record.implementation.startswith("cuda-"):
        return Rate("sha256d", record.rate_per_s, clocks / HASH_CLOCKS[arch], "hash/s")
    per_clock: Mapping[str, int] = FLOP_PER_SM_CLOCK.get(arch, {})
    if record.phase not in BUSY_PHASES or record.dtype is None or record.dtype not in per_clock:
        return None
    flop = per_clock[record.dtype]
    if "geforce" in record.device_name.lower() and record.dtype in HALF_ON_GEFORCE.get(arch, set()):
        flop //= 2
    return Rate(record.dtype, record.rate_per_s, clocks * flop, "FLOP/s")
