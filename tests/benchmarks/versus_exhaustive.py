"""The search of phase mamf against an exhaustive one over the same grid, live on this CPU.

Usage: python tests/benchmarks/versus_exhaustive.py [--dtype bf16,fp32] [--budget 100] [--passes 2] [--rounds 5]
       [--at-least 0.99] [--lock FILE]

The machine should be idle. For each type: the search with its budget; every shape of the grid, timed briefly
``--passes`` times, the best counting; then the search's winner and the exhaustive pass's best in turns. Some of those
turns choose the winner's best rival, further ones judge the two: the best of many medians taken from the same turns
that judge would be partly luck. Prints the ratio of the sustained rates, the median over neighbouring turns, with its
quartiles; exits 1 below --at-least.
With --lock each stage holds that file's lock, for machines where others measure too.
"""

from __future__ import annotations

import argparse
import fcntl
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.model import Device
from bench.workloads.transformer import dtypes, mamf
from bench.workloads.transformer.mamf import Point, ShapeTimer
from bench.workloads.transformer.options import SEARCH_BUDGET_S

CPU = Device("cpu", 0, "cpu")
TOP = 12
"""Shapes of the exhaustive pass that are timed in turns with the search's winner."""
TURN_S = 0.2
PAIRS = 60
PAIR_S = 0.15


@contextmanager
def held(lock: Path | None) -> Iterator[None]:
    if lock is None:
        yield
        return
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def in_turns(bench: ShapeTimer, points: list[Point], rounds: int, lock: Path | None) -> dict[Point, float]:
    """Median FLOP/s of each shape; every other round runs backwards, so that a drift falls on all alike."""
    rates: dict[Point, list[float]] = {point: [] for point in points}
    with held(lock):
        for number in range(rounds):
            for point in points if number % 2 else reversed(points):
                rates[point].append(bench.measure(point, TURN_S).flops_per_s)
    return {point: statistics.median(values) for point, values in rates.items()}


def exhaustive(bench: ShapeTimer, grid: mamf.Grid, passes: int, lock: Path | None) -> list[Point]:
    """Every shape, best first."""
    best: dict[Point, float] = {}
    for _ in range(passes):
        with held(lock):
            for point in grid.points():
                best[point] = max(best.get(point, 0.0), bench.measure(point, mamf.BURST_S).flops_per_s)
    return sorted(best, key=lambda point: -best[point])


def compare(name: str, budget_s: float, passes: int, rounds: int, lock: Path | None) -> float:
    """Sustained rate of the search's winner ÷ that of the best shape there is."""
    grid = mamf.default_grid(CPU)
    with held(lock):
        start = time.monotonic()
        variant, table = mamf.search(CPU, name, budget_s)
        took = time.monotonic() - start
    won = mamf.parse(variant.shape or "")
    timed = len({trial.point for trial in table})
    print(f"{name}: the search took {took:.0f} s, timed {timed} of {len(list(grid.points()))} shapes, found {won}")
    bench = ShapeTimer(CPU, dtypes.lookup(name), grid)
    start = time.monotonic()
    ranked = exhaustive(bench, grid, passes, lock)
    took = time.monotonic() - start
    print(f"{name}: {passes} exhaustive passes in {took:.0f} s; the winner came {ranked.index(won) + 1}.")
    points = list(dict.fromkeys([won, *ranked[:TOP]]))
    choosing = in_turns(bench, points, rounds, lock)
    rival = max((point for point in points if point != won), key=lambda point: choosing[point])
    for point in sorted(points, key=lambda point: -choosing[point])[:5]:
        print(f"{name}:   {point}: {choosing[point] / 1e9:.1f} GFLOP/s{'  found' if point == won else ''}")
    with held(lock):
        pairs = paired(bench, won, rival)
    bench.close()
    low, ratio, high = statistics.quantiles(pairs, n=4)
    print(f"{name}: {won} ÷ best other {rival}: {ratio:.3f} (quartiles {low:.3f}, {high:.3f})", flush=True)
    return ratio


def paired(bench: ShapeTimer, won: Point, rival: Point) -> list[float]:
    """Ratios of neighbouring turns, the order swapped from pair to pair."""
    ratios = []
    for number in range(PAIRS):
        order = (won, rival) if number % 2 else (rival, won)
        rates = {point: bench.measure(point, PAIR_S).flops_per_s for point in order}
        ratios.append(rates[won] / rates[rival])
    return ratios


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", default="bf16,fp32")
    parser.add_argument("--budget", type=float, default=SEARCH_BUDGET_S)
    parser.add_argument("--passes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--at-least", type=float, default=0.99)
    parser.add_argument("--lock", type=Path)
    asked = parser.parse_args()
    ratios = [compare(name, asked.budget, asked.passes, asked.rounds, asked.lock) for name in asked.dtype.split(",")]
    print(f"least ratio {min(ratios):.3f}; wanted {asked.at_least:.2f}")
    return 0 if min(ratios) >= asked.at_least else 1


if __name__ == "__main__":
    sys.exit(main())
