"""A nonce scan as a job: rolling headers over any engine, and shares as evidence of the work.

sha256d and scrypt share this; they differ in the reference hash, the known headers and the engine.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.model import Audit, BenchError, Facts, Share
from bench.workloads.hashing.engine import NONCE_SPACE, Engine, Work, with_version
from bench.workloads.hashing.shares import DIGESTS, P_MIN, leading_zero_bits, poisson_p_value, sha256d, share_problem

SHARES_PER_S = 400
"""Least expected shares in a second of work: a count off by a quarter is then beyond chance."""
MAX_SHARES_PER_LAUNCH = 1 << 16
PROBE_S = 0.05


@dataclass(frozen=True, slots=True)
class Algorithm:
    """What differs between one proof of work and another."""

    name: str
    known: tuple[tuple[str, bytes], ...]
    """Real mined headers with what to call them: each hash has at least ``known_bits`` leading zero bits."""
    known_bits: int
    known_span: int
    """Nonces scanned around each known one."""
    check_counts: tuple[tuple[int, int], ...]
    """``(share_bits, nonces)`` of the ranges compared with the reference, hash for hash."""
    rehash_all: int
    """Up to so many shares of an audit are all hashed again; of more, a random sample of this size."""

    @property
    def digest(self) -> Callable[[bytes], bytes]:
        """The reference hash: 80 bytes → 32 bytes, by pycryptodome."""
        return DIGESTS[self.name]


class HeaderRoll:
    """An endless sequence of block headers that differ in their extranonce, as a miner rolls a pool's job.

    The extranonce is part of the coinbase transaction, so it changes the merkle root and with it the midstate.
    """

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self._version = (0x20000000).to_bytes(4, "little")
        self._previous = rng.randbytes(28) + bytes(4)
        self._coinbase = rng.randbytes(100)
        self._tail = (1_700_000_000 + rng.randrange(1 << 26)).to_bytes(4, "little") + bytes.fromhex("ffff001d")

    def header(self, sequence: int) -> bytes:
        """80 bytes with a zero nonce. The merkle root of a block of one transaction is that transaction's hash."""
        root = sha256d(self._coinbase + sequence.to_bytes(8, "little"))
        return self._version + self._previous + root + self._tail + bytes(4)


def with_nonce(header: bytes, nonce: int) -> bytes:
    """``header`` (80 bytes) with its nonce set."""
    return header[:76] + nonce.to_bytes(4, "little")


