"""Options of the hash loops: sha256d and scrypt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.model import BenchError, Device, Variant
from bench.model.options import option_group

MOST_THREADS = 4096
VERSION_COUNTS = (1, 2, 4, 8)


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
    version_rolling: Literal[1, 2, 4, 8] = 1
    """Block versions that sha256d hashes each nonce with, sharing part of the work (BIP 320); a class of its own."""

    def __post_init__(self) -> None:
        if self.share_bits is not None and not 1 <= self.share_bits <= 32:
            raise BenchError(f"a share cannot have {self.share_bits} leading zero bits", "use --share-bits 1 to 32")
        if self.threads is not None and not 1 <= self.threads <= MOST_THREADS:
            raise BenchError(f"{self.threads} threads cannot hash", f"use --threads 1 to {MOST_THREADS}")
        if self.version_rolling not in VERSION_COUNTS:
            raise BenchError(f"{self.version_rolling} versions cannot be rolled", "use --version-rolling 1, 2, 4 or 8")
        if self.variant is not None and self.variant < 0:
            raise BenchError(f"there is no kernel variant {self.variant}", "use --variant 0 or more")


def check(device: Device, options: HashingOptions) -> None:
    """Refuse options that would do nothing on a device.

    Raises:
        BenchError: an option of another kind of device.
    """
    native = options.engine == "auto"
    for name, only, applies in (
        ("variant", "NVIDIA's cards", native and device.is_nvidia),
        ("prefer", "NVIDIA's cards", native and device.is_nvidia),
        ("isa", "CPUs", native and device.kind == "cpu"),
        ("threads", "CPUs", native and device.kind == "cpu"),
        ("version_rolling", "CPUs and NVIDIA's cards", native and (device.kind == "cpu" or device.is_nvidia)),
    ):
        if getattr(options, name) != getattr(HashingOptions, name) and not applies:
            where = device.label if native else f"{device.label} with --engine portable"
            raise BenchError(f"--{name.replace('_', '-')} applies only to {only}, not to {where}", "leave it out")


def options_of(variant: Variant) -> HashingOptions:
    """The options that a variant carries; the defaults where it carries none."""
    if variant.options is None:
        return HashingOptions()
    if not isinstance(variant.options, HashingOptions):
        raise TypeError(f"{variant.label} carries {type(variant.options).__name__}, not HashingOptions")
    return variant.options
