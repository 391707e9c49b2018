"""What the transformer asks of torch about a device: its clock of work, its memory, its cache, its seeded values."""

from __future__ import annotations

import ctypes
import functools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.model import BenchError, Device, Skip, first_line

UNKNOWN_CACHE_BYTES = 256 << 20
"""Taken where a device does not tell its last-level cache: the largest known of a GPU (MI300X's 256 MiB)."""

POOL_VALUES = 4_194_301
"""A prime, so that a tiled pool never lines up with a row: neighbouring rows stay unlike."""

INPUT_KINDS = ("normal", "zeros", "ones", "structured")


def synchronize(device: Device) -> None:
    """Return once all queued work is done.

    Raises:
        BenchError: the device failed.
    """
    if device.kind == "cpu":
        return
    import torch

    try:
        torch.accelerator.synchronize(device.torch_name)
    except RuntimeError as error:
        raise BenchError(
            f"{device.label} failed while it worked: {first_line(error)}", "look at the driver's log, then run again"
        ) from error


def free_bytes(device: Device) -> int | None:
    """Memory that can still be had on the device, in bytes; None where nothing tells."""
    if device.kind == "cpu":
        import psutil

        return int(psutil.virtual_memory().available)
    import torch

    module = getattr(torch, "cuda" if device.kind in ("cuda", "rocm") else device.kind, None)
    get_info = getattr(module, "mem_get_info", None)
    if get_info is None:
        return device.memory_bytes
    return int(get_info(device.index)[0])


def library_bytes(device: Device) -> int:
    """Workspace that torch keeps for cuBLAS: 32 MiB from Hopper on, 8.125 MiB before (ATen's CUDABlas.cpp)."""
    if device.kind != "cuda":
        return 0
    generation = re.fullmatch(r"sm_(\d+)\d[a-z]?", device.arch or "")
    return 32 << 20 if generation and int(generation[1]) >= 9 else 8320 << 10


MAPPED_BYTES = 1 << 19
"""Blocks from this size on are mapped one by one while :func:`exact_heap` holds."""
GLIBC_HEAP_BYTES = 32 << 20
"""The largest block that glibc ever learns to keep in its heap (DEFAULT_MMAP_THRESHOLD_MAX, malloc.c)."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Names of mallopt's parameters (glibc's malloc.h)."""


@functools.cache
def _libc() -> Any:
    """The C library where it is glibc, else None."""
    try:
        library = ctypes.CDLL(None)
        return library if hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt") else None
    except (OSError, TypeError):
        return None


@contextmanager
def exact_heap(device: Device, trim: bool = False) -> Iterator[None]:
    """While this holds, the CPU's memory is what its tensors take: a freed block goes back to the system at once.

    By itself glibc learns from each block freed to keep the next of that size in its heap. What fills and checks a job
    then leaves 30 to 85 MiB resident that nothing uses. Outside, its heap keeps blocks as it would have learnt to, so
    that no run waits for pages.

    Args:
        device: nothing is done for other than CPUs.
        trim: at the end, also give back what the heap holds unused. Not before a window: its pages would come anew.
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
    """By how much a device's memory grows at most from here on: what torch holds on CUDA, resident pages on a CPU."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._before: int | None = None
        if device.kind in ("cuda", "rocm"):
            import torch

            # Before the first use of a card its allocator has no figures to reset.
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
        """The growth so far; None where nothing tells."""
        if self._before is None:
            return None
        if self._device.kind == "cpu":
            highest = _status_bytes("VmHWM")
            return None if highest is None else highest - self._before
        import torch

        return int(torch.cuda.max_memory_allocated(self._device.index)) - self._before


def _status_bytes(name: str) -> int | None:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    return int(found[1]) << 10 if found else None


def require_memory(device: Device, needed_bytes: int, label: str) -> None:
    """Refuse what does not fit, before anything is allocated.

    Raises:
        Skip: more is needed than 95% of what is free.
    """
    free = free_bytes(device)
    if free is not None and needed_bytes > 0.95 * free:
        raise Skip(
            f"{label} needs {needed_bytes} bytes ({needed_bytes / 2**30:.1f} GiB) and {device.label} has "
            f"{free / 2**30:.1f} GiB free",
            "choose a smaller shape, fewer tokens or a narrower type",
        )


