"""SHA-256d on CUDA: ``kernels/sha256d.cu`` through CuPy, in the variant that this device runs best."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from bench import kernels_io
from bench.model import BenchError, Device
from bench.workloads.cuda_scan import SEQUENCES, Cuda, CudaScan, power_of_two_from
from bench.workloads.engine import NONCE_SPACE, Work

VARIANTS = (0, 1, 2, 3, 4)
"""Balances of the two integer pipes; the kernel's text says what each is."""
THREADS = 256
NONCES_PER_THREAD = 16
WAVES = 8
"""Of blocks in a quantum: the last wave of a launch leaves part of the device idle."""

TRIAL_S = 0.1
TRIAL_ROUNDS = 3
METERED_TRIAL_S = 2.0
"""Energy counters move every 20 to 100 ms, so a shorter trial would measure their ticks."""
METERED_ROUNDS = 2
TRIAL_WORK = Work(0, bytes(80), 32)

# Multipliers that the kernel uses as shifts, in the order of its sha256d_factors: 1, 2^29, 2^22, 2^7, 2^10.
FACTORS = (1, 1 << 29, 1 << 22, 1 << 7, 1 << 10)


def open_engine(device: Device, options: Mapping[str, Any]) -> CudaScan:
    """The CUDA engine on ``device``.

    Options: ``variant`` (0 … 4) forces a variant; else a short trial picks one by hashes per second, or, with
    ``prefer="efficiency"``, by hashes per joule where ``joules`` (a callable that returns the joules drawn so far, or
    None) can be read.

    Raises:
        BenchError: CuPy or NVRTC is missing, the kernel does not compile, the device fails, or an option is unknown.
    """
    prefer = options.get("prefer") or "speed"
    if prefer not in ("speed", "efficiency"):
        raise BenchError(f"there is no preference {prefer!r}", "choose speed or efficiency")
    asked = options.get("variant")
    variants = VARIANTS if asked in (None, "auto") else (_variant(asked),)
    cuda = Cuda(device)
    engines = {number: _engine(cuda, number) for number in variants}
    best, setting = next(iter(engines)), None
    try:
        if len(engines) > 1:
            best, setting = _choose(cuda, engines, prefer, options.get("joules"))
    finally:
        for number, engine in engines.items():
            if number != best:
                engine.close()
    engines[best].setting = setting
    return engines[best]


def _variant(asked: Any) -> int:
    text = str(asked).removeprefix("v")
    if not text.isdigit() or int(text) not in VARIANTS:
        raise BenchError(f"there is no variant {asked!r} of the CUDA kernel", f"choose from {VARIANTS}")
    return int(text)


def _engine(cuda: Cuda, variant: int) -> CudaScan:
    defines = {"SHA256D_VARIANT": variant, "NONCES_PER_THREAD": NONCES_PER_THREAD, "SHA256D_THREADS": THREADS}
    kernel = cuda.compile("sha256d.cu", "sha256d_scan", defines)
    resident = cuda.multiprocessors * max(1, cuda.blocks_per_multiprocessor(kernel, THREADS))
    return CudaScan(
        cuda,
        kernel,
        _arguments(),
        threads=THREADS,
        implementation=f"cuda-v{variant}",
        quantum=min(NONCE_SPACE, power_of_two_from(resident * THREADS * NONCES_PER_THREAD * WAVES)),
    )


def _arguments() -> Callable[[Work, int, int], tuple[int, Sequence[Any]]]:
    """What one scan hands to the kernel before the found shares. A header is prepared once and kept."""
    import numpy as np

    factors = np.array([FACTORS], dtype=np.uint32).view([("factors", np.uint32, len(FACTORS))]).reshape(1)

    @functools.lru_cache(maxsize=8)
    def job(header: bytes, share_bits: int) -> Any:
        return prepare(header, share_bits)

    def arguments(work: Work, first_nonce: int, count: int) -> tuple[int, Sequence[Any]]:
        if not 0 <= work.sequence < SEQUENCES:
            raise ValueError(f"sequence {work.sequence} does not fit 32 bits")
        threads = -(-(first_nonce % NONCES_PER_THREAD + count) // NONCES_PER_THREAD)
        scalars = (np.uint32(work.sequence), np.uint32(first_nonce), np.uint32(count - 1))
        return -(-threads // THREADS), (job(work.header[:76], work.share_bits), factors, *scalars)

    return arguments


def prepare(header: bytes, share_bits: int) -> Any:
    """All that a header fixes, as the kernel's ``sha256d_job``: a NumPy array of one structure.

    Args:
        header: 76 bytes or more; the nonce plays no part.
        share_bits: 1 … 32.

    Raises:
        ValueError: a header too short, or share bits out of range.
    """
    import numpy as np

    ffi, lib = kernels_io.host()
    made = ffi.new("uint8_t[]", lib.bw_sha256d_job_bytes())
    if len(header) < 76 or lib.bw_sha256d_prepare(header[:76] + bytes(4), share_bits, made):
        raise ValueError(f"no job from {len(header)} header bytes and {share_bits} share bits")
    words = len(made) // 4
    return np.frombuffer(ffi.buffer(made)[:], dtype=np.dtype([("words", np.uint32, words)]))


def _choose(
    cuda: Cuda, engines: Mapping[int, CudaScan], prefer: str, joules: Callable[[], float | None] | None
) -> tuple[int, str | None]:
    """The best variant, and the setting to record. Rounds interleave, forth and back, so that drift falls on all."""
    launches = {number: _size(cuda, engine) for number, engine in engines.items()}
    setting = None
    if prefer == "efficiency":
        scores = _per_joule(cuda, engines, launches, joules) if joules else {}
        if scores:
            return max(scores, key=scores.__getitem__), "prefer=efficiency"
        # Said in the row, because the choice is then not the one that was asked for.
        setting = "prefer=speed(no-joules)"
    rates = dict.fromkeys(engines, 0.0)
    for number in _there_and_back(engines, TRIAL_ROUNDS):
        hashes, seconds = _run(cuda, engines[number], launches[number], TRIAL_S)
        rates[number] = max(rates[number], hashes / seconds)
    return max(rates, key=rates.__getitem__), setting


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
    count = engine.quantum
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
