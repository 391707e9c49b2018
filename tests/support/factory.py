"""Plausible records of cards that do not exist, for tests of everything that reads results.

No figure here was measured on anything: devices are named ``Example GPU A`` and the like, so that no file made from
this can be mistaken for a result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench import storage
from bench.model import METHOD_VERSION, SCHEMA_VERSION, Record


@dataclass(frozen=True)
class Card:
    """A made-up card: its true rates and watts, before noise."""

    name: str = "Example GPU A"
    kind: str = "cuda"
    uuid: str = "GPU-00000000-0000-4000-8000-00000000000a"
    hash_per_s: float = 8.0e9
    hash_w: float = 640.0
    flop_per_s: float = 700e12
    flop_w: float = 680.0
    idle_w: float = 75.0
    limit_w: float = 700.0
    peak_flop_per_s: float = 989e12
    sensor_gain: float = 0.05
    """Relative 95% half-width of the sensor's own error; it does not fall with repeats."""


CARD_A = Card()
CARD_B = Card(
    name="Example GPU B",
    uuid="GPU-00000000-0000-4000-8000-00000000000b",
    hash_per_s=4.7e9,
    hash_w=270.0,
    flop_per_s=253e12,
    flop_w=290.0,
    idle_w=52.0,
    limit_w=300.0,
    peak_flop_per_s=312e12,
)
CARD_CPU = Card(
    name="Example CPU C",
    kind="cpu",
    uuid="",
    hash_per_s=55e6,
    hash_w=95.0,
    flop_per_s=0.4e12,
    flop_w=110.0,
    idle_w=30.0,
    limit_w=0.0,
    peak_flop_per_s=0.8e12,
    sensor_gain=0.03,
)

_MODEL_FLOP_PER_TOKEN = 1.5e10


def sha256d(card: Card = CARD_A, repeat: int = 1, **changes: Any) -> Record:
    """One sha256d window of a card, noiseless unless ``factor``/``power_factor`` say otherwise."""
    return _record(card, repeat, card.hash_per_s, card.hash_w, **{**_HASH, **changes})


def gemm(card: Card = CARD_A, repeat: int = 1, **changes: Any) -> Record:
    """One transformer gemm window of a card."""
    peak = {"peak_per_s": card.peak_flop_per_s, "peak_source": "made up"}
    return _record(card, repeat, card.flop_per_s, card.flop_w, **{**_GEMM, **peak, **changes})


_HASH: dict[str, Any] = {
    "workload": "sha256d",
    "phase": "scan",
    "implementation": "cuda-v2",
    "work_unit": "hash",
    "share_bits": 32,
}
_GEMM: dict[str, Any] = {
    "workload": "transformer",
    "phase": "gemm",
    "shape": "llama3-8b",
    "dtype": "bf16",
    "batch": 1,
    "seq": 8192,
    "implementation": "torch-2.13.0",
    "work_unit": "FLOP",
    "precision": "tf32=off reduced_precision_reduction=off",
    "options": "inputs=normal",
}


