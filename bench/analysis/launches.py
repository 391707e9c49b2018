"""The launches inside a window: whether they depend on one another. Pure.

    note = storage.read_sidecar(path).windows[0]
    lag1_autocorrelation(launch_rates(note))      # 0: independent; near 1: the rate wanders slowly
    batch_means(launch_rates(note), 4)            # their scatter shows what the launches' own scatter hides

Each sidecar keeps the length and iterations of every launch, so that an interval from windows can be checked against
one from batch means (Law, Simulation Modeling and Analysis, section 9.5).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from bench.model.power import Window
from bench.model.sidecar import WindowNote

LEAST_LAUNCHES = 8
"""With fewer, an autocorrelation says nothing: its own deviation is 1/√n."""


def launch_rates(window: Window | WindowNote) -> tuple[float, ...]:
    """Iterations per second of each launch, in order; empty for a file written before launches were kept."""
    pairs = zip(window.launch_iterations, window.launch_us, strict=True)
    return tuple(size / (length_us / 1e6) for size, length_us in pairs if length_us)


def lag1_autocorrelation(values: Sequence[float]) -> float | None:
    """Correlation of each value's logarithm with the next one's; None with fewer than eight values or no scatter.

    Raises:
        ValueError: a value that is not above 0.
    """
    if len(values) < LEAST_LAUNCHES:
        return None
    logs = [math.log(value) for value in values]
    mean = math.fsum(logs) / len(logs)
    off = [value - mean for value in logs]
    squares = math.fsum(value**2 for value in off)
    return math.fsum(one * other for one, other in itertools.pairwise(off)) / squares if squares else None


def batch_means(values: Sequence[float], batches: int) -> tuple[float, ...]:
    """Means of ``batches`` equally long stretches of consecutive values; the first values that are over are left out.

    Raises:
        ValueError: fewer values than batches, or no batch.
    """
    if not 1 <= batches <= len(values):
        raise ValueError(f"{len(values)} values do not fill {batches} batches")
    size = len(values) // batches
    kept = values[len(values) - size * batches :]
    return tuple(math.fsum(kept[at : at + size]) / size for at in range(0, len(kept), size))
