"""Phase ``mamf``: the shape at which a device multiplies fastest, found by a coarse-to-fine search.

MAMF, the maximum achievable matmul FLOP/s (Stas Bekman's term, "Machine Learning Engineering"), is what a device
reaches in practice, where its stated peak assumes a clock that it may not hold. The search times a coarse grid of
m × n × k, then finer ones around the best, and times the finalists again in rounds, since the best of many short
timings is partly luck. Each shape's output is checked before it is timed, and weights rotate past the last-level cache
as in every other phase. The winner then becomes an ordinary variant, which the runner measures under the meter.
"""

from __future__ import annotations

import itertools
import math
import re
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from bench.model import BenchError, Device, Skip, Variant
from bench.workloads.transformer import dtypes, freivalds, gemm, memory, torch_device
from bench.workloads.transformer.dtypes import Dtype
from bench.workloads.transformer.inputs import Values
from bench.workloads.transformer.job import MAX_COPIES, SEED, poison
from bench.workloads.transformer.options import SEARCH_BUDGET_S, settings_of
from bench.workloads.transformer.shapes import Product

Point = tuple[int, int, int]
"""m, n, k."""

PLANE_SHARES = 0.5, 0.75
"""Shares of the search's time after which the first and second plane of m × n are abandoned."""
COLUMNS = 12
"""Pairs of m and n for which every k is tried."""
PATIENCE = 12
"""Points whose neighbours bring no improvement before a search with time left gives up."""
FINALISTS = 32
"""Shapes that are timed again in rounds. The slower half is dropped repeatedly, until one is left."""
FINAL_SHARE = 0.25
"""Share of the budget reserved for the finalists; time that the search does not use is added."""
TURN_S = 0.15
"""Length of a finalist's timing: short, so that many rounds fit and a disturbance affects few of them."""
CUBE_S = 1.0
"""A cube is tried unless it would take longer at the best rate so far: the smallest show too low a rate."""
BURST_S = 0.06
"""Length of one short timing."""
CHECK_ROWS, CHECK_COLUMNS = 64, 256
"""Part of each product that is checked before timing; the winner is checked in full when it is built."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Sizes to try along each axis, ascending."""

    m: tuple[int, ...]
    n: tuple[int, ...]
    k: tuple[int, ...]

    def points(self) -> Iterable[Point]:
        """All of them."""
        return itertools.product(self.m, self.n, self.k)

    @property
    def axes(self) -> tuple[tuple[int, ...], ...]:
        return self.m, self.n, self.k


CPU_AXIS = (128, 256, 384, 512, 768, 1024, 1536, 2048, 3072)
GPU_AXIS = (1024, 2048, 3072, 4096, 5120, 6144, 8192, 10240, 12288, 16384, 20480)


def default_grid(device: Device) -> Grid:
    """Sizes from where a device of this kind becomes efficient to where it gains no more."""
    axis = CPU_AXIS if device.kind == "cpu" else GPU_AXIS
    return Grid(axis, axis, axis)


@dataclass(frozen=True, slots=True)
class Trial:
    """One timing. ``final`` marks the finalists' timings, which are longer than those of the search."""

    m: int
    n: int
    k: int
    flops_per_s: float
    seconds: float
    final: bool = False

    @property
    def point(self) -> Point:
        return self.m, self.n, self.k

    @property
    def shape(self) -> str:
        return f"{self.m}x{self.n}x{self.k}"


Measure = Callable[[Point, float], Trial]
"""(m, n, k), seconds to spend → the timing."""

Attempt = Callable[..., None]
"""Points, and optionally the share of the search's time after which no more of them are timed, and the seconds that
one product may take."""

Progress = Callable[[float, str], None]
"""Share of the budget that is spent, 0 to 1, and a line that describes the latest timing."""


