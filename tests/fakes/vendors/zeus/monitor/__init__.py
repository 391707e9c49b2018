"""A stand-in for Zeus's monitor: the counter read at the window's edges, by NVML's index."""

import time
from dataclasses import dataclass

import pynvml


@dataclass
class Measurement:
    time: float
    gpu_energy: dict


class ZeusMonitor:
    def __init__(self, gpu_indices=None, cpu_indices=None):
        print("chatter on stdout", flush=True)
        pynvml.nvmlInit()
        self.index = gpu_indices[0]
        self.handle = pynvml.nvmlDeviceGetHandleByIndex(self.index)
        self.windows = {}

    def _state(self):
        return time.time(), pynvml.nvmlDeviceGetTotalEnergyConsumption(self.handle) / 1000

    def begin_window(self, key, sync_execution=True, restart=False):
        assert not sync_execution
        self.windows[key] = self._state()

    def end_window(self, key, sync_execution=True):
        begun, before = self.windows.pop(key)
        ended, after = self._state()
        return Measurement(ended - begun, {self.index: after - before})
