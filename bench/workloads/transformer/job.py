"""What the transformer's jobs share: copies that run in turn, judged after each window."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from bench.model import Audit, BenchError, Device, Facts, Variant, first_line
from bench.workloads.transformer import dtypes, graphs, memory, peaks, torch_device
from bench.workloads.transformer.options import settings_of

SEED = 20260
MAX_COPIES = 64


def seed_of(variant: Variant) -> int:
    """Seed of a variant's inputs."""
    return SEED + settings_of(variant).seed


def copies_for(copy_bytes: int, rotation_bytes: int) -> int:
    """Copies of a job's buffers that together take at least ``rotation_bytes``, at most :data:`MAX_COPIES`."""
    return min(MAX_COPIES, max(1, math.ceil(rotation_bytes / copy_bytes)))


def poison(tensor: Tensor) -> None:
    """Overwrite with NaN (integers: their least value), so that a check cannot pass on output of earlier work."""
    tensor.fill_(math.nan if tensor.is_floating_point() else torch.iinfo(tensor.dtype).min)


class RotatingJob(ABC):
    """Iterations that take turns over copies of their buffers, so that weights come from memory.

    A subclass fills ``_runs``, one callable per turn, and ``facts``. See :class:`bench.model.Job`.
    """

    facts: Facts
    _verify_iterations = 1

    def __init__(self, device: Device, variant: Variant, native: bool) -> None:
        self._memory = memory.PeakMemory(device)
        self._device = device
        self._variant = variant
        self._native = native
        self._inputs = settings_of(variant).inputs
        self._dtype = dtypes.lookup(variant.dtype)
        self._precision = dtypes.set_flags(self._dtype)
        self._check_device = torch_device.check_device(device)
        self._runs: Sequence[Callable[[], object]] = ()
        self._graphs: graphs.Graphs | None = None
        self._next = 0
        self._launched = 0

    def _describe(
        self,
        suffix: str,
        flops_per_iteration: int,
        bytes_per_iteration: int,
        tokens_per_iteration: float | None,
        memory_bytes: int,
        rotating_bytes: int,
        block_tokens_per_iteration: float | None = None,
        options: str = "",
    ) -> Facts:
        """The job's facts. ``suffix`` follows torch's version in ``implementation``, ``options`` the job's settings;
        ``rotating_bytes`` is what the iterations take turns over.
        """
        peak = peaks.lookup(self._device, self._dtype.name)
        return Facts(
            implementation=f"torch-{torch.__version__}{suffix}",
            work_unit="FLOP",
            work_per_iteration=float(flops_per_iteration),
            tokens_per_iteration=tokens_per_iteration,
            block_tokens_per_iteration=block_tokens_per_iteration,
            cache_share_bound=min(1.0, torch_device.cache_bytes(self._device) / rotating_bytes),
            bytes_per_iteration=float(bytes_per_iteration),
            peak_work_per_s=peak.flops_per_s,
            peak_bytes_per_s=peak.bytes_per_s,
            peak_source=peak.source,
            native=self._native,
            precision=self._precision,
            memory_bytes=memory_bytes,
            options=torch_device.settings(self._device, self._inputs) + options,
        )

    def launch(self, iterations: int) -> None:
        dtypes.set_flags(self._dtype)
        runs, turn = self._runs, self._next
        count = len(runs)
        with torch.no_grad():
            for _ in range(iterations):
                runs[turn]()
                turn += 1
                if turn == count:
                    turn = 0
        self._next = turn
        self._launched += iterations

    def sync(self) -> None:
        torch_device.synchronize(self._device)

    def verify(self) -> Audit:
        """Run once what must run once, and check the last iteration."""
        self.audit()
        self.launch(self._verify_iterations)
        self.sync()
        return self.audit()

    def audit(self) -> Audit:
        """Check the output of the last iteration, then poison all outputs so that the next audit sees new work only."""
        if self._launched == 0:
            return Audit(True)
        with torch.no_grad(), memory.exact_heap(self._device):
            errors = self._check((self._next - 1) % len(self._runs))
        self._launched = 0
        self._poison()
        reasons = tuple(self._reason(name, error) for name, error in errors.items() if not error <= 1.0)
        return Audit(not reasons, reasons, details=errors)

    def peak_memory_bytes(self) -> int | None:
        return self._memory.grown_bytes()

    def _capture(self, runs: Sequence[Callable[[], object]]) -> None:
        """Replace ``_runs`` by CUDA graphs of ``runs``; only on a CUDA-like device."""
        self._graphs = graphs.Graphs(self._device)
        with torch.no_grad():
            self._runs = self._graphs.capture(runs)

    def close(self) -> None:
        self._runs = ()
        self._free()
        try:
            if self._graphs is not None:
                self._graphs.close()
            memory.release(self._device)
        except RuntimeError as error:
            raise BenchError(
                f"{self._device.label} failed while memory was freed: {first_line(error)}",
                "check the driver's log, then run again",
            ) from error

    @abstractmethod
    def _check(self, turn: int) -> Mapping[str, float]:
        """Error ÷ tolerance of each stage of the given turn's last run; all ≤ 1 when right, never NaN."""

    @abstractmethod
    def _reason(self, name: str, error: float) -> str:
        """The sentence that reports an error above 1."""

    @abstractmethod
    def _poison(self) -> None:
        """Overwrite every output."""

    @abstractmethod
    def _free(self) -> None:
        """Drop every buffer."""