class ScanJob:
    """A :class:`~bench.model.Job` over an :class:`~bench.workloads.hashing.engine.Engine`."""

    def __init__(
        self, engine: Engine, algorithm: Algorithm, *, seed: int | None = None, share_bits: int | None = None
    ) -> None:
        """Take over ``engine``.

        Args:
            engine: what hashes; closed with the job.
            algorithm: which proof of work.
            seed: of the headers; None takes the time, so that no two runs find the same shares.
            share_bits: leading zero bits of a share, 1 … 32; None chooses by the rate.
        """
        self._engine = engine
        self._algorithm = algorithm
        seed = time.time_ns() if seed is None else seed
        self._rng = random.Random(seed ^ 0x5EED)
        self._roll = HeaderRoll(seed)
        self._asked_bits = share_bits
        self._bits: int | None = share_bits
        self._sequence = 0
        self._nonce = 0
        self._work: Work | None = None
        self._headers: dict[int, bytes] = {}
        self._scanned: dict[int, tuple[int, int]] = {}
        self._found: list[tuple[int, int]] = []
        self._closed = False
        self.facts = Facts(
            implementation=engine.implementation,
            work_unit="hash",
            work_per_iteration=float(engine.iteration * engine.versions),
            options=engine.setting,
            memory_bytes=engine.memory_bytes,
        )

    # -- before timing -------------------------------------------------------------------------------------------------

    def verify(self) -> Audit:
        """Known headers are found at their own nonces, then ranges agree with the reference hash for hash.

        Sizes the share target by a short probe once all is well.
        """
        self._finish()
        reasons = [*self._check_known(), *self._check_ranges()]
        if reasons:
            return Audit(ok=False, reasons=tuple(reasons))
        if self._asked_bits is None:
            self._bits = self._probe_share_bits()
        return Audit(ok=True, share_bits=self._bits)

    def _check_known(self) -> Iterable[str]:
        known = self._algorithm
        for name, header in known.known:
            nonce = int.from_bytes(header[76:], "little")
            # The known nonce falls on another lane or thread of the engine each time.
            first = max(0, nonce - self._rng.randrange(known.known_span))
            count = min(known.known_span, NONCE_SPACE - first)
            found = self._once(header, known.known_bits, first, count)
            wrong = [f for f in found if leading_zero_bits(known.digest(candidate(header, *f))) < known.known_bits]
            if (0, nonce) not in found:
                yield f"{name} was not found at its nonce {nonce}"
            if wrong:
                yield f"{name}: nonce {wrong[0][1]} was returned but does not hash to a share"

    def _check_ranges(self) -> Iterable[str]:
        for index, (bits, count) in enumerate(self._algorithm.check_counts):
            header = self._roll.header(self._sequence)
            edges = (0, NONCE_SPACE - count, self._rng.randrange(NONCE_SPACE - count))
            first = edges[index % len(edges)]
            found = self._once(header, bits, first, count)
            expected = rolled_reference(self._algorithm.digest, header, bits, first, count, self._engine.versions)
            if found != expected:
                yield _difference(found, expected, first, count)

    def _next_work(self, header: bytes, bits: int) -> Work:
        """``header`` under the next sequence numbers, one for each version."""
        work = Work(self._sequence, header, bits)
        self._sequence += self._engine.versions
        return work

    def _once(self, header: bytes, bits: int, first: int, count: int) -> list[tuple[int, int]]:
        """Scan one range apart from the run and return its ``(version, nonce)``, sorted, repeats kept."""
        work = self._next_work(header, bits)
        self._engine.scan(work, first, count)
        self._engine.sync()
        found = ((sequence - work.sequence, nonce) for sequence, nonce in self._engine.drain())
        return sorted((version, nonce) for version, nonce in found if 0 <= version < self._engine.versions)

    def _probe_share_bits(self) -> int:
        """Bits such that a second of this engine's work holds at least ``SHARES_PER_S`` expected shares."""
        work = self._next_work(self._roll.header(self._sequence), 32)
        count = self._engine.iteration
        while True:
            started = time.perf_counter()
            self._engine.scan(work, 0, count)
            self._engine.sync()
            seconds = time.perf_counter() - started
            if seconds >= PROBE_S or count >= NONCE_SPACE:
                break
            count = min(NONCE_SPACE, count * 2)
        self._engine.drain()
        return share_bits_for(count * self._engine.versions / seconds)

    # -- the work -----------------------------------------------------------------------------------------------------

    def launch(self, iterations: int) -> None:
        """Enqueue ``iterations`` × the engine's iteration of nonces, rolling the header where the 32-bit space ends."""
        bits = self._bits = self._bits or self._probe_share_bits()
        remaining = iterations * self._engine.iteration
        hashes = remaining * self._engine.versions
        if hashes >> bits > MAX_SHARES_PER_LAUNCH:
            raise BenchError(
                f"one launch of {hashes} hashes would yield over {MAX_SHARES_PER_LAUNCH} shares of {bits} bits",
                "ask for more share bits",
            )
        while remaining:
            work = self._current(bits)
            count = min(remaining, NONCE_SPACE - self._nonce)
            self._engine.scan(work, self._nonce, count)
            low, _ = self._scanned.get(work.sequence, (self._nonce, 0))
            self._nonce += count
            for sequence in range(work.sequence, work.sequence + self._engine.versions):
                self._scanned[sequence] = (low, self._nonce)
            remaining -= count
            if self._nonce == NONCE_SPACE:
                self._work, self._nonce = None, 0

    def _current(self, bits: int) -> Work:
        if self._work is None:
            self._work = work = self._next_work(self._roll.header(self._sequence), bits)
            for version in range(self._engine.versions):
                self._headers[work.sequence + version] = with_version(work.header, version)
        return self._work

    def sync(self) -> None:
        """Wait, then take the found shares out of the engine's buffer."""
        self._engine.sync()
        self._found += self._engine.drain()

    # -- after timing --------------------------------------------------------------------------------------------------

    def audit(self) -> Audit:
        """Hash the shares again, and judge whether their number agrees with the work since the last audit."""
        self._finish()
        scanned, found = self._scanned, self._found
        self._scanned, self._found = {}, []
        bits = self._bits
        if bits is None or not (scanned or found):
            return Audit(ok=True, share_bits=bits)
        reasons, shares = self._locate(scanned, found)
        limit = self._algorithm.rehash_all
        sample = shares if len(shares) <= limit else self._rng.sample(shares, limit)
        bad = [why for share in sample if (why := share_problem(share, bits, self._algorithm.name))]
        reasons += bad[:3]
        if len(bad) > 3:
            reasons.append(f"and {len(bad) - 3} more of {len(sample)} re-hashed shares")
        expected = sum(end - first for first, end in scanned.values()) / 2**bits
        p_value = poisson_p_value(expected, len(found))
        if p_value <= P_MIN:
            reasons.append(
                f"{len(found)} shares of {bits} bits were found where {expected:.1f} are expected (p = {p_value:.2g})"
            )
        self._forget()
        return Audit(
            ok=not reasons,
            reasons=tuple(reasons),
            share_bits=bits,
            shares_expected=expected,
            shares_found=len(found),
            shares_p_value=p_value,
            shares=tuple(shares),
            details={"shares_rehashed": float(len(sample))},
        )

    def _locate(
        self, scanned: dict[int, tuple[int, int]], found: list[tuple[int, int]]
    ) -> tuple[list[str], list[Share]]:
        """Turn found nonces into shares of their headers; report repeats, and nonces that were not scanned."""
        reasons: list[str] = []
        repeats = len(found) - len(set(found))
        if repeats:
            reasons.append(f"{repeats} of {len(found)} shares were returned more than once")
        strays = 0
        shares: list[Share] = []
        for sequence, nonce in dict.fromkeys(found):
            first, end = scanned.get(sequence, (0, 0))
            if first <= nonce < end:
                shares.append(Share(with_nonce(self._headers[sequence], nonce).hex(), nonce))
            else:
                strays += 1
        if strays:
            reasons.append(f"{strays} of {len(found)} shares lie outside the nonces that were scanned")
        return reasons, shares

    def _forget(self) -> None:
        """Drop headers that no later share can name."""
        first = self._work.sequence if self._work else self._sequence
        self._headers = {key: value for key, value in self._headers.items() if key >= first}

    def _finish(self) -> None:
        if not self._closed:
            self.sync()

    def peak_memory_bytes(self) -> int | None:
        return None

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._engine.close()


