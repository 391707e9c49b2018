"""A device that computes."""

from __future__ import annotations

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

    @property
    def torch_name(self) -> str:
        """The name torch knows the device by. ROCm builds of torch call their devices ``cuda``."""
        if self.kind == "cpu":
            return "cpu"
        return f"{'cuda' if self.kind == 'rocm' else self.kind}:{self.index}"

    @property
    def label(self) -> str:
        """``cuda:0`` or ``cpu``: what ``--device`` accepts."""
        return "cpu" if self.kind == "cpu" else f"{self.kind}:{self.index}"
