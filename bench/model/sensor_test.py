"""What a self-test of a power sensor finds: its properties, and one estimate of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PROPERTIES: Mapping[str, tuple[str, str]] = {
    "update_period_s": ("update period of the power reading", "s"),
    "averaging_s": ("time over which a reading averages", "s"),
    "duty": ("share of an update period that is sampled", ""),
    "delay_s": ("delay of the reading", "s"),
    "rise_s": ("rise time, 10% to 90%", "s"),
    "step_w": ("change of the reading under this load", "W"),
    "noise_w": ("scatter of neighbouring readings, steady load", "W"),
    "last_digit_w": ("last digit of the reading", "W"),
    "fit": ("share of the readings' variance that is explained", ""),
    "counter_period_s": ("update period of the energy counter", "s"),
    "counter_delay_s": ("delay of the energy counter", "s"),
    "counter_tick_j": ("last digit of the energy counter", "J"),
}
"""Each property with its meaning and unit, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One property. ``value`` is None where it was not seen, and ``note`` says why."""

    value: float | None
    half_width: float | None = None
    """95%."""
    unit: str = ""
    note: str = ""