def share_bits_for(rate_per_s: float) -> int:
    """The most leading zero bits, 1 … 32, at which ``rate_per_s`` still yields ``SHARES_PER_S`` shares a second."""
    ratio = int(rate_per_s / SHARES_PER_S)
    return min(32, max(1, ratio.bit_length() - 1))


def candidate(header: bytes, version: int, nonce: int) -> bytes:
    """``header`` in its version number ``version`` and with its nonce set."""
    return with_nonce(with_version(header, version), nonce)


def reference_scan(digest: Callable[[bytes], bytes], header: bytes, bits: int, first: int, count: int) -> list[int]:
    """Nonces of ``first … first + count − 1`` whose hash has ``bits`` leading zero bits, by the reference, sorted."""
    return [
        nonce for nonce in range(first, first + count) if leading_zero_bits(digest(with_nonce(header, nonce))) >= bits
    ]


def rolled_reference(
    digest: Callable[[bytes], bytes], header: bytes, bits: int, first: int, count: int, versions: int
) -> list[tuple[int, int]]:
    """The same in versions ``0 … versions − 1`` of the header: ``(version, nonce)``, sorted."""
    return [
        (version, nonce)
        for version in range(versions)
        for nonce in reference_scan(digest, with_version(header, version), bits, first, count)
    ]


def _difference(found: list[tuple[int, int]], expected: list[tuple[int, int]], first: int, count: int) -> str:
    missing, extra = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    what = (
        f"{len(missing)} shares were missed, the first at nonce {missing[0][1]}"
        if missing
        else f"{len(extra)} nonces were returned that are not shares, the first {extra[0][1]}"
        if extra
        else f"{len(found) - len(expected)} shares were returned more than once"
    )
    return f"nonces {first} … {first + count - 1} disagree with the reference: {what}"
