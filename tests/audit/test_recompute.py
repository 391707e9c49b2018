"""A sidecar alone gives every energy figure of its CSV, to the last digit; and a changed cell is found."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import storage
from bench.audit.recompute import COLUMNS, recompute, to_csv
from bench.model import METHOD_VERSION, BenchError
from tests.fakes.nvml.build import build
from tests.fakes.nvml.truth import Card, Curve, write_script
from tests.support.paths import ROOT

UUID = "GPU-11111111-aaaa"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CSV of a run of two windows on the fake NVML, on a card that is throttled."""
    folder = tmp_path_factory.mktemp("recompute")
    curve = Curve(((0.0, 80.0), (5.0, 300.0), (60.0, 400.0)), noise_w=7.0)
    keys = {"temperature": 50, "temperature_slope": 0.5, "period": 0.03, "counter_period": 0.02}
    spans = (("throttle", (0.0, 60.0, 0x40)),)
    script = write_script(folder / "script", time.monotonic_ns(), Card(UUID, curve, keys, spans))
    build(folder)
    environment = dict(os.environ, LD_LIBRARY_PATH=str(folder), FAKE_NVML_SCRIPT=str(script))
    environment.pop("FAKE_FAULT", None)
    command = [sys.executable, "-m", "tests.fakes.bitwatt", "run", "--device", "cpu", "--workload", "fake", "-q"]
    command += ["--out", str(folder / "out"), "--smoke", "--warmup", "0.1", "--meter", "nvml", "--repeats", "2"]
    subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120, check=False)
    (path,) = (folder / "out").glob("*.csv")
    return path


def copied(result: Path, folder: Path) -> Path:
    for path in (result, storage.sidecar_path(result)):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder / result.name


@pytest.mark.parametrize("given", ["csv", "sidecar"])
def test_every_figure_agrees_to_the_last_digit(result: Path, given: str) -> None:
    found = recompute(result if given == "csv" else storage.sidecar_path(result))
    assert found.csv == result
    assert found.differences == ()
    assert len(found.rows) == len(storage.read_records(result)) == 2
    for row in found.rows:
        assert row.columns["energy_j"]
        assert row.columns["energy_uncertainty_j"]
        assert row.columns["idle_power_w"]
    assert found.rows[-1].invalid_reasons


def test_the_csv_is_not_needed(result: Path, tmp_path: Path) -> None:
    path = copied(result, tmp_path)
    path.unlink()
    found = recompute(storage.sidecar_path(path))
    assert found.csv is None
    assert found.rows == recompute(result).rows


@pytest.mark.parametrize("column", ["energy_j", "power_p95_w", "idle_power_w", "work_per_j", "throttle_s"])
def test_a_changed_digit_is_found(column: str, result: Path, tmp_path: Path) -> None:
    path = copied(result, tmp_path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[0][column] = repr(float(rows[0][column]) * (1 + 4e-16) + 1e-300)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    (difference,) = recompute(path).differences
    assert (difference.line, difference.column) == (2, column)
    assert f"line 2: {column} is" in str(difference)


def test_a_row_without_evidence_is_found(result: Path, tmp_path: Path) -> None:
    path = copied(result, tmp_path)
    sidecar = storage.sidecar_path(path)
    lines = sidecar.read_text().splitlines(keepends=True)
    windows = [number for number, line in enumerate(lines) if '"kind":"window"' in line]
    del lines[windows[-1]]
    sidecar.write_text("".join(lines))
    assert [(d.line, d.column, d.recomputed) for d in recompute(path).differences] == [(3, "energy_j", None)]


def test_as_csv(result: Path) -> None:
    lines = list(csv.reader(to_csv(recompute(result).rows).splitlines()))
    assert lines[0] == ["row", *COLUMNS]
    assert [line[0] for line in lines[1:]] == ["1", "2"]


def test_without_a_sidecar(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="there is no file"):
        recompute(tmp_path / "x.csv")


def test_rows_of_another_method_are_refused_by_name(result: Path, tmp_path: Path) -> None:
    sidecar = storage.sidecar_path(result).read_text(encoding="utf-8")
    mine = f'"method_version":"{METHOD_VERSION}"'
    assert mine in sidecar
    other = storage.sidecar_path(tmp_path / "old.csv")
    other.write_text(sidecar.replace(mine, '"method_version":"1"'), encoding="utf-8")
    with pytest.raises(BenchError, match="measured by method 1, this version recomputes method"):
        recompute(other)
