"""scrypt.cu compiled for this CPU and run thread by thread, and its PTX executed."""

from __future__ import annotations

import numpy as np
import pytest

from bench.workloads.hashing import kernels, sass, scrypt_cuda
from bench.workloads.hashing.cuda import by_value
from bench.workloads.hashing.engine import NONCE_SPACE
from bench.workloads.hashing.job import reference_scan
from bench.workloads.hashing.scrypt import ALGORITHM
from bench.workloads.hashing.shares import leading_zero_bits, scrypt
from tests.fakes.cuda import host, ptx
from tests.support.hashing import random_headers

TEXT = kernels.whole_source("scrypt.cu")
THREADS = 4
VARIANTS = range(len(scrypt_cuda.GAPS_AND_WIDE))
CAPACITY = 256

LITECOIN, DOGECOIN = (header for _, header in ALGORITHM.known)
MINED_BITS = ALGORITHM.known_bits


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
    job, factors = scrypt_cuda.scrypt_job(header, bits), by_value(scrypt_cuda.FACTORS)
    built(blocks, THREADS, [job, factors, *scalars, scratch, found_count, found, np.uint32(CAPACITY)])
    assert (scratch[blocks * THREADS * 1024 // gap * 16 :] == 0x5A5A).all()
    hits = found[: int(found_count[0])]
    assert set((hits & 0xFFFFFFFF).tolist()) <= {7}
    return sorted((hits >> np.uint64(32)).tolist())


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
        header = random_headers(number, 1)[0]
        due = reference_scan(scrypt, header, 1, first, count)
        assert run(built, header, 1, first, count, gap=gap) == due


@pytest.mark.parametrize("header", [LITECOIN, DOGECOIN], ids=["litecoin", "dogecoin"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_mined_headers_are_found_at_their_nonces(variant: int, header: bytes) -> None:
    assert leading_zero_bits(scrypt(header)) >= MINED_BITS
    gap, wide = scrypt_cuda.GAPS_AND_WIDE[variant]
    nonce = int.from_bytes(header[76:], "little")
    assert run(kernel(gap, wide), header, MINED_BITS, nonce - 2, 4, gap=gap) == [nonce]


@pytest.mark.parametrize("blocks", [1, 3])
def test_any_grid_covers_the_range_once(blocks: int) -> None:
    header = random_headers(3, 1)[0]
    for count in (1, 12, 25):
        due = reference_scan(scrypt, header, 1, 50, count)
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
    header = random_headers(8, 1)[0]
    # The last nonce is a share for one of these counts, so that an off-by-one at the end shows.
    counts = range(8, 14)
    due = [reference_scan(scrypt, header, 1, 0, count) for count in counts]
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
    job, factors = scrypt_cuda.scrypt_job(DOGECOIN, MINED_BITS).tobytes(), by_value(scrypt_cuda.FACTORS).tobytes()
    program.run(1, 1, [job, factors, *words, *pointers, (1).to_bytes(4, "little")], memory)
    assert int.from_bytes(counter, "little") == 1
    assert bytes(found) == words[0] + words[1]


@pytest.mark.parametrize(("length", "bits"), [(75, 8), (80, 0), (80, 33)])
def test_preparation_refuses_nonsense(length: int, bits: int) -> None:
    with pytest.raises(ValueError, match="no job"):
        scrypt_cuda.scrypt_job(bytes(length), bits)
