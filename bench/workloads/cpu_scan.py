"""An engine over a C scan function: one thread per usable core, all of them in C with the GIL released.

Python threads call one C function per scan; in C they share the range through an atomic cursor, so that a core slowed
by something else takes fewer pieces and no thread waits for Python between pieces. No thread spins while there is
nothing to hash, and a power sampler in the same process finds the GIL free.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from bench import kernels_io
from bench.model import BenchError
from bench.workloads.engine import NONCE_SPACE, Work

SHARE_CAPACITY = 1 << 20

Scan = Callable[..., None]
"""C: ``(index, header, sequence, share_bits, range, shares)``."""


class CpuScan:
    """A :class:`~bench.workloads.engine.Engine` over one instruction set of a C scan."""

    def __init__(
        self,
        scan: Scan,
        index: int,
        isa: str,
        *,
        threads: int,
        grain: int,
        quantum: int,
        capacity: int = SHARE_CAPACITY,
    ) -> None:
        """Start the threads.

        Args:
            scan: the library's scan function.
            index: number of the instruction set within the library.
            isa: its name.
            threads: how many run at once.
            grain: nonces that a thread takes at a time.
            quantum: nonces of the smallest efficient scan; a power of two.
            capacity: shares that fit between two drains.
        """
        self.implementation = f"c-{isa}"
        self.quantum = quantum
        self.setting: str | None = f"threads={threads}"
        self._call = scan
        self._index = index
        self._threads = threads
        self._grain = grain
        self._ffi, _ = kernels_io.host()
        self._entries = self._ffi.new("uint64_t[]", capacity)
        self._shares = self._ffi.new("struct bw_shares *", {"capacity": capacity, "entries": self._entries})
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="bitwatt-scan")
        self._running: list[tuple[Any, list[Future[None]]]] = []

    def scan(self, work: Work, first_nonce: int, count: int) -> None:
        """Hand one range to all threads; returns at once."""
        if not (count >= 1 and first_nonce >= 0 and first_nonce + count <= NONCE_SPACE):
            raise ValueError(f"nonces {first_nonce} … +{count} leave the 32-bit space")
        span = self._ffi.new(
            "struct bw_range *", {"next": first_nonce, "end": first_nonce + count, "grain": self._grain, "stop": 0}
        )
        arguments = (self._index, bytes(work.header), work.sequence, work.share_bits, span, self._shares)
        self._running.append((span, [self._pool.submit(self._call, *arguments) for _ in range(self._threads)]))

    def sync(self) -> None:
        """Wait for every scan handed over."""
        running, self._running = self._running, []
        for _, futures in running:
            for future in futures:
                future.result()

    def drain(self) -> list[tuple[int, int]]:
        """Take the shares found so far."""
        count, capacity = self._shares.count, self._shares.capacity
        self._shares.count = 0
        if count > capacity:
            raise BenchError(
                f"{count} shares were found between two syncs, and only {capacity} could be kept",
                "ask for more share bits, or for shorter launches",
            )
        return [(entry >> 32, entry & 0xFFFFFFFF) for entry in self._ffi.unpack(self._entries, count)]

    def close(self) -> None:
        """Stop the threads soon, even in the midst of a scan."""
        for span, _ in self._running:
            span.stop = 1
        self._running = []
        self._pool.shutdown(wait=True, cancel_futures=True)


def usable_cores() -> int:
    """Logical cores this process may run on: its affinity, which containers and taskset set."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_count(options: Mapping[str, Any]) -> int:
    """Threads asked for with ``options["threads"]``, else one per usable core.

    Raises:
        BenchError: not a whole number above 0.
    """
    asked = options.get("threads")
    if asked is None:
        return usable_cores()
    if not isinstance(asked, int) or asked < 1:
        raise BenchError(f"{asked!r} is no number of threads", "give a whole number of at least 1")
    return asked


def power_of_two_from(number: int) -> int:
    """The least power of two that is at least ``number`` ≥ 1."""
    return 1 << (number - 1).bit_length()
