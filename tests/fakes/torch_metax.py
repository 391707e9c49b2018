"""MetaX's torch as the command line meets it: cards named ``cuda`` with neither NVML nor CuPy behind them.

The CPU build of torch holds no tensor on ``cuda``, so a function mode puts every tensor that asks for it on the CPU.
What ``torch.cuda`` and ``torch.accelerator`` say of the cards is made up here. Installing it changes the whole process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

CARD = "MetaX C500"


def _on_host(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("cuda"):
        return "cpu"
    return torch.device("cpu") if isinstance(value, torch.device) and value.type == "cuda" else value


class OnHost(TorchFunctionMode):
    """Replaces the device ``cuda`` by the CPU in the arguments of every torch function, and records captured calls."""

    recorded: list[Any] | None = None

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.device:
            return function(*args, **(kwargs or {}))
        arguments = {name: _on_host(value) for name, value in (kwargs or {}).items()}
        positional = [_on_host(value) for value in args]
        result = function(*positional, **arguments)
        if self.recorded is not None:
            self.recorded.append((function, positional, arguments, result))
        return result


class Graph:
    """Replays what was called during its capture, into the tensors that the capture left."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def replay(self) -> None:
        for function, positional, arguments, captured in self.calls:
            result = function(*positional, **arguments)
            if isinstance(result, torch.Tensor) and result.data_ptr() != captured.data_ptr():
                captured.copy_(result)

    def reset(self) -> None:
        self.calls = []


def install(count: int = 1, free_bytes: int = 1 << 30) -> TorchFunctionMode:
    """Give this process ``count`` cards; the caller keeps what is returned, for the mode lives as long."""
    properties = SimpleNamespace(
        name=CARD, total_memory=64 << 20, multi_processor_count=104, major=8, minor=0, L2_cache_size=8 << 20
    )
    accelerator, cuda = torch.accelerator, torch.cuda
    accelerator.current_accelerator = lambda check_available=False: torch.device("cuda")
    accelerator.is_available = cuda.is_available = lambda: True
    accelerator.device_count = cuda.device_count = lambda: count
    torch.version.cuda = "12.1"
    cuda.get_device_properties = lambda _device=None: properties
    cuda.get_device_capability = lambda _device=None: (8, 0)
    cuda.mem_get_info = lambda _device=None: (free_bytes, free_bytes)
    cuda.init = lambda: None
    cuda.synchronize = cuda.set_device = cuda.reset_peak_memory_stats = lambda _device=None: None
    cuda.memory_allocated = cuda.max_memory_allocated = lambda _device=None: 0
    mode = OnHost()

    @contextmanager
    def capture(graph: Graph, *, stream: Any) -> Iterator[None]:
        assert stream in streams
        mode.recorded = graph.calls
        try:
            yield
        finally:
            mode.recorded = None

    streams = []

    def new_stream(device: Any) -> Any:
        streams.append(SimpleNamespace(device=device, cuda_stream=len(streams)))
        return streams[-1]

    cuda.CUDAGraph, cuda.graph, cuda.Stream = Graph, capture, new_stream
    cuda.device = cuda.stream = lambda _which: nullcontext()
    torch._C._cuda_clearCublasWorkspaces = lambda: None
    mode.__enter__()
    return mode
