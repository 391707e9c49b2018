"""sha256d.cu run on this CPU thread by thread, and the Python side of CUDA over a stand-in for CuPy."""

from __future__ import annotations

import csv
import random
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bench import workloads
from bench.model import BenchError, BuildContext, Device
from bench.workloads.hashing import cuda as cuda_scan
from bench.workloads.hashing import kernels, sha256d_cuda
from bench.workloads.hashing import shares as proof
from bench.workloads.hashing.cuda import CudaScan
from bench.workloads.hashing.engine import NONCE_SPACE, Work
from bench.workloads.hashing.job import ScanJob, reference_scan, with_nonce
from bench.workloads.hashing.options import HashingOptions
from bench.workloads.hashing.sha256d import ALGORITHM
from tests.fakes.cuda import host
from tests.support.paths import TESTS as HERE

TEXT = kernels.whole_source("sha256d.cu")
THREADS = 32
VARIANTS = sha256d_cuda.VARIANTS
DEVICE = Device("cuda", 0, "stand-in", pci_bus_id="00000000:3b:00.0", driver="580.95.05", runtime="CUDA 13.0")
CAPACITY = 1 << 12


def kernel(
    variant: int, *, nonces: int = 4, text: str = TEXT, hip: bool = False, optimise: str = "-O0"
) -> host.HostKernel:
    options = (f"-DSHA256D_VARIANT={variant}", f"-DNONCES_PER_THREAD={nonces}", f"-DSHA256D_THREADS={THREADS}")
    return host.build(text, "sha256d_scan", options, hip=hip, optimise=optimise)


def run(built: host.HostKernel, header: bytes, bits: int, first: int, count: int, nonces: int = 4) -> list[int]:
    """Nonces that one launch reports, sorted, repeats kept."""
    factors = np.array([sha256d_cuda.FACTORS], np.uint32).view([("factors", np.uint32, 5)]).reshape(1)
    found_count, found = np.zeros(1, np.uint64), np.zeros(CAPACITY, np.uint64)
    blocks = -(-(first % nonces + count) // nonces // THREADS) + 1
    scalars = [np.uint32(7), np.uint32(first), np.uint32(count - 1)]
    job = sha256d_cuda.prepare(header, bits)
    built(blocks, THREADS, [job, factors, *scalars, found_count, found, np.uint32(CAPACITY)])
    hits = found[: int(found_count[0])]
    assert set((hits & 0xFFFFFFFF).tolist()) <= {7}
    return sorted((hits >> np.uint64(32)).tolist())


def headers(seed: int, count: int) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(80) for _ in range(count)]


def known_headers() -> list[tuple[bytes, int]]:
    with (HERE / "data" / "headers.csv").open() as file:
        return [(bytes.fromhex(row["header_hex"]), int(row["nonce"])) for row in csv.DictReader(file)]


# -- the kernel's text -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hip", [False, True], ids=["cuda", "hip"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_random_headers_agree_with_the_reference(variant: int, hip: bool) -> None:
    built = kernel(variant, hip=hip)
    for number, header in enumerate(headers(variant, 4)):
        bits, count = number + 1, 61
        first = random.Random(number).randrange(NONCE_SPACE - count)
        assert run(built, header, bits, first, count) == reference_scan(proof.sha256d, header, bits, first, count)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("first", "count"),
    [(0, 1), (0, 67), (3, 1), (5, 6), (NONCE_SPACE - 1, 1), (NONCE_SPACE - 35, 35), (0xFF, 2), (0x00FFFFFE, 5)],
)
def test_edges_of_the_nonce_space(variant: int, first: int, count: int) -> None:
    header = headers(first, 1)[0]
    for bits in (1, 2):
        due = reference_scan(proof.sha256d, header, bits, first, count)
        assert run(kernel(variant), header, bits, first, count) == due


@pytest.mark.parametrize("nonces", [1, 16, 256])
def test_nonces_per_thread(nonces: int) -> None:
    header = headers(nonces, 1)[0]
    for first, count in ((0, 300), (777, 300), (NONCE_SPACE - 300, 300)):
        due = reference_scan(proof.sha256d, header, 2, first, count)
        assert run(kernel(3, nonces=nonces), header, 2, first, count, nonces) == due


@pytest.mark.parametrize("variant", VARIANTS)
def test_mined_headers_are_found_at_their_nonces(variant: int) -> None:
    known = known_headers()
    assert len(known) >= 3
    for header, nonce in known:
        assert run(kernel(variant), header, 32, nonce - 3, 6) == [nonce]


