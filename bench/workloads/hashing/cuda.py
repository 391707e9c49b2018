"""A nonce scan through CuPy: what SHA-256d and scrypt on CUDA share.

One stream, one buffer of found shares on the device, a kernel that CuPy compiles with NVRTC. A scan is one launch and
allocates nothing; any number may be in flight.
"""

from __future__ import annotations

import ctypes
import functools
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.model import BenchError, Device, first_line
from bench.workloads.hashing import kernels
from bench.workloads.hashing.engine import NONCE_SPACE, ReadJoules, Work
from bench.workloads.hashing.options import HashingOptions

SHARE_CAPACITY = 1 << 20
FIRST_READ = 1 << 12
"""Shares that the first copy of a drain brings along; more take a second copy."""
CUDA13_DRIVER = 580
"""First NVIDIA driver branch that runs CUDA 13 (CUDA 13.0 release notes)."""
SEQUENCES = 1 << 32

TRIAL_S = 0.1
TRIAL_ROUNDS = 3
METERED_TRIAL_S = 2.0
"""Energy counters move every 20 to 100 ms, so a shorter trial would measure their ticks."""
METERED_ROUNDS = 2
TRIAL_WORK = Work(0, bytes(80), 32)

Arguments = Callable[[Work, int, int], tuple[int, Sequence[Any]]]
"""``(work, first_nonce, count)`` → blocks of the grid, and the kernel's arguments up to the found shares."""


class CudaScan:
    """A :class:`~bench.workloads.hashing.engine.Engine` over one compiled kernel.

    The kernel's last three parameters are the 64-bit count of found shares, their ``(sequence, nonce)`` pairs, and how
    many pairs fit.
    """

    def __init__(
        self,
        cuda: Cuda,
        kernel: Any,
        arguments: Arguments,
        *,
        threads: int,
        implementation: str,
        iteration: int,
        setting: str | None = None,
        memory_bytes: int | None = None,
        capacity: int = SHARE_CAPACITY,
    ) -> None:
        """Allocate the buffer of found shares.

        Args:
            cuda: the opened device.
            kernel: CuPy's kernel object.
            arguments: makes the grid and arguments of one scan.
            threads: of a block.
            implementation: name for the CSV.
            iteration: nonces of the smallest efficient scan; a power of two.
            setting: what must match for two rows to be compared.
            memory_bytes: held by the arguments, such as scratchpads.
            capacity: shares that fit between two drains.
        """
        import numpy as np

        self.implementation = implementation
        self.iteration = iteration
        self.setting = setting
        self.memory_bytes = memory_bytes
        self._cuda = cuda
        self._kernel = kernel
        self._arguments = arguments
        self._block = (threads,)
        self._capacity = np.uint32(capacity)
        self._first_read = min(capacity, FIRST_READ)
        self._closed = False
        with cuda.guard():
            # One array, so that one copy brings the count and the first shares.
            self._shares = cuda.cupy.zeros(1 + capacity, dtype=np.uint64)
            self._count, self._entries = self._shares[:1], self._shares[1:]

    def scan(self, work: Work, first_nonce: int, count: int) -> None:
        """Enqueue one launch; returns at once."""
        if not (count >= 1 and first_nonce >= 0 and first_nonce + count <= NONCE_SPACE):
            raise ValueError(f"nonces {first_nonce} … +{count} leave the 32-bit space")
        blocks, arguments = self._arguments(work, first_nonce, count)
        with self._cuda.guard():
            self._kernel((blocks,), self._block, (*arguments, self._count, self._entries, self._capacity))

    def sync(self) -> None:
        """Wait for every scan enqueued."""
        with self._cuda.guard():
            self._cuda.stream.synchronize()

    def drain(self) -> list[tuple[int, int]]:
        """Take the shares found so far."""
        with self._cuda.guard():
            head = self._shares[: 1 + self._first_read].get()
            count = int(head[0])
            if not count:
                return []
            entries = head[1:] if count <= self._first_read else self._entries[: min(count, int(self._capacity))].get()
            self._count.fill(0)
        if count > self._capacity:
            raise BenchError(
                f"{count} shares were found between two syncs, and only {self._capacity} could be kept",
                "ask for more share bits, or for shorter launches",
            )
        # The pair is (sequence, nonce) in memory, so the sequence is the low half of the word.
        return [(entry & 0xFFFFFFFF, entry >> 32) for entry in entries[:count].tolist()]

    def close(self) -> None:
        """Wait for what is in flight, then let go of the device's memory."""
        if not self._closed:
            self._closed = True
            try:
                self.sync()
            finally:
                # The arguments may hold a scratchpad.
                del self._shares, self._count, self._entries, self._arguments
                self._cuda.give_back()


