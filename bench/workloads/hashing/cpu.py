"""An engine over a C scan function: one thread per usable core, all of them in C with the GIL released.

Python threads call one C function per scan; in C they share the range through an atomic cursor, so that a core slowed
by something else takes fewer pieces and no thread waits for Python between pieces. No thread spins while there is
nothing to hash, and a power sampler in the same process finds the GIL free.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bench.model import BenchError, Choices, usable_cores
from bench.model.job import rolled_name
from bench.workloads.hashing import kernels
from bench.workloads.hashing.engine import (
    NONCE_SPACE,
    Work,
    check_range,
    power_of_two_from,
    shares_lost,
    with_version,
)
from bench.workloads.hashing.job import HeaderRoll, rolled_reference
from bench.workloads.hashing.options import HashingOptions
from bench.workloads.hashing.shares import DIGESTS

SHARE_CAPACITY = 1 << 20
BW_WRONG_USE = -2
"""What ``bw_scan`` returns for arguments out of range (``kernels/host.h``)."""
TRIALS = 5
"""Rounds of the trial; each takes the contenders one after another, so that a slow moment strikes all."""
CONTENDER = 0.7
"""Below this share of the best rate an instruction set leaves the trial."""
CLEARLY_FASTER = 1.03
"""A later instruction set wins the trial only by this factor, so that noise does not change the choice."""

Scan = Callable[..., int]
"""C: ``(index, headers, versions, sequence, share_bits, range, shares)`` → 0, or why it did not run (``host.h``)."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of nonces that suit one algorithm on a CPU."""

    grain: int
    """What a thread takes at a time: whole vectors, and 1 to 10 ms of work."""
    per_thread: int
    """What a thread gets of an iteration: 5 to 100 ms, long against the cost of handing it over."""
    self_test: int
    """Of each range of the self-test: more than any vector has lanes."""
    trial: int
    """Of a trial scan: a few milliseconds of the faster instruction sets."""


SIZES = {
    "sha256d": Sizes(grain=1 << 15, per_thread=1 << 18, self_test=259, trial=1 << 16),
    "scrypt": Sizes(grain=64, per_thread=256, self_test=19, trial=64),
}


