"""scrypt (N = 1024, r = 1, p = 1), as Litecoin and Dogecoin mine it: the memory-hard scan, 128 KiB a hash."""

from __future__ import annotations

from bench.model import BuildContext, Choices, Device, Skip, Variant
from bench.workloads.hashing.engine import Engine, ReadJoules
from bench.workloads.hashing.job import Algorithm, ScanJob
from bench.workloads.hashing.options import HashingOptions, check, options_of

ALGORITHM = Algorithm(
    name="scrypt",
    # The genesis blocks of both chains: public facts, and the tests hash them with pycryptodome.
    known=(
        (
            "Litecoin block 0",
            bytes.fromhex(
                "01000000" + "00" * 32 + "d9ced4ed1130f7b7faad9be25323ffafa33232a17c3edf6cfd97bee6bafbdd97"
                "b9aa8e4ef0ff0f1ecd513f7c"
            ),
        ),
        (
            "Dogecoin block 0",
            bytes.fromhex(
                "01000000" + "00" * 32 + "696ad20e2dd4365c7459b4a4a5af743d5e92c6da3229e6532cd605f6533f2a5b"
                "24a6a152f0ff0f1e67860100"
            ),
        ),
    ),
    known_bits=20,
    known_span=37,
    check_counts=((1, 37), (2, 67), (1, 19)),
    rehash_all=2048,
)


def plan(device: Device, options: HashingOptions, *, smoke: bool = False) -> list[Variant]:  # noqa: ARG001
    """One variant: the scan has neither shape nor type."""
    check(device, options)
    return [Variant("scrypt", options=options)]


def build(device: Device, variant: Variant, context: BuildContext = BuildContext()) -> ScanJob:
    """Open the engine for ``device`` and put the job on it: C on ``cpu``, the kernel through CuPy on ``cuda``.

    Raises:
        Skip: every other device, and ``engine=portable``.
    """
    options = options_of(variant)
    engine = open_engine(device, options, context.read_joules, context.choices)
    return ScanJob(engine, ALGORITHM, seed=context.seed, share_bits=options.share_bits)


def open_engine(
    device: Device, options: HashingOptions, read_joules: ReadJoules | None = None, choices: Choices | None = None
) -> Engine:
    """The engine that ``build`` uses."""
    if not (device.kind == "cpu" or device.is_nvidia) or options.engine == "portable":
        raise Skip(
            f"scrypt has no torch-portable version, so {device.label} is left out",
            "run it on cuda or cpu with their own kernels",
        )
    if device.kind == "cuda":
        from bench.workloads.hashing import scrypt_cuda

        return scrypt_cuda.open_engine(device, options, read_joules, choices)
    from bench.workloads.hashing import cpu

    return cpu.open_engine("scrypt", options, choices)
