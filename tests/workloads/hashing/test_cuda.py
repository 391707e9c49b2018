"""The CUDA engines over a stand-in for CuPy, which runs their kernels on this CPU."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bench import workloads
from bench.model import BenchError, BuildContext, Device, Variant
from bench.workloads.hashing import kernels, scrypt, scrypt_cuda, sha256d, sha256d_cuda
from bench.workloads.hashing.cuda import CudaScan
from bench.workloads.hashing.cuda_device import Cuda
from bench.workloads.hashing.engine import NONCE_SPACE, Work
from bench.workloads.hashing.job import Algorithm, ScanJob, reference_scan, rolled_reference
from bench.workloads.hashing.options import HashingOptions
from tests.fakes.cuda import driver
from tests.support.hashing import random_headers

DEVICE = Device("cuda", 0, "stand-in", pci_bus_id="00000000:3b:00.0", driver="580.95.05", runtime="CUDA 13.0")
SECOND = Device("cuda", 1, "stand-in", pci_bus_id="00000000:3c:00.0", driver="580.95.05")


@dataclass(frozen=True)
class Case:
    algorithm: Algorithm
    module: ModuleType
    most: int
    """Nonces that a test can afford to hash again in Python."""
    settings: tuple[str | None, ...]
    """``setting`` of each variant."""

    def open(self, device: Device = DEVICE, **options: Any) -> CudaScan:
        return self.module.open_engine(device, HashingOptions(**{"variant": 1, **options}))

    def expected(self, work: Work, first: int, count: int) -> list[tuple[int, int]]:
        nonces = reference_scan(self.algorithm.digest, work.header, work.share_bits, first, count)
        return [(work.sequence, nonce) for nonce in nonces]


SHA256D = Case(sha256d.ALGORITHM, sha256d_cuda, 999, (None,) * 5)
SCRYPT = Case(scrypt.ALGORITHM, scrypt_cuda, 30, ("gap=1", "gap=1", "gap=2", "gap=4"))
BOTH = pytest.mark.parametrize("case", [SHA256D, SCRYPT], ids=["sha256d", "scrypt"])


@pytest.mark.parametrize(
    ("case", "variant"),
    [(SHA256D, 0), (SHA256D, 1), (SHA256D, 3), (SCRYPT, 1), (SCRYPT, 3)],
    ids=lambda value: value.algorithm.name if isinstance(value, Case) else str(value),
)
def test_an_engine_scans_any_range(machine: driver.Machine, case: Case, variant: int) -> None:
    opened = case.open(variant=variant)
    assert (opened.implementation, opened.setting) == (f"cuda-v{variant}", case.settings[variant])
    assert opened.iteration & (opened.iteration - 1) == 0
    ranges = [(0, 1), (13, case.most), (NONCE_SPACE - 1, 1), (NONCE_SPACE - case.most // 2, case.most // 2)]
    for sequence, (first, count) in enumerate(ranges):
        work = Work(sequence, random_headers(sequence, 1)[0], 2)
        opened.scan(work, first, count)
        opened.sync()
        assert sorted(opened.drain()) == case.expected(work, first, count)
        assert opened.drain() == []
    opened.close()
    assert machine.pool_emptied == 1
    opened.close()


@pytest.mark.parametrize("versions", [2, 4, 8])
def test_an_engine_rolls_versions(machine: driver.Machine, versions: int) -> None:
    opened = SHA256D.open(variant=3, version_rolling=versions)
    assert (opened.implementation, opened.versions) == (f"cuda-v3-roll{versions}", versions)
    header = random_headers(versions, 1)[0]
    for sequence, (first, count) in enumerate([(3, 70), (NONCE_SPACE - 9, 9)]):
        opened.scan(Work(8 * sequence, header, 2), first, count)
        opened.sync()
        due = rolled_reference(SHA256D.algorithm.digest, header, 2, first, count, versions)
        assert sorted(opened.drain()) == [(8 * sequence + version, nonce) for version, nonce in due]
    opened.close()


def test_a_whole_job_rolls_versions(machine: driver.Machine) -> None:
    job = ScanJob(SHA256D.open(variant=0, version_rolling=4), sha256d.ALGORITHM, seed=3, share_bits=6)
    assert job.verify().ok, job.verify().reasons
    job.launch(1)
    audit = job.audit()
    assert audit.ok, audit.reasons
    assert audit.shares_expected == job.facts.work_per_iteration / 64
    assert len({share.header_hex[:8] for share in audit.shares}) == 4
    job.close()


@BOTH
def test_scans_in_flight_keep_their_own_headers(machine: driver.Machine, case: Case) -> None:
    opened = case.open()
    works = [Work(sequence, header, 1) for sequence, header in enumerate(random_headers(9, 10))]
    for work in works:
        opened.scan(work, 40, 7)
    opened.sync()
    assert sorted(opened.drain()) == [pair for work in works for pair in case.expected(work, 40, 7)]


@pytest.mark.parametrize(("first", "count"), [(0, 0), (-1, 4), (NONCE_SPACE - 1, 2), (0, NONCE_SPACE + 1)])
def test_a_range_outside_the_space_is_refused(machine: driver.Machine, first: int, count: int) -> None:
    with pytest.raises(ValueError, match="32-bit space"):
        SHA256D.open().scan(Work(0, bytes(80), 8), first, count)


def test_a_whole_space_is_one_grid_that_the_driver_takes(machine: driver.Machine) -> None:
    SHA256D.open().scan(Work(0, bytes(80), 32), 1, NONCE_SPACE - 1)
    _, blocks, threads = machine.launches[-1]
    assert blocks * threads * sha256d_cuda.NONCES_PER_THREAD == NONCE_SPACE


@pytest.mark.parametrize("arch", driver.MULTIPROCESSORS)
@BOTH
def test_an_iteration_fills_a_card_of_any_size(
    machine: driver.Machine, monkeypatch: pytest.MonkeyPatch, case: Case, arch: int
) -> None:
    """A multiprocessor's share of an iteration is eight waves of blocks at least."""
    card = machine.cards[0]
    card.become(arch)
    card.total_bytes = 64 << 30
    monkeypatch.setattr(Cuda, "compile", lambda *_: type("Kernel", (), {"kernel": type("F", (), {"ptr": 1})})())
    threads = {"sha256d": 256, "scrypt": 128}[case.algorithm.name]
    monkeypatch.setattr(case.module, "THREADS", threads)
    monkeypatch.setattr(sha256d_cuda, "WAVES", 8)
    import cupy

    # Scratchpads of a card would fill this machine.
    monkeypatch.setattr(cupy, "empty", lambda count, dtype: cupy.zeros(1, dtype))
    resident = card.multiprocessors * card.occupancy(threads) * threads
    per_thread = sha256d_cuda.NONCES_PER_THREAD * 8 if case is SHA256D else scrypt_cuda.PASSES
    assert min(resident * per_thread, NONCE_SPACE) <= case.open().iteration <= NONCE_SPACE


