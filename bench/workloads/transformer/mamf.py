"""Phase ``mamf``: the shape at which a device multiplies fastest, found by a coarse-to-fine search.

MAMF, the maximum achievable matmul FLOP/s (the term is Stas Bekman's, "Machine Learning Engineering"), is what a
device really gives where its stated peak assumes a clock it may not hold. The search measures a coarse grid of
m × n × k, then ever finer where that was best, and measures the finalists again in turns, since the best of many
short timings is partly luck. Each shape's output is checked before it is timed, and
weights rotate past the last-level cache as in every other phase. The winner is then an ordinary variant, so that the
runner measures it under the meter.
"""

from __future__ import annotations

import itertools
import math
import re
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from bench.model import BenchError, Device, Skip, Variant
from bench.workloads.transformer import dtypes, freivalds, gemm, torch_device
from bench.workloads.transformer.dtypes import Dtype
from bench.workloads.transformer.shapes import Product

Point = tuple[int, int, int]
"""m, n, k."""

BUDGET_S = 100.0
"""Seconds that a search takes at most, by default; with set-up it ends inside two minutes."""
PLANE_SHARES = 0.5, 0.75
"""Shares of the search's time after which the first and second plane of m × n are left as they are."""
COLUMNS = 12
"""Pairs of m and n for which every k is tried."""
PATIENCE = 12
"""Points looked around without finding a better one, before a search that has time left gives up."""
FINALISTS = 32
"""Shapes that are measured again in turns. The slower half is dropped again and again, until one is left."""
FINAL_SHARE = 0.25
"""Share of the budget kept for measuring the finalists again; what the search leaves over is added."""
TURN_S = 0.15
"""Length of a finalist's turn: short, so that many rounds fit and a disturbance falls on few of them."""
BURST_S = 0.06
"""Length of one short timing."""
CHECK_ROWS, CHECK_COLUMNS = 64, 256
"""Part of each product that is checked before it is timed; the winner is checked whole when it is built."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Sizes that are tried along each axis, ascending."""

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
    """Sizes from where a device of this kind begins to be efficient to where it gains no more."""
    axis = CPU_AXIS if device.kind == "cpu" else GPU_AXIS
    return Grid(axis, axis, axis)


@dataclass(frozen=True, slots=True)
class Trial:
    """One timing. ``final`` tells the longer timings of the finalists from the short ones of the search."""

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
"""Points, and optionally the share of the search's time after which no more of them are timed."""

Progress = Callable[[float, str], None]
"""Share of the budget that is spent, 0 to 1, and a line that says what was just found."""


def search(
    device: Device,
    dtype_name: str,
    budget_s: float = BUDGET_S,
    progress: Progress | None = None,
    *,
    grid: Grid | None = None,
    measure: Measure | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Variant, list[Trial]]:
    """The shape of the highest sustained matmul rate, and every timing made.

    The finalists' medians come first, the winner's before all and then in the order in which they were dropped, last
    first; then the short timings, fastest first.

    Args:
        device: where to multiply.
        dtype_name: ``fp32`` … ``int8``.
        budget_s: seconds; the search stops wherever it is and takes what it has.
        progress: told after every timing; None for silence.
        grid: sizes to try; the default suits the kind of device.
        measure: how one shape is timed; the default runs it.
        clock: seconds that pass.

    Raises:
        BenchError: an unknown type, a budget that is no time, or a wrong product.
        Skip: the device lacks the type or the memory.
    """
    if not budget_s > 0:
        raise BenchError(f"a search of {budget_s:g} s finds nothing", "give a budget of some seconds")
    dtype = dtypes.lookup(dtype_name)
    grid = grid or default_grid(device)
    start = clock()
    bench = None
    if measure is None:
        dtypes.require(device, dtype)
        grid = _fitting(device, dtype, grid)
        bench = Bench(device, dtype, grid)
        measure = bench.measure
    found: dict[Point, Trial] = {}
    search_end = start + budget_s * (1 - FINAL_SHARE)

    def spent() -> float:
        return min(1.0, (clock() - start) / budget_s)

    def tell(trial: Trial) -> None:
        if progress is not None:
            best = max([*found.values(), trial], key=lambda t: t.flops_per_s)
            progress(spent(), f"{trial.shape}: {trial.flops_per_s / 1e12:.3g} TFLOP/s, best {best.shape}")

    def attempt(points: Iterable[Point], share: float = 1.0) -> None:
        end = start + share * (search_end - start)
        for point in points:
            if clock() >= end and found:
                return
            if point not in found and not _too_long(point, found, budget_s):
                found[point] = measure(point, BURST_S)
                tell(found[point])

    try:
        _descend(grid, attempt, found)
        if not found:
            raise BenchError("no shape of the grid could be timed in the budget", "give the search more seconds")
        names = sorted(found, key=lambda point: -found[point].flops_per_s)[:FINALISTS]
        finals = _race(names, measure, start + budget_s, clock, tell)
    finally:
        if bench is not None:
            bench.close()
    table = finals + sorted(found.values(), key=lambda trial: -trial.flops_per_s)
    return Variant("transformer", "mamf", finals[0].shape, dtype_name), table


