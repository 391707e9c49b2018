"""Runs are added to the collection with their evidence, and what they were measured on is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import storage
from bench.audit import collection, verify
from bench.model import BenchError, Record, Window
from tests.support import factory
from tests.support.paths import ROOT

CARDS = sorted((ROOT / "results" / "cards").glob("*.csv"))
NO_POWER = dict.fromkeys(
    [
        *("meter", "meter_id", "energy_j", "energy_method", "work_per_j", "net_work_per_j", "tokens_per_j"),
        *("power_mean_w", "power_p95_w", "idle_power_w", "power_limit_w", "default_power_limit_w"),
    ]
)


def run_of(run_id: str, **changes: Any) -> list[Record]:
    card = {"device_name": "A Xeon", "device_kind": "cpu", "host": None, "device_uuid": None, "driver": "Linux 6"}
    rows = factory.run(factory.CARD_A, 3)
    return [replace(row, **{**card, "run_id": run_id, **changes}) for row in rows]


def put(folder: Path, records: list[Record], name: str) -> Path:
    with storage.create(folder, name) as out:
        for record in records:
            out.append(record, window=Window(0, 1, 1, 1.0))
    return out.path


def test_two_runs_of_a_day_are_both_added_with_their_evidence(tmp_path: Path) -> None:
    files = [put(tmp_path, run_of(name, **NO_POWER, window_s=1.0), name) for name in "ab"]
    added = [collection.add(path, tmp_path / "results") for path in files]
    assert [path.name for path in added] == ["a-xeon-linux-6-20260101.csv", "a-xeon-linux-6-20260101-2.csv"]
    for path, copy in zip(files, added, strict=True):
        assert copy.read_bytes() == path.read_bytes()
        assert storage.sidecar_path(copy).read_bytes() == storage.sidecar_path(path).read_bytes()
    with pytest.raises(BenchError, match="in the collection already"):
        collection.add(files[0], tmp_path / "results")


def test_short_windows_are_for_devices_without_a_meter(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="shorter than 5 s"):
        collection.check(put(tmp_path, run_of("a", window_s=1.0), "a"))
    with pytest.raises(BenchError, match=r"shorter than 0\.9 s"):
        collection.check(put(tmp_path, run_of("b", **NO_POWER, window_s=0.5), "b"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "bare metal"),
        ({"hypervisor": "unknown", "steal_s": 0.0}, "virtual machine"),
        (
            {"hypervisor": "KVM", "container": "docker", "window_s": 1.0, "device_cores": 2, "steal_s": 0.1},
            "virtual machine (KVM), in docker, shared with other machines, which took 5.0% of its CPU time",
        ),
    ],
)
def test_what_it_ran_on_is_said(changes: dict[str, Any], says: str) -> None:
    assert collection.machine(run_of("a", **changes)) == says


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_every_committed_run_may_be_there_and_agrees_with_its_evidence(path: Path) -> None:
    name = collection.check(path).name.removesuffix(".csv")
    assert path.stem.startswith(name)
    assert not verify.verify([path]).findings
