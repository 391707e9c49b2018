"""SHA-256d on CUDA: ``kernels/sha256d.cu`` through CuPy, in the variant that this device runs best."""

from __future__ import annotations

import functools
from typing import Any

from bench.model import Choices, Device
from bench.model.job import rolled_name
from bench.workloads.hashing import kernels
from bench.workloads.hashing.cuda import CudaScan, by_value, kernel_arguments
from bench.workloads.hashing.cuda_device import Cuda
from bench.workloads.hashing.engine import NONCE_SPACE, ReadJoules, power_of_two_from, with_version
from bench.workloads.hashing.options import HashingOptions
from bench.workloads.hashing.trial import Choice

VARIANTS = (0, 1, 2, 3, 4)
"""Balances of the two integer pipes; the kernel's text says what each is."""
THREADS = 256
ROLLED_THREADS = 128
"""Of a block where several versions share a schedule: its registers leave room for five such blocks, not two of 256."""
NONCES_PER_THREAD = 16
WAVES = 8
"""Of blocks in an iteration: the last wave of a launch leaves part of the device idle."""

# Multipliers that the kernel uses as shifts, in the order of its sha256d_factors: 1, 2^29, 2^22, 2^7, 2^10.
FACTORS = (1, 1 << 29, 1 << 22, 1 << 7, 1 << 10)


def open_engine(
    device: Device, options: HashingOptions, read_joules: ReadJoules | None = None, choices: Choices | None = None
) -> CudaScan:
    """The CUDA engine on ``device``.

    ``options.variant`` (0 … 4) names a variant; without it a short trial picks one by hashes per second, or, with
    ``prefer="efficiency"``, by hashes per joule where ``read_joules`` gives readings.

    Raises:
        BenchError: CuPy or NVRTC is missing, the kernel does not compile, the device fails, or there is no such
            variant.
    """
    choice = Choice(options, read_joules, VARIANTS, "sha256d", choices)
    cuda = Cuda(device)
    return choice.best(cuda, {number: _engine(cuda, number, options.version_rolling) for number in choice.variants})


def _engine(cuda: Cuda, variant: int, versions: int) -> CudaScan:
    threads = THREADS if versions == 1 else ROLLED_THREADS
    defines = {"SHA256D_VARIANT": variant, "NONCES_PER_THREAD": NONCES_PER_THREAD, "SHA256D_THREADS": threads}
    if versions > 1:
        defines["SHA256D_VERSIONS"] = versions
    kernel = cuda.compile("sha256d.cu", "sha256d_scan", defines)
    resident = cuda.multiprocessors * max(1, cuda.blocks_per_multiprocessor(kernel, threads))

    def blocks(first_nonce: int, count: int) -> int:
        busy = -(-(first_nonce % NONCES_PER_THREAD + count) // NONCES_PER_THREAD)
        return -(-busy // threads)

    return CudaScan(
        cuda,
        kernel,
        kernel_arguments(functools.partial(prepare, versions=versions), FACTORS, blocks),
        threads=threads,
        implementation=rolled_name(f"cuda-v{variant}", versions),
        iteration=min(NONCE_SPACE, power_of_two_from(resident * threads * NONCES_PER_THREAD * WAVES)),
        versions=versions,
    )


def prepare(header: bytes, share_bits: int, versions: int = 1) -> Any:
    """All that a header fixes, by version, as the kernel's ``sha256d_jobs``: a NumPy array of one structure.

    Args:
        header: 76 bytes or more; the nonce plays no part.
        share_bits: 1 … 32.
        versions: 1, 2, 4 or 8.

    Raises:
        ValueError: a header too short, or share bits out of range.
    """
    ffi, lib = kernels.host()
    made = ffi.new("uint8_t[]", lib.bw_sha256d_job_bytes())
    words: list[int] = []
    for version in range(versions):
        rolled = with_version(header[:76] + bytes(4), version)
        if len(header) < 76 or lib.bw_sha256d_prepare(rolled, share_bits, made):
            raise ValueError(f"no job from {len(header)} header bytes and {share_bits} share bits")
        words += ffi.unpack(ffi.cast("uint32_t *", made), len(made) // 4)
    return by_value(words)
