"""scrypt.cu run on this CPU thread by thread, its PTX executed, and its Python side over a stand-in for CuPy."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bench import workloads
from bench.model import BenchError, BuildContext, Device, Variant
from bench.workloads.hashing import cuda as cuda_scan
from bench.workloads.hashing import kernels, sass, scrypt_cuda
from bench.workloads.hashing import shares as proof
from bench.workloads.hashing.cuda import CudaScan
from bench.workloads.hashing.engine import NONCE_SPACE, Work
from bench.workloads.hashing.job import reference_scan
from bench.workloads.hashing.options import HashingOptions
from tests.fakes.cuda import host, ptx
from tests.support.paths import TESTS as HERE

TEXT = kernels.whole_source("scrypt.cu")
THREADS = 4
VARIANTS = range(len(scrypt_cuda.GAPS_AND_WIDE))
DEVICE = Device("cuda", 0, "stand-in", pci_bus_id="00000000:3b:00.0", driver="580.95.05", runtime="CUDA 13.0")
CAPACITY = 256

# The genesis blocks of Litecoin and Dogecoin: public facts, and the tests hash them with pycryptodome first.
LITECOIN = bytes.fromhex(
    "01000000" + "00" * 32 + "d9ced4ed1130f7b7faad9be25323ffafa33232a17c3edf6cfd97bee6bafbdd97b9aa8e4ef0ff0f1ecd513f7c"
)
DOGECOIN = bytes.fromhex(
    "01000000" + "00" * 32 + "696ad20e2dd4365c7459b4a4a5af743d5e92c6da3229e6532cd605f6533f2a5b24a6a152f0ff0f1e67860100"
)
MINED_BITS = 20


def kernel(gap: int, wide: int, *, text: str = TEXT, hip: bool = False) -> host.HostKernel:
    options = (f"-DSCRYPT_GAP={gap}", f"-DSCRYPT_WIDE={wide}", f"-DSCRYPT_THREADS={THREADS}")
    return host.build(text, "scrypt_scan", options, hip=hip, optimise="-O1")


def run(
    built: host.HostKernel, header: bytes, bits: int, first: int, count: int, *, gap: int = 1, blocks: int = 2
) -> list[int]:
    """Nonces that one launch reports, sorted, repeats kept."""
    found_count, found = np.zeros(1, np.uint64), np.zeros(CAPACITY, np.uint64)
    # Rows start at multiples of 16 bytes, and what lies behind them must stay as it is.
    scratch = np.full(blocks * THREADS * 1024 // gap * 16 + 16, 0x5A5A, np.uint64)
    scratch = scratch[(-scratch.ctypes.data % 16) // 8 :]
    scalars = [np.uint32(7), np.uint32(first), np.uint32(count - 1)]
    job, factors = scrypt_cuda.scrypt_job(header, bits), _factors()
    built(blocks, THREADS, [job, factors, *scalars, scratch, found_count, found, np.uint32(CAPACITY)])
    assert (scratch[blocks * THREADS * 1024 // gap * 16 :] == 0x5A5A).all()
    hits = found[: int(found_count[0])]
    assert set((hits & 0xFFFFFFFF).tolist()) <= {7}
    return sorted((hits >> np.uint64(32)).tolist())


def _factors() -> np.ndarray:
    return np.array([scrypt_cuda.FACTORS], np.uint32).view([("factors", np.uint32, 4)]).reshape(1)


def headers(seed: int, count: int) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(80) for _ in range(count)]


# -- the kernel's text -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gap", "wide", "hip"),
    [
        (1, 0, False),
        (1, 1, False),
        (1, 4, False),
        (2, 1, False),
        (4, 1, False),
        (8, 2, False),
        (1, 0, True),
        (4, 1, True),
    ],
)
def test_random_headers_agree_with_the_reference(gap: int, wide: int, hip: bool) -> None:
    built = kernel(gap, wide, hip=hip)
    for number, (first, count) in enumerate([(0, 11), (NONCE_SPACE - 9, 9), (0x00FFFFFC, 7)]):
        header = headers(number, 1)[0]
        due = reference_scan(proof.scrypt, header, 1, first, count)
        assert run(built, header, 1, first, count, gap=gap) == due


@pytest.mark.parametrize("header", [LITECOIN, DOGECOIN], ids=["litecoin", "dogecoin"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_mined_headers_are_found_at_their_nonces(variant: int, header: bytes) -> None:
    assert proof.leading_zero_bits(proof.scrypt(header)) >= MINED_BITS
    gap, wide = scrypt_cuda.GAPS_AND_WIDE[variant]
    nonce = int.from_bytes(header[76:], "little")
    assert run(kernel(gap, wide), header, MINED_BITS, nonce - 2, 4, gap=gap) == [nonce]


@pytest.mark.parametrize("blocks", [1, 3])
def test_any_grid_covers_the_range_once(blocks: int) -> None:
    header = headers(3, 1)[0]
    for count in (1, 12, 25):
        due = reference_scan(proof.scrypt, header, 1, 50, count)
        assert run(kernel(1, 0), header, 1, 50, count, blocks=blocks) == due


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("STEP == 2 ? 13 : 18", "STEP == 2 ? 13 : 17"),
        ("quarter_round(x[10], x[11], x[8], x[9], by)", "quarter_round(x[10], x[11], x[9], x[8], by)"),
        ("x[16] % SCRYPT_N", "x[0] % SCRYPT_N"),
        ("8 * (64 + 132)", "8 * (64 + 128)"),
        ("0x5c5c5c5cu", "0x5c5c5c5du"),
        ("block[4] = part + 1", "block[4] = part"),
        ("again = j % SCRYPT_GAP", "again = j % SCRYPT_GAP / 2"),
        ("group < 48", "group < 32"),
        ("index <= count_less_one", "index < count_less_one"),
        ("SHA256D_K40 0xa2bfe8a1u", "SHA256D_K40 0xa2bfe8a2u"),
    ],
)
def test_a_planted_fault_is_caught(right: str, wrong: str) -> None:
    assert right in TEXT
    faulty = kernel(2, 0, text=TEXT.replace(right, wrong))
    header = headers(8, 1)[0]
    # The last nonce is a share for one of these counts, so that an off-by-one at the end shows.
    counts = range(8, 14)
    due = [reference_scan(proof.scrypt, header, 1, 0, count) for count in counts]
    assert [run(kernel(2, 0), header, 1, 0, count, gap=2) for count in counts] == due
    assert [run(faulty, header, 1, 0, count, gap=2) for count in counts] != due


# -- NVIDIA's compiler -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", sass.ARCHITECTURES)
def test_every_architecture_compiles(arch: int) -> None:
    variant = 3 if arch == 80 else 1
    gap, wide = scrypt_cuda.GAPS_AND_WIDE[variant]
    cubin = sass.compile_cubin(TEXT, arch, defines={"SCRYPT_GAP": gap, "SCRYPT_WIDE": wide})
    assert b".text.scrypt_scan\0" in cubin.image
    assert "warning" not in cubin.log
    registers, spill_bytes = sass.resources(cubin.log, "scrypt_scan")
    assert spill_bytes == 0
    assert registers <= 128


@pytest.mark.recorded_nvrtc
def test_ptx_agrees_with_the_reference() -> None:
    """One hash through what NVIDIA's front end made, inline assembly included: some two million instructions."""
    defines = {"SCRYPT_GAP": 2, "SCRYPT_WIDE": 1, "SCRYPT_THREADS": 1}
    program = ptx.Program(sass.compile_ptx(TEXT, 90, defines=defines), "scrypt_scan")
    memory = ptx.Memory()
    scratch_at, _ = memory.add(128 * 512)
    count_at, counter = memory.add(8)
    found_at, found = memory.add(8)
    nonce = int.from_bytes(DOGECOIN[76:], "little")
    words = [word.to_bytes(4, "little") for word in (9, nonce, 0)]
    pointers = [address.to_bytes(8, "little") for address in (scratch_at, count_at, found_at)]
    job, factors = scrypt_cuda.scrypt_job(DOGECOIN, MINED_BITS).tobytes(), _factors().tobytes()
    program.run(1, 1, [job, factors, *words, *pointers, (1).to_bytes(4, "little")], memory)
    assert int.from_bytes(counter, "little") == 1
    assert bytes(found) == words[0] + words[1]


