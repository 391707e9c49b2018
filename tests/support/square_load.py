"""A square load in simulated time: the pattern that ``bitwatt sensor`` runs, and a power curve that follows it."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from bench.measure import square_load
from bench.power.selftest import Load
from tests.fakes.nvml.truth import Curve

POLL_S = square_load.POLL_S
BEGIN_S = 3.0


@dataclass(frozen=True)
class Loaded:
    """True power: ``idle`` and, while the device works, ``load_w`` more."""

    load: Load
    load_w: float
    idle: Curve

    def energy_j(self, start: float, end: float) -> float:
        done = self.load.busy_seconds()(np.array([start, end]))
        return self.idle.energy_j(start, end) + self.load_w * float(done[1] - done[0])


def loaded(
    period_s: float, seed: int, *, seconds: float = 40.0, load_w: float = 330.0, noise_w: float = 4.0
) -> tuple[Loaded, float]:
    """The load for a sensor that updates every ``period_s``, and the time at which it has ended."""
    at_s, block = BEGIN_S, 0
    busy, blocks = [], []
    for stretch in square_load.pattern(period_s, seconds, random.Random(seed)):
        if stretch.block != block:
            block = stretch.block
            blocks.append(at_s)
        busy.append((at_s, at_s + stretch.busy_s))
        at_s += stretch.busy_s + stretch.idle_s
    idle = Curve(points=((0.0, 70.0),), noise_w=noise_w, noise_cell=0.02, noise_seed=seed)
    return Loaded(Load(tuple(busy), tuple(blocks), POLL_S), load_w, idle), at_s + 1.0
