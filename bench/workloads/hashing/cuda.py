"""A nonce scan through CuPy: what SHA-256d and scrypt on CUDA share.

One stream, one buffer of found shares on the device, a kernel that CuPy compiles with NVRTC. A scan is one launch and
allocates nothing; any number may be in flight.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from bench.model import BenchError
from bench.workloads.hashing.cuda_device import Cuda
from bench.workloads.hashing.engine import NONCE_SPACE, ReadJoules, Work
from bench.workloads.hashing.options import HashingOptions

SHARE_CAPACITY = 1 << 20
FIRST_READ = 1 << 12
"""Shares that the first copy of a drain brings along; more take a second copy."""
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
        """Wait for what is in flight, then free the device's memory.

        Raises nothing: a fault of the last scan has been or will be reported by ``sync``, and where clean-up fails the
        device is lost anyway.
        """
        if not self._closed:
            self._closed = True
            with suppress(BenchError):
                self.sync()
            # The arguments may hold a scratchpad.
            del self._shares, self._count, self._entries, self._arguments
            with suppress(BenchError):
                self._cuda.give_back()


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