def _race(
    points: list[Point], measure: Measure, end: float, clock: Callable[[], float], tell: Callable[[Trial], None]
) -> list[Trial]:
    """Measure points in turns and halve their number until one is left; the winner first, then who was dropped last.

    Every round holds all points that are still in it, so heat and other work on the machine fall on all of them, and
    medians over the same rounds can be compared. Halving spends the time on those that are hard to tell apart.
    """
    rounds: dict[Point, list[Trial]] = {point: [] for point in points}
    alive = points

    def rate(point: Point) -> float:
        return statistics.median(trial.flops_per_s for trial in rounds[point])

    stages = max(1, math.ceil(math.log2(len(points))))
    for left in range(stages, 0, -1):
        # The checks and warm-ups come out of the same time.
        stage_s = 0.8 * max(0.0, end - clock()) / left
        count = max(1, int(stage_s / (len(alive) * TURN_S)))
        turn_s = max(BURST_S, stage_s / (count * len(alive)))
        for number in range(count):
            for point in alive if number % 2 == 0 else reversed(alive):
                if clock() < end or not any(rounds.values()):
                    rounds[point].append(measure(point, turn_s))
                    tell(rounds[point][-1])
        alive = sorted((p for p in alive if rounds[p]), key=rate, reverse=True)[: math.ceil(len(alive) / 2)]
    ranked = sorted((p for p in points if rounds[p]), key=lambda p: (p in alive, len(rounds[p]), rate(p)), reverse=True)
    return [Trial(*p, rate(p), sum(trial.seconds for trial in rounds[p]), final=True) for p in ranked]


