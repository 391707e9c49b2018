"""Phase mamf: the search finds what an exhaustive one finds, keeps its budget, and times nothing unverified."""

from __future__ import annotations

import csv
import math
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.model import BenchError, Device, Skip, Variant
from bench.workloads import load
from bench.workloads.transformer import dtypes, mamf, memory, torch_device
from bench.workloads.transformer.mamf import Grid, ShapeTimer, Trial
from bench.workloads.transformer.options import BlockSettings, TransformerOptions
from tests.support.paths import ROOT

CPU = Device("cpu", 0, "a CPU", cores=2, arch="x86_64")
AXIS = (256, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192)
GRID = Grid(AXIS, AXIS, AXIS)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setattr(torch_device, "cache_bytes", lambda device: 1 << 20)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Model:
    """A device whose rates are known: it fills with size, loses to half-empty tiles, and slows beyond its cache."""

    def __init__(self, tile=(128, 256, 64), units=132, fill=1024, cliff=1.0, noise=0.0, seconds=0.1):
        self.tile, self.units, self.fill, self.cliff, self.noise = tile, units, fill, cliff, noise
        self.seconds = seconds
        self.now = 0.0
        self.timed: list[mamf.Point] = []

    def rate(self, point):
        m, n, k = point
        tiles = math.ceil(m / self.tile[0]) * math.ceil(n / self.tile[1])
        waves = math.ceil(tiles / self.units)
        used = tiles / (waves * self.units) * m * n / (tiles * self.tile[0] * self.tile[1])
        beyond = math.log2(max(1.0, (m * k + n * k) * 2 / (32 << 20)))
        falls = 1 - (1 - self.cliff) * min(1.0, beyond / 3)
        return 1e15 * used * k / (k + self.fill) * falls

    def measure(self, point, seconds):
        self.timed.append(point)
        self.now += self.seconds + seconds
        wobble = 1 + self.noise * math.sin(sum(point) + len(self.timed))
        return Trial(*point, self.rate(point) * wobble, seconds)

    def search(self, budget_s=100.0, grid=GRID, progress=None):
        return mamf.search(CPU, "bf16", budget_s, progress, grid=grid, measure=self.measure, clock=lambda: self.now)


def best_of(model, grid=GRID):
    return max(model.rate(point) for point in grid.points())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    tile=st.tuples(st.sampled_from([64, 128, 192, 256]), st.sampled_from([64, 128, 192, 256]), st.just(64)),
    units=st.sampled_from([8, 24, 46, 108, 132, 170]),
    fill=st.sampled_from([64, 256, 1024, 4096]),
    cliff=st.sampled_from([0.9, 0.95, 1.0]),
)
def test_the_search_reaches_99_percent_of_an_exhaustive_one(tile, units, fill, cliff):
    model = Model(tile, units, fill, cliff, seconds=0.02)
    variant, table = model.search()
    assert model.rate(mamf.parse(variant.shape)) >= 0.99 * best_of(model)
    assert table[0].final
    assert table[0].shape == variant.shape
    assert len({t.point for t in table}) < 0.5 * len(AXIS) ** 3


def test_finalists_are_timed_again_so_luck_does_not_win():
    class Lucky(Model):
        def measure(self, point, seconds):
            trial = super().measure(point, seconds)
            lucky = point == (256, 256, 256) and seconds <= mamf.BURST_S
            return Trial(*point, 2e15 if lucky else trial.flops_per_s, seconds)

    model = Lucky()
    variant, _ = model.search()
    assert (256, 256, 256) in model.timed
    assert variant.shape != "256x256x256"


@pytest.mark.parametrize("budget_s", [1.0, 10.0, 100.0])
def test_the_budget_is_kept(budget_s):
    model = Model(seconds=0.05)
    lines = []
    model.search(budget_s, progress=lambda share, line: lines.append((share, line)))
    assert model.now <= budget_s * 1.1 + 0.2
    shares = [share for share, _ in lines]
    assert shares == sorted(shares)
    assert 0 < shares[-1] <= 1
    assert "best" in lines[-1][1]