def test_a_job_over_the_engine_rolls_its_header(machine: driver.Machine) -> None:
    job = ScanJob(SHA256D.open(), sha256d.ALGORITHM, seed=3, share_bits=6)
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


@pytest.mark.parametrize(("case", "share_bits"), [(SHA256D, 8), (SCRYPT, 3)], ids=["sha256d", "scrypt"])
def test_the_workload_on_cuda_takes_this_engine(machine: driver.Machine, case: Case, share_bits: int) -> None:
    """The way that the command line takes, known headers and ranges included."""
    workload = workloads.load(case.algorithm.name)
    options = HashingOptions(variant=2, share_bits=share_bits)
    job = workload.build(DEVICE, Variant(case.algorithm.name, options=options), BuildContext(seed=5))
    assert (job.facts.implementation, job.facts.options) == ("cuda-v2", case.settings[2])
    assert (job.facts.memory_bytes or 0) % (64 << 10) == 0
    verified = job.verify()
    assert verified.ok, verified.reasons
    job.launch(2)
    audit = job.audit()
    assert audit.ok, audit.reasons
    assert audit.shares_expected == 2 * job.facts.work_per_iteration / 2**share_bits
    assert audit.shares_found == len(audit.shares) > 0
    job.close()


@pytest.mark.parametrize("free_mib", [1, 2, 64])
def test_threads_of_scrypt_follow_the_memory(
    machine: driver.Machine, monkeypatch: pytest.MonkeyPatch, free_mib: int
) -> None:
    """A scratchpad is 128 KiB, so the grid shrinks with the memory and never leaves it."""
    monkeypatch.setattr(Cuda, "free_bytes", lambda _cuda: free_mib << 20)
    monkeypatch.setattr(scrypt_cuda, "THREADS", 2)
    machine.cards[0].multiprocessors = 6
    opened = SCRYPT.open()
    opened.scan(Work(0, bytes(80), 8), 0, 40)
    opened.sync()
    _, blocks, threads = machine.launches[-1]
    assert threads == 2
    assert blocks == {1: 3, 2: 6, 64: 6}[free_mib]
    assert opened.memory_bytes == blocks * threads * (128 << 10)


def test_too_little_memory_for_scrypt_is_one_sentence(machine: driver.Machine) -> None:
    machine.cards[0].used_bytes = machine.cards[0].total_bytes - (512 << 10)
    with pytest.raises(BenchError, match=r"cuda:0 has 0 MiB to spare, and scrypt needs at least 0"):
        SCRYPT.open()


