"""What the transformer asks torch of a device: waiting for its work, its cache, where checks run."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from bench.model import BenchError, Device, first_line

UNKNOWN_CACHE_BYTES = 256 << 20
"""Assumed where a device does not report its last-level cache: the largest of any GPU (MI300X's 256 MiB)."""

ROTATION_CACHES = 10
ROTATION_SHARE = 1 / 24
"""The dozen jobs of a default run, which stay built for their repeats, then take no more than half of the memory."""


def synchronize(device: Device) -> None:
    """Return once all queued work is done.

    Raises:
        BenchError: the device failed.
    """
    if device.kind == "cpu":
        return
    # The vendor's module first: a plugin may not implement what torch.accelerator calls.
    module = getattr(torch, device.torch_module, None)
    wait = getattr(module, "synchronize", torch.accelerator.synchronize)
    try:
        wait() if device.kind == "mps" else wait(device.torch_name)
    except RuntimeError as error:
        raise BenchError(
            f"{device.label} failed while it worked: {first_line(error)}", "check the driver's log, then run again"
        ) from error


def cache_bytes(device: Device) -> int:
    """Size of the last-level cache in bytes, or the largest known where the device does not report it."""
    if device.kind == "cpu":
        sizes = []
        for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
            match = re.fullmatch(r"(\d+)([KMG]?)", path.read_text(encoding="ascii").strip())
            if match:
                sizes.append(int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2]])
        return max(sizes, default=UNKNOWN_CACHE_BYTES)
    if device.kind == "cuda":
        return int(getattr(torch.cuda.get_device_properties(device.index), "L2_cache_size", 0)) or UNKNOWN_CACHE_BYTES
    # ROCm reports the L2 of one die and not the Infinity Cache behind it.
    return UNKNOWN_CACHE_BYTES


def rotation_bytes(device: Device) -> int:
    """How many bytes a job's buffers should take turns over, so that its weights come from memory.

    Ten times the last-level cache, or what :data:`ROTATION_SHARE` of the device's memory allows, but twice the cache
    at least (also where the memory is not known).
    """
    cache = cache_bytes(device)
    room = int(ROTATION_SHARE * (device.memory_bytes or 0))
    return max(2 * cache, min(ROTATION_CACHES * cache, room))


def check_device(device: Device) -> str:
    """Where checks run: on the device, or on the host where float64 may be missing (Apple, Intel Arc, MLU, MUSA)."""
    return device.torch_name if device.is_cuda_like else "cpu"


def settings(device: Device, inputs: str) -> str:
    """Settings that must match for two rows to be compared: the inputs and, on a CPU, torch's number of threads."""
    return f"inputs={inputs}" + (f" threads={torch.get_num_threads()}" if device.kind == "cpu" else "")
