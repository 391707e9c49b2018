"""What the transformer asks of a device: memory, cache, and the way of a GPU walked with stand-ins."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from bench.model import BenchError, Device, Skip, Variant
from bench.workloads.transformer import block, gemm, graphs, memory, phases, torch_device
from bench.workloads.transformer.shapes import Shape

CPU = Device("cpu", 0, "a CPU", cores=2)
DENSE = Shape("dense", 64, 4, heads=4, kv_heads=2, head_dim=16, ffn=96, vocab=256)


def gpu(arch: str = "sm_90") -> Device:
    return Device("cuda", 0, "NVIDIA H100 80GB HBM3", arch=arch)


def test_cpu_memory_and_cache_are_read() -> None:
    assert (memory.free_bytes(CPU) or 0) > 1 << 20
    assert 1 << 15 <= torch_device.cache_bytes(CPU) <= 1 << 31
    torch_device.synchronize(CPU)
    memory.release(CPU)


def test_gpu_memory_and_cache_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (123, 456))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(L2_cache_size=50 << 20))
    assert memory.free_bytes(gpu()) == 123
    assert torch_device.cache_bytes(gpu()) == 50 << 20
    rocm = Device("rocm", 0, "AMD Instinct MI300X", arch="gfx942")
    assert torch_device.cache_bytes(rocm) == torch_device.UNKNOWN_CACHE_BYTES
    assert memory.library_bytes(gpu()) == 32 << 20
    assert memory.library_bytes(gpu("sm_86")) < 9 << 20
    assert memory.library_bytes(gpu("sm_120")) == 32 << 20
    assert memory.library_bytes(CPU) == 0


def test_checks_run_where_float64_is_sure() -> None:
    assert torch_device.check_device(Device("cuda", 1, "x")) == "cuda:1"
    assert torch_device.check_device(Device("rocm", 1, "x")) == "cuda:1"
    assert {torch_device.check_device(Device(kind, 0, "x")) for kind in ("cpu", "mps", "xpu", "mlu", "musa")} == {"cpu"}


def test_a_failed_device_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(device: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered.\nmore lines")

    monkeypatch.setattr(torch.accelerator, "synchronize", fail)
    with pytest.raises(BenchError, match="illegal memory access was encountered"):
        torch_device.synchronize(gpu())


def test_an_allocator_that_refuses_is_a_skip() -> None:
    def refuse() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    with pytest.raises(Skip, match="does not fit"):
        memory.allocate(gpu(), "a variant", refuse)


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_on_cuda_a_block_is_captured_once_and_replayed(phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CUDA path of a job, with tensors on the CPU and a stand-in for the graph."""
    monkeypatch.setattr(Device, "torch_name", property(lambda self: "cpu"))
    monkeypatch.setattr(torch_device, "cache_bytes", lambda device: 1 << 18)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1 << 33)
    monkeypatch.setattr(torch_device, "synchronize", lambda device: None)
    monkeypatch.setattr(memory.PeakMemory, "__init__", lambda self, device: None)
    captured = []

    def capture(device, run):
        run()
        captured.append(run)
        return run

    monkeypatch.setattr(graphs, "capture", capture)
    job = phases.build(gpu(), Variant("transformer", phase, "dense", "fp32", 2, 8), DENSE)
    assert job.facts.implementation.endswith("-graph")
    assert len(captured) == len(job._blocks) > 1
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


def test_training_is_not_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "torch_name", property(lambda self: "cpu"))
    monkeypatch.setattr(torch_device, "cache_bytes", lambda device: 1 << 16)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1 << 33)
    monkeypatch.setattr(torch_device, "synchronize", lambda device: None)
    monkeypatch.setattr(memory.PeakMemory, "__init__", lambda self, device: None)
    job = phases.build(gpu(), Variant("transformer", "train", "dense", "fp32", 1, 8), DENSE)
    assert not job.facts.implementation.endswith("-graph")
    assert job.verify().ok
    assert job.facts.peak_work_per_s == pytest.approx(66.9e12)


@pytest.mark.parametrize("captures", [True, False])
def test_small_products_are_captured_on_cuda(captures: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CUDA path of the bare products, with tensors on the CPU and a stand-in for the graph."""
    monkeypatch.setattr(Device, "torch_name", property(lambda self: "cpu"))
    monkeypatch.setattr(torch_device, "cache_bytes", lambda device: 1 << 18)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1 << 40)
    monkeypatch.setattr(torch_device, "synchronize", lambda device: None)
    monkeypatch.setattr(memory.PeakMemory, "__init__", lambda self, device: None)
    if not captures:
        monkeypatch.setattr(gemm, "GRAPH_FLOPS", 1.0)
    captured = []

    def capture(device, run):
        run()
        captured.append(run)
        return run

    monkeypatch.setattr(graphs, "capture", capture)
    job = gemm.build(gpu(), Variant("transformer", "gemm", "dense", "fp32", 1, 8), DENSE)
    assert job.facts.implementation.endswith("-graph") == captures
    assert bool(captured) == captures
    assert not captured or len(captured) == len(job._turns)
    assert job.verify().ok
    job.launch(3)
    assert job.audit().ok
    job._turns[job._next - 1][0].out.fill_(0.5)
    job._launched = 1
    assert not job.audit().ok
    job.close()
