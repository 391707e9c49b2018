"""Locked cards, from scripted rates: what is named, and what must not be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.analysis import locked
from bench.model import Record
from bench.output.run import run as run_document
from tests.support import factory

SMS, CLOCK_MHZ = 70, 1410.0
CMP = {
    "device_kind": "cuda",
    "device_name": "NVIDIA CMP 170HX",
    "device_arch": "sm_80",
    "device_cores": SMS,
    "sm_clock_mhz_mean": CLOCK_MHZ,
    "mode": "standard",
}
CLOCKS = SMS * CLOCK_MHZ * 1e6
FP32 = CLOCKS * 128


def hashing(share: float = 0.9, **changes: object) -> Record:
    row = replace(factory.sha256d(), implementation="cuda-v3", rate_per_s=share * CLOCKS / 25.0)
    return replace(row, **{**CMP, **changes})


def product(dtype: str, share: float, **changes: object) -> Record:
    per_clock = {"fp32": 128, "tf32": 1024, "fp16": 2048}[dtype]
    return replace(factory.gemm(), **{**CMP, "dtype": dtype, "rate_per_s": share * CLOCKS * per_clock, **changes})


def named(*records: Record) -> dict[str, int]:
    return {lock.rate.name: lock.divisor for rates in locked.rates(records).values() for lock in locked.find(rates)}


def test_a_mining_card_is_named() -> None:
    """CMP 170HX: fused multiply-add at 1/32, integers in full."""
    assert named(hashing(), product("fp32", 0.8 / 32)) == {"fp32": 32}


def test_a_hash_limiter_is_named() -> None:
    assert named(hashing(0.22), product("fp32", 0.85), product("fp16", 0.7)) == {"sha256d": 4}


@pytest.mark.parametrize("full", [0.55, 0.7, 0.8, 0.95])
@pytest.mark.parametrize("divisor", [4, 8, 32, 64])
def test_the_divisor_does_not_hang_on_efficiency(full: float, divisor: int) -> None:
    found = named(hashing(), product("fp32", full / divisor))["fp32"]
    assert found in (divisor, 2 * divisor if full < 0.6 else divisor)


@pytest.mark.parametrize(
    "records",
    [
        [hashing(), product("fp32", 0.8), product("fp16", 0.6)],
        [
            hashing(0.1),
            product("fp32", 0.1),
            product("fp16", 0.1),
        ],  # a slow card, or a wrong clock: nothing runs in full
        [product("fp32", 0.02)],
        [hashing(), product("fp32", 0.02, sm_clock_mhz_mean=None)],
        [hashing(), product("fp32", 0.02, device_arch="sm_999")],
        [hashing(), product("fp32", 0.02, valid=False)],
        [hashing(), product("fp32", 0.02, mode="smoke")],
        [hashing(), product("fp32", 0.02, phase="decode")],  # bound by memory
        [hashing(device_kind="rocm"), product("fp32", 0.02, device_kind="rocm")],
    ],
)
def test_what_is_no_lock_is_not_named(records: list[Record]) -> None:
    assert named(*records) == {}


def test_geforce_halves_by_design() -> None:
    geforce = {"device_name": "NVIDIA GeForce RTX 3090", "device_arch": "sm_86"}
    # A quarter of the full rate is half of the halved one.
    rate = 0.28 * CLOCKS * 1024
    row = replace(product("fp16", 1.0), **{**geforce, "rate_per_s": rate})
    other = replace(row, device_name="NVIDIA A10")
    assert named(hashing(**geforce), row) == {}
    assert named(hashing(device_name="NVIDIA A10", device_arch="sm_86"), other) == {"fp16": 4}


def test_two_cards_are_judged_apart() -> None:
    first, second = [hashing(), product("fp32", 0.02)], [hashing(device_index=1), product("fp32", 0.8, device_index=1)]
    assert len([lock for rates in locked.rates([*first, *second]).values() for lock in locked.find(rates)]) == 1


def test_a_run_says_it_with_the_figures() -> None:
    notes = run_document([hashing(), product("fp32", 0.8 / 32)]).notes
    sentence = next(note for note in notes if "locked" in note)
    assert "CMP 170HX" in sentence
    assert "fp32 is locked to about 1/32: 315.8 GFLOP/s where its multiprocessors could do 12.63 TFLOP/s" in sentence
    assert not [note for note in run_document([hashing(), product("fp32", 0.8)]).notes if "locked" in note]