def search(
    device: Device,
    dtype_name: str,
    budget_s: float = SEARCH_BUDGET_S,
    progress: Progress | None = None,
    *,
    grid: Grid | None = None,
    measure: Measure | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Variant, list[Trial]]:
    """The shape with the highest sustained matmul rate, and every timing made.

    The finalists' medians come first: the winner, then the others from the last dropped to the first; then the short
    timings, fastest first.

    Args:
        device: where to multiply.
        dtype_name: ``fp32`` … ``int8``.
        budget_s: seconds after which the search stops with what it has.
        progress: called after every timing; None for silence.
        grid: sizes to try; the default suits the kind of device.
        measure: times one shape; by default on the device.
        clock: a monotonic clock in seconds.

    Raises:
        BenchError: an unknown type, a budget that is not > 0, or a wrong product.
        Skip: the device lacks the type or the memory.
    """
    if not budget_s > 0:
        raise BenchError(f"a search needs a budget > 0 s, not {budget_s:g} s", "give a budget of some seconds")
    dtype = dtypes.lookup(dtype_name)
    grid = grid or default_grid(device)
    bench = None
    if measure is None:
        dtypes.require(device, dtype)
        grid = _fitting(device, dtype, grid)
        bench = ShapeTimer(device, dtype, grid)
        measure = bench.measure
    trials: dict[Point, Trial] = {}
    # Filling the buffers, which may take longer than a short search, is not part of the budget.
    start = clock()
    search_end = start + budget_s * (1 - FINAL_SHARE)

    def spent() -> float:
        return min(1.0, (clock() - start) / budget_s)

    def report(trial: Trial) -> None:
        if progress is not None:
            best = max([*trials.values(), trial], key=lambda t: t.flops_per_s)
            progress(spent(), f"{trial.shape}: {trial.flops_per_s / 1e12:.3g} TFLOP/s, best {best.shape}")

    def attempt(points: Iterable[Point], share: float = 1.0, most_s: float = budget_s / 50) -> None:
        end = start + share * (search_end - start)
        for point in points:
            if clock() >= end and trials:
                return
            if point not in trials and not _too_long(point, trials, most_s):
                trials[point] = measure(point, BURST_S)
                report(trials[point])

    try:
        _descend(grid, attempt, trials)
        if not trials:
            raise BenchError("no shape of the grid could be timed in the budget", "give the search more seconds")
        finalists = sorted(trials, key=lambda point: -trials[point].flops_per_s)[:FINALISTS]
        finals = _race(finalists, measure, start + budget_s, clock, report)
    finally:
        if bench is not None:
            bench.close()
    table = finals + sorted(trials.values(), key=lambda trial: -trial.flops_per_s)
    return Variant("transformer", "mamf", finals[0].shape, dtype_name), table


def _race(
    points: list[Point], measure: Measure, end: float, clock: Callable[[], float], report: Callable[[Trial], None]
) -> list[Trial]:
    """Time points in rounds and halve their number until one is left; the winner first, then the last dropped.

    Every round times all remaining points, so heat and other work on the machine affect all of them, and medians over
    the same rounds can be compared. Halving spends the time on points that are hard to report apart.
    """
    rounds: dict[Point, list[Trial]] = {point: [] for point in points}
    alive = points

    def rate(point: Point) -> float:
        return statistics.median(trial.flops_per_s for trial in rounds[point])

    stages = max(1, math.ceil(math.log2(len(points))))
    for left in range(stages, 0, -1):
        # Checks and warm-ups take the rest.
        stage_s = 0.8 * max(0.0, end - clock()) / left
        count = max(1, int(stage_s / (len(alive) * TURN_S)))
        turn_s = max(BURST_S, stage_s / (count * len(alive)))
        for number in range(count):
            for point in alive if number % 2 == 0 else reversed(alive):
                if clock() < end or not any(rounds.values()):
                    rounds[point].append(measure(point, turn_s))
                    report(rounds[point][-1])
        alive = sorted((p for p in alive if rounds[p]), key=rate, reverse=True)[: math.ceil(len(alive) / 2)]
    ranked = sorted((p for p in points if rounds[p]), key=lambda p: (p in alive, len(rounds[p]), rate(p)), reverse=True)
    return [Trial(*p, rate(p), sum(trial.seconds for trial in rounds[p]), final=True) for p in ranked]


