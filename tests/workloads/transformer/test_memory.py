"""What a fresh process grows by on a CPU is what the job announced, to 5%: no allocator's slack, nothing forgotten."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bench import storage
from bench.measure import session
from bench.model import Device, Skip
from bench.workloads.transformer import dtypes, memory
from tests.support import factory
from tests.support.paths import ROOT
from tests.support.transformer import CPU, gpu

pytestmark = pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK) or memory._libc() is None,
    reason="needs Linux's high-water mark of memory, and glibc",
)


def grown(*arguments: object) -> dict[str, int]:
    command = [sys.executable, "-m", "tests.support.peak_memory", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phase", "shape", "dtype", "batch", "seq"),
    [
        ("gemm", "llama3-8b", "bf16", 1, 128),
        ("prefill", "llama3-8b", "bf16", 1, 128),
        ("decode", "llama3-8b", "bf16", 1, 1024),
        ("train", "llama3-8b", "bf16", 1, 64),
    ],
)
def test_a_process_grows_by_what_was_announced(phase, shape, dtype, batch, seq):
    if not dtypes.native(CPU, dtypes.lookup(dtype)):
        pytest.skip(f"{dtype} is not native here: the library converts weights into memory of its own")
    # Now and then a process places a block where it leaves a hole in its heap; what a job needs, one of three shows.
    for _ in range(3):
        found = grown(phase, shape, dtype, batch, seq)
        if found["announced"] == pytest.approx(found["grown"], rel=0.05):
            break
    assert found["announced"] > 100 << 20
    assert found["announced"] == pytest.approx(found["grown"], rel=0.05)


@pytest.mark.slow
def test_a_run_notes_the_peak_beside_what_was_announced(tmp_path):
    command = [sys.executable, "-m", "bench.cli.app", "run", "--device", "cpu", "--workload", "sha256d,transformer"]
    command += ["--phase", "gemm,decode", "--shape", "tiny", "--dtype", "fp32", "--meter", "none", "--repeats", "2"]
    command += ["--window", "0.2", "--warmup", "0.1", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*.csv")
    notes = [line["data"] for line in sidecar(path) if line["kind"] == "note" and line["name"] == "memory"]
    rows = [line["columns"] for line in sidecar(path) if line["kind"] == "window"]
    assert [rows[note["row"] - 1]["phase"] for note in notes] == ["gemm", "decode"]
    for note in notes:
        announced = rows[note["row"] - 1]["memory_announced_gib"] * 2**30
        assert note["announced_bytes"] == pytest.approx(announced)
        # Small jobs in a young process: the libraries' own first pages are as large as they.
        assert 0.5 * announced < note["peak_bytes"] < announced + (500 << 20)


def sidecar(path: Path) -> list[dict]:
    return [json.loads(line) for line in storage.sidecar_path(path).read_text().splitlines()]


def test_on_cuda_the_peak_is_what_torch_held_beyond_what_it_held_before(monkeypatch):
    gpu = Device("cuda", 1, "a GPU", arch="sm_90")
    asked = []
    monkeypatch.setattr(torch.cuda, "init", lambda: asked.append("init"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", asked.append)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda index: 300 * index)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda index: 1000 * index)
    peak = memory.PeakMemory(gpu)
    assert asked == ["init", 1]
    assert peak.grown_bytes() == 700
    assert memory.PeakMemory(Device("mps", 0, "another")).grown_bytes() is None


@pytest.mark.parametrize(("kind", "peak", "told"), [("cuda", 1060, True), ("cuda", 1040, False), ("cpu", 2000, False)])
def test_a_gpu_that_held_more_than_was_announced_is_told(kind, peak, told, tmp_path):
    record = factory.gemm(device_kind=kind, memory_announced_gib=1000 / 2**30)
    notes = []
    with storage.create(tmp_path, "run") as results:
        results.append(record)
        session.note_memory(results, record, peak, SimpleNamespace(note=notes.append))
        (path,) = tmp_path.glob("*.jsonl")
        lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[-1]["data"] == {"row": 1, "announced_bytes": 1000, "peak_bytes": peak}
    assert notes == ([f"row 1: memory peaked at {peak} bytes, 1000 were announced"] if told else [])


def test_the_heap_keeps_nothing_while_it_is_exact():
    """Without ``exact_heap`` glibc keeps freed blocks: the probe that the measurement above rests on sees them."""
    text = """
import sys
from contextlib import nullcontext
import torch
from bench.model import Device, Skip
from bench.workloads.transformer import memory
CPU = Device("cpu", 0, "cpu")
before = memory._status_bytes("VmRSS")
with memory.exact_heap(CPU) if sys.argv[1] == "exact" else nullcontext():
    for size in (30 << 20, 29 << 20):
        block = torch.ones(size, dtype=torch.uint8)
        keep = torch.ones(4096, dtype=torch.uint8)
        del block
print(memory._status_bytes("VmRSS") - before)
"""
    kept = {
        how: int(subprocess.run([sys.executable, "-c", text, how], capture_output=True, cwd=ROOT, check=True).stdout)
        for how in ("exact", "plain")
    }
    assert kept["exact"] < 10 << 20
    assert kept["plain"] > kept["exact"] + (20 << 20)


def test_an_allocator_that_refuses_is_a_skip_that_holds_no_tensors(monkeypatch):
    released, made = [], []
    monkeypatch.setattr(memory, "release", released.append)

    def refuse():
        tensor = torch.empty(1000)
        made.append(weakref.ref(tensor))
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    with pytest.raises(Skip, match=r"does not fit.*20\.00 GiB") as skip:
        memory.allocate(gpu(), "a variant", refuse)
    assert skip.value is not None
    assert made[0]() is None
    assert released == [gpu()]
