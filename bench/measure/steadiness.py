"""Whether a warm-up has come to rest. Thresholds are this project's own (docs/method.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from bench.measure.timing import STEADY_BLOCKS

RATE = 0.005
POWER = 0.01
SLOPE_C_PER_S = 0.1
STEP_C = 1.0
"""Sensors count whole degrees: one step over the blocks is no slope."""


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of the warm-up."""

    rate_per_s: float
    power_w: float | None
    temperature_c: float | None


def moved(blocks: Sequence[Block], block_s: float) -> str | None:
    """What still moves over the last blocks, with its size; None where rate, power and temperature stand still."""
    last = blocks[-STEADY_BLOCKS:]
    if len(last) < STEADY_BLOCKS:
        return f"only {len(last)} blocks of {block_s:g} s"
    moving = []
    rate = _spread([block.rate_per_s for block in last])
    if rate > RATE:
        moving.append(f"rate by {rate:.1%}")
    watts = [block.power_w for block in last if block.power_w is not None]
    if len(watts) == len(last) and _spread(watts) > POWER:
        moving.append(f"power by {_spread(watts):.1%}")
    degrees = [block.temperature_c for block in last if block.temperature_c is not None]
    if len(degrees) == len(last):
        change = degrees[-1] - degrees[0]
        if abs(change) > STEP_C and abs(change) / ((len(last) - 1) * block_s) > SLOPE_C_PER_S:
            moving.append(f"temperature by {change:+.1f} °C")
    return ", ".join(moving) or None


def _spread(values: Sequence[float]) -> float:
    mean = fmean(values)
    return (max(values) - min(values)) / mean if mean else float("inf")
