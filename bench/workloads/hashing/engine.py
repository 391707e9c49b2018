"""What a nonce scan needs from the thing that does it: one small contract for C, CUDA and torch.

An engine knows nothing of rolling headers, audits or rates: the job above it does that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bench.model import BenchError

NONCE_SPACE = 1 << 32
VERSION_SHIFT = 13
"""Lowest bit of the version field that a miner may roll: BIP 320 sets aside bits 13 to 28."""

ReadJoules = Callable[[], float | None]
"""Reads an energy counter in joules, for a trial by hashes per joule; None where it has no reading."""


@dataclass(frozen=True, slots=True)
class Work:
    """One header to scan, or several that differ in their version (:func:`with_version`).

    ``sequence`` numbers the headers of a run, so that a found nonce names its header: an engine of several versions
    reports those of version ``i`` under ``sequence + i``.
    """

    sequence: int
    header: bytes
    """80 bytes; the last four (the nonce, little-endian) are ignored."""
    share_bits: int
    """A share is a hash with at least this many leading zero bits, as Bitcoin writes the number: 1 … 32."""


class Engine(Protocol):
    """Hashes nonces of a header in each of its versions. Found shares gather in a buffer until ``drain``."""

    implementation: str
    """Name for the CSV, for example ``c-avx512``, ``cuda-v1``, ``torch-portable``."""
    iteration: int
    """Nonces in the smallest efficient scan; a power of two."""
    versions: int
    """Headers that a scan hashes each nonce with: 1, or 2, 4 or 8 with version rolling."""
    setting: str | None
    """What must match for two rows to be compared, for example ``isa=avx512 threads=2``; None: nothing."""
    memory_bytes: int | None
    """Device memory that it holds; None where that is next to nothing."""

    def scan(self, work: Work, first_nonce: int, count: int) -> None:
        """Enqueue nonces ``first_nonce … first_nonce + count − 1`` (never past 2³²); may return before they are done.

        That is ``count × versions`` hashes.

        ``count`` may be any number ≥ 1, not only a multiple of the iteration. Raises BenchError if the device fails.
        """

    def sync(self) -> None:
        """Return once all enqueued scans are done."""

    def drain(self) -> list[tuple[int, int]]:
        """``(sequence, nonce)`` of every share found since the last drain, after a sync. Raises BenchError when
        shares were lost because the buffer was too small; never loses one silently.
        """

    def close(self) -> None:
        """Free what the engine holds. Idempotent."""


def with_version(header: bytes, index: int) -> bytes:
    """``header`` with ``index`` (0 to 65535) XORed into the bits of its version that a miner may roll (BIP 320)."""
    version = int.from_bytes(header[:4], "little") ^ (index << VERSION_SHIFT)
    return version.to_bytes(4, "little") + header[4:]


def power_of_two_from(number: int) -> int:
    """The least power of two that is at least ``number`` ≥ 1."""
    return 1 << (number - 1).bit_length()


def check_range(first_nonce: int, count: int) -> None:
    """Refuse an empty scan, and one that leaves the nonce space.

    Raises:
        ValueError: it is one of these.
    """
    if not (count >= 1 and first_nonce >= 0 and first_nonce + count <= NONCE_SPACE):
        raise ValueError(f"nonces {first_nonce} … +{count} leave the 32-bit space")


def shares_lost(count: int, capacity: int) -> BenchError:
    """The error of a drain that finds more shares than the buffer could hold."""
    return BenchError(
        f"{count} shares were found between two syncs, and only {capacity} could be kept",
        "ask for more share bits, or for shorter launches",
    )
