"""What tests of a power sensor find: its properties, each with an estimate; its gain and offset."""

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


@dataclass(frozen=True, slots=True)
class Level:
    """The mean power of one window by both meters, in watts, with 95% half-widths."""

    true_w: float
    true_half_w: float
    reading_w: float
    reading_half_w: float


@dataclass(frozen=True, slots=True)
class Line:
    """reading = gain × true + offset."""

    gain: float
    offset_w: float
    gain_uncertainty: float
    """Relative, 95%."""
    offset_uncertainty_w: float
    """95%."""
    scatter: float
    """Root of chi² per degree of freedom: above 1 where the windows differ by more than their half-widths say."""
