"""What the transformer asks torch of a device: its cache, waiting for it, where checks run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from bench.model import BenchError, Device
from bench.workloads.transformer import (
    memory,
    torch_device,
)
from tests.support.transformer import (
    CPU,
    gpu,
)


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


@pytest.mark.parametrize(
    ("memory_gib", "caches"),
    [(80, 10), (None, 2), (0.1, 2), (6, 5.12)],
    ids=["enough", "unknown", "too little", "some"],
)
def test_buffers_rotate_over_ten_caches_where_memory_allows(
    memory_gib: float | None, caches: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_device, "cache_bytes", lambda device: 50 << 20)
    memory_bytes = None if memory_gib is None else int(memory_gib * 2**30)
    device = Device("cuda", 0, "a card", memory_bytes=memory_bytes)
    assert torch_device.rotation_bytes(device) == pytest.approx(caches * (50 << 20), rel=1e-6)


def test_checks_run_where_float64_is_sure() -> None:
    assert torch_device.check_device(Device("cuda", 1, "x")) == "cuda:1"
    assert torch_device.check_device(Device("rocm", 1, "x")) == "cuda:1"
    assert {torch_device.check_device(Device(kind, 0, "x")) for kind in ("cpu", "mps", "xpu", "mlu", "musa")} == {"cpu"}


def test_a_failed_device_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(device: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered.\nmore lines")

    monkeypatch.setattr(torch.cuda, "synchronize", fail)
    with pytest.raises(BenchError, match="illegal memory access was encountered"):
        torch_device.synchronize(gpu())