def test_every_share_target_is_exact() -> None:
    """A nonce with z leading zero bits is a share of z bits and not of z + 1."""
    header, nonce = known_headers()[0]
    zeros = proof.leading_zero_bits(proof.sha256d(header))
    assert zeros >= 32
    assert run(kernel(1), header, 32, nonce, 1) == [nonce]
    rng = random.Random(3)
    seen = set()
    for _ in range(150):
        header, nonce = rng.randbytes(80), rng.randrange(NONCE_SPACE)
        zeros = proof.leading_zero_bits(proof.sha256d(with_nonce(header, nonce)))
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
    header = headers(1, 1)[0]
    due = reference_scan(proof.sha256d, header, 1, 100, 64)
    assert run(kernel(3), header, 1, 100, 64) == due
    # The last nonce is a share for one of these counts, so that an off-by-one at the end shows.
    same = all(
        run(faulty, header, 1, 100, count) == reference_scan(proof.sha256d, header, 1, 100, count)
        for count in range(60, 66)
    )
    assert not same


def test_more_shares_than_fit_are_counted() -> None:
    header = headers(5, 1)[0]
    factors = np.array([sha256d_cuda.FACTORS], np.uint32).view([("factors", np.uint32, 5)]).reshape(1)
    found_count, found = np.zeros(1, np.uint64), np.zeros(64, np.uint64)
    scalars = [np.uint32(1), np.uint32(0), np.uint32(255)]
    built = kernel(0)
    built(2, THREADS, [sha256d_cuda.prepare(header, 1), factors, *scalars, found_count, found, np.uint32(10)])
    assert int(found_count[0]) == len(reference_scan(proof.sha256d, header, 1, 0, 256)) > 10
    assert np.count_nonzero(found) == 10


@pytest.mark.parametrize(("length", "bits"), [(75, 8), (80, 0), (80, 33)])
def test_preparation_refuses_nonsense(length: int, bits: int) -> None:
    with pytest.raises(ValueError, match="no job"):
        sha256d_cuda.prepare(bytes(length), bits)


