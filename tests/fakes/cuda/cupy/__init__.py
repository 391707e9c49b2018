"""A stand-in for CuPy: the parts that bitwatt calls, over host memory and kernels built for the host.

It is stricter than CUDA where that finds mistakes: a launch checks the size and nature of every argument, work runs
only once it is waited for, a pointer must lead into memory that is still allocated, and writing past an array's end is
an illegal address.
"""

from __future__ import annotations

import re
import weakref
from typing import Any

import numpy as np
from cupy import cuda

from tests.fakes.cuda import host

__version__ = "0.0.stand-in"
OPTIMISE = "-O0"
"""Of the host compiler: -O1 takes longer to compile and a tenth of the time to run."""
CANARY = 0xA5
GUARD_BYTES = 4096

live: weakref.WeakSet[Allocation] = weakref.WeakSet()


class Allocation:
    """Memory with a guard zone behind it."""

    def __init__(self, nbytes: int) -> None:
        self.bytes = np.zeros(nbytes + GUARD_BYTES, np.uint8)
        self.bytes[nbytes:] = CANARY
        self.nbytes = nbytes
        live.add(self)

    def holds(self, address: int) -> bool:
        start = self.bytes.ctypes.data
        return start <= address < start + self.nbytes

    def intact(self) -> bool:
        return bool((self.bytes[self.nbytes :] == CANARY).all())


class ndarray:
    """An array of the device: only what was waited for can be read."""

    def __init__(self, allocation: Allocation, values: np.ndarray) -> None:
        self._allocation = allocation
        self._values = values

    def __getitem__(self, key: slice) -> ndarray:
        return ndarray(self._allocation, self._values[key])

    def get(self) -> np.ndarray:
        cuda.current_stream().synchronize()
        return self._values.copy()

    def fill(self, value: int) -> None:
        cuda.current_stream().enqueue(lambda: self._values.fill(value))

    @property
    def size(self) -> int:
        return self._values.size

    @property
    def address(self) -> int:
        return int(self._values.ctypes.data)


def zeros(shape: int, dtype: Any) -> ndarray:
    cuda.current_device()
    if cuda.next_failure("memory"):
        raise cuda.OutOfMemoryError("Out of memory allocating 8,388,616 bytes")
    dtype = np.dtype(dtype)
    allocation = Allocation(shape * dtype.itemsize)
    return ndarray(allocation, allocation.bytes[: allocation.nbytes].view(dtype))


empty = zeros


class _Pool:
    freed = 0

    def free_all_blocks(self) -> None:
        self.freed += 1


_pool = _Pool()


def get_default_memory_pool() -> _Pool:
    cuda.current_device()
    return _pool


class RawModule:
    def __init__(self, *, code: str, options: tuple[str, ...] = (), backend: str = "nvrtc") -> None:
        assert backend == "nvrtc"
        assert all(option.startswith(("-D", "--std=")) for option in options)
        self._code, self._options = code, options

    def compile(self) -> None:
        for entry in re.findall(r'extern "C" __global__ void (?:__launch_bounds__\(\w+\))?\s*(\w+)\(', self._code):
            self.get_function(entry)

    def get_function(self, entry: str) -> RawKernel:
        if cuda.next_failure("compile"):
            raise RuntimeError("CuPy failed to load libnvrtc.so.13: OSError: cannot open shared object file")
        try:
            return RawKernel(host.build(self._code, entry, self._options, optimise=OPTIMISE))
        except host.CompileError as error:
            raise cuda.compiler.CompileException(str(error)) from None


class RawKernel:
    """A kernel; its own ``kernel`` with a ``ptr``, as CuPy has it."""

    ptr = 1

    def __init__(self, kernel: host.HostKernel) -> None:
        self._kernel = kernel

    @property
    def kernel(self) -> RawKernel:
        return self

    def __call__(self, grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple[Any, ...]) -> None:
        device, stream = cuda.current_device(), cuda.current_stream()
        assert stream.device == device, "a stream of another device"
        assert len(grid) == len(block) == 1
        assert 1 <= grid[0] < 1 << 31
        assert 1 <= block[0] <= 1024
        if cuda.next_failure("launch"):
            raise cuda.driver.CUDADriverError("CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure")
        # The driver copies the arguments before a launch returns.
        packed = [self._pack(argument) for argument in arguments]
        self._kernel.check(packed)
        cuda.launches.append((device, grid[0], block[0]))
        stream.enqueue(lambda: self._run(grid[0], block[0], packed))

    @staticmethod
    def _pack(argument: Any) -> tuple[bytes, bool]:
        if isinstance(argument, ndarray):
            return argument.address.to_bytes(8, "little"), True
        if isinstance(argument, np.ndarray) and argument.size != 1:
            raise TypeError("only arrays of size one are passed by value")
        if isinstance(argument, np.ndarray):
            return argument.tobytes(), False
        if isinstance(argument, int):
            argument = np.int64(argument)
        return argument.tobytes(), False

    def _run(self, blocks: int, threads: int, packed: list[tuple[bytes, bool]]) -> None:
        for data, pointer in packed:
            if pointer and not any(part.holds(int.from_bytes(data, "little")) for part in live):
                raise cuda.runtime.CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access was encountered")
        self._kernel.run(blocks, threads, packed)
        if not all(part.intact() for part in live):
            raise cuda.runtime.CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access was encountered")