def _descend(grid: Grid, attempt: Attempt, found: dict[Point, Trial]) -> None:
    """A coarse grid; then all m × n at the two best k, and all k for the best of those; then the best's neighbours.

    Tiles and waves make the rate rough in m and n, while in k it is smooth: m and n are searched finely and together.
    """

    def ranked() -> list[Point]:
        return sorted(found, key=lambda point: -found[point].flops_per_s)

    step = max(1, (max(len(axis) for axis in grid.axes) - 1) // 2)
    coarse = (sorted({*range(0, len(axis), step), len(axis) - 1}) for axis in grid.axes)
    # From small to large: so a slow device is known to be slow before a product comes that would take it minutes.
    attempt(_at(grid, index) for index in sorted(itertools.product(*coarse), key=sum))
    depths = list(dict.fromkeys(k for _, _, k in ranked()))[: len(PLANE_SHARES)]
    for k, share in zip(depths, PLANE_SHARES, strict=False):
        attempt(((m, n, k) for m in reversed(grid.m) for n in reversed(grid.n)), share)
    for m, n in list(dict.fromkeys(point[:2] for point in ranked()))[:COLUMNS]:
        attempt((m, n, k) for k in grid.k)
    _wander(grid, attempt, found)


def _wander(grid: Grid, attempt: Attempt, found: dict[Point, Trial]) -> None:
    """Try the neighbours of ever lesser points, best first, until many in a row have led to nothing better."""
    seen: set[Point] = set()
    fruitless = 0
    while fruitless < PATIENCE:
        rest = [point for point in found if point not in seen]
        if not rest:
            return
        best = max(trial.flops_per_s for trial in found.values())
        point = max(rest, key=lambda p: found[p].flops_per_s)
        seen.add(point)
        before = len(found)
        attempt(_neighbours(grid, point))
        if len(found) > before:
            better = max(trial.flops_per_s for trial in found.values()) > best
            fruitless = 0 if better else fruitless + 1


def _at(grid: Grid, index: tuple[int, ...]) -> Point:
    return grid.m[index[0]], grid.n[index[1]], grid.k[index[2]]


def _neighbours(grid: Grid, point: Point) -> Iterable[Point]:
    """Points one step away along one axis, and along two at once: tiles make ridges that lie askew."""
    index = tuple(axis.index(size) for axis, size in zip(grid.axes, point, strict=True))
    for offset in itertools.product((-1, 0, 1), repeat=3):
        moved = tuple(i + o for i, o in zip(index, offset, strict=True))
        inside = all(0 <= i < len(axis) for i, axis in zip(moved, grid.axes, strict=True))
        if inside and 0 < sum(o != 0 for o in offset) <= 2:
            yield _at(grid, moved)


def _too_long(point: Point, found: dict[Point, Trial], budget_s: float) -> bool:
    """Whether one product would take more than a fiftieth of the budget at the best rate so far."""
    if not found:
        return False
    best = max(trial.flops_per_s for trial in found.values())
    return 2.0 * point[0] * point[1] * point[2] / best > budget_s / 50


def _fitting(device: Device, dtype: Dtype, grid: Grid) -> Grid:
    """The grid without its largest sizes until it fits half of the free memory."""
    free = torch_device.free_bytes(device)
    while free is not None and Bench.bytes_for(device, dtype, grid) > free / 2:
        if len(grid.m) == 1:
            raise Skip(f"not even a {grid.m[0]}-wide product fits {device.label}", "free its memory")
        grid = Grid(grid.m[:-1], grid.n[:-1] or grid.n, grid.k[:-1] or grid.k)
    return grid


class Bench:
    """Buffers as large as the grid needs, in which any of its shapes is laid out and timed."""

    def __init__(self, device: Device, dtype: Dtype, grid: Grid) -> None:
        import torch

        self._device, self._dtype = device, dtype
        place = device.torch_name
        values = torch_device.Values(device, "normal", gemm.SEED)
        x, weight, out = self._sizes(device, dtype, grid)
        self._x: Any = values.fill(torch.empty(x, dtype=dtype.torch, device=place))
        scale = 1.0 if dtype.bytes == 1 else 2.0**-5
        self._weight: Any = values.fill(torch.empty(weight, dtype=dtype.torch, device=place), scale)
        self._out: Any = torch.empty(out, dtype=dtype.out_torch, device=place)
        self._multiply = gemm.multiply(dtype, device)
        self._check_place = torch_device.check_place(device)

    @staticmethod
    def _sizes(device: Device, dtype: Dtype, grid: Grid) -> tuple[int, int, int]:
        """Values of the three pools; weights have room to rotate past the last-level cache."""
        m, n, k = (axis[-1] for axis in grid.axes)
        room = 2 * torch_device.cache_bytes(device) // dtype.bytes
        return m * k, max(n * k, room), m * n

    @classmethod
    def bytes_for(cls, device: Device, dtype: Dtype, grid: Grid) -> int:
        """Bytes that the pools take."""
        x, weight, out = cls._sizes(device, dtype, grid)
        return (x + weight) * dtype.bytes + out * dtype.out_bytes

    def calls(self, point: Point) -> list[gemm.Call]:
        """The shape laid out in the pools, on as many different weights as fit, at most 64."""
        m, n, k = point
        x = self._x[: m * k].view(m, k)
        out = self._out[: m * n].view(m, n)
        count = min(gemm.MAX_COPIES, self._weight.numel() // (n * k))
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
            # The last and longest burst counts; the shorter ones before it were its warm-up.
            if took >= seconds / 2 or left <= 0:
                return Trial(*point, work * repetitions / took, took)
            repetitions = max(1, int(repetitions * max(left, took) / took))

    def check(self, call: gemm.Call) -> None:
        """Hold a part of one product to Freivalds' check.

        Raises:
            BenchError: it is wrong.
        """
        call.out.fill_(-(2**31) if self._dtype.name == "int8" else float("nan"))
        self._multiply(call)
        torch_device.synchronize(self._device)
        rows, columns = slice(-CHECK_ROWS, None), slice(-CHECK_COLUMNS, None)
        projection = freivalds.project(call.weight[columns], 1, self._check_place)
        excess = freivalds.excess(call.x[rows], call.out[rows, columns], projection, self._dtype)
        if not excess <= 1.0:
            m, n = call.out.shape
            raise BenchError(
                f"the product {m}x{n}x{call.x.shape[1]} in {self._dtype.name} is wrong on {self._device.label}: "
                f"Freivalds residual {excess:.3g} × tolerance",
                "test the device; a clock or memory set too high does this",
                exit_code=3,
            )

    def close(self) -> None:
        """Free the buffers."""
        self._x = self._weight = self._out = None
        torch_device.release(self._device)


def parse(shape: str) -> Point:
    """``MxNxK`` as three numbers.

    Raises:
        BenchError: it is not of this form.
    """
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)x([1-9]\d*)", shape)
    if not found:
        raise BenchError(f"{shape!r} is no shape of a product", "write MxNxK, for example 4096x4096x4096")
    return int(found[1]), int(found[2]), int(found[3])


def is_product(shape: str) -> bool:
    """Whether a name has the form ``MxNxK``."""
    return re.fullmatch(r"\d+x\d+x\d+", shape) is not None


def build(device: Device, variant: Variant, shape: object = None) -> gemm.GemmJob:  # noqa: ARG001 - as every builder
    """One product of the shape ``MxNxK``; without a shape, of the one that a silent search finds first.

    Raises:
        BenchError: no such shape, or an unknown type or kind of input.
        Skip: the device lacks the type or the memory.
    """
    if variant.shape is None:
        budget_s = float(variant.options.get("budget_s", BUDGET_S))
        found, _ = search(device, variant.dtype or "bf16", budget_s)
    else:
        found = variant
    m, n, k = parse(found.shape or "")
    dtype = dtypes.lookup(variant.dtype)
    native = dtypes.require(device, dtype)
    plan = gemm.layout_of(((Product("mamf", n, k), m),), dtype, torch_device.cache_bytes(device))
    torch_device.require_memory(device, plan.memory_bytes + torch_device.library_bytes(device), variant.label)
    note = "" if variant.shape else f" found={found.shape}"
    job: gemm.GemmJob = torch_device.guarded_allocation(
        device, variant.label, lambda: gemm.GemmJob(device, variant, plan, native, note=note)
    )
    return job