def test_a_closed_engine_gives_its_memory_back(machine: driver.Machine) -> None:
    before = machine.cards[0].used_bytes
    opened = SCRYPT.open()
    assert machine.cards[0].used_bytes > before
    opened.close()
    assert machine.cards[0].used_bytes == before


# -- what must not pass ----------------------------------------------------------------------------------------------


def rearranged(opened: CudaScan, change: Callable[[int, list[Any]], tuple[int, list[Any]]]) -> CudaScan:
    right = opened._arguments

    def wrong(work: Work, first: int, count: int) -> Any:
        blocks, arguments = right(work, first, count)
        return change(blocks, list(arguments))

    opened._arguments = wrong
    return opened


def test_swapped_scalars_are_caught(machine: driver.Machine) -> None:
    """No size tells two scalars apart, so the check against the reference must."""
    opened = rearranged(SHA256D.open(), lambda blocks, x: (blocks, [x[0], x[1], x[3], x[2], x[4]]))
    assert not ScanJob(opened, sha256d.ALGORITHM, seed=1, share_bits=6).verify().ok


@pytest.mark.parametrize("wrong", [3, True, None, 2.5])
def test_an_argument_of_another_size_is_caught(machine: driver.Machine, wrong: Any) -> None:
    opened = rearranged(SHA256D.open(), lambda blocks, x: (blocks, [*x[:3], wrong, x[4]]))
    with pytest.raises(TypeError, match="arguments of"):
        opened.scan(Work(0, bytes(80), 8), 0, 100)


def test_structures_in_the_wrong_order_are_caught(machine: driver.Machine) -> None:
    opened = rearranged(SHA256D.open(), lambda blocks, x: (blocks, [x[1], x[0], *x[2:]]))
    with pytest.raises(TypeError, match="arguments of"):
        opened.scan(Work(0, bytes(80), 8), 0, 100)


def test_too_small_a_grid_is_caught(machine: driver.Machine) -> None:
    opened = rearranged(SHA256D.open(), lambda blocks, x: (max(1, blocks - 1), x))
    assert not ScanJob(opened, sha256d.ALGORITHM, seed=1, share_bits=6).verify().ok


def test_memory_that_was_never_written_is_not_zero(machine: driver.Machine) -> None:
    import cupy

    opened = SHA256D.open()
    with opened._cuda.guard():
        opened._shares = cupy.empty(17, np.uint64)
    opened._count, opened._entries = opened._shares[:1], opened._shares[1:]
    with pytest.raises(BenchError, match="shares were found between two syncs"):
        opened.drain()


def test_too_small_a_buffer_is_caught(machine: driver.Machine) -> None:
    import cupy

    opened = SHA256D.open()
    with opened._cuda.guard():
        opened._shares = cupy.zeros(9, np.uint64)
    opened._count, opened._entries = opened._shares[:1], opened._shares[1:]
    opened.scan(Work(0, bytes(80), 1), 0, 400)
    with pytest.raises(BenchError, match="illegal"):
        opened.sync()


def test_a_scratchpad_too_small_is_caught(machine: driver.Machine) -> None:
    import cupy

    opened = SCRYPT.open()
    with opened._cuda.guard():
        small = cupy.empty(1024 * 16 * scrypt_cuda.THREADS - 16, np.uint64)
    rearranged(opened, lambda blocks, x: (blocks, [*x[:-1], small]))
    opened.scan(Work(0, bytes(80), 8), 0, scrypt_cuda.THREADS)
    with pytest.raises(BenchError, match="illegal"):
        opened.sync()


def test_shares_beyond_the_buffer_are_reported(machine: driver.Machine) -> None:
    normal = SHA256D.open()
    small = {"threads": sha256d_cuda.THREADS, "implementation": "cuda-v1", "iteration": 1024, "capacity": 16}
    opened = CudaScan(normal._cuda, normal._kernel, normal._arguments, **small)
    header = random.Random(0).randbytes(80)
    opened.scan(Work(0, header, 1), 0, 200)
    opened.sync()
    with pytest.raises(BenchError, match="shares were found between two syncs, and only 16 could be kept"):
        opened.drain()
    # The next round is whole again.
    work = Work(1, header, 4)
    opened.scan(work, 0, 64)
    opened.sync()
    assert sorted(opened.drain()) == SHA256D.expected(work, 0, 64)


def test_a_kernel_of_the_wrong_text_does_not_compile(machine: driver.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    text = kernels.whole_source("sha256d.cu").replace("word != end", "word =! end +")
    monkeypatch.setattr(kernels, "whole_source", lambda name: text)
    with pytest.raises(BenchError, match=r"NVRTC does not compile sha256d.cu: .*error"):
        SHA256D.open()


@BOTH
def test_an_unknown_variant_is_refused(case: Case) -> None:
    with pytest.raises(BenchError, match="there is no variant 9 of the CUDA kernel"):
        case.open(variant=9)
