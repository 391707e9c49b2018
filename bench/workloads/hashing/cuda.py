"""A nonce scan through CuPy: what SHA-256d and scrypt on CUDA share.

One stream, one buffer of found shares on the device, a kernel that CuPy compiles with NVRTC. A scan is one launch and
allocates nothing; any number may be in flight.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from bench.model import BenchError
from bench.workloads.hashing.cuda_device import Cuda
from bench.workloads.hashing.engine import Work, check_range, shares_lost

SHARE_CAPACITY = 1 << 20
FIRST_READ = 1 << 12
"""Shares that the first copy of a drain brings along; more take a second copy."""
SEQUENCES = 1 << 32

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
        versions: int = 1,
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
            versions: of each header: 1, 2, 4 or 8.
            capacity: shares that fit between two drains.
        """
        import numpy as np

        self.implementation = implementation
        self.iteration = iteration
        self.versions = versions
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
        check_range(first_nonce, count)
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
            raise shares_lost(count, int(self._capacity))
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


def by_value(words: Sequence[int]) -> Any:
    """A NumPy array of one structure of 32-bit words, which CuPy passes to a kernel by value."""
    import numpy as np

    return np.array([words], dtype=np.uint32).view([("words", np.uint32, len(words))]).reshape(1)


def kernel_arguments(
    prepare: Callable[[bytes, int], Any],
    factors: Sequence[int],
    blocks: Callable[[int, int], int],
    *scratch: Any,
) -> Arguments:
    """What one scan hands to a kernel before the found shares.

    Args:
        prepare: header (76 bytes) and share bits → the kernel's job or jobs; called once per header.
        factors: multipliers that the kernel takes by value.
        blocks: first nonce and count → blocks of the grid.
        scratch: arrays that follow the scalars.
    """
    import numpy as np

    job = functools.lru_cache(maxsize=8)(prepare)
    factors = by_value(factors)

    def arguments(work: Work, first_nonce: int, count: int) -> tuple[int, Sequence[Any]]:
        if not 0 <= work.sequence < SEQUENCES:
            raise ValueError(f"sequence {work.sequence} does not fit 32 bits")
        scalars = (np.uint32(work.sequence), np.uint32(first_nonce), np.uint32(count - 1))
        return blocks(first_nonce, count), (job(work.header[:76], work.share_bits), factors, *scalars, *scratch)

    return arguments
