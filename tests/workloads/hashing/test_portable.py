"""The scan in torch operations: right on the CPU, bounded in memory, never named as a native kernel."""

from __future__ import annotations

import pytest

from bench.model import BuildContext, Device, Variant
from bench.workloads.hashing import portable, sha256d
from bench.workloads.hashing.engine import NONCE_SPACE, Work
from bench.workloads.hashing.job import HeaderRoll, reference_scan
from bench.workloads.hashing.options import HashingOptions

CPU = Device("cpu", 0, "x", memory_bytes=1 << 30)


@pytest.fixture
def engine():
    return portable.open_engine(CPU, 1024)


@pytest.mark.parametrize(
    ("bits", "first", "count"),
    [(1, 0, 1), (1, 0, 700), (3, NONCE_SPACE - 701, 701), (4, 0x7FFFFF01, 2500), (2, 0xFFFFFFFF, 1)],
)
def test_it_finds_what_the_reference_finds(engine, bits, first, count):
    header = HeaderRoll(bits).header(7)
    engine.scan(Work(9, header, bits), first, count)
    engine.sync()
    found = engine.drain()
    assert found == [(9, nonce) for nonce in reference_scan(sha256d.ALGORITHM.digest, header, bits, first, count)]
    assert engine.drain() == []


def test_constants_are_those_of_the_standard():
    assert portable.K[0] == 0x428A2F98
    assert portable.K[63] == 0xC67178F2
    assert portable.IV[7] == 0x5BE0CD19


def test_a_wrong_constant_is_caught_before_timing(monkeypatch):
    broken = list(portable.K)
    broken[61] ^= 1
    monkeypatch.setattr(portable, "K", broken)
    job = sha256d.build(CPU, Variant("sha256d", options=HashingOptions(engine="portable")), BuildContext(seed=5))
    audit = job.verify()
    assert not audit.ok
    assert "was not found at its nonce" in audit.reasons[0]


def test_the_whole_job():
    job = sha256d.build(CPU, Variant("sha256d", options=HashingOptions(engine="portable")), BuildContext(seed=3))
    assert job.facts.implementation == "torch-portable"
    assert job.verify().ok
    job.launch(3)
    job.sync()
    audit = job.audit()
    assert audit.ok, audit.reasons
    assert audit.shares_found
    job.close()


def test_memory_bounds_the_chunk():
    small = portable.open_engine(Device("cpu", 0, "x", memory_bytes=8 << 20))
    assert small.iteration * 4 * portable.LIVE_TENSORS * portable.MEMORY_SHARE <= 8 << 20


@pytest.mark.parametrize(("first", "count"), [(-1, 1), (0, 0), (NONCE_SPACE - 1, 2)])
def test_ranges_outside_the_space_are_refused(engine, first, count):
    with pytest.raises(ValueError, match="32-bit space"):
        engine.scan(Work(0, bytes(80), 8), first, count)
