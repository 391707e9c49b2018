"""Memory of a job: what is free, what a library adds, what was held at the peak."""

from __future__ import annotations

import ctypes
import functools
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch

from bench.model import Device, Skip, first_line
from bench.workloads import host_memory

FREE_SHARE = 0.95
"""Share of the free memory that a job may take."""
MAPPED_BYTES = 1 << 19
"""Blocks of at least this size are mapped one by one inside :func:`exact_heap`."""
GLIBC_HEAP_BYTES = 32 << 20
"""The largest block that glibc ever learns to keep in its heap (DEFAULT_MMAP_THRESHOLD_MAX, malloc.c)."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt (glibc's malloc.h)."""

T = TypeVar("T")


def free_bytes(device: Device) -> int | None:
    """Memory that can still be allocated on the device, in bytes; None where the device does not report it."""
    if device.kind == "cpu":
        return host_memory.free_bytes()
    get_info = getattr(getattr(torch, device.torch_module, None), "mem_get_info", None)
    return device.memory_bytes if get_info is None else int(get_info(device.index)[0])


def library_bytes(device: Device, captured: bool = False) -> int:
    """CuBLAS workspaces of a job: torch keeps one per stream, and cuBLASLt shares it (CublasHandlePool.cpp).

    ``captured``: the job's CUDA graphs have a stream of their own, and so a second workspace. Its size is what torch
    reports, or else 32 MiB from Hopper on and 8.125 MiB before.
    """
    if not device.is_nvidia:
        return 0
    return (2 if captured else 1) * _workspace_bytes(device)


def _workspace_bytes(device: Device) -> int:
    if hasattr(torch._C, "_cuda_getCublasWorkspaceSize"):
        with torch.cuda.device(device.index):
            return int(torch.backends.cuda.cublas_workspace_size())
    generation = re.fullmatch(r"sm_(\d+)\d[a-z]?", device.arch or "")
    return 32 << 20 if generation and int(generation[1]) >= 9 else 8320 << 10


def require(device: Device, needed_bytes: int, label: str) -> None:
    """Refuse a job that does not fit, before anything is allocated.

    Raises:
        Skip: the job needs more than 95% of the free memory.
    """
    free = free_bytes(device)
    if free is not None and needed_bytes > FREE_SHARE * free:
        raise Skip(
            f"{label} needs {needed_bytes} bytes ({needed_bytes / 2**30:.1f} GiB) and {device.label} has "
            f"{free / 2**30:.1f} GiB free",
            "choose a smaller shape, fewer tokens or a narrower type",
        )


def allocate(device: Device, label: str, make: Callable[[], T]) -> T:
    """Run ``make`` and return its result.

    Raises:
        Skip: the device's allocator is out of memory.
    """
    try:
        with exact_heap(device, trim=True):
            return make()
    except torch.OutOfMemoryError as error:
        # The frames of a failed constructor hold its tensors for as long as anybody holds the error.
        traceback.clear_frames(error.__traceback__)
        release(device)
        raise Skip(
            f"{label} does not fit in the memory of {device.label}: {first_line(error)}",
            "free memory on the device, or choose a smaller shape",
        ) from error


def release(device: Device) -> None:
    """Return freed memory to the driver or the system, for the next job and for other processes."""
    if device.kind == "cpu":
        if (libc := _libc()) is not None:
            libc.malloc_trim(0)
        return
    empty_cache = getattr(getattr(torch, device.torch_module, None), "empty_cache", None)
    if empty_cache is not None:
        empty_cache()


@functools.cache
def _libc() -> Any:
    """The C library if it is glibc, else None."""
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):
        return None
    return library if hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt") else None


@contextmanager
def exact_heap(device: Device, trim: bool = False) -> Iterator[None]:
    """Return every freed block to the system at once, so that a CPU job's resident memory is what its tensors take.

    By default glibc learns from each freed block to keep the next one of that size in its heap; filling and checking
    a job then leave 30 to 85 MiB resident that nothing uses. On exit the heap keeps blocks again, as it would have
    learnt to, so that no timed run waits for pages.

    Args:
        device: nothing happens for devices other than CPUs.
        trim: on exit, also return the unused part of the heap. Not before a window: its pages would fault in again.
    """
    libc = _libc() if device.kind == "cpu" else None
    if libc is None:
        yield
        return
    libc.mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES)
    try:
        yield
    finally:
        libc.mallopt(M_MMAP_THRESHOLD, GLIBC_HEAP_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, 2 * GLIBC_HEAP_BYTES)
        if trim:
            libc.malloc_trim(0)


class PeakMemory:
    """How far a device's memory grows from here on: what torch allocates on CUDA, resident pages on a CPU."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._before: int | None = None
        if device.is_cuda_like:
            # Before a card's first use its allocator has no counters to reset.
            torch.cuda.init()  # type: ignore[no-untyped-call]
            torch.cuda.reset_peak_memory_stats(device.index)
            self._before = torch.cuda.memory_allocated(device.index)
        elif device.kind == "cpu":
            try:
                # Resets VmHWM (proc(5)).
                Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
                self._before = _status_bytes("VmRSS")
            except OSError:
                return

    def grown_bytes(self) -> int | None:
        """The largest growth so far, in bytes; None where it is not known."""
        if self._before is None:
            return None
        if self._device.kind == "cpu":
            peak = _status_bytes("VmHWM")
            return None if peak is None else peak - self._before
        return int(torch.cuda.max_memory_allocated(self._device.index)) - self._before


def _status_bytes(name: str) -> int | None:
    match = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    return int(match[1]) << 10 if match else None