@dataclass(frozen=True, slots=True)
class HostScan:
    """One scan of the host library in all its instruction sets: which there are, which are right, which is fastest."""

    algorithm: str
    """``sha256d`` or ``scrypt``: names the reference, and the scan within the library."""
    ffi: Any
    lib: Any

    @property
    def sizes(self) -> Sizes:
        """Numbers of nonces that suit it."""
        return SIZES[self.algorithm]

    @property
    def _number(self) -> int:
        return int(getattr(self.lib, f"BW_{self.algorithm.upper()}"))

    @property
    def scan(self) -> Scan:
        """The library's scan function."""
        return functools.partial(self.lib.bw_scan, self._number)

    def names(self) -> list[str]:
        """Instruction sets that the library holds, best first as a rule."""
        names: list[str] = []
        while (name := self.lib.bw_isa(self._number, len(names))) != self.ffi.NULL:
            names.append(self.ffi.string(name).decode())
        return names

    def supported(self) -> list[str]:
        """Those of them that this machine runs."""
        return [name for index, name in enumerate(self.names()) if self.lib.bw_supported(self._number, index)]

    def once(
        self, isa: str, header: bytes, bits: int, first: int, count: int, versions: int = 1
    ) -> list[tuple[int, int]]:
        """One scan on this thread, for self-tests and trials: ``(version, nonce)`` of the shares in the order found."""
        span = self.ffi.new("struct bw_range *", {"next": first, "end": first + count, "grain": 1 << 15, "stop": 0})
        entries = self.ffi.new("uint64_t[]", versions * count)
        shares = self.ffi.new("struct bw_shares *", {"capacity": versions * count, "entries": entries})
        self.scan(self.names().index(isa), rolled_headers(header, versions), versions, 0, bits, span, shares)
        return [(entry >> 32, entry & 0xFFFFFFFF) for entry in self.ffi.unpack(entries, shares.count)]

    def self_test(self, isa: str, versions: int = 1) -> str | None:
        """Compare one instruction set with pycryptodome over every lane; what is wrong, or None."""
        for header, first, expected in _expected(self.algorithm, self.sizes.self_test, versions):
            if sorted(self.once(isa, header, 1, first, self.sizes.self_test, versions)) != list(expected):
                return f"it disagrees with the reference on nonces from {first}"
        return None

    def choose(self, asked: str | None, threads: int = 1, versions: int = 1) -> str:
        """The instruction set asked for, or the one that passes its self-test and is fastest on so many threads.

        Raises:
            BenchError: it is unknown, does not run here, or is wrong.
        """
        names, supported = self.names(), self.supported()
        if asked is None:
            return self._fastest(supported, threads, versions)
        if asked not in names:
            raise BenchError(f"there is no {self.algorithm} code for {asked!r}", f"choose from {', '.join(names)}")
        if asked not in supported:
            raise BenchError(f"this CPU does not run {asked}", f"choose from {', '.join(supported)}")
        wrong = self.self_test(asked, versions)
        if wrong:
            raise BenchError(
                f"the {asked} code fails its self-test: {wrong}", "leave --isa out, and report this defect"
            )
        return asked

    def _fastest(self, supported: list[str], threads: int, versions: int = 1) -> str:
        failures = {isa: wrong for isa in supported if (wrong := self.self_test(isa, versions))}
        good = [isa for isa in supported if isa not in failures]
        if not good:
            what = "; ".join(f"{isa}: {wrong}" for isa, wrong in failures.items()) or "none runs on this CPU"
            raise BenchError(
                f"no {self.algorithm} code passes its self-test ({what})",
                "delete bench/_native and run again, with another compiler in CC",
            )
        with ThreadPoolExecutor(threads) as pool:
            # The best of a few scans finds who is far behind, since a thread's first may pay for its scratchpad; the
            # rest load all cores, as the run will.
            alone = {isa: max(self._trial(isa, pool, 1, versions) for _ in range(TRIALS)) for isa in good}
            close = [isa for isa in good if alone[isa] >= CONTENDER * max(alone.values())]
            rounds = [[self._trial(isa, pool, threads, versions) for isa in close] for _ in range(TRIALS)]
        rates = {isa: statistics.median(seen) for isa, seen in zip(close, zip(*rounds, strict=True), strict=True)}
        best, *others = rates
        for isa in others:
            if rates[isa] > rates[best] * CLEARLY_FASTER:
                best = isa
        return best

    def _trial(self, isa: str, pool: ThreadPoolExecutor, threads: int, versions: int) -> float:
        """Hashes per second of processor time, whatever else runs, with ``threads`` scans at once."""
        header = HeaderRoll(0).header(0)
        count = self.sizes.trial // versions
        started = time.process_time()
        for done in [pool.submit(self.once, isa, header, 32, 0, count, versions) for _ in range(threads)]:
            done.result()
        return threads * self.sizes.trial / max(time.process_time() - started, 1e-9)


