"""sha256d.cu compiled for this CPU and run thread by thread."""

from __future__ import annotations

import random

import numpy as np
import pytest

from bench.workloads.hashing import kernels, sha256d_cuda
from bench.workloads.hashing.cuda import by_value
from bench.workloads.hashing.engine import NONCE_SPACE
from bench.workloads.hashing.job import reference_scan, rolled_reference, with_nonce
from bench.workloads.hashing.shares import leading_zero_bits, sha256d
from tests.fakes.cuda import host
from tests.support.hashing import mined_headers, random_headers

TEXT = kernels.whole_source("sha256d.cu")
THREADS = 32
VARIANTS = sha256d_cuda.VARIANTS
CAPACITY = 1 << 12


def kernel(
    variant: int, *, nonces: int = 4, text: str = TEXT, hip: bool = False, optimise: str = "-O0", versions: int = 1
) -> host.HostKernel:
    setting = {
        "SHA256D_VARIANT": variant,
        "NONCES_PER_THREAD": nonces,
        "SHA256D_THREADS": THREADS,
        "SHA256D_VERSIONS": versions,
    }
    options = tuple(f"-D{name}={value}" for name, value in setting.items())
    return host.build(text, "sha256d_scan", options, hip=hip, optimise=optimise)


def run(built: host.HostKernel, header: bytes, bits: int, first: int, count: int, nonces: int = 4) -> list[int]:
    """Nonces that one launch reports, sorted, repeats kept."""
    pairs = run_rolled(built, header, bits, first, count, 1, nonces)
    assert all(version == 0 for version, _ in pairs)
    return [nonce for _, nonce in pairs]


def run_rolled(
    built: host.HostKernel, header: bytes, bits: int, first: int, count: int, versions: int, nonces: int = 4
) -> list[tuple[int, int]]:
    """``(version, nonce)`` that one launch reports, sorted, repeats kept."""
    factors = by_value(sha256d_cuda.FACTORS)
    found_count, found = np.zeros(1, np.uint64), np.zeros(CAPACITY, np.uint64)
    blocks = -(-(first % nonces + count) // nonces // THREADS) + 1
    scalars = [np.uint32(7), np.uint32(first), np.uint32(count - 1)]
    job = sha256d_cuda.prepare(header, bits, versions)
    built(blocks, THREADS, [job, factors, *scalars, found_count, found, np.uint32(CAPACITY)])
    hits = found[: int(found_count[0])]
    return sorted(((hit & 0xFFFFFFFF) - 7, hit >> 32) for hit in hits.tolist())


@pytest.mark.parametrize("hip", [False, True], ids=["cuda", "hip"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_random_headers_agree_with_the_reference(variant: int, hip: bool) -> None:
    built = kernel(variant, hip=hip)
    for number, header in enumerate(random_headers(variant, 4)):
        bits, count = number + 1, 61
        first = random.Random(number).randrange(NONCE_SPACE - count)
        assert run(built, header, bits, first, count) == reference_scan(sha256d, header, bits, first, count)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("first", "count"),
    [(0, 1), (0, 67), (3, 1), (5, 6), (NONCE_SPACE - 1, 1), (NONCE_SPACE - 35, 35), (0xFF, 2), (0x00FFFFFE, 5)],
)
def test_edges_of_the_nonce_space(variant: int, first: int, count: int) -> None:
    header = random_headers(first, 1)[0]
    for bits in (1, 2):
        due = reference_scan(sha256d, header, bits, first, count)
        assert run(kernel(variant), header, bits, first, count) == due


@pytest.mark.parametrize("hip", [False, True], ids=["cuda", "hip"])
@pytest.mark.parametrize(("variant", "versions"), [(0, 2), (1, 8), (3, 4), (3, 8), (4, 2)])
def test_rolled_versions_agree_with_the_reference(variant: int, versions: int, hip: bool) -> None:
    built = kernel(variant, hip=hip, versions=versions)
    for number, header in enumerate(random_headers(variant, 2)):
        for first, count in ((0, 1), (5, 30), (NONCE_SPACE - 35, 35)):
            due = rolled_reference(sha256d, header, number + 1, first, count, versions)
            assert run_rolled(built, header, number + 1, first, count, versions) == due


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("&jobs.of[version]", "jobs.of"),
        ("sequence = sequence + version", "sequence = sequence"),
        ("version < SHA256D_VERSIONS; version++", "version + 1 < SHA256D_VERSIONS; version++"),
        ("sha256d_expand(jobs.of, word,", "sha256d_expand(jobs.of, word ^ 1u,"),
        ("kept[(t) - SHA256D_FIRST_KEPT] = SHA_ADDK(w, t, k)", "kept[(t) - SHA256D_FIRST_KEPT] = w"),
    ],
)
def test_a_fault_in_version_rolling_is_caught(right: str, wrong: str) -> None:
    assert right in TEXT
    header = random_headers(1, 1)[0]
    due = rolled_reference(sha256d, header, 1, 100, 20, 4)
    assert run_rolled(kernel(3, versions=4), header, 1, 100, 20, 4) == due
    assert run_rolled(kernel(3, text=TEXT.replace(right, wrong), versions=4), header, 1, 100, 20, 4) != due