def cache_bytes(device: Device) -> int:
    """Size of the last-level cache in bytes, or the largest known where the device does not tell."""
    if device.kind == "cpu":
        sizes = []
        for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
            found = re.fullmatch(r"(\d+)([KMG]?)", path.read_text(encoding="ascii").strip())
            if found:
                sizes.append(int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[found[2]])
        return max(sizes, default=UNKNOWN_CACHE_BYTES)
    if device.kind in ("cuda", "rocm"):
        import torch

        size = getattr(torch.cuda.get_device_properties(device.index), "L2_cache_size", 0)
        # AMD reports the L2 of one die and not the Infinity Cache behind it.
        return int(size) if size and device.kind == "cuda" else UNKNOWN_CACHE_BYTES
    return UNKNOWN_CACHE_BYTES


def check_place(device: Device) -> str:
    """Where checks run: on the device, or on the host where float64 is not sure (Apple, Intel Arc, MLU, MUSA)."""
    return device.torch_name if device.kind in ("cuda", "rocm") else "cpu"


def settings(device: Device, inputs: str) -> str:
    """What must match for two rows to be compared: the inputs, and on a CPU torch's number of threads."""
    if device.kind != "cpu":
        return f"inputs={inputs}"
    import torch

    return f"inputs={inputs} threads={torch.get_num_threads()}"


def release(device: Device) -> None:
    """Give freed memory back to driver or system, so that the next job and other processes can have it."""
    if device.kind == "cpu":
        if (libc := _libc()) is not None:
            libc.malloc_trim(0)
        return
    import torch

    module: Any = getattr(torch, "cuda" if device.kind in ("cuda", "rocm") else device.kind, None)
    if hasattr(module, "empty_cache"):
        module.empty_cache()


def guarded_allocation(device: Device, label: str, allocate: Callable[[], Any]) -> Any:
    """Run ``allocate`` and turn the allocator's refusal into a :class:`Skip`."""
    import torch

    try:
        with exact_heap(device, trim=True):
            return allocate()
    except torch.OutOfMemoryError as error:
        raise Skip(
            f"{label} did not fit {device.label}: {first_line(error)}", "free its memory or go smaller"
        ) from error


def capture(device: Device, run: Callable[[], Any]) -> Callable[[], Any]:
    """Capture ``run`` into a CUDA graph and give back its replay. Tensors that ``run`` keeps stay where they are.

    Two runs on a side stream come first, as capture needs: libraries set themselves up in them.
    """
    import torch

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
    replay: Callable[[], Any] = graph.replay
    return replay


class Values:
    """Seeded inputs. A pool of values is drawn once and tiled, so that filling is as fast as copying.

    ``normal`` is N(0, 1); ``zeros`` and ``ones`` are what they say; ``structured`` is a ramp of 1/8 steps over
    [-1, 1), smooth as pixels are: neighbours toggle few bits. Zeros draw up to 40% less power than normal values, so
    they are never a default.
    """

    def __init__(self, device: Device, kind: str, seed: int) -> None:
        import torch

        if kind not in INPUT_KINDS:
            raise BenchError(f"there are no inputs named {kind!r}", f"choose from {', '.join(INPUT_KINDS)}")
        self.kind = kind
        self._place = device.torch_name
        self._offset = 0
        if kind == "normal":
            # Drawn on the CPU, so that every device multiplies the same numbers.
            generator = torch.Generator().manual_seed(seed)
            self._pool = torch.randn(POOL_VALUES, generator=generator).to(self._place)
        elif kind in ("zeros", "ones"):
            self._pool = torch.full((POOL_VALUES,), float(kind == "ones"), device=self._place)
        elif kind == "structured":
            self._pool = ((torch.arange(POOL_VALUES) // 64 % 16 - 8) / 8).to(self._place)

    @staticmethod
    def pool_bytes(value_bytes: int) -> int:
        """Bytes at the peak of filling: the pool, its scaled copy, and that in the tensor's type."""
        return POOL_VALUES * (8 + (value_bytes if value_bytes < 4 else 0))

    def fill(self, tensor: Any, scale: float = 1.0) -> Any:
        """Fill ``tensor`` in place with values times ``scale`` and return it; integers are rounded to [-127, 127]."""
        import torch

        flat = tensor.view(-1)
        if tensor.dtype == torch.int8:
            size = 1.0 if self.kind == "ones" else 32.0
            pool = (self._pool * (size * scale)).round_().clamp_(-127, 127).to(torch.int8)
        else:
            pool = (self._pool * scale).to(tensor.dtype)
        done = 0
        while done < flat.numel():
            count = min(POOL_VALUES - self._offset, flat.numel() - done)
            flat[done : done + count].copy_(pool[self._offset : self._offset + count])
            done += count
            self._offset = (self._offset + count) % POOL_VALUES
        return tensor
