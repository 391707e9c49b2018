"""The fake NVML library's script, and what is true under it: the same arithmetic as nvml.c, in Python."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MASK = (1 << 64) - 1
ROOT_12 = 3.4641016151377544


def uniform(seed: int, index: int) -> float:
    """Splitmix64 of seed and index, in [-0.5, 0.5)."""
    z = (seed * 0x9E3779B97F4A7C15 + index * 0xD1B54A32D192ED03 + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    z ^= z >> 31
    return (z >> 11) / 9007199254740992.0 - 0.5


@dataclass(frozen=True)
class Curve:
    """True power against time: points joined by lines (two at one time: a step), a square wave on top, noise in cells.

    Times in seconds after the origin, powers in watts. The noise is uniform with standard deviation ``noise_w``.
    """

    points: tuple[tuple[float, float], ...] = ((0.0, 100.0),)
    square_period: float = 0.0
    square_duty: float = 0.5
    square_high: float = 0.0
    square_phase: float = 0.0
    noise_w: float = 0.0
    noise_cell: float = 0.01
    noise_seed: int = 1
    _noise_sums: list[float] = field(default_factory=lambda: [0.0], repr=False, compare=False)

    def _points_j(self, t: float) -> float:
        joules, at, watts = 0.0, 0.0, self.points[0][1]
        for time, following in self.points:
            if at >= t:
                break
            if time <= at:
                watts = following
                continue
            to = min(time, t)
            end = watts + (following - watts) * (to - at) / (time - at)
            joules += (watts + end) / 2 * (to - at)
            at, watts = to, (end if to < time else following)
        return joules + (watts * (t - at) if t > at else 0.0)

    def _square_j(self, t: float) -> float:
        if self.square_period <= 0:
            return 0.0
        u = t + self.square_phase
        whole = math.floor(u / self.square_period)
        on = self.square_period * self.square_duty
        return (whole * on + min(u - whole * self.square_period, on)) * self.square_high

    def _noise_j(self, t: float) -> float:
        """Joules of the noise from 0 to ``t`` ≥ 0; whole cells are summed once and kept."""
        if self.noise_w <= 0:
            return 0.0
        cell = math.floor(t / self.noise_cell)
        while len(self._noise_sums) <= cell:
            index = len(self._noise_sums) - 1
            step = self.noise_w * ROOT_12 * uniform(self.noise_seed, index) * self.noise_cell
            self._noise_sums.append(self._noise_sums[-1] + step)
        rest = self.noise_w * ROOT_12 * uniform(self.noise_seed, cell) * (t - cell * self.noise_cell)
        return self._noise_sums[cell] + rest

    def energy_j(self, start: float, end: float) -> float:
        """True joules of [start, end]."""
        whole = self._points_j(end) - self._points_j(start) + self._square_j(end) - self._square_j(start)
        if start < 0:  # the script begins at 0; before it, only a sensor's first look
            return whole
        return whole + self._noise_j(end) - self._noise_j(start)


@dataclass(frozen=True)
class Card:
    """One card of the script: a curve, a sensor model and faults. Names are the script's keys."""

    uuid: str
    curve: Curve = field(default_factory=Curve)
    keys: dict[str, Any] = field(default_factory=dict)
    spans: tuple[tuple[str, tuple[float, ...]], ...] = ()
    """Repeatable keys: ``("fail", (from, to))``, ``("throttle", (from, to, mask))``."""

    def lines(self) -> list[str]:
        curve = self.curve
        lines = [f"gpu {self.uuid}"]
        lines += [f"power {time!r} {watts!r}" for time, watts in curve.points]
        names = ("square_period", "square_duty", "square_high", "square_phase", "noise_w", "noise_cell", "noise_seed")
        lines += [f"{name} {getattr(curve, name)!r}" for name in names]
        lines += [f"{key} {value}" for key, value in self.keys.items()]
        lines += [f"{key} {' '.join(map(repr, values))}" for key, values in self.spans]
        return lines


def write_script(path: Path, origin_ns: int, *cards: Card) -> Path:
    """Write the script of these cards, in NVML's order, with time zero at ``origin_ns`` of CLOCK_MONOTONIC."""
    lines = [f"origin_ns {origin_ns}"]
    for card in cards:
        lines += card.lines()
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path