def test_shapes_that_would_eat_the_budget_are_left_out():
    now = 0.0

    def slow(point, seconds):
        nonlocal now
        took = max(seconds, 2.0 * point[0] * point[1] * point[2] / 1e9)
        now += took
        return Trial(*point, 1e9, took)

    _, table = mamf.search(CPU, "bf16", 50.0, grid=GRID, measure=slow, clock=lambda: now)
    assert max(trial.seconds for trial in table if not trial.final) <= 1.0
    assert now <= 60
    assert (8192, 8192, 8192) not in {trial.point for trial in table}


def test_a_real_search_runs_and_its_winner_is_an_ordinary_variant():
    grid = Grid((32, 64, 128), (32, 64, 128), (32, 64))
    variant, table = mamf.search(CPU, "fp32", 1.0, grid=grid)
    assert {trial.point for trial in table} <= set(grid.points())
    assert all(trial.flops_per_s > 0 for trial in table)
    workload = load("transformer")
    job = workload.build(CPU, variant)
    assert job.verify().ok
    job.launch(2)
    assert job.audit().ok
    m, n, k = mamf.parse(variant.shape)
    assert job.facts.work_per_iteration == 2 * m * n * k
    assert job.facts.tokens_per_iteration is None
    planned = workload.plan(CPU, TransformerOptions(phase=("mamf",), shape=(variant.shape,), dtype=("fp32",)))
    assert planned == [replace(variant, options=BlockSettings())]
    assert [v.shape for v in workload.plan(CPU, TransformerOptions(phase=("mamf",)))] == [None]


def test_without_a_shape_build_searches_and_says_what_it_found(monkeypatch):
    monkeypatch.setattr(mamf, "default_grid", lambda device: Grid((32, 64), (32,), (32,)))
    job = load("transformer").build(
        CPU, Variant("transformer", "mamf", None, "fp32", options=BlockSettings(budget_s=0.3))
    )
    assert job.verify().ok
    assert "found=" in job.facts.options


def test_resolve_names_the_winner_and_leaves_the_rest(monkeypatch):
    monkeypatch.setattr(mamf, "default_grid", lambda device: Grid((32, 64), (32,), (32,)))
    workload = load("transformer")
    other = Variant("transformer", "gemm", "tiny", "fp32", 1, 8)
    wanted = Variant("transformer", "mamf", None, "fp32", options=BlockSettings(budget_s=0.3, inputs="ones"))
    lines = []
    first, second = workload.resolve(CPU, [other, wanted], lambda *told: lines.append(told))
    assert first is other
    assert second.shape in {"32x32x32", "64x32x32"}
    assert second.options == wanted.options
    assert lines[0] == (wanted, 0.0, 0.3)
    assert len(lines) > 1
    assert all(told is wanted and 0 < done_s <= budget_s == 0.3 for told, done_s, budget_s in lines[1:])


def test_a_wrong_product_is_never_timed():
    bench = ShapeTimer(CPU, dtypes.lookup("fp32"), Grid((64,), (64,), (64,)))
    assert bench.measure((64, 64, 64), 0.01).flops_per_s > 0
    right = bench._multiply

    def wrong(call):
        right(call)
        call.out[-1, -1] += 1

    bench._multiply = wrong
    with pytest.raises(BenchError, match="is wrong"):
        bench.measure((64, 64, 64), 0.01)


def test_weights_rotate_past_the_cache():
    bench = ShapeTimer(CPU, dtypes.lookup("bf16"), Grid((64,), (64,), (64,)))
    calls = bench.calls((64, 64, 64))
    assert len({call.weight.data_ptr() for call in calls}) == len(calls) == 64


