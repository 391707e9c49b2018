"""Clocks-event reasons (throttle reasons): the one table of their names, bits and meanings.

Source: ``nvmlClocksEventReasons`` in nvml.h. Readings, CSV cells and charts use ``name``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ThrottleReason:
    """One reason for which a GPU's clocks are below what was asked for."""

    name: str
    bit: int
    """Bit in NVML's mask."""
    meaning: str
    """A few words, for a legend."""
    invalidates: bool = False
    """Whether a window under this reason does not show what the card can do. A software power cap is normal: it is
    how a power limit works."""


REASONS = (
    ThrottleReason("gpu_idle", 0x1, "idle"),
    ThrottleReason("application_clocks", 0x2, "set clocks"),
    ThrottleReason("sw_power_cap", 0x4, "power cap"),
    ThrottleReason("hw_slowdown", 0x8, "hardware slowdown", invalidates=True),
    ThrottleReason("sync_boost", 0x10, "sync boost"),
    ThrottleReason("sw_thermal", 0x20, "thermal, software", invalidates=True),
    ThrottleReason("hw_thermal", 0x40, "thermal, hardware", invalidates=True),
    ThrottleReason("hw_power_brake", 0x80, "power brake", invalidates=True),
    ThrottleReason("display_clocks", 0x100, "display clocks"),
    ThrottleReason("board_limit", 0x200, "board limit"),
    ThrottleReason("reliability", 0x400, "reliability"),
)

BY_NAME = {reason.name: reason for reason in REASONS}
INVALIDATING = frozenset(reason.name for reason in REASONS if reason.invalidates)
_KNOWN_BITS = sum(reason.bit for reason in REASONS)


def reason_names(mask: int) -> tuple[str, ...]:
    """Names of the bits set in NVML's mask; a bit without a name in the table is kept as ``unknown_0x…``."""
    known = [reason.name for reason in REASONS if mask & reason.bit]
    rest = mask & ~_KNOWN_BITS
    unknown = [f"unknown_{1 << place:#x}" for place in range(rest.bit_length()) if rest >> place & 1]
    return (*known, *unknown)


def meaning(name: str) -> str:
    """A reason in a few words; an unknown one by its own name."""
    return BY_NAME[name].meaning if name in BY_NAME else name.replace("_", " ")