class Cuda:
    """One CUDA device opened through CuPy, with the stream that everything runs on."""

    def __init__(self, device: Device) -> None:
        """Open ``device``.

        Raises:
            BenchError: CuPy is missing or does not see the device, or sees another one under its number.
        """
        self.cupy: Any = import_cupy(device)
        self.device = device
        runtime, driver = self.cupy.cuda.runtime, self.cupy.cuda.driver
        self._failures: tuple[type[Exception], ...] = (runtime.CUDARuntimeError, driver.CUDADriverError)
        self._out_of_memory: type[Exception] = self.cupy.cuda.memory.OutOfMemoryError
        with self._explained():
            self._handle = self.cupy.cuda.Device(device.index)
            self._check_identity()
            with self._handle:
                self.stream = self.cupy.cuda.Stream(non_blocking=True)
                self.multiprocessors = int(self._handle.attributes["MultiProcessorCount"])

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Make the device and its stream current; turn the driver's failures into one sentence."""
        with self._explained(), self._handle, self.stream:
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
            raise BenchError(
                f"{self.device.label} failed: {first_line(error)}",
                "look for Xid in the kernel log (dmesg); a lost device comes back after a reset or reboot",
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
            BenchError: NVRTC is missing or rejects the source.
        """
        options = ("--std=c++14", *(f"-D{key}={value}" for key, value in defines.items()))
        compiler = self.cupy.cuda.compiler
        with self.guard():
            try:
                module = self.cupy.RawModule(code=kernels.whole_source(name), options=options, backend="nvrtc")
                module.compile()
                return module.get_function(entry)
            except compiler.CompileException as error:
                raise BenchError(
                    f"NVRTC does not compile {name}: {_compiler_error(error)}",
                    "upgrade CuPy and its NVRTC, or report this as a defect",
                ) from error
            except (RuntimeError, OSError, ImportError) as error:
                if isinstance(error, self._failures):
                    raise
                raise BenchError(
                    f"CuPy cannot compile {name} ({first_line(error)})", f"run: pip install {_extra(self.device)!r}"
                ) from error

    def blocks_per_multiprocessor(self, kernel: Any, threads: int) -> int:
        """Blocks of ``threads`` that fit on one multiprocessor at once."""
        with self.guard():
            driver = self.cupy.cuda.driver
            return int(driver.occupancyMaxActiveBlocksPerMultiprocessor(kernel.kernel.ptr, threads, 0))

    def free_bytes(self) -> int:
        """Memory of the device that can still be had."""
        with self.guard():
            return int(self.cupy.cuda.runtime.memGetInfo()[0])

    def give_back(self) -> None:
        """Return to the driver what CuPy keeps for later, so that torch can have it."""
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


class Choice:
    """Which of a kernel's variants to run: the one asked for, or the best of a short trial on the device."""

    def __init__(self, options: HashingOptions, read_joules: ReadJoules | None, variants: Sequence[int]) -> None:
        """Choose among ``variants``, by joules where ``options.prefer`` is efficiency and they can be read.

        Raises:
            BenchError: ``options.variant`` is not one of them.
        """
        self._prefer = options.prefer
        self._joules = read_joules
        self.variants = tuple(variants) if options.variant is None else (options.variant,)
        if not set(self.variants) <= set(variants):
            listed = ", ".join(map(str, variants))
            raise BenchError(f"there is no variant {options.variant} of the CUDA kernel", f"choose from {listed}")

    def best(self, cuda: Cuda, engines: Mapping[int, CudaScan]) -> CudaScan:
        """The engine to keep; the others are closed. What decided goes into its ``setting``."""
        best: int | None = None
        why: str | None = None
        try:
            best, why = self._try(cuda, engines) if len(engines) > 1 else (next(iter(engines)), None)
        finally:
            for number, engine in engines.items():
                if number != best:
                    engine.close()
        chosen = engines[best]
        chosen.setting = " ".join(filter(None, (chosen.setting, why))) or None
        return chosen

    def _try(self, cuda: Cuda, engines: Mapping[int, CudaScan]) -> tuple[int, str | None]:
        launches = {number: _size(cuda, engine) for number, engine in engines.items()}
        why = None
        if self._prefer == "efficiency":
            scores = _per_joule(cuda, engines, launches, self._joules) if self._joules else {}
            if scores:
                return max(scores, key=scores.__getitem__), "prefer=efficiency"
            # Said in the row, because the choice is then not the one that was asked for.
            why = "prefer=speed(no-joules)"
        rates = dict.fromkeys(engines, 0.0)
        for number in _there_and_back(engines, TRIAL_ROUNDS):
            hashes, seconds = _run(cuda, engines[number], launches[number], TRIAL_S)
            rates[number] = max(rates[number], hashes / seconds)
        return max(rates, key=rates.__getitem__), why


def _per_joule(
    cuda: Cuda, engines: Mapping[int, CudaScan], launches: Mapping[int, int], joules: Callable[[], float | None]
) -> dict[int, float]:
    """Hashes per joule of each variant; empty where the joules cannot be read or do not move."""
    hashes, energy_j = dict.fromkeys(engines, 0), dict.fromkeys(engines, 0.0)
    for number in _there_and_back(engines, METERED_ROUNDS):
        before = joules()
        done, _ = _run(cuda, engines[number], launches[number], METERED_TRIAL_S)
        after = joules()
        if before is None or after is None or after <= before:
            return {}
        hashes[number] += done
        energy_j[number] += after - before
    return {number: hashes[number] / energy_j[number] for number in engines}


def _there_and_back(numbers: Iterable[int], rounds: int) -> Iterator[int]:
    order = list(numbers)
    for turn in range(rounds):
        yield from reversed(order) if turn % 2 else order


def _size(cuda: Cuda, engine: CudaScan) -> int:
    """Nonces of a launch that lasts a quarter of a trial, so that the gaps between launches do not count."""
    count = engine.iteration
    while count < NONCE_SPACE and cuda.timed(functools.partial(engine.scan, TRIAL_WORK, 0, count)) < TRIAL_S / 4:
        count = min(NONCE_SPACE, count * 2)
    return count


def _run(cuda: Cuda, engine: CudaScan, count: int, at_least_s: float) -> tuple[int, float]:
    """Launch ``count`` nonces again and again for about ``at_least_s``; hashes and seconds of device time."""
    hashes, seconds = 0, 0.0
    while seconds < at_least_s:
        seconds += cuda.timed(functools.partial(engine.scan, TRIAL_WORK, 0, count))
        hashes += count
    engine.drain()
    return hashes, seconds


def import_cupy(device: Device) -> Any:
    """CuPy, or a sentence that says which extra brings it.

    Raises:
        BenchError: it is not installed or does not load.
    """
    _load_wheels_nvrtc()
    try:
        import cupy
    except ImportError as error:
        raise BenchError(
            f"CuPy is needed to hash on {device.label} and is not there ({first_line(error)})",
            f"run: pip install {_extra(device)!r}",
        ) from error
    return cupy


def _load_wheels_nvrtc() -> None:
    """Load the NVRTC of torch's wheels, so that CuPy finds it by its name where no toolkit is installed."""
    for root in filter(None, sys.path):
        for path in sorted(Path(root).glob("nvidia/*/lib/libnvrtc.so.1[0-9]")):
            # One that does not load (a wheel for another CUDA) is none; CuPy then says what it misses.
            with suppress(OSError):
                ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)


def _compiler_error(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if "error" in line]
    return lines[0] if lines else first_line(error)


def _extra(device: Device) -> str:
    """The package extra with the CuPy that this driver can run."""
    found = re.match(r"\d+", device.driver or "")
    if found:
        return f"bitwatt[cuda{13 if int(found[0]) >= CUDA13_DRIVER else 12}]"
    return f"bitwatt[cuda{12 if 'CUDA 12' in (device.runtime or '') else 13}]"


def _pci_key(text: str) -> tuple[int, ...]:
    """Domain, bus, device, function as numbers: writers differ in leading zeros."""
    return tuple(int(part, 16) for part in re.split(r"[:.]", text))
