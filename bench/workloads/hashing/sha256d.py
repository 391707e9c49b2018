"""SHA-256d: a Bitcoin-style scan over nonces, on whatever device there is."""

from __future__ import annotations

from bench.model import BuildContext, Choices, Device, Variant
from bench.workloads.hashing.engine import Engine, ReadJoules
from bench.workloads.hashing.job import Algorithm, ScanJob
from bench.workloads.hashing.options import HashingOptions, check, options_of

ALGORITHM = Algorithm(
    name="sha256d",
    # Public facts: https://en.bitcoin.it/wiki/Genesis_block and the block chain at these heights.
    known=(
        (
            "block 0",
            bytes.fromhex(
                "01000000" + "00" * 32 + "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a"
                "29ab5f49ffff001d1dac2b7c"
            ),
        ),
        (
            "block 1",
            bytes.fromhex(
                "010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000"
                "982051fd1e4ba744bbbe680e1fee14677ba1a3c3540bf7b1cdb606e857233e0e61bc6649ffff001d01e36299"
            ),
        ),
        (
            "block 125552",
            bytes.fromhex(
                "0100000081cd02ab7e569e8bcd9317e2fe99f2de44d49ab2b8851ba4a308000000000000"
                "e320b6c2fffc8d750423db8b1eb942ae710e951ed797f7affc8892b0f1fc122bc7f5d74df2b9441a42a14695"
            ),
        ),
    ),
    known_bits=32,
    known_span=4099,
    check_counts=((1, 257), (1, 515), (3, 1021), (8, 4095)),
    rehash_all=4096,
)


def plan(device: Device, options: HashingOptions, *, smoke: bool = False) -> list[Variant]:  # noqa: ARG001
    """One variant: the scan has neither shape nor type."""
    check(device, options)
    return [Variant("sha256d", options=options)]


def build(device: Device, variant: Variant, context: BuildContext = BuildContext()) -> ScanJob:
    """Open the best engine for ``device`` and put the job on it.

    ``cpu`` runs C, NVIDIA's ``cuda`` the kernel through CuPy, everything else torch operations, other makers' cards
    that torch calls ``cuda`` included; ``engine=portable`` takes torch operations everywhere. The engine's name is in
    every row.
    """
    options = options_of(variant)
    engine = open_engine(device, options, context.read_joules, context.choices)
    return ScanJob(engine, ALGORITHM, seed=context.seed, share_bits=options.share_bits)


def open_engine(
    device: Device, options: HashingOptions, read_joules: ReadJoules | None = None, choices: Choices | None = None
) -> Engine:
    """The engine that ``build`` uses."""
    if options.engine == "portable" or not (device.kind == "cpu" or device.is_nvidia):
        from bench.workloads.hashing import portable

        return portable.open_engine(device)
    if device.is_nvidia:
        from bench.workloads.hashing import sha256d_cuda

        return sha256d_cuda.open_engine(device, options, read_joules, choices)
    from bench.workloads.hashing import cpu

    return cpu.open_engine("sha256d", options, choices)
