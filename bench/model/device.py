"""A device that computes."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Device:
    """One thing that computes, as torch's accelerator API names it.

    ``cores`` is multiprocessors on a GPU and usable logical cores on a CPU.
    """

    kind: str
    """``cuda``, ``rocm``, ``musa``, ``mlu``, ``xpu``, ``mps`` or ``cpu``."""
    index: int
    name: str
    uuid: str | None = None
    """As NVML prints it, ``GPU-…``; the key by which a power sensor is matched."""
    pci_bus_id: str | None = None
    driver: str | None = None
    runtime: str | None = None
    """For example ``CUDA 13.0``."""
    cores: int | None = None
    memory_bytes: int | None = None
    arch: str | None = None
    """``sm_90`` on CUDA, the machine's architecture on a CPU."""
    maker: str | None = None
    """Maker of a card that another maker's API drives: MetaX's torch calls its cards ``cuda``. None elsewhere."""

    @property
    def is_nvidia(self) -> bool:
        """Whether NVIDIA made the device, so that CuPy, NVML and compute capabilities mean what they say."""
        return self.kind == "cuda" and self.maker is None

    @property
    def is_cuda_like(self) -> bool:
        """Whether ``torch.cuda`` drives the device: CUDA, and ROCm, whose builds of torch keep that name."""
        return self.kind in ("cuda", "rocm")

    @property
    def torch_module(self) -> str:
        """The module of torch that drives the device: ``cuda`` for ROCm too, else the device's kind."""
        return "cuda" if self.is_cuda_like else self.kind

    @property
    def torch_name(self) -> str:
        """The name by which torch knows the device, for example ``cpu``, ``cuda:0`` (ROCm too) or ``musa:1``."""
        return "cpu" if self.kind == "cpu" else f"{self.torch_module}:{self.index}"

    @property
    def label(self) -> str:
        """``cuda:0`` or ``cpu``: what ``--device`` accepts."""
        return "cpu" if self.kind == "cpu" else f"{self.kind}:{self.index}"


def usable_cores() -> int:
    """Logical cores that this process may run on: its affinity mask, which containers and taskset set."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
