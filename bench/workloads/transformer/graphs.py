"""CUDA graphs: a run captured once and replayed, without launch overhead or allocation."""

from __future__ import annotations

from collections.abc import Callable

import torch

from bench.model import Device


def capture(device: Device, run: Callable[[], object]) -> Callable[[], object]:
    """Capture ``run`` into a CUDA graph and return its replay. Tensors that ``run`` keeps stay at their addresses.

    Two runs on a side stream come first, as capture requires: libraries initialise themselves in them.
    """
    with torch.cuda.device(device.index):
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):
                run()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            run()
    return graph.replay