def _descend(grid: Grid, attempt: Attempt, trials: dict[Point, Trial]) -> None:
    """A coarse grid; then all m × n at the two best k, and all k for the best of those; then the best's neighbours.

    Tiles and waves make the rate rough in m and n, while in k it is smooth: m and n are searched finely and together.
    """

    def ranked() -> list[Point]:
        return sorted(trials, key=lambda point: -trials[point].flops_per_s)

    # The cubes come first, whatever the budget: no plain product may beat what a short search reports.
    attempt(((size, size, size) for size in sorted(set(grid.m) & set(grid.n) & set(grid.k))), math.inf, CUBE_S)
    step = max(1, (max(len(axis) for axis in grid.axes) - 1) // 2)
    coarse = (sorted({*range(0, len(axis), step), len(axis) - 1}) for axis in grid.axes)
    # From small to large, so that a slow device is recognised before a product that would take it minutes.
    attempt(_at(grid, index) for index in sorted(itertools.product(*coarse), key=sum))
    depths = list(dict.fromkeys(k for _, _, k in ranked()))[: len(PLANE_SHARES)]
    for k, share in zip(depths, PLANE_SHARES, strict=False):
        attempt(((m, n, k) for m in reversed(grid.m) for n in reversed(grid.n)), share)
    for m, n in list(dict.fromkeys(point[:2] for point in ranked()))[:COLUMNS]:
        attempt((m, n, k) for k in grid.k)
    _wander(grid, attempt, trials)


def _wander(grid: Grid, attempt: Attempt, trials: dict[Point, Trial]) -> None:
    """Try the neighbours of every point, best first, until many points in a row have brought no improvement."""
    seen: set[Point] = set()
    fruitless = 0
    while fruitless < PATIENCE:
        rest = [point for point in trials if point not in seen]
        if not rest:
            return
        best = max(trial.flops_per_s for trial in trials.values())
        point = max(rest, key=lambda p: trials[p].flops_per_s)
        seen.add(point)
        before = len(trials)
        attempt(_neighbours(grid, point))
        if len(trials) > before:
            better = max(trial.flops_per_s for trial in trials.values()) > best
            fruitless = 0 if better else fruitless + 1


def _at(grid: Grid, index: tuple[int, ...]) -> Point:
    return grid.m[index[0]], grid.n[index[1]], grid.k[index[2]]


def _neighbours(grid: Grid, point: Point) -> Iterable[Point]:
    """Points one step away along one axis or along two: tiles make diagonal ridges."""
    index = tuple(axis.index(size) for axis, size in zip(grid.axes, point, strict=True))
    for offset in itertools.product((-1, 0, 1), repeat=3):
        moved = tuple(i + o for i, o in zip(index, offset, strict=True))
        inside = all(0 <= i < len(axis) for i, axis in zip(moved, grid.axes, strict=True))
        if inside and 0 < sum(o != 0 for o in offset) <= 2:
            yield _at(grid, moved)


def _too_long(point: Point, trials: dict[Point, Trial], most_s: float) -> bool:
    """Whether one product would take more than ``most_s`` at the best rate so far."""
    if not trials:
        return False
    best = max(trial.flops_per_s for trial in trials.values())
    return 2.0 * point[0] * point[1] * point[2] / best > most_s


def _fitting(device: Device, dtype: Dtype, grid: Grid) -> Grid:
    """The grid without its largest sizes until it fits half of the free memory."""
    free = memory.free_bytes(device)
    while free is not None and ShapeTimer.bytes_for(device, dtype, grid) > free / 2:
        if len(grid.m) == 1:
            raise Skip(f"not even a product of {grid.m[0]} rows fits in {device.label}", "free its memory")
        grid = Grid(grid.m[:-1], grid.n[:-1] or grid.n, grid.k[:-1] or grid.k)
    return grid


class ShapeTimer:
    """Buffers as large as the grid needs, as views of which any of its shapes can be timed."""

    def __init__(self, device: Device, dtype: Dtype, grid: Grid) -> None:
        self._device, self._dtype = device, dtype
        values = Values(device, "normal", SEED)
        x, weight, out = self._sizes(device, dtype, grid)
        self._x = values.fill(torch.empty(x, dtype=dtype.torch_dtype, device=device.torch_name))
        scale = 1.0 if dtype.itemsize == 1 else 2.0**-5
        self._weight = values.fill(torch.empty(weight, dtype=dtype.torch_dtype, device=device.torch_name), scale)
        self._out = torch.empty(out, dtype=dtype.out_dtype, device=device.torch_name)
        self._multiply = gemm.multiply(dtype, device)
        self._check_device = torch_device.check_device(device)

    @staticmethod
    def _sizes(device: Device, dtype: Dtype, grid: Grid) -> tuple[int, int, int]:
        """Values in the pools of x, weights and outputs; the weights rotate past the last-level cache."""
        m, n, k = (axis[-1] for axis in grid.axes)
        room = torch_device.rotation_bytes(device) // dtype.itemsize
        return m * k, max(n * k, room), m * n

    @classmethod
    def bytes_for(cls, device: Device, dtype: Dtype, grid: Grid) -> int:
        """Bytes of the three pools."""
        x, weight, out = cls._sizes(device, dtype, grid)
        return (x + weight) * dtype.itemsize + out * dtype.out_dtype.itemsize

    def calls(self, point: Point) -> list[gemm.Call]:
        """Views for a shape, over as many different weights as fit, at most :data:`MAX_COPIES`."""
        m, n, k = point
        x = self._x[: m * k].view(m, k)
        out = self._out[: m * n].view(m, n)
        count = min(MAX_COPIES, self._weight.numel() // (n * k))
        weights = [self._weight[i * n * k : (i + 1) * n * k].view(n, k) for i in range(count)]
        return [gemm.Call("mamf", x, weight, weight.t(), out) for weight in weights]

    def measure(self, point: Point, seconds: float) -> Trial:
        """Check one product of the shape, then run it for ``seconds``.

        Raises:
            BenchError: the product is wrong.
        """
        dtypes.set_flags(self._dtype)
        calls = self.calls(point)
        run, turns = self._multiply, itertools.cycle(calls)
        self.check(calls[0])
        work = 2.0 * point[0] * point[1] * point[2]
        repetitions = 1
        begun = time.monotonic()
        while True:
            start = time.monotonic()
            for _ in range(repetitions):
                run(next(turns))
            torch_device.synchronize(self._device)
            took = max(time.monotonic() - start, 1e-9)
            left = seconds - (time.monotonic() - begun)
            # The last and longest burst counts; the shorter ones before it warm up.
            if took >= seconds / 2 or left <= 0:
                return Trial(*point, work * repetitions / took, took)
            repetitions = max(1, int(repetitions * max(left, took) / took))

    def check(self, call: gemm.Call) -> None:
        """Apply Freivalds' check to a part of one product.

        Raises:
            BenchError: it is wrong.
        """
        poison(call.out)
        self._multiply(call)
        torch_device.synchronize(self._device)
        rows, columns = slice(-CHECK_ROWS, None), slice(-CHECK_COLUMNS, None)
        projection = freivalds.project(call.weight[columns], 1, self._check_device)
        excess = freivalds.excess(call.x[rows], call.out[rows, columns], projection, self._dtype)
        if not excess <= 1.0:
            m, n = call.out.shape
            raise BenchError(
                f"the product {m}x{n}x{call.x.shape[1]} in {self._dtype.name} is wrong on {self._device.label}: "
                f"Freivalds residual {excess:.3g} × tolerance",
                "test the device; a clock or memory speed set too high causes this",
                exit_code=3,
            )

    def close(self) -> None:
        """Free the buffers."""
        del self._x, self._weight, self._out
        memory.release(self._device)


def parse(shape: str) -> Point:
    """``MxNxK`` as three numbers.

    Raises:
        BenchError: the name has another form.
    """
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)x([1-9]\d*)", shape)
    if not match:
        raise BenchError(f"{shape!r} is not the shape of a product", "write MxNxK, for example 4096x4096x4096")
    return int(match[1]), int(match[2]), int(match[3])


def is_product(shape: str) -> bool:
    """Whether a name has the form ``MxNxK``."""
    return re.fullmatch(r"\d+x\d+x\d+", shape) is not None


def build(device: Device, variant: Variant, shape: object = None) -> gemm.GemmJob:  # noqa: ARG001 - as every builder
    """Allocate one product of the shape ``MxNxK``, or if none is given, of the shape that a search finds.

    Raises:
        BenchError: no such shape, or an unknown type or kind of input.
        Skip: the device lacks the type or the memory.
    """
    if variant.shape is None:
        budget_s = settings_of(variant).budget_s
        found, _ = search(device, variant.dtype or "bf16", budget_s)
    else:
        found = variant
    m, n, k = parse(found.shape or "")
    product, dtype = Product("mamf", n, k), dtypes.lookup(variant.dtype)
    plan = gemm.layout_of(((product, m),), dtype, torch_device.rotation_bytes(device))
    return gemm.build_products(device, variant, plan, note="" if variant.shape else f" found={found.shape}")
