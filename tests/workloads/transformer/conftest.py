"""Fixtures of the transformer's tests."""

from __future__ import annotations

import pytest
import torch

from bench.model import Device
from bench.workloads.transformer import graphs, memory, torch_device


@pytest.fixture(autouse=True)
def one_thread():
    """Two threads on busy cores wait for each other at every small operation."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small_cache(monkeypatch):
    """A last-level cache of 2 MiB, so that copies are few and tests are quick."""
    monkeypatch.setattr(torch_device, "cache_bytes", lambda device: 2 << 20)


@pytest.fixture
def gpu_on_cpu(monkeypatch):
    """A GPU whose tensors live on the CPU and whose graphs replay the captured function; the list of captured runs."""
    captured = []

    class Replays:
        def __init__(self, device):
            pass

        def capture(self, runs):
            for run in runs:
                run()
            captured.extend(runs)
            return list(runs)

        def close(self):
            captured.clear()

    monkeypatch.setattr(Device, "torch_name", property(lambda self: "cpu"))
    monkeypatch.setattr(torch_device, "cache_bytes", lambda device: 1 << 18)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1 << 40)
    monkeypatch.setattr(torch_device, "synchronize", lambda device: None)
    monkeypatch.setattr(memory.PeakMemory, "__init__", lambda self, device: None)
    monkeypatch.setattr(graphs, "Graphs", Replays)
    return captured
