"""A stand-in for CuPy: the parts that bitwatt calls, over host memory and kernels built for the host.

It is stricter than CUDA where that finds mistakes: a launch checks the size and nature of every argument, work runs
only once it is waited for, a pointer must lead into memory of the same device that is still allocated, and writing past
an array's end is an illegal address. ``test_real_cupy.py`` compares its names and signatures with CuPy's own.
"""

from __future__ import annotations

import os
import re
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.fakes.cuda import host
from tests.fakes.cuda.driver import CUDADriverError, CUDARuntimeError, machine

from . import cuda

__version__ = "0.0.stand-in"

# As CuPy's own DiskKernelCacheBackend: a home folder that cannot be written ends the import.
Path(os.environ.get("CUPY_CACHE_DIR") or Path("~/.cupy/kernel_cache").expanduser()).mkdir(parents=True, exist_ok=True)

_OPTIMISE = "-O0"
_CANARY, _GARBAGE = 0xA5, 0xCD
_GUARD_BYTES = 4096

_live: weakref.WeakSet[_Allocation] = weakref.WeakSet()


class _Allocation:
    """Memory of one device with a guard zone behind it."""

    def __init__(self, nbytes: int, content: int) -> None:
        self.card = machine.card()
        if machine.next_failure("memory") or self.card.used_bytes + nbytes > self.card.total_bytes:
            raise cuda.memory.OutOfMemoryError(nbytes, self.card.used_bytes)
        self.bytes = np.zeros(nbytes + _GUARD_BYTES, np.uint8)
        if content:
            self.bytes[:nbytes] = content
        self.bytes[nbytes:] = _CANARY
        self.nbytes = nbytes
        self.card.used_bytes += nbytes
        weakref.finalize(self, _keep_in_pool, self.card, nbytes)
        _live.add(self)

    def holds(self, address: int) -> bool:
        start = self.bytes.ctypes.data
        return start <= address < start + self.nbytes

    def intact(self) -> bool:
        return bool((self.bytes[self.nbytes :] == _CANARY).all())


def _keep_in_pool(card: Any, nbytes: int) -> None:
    card.cached_bytes += nbytes


class ndarray:
    """An array of the device: only what was waited for can be read."""

    def __init__(self, allocation: _Allocation, values: np.ndarray) -> None:
        self._allocation = allocation
        self._values = values

    def __getitem__(self, key: slice) -> ndarray:
        return ndarray(self._allocation, self._values[key])

    def get(self) -> np.ndarray:
        cuda.get_current_stream().synchronize()
        return self._values.copy()

    def fill(self, value: int) -> None:
        cuda.get_current_stream()._enqueue(lambda: self._values.fill(value))

    @property
    def size(self) -> int:
        return self._values.size


def _array(shape: int, dtype: Any, content: int) -> ndarray:
    dtype = np.dtype(dtype)
    allocation = _Allocation(shape * dtype.itemsize, content)
    return ndarray(allocation, allocation.bytes[: allocation.nbytes].view(dtype))


def zeros(shape: int, dtype: Any) -> ndarray:
    return _array(shape, dtype, 0)


def empty(shape: int, dtype: Any) -> ndarray:
    return _array(shape, dtype, _GARBAGE)


def get_default_memory_pool() -> cuda.MemoryPool:
    return cuda._pool


class RawModule:
    def __init__(self, code: str, *, options: tuple[str, ...] = (), backend: str = "nvrtc") -> None:
        assert backend == "nvrtc"
        assert isinstance(options, tuple)
        # CuPy adds these itself; NVRTC refuses an option that is given twice.
        added = ("-arch", "--gpu-architecture", "-ftz", "--device-as-default-execution-space")
        assert not any(option.startswith(added) for option in options)
        assert all(option.startswith(("-D", "--std=")) for option in options)
        self._code, self._options = code, options

    def compile(self) -> None:
        for entry in re.findall(r'extern "C" __global__ void (?:__launch_bounds__\(\w+\))?\s*(\w+)\(', self._code):
            self.get_function(entry)

    def get_function(self, name: str) -> RawKernel:
        machine.card()
        if machine.next_failure("nvrtc"):
            raise RuntimeError("CuPy failed to load libnvrtc.so.13: OSError: cannot open shared object file")
        if machine.next_failure("headers"):
            raise RuntimeError("Failed to find CUDA headers")
        if machine.next_failure("image"):
            raise CUDADriverError(200)
        try:
            return RawKernel(host.build(self._code, name, self._options, optimise=_OPTIMISE))
        except host.CompileError as error:
            raise cuda.compiler.CompileException(str(error), self._code, "kern.cu", self._options) from None


class RawKernel:
    def __init__(self, kernel: host.HostKernel) -> None:
        self._kernel = kernel

    @property
    def kernel(self) -> SimpleNamespace:
        """CuPy's ``Function``."""
        return SimpleNamespace(ptr=1)

    def __call__(self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...]) -> None:
        card, stream = machine.card(), cuda.get_current_stream()
        assert len(grid) == len(block) == 1
        assert 1 <= grid[0] < 1 << 31
        assert 1 <= block[0] <= 1024
        if machine.next_failure("launch"):
            card.fault = 719
            raise CUDADriverError(719)
        # The driver copies the arguments before a launch returns.
        packed = [self._pack(argument) for argument in args]
        self._kernel.check(packed)
        machine.launches.append((card.index, grid[0], block[0]))
        stream._enqueue(lambda: self._run(card, grid[0], block[0], packed))

    @staticmethod
    def _pack(argument: Any) -> tuple[bytes, bool]:
        """As CuPy's ``function.pyx``: Python numbers take their widest C type, None is a null pointer."""
        if argument is None:
            return bytes(8), True
        if isinstance(argument, ndarray):
            return int(argument._values.ctypes.data).to_bytes(8, "little"), True
        if isinstance(argument, np.ndarray) and argument.size != 1:
            raise TypeError("only arrays of size one are passed by value")
        if isinstance(argument, (bool, int, float, complex)):
            argument = np.asarray(argument)
        if not isinstance(argument, (np.ndarray, np.generic)):
            raise TypeError(f"Unsupported type {type(argument)}")
        return argument.tobytes(), False

    def _run(self, card: Any, blocks: int, threads: int, packed: list[tuple[bytes, bool]]) -> None:
        for data, pointer in packed:
            address = int.from_bytes(data, "little")
            if pointer and not any(part.holds(address) and part.card is card for part in _live):
                card.fail(700)
        self._kernel.run(blocks, threads, packed)
        if not all(part.intact() for part in _live):
            card.fail(700)


__all__ = ["CUDARuntimeError"]
