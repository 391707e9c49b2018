"""The bandwidth workload: its variants and its job, as torch operations on any device."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from bench.model import Audit, BenchError, BuildContext, Device, Facts, Variant, first_line
from bench.workloads.bandwidth.options import BandwidthOptions
from bench.workloads.transformer import memory, peaks, torch_device

ARRAYS = {"copy": 2, "triad": 3}
"""Arrays that a pattern reads or writes, each once: what an iteration moves is their size together."""
SCALE = 3.0
CACHES = 4
"""Each array is at least so many last-level caches long (STREAM's rule)."""
LEAST_BYTES, LEAST_SMOKE_BYTES = 256 << 20, 16 << 20
"""Least size of an array: long enough that a launch costs nothing on the fastest card (0.1 ms at 8 TB/s)."""
CHECK_ELEMENTS = 1 << 22
DTYPE = "fp32"
ELEMENT_BYTES = 4


def plan(_device: Device, options: BandwidthOptions, *, smoke: bool = False) -> list[Variant]:
    """One variant per pattern; a smoke run takes the first, over short arrays."""
    patterns = options.pattern[:1] if smoke else options.pattern
    return [Variant("bandwidth", phase=name, dtype=DTYPE, options=smoke) for name in patterns]


def build(device: Device, variant: Variant, context: BuildContext = BuildContext()) -> BandwidthJob:
    """Allocate the arrays and fill them.

    Raises:
        Skip: they do not fit in the device's free memory.
    """
    return BandwidthJob(device, variant, context.seed)


class BandwidthJob:
    """See :class:`bench.model.Job`. An iteration passes once over all arrays."""

    def __init__(self, device: Device, variant: Variant, seed: int | None) -> None:
        pattern = str(variant.phase)
        least = LEAST_SMOKE_BYTES if variant.options else LEAST_BYTES
        cache = torch_device.cache_bytes(device)
        elements = max(CACHES * cache, least) // ELEMENT_BYTES
        moved = ARRAYS[pattern] * elements * ELEMENT_BYTES
        memory.require(device, moved, variant.label)
        self._device = device
        self._memory = memory.PeakMemory(device)
        generator = torch.Generator().manual_seed(seed or 0)

        def filled() -> Tensor:
            # One block of random values again and again: filling gigabytes on the host would take longer than the run.
            block = torch.rand(min(elements, CHECK_ELEMENTS), generator=generator).to(device.torch_name)
            return block.repeat(-(-elements // block.numel()))[:elements].contiguous()

        self._sources: list[Tensor] = memory.allocate(
            device, variant.label, lambda: [filled() for _ in range(ARRAYS[pattern] - 1)]
        )
        self._target: Tensor | None = torch.empty_like(self._sources[0])
        self._run = self._pass(self._target)
        self._poison()
        self._launched = False
        peak = peaks.lookup(device, DTYPE)
        self.facts = Facts(
            implementation=f"torch-{torch.__version__}",
            work_unit="B",
            work_per_iteration=float(moved),
            bytes_per_iteration=float(moved),
            cache_share_bound=min(1.0, cache / moved),
            peak_work_per_s=peak.bytes_per_s,
            peak_bytes_per_s=peak.bytes_per_s,
            peak_source=peak.source,
            memory_bytes=moved,
            options=torch_device.settings(device, "random"),
        )

    def _pass(self, target: Tensor) -> Callable[[], object]:
        first, *rest = self._sources
        if not rest:
            return lambda: target.copy_(first)
        return lambda: torch.add(first, rest[0], alpha=SCALE, out=target)

    def verify(self) -> Audit:
        self.launch(1)
        self.sync()
        return self.audit()

    def launch(self, iterations: int) -> None:
        with torch.no_grad():
            for _ in range(iterations):
                self._run()
        self._launched = True

    def sync(self) -> None:
        torch_device.synchronize(self._device)

    def audit(self) -> Audit:
        """Compare every element with what it must be, then overwrite them all, so that only new work can pass."""
        if not self._launched or self._target is None:
            return Audit(True)
        wrong = 0
        arrays = (self._target, *self._sources)
        parts = (torch.split(array, CHECK_ELEMENTS) for array in arrays)
        for target, *sources in zip(*parts, strict=True):
            right = sources[0] if len(sources) == 1 else sources[0] + SCALE * sources[1]
            # A fused multiply-add rounds once instead of twice: at most one unit in the last place of 4.
            tolerance = 0.0 if len(sources) == 1 else 5e-7
            wrong += int(torch.logical_not((target - right).abs() <= tolerance).sum())
        self._poison()
        self._launched = False
        reasons = (f"{wrong} of {self._target.numel()} elements are wrong",) if wrong else ()
        details: Mapping[str, float] = {"wrong_elements": float(wrong)}
        return Audit(not wrong, reasons, details=details)

    def _poison(self) -> None:
        if self._target is not None:
            self._target.fill_(float("nan"))
        self.sync()

    def peak_memory_bytes(self) -> int | None:
        return self._memory.grown_bytes()

    def close(self) -> None:
        self._target, self._sources, self._run = None, [], lambda: None
        try:
            memory.release(self._device)
        except RuntimeError as error:
            raise BenchError(
                f"{self._device.label} failed while memory was freed: {first_line(error)}",
                "check the driver's log, then run again",
            ) from error
