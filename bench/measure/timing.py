"""How long things take: the presets, and what a user may ask for in their place."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from bench.model import BenchError, Sensor
from bench.model.options import flag, option_group

STEADY_BLOCKS = 3
"""Blocks of a warm-up that must agree before it counts as steady."""
LONGEST_S = 86400.0
"""A longer window or warm-up is a slip of the keyboard."""
MOST_REPEATS = 10_000


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations in seconds, settled for one run. ``mode`` labels the rows."""

    mode: str
    window_s: float
    warmup_min_s: float
    warmup_max_s: float
    block_s: float
    idle_s: float
    launch_s: float = 0.25
    """Target length of one launch; each varies at random by ±40% so that no launch rhythm beats with a sensor's."""
    repeats: int = 1
    settle_s: float = 0.5
    """Work before each later window of a variant: caches and clocks come back, nothing is judged."""
    stop: Literal["count", "half-width", "entropy"] = "count"
    """Rule that may end a variant's windows before ``repeats`` (:mod:`bench.measure.stopping`)."""
    budget_s: float | None = None
    """Begin no further round of repeats that would end later than this after the start; None: do all repeats."""

    @property
    def judges_steady(self) -> bool:
        """Whether the warm-up is long enough to hold the blocks that must agree."""
        return self.warmup_max_s >= STEADY_BLOCKS * self.block_s

    def planned_s(self, variants: int) -> float:
        """How long a pass over so many variants takes, without the time to build and verify them."""
        each_s = self.warmup_max_s + self.repeats * self.window_s + (self.repeats - 1) * self.settle_s
        return min(variants * each_s + 2 * self.idle_s, self.budget_s or math.inf)


@option_group("Timing", 5)
@dataclass(frozen=True, kw_only=True)
class TimingOptions:
    """How long windows and warm-up are, and how often each variant is measured.

    Raises:
        BenchError: a duration or count out of range, or two modes at once.
    """

    window_s: float | None = None
    """Length of a window in seconds; default: 10, or 1 where no power is read."""
    repeats: int | None = None
    """Windows per variant; default: 5, or 12 where no power is read."""
    warmup_s: float | None = None
    """Longest warm-up in seconds; default: 20, or 2 where no power is read."""
    stop: Literal["count", "half-width", "entropy"] = "count"
    """count measures all windows; half-width stops a variant at ±1%, entropy once windows bring nothing new."""
    thorough: bool = False
    """Windows of 30 s, eight of them, warm-up up to 60 s: about an hour per GPU."""
    quick: bool = False
    """One window of 5 s per variant; the rows are labelled quick."""
    smoke: bool = False
    """The smallest set of variants in 1 s windows, for CI; the rows are labelled smoke."""
    seed: int | None = None
    """Seed of headers, inputs and launch sizes; default: the time."""
    wait_idle_s: float | None = None
    """Wait up to this many seconds until no other program keeps the machine busy."""

    def __post_init__(self) -> None:
        if self.quick + self.smoke + self.thorough > 1:
            raise BenchError("--quick, --smoke and --thorough exclude each other", "give one of them")
        if self.window_s is not None and not self.window_s >= 0.1:
            raise BenchError(f"a window of {self.window_s:g} s is too short to time", "use --window 0.1 or more")
        if self.repeats is not None and not 1 <= self.repeats <= MOST_REPEATS:
            raise BenchError(
                f"{self.repeats} windows per variant cannot be measured", f"use --repeats 1 to {MOST_REPEATS}"
            )
        if self.warmup_s is not None and not self.warmup_s >= 0:
            raise BenchError("warm-up must be ≥ 0 s", "use --warmup 0 or more")
        if self.wait_idle_s is not None and not self.wait_idle_s >= 0:
            raise BenchError("the wait must be ≥ 0 s", "use --wait-idle 0 or more")
        for name in ("window_s", "warmup_s", "wait_idle_s"):
            value = getattr(self, name)
            if value is not None and value > LONGEST_S:
                raise BenchError(
                    f"{flag(name)} {value:g} is longer than a day", f"use {flag(name)} {LONGEST_S:g} or less"
                )
        if self.seed is not None and not 0 <= self.seed < 2**63:
            raise BenchError(f"{self.seed} cannot be a seed", "use --seed 0 to 9223372036854775807")

    @property
    def mode(self) -> Literal["standard", "quick", "smoke", "thorough"]:
        """Label of the rows."""
        return "smoke" if self.smoke else "quick" if self.quick else "thorough" if self.thorough else "standard"


def timing(options: TimingOptions, *, metered: bool) -> Timing:
    """The durations that ``options`` amount to.

    Many short windows beat few long ones: an interval from two windows says nothing. Without watts a window is 1 s;
    with them it is 10 s, which holds enough sensor updates for 0.3% of energy uncertainty from the edges.

    Args:
        options: the mode, and what replaces the mode's own durations.
        metered: whether a power sensor is read.
    """
    if options.smoke:
        base = Timing("smoke", 1.0, 0.3, 0.5, 0.25, 0.5, launch_s=0.05, settle_s=0.3)
    elif options.quick:
        base = Timing("quick", 5.0, 2.0, 6.0, 1.0, 2.0)
    elif options.thorough:
        base = Timing("thorough", 30.0, 5.0, 60.0, 2.0, 5.0, repeats=8, settle_s=5.0)
    elif metered:
        base = Timing("standard", 10.0, 5.0, 20.0, 2.0, 5.0, repeats=5, settle_s=2.0, budget_s=840.0)
    else:
        base = Timing("standard", 1.0, 1.0, 2.0, 0.5, 0.0, launch_s=0.1, repeats=12, settle_s=0.15, budget_s=180.0)
    base = replace(base, stop=options.stop)
    if not metered:
        base = replace(base, idle_s=0.0)
    if options.window_s is not None:
        base = replace(base, window_s=options.window_s)
    if options.repeats is not None:
        # A number of windows that was asked for is what is run.
        base = replace(base, repeats=options.repeats, budget_s=None)
    if options.warmup_s is not None:
        shortest = min(base.warmup_min_s, options.warmup_s)
        block = min(base.block_s, max(options.warmup_s / STEADY_BLOCKS, 0.02))
        base = replace(
            base,
            warmup_min_s=shortest,
            warmup_max_s=options.warmup_s,
            block_s=block,
            settle_s=min(base.settle_s, options.warmup_s),
        )
    return base


def reads_watts(sensor: Sensor) -> bool:
    """Whether a sensor is really read: neither absent nor a constant that the user assumed."""
    return sensor.source not in ("none", "assumed")
