"""The public traces of cards beside a power module, measured by this project's method."""

from __future__ import annotations

import os
import statistics
from pathlib import Path

import pytest

from tests.support import public_traces
from tests.support.public_traces import Row, evaluate, extract, traces

ORIGINALS = "BITWATT_PUBLIC_TRACES"
"""``plotting/data`` of a checkout of github.com/JimZeyuYang/GPU_Power_Benchmark."""


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str], Row]:
    return {(trace.name, trace.field): evaluate(trace) for trace in traces()}


def test_raw_joules_lie_within_the_card_tables_uncertainty(rows: dict[tuple[str, str], Row]) -> None:
    for row in rows.values():
        assert row.raw_held >= 0.85, row.trace.name
        assert len(row.errors) >= 15


def test_gain_and_offset_leave_little(rows: dict[tuple[str, str], Row]) -> None:
    """Instant readings, once calibrated, within half a per cent; raw, several per cent off."""
    for (name, _), row in rows.items():
        if row.trace.sensor.averaging_s is None and name != "A100":
            assert statistics.median(map(abs, row.errors)) < 0.005
            assert statistics.median(map(abs, row.raw_errors)) > 0.02


def test_pulses_in_step_with_the_sensor_are_known_to_be_unknown(rows: dict[tuple[str, str], Row]) -> None:
    """An A100 reads every 104 ms: the mean of pulses near that is several per cent off even once calibrated."""
    row = rows["A100", "usage"]
    assert statistics.median(map(abs, row.errors)) > 0.02
    assert row.held >= 0.95


def test_readings_were_hardly_late(rows: dict[tuple[str, str], Row]) -> None:
    assert all(-0.01 <= row.fit.delay_s <= 0.06 for row in rows.values())


@pytest.mark.skipif(ORIGINALS not in os.environ, reason=f"{ORIGINALS} does not name the original traces")
def test_the_extract_follows_from_the_originals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    committed = public_traces.EXTRACT.read_bytes()
    monkeypatch.setattr(public_traces, "EXTRACT", tmp_path / "again.json.gz")
    extract(Path(os.environ[ORIGINALS]))
    assert public_traces.EXTRACT.read_bytes() == committed
