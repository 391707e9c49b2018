"""The scan as a job: rolling, proof before and after timing, and the wrong engines it must catch."""

from __future__ import annotations

import pytest

from bench.model import BenchError, Device, Job, Variant
from bench.workloads import load
from bench.workloads.hashing import sha256d
from bench.workloads.hashing.engine import NONCE_SPACE, Work
from bench.workloads.hashing.job import (
    SHARES_PER_S,
    HeaderRoll,
    ScanJob,
    reference_scan,
    rolled_reference,
    share_bits_for,
    with_nonce,
)
from bench.workloads.hashing.options import HashingOptions
from bench.workloads.hashing.shares import P_MIN, poisson_p_value, share_problem

CPU = Device("cpu", 0, "x", memory_bytes=1 << 30)


class ReferenceEngine:
    """pycryptodome itself, slow and right; the wrong engines below change one thing each."""

    implementation = "reference"
    iteration = 2048
    versions = 1
    setting = None
    memory_bytes = None

    def __init__(self):
        self.found: list[tuple[int, int]] = []
        self.scans: list[tuple[int, int, int]] = []
        self.closed = 0

    def hashes(self, work: Work, first: int, count: int) -> list[int]:
        if count > 1 << 15:
            return []
        return reference_scan(sha256d.ALGORITHM.digest, work.header, work.share_bits, first, count)

    def scan(self, work: Work, first_nonce: int, count: int) -> None:
        assert count >= 1
        assert first_nonce + count <= NONCE_SPACE
        self.scans.append((work.sequence, first_nonce, count))
        self.found += [(work.sequence, nonce) for nonce in self.hashes(work, first_nonce, count)]

    def sync(self) -> None: ...

    def drain(self) -> list[tuple[int, int]]:
        found, self.found = self.found, []
        return found

    def close(self) -> None:
        self.closed += 1


class SkipsHalf(ReferenceEngine):
    def hashes(self, work, first, count):
        return [nonce for nonce in super().hashes(work, first, count) if nonce % 2 == 0]


class Invents(ReferenceEngine):
    def hashes(self, work, first, count):
        honest = super().hashes(work, first, count)
        return [*honest, next(nonce for nonce in range(first, first + count) if nonce not in honest)]


class Repeats(ReferenceEngine):
    def hashes(self, work, first, count):
        honest = super().hashes(work, first, count)
        return [*honest, honest[0]] if honest else []


class Strays(ReferenceEngine):
    """Finds a true share, but one that nobody asked for."""

    def hashes(self, work, first, count):
        beyond = first + count
        extra = next(
            n for n in range(beyond, NONCE_SPACE) if reference_scan(sha256d.ALGORITHM.digest, work.header, 4, n, 1)
        )
        return [*super().hashes(work, first, count), extra]


class StopsShort(ReferenceEngine):
    """Leaves out the last nonce of every range."""

    def hashes(self, work, first, count):
        return super().hashes(work, first, count - 1)


class Mute(ReferenceEngine):
    def hashes(self, work, first, count):
        return []


class Rolls(ReferenceEngine):
    """Four versions of each header; the wrong engines below change one thing."""

    implementation = "reference-roll4"
    versions = 4

    def scan(self, work: Work, first_nonce: int, count: int) -> None:
        self.scans.append((work.sequence, first_nonce, count))
        self.found += [(work.sequence + version, nonce) for version, nonce in self.pairs(work, first_nonce, count)]

    def pairs(self, work: Work, first: int, count: int) -> list[tuple[int, int]]:
        if count > 1 << 15:
            return []
        return rolled_reference(sha256d.ALGORITHM.digest, work.header, work.share_bits, first, count, 4)


class LeavesOutAVersion(Rolls):
    def pairs(self, work, first, count):
        return [pair for pair in super().pairs(work, first, count) if pair[0] != 3]


class ScansOneVersion(Rolls):
    """Reports the shares of the first version under every version's name."""

    def pairs(self, work, first, count):
        return [
            (version, nonce)
            for number, nonce in super().pairs(work, first, count)
            if number == 0
            for version in range(4)
        ]


class MixesVersionsUp(Rolls):
    def pairs(self, work, first, count):
        return [(3 - version, nonce) for version, nonce in super().pairs(work, first, count)]


class NamesTheNextHeader(Rolls):
    def pairs(self, work, first, count):
        return [(version + 4, nonce) for version, nonce in super().pairs(work, first, count)]


def job(engine, bits=4, seed=11) -> ScanJob:
    return ScanJob(engine, sha256d.ALGORITHM, seed=seed, share_bits=bits)


def test_an_honest_engine_passes_verify_and_audit():
    engine = ReferenceEngine()
    scan = job(engine)
    assert isinstance(scan, Job)
    before = scan.verify()
    assert before.ok, before.reasons
    scan.launch(3)
    scan.sync()
    audit = scan.audit()
    assert audit.ok, audit.reasons
    assert audit.shares_expected == 3 * 2048 / 16
    assert audit.shares_found == len(audit.shares) == len(set(audit.shares))
    assert audit.shares_p_value == poisson_p_value(audit.shares_expected, audit.shares_found) > P_MIN
    assert all(share_problem(share, 4) is None for share in audit.shares)
    assert audit.details == {"shares_rehashed": float(len(audit.shares))}
    scan.close()
    scan.close()
    assert engine.closed == 1