# -- the Python side ---------------------------------------------------------------------------------------------------


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(HERE / "fakes" / "cuda"))
    for name in ("cupy", "cupy.cuda"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import cupy

    cupy.OPTIMISE = "-O1"
    monkeypatch.setattr(scrypt_cuda, "THREADS", THREADS)
    yield cupy
    for name in ("cupy", "cupy.cuda"):
        sys.modules.pop(name, None)


def engine(**options: Any) -> CudaScan:
    return scrypt_cuda.open_engine(DEVICE, HashingOptions(**{"variant": 1, **options}))


@pytest.mark.parametrize("variant", [1, 3])
def test_engine_scans_any_range(cupy: ModuleType, variant: int) -> None:
    opened = engine(variant=variant)
    assert opened.implementation == f"cuda-v{variant}"
    assert opened.setting == f"gap={scrypt_cuda.GAPS_AND_WIDE[variant][0]}"
    for sequence, (first, count) in enumerate([(0, 1), (7, 30), (NONCE_SPACE - 3, 3)]):
        header = headers(sequence, 1)[0]
        opened.scan(Work(sequence, header, 2), first, count)
        opened.sync()
        due = [(sequence, nonce) for nonce in reference_scan(proof.scrypt, header, 2, first, count)]
        assert sorted(opened.drain()) == due
    opened.close()
    assert cupy._pool.freed == 1
    opened.close()


def test_scans_in_flight_keep_their_own_headers(cupy: ModuleType) -> None:
    opened = engine()
    works = [Work(sequence, header, 1) for sequence, header in enumerate(headers(2, 4))]
    for work in works:
        opened.scan(work, 10, 5)
    opened.sync()
    due = [(w.sequence, n) for w in works for n in reference_scan(proof.scrypt, w.header, 1, 10, 5)]
    assert sorted(opened.drain()) == due


def test_workload_on_cuda_verifies_and_proves(cupy: ModuleType) -> None:
    """The way that the command line takes, known headers and ranges included."""
    job = workloads.load("scrypt").build(
        DEVICE, Variant("scrypt", options=HashingOptions(variant=2, share_bits=3)), BuildContext(seed=5)
    )
    assert job.facts.implementation == "cuda-v2"
    assert job.facts.options == "gap=2"
    assert job.facts.memory_bytes
    assert job.facts.memory_bytes % (64 << 10) == 0
    verified = job.verify()
    assert verified.ok, verified.reasons
    job.launch(2)
    audit = job.audit()
    assert audit.ok, audit.reasons
    assert audit.shares_expected == 2 * job.facts.work_per_iteration / 8
    job.close()


@pytest.mark.parametrize("free_mib", [1, 2, 64])
def test_threads_follow_the_memory(cupy: ModuleType, monkeypatch: pytest.MonkeyPatch, free_mib: int) -> None:
    """A scratchpad is 128 KiB, so the grid shrinks with the memory and never leaves it."""
    monkeypatch.setattr(cupy.cuda, "FREE_BYTES", free_mib << 20)
    monkeypatch.setattr(scrypt_cuda, "THREADS", 2)
    monkeypatch.setattr(cupy.cuda, "MULTIPROCESSORS", 6)
    opened = engine()
    opened.scan(Work(0, bytes(80), 8), 0, 40)
    opened.sync()
    _, blocks, threads = cupy.cuda.launches[-1]
    assert threads == 2
    assert blocks == {1: 3, 2: 6, 64: 6}[free_mib]
    assert opened.memory_bytes == blocks * threads * (128 << 10)


def test_too_little_memory_is_one_sentence(cupy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cupy.cuda, "FREE_BYTES", 512 << 10)
    with pytest.raises(BenchError, match=r"cuda:0 has 0 MiB to spare, and scrypt needs at least 0"):
        engine()


def test_a_scratchpad_too_small_is_caught(cupy: ModuleType) -> None:
    opened = engine()
    right = opened._arguments
    with opened._cuda.guard():
        small = cupy.empty(1024 * 16 * THREADS - 16, np.uint64)

    def smaller(*scan: Any) -> Any:
        blocks, arguments = right(*scan)
        return blocks, (*arguments[:-1], small)

    opened._arguments = smaller
    opened.scan(Work(0, bytes(80), 8), 0, THREADS)
    with pytest.raises(BenchError, match="illegal"):
        opened.sync()


def test_trial_picks_the_fastest(cupy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {0: 30.0, 1: 27.0, 2: 26.0, 3: 28.0}

    def timed(self: cuda_scan.Cuda, work: Callable[[], None]) -> float:
        scan, (_, _, count) = work.func.__self__, work.args  # type: ignore[attr-defined]
        return seconds[int(scan.implementation.removeprefix("cuda-v"))] * count / NONCE_SPACE

    monkeypatch.setattr(cuda_scan.Cuda, "timed", timed)
    monkeypatch.setattr(scrypt_cuda, "_compile", lambda cuda, number: type("Kernel", (), {"ptr": 1, "kernel": None})())
    monkeypatch.setattr(cuda_scan.Cuda, "blocks_per_multiprocessor", lambda self, kernel, threads: 1)
    picked = scrypt_cuda.open_engine(DEVICE, HashingOptions())
    assert (picked.implementation, picked.setting) == ("cuda-v2", "gap=2")


@pytest.mark.parametrize("options", [{"variant": 4}])
def test_unknown_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BenchError, match="there is no"):
        engine(**options)


@pytest.mark.parametrize(("length", "bits"), [(75, 8), (80, 0), (80, 33)])
def test_preparation_refuses_nonsense(length: int, bits: int) -> None:
    with pytest.raises(ValueError, match="no job"):
        scrypt_cuda.scrypt_job(bytes(length), bits)