def test_the_grid_shrinks_to_the_memory(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 16 << 20)
    dtype = dtypes.lookup("fp32")
    grid = mamf._fitting(CPU, dtype, mamf.default_grid(CPU))
    assert ShapeTimer.bytes_for(CPU, dtype, grid) <= 8 << 20
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1 << 10)
    with pytest.raises(Skip):
        mamf._fitting(CPU, dtype, mamf.default_grid(CPU))


@pytest.mark.parametrize("shape", ["", "12x", "1x2", "0x1x1", "axbxc", "4096x4096x4096x2"])
def test_a_shape_that_is_no_product_is_refused(shape):
    with pytest.raises(BenchError, match="MxNxK"):
        mamf.parse(shape)
    with pytest.raises(BenchError, match="some seconds"):
        mamf.search(CPU, "bf16", 0.0)


# -- from the command line --------------------------------------------------------------------------------------------


def bitwatt(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.cli.app", "run", "--device", "cpu", "--workload", "transformer"]
    command += ["--meter", "none", "--window", "0.2", "--warmup", "0.1", "--repeats", "1", "--out", str(out)]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)


@pytest.mark.slow
def test_a_search_of_a_given_budget_from_the_command_line(tmp_path):
    done = bitwatt(tmp_path, "--phase", "mamf", "--dtype", "fp32", "--budget", "1.5")
    assert done.returncode == 0, done.stderr
    assert "searching (up to 1.5 s)" in done.stderr
    (path,) = tmp_path.glob("*.csv")
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["phase"], row["dtype"], row["verified"]) == ("mamf", "fp32", "true")
    assert mamf.parse(row["shape"]) in set(mamf.default_grid(CPU).points())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--phase", "mamf", "--budget", "0"), "a search cannot take 0 s"),
        (("--phase", "mamf", "--budget=-3"), "a search cannot take -3 s"),
        (("--phase", "mamf", "--budget", "nan"), "a search cannot take nan s"),
        (("--phase", "mamf", "--budget", "inf"), "a search cannot take inf s"),
        (("--phase", "gemm", "--budget", "5"), "--budget applies only to the search of phase mamf"),
    ],
)
def test_a_budget_that_is_none_is_one_sentence(arguments, sentence, tmp_path):
    done = bitwatt(tmp_path, *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("*.csv"))


@pytest.mark.parametrize("budget_s", [0.01, 1.0, 3.0])
def test_a_short_search_reports_no_less_than_a_plain_product_reaches(budget_s: float) -> None:
    """Three seconds once ended after a product of 128x128x128, a twentieth of the rate of 1024x1024x1024."""
    model = Model(fill=4096, units=132)
    found, table = model.search(budget_s)
    plain = max(model.rate((size, size, size)) for size in AXIS if 2.0 * size**3 / table[0].flops_per_s < 0.02)
    assert table[0].flops_per_s >= plain
    assert found.shape == table[0].shape


def test_filling_the_buffers_is_not_part_of_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model()

    class SlowToFill:
        measure = staticmethod(model.measure)

        def __init__(self, *_: object) -> None:
            model.now += 30.0

        def close(self) -> None:
            pass

    monkeypatch.setattr(mamf, "ShapeTimer", SlowToFill)
    monkeypatch.setattr(mamf, "_fitting", lambda device, dtype, grid: grid)
    _, table = mamf.search(CPU, "fp32", 20.0, grid=GRID, clock=lambda: model.now)
    assert len(table) > 50
    assert 30 < model.now < 55


@pytest.mark.slow
def test_a_plain_product_on_this_machine_does_not_beat_a_short_search_twenty_fold() -> None:
    """Both in one process, one after the other, so that the ratio means something on a busy machine."""
    _, table = mamf.search(CPU, "fp32", 1.0)
    x = torch.randn(1024, 1024)
    x @ x
    start = time.monotonic()
    for _ in range(5):
        x @ x
    plain = 5 * 2.0 * 1024**3 / (time.monotonic() - start)
    assert table[0].flops_per_s > plain / 4