@pytest.mark.parametrize("nonces", [1, 16, 256])
def test_nonces_per_thread(nonces: int) -> None:
    header = random_headers(nonces, 1)[0]
    for first, count in ((0, 300), (777, 300), (NONCE_SPACE - 300, 300)):
        due = reference_scan(sha256d, header, 2, first, count)
        assert run(kernel(3, nonces=nonces), header, 2, first, count, nonces) == due


@pytest.mark.parametrize("variant", VARIANTS)
def test_mined_headers_are_found_at_their_nonces(variant: int) -> None:
    known = mined_headers()
    assert len(known) >= 3
    for header, nonce in known:
        assert run(kernel(variant), header, 32, nonce - 3, 6) == [nonce]


def test_every_share_target_is_exact() -> None:
    """A nonce with z leading zero bits is a share of z bits and not of z + 1."""
    header, nonce = mined_headers()[0]
    zeros = leading_zero_bits(sha256d(header))
    assert zeros >= 32
    assert run(kernel(1), header, 32, nonce, 1) == [nonce]
    rng = random.Random(3)
    seen = set()
    for _ in range(150):
        header, nonce = rng.randbytes(80), rng.randrange(NONCE_SPACE)
        zeros = leading_zero_bits(sha256d(with_nonce(header, nonce)))
        if 1 <= zeros < 32:
            seen.add(zeros)
            assert run(kernel(1), header, zeros, nonce, 1) == [nonce]
            assert run(kernel(1), header, zeros + 1, nonce, 1) == []
    assert len(seen) > 4


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("SHA_JOB(w18_fixed)", "SHA_JOB(w19_fixed)"),
        ("SHA256D_K63 0xc67178f2", "SHA256D_K63 0xc67178f3"),
        ("0x98c7e2a2u);  /* e0", "0x98c7e2a3u);  /* e0"),
        ("0x11002000u)", "0x11002001u)"),
        ("gpu_logic<0xe8>", "gpu_logic<0xe9>"),
        ("SHA_ROTR(x, 18), gpu_multiply_high", "SHA_ROTR(x, 19), gpu_multiply_high"),
        ("word += 1u << 24", "word += 1u << 25"),
        ("nonce - first <= count_less_one", "nonce - first < count_less_one"),
    ],
)
def test_a_planted_fault_is_caught(right: str, wrong: str) -> None:
    assert right in TEXT
    faulty = kernel(3, text=TEXT.replace(right, wrong))
    header = random_headers(1, 1)[0]
    due = reference_scan(sha256d, header, 1, 100, 64)
    assert run(kernel(3), header, 1, 100, 64) == due
    # The last nonce is a share for one of these counts, so that an off-by-one at the end shows.
    same = all(
        run(faulty, header, 1, 100, count) == reference_scan(sha256d, header, 1, 100, count) for count in range(60, 66)
    )
    assert not same


def test_more_shares_than_fit_are_counted() -> None:
    header = random_headers(5, 1)[0]
    factors = by_value(sha256d_cuda.FACTORS)
    found_count, found = np.zeros(1, np.uint64), np.zeros(64, np.uint64)
    scalars = [np.uint32(1), np.uint32(0), np.uint32(255)]
    built = kernel(0)
    built(2, THREADS, [sha256d_cuda.prepare(header, 1), factors, *scalars, found_count, found, np.uint32(10)])
    assert int(found_count[0]) == len(reference_scan(sha256d, header, 1, 0, 256)) > 10
    assert np.count_nonzero(found) == 10


@pytest.mark.parametrize(("length", "bits"), [(75, 8), (80, 0), (80, 33)])
def test_preparation_refuses_nonsense(length: int, bits: int) -> None:
    with pytest.raises(ValueError, match="no job"):
        sha256d_cuda.prepare(bytes(length), bits)


def test_headers_are_written_out_in_the_source() -> None:
    """CuPy's cache of machine code does not look into included files."""
    assert "#include" not in TEXT
    assert TEXT.count("SHA256D_K17 0x") == 4