def test_every_version_of_a_header_counts():
    scan = job(Rolls())
    assert scan.verify().ok
    assert scan.facts.work_per_iteration == 4 * 2048
    scan.launch(1)
    scan.launch(2)
    audit = scan.audit()
    assert audit.ok, audit.reasons
    assert audit.shares_expected == 3 * 4 * 2048 / 16
    assert all(share_problem(share, 4) is None for share in audit.shares)
    # Bits 13 and 14 of the version (BIP 320), little-endian at the header's front.
    assert {share.header_hex[:8] for share in audit.shares} == {"00000020", "00200020", "00400020", "00600020"}
    assert len({share.header_hex[8:152] for share in audit.shares}) == 1


@pytest.mark.parametrize("wrong", [LeavesOutAVersion, ScansOneVersion, MixesVersionsUp, NamesTheNextHeader])
def test_wrong_version_rolling_is_rejected(wrong):
    assert not job(wrong()).verify().ok
    scan = job(wrong())
    scan.launch(3)
    assert not scan.audit().ok


def test_an_audit_judges_only_what_came_since_the_last():
    scan = job(ReferenceEngine())
    assert scan.audit().shares_expected is None
    scan.launch(1)
    scan.audit()
    scan.launch(2)
    scan.sync()
    second = scan.audit()
    assert second.ok
    assert second.shares_expected == 2 * 2048 / 16
    nothing = scan.audit()
    assert nothing.ok
    assert nothing.shares_found is None


@pytest.mark.parametrize("wrong", [SkipsHalf, Invents, Repeats, StopsShort, Mute])
def test_verify_rejects_a_wrong_engine(wrong):
    audit = job(wrong()).verify()
    assert not audit.ok
    assert audit.reasons


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (SkipsHalf, "are expected"),
        (Mute, "are expected"),
        (Invents, "does not hash to a share"),
        (Repeats, "more than once"),
        (Strays, "outside the nonces that were scanned"),
    ],
)
def test_audit_rejects_a_wrong_engine(wrong, says):
    scan = job(wrong())
    scan.launch(4)
    scan.sync()
    audit = scan.audit()
    assert not audit.ok
    assert any(says in reason for reason in audit.reasons), audit.reasons


def test_a_share_of_an_earlier_audit_does_not_count_again():
    engine = ReferenceEngine()
    scan = job(engine)
    scan.launch(1)
    first = scan.audit()
    engine.found.append((engine.scans[0][0], first.shares[0].nonce))
    scan.launch(1)
    assert any("outside" in reason for reason in scan.audit().reasons)


def test_the_header_rolls_where_the_nonces_end():
    engine = Mute()
    engine.iteration = 1 << 30
    scan = job(engine, bits=32)
    scan.launch(3)
    scan.launch(3)
    ranges = engine.scans
    assert [(first, count) for _, first, count in ranges] == [
        (0, 3 << 30),
        (3 << 30, 1 << 30),
        (0, 2 << 30),
    ]
    assert ranges[0][0] == ranges[1][0] != ranges[2][0]


def test_shares_on_both_sides_of_a_roll_name_their_own_header():
    engine = ReferenceEngine()
    scan = job(engine)
    scan._nonce = NONCE_SPACE - 1024
    scan._current(4)
    scan.launch(1)
    audit = scan.audit()
    assert audit.ok, audit.reasons
    headers = {share.header_hex[:152] for share in audit.shares}
    assert len(headers) == 2
    assert engine.scans == [(0, NONCE_SPACE - 1024, 1024), (1, 0, 1024)]


def test_rolled_headers_differ_in_the_part_that_makes_the_midstate():
    roll = HeaderRoll(3)
    first, second = roll.header(0), roll.header(1)
    assert len(first) == len(second) == 80
    assert first[:64] != second[:64]
    assert first[:36] == second[:36]
    assert first[68:] == second[68:]
    assert HeaderRoll(3).header(1) == second
    assert HeaderRoll(4).header(1) != second
    assert with_nonce(first, 0x01020304)[76:] == bytes([4, 3, 2, 1])


def test_without_a_seed_no_two_jobs_find_the_same_shares():
    headers = set()
    for _ in range(2):
        engine = Mute()
        scan = ScanJob(engine, sha256d.ALGORITHM, share_bits=20)
        scan.launch(1)
        headers.add(scan._current(20).header)
    assert len(headers) == 2


@pytest.mark.parametrize("rate", [150, 1e3, 3e5, 7e7, 1e10, 1e13])
def test_a_second_holds_enough_shares(rate):
    bits = share_bits_for(rate)
    assert 1 <= bits <= 32
    if 1 < bits < 32:
        assert SHARES_PER_S <= rate / 2**bits < 2 * SHARES_PER_S


def test_a_launch_that_would_flood_the_buffer_is_refused():
    engine = Mute()
    engine.iteration = 1 << 24
    with pytest.raises(BenchError, match="one launch"):
        job(engine, bits=4).launch(1)


def test_plan_and_options():
    assert load("sha256d") is sha256d
    options = HashingOptions(isa="avx2")
    assert sha256d.plan(CPU, options) == [Variant("sha256d", options=options)]
    for wrong in ({"share_bits": 0}, {"share_bits": 33}, {"threads": 0}, {"variant": -1}):
        with pytest.raises(BenchError, match=f"--{next(iter(wrong)).replace('_', '-')} "):
            HashingOptions(**wrong)


@pytest.mark.parametrize("kind", ["musa", "mlu", "xpu", "mps"])
def test_other_devices_get_torch_operations_or_a_sentence(kind):
    with pytest.raises(BenchError, match=f"torch cannot use {kind}"):
        sha256d.build(Device(kind, 0, "x"), Variant("sha256d"))