def _record(
    card: Card,
    repeat: int,
    rate: float,
    watts: float,
    *,
    factor: float = 1.0,
    power_factor: float = 1.0,
    window_s: float = 30.0,
    metered: bool = True,
    **changes: Any,
) -> Record:
    rate *= factor
    watts *= power_factor
    work = rate * window_s
    tokens = work / _MODEL_FLOP_PER_TOKEN if changes["work_unit"] == "FLOP" else None
    joules = watts * window_s
    energy: dict[str, Any] = {}
    if metered:
        energy = {
            "meter": "nvml" if card.kind != "cpu" else "rapl",
            "meter_id": card.uuid or "package-0",
            "energy_j": joules,
            "energy_method": "counter",
            "energy_scope": "gpu" if card.kind != "cpu" else "package",
            "energy_uncertainty_j": watts * 0.1,
            "sensor_uncertainty_j": joules * card.sensor_gain,
            "crosscheck_ratio": 1.002,
            "sample_count": int(window_s * 10),
            "samples_missing": 0,
            "power_mean_w": watts,
            "power_p95_w": watts * 1.01,
            "idle_power_w": card.idle_w,
            "work_per_j": work / joules,
            "net_work_per_j": work / (joules - card.idle_w * window_s),
            "tokens_per_j": None if tokens is None else tokens / joules,
        }
    gpu = card.kind != "cpu"
    shares = work / 2**32
    proof = {"shares_expected": shares, "shares_found": round(shares), "shares_p_value": 0.83}
    values: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "method_version": METHOD_VERSION,
        "run_id": "20260101T000000Z-example",
        "started_utc": f"2026-01-01T00:{repeat // 60 % 60:02d}:{repeat % 60:02d}.000000Z",
        "harness_version": "0.1.0",
        "commit": "0" * 40,
        "dirty": False,
        "host": "example-host",
        "device_kind": card.kind,
        "device_name": card.name,
        "device_uuid": card.uuid or None,
        "device_index": 0,
        "device_cores": 132 if gpu else 16,
        "device_memory_gib": 79.6,
        "device_arch": "sm_90" if gpu else "x86_64",
        "driver": "999.99" if gpu else None,
        "runtime": "CUDA 13.0" if gpu else None,
        "torch": "2.13.0",
        "cupy": "14.0.0" if gpu else None,
        "device_choice": "asked for",
        "power_limit_w": card.limit_w or None,
        "default_power_limit_w": card.limit_w or None,
        "mig": False if gpu else None,
        "ecc": True if gpu else None,
        "co_tenants": 0 if gpu else None,
        "native": True,
        "repeat": repeat,
        "mode": "standard",
        "window_s": window_s,
        "launches": 60,
        "work": work,
        "rate_per_s": rate,
        "tokens_per_s": None if tokens is None else tokens / window_s,
        "temperature_start_c": 61.0,
        "temperature_end_c": 63.0,
        "temperature_max_c": 64.0,
        "sm_clock_mhz_mean": 1755.0,
        "mem_clock_mhz_mean": 2619.0,
        "throttle_s": 0.0,
        "steady": True,
        "verified": True,
        "valid": True,
    }
    proven = proof if changes["workload"] == "sha256d" else {}
    record = Record(**{**values, **energy, **proven, **_known(changes)})
    if record.peak_per_s and record.mfu is None:
        record = replace(record, mfu=record.rate_per_s / record.peak_per_s)
    return record


def _known(changes: dict[str, Any]) -> dict[str, Any]:
    unknown = set(changes) - set(storage.NAMES)
    assert not unknown, f"no such column: {unknown}"
    return changes


def invalid(record: Record, reason: str = "counter frozen for 3.0 s") -> Record:
    """The same window, flagged; its energy is gone, as a broken sensor leaves it."""
    gone = ("energy_j", "energy_uncertainty_j", "sensor_uncertainty_j", "power_mean_w", "work_per_j", "net_work_per_j")
    return replace(record, valid=False, invalid_reasons=reason, tokens_per_j=None, **dict.fromkeys(gone))


def run(
    card: Card = CARD_A,
    repeats: int = 5,
    *,
    rate_sd: float = 0.004,
    power_sd: float = 0.006,
    seed: int = 1,
    workloads: Iterable[Any] = (sha256d, gemm),
    **changes: Any,
) -> list[Record]:
    """A whole run of a card: each workload ``repeats`` times with log-normal noise on rate and watts."""
    random = np.random.default_rng(seed)

    def windows() -> Iterator[Record]:
        for repeat in range(1, repeats + 1):
            for make in workloads:
                rate, power = np.exp(random.normal(0.0, (rate_sd, power_sd))).tolist()
                yield make(card, repeat, factor=rate, power_factor=power, **changes)

    return list(windows())


def write(path: Path, records: Iterable[Record]) -> Path:
    """Records as a CSV at ``path``, without a sidecar."""
    path.write_text(storage.to_csv(records), encoding="utf-8")
    return path
