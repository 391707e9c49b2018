"""CUDA graphs: runs captured once and replayed, without launch overhead or allocation.

A captured product holds the address of its cuBLAS workspace. torch keeps one workspace per (handle, stream), and
resetting any graph clears those of its capture stream (CUDAGraph::reset since torch 2.12), so graphs of two jobs must
never be captured on one stream: the first to close would leave the other with dangling addresses (pytorch issue
193402). Nor may they rest on a workspace from outside the capture, which any later clearing would free. Hence one
stream per job, and workspaces cleared before its first capture (each graph's then comes from the graph's own memory
pool) and after its last (so that eager work does not inherit one from there).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence

import torch

from bench.model import BenchError, Device, Skip, first_line

WARM_UP_RUNS = 2
"""Runs before a capture, which forbids what libraries do when they initialize."""
STREAMS = 32
"""Streams that torch creates per device; then it hands out the same ones again (CUDAStream.cpp, kStreamsPerPool)."""

_live: weakref.WeakSet[Graphs] = weakref.WeakSet()


class Graphs:
    """The CUDA graphs of one job.

    Raises:
        Skip: every stream of the device belongs to another job's graphs.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._graphs: list[torch.cuda.CUDAGraph] = []
        self._stream = _unused_stream(device)
        _live.add(self)

    @property
    def stream_key(self) -> tuple[int, int]:
        """Device index and address of the stream."""
        return self._device.index, self._stream.cuda_stream

    def capture(self, runs: Sequence[Callable[[], object]]) -> list[Callable[[], None]]:
        """Capture each run and return their replays. Tensors that a run keeps stay at their addresses.

        Raises:
            torch.OutOfMemoryError: a run does not fit in memory.
            BenchError: a run cannot be captured.
        """
        # The outer stream context restores the current stream, which torch.cuda.graph does not if a capture fails.
        with torch.cuda.device(self._device.index), torch.cuda.stream(self._stream):
            try:
                torch.cuda.synchronize()
                for run in runs:
                    for _ in range(WARM_UP_RUNS):
                        run()
                torch.cuda.synchronize()
                _clear_workspaces()
                return [self._capture_one(run) for run in runs]
            except RuntimeError as error:
                first = _first(error)
                if isinstance(first, torch.OutOfMemoryError):
                    raise first from None
                raise BenchError(
                    f"{self._device.label} cannot capture a run as a CUDA graph: {first_line(first)}",
                    "report this, with the versions of torch and of the driver",
                ) from error
            finally:
                _clear_workspaces()

    def _capture_one(self, run: Callable[[], object]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            run()
        self._graphs.append(graph)
        return graph.replay

    def close(self) -> None:
        """Destroy the graphs. Idempotent.

        Raises:
            RuntimeError: the first failure, once all graphs have been tried.
        """
        graphs, self._graphs = self._graphs, []
        _live.discard(self)
        errors = []
        for graph in graphs:
            try:
                graph.reset()
            except RuntimeError as error:
                errors.append(error)
        if errors:
            raise errors[0]


def _unused_stream(device: Device) -> torch.cuda.Stream:
    taken = {graphs.stream_key for graphs in _live}
    for _ in range(STREAMS):
        stream = torch.cuda.Stream(device=device.index)  # type: ignore[no-untyped-call]
        if (device.index, stream.cuda_stream) not in taken:
            return stream
    raise Skip(
        f"{STREAMS} jobs on {device.label} hold CUDA graphs, one stream each, and torch has no more streams",
        "measure fewer variants in one run",
    )


def _clear_workspaces() -> None:
    torch._C._cuda_clearCublasWorkspaces()


def _first(error: BaseException) -> BaseException:
    """The error that came first: torch.cuda.graph ends a failed capture with another one."""
    while error.__context__ is not None:
        error = error.__context__
    return error
