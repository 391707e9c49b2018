"""scrypt (N = 1024, r = 1, p = 1) on CUDA: ``kernels/scrypt.cu`` through CuPy, in the variant that suits the device.

Each thread owns a scratchpad in device memory. As many threads run as fit on the multiprocessors at once, or as the
free memory allows.
"""

from __future__ import annotations

import functools
import struct
from typing import Any

from bench.model import BenchError, Choices, Device
from bench.workloads.hashing.cuda import CudaScan, by_value, kernel_arguments
from bench.workloads.hashing.cuda_device import Cuda
from bench.workloads.hashing.engine import NONCE_SPACE, ReadJoules, power_of_two_from
from bench.workloads.hashing.options import HashingOptions
from bench.workloads.hashing.sha256d_cuda import prepare
from bench.workloads.hashing.trial import Choice

GAPS_AND_WIDE = ((1, 0), (1, 1), (2, 1), (4, 1))
"""Variant → (SCRYPT_GAP, SCRYPT_WIDE) of the kernel's text: bytes traded for arithmetic, and pipe for pipe."""
THREADS = 128
ROWS = 1024
ROW_BYTES = 128
MEMORY_SHARE = 0.85
"""Of the free memory, at most so much is taken: the driver and the display need some."""
PASSES = 8
"""Hashes that each thread makes in an iteration, at least: in the last pass of a launch some threads have none."""

# Multipliers that the kernel uses as rotations, in the order of its scrypt_factors.
FACTORS = (1 << 7, 1 << 9, 1 << 13, 1 << 18)


def open_engine(
    device: Device, options: HashingOptions, read_joules: ReadJoules | None = None, choices: Choices | None = None
) -> CudaScan:
    """The CUDA engine on ``device``.

    Which variant (0 … 3) runs is chosen as for SHA-256d.

    Raises:
        BenchError: CuPy or NVRTC is missing, the kernel does not compile, the device fails or lacks the memory for one
            block of threads, or there is no such variant.
    """
    choice = Choice(options, read_joules, range(len(GAPS_AND_WIDE)), "scrypt", choices)
    cuda = Cuda(device)
    kernels = {number: _compile(cuda, number) for number in choice.variants}
    budget = int(cuda.free_bytes() * MEMORY_SHARE)
    threads = {number: _threads(cuda, kernels[number], number, budget) for number in kernels}
    with cuda.guard():
        # One scratchpad serves every variant of the trial: scans follow one another on one stream.
        most = max(threads[number] * _pad_bytes(number) for number in kernels)
        scratch = cuda.cupy.empty(most // 8, dtype="uint64")
    engines = {
        number: CudaScan(
            cuda,
            kernel,
            kernel_arguments(scrypt_job, FACTORS, functools.partial(_blocks, threads[number]), scratch),
            threads=THREADS,
            implementation=f"cuda-v{number}",
            iteration=min(NONCE_SPACE, power_of_two_from(threads[number] * PASSES)),
            setting=f"gap={GAPS_AND_WIDE[number][0]}",
            memory_bytes=most,
        )
        for number, kernel in kernels.items()
    }
    return choice.best(cuda, engines)


def _compile(cuda: Cuda, variant: int) -> Any:
    gap, wide = GAPS_AND_WIDE[variant]
    defines = {"SCRYPT_GAP": gap, "SCRYPT_WIDE": wide, "SCRYPT_THREADS": THREADS}
    return cuda.compile("scrypt.cu", "scrypt_scan", defines)


def _pad_bytes(variant: int) -> int:
    return ROWS // GAPS_AND_WIDE[variant][0] * ROW_BYTES


def _threads(cuda: Cuda, kernel: Any, variant: int, budget_bytes: int) -> int:
    """Threads that run at once: whole blocks, evenly on all multiprocessors where the memory allows.

    Raises:
        BenchError: not even one block fits.
    """
    blocks = cuda.multiprocessors * max(1, cuda.blocks_per_multiprocessor(kernel, THREADS))
    fitting = budget_bytes // (_pad_bytes(variant) * THREADS)
    if not fitting:
        raise BenchError(
            f"{cuda.device.label} has {budget_bytes / 2**20:.0f} MiB to spare, and scrypt needs at least "
            f"{_pad_bytes(variant) * THREADS / 2**20:.0f}",
            "end what else runs on it, or ask for a variant with fewer bytes a hash (--variant 3)",
        )
    if fitting >= cuda.multiprocessors:
        fitting -= fitting % cuda.multiprocessors
    return min(blocks, fitting) * THREADS


def _blocks(threads: int, _first_nonce: int, count: int) -> int:
    return -(-min(count, threads) // THREADS)


def scrypt_job(header: bytes, share_bits: int) -> Any:
    """The kernel's ``scrypt_job``: a NumPy array of one structure of 29 words.

    Args:
        header: 76 bytes or more; the nonce plays no part.
        share_bits: 1 … 32.

    Raises:
        ValueError: a header too short, or share bits out of range.
    """
    # Midstate and mask are the same as SHA-256d's: its job begins with the one and ends with the other.
    words = prepare(header, share_bits)["words"][0].tolist()
    return by_value([*words[:8], *struct.unpack(">20I", header[:76] + bytes(4)), words[-1]])
