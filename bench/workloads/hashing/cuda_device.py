"""One CUDA device opened through CuPy: its stream, its compiler, and the driver's errors as sentences."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.model import BenchError, Device, first_line
from bench.workloads.hashing import kernels

CUDA13_DRIVER = 580
"""First NVIDIA driver branch that runs CUDA 13 (CUDA 13.0 release notes)."""

MISMATCH_FIX = "CuPy and the driver do not fit, or CuPy's cache is damaged: run pip install {package!r}, clear {cache}"
FIXES: dict[str, str] = {
    "INVALID_IMAGE": MISMATCH_FIX,
    "INVALID_PTX": MISMATCH_FIX,
    "NO_BINARY_FOR_GPU": MISMATCH_FIX,
    "UNSUPPORTED_PTX_VERSION": MISMATCH_FIX,
    "JIT_COMPILER_NOT_FOUND": MISMATCH_FIX,
    "cudaErrorInsufficientDriver": "upgrade the driver, or run pip install {package!r}",
    "cudaErrorInvalidDevice": "run `bitwatt devices` to see what there is",
    "cudaErrorNoDevice": "run `bitwatt devices` to see what there is",
    "cudaErrorDevicesUnavailable": "end the process that holds the device in exclusive mode (nvidia-smi lists it)",
}
"""Part of a CUDA error's name → what to do. Every other error is taken as a fault of the device."""
FAULT_FIX = "look for Xid in the kernel log (dmesg); a lost device comes back after a reset or reboot"


