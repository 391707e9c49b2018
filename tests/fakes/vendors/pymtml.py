"""A stand-in for Moore Threads' Python binding of this name.

FAKE_MTML is JSON: ``watts``, ``lost_after`` (s of a process's life), ``fail`` (calls that raise), ``cards``.
"""

import json
import os
import time

SCRIPT = json.loads(os.environ.get("FAKE_MTML", "{}"))
BEGUN = time.monotonic()

MTML_ERROR_NOT_SUPPORTED = 4
MTML_ERROR_GPU_IS_LOST = 10


class MTMLError(Exception):
    def __init__(self, value):
        super().__init__(value)
        self.value = value

    def __str__(self):
        return "Gpu Is Lost" if self.value == MTML_ERROR_GPU_IS_LOST else "Not Supported"


def _call(name):
    if name in SCRIPT.get("fail", ()):
        raise MTMLError(MTML_ERROR_NOT_SUPPORTED)


def mtmlLibraryInit():
    _call("init")


def mtmlLibraryShutDown():
    pass


def mtmlLibraryCountDevice():
    return SCRIPT.get("cards", 1)


def mtmlLibraryInitDeviceByIndex(index):
    return index


def mtmlDeviceGetUUID(device):
    return f"{device}2345678-0000-0000-0000-00000000000{device}"


def mtmlDeviceGetName(device):
    return "MTT Fake"


def mtmlDeviceGetPowerUsage(device):
    _call("power")
    life = time.monotonic() - BEGUN
    if life > SCRIPT.get("lost_after", 1e9):
        raise MTMLError(MTML_ERROR_GPU_IS_LOST)
    # a reading that changes every 50 ms by a milliwatt, so that its period shows
    return int(SCRIPT.get("watts", 200) * 1000) + int(life / 0.05) % 2


def mtmlDeviceInitGpu(device):
    return ("gpu", device)


def mtmlDeviceInitMemory(device):
    return ("memory", device)


def mtmlGpuGetTemperature(gpu):
    return 61


def mtmlGpuGetClock(gpu):
    return 1600


def mtmlMemoryGetClock(memory):
    _call("memory clock")
    return 7000