# -- the Python side -------------------------------------------------------------------------------------------------


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(HERE / "fakes" / "cuda"))
    for name in ("cupy", "cupy.cuda"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import cupy

    monkeypatch.setattr(sha256d_cuda, "THREADS", THREADS)
    monkeypatch.setattr(sha256d_cuda, "WAVES", 2)
    yield cupy
    for name in ("cupy", "cupy.cuda"):
        sys.modules.pop(name, None)


def engine(device: Device = DEVICE, **options: Any) -> CudaScan:
    return sha256d_cuda.open_engine(device, HashingOptions(**{"variant": 1, **options}))


def test_engine_scans_any_range(cupy: ModuleType) -> None:
    opened = engine()
    assert opened.implementation == "cuda-v1"
    assert opened.setting is None
    assert opened.iteration & (opened.iteration - 1) == 0
    for sequence, (first, count) in enumerate([(0, 1), (13, 999), (NONCE_SPACE - 1, 1), (NONCE_SPACE - 515, 515)]):
        header = headers(sequence, 1)[0]
        opened.scan(Work(sequence, header, 3), first, count)
        opened.sync()
        due = [(sequence, nonce) for nonce in reference_scan(proof.sha256d, header, 3, first, count)]
        assert sorted(opened.drain()) == due
        assert opened.drain() == []
    opened.close()
    opened.close()


def test_scans_in_flight_keep_their_own_headers(cupy: ModuleType) -> None:
    opened = engine()
    works = [Work(sequence, header, 2) for sequence, header in enumerate(headers(9, 12))]
    for work in works:
        opened.scan(work, 40, 33)
    opened.sync()
    due = [(w.sequence, n) for w in works for n in reference_scan(proof.sha256d, w.header, 2, 40, 33)]
    assert sorted(opened.drain()) == due


@pytest.mark.parametrize(("first", "count"), [(0, 0), (-1, 4), (NONCE_SPACE - 1, 2), (0, NONCE_SPACE + 1)])
def test_a_range_outside_the_space_is_refused(cupy: ModuleType, first: int, count: int) -> None:
    with pytest.raises(ValueError, match="32-bit space"):
        engine().scan(Work(0, bytes(80), 8), first, count)


def test_a_whole_space_is_one_grid_that_the_driver_takes(cupy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = engine()
    opened.scan(Work(0, bytes(80), 32), 1, NONCE_SPACE - 1)
    _, blocks, threads = cupy.cuda.launches[-1]
    assert blocks * threads * sha256d_cuda.NONCES_PER_THREAD == NONCE_SPACE


def test_job_over_the_engine_rolls_and_proves(cupy: ModuleType) -> None:
    job = ScanJob(engine(), ALGORITHM, seed=3, share_bits=6)
    assert job.verify().ok, job.verify().reasons
    # Begin near the end of the space, so that the header rolls within the launch.
    job._current(6)
    job._nonce = NONCE_SPACE - job._engine.iteration // 2
    job.launch(3)
    audit = job.audit()
    assert audit.ok, audit.reasons
    assert audit.shares_expected == pytest.approx(3 * job._engine.iteration / 64)
    assert len({share.header_hex[:152] for share in audit.shares}) == 2
    job.close()


def test_workload_on_cuda_takes_this_engine(cupy: ModuleType) -> None:
    """The way that the command line takes."""
    variant = workloads.load("sha256d").plan(DEVICE, HashingOptions(variant=2, share_bits=8))[0]
    job = workloads.load("sha256d").build(DEVICE, variant, BuildContext(seed=5))
    assert job.facts.implementation == "cuda-v2"
    assert job.verify().ok
    job.launch(1)
    audit = job.audit()
    assert audit.ok, audit.reasons
    assert audit.shares_found == len(audit.shares) > 0
    job.close()


def test_the_work_lands_on_the_device_that_was_asked_for(cupy: ModuleType) -> None:
    opened = engine(Device("cuda", 1, "stand-in", pci_bus_id="00000000:3c:00.0", driver="580.1"))
    opened.scan(Work(0, bytes(80), 8), 0, 100)
    opened.sync()
    assert {device for device, _, _ in cupy.cuda.launches} == {1}


def test_another_card_under_the_same_number_is_refused(cupy: ModuleType) -> None:
    with pytest.raises(BenchError, match=r"CuPy's device 1 is at 0000:3C:00.0, but torch's is at 00000000:3b:00.0"):
        engine(Device("cuda", 1, "stand-in", pci_bus_id="00000000:3b:00.0"))


def test_trial_picks_the_fastest(cupy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds are scripted: the variant that is compiled third is the fastest in each round."""
    picked = _scripted(monkeypatch, {0: 30.0, 1: 28.0, 2: 26.0, 3: 27.0, 4: 29.0}, {})
    assert picked.implementation == "cuda-v2"
    assert picked.setting is None


def test_trial_by_joules_can_pick_another(cupy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {0: 30.0, 1: 28.0, 2: 26.0, 3: 27.0, 4: 29.0}
    watts = {0: 200.0, 1: 300.0, 2: 500.0, 3: 450.0, 4: 500.0}
    picked = _scripted(monkeypatch, rates, watts, prefer="efficiency")
    assert picked.implementation == "cuda-v0"
    assert picked.setting == "prefer=efficiency"


@pytest.mark.parametrize("meter", [None, "silent", "frozen"])
def test_trial_without_joules_says_so(cupy: ModuleType, monkeypatch: pytest.MonkeyPatch, meter: str | None) -> None:
    joules = {None: None, "silent": lambda: None, "frozen": lambda: 5.0}[meter]
    picked = _scripted(monkeypatch, {0: 30.0, 1: 28.0, 2: 26.0, 3: 27.0, 4: 29.0}, {}, joules, prefer="efficiency")
    assert picked.implementation == "cuda-v2"
    assert picked.setting == "prefer=speed(no-joules)"


def _scripted(
    monkeypatch: pytest.MonkeyPatch,
    seconds: dict[int, float],
    watts: dict[int, float],
    joules: Any = None,
    **options: Any,
) -> CudaScan:
    """Open an engine whose trial sees ``seconds`` for each 2^32 nonces and ``watts`` of each variant."""
    drawn = [0.0]

    def compile_quickly(self: cuda_scan.Cuda, name: str, entry: str, defines: dict[str, int]) -> Any:
        return type("Kernel", (), {"kernel": property(lambda kernel: kernel), "ptr": 1})()

    def timed(self: cuda_scan.Cuda, work: Any) -> float:
        scan, (_, _, count) = work.func.__self__, work.args
        number = int(scan.implementation.removeprefix("cuda-v"))
        took = seconds[number] * count / NONCE_SPACE
        drawn[0] += watts.get(number, 100.0) * took
        return took

    monkeypatch.setattr(cuda_scan.Cuda, "compile", compile_quickly)
    monkeypatch.setattr(cuda_scan.Cuda, "timed", timed)
    if watts:
        joules = lambda: drawn[0]  # noqa: E731
    return sha256d_cuda.open_engine(DEVICE, HashingOptions(**options), joules)


def test_trial_runs_on_the_device(cupy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sha256d_cuda, "VARIANTS", (0, 1))
    monkeypatch.setattr(cuda_scan, "TRIAL_S", 0.002)
    opened = sha256d_cuda.open_engine(DEVICE, HashingOptions())
    assert opened.implementation in ("cuda-v0", "cuda-v1")
    header = headers(2, 1)[0]
    opened.scan(Work(4, header, 2), 5, 50)
    opened.sync()
    assert sorted(opened.drain()) == [(4, nonce) for nonce in reference_scan(proof.sha256d, header, 2, 5, 50)]


# -- what must not pass ----------------------------------------------------------------------------------------------


def test_swapped_arguments_are_caught(cupy: ModuleType) -> None:
    """Two scalars change places: no size tells, so the check against the reference must."""
    opened = engine()
    right = opened._arguments

    def swapped(work: Work, first: int, count: int) -> Any:
        blocks, (job, factors, sequence, begin, last) = right(work, first, count)
        return blocks, (job, factors, begin, sequence, last)

    opened._arguments = swapped
    assert not ScanJob(opened, ALGORITHM, seed=1, share_bits=6).verify().ok

    def shuffled(work: Work, first: int, count: int) -> Any:
        blocks, (job, factors, *scalars) = right(work, first, count)
        return blocks, (factors, job, *scalars)

    opened._arguments = shuffled
    with pytest.raises(TypeError, match="arguments of"):
        opened.scan(Work(0, bytes(80), 8), 0, 100)


def test_too_small_a_grid_is_caught(cupy: ModuleType) -> None:
    opened = engine()
    right = opened._arguments

    def short(work: Work, first: int, count: int) -> Any:
        blocks, arguments = right(work, first, count)
        return max(1, blocks - 1), arguments

    opened._arguments = short
    assert not ScanJob(opened, ALGORITHM, seed=1, share_bits=6).verify().ok


def test_too_small_a_buffer_is_caught(cupy: ModuleType) -> None:
    opened = engine()
    with opened._cuda.guard():
        opened._shares = cupy.zeros(9, np.uint64)
    opened._count, opened._entries = opened._shares[:1], opened._shares[1:]
    opened.scan(Work(0, bytes(80), 1), 0, 400)
    with pytest.raises(BenchError, match="illegal"):
        opened.sync()


def test_shares_beyond_the_buffer_are_reported(cupy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = CudaScan(
        (cuda := cuda_scan.Cuda(DEVICE)),
        sha256d_cuda._engine(cuda, 1)._kernel,
        sha256d_cuda._arguments(),
        threads=THREADS,
        implementation="cuda-v1",
        iteration=1024,
        capacity=16,
    )
    header = headers(0, 1)[0]
    opened.scan(Work(0, header, 1), 0, 200)
    opened.sync()
    with pytest.raises(BenchError, match="shares were found between two syncs, and only 16 could be kept"):
        opened.drain()
    # The next round is whole again.
    opened.scan(Work(1, header, 4), 0, 64)
    opened.sync()
    assert sorted(opened.drain()) == [(1, nonce) for nonce in reference_scan(proof.sha256d, header, 4, 0, 64)]


@pytest.mark.parametrize("moment", ["launch", "synchronize"])
def test_a_lost_device_is_one_sentence(cupy: ModuleType, moment: str) -> None:
    opened = engine()
    cupy.cuda.failures.append(moment)
    with pytest.raises(BenchError, match=r"cuda:0 failed: .*unspecified launch failure"):
        opened.scan(Work(0, bytes(80), 8), 0, 100)
        opened.sync()


def test_a_full_device_is_one_sentence(cupy: ModuleType) -> None:
    cupy.cuda.failures.append("memory")
    with pytest.raises(BenchError, match="cuda:0 has too little free memory"):
        engine()


def test_a_missing_device_is_one_sentence(cupy: ModuleType) -> None:
    with pytest.raises(BenchError, match="cuda:5 failed: cudaErrorInvalidDevice"):
        engine(Device("cuda", 5, "none"))


@pytest.mark.parametrize(
    ("driver", "runtime", "extra"),
    [("580.95.05", None, "13"), ("570.1", "CUDA 12.8", "12"), (None, "CUDA 12.6", "12"), (None, None, "13")],
)
def test_without_cupy_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, driver: str | None, runtime: str | None, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(BenchError, match=rf"pip install 'bitwatt\[cuda{extra}\]'"):
        engine(Device("cuda", 0, "card", driver=driver, runtime=runtime))


def test_without_nvrtc_the_extra_is_named(cupy: ModuleType) -> None:
    cupy.cuda.failures.append("compile")
    with pytest.raises(BenchError, match=r"CuPy cannot compile sha256d.cu .*bitwatt\[cuda13\]"):
        engine()


def test_a_syntax_error_in_the_kernel_is_one_sentence(cupy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "whole_source", lambda name: TEXT.replace("word != end", "word =! end +"))
    with pytest.raises(BenchError, match=r"NVRTC does not compile sha256d.cu: .*error"):
        engine()


@pytest.mark.parametrize("options", [{"variant": 9}])
def test_unknown_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BenchError, match="there is no"):
        engine(**options)


def test_headers_are_written_out_in_the_source() -> None:
    """CuPy's cache of machine code does not look into included files."""
    assert "#include" not in TEXT
    assert TEXT.count("SHA256D_K17 0x") == 2