class Cuda:
    """One CUDA device opened through CuPy, with the stream that everything runs on."""

    def __init__(self, device: Device) -> None:
        """Open ``device``.

        Raises:
            BenchError: CuPy is missing or does not see the device, or sees another one under its number.
        """
        self.cupy: Any = import_cupy(device)
        self.device = device
        self.lost = False
        """A fault has ended this process's context on the device: every later call fails, clean-up included."""
        runtime, driver = self.cupy.cuda.runtime, self.cupy.cuda.driver
        self._failures: tuple[type[Exception], ...] = (runtime.CUDARuntimeError, driver.CUDADriverError)
        self._out_of_memory: type[Exception] = self.cupy.cuda.memory.OutOfMemoryError
        self._handle = self.cupy.cuda.Device(device.index)
        with self._explained():
            self._check_identity()
            self._handle.use()
            self.stream = self.cupy.cuda.Stream(non_blocking=True)
            self.multiprocessors = int(self._handle.attributes["MultiProcessorCount"])

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Make the device and its stream current; turn the driver's errors into one sentence.

        The device stays current afterwards: going back to the one before, as CuPy's ``with Device(…)`` does, would open
        a context on that one, and take some hundred megabytes of a card that was not asked for.
        """
        with self._explained():
            self._handle.use()
            with self.stream:
                yield

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except self._out_of_memory as error:
            raise BenchError(
                f"{self.device.label} has too little free memory ({first_line(error)})", "end what else runs on it"
            ) from error
        except self._failures as error:
            what = first_line(error)
            fix = next((fix for name, fix in FIXES.items() if name in what), None)
            self.lost = self.lost or fix is None
            cache = os.environ.get("CUPY_CACHE_DIR", "~/.cupy/kernel_cache")
            raise BenchError(
                f"{self.device.label} failed: {what}",
                (fix or FAULT_FIX).format(package=cupy_package(self.device), cache=cache),
            ) from error

    def _check_identity(self) -> None:
        """CuPy and torch number devices alike unless the environment differs; measuring the wrong card is worse."""
        ours, theirs = self.device.pci_bus_id, self._handle.pci_bus_id
        if ours and theirs and _pci_key(ours) != _pci_key(theirs):
            raise BenchError(
                f"CuPy's device {self.device.index} is at {theirs}, but torch's is at {ours}",
                "set CUDA_DEVICE_ORDER=PCI_BUS_ID and run again",
            )

    def compile(self, name: str, entry: str, defines: Mapping[str, int]) -> Any:
        """Compile ``kernels/<name>`` for this device and return its kernel ``entry``.

        Raises:
            BenchError: NVRTC or the CUDA headers are missing, NVRTC rejects the source, or the driver the machine code.
        """
        options = ("--std=c++14", *(f"-D{key}={value}" for key, value in defines.items()))
        with self.guard():
            try:
                module = self.cupy.RawModule(code=kernels.whole_source(name), options=options, backend="nvrtc")
                module.compile()
                return module.get_function(entry)
            except self.cupy.cuda.compiler.CompileException as error:
                raise BenchError(
                    f"NVRTC does not compile {name}: {_compiler_error(error)}",
                    "upgrade CuPy and its NVRTC, or report this as a defect",
                ) from error
            except self._failures:
                raise
            except (RuntimeError, OSError, ImportError) as error:
                raise BenchError(
                    f"CuPy cannot compile {name} ({first_line(error)})",
                    f"install CuPy with NVRTC and the CUDA headers: pip install {cupy_package(self.device)!r}",
                ) from error

    def blocks_per_multiprocessor(self, kernel: Any, threads: int) -> int:
        """Blocks of ``threads`` that fit on one multiprocessor at once."""
        with self.guard():
            driver = self.cupy.cuda.driver
            return int(driver.occupancyMaxActiveBlocksPerMultiprocessor(kernel.kernel.ptr, threads, 0))

    def free_bytes(self) -> int:
        """Memory of the device that can still be allocated."""
        with self.guard():
            return int(self.cupy.cuda.runtime.memGetInfo()[0])

    def give_back(self) -> None:
        """Return to the driver what CuPy keeps for later, so that torch can have it. Does nothing on a lost device."""
        if not self.lost:
            with self.guard():
                self.cupy.get_default_memory_pool().free_all_blocks()

    def timed(self, work: Callable[[], None]) -> float:
        """Seconds of device time between the start and the end of what ``work`` enqueues."""
        with self.guard():
            start, end = self.cupy.cuda.Event(), self.cupy.cuda.Event()
            start.record(self.stream)
            work()
            end.record(self.stream)
            end.synchronize()
            return float(self.cupy.cuda.get_elapsed_time(start, end)) / 1e3


def import_cupy(device: Device) -> Any:
    """Import CuPy, with a cache folder that it can write.

    Raises:
        BenchError: it is not installed or does not load.
    """
    _ensure_cache_folder()
    try:
        import cupy
    except (ImportError, OSError) as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == "cupy"
        raise BenchError(
            f"CuPy is needed to hash on {device.label} and {'is not installed' if missing else 'does not load'} "
            f"({first_line(error)})",
            f"run: pip install {cupy_package(device)!r}",
        ) from error
    return cupy


def _ensure_cache_folder() -> None:
    """CuPy makes its cache folder while it is imported, and fails where the home folder cannot be written."""
    try:
        folder = Path(os.environ.get("CUPY_CACHE_DIR") or "~/.cupy/kernel_cache").expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return
    except (OSError, RuntimeError):
        pass
    folder = Path(tempfile.mkdtemp(prefix="bitwatt-cupy-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["CUPY_CACHE_DIR"] = str(folder)


def cupy_package(device: Device) -> str:
    """What pip installs for ``device``: the CuPy that its driver can run, with NVRTC and the CUDA headers."""
    found = re.match(r"\d+", device.driver or "")
    if found:
        cuda = 13 if int(found[0]) >= CUDA13_DRIVER else 12
    else:
        cuda = 12 if "CUDA 12" in (device.runtime or "") else 13
    return f"cupy-cuda{cuda}x[ctk]"


def _compiler_error(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if "error" in line]
    return lines[0] if lines else first_line(error)


def _pci_key(text: str) -> tuple[int, ...]:
    """Domain, bus, device, function as numbers: writers differ in leading zeros."""
    return tuple(int(part, 16) for part in re.split(r"[:.]", text))