@functools.cache
def _expected(algorithm: str, count: int, versions: int) -> tuple[tuple[bytes, int, tuple[tuple[int, int], ...]], ...]:
    """Header, first nonce and expected shares of each range of the self-test; the same for all instruction sets."""
    ranges = []
    for seed, first in enumerate((0, 0x7FFFFFFF - count // 2, NONCE_SPACE - count)):
        header = HeaderRoll(seed).header(seed)
        expected = rolled_reference(DIGESTS[algorithm], header, 1, first, count, versions)
        ranges.append((header, first, tuple(expected)))
    return tuple(ranges)


def rolled_headers(header: bytes, versions: int) -> bytes:
    """``header`` in each of its versions, one after another, as the library takes them."""
    return b"".join(with_version(bytes(header), index) for index in range(versions))


class CpuScan:
    """A :class:`~bench.workloads.hashing.engine.Engine` over one instruction set of a C scan."""

    def __init__(
        self,
        scan: Scan,
        index: int,
        isa: str,
        *,
        threads: int,
        grain: int,
        iteration: int,
        versions: int = 1,
        capacity: int = SHARE_CAPACITY,
    ) -> None:
        """Start the threads.

        Args:
            scan: the library's scan function.
            index: number of the instruction set within the library.
            isa: its name.
            threads: how many run at once.
            grain: nonces that a thread takes at a time.
            iteration: nonces of the smallest efficient scan; a power of two.
            versions: of each header: 1, 2, 4 or 8.
            capacity: shares that fit between two drains.
        """
        self.implementation = rolled_name(f"c-{isa}", versions)
        self.iteration = iteration
        self.versions = versions
        self.setting: str | None = f"threads={threads}"
        self.memory_bytes: int | None = None
        self._call = scan
        self._index = index
        self._threads = threads
        self._grain = grain
        self._ffi, _ = kernels.host()
        self._entries = self._ffi.new("uint64_t[]", capacity)
        self._shares = self._ffi.new("struct bw_shares *", {"capacity": capacity, "entries": self._entries})
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="bitwatt-scan")
        self._running: list[tuple[Any, list[Future[int]]]] = []

    def scan(self, work: Work, first_nonce: int, count: int) -> None:
        """Hand one range to all threads; returns at once."""
        check_range(first_nonce, count)
        span = self._ffi.new(
            "struct bw_range *", {"next": first_nonce, "end": first_nonce + count, "grain": self._grain, "stop": 0}
        )
        headers = rolled_headers(work.header, self.versions)
        arguments = (self._index, headers, self.versions, work.sequence, work.share_bits, span, self._shares)
        self._running.append((span, [self._pool.submit(self._call, *arguments) for _ in range(self._threads)]))

    def sync(self) -> None:
        """Wait for every scan handed over."""
        # Every one is awaited before the first failure is reported: none may go on filling the buffer.
        results = {future.result() for _, futures in self._running for future in futures}
        self._running = []
        if BW_WRONG_USE in results:
            raise ValueError("the host library refuses this scan: instruction set, versions or share bits out of range")
        if results - {0}:
            raise BenchError("there is no memory for the scan's scratchpads", "use fewer threads with --threads")

    def drain(self) -> list[tuple[int, int]]:
        """Take the shares found so far."""
        count, capacity = self._shares.count, self._shares.capacity
        self._shares.count = 0
        if count > capacity:
            raise shares_lost(count, capacity)
        return [(entry >> 32, entry & 0xFFFFFFFF) for entry in self._ffi.unpack(self._entries, count)]

    def close(self) -> None:
        """Stop the threads soon, even in the midst of a scan."""
        for span, _ in self._running:
            span.stop = 1
        self._running = []
        self._pool.shutdown(wait=True, cancel_futures=True)


def host_scan(algorithm: str) -> HostScan:
    """The scan of ``sha256d`` or ``scrypt`` in the host library.

    Raises:
        BenchError: the library cannot be built or loaded.
    """
    return HostScan(algorithm, *kernels.host())


def open_engine(algorithm: str, options: HashingOptions, choices: Choices | None = None) -> CpuScan:
    """The C engine of ``sha256d`` or ``scrypt`` on ``options.threads`` threads, by default one per usable core.

    ``options.isa`` names the instruction set; by default every one that this machine runs is self-tested, and a short
    trial picks the fastest, unless one earlier in the run left its choice in ``choices``.

    Raises:
        BenchError: an unknown or unsupported instruction set, or one that fails its self-test.
    """
    code = host_scan(algorithm)
    threads = options.threads or usable_cores()
    versions = options.version_rolling if algorithm == "sha256d" else 1
    made = None if choices is None or options.isa else choices.get(algorithm)
    isa = code.choose(options.isa, threads, versions) if made is None else str(made[0])
    if choices is not None:
        choices[algorithm] = isa, None
    return CpuScan(
        code.scan,
        code.names().index(isa),
        isa,
        threads=threads,
        grain=code.sizes.grain // versions,
        iteration=code.sizes.per_thread // versions * power_of_two_from(threads),
        versions=versions,
    )
