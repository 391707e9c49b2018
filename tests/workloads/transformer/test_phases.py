"""Phases of whole blocks as jobs: stale output, memory as announced, options, the path of a GPU."""

from __future__ import annotations

import dataclasses
import gc

import pytest
import torch

from bench.model import Job, Skip, Variant
from bench.workloads import load
from bench.workloads.transformer import (
    attention,
    block,
    dtypes,
    memory,
    phases,
    shapes,
    torch_device,
)
from bench.workloads.transformer.inputs import INPUT_KINDS
from bench.workloads.transformer.options import BlockSettings
from tests.support.transformer import (
    CPU,
    DENSE,
    SHAPES,
    Allocations,
    gpu,
)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.name)
@pytest.mark.parametrize("phase", ["prefill", "decode", "train"])
def test_output_of_an_earlier_window_is_no_proof(phase, shape, monkeypatch):
    monkeypatch.setattr(torch_device, "cache_bytes", lambda device: 1 << 19)
    job = phases.build(CPU, Variant("transformer", phase, shape.name, "fp32", 2, 8), shape)
    assert isinstance(job, Job)
    assert job.verify().ok
    job._launched = 1
    assert not job.audit().ok
    job.launch(3)
    audit = job.audit()
    assert audit.ok, audit.reasons
    assert len(job._blocks) > 1
    job.close()
    job.close()


@pytest.mark.parametrize(
    ("phase", "shape", "dtype", "batch", "seq"),
    [
        ("gemm", "tiny", "fp32", 1, 64),
        ("gemm", "tiny", "bf16", 1, 256),
        # Checked in several steps: what one leaves must not stay while the next runs.
        pytest.param("gemm", "tiny", "fp32", 1, 2048, marks=pytest.mark.slow),
        pytest.param("prefill", "tiny", "fp32", 1, 2048, marks=pytest.mark.slow),
        ("prefill", "tiny", "fp32", 1, 256),
        ("prefill", "tiny", "bf16", 2, 128),
        ("decode", "tiny", "fp32", 4, 256),
        ("decode", "tiny", "bf16", 16, 256),
        ("train", "tiny", "fp32", 1, 256),
        ("train", "tiny", "bf16", 2, 64),
        ("train", "tiny", "bf16", 1, 512),
        # The check of attention's gradient makes the peak.
        pytest.param("train", "tiny", "fp32", 1, 2048, marks=pytest.mark.slow),
    ],
)
def test_peak_memory_is_as_announced(phase, shape, dtype, batch, seq, monkeypatch):
    monkeypatch.setattr(torch_device, "cache_bytes", lambda device: 32 << 20)
    gc.collect()
    with Allocations() as allocations:
        job = load("transformer").build(CPU, Variant("transformer", phase, shape, dtype, batch, seq))
        assert job.verify().ok
        job.launch(2)
        assert job.audit().ok
    assert job.facts.memory_bytes == pytest.approx(allocations.peak, rel=0.05)
    job.close()


@pytest.mark.parametrize("phase", ["prefill", "decode", "train"])
def test_keys_and_values_repeated_to_all_heads_are_announced(phase, monkeypatch):
    """Where a GPU's fused attention knows no groups; tensors are on the CPU. Decode repeats none."""
    shape = dataclasses.replace(shapes.load("tiny"), d_model=256, ffn=256, heads=16, kv_heads=2, head_dim=64)
    monkeypatch.setattr(attention, "groups_unfused", lambda device, value_bytes: True)
    monkeypatch.setattr(torch_device, "cache_bytes", lambda device: 1)
    gc.collect()
    with Allocations() as allocations:
        job = phases.build(CPU, Variant("transformer", phase, "tiny", "fp32", 4, 1024), shape)
        assert job.verify().ok
        job.launch(2)
        assert job.audit().ok
    # Without them the figure would be out by more than what is allowed.
    assert attention.expanded_bytes(shape, dtypes.lookup("fp32"), 4, 1024, CPU) > 0.1 * allocations.peak
    assert job.facts.memory_bytes == pytest.approx(allocations.peak, rel=0.05)
    job.close()


@pytest.mark.parametrize("phase", ["prefill", "decode", "train"])
@pytest.mark.parametrize("kind", INPUT_KINDS)
def test_every_kind_of_input_is_verified(kind, phase, monkeypatch):
    monkeypatch.setattr(torch_device, "cache_bytes", lambda device: 1 << 16)
    variant = Variant("transformer", phase, "dense", "bf16", 2, 8, options=BlockSettings(inputs=kind))
    job = phases.build(CPU, variant, DENSE)
    audit = job.verify()
    assert audit.ok, audit.reasons
    assert job.facts.options == f"inputs={kind} threads=1"


def test_a_block_in_int8_or_compiled_training_is_skipped():
    with pytest.raises(Skip, match="gemm only"):
        phases.build(CPU, Variant("transformer", "prefill", "dense", "int8", 1, 8), DENSE)
    with pytest.raises(Skip, match="compile"):
        fused = Variant("transformer", "train", "dense", "fp32", 1, 8, options=BlockSettings(compile=True))
        phases.build(CPU, fused, DENSE)


def test_what_does_not_fit_is_skipped_with_the_bytes(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1 << 20)
    with pytest.raises(Skip, match=r"needs \d+ bytes"):
        phases.build(CPU, Variant("transformer", "decode", "tiny", "fp32", 1, 8), shapes.load("tiny"))


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_a_compiled_block_is_held_to_the_checked_one(phase, monkeypatch):
    """torch.compile is stood in for: what is tested is that a wrong fused result cannot pass."""
    monkeypatch.setattr(torch_device, "cache_bytes", lambda device: 1 << 16)
    monkeypatch.setattr(torch, "compile", lambda function, **kwargs: function)
    variant = Variant("transformer", phase, "dense", "fp32", 2, 8, options=BlockSettings(compile=True))
    job = phases.build(CPU, variant, DENSE)
    assert job.verify().ok
    assert job.facts.implementation.endswith("-compile")
    assert "compile=on" in job.facts.options
    job.launch(1)
    job._outputs[job._next - 1] *= 1.01
    assert not job.audit().ok
    job._launched = 1
    assert not job.audit().ok


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_on_cuda_a_block_is_captured_once_and_replayed(phase, gpu_on_cpu):
    """The CUDA path of a job, with tensors on the CPU and a stand-in for the graph."""
    job = phases.build(gpu(), Variant("transformer", phase, "dense", "fp32", 2, 8), DENSE)
    assert job.facts.implementation.endswith("-graph")
    assert len(gpu_on_cpu) == len(job._blocks) > 1
    assert job.verify().ok
    job.launch(2)
    assert job.audit().ok
    # The fused norm of a GPU and the groupless attention of its 32-bit kernels give what the CPU's way gives.
    on_gpu = {name: buffer.clone() for name, buffer in run_of(job._blocks[0]).items()}
    job._blocks[0].device = CPU
    for name, buffer in run_of(job._blocks[0]).items():
        torch.testing.assert_close(buffer, on_gpu[name], rtol=1e-4, atol=1e-4)
    job.close()


def run_of(one: block.Block) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        one.run()
    return {name: buffer for name, buffer in one.buffers.items() if name not in ("keys", "values")}


@pytest.mark.usefixtures("gpu_on_cpu")
def test_training_is_not_captured():
    job = phases.build(gpu(), Variant("transformer", "train", "dense", "fp32", 1, 8), DENSE)
    assert not job.facts.implementation.endswith("-graph")
    assert job.verify().ok
    assert job.facts.peak_work_per_s == pytest.approx(66.9e12)
