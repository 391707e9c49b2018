"""Options of the hash loops: sha256d and scrypt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.model import BenchError, Variant
from bench.model.options import option_group


@option_group("Hashing", 3)
@dataclass(frozen=True, kw_only=True)
class HashingOptions:
    """How the hash loops run.

    Raises:
        BenchError: share bits, threads or a variant out of range.
    """

    isa: Literal["avx512", "avx2", "shani", "shanivl", "sse2", "neon", "armv8", "generic"] | None = None
    """Instruction set of the CPU kernel; by default a short trial chooses."""
    engine: Literal["auto", "portable"] = "auto"
    """auto takes the native kernel where there is one; portable runs sha256d as torch operations everywhere."""
    prefer: Literal["speed", "efficiency"] = "speed"
    """How the CUDA kernel variant is chosen: by hashrate, or by hashes per joule."""
    variant: int | None = None
    """Number of the CUDA kernel variant to run, in place of a trial."""
    threads: int | None = None
    """CPU threads; by default one per usable core."""
    share_bits: int | None = None
    """Leading zero bits of a share, 1 to 32; by default chosen from the hashrate."""

    def __post_init__(self) -> None:
        if self.share_bits is not None and not 1 <= self.share_bits <= 32:
            raise BenchError(f"a share cannot have {self.share_bits} leading zero bits", "use --share-bits 1 to 32")
        if self.threads is not None and self.threads < 1:
            raise BenchError(f"{self.threads} threads cannot hash", "use --threads 1 or more")
        if self.variant is not None and self.variant < 0:
            raise BenchError(f"there is no kernel variant {self.variant}", "use --variant 0 or more")


def options_of(variant: Variant) -> HashingOptions:
    """The options that a variant carries; the defaults where it carries none."""
    if variant.options is None:
        return HashingOptions()
    if not isinstance(variant.options, HashingOptions):
        raise TypeError(f"{variant.label} carries {type(variant.options).__name__}, not HashingOptions")
    return variant.options
