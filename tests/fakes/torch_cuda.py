"""CUDA streams, graphs and cuBLAS workspaces as torch 2.13's sources keep them, without a GPU.

``torch.cuda.graph`` and ``torch.cuda.stream`` are torch's own context managers; what they call is replaced. From the
sources: a device has 32 pooled streams, handed out in turn (CUDAStream.cpp); a workspace belongs to a (handle, stream)
and a handle to a device (CublasHandlePool.cpp); inside a capture memory comes from the graph's pool; resetting a graph
releases its pool and clears the workspaces of its capture stream (CUDAGraph.cpp); work on another stream of any device
during a capture in mode ``global`` invalidates it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import torch

STREAMS_PER_POOL = 32
WORKSPACE_BYTES = 32 << 20


@dataclass(frozen=True)
class FakeStream:
    device_index: int
    cuda_stream: int

    @property
    def device(self):
        return torch.device("cuda", self.device_index)

    def wait_stream(self, other):
        pass


@dataclass(eq=False)
class Pool:
    """A memory pool; the general one (``private`` False) is never released."""

    private: bool
    released: bool = False


@dataclass(eq=False)
class Workspace:
    pool: Pool
    freed: bool = False

    @property
    def valid(self) -> bool:
        """Whether a replay may address it: memory of a private pool stays mapped until the pool is released."""
        return not self.pool.released if self.pool.private else not self.freed


@dataclass
class FakeCuda:
    devices: int = 2
    current: int = 0
    capturing: FakeGraph | None = None
    streams: dict[int, FakeStream] = field(default_factory=dict)
    """Current stream of each device."""
    workspaces: dict[tuple[int, int], Workspace] = field(default_factory=dict)
    """By (device, address of the stream); a device has one handle."""
    made: list[Workspace] = field(default_factory=list)
    replays: int = 0
    fail_reset: bool = False

    def install(self, monkeypatch):
        cuda = self
        self.streams = {index: FakeStream(index, 0) for index in range(self.devices)}
        counters = {index: itertools.count() for index in range(self.devices)}

        def make_stream(device=None, priority=0):
            index = cuda.current if device is None else torch.device("cuda", device).index
            return FakeStream(index, (index + 1) << 16 | 1 + next(counters[index]) % STREAMS_PER_POOL)

        class device_context:
            def __init__(self, device):
                self.index = device if isinstance(device, int) else device.index

            def __enter__(self):
                self.before, cuda.current = cuda.current, self.index

            def __exit__(self, *args):
                cuda.current = self.before

        def set_stream(stream):
            # Like THCPModule_setStream_wrap, which also makes the stream's device the current one.
            cuda.current = stream.device_index
            cuda.streams[stream.device_index] = stream

        def current_stream(device=None):
            index = cuda.current if device is None else torch.device(device).index
            return cuda.streams[index]

        for name, fake in {
            "Stream": make_stream,
            "CUDAGraph": lambda: FakeGraph(cuda),
            "device": device_context,
            "set_stream": set_stream,
            "current_stream": current_stream,
            "synchronize": lambda device=None: None,
            "empty_cache": lambda: None,
            "_get_device_index": lambda device, optional=False: cuda.current,
        }.items():
            monkeypatch.setattr(torch.cuda, name, fake)
        monkeypatch.setattr(torch.cuda.graph, "default_capture_stream", None)
        monkeypatch.setattr(torch._C, "_host_emptyCache", lambda: None, raising=False)
        monkeypatch.setattr(torch._C, "_cuda_clearCublasWorkspaces", self.clear_workspaces, raising=False)
        return self

    def gemm(self, device: int = 0) -> None:
        """A product of tensors on ``device``: runs on that device's current stream, with a cuBLAS workspace."""
        stream = self.streams[device]
        graph = self.capturing
        if graph is not None and stream != graph.stream:
            graph.invalid = True
            raise torch.AcceleratorError("CUDA error: operation would make the legacy stream depend on a capture")
        key = (device, stream.cuda_stream)
        if key not in self.workspaces:
            self.workspaces[key] = Workspace(graph.pool if graph else Pool(private=False))
            self.made.append(self.workspaces[key])
        if graph is not None:
            graph.addresses.append(self.workspaces[key])

    def clear_workspaces(self, stream: FakeStream | None = None) -> None:
        for key in [key for key in self.workspaces if stream is None or key[1] == stream.cuda_stream]:
            self.workspaces.pop(key).freed = True

    @property
    def workspace_bytes(self) -> int:
        """Device memory of all workspaces that is not returned."""
        return WORKSPACE_BYTES * sum(each.valid for each in self.made)


class FakeGraph:
    def __init__(self, cuda: FakeCuda) -> None:
        self.cuda = cuda
        self.stream: FakeStream | None = None
        self.pool = Pool(private=True)
        self.addresses: list[Workspace] = []
        self.captured = self.invalid = False

    def capture_begin(self, pool=None, capture_error_mode="global", check_input_liveness=False):
        stream = self.cuda.streams[self.cuda.current]
        if stream.cuda_stream == 0:
            raise RuntimeError("CUDA graphs must be captured on a non-default stream.")
        self.stream, self.cuda.capturing = stream, self

    def capture_end(self):
        self.cuda.capturing = None
        if self.invalid:
            raise torch.AcceleratorError("CUDA error: operation failed due to a previous error during capture")
        self.captured = True

    def replay(self):
        if not self.captured:
            raise RuntimeError("Called CUDAGraph::replay without a preceding successful capture.")
        if not all(each.valid for each in self.addresses):
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        self.cuda.replays += 1

    def reset(self):
        if self.captured:
            self.captured = False
            self.cuda.clear_workspaces(self.stream)
            self.pool.released = True
            if self.cuda.fail_reset:
                raise torch.AcceleratorError("CUDA error: unspecified launch failure")
