"""From the command line to joules in the CSV, through the real nvidia-ml-py and a fake NVML of known true joules."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import storage
from tests.fakes.nvml import build as fake
from tests.fakes.nvml.truth import Card, Curve, write_script
from tests.support.paths import ROOT

A, B = (f"GPU-00000000-0000-0000-0000-00000000000{x}" for x in "ab")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return fake.build(tmp_path_factory.mktemp("nvml"))


def run(library: Path, script: Path, out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ, LD_LIBRARY_PATH=str(library), FAKE_NVML_SCRIPT=str(script))
    environment.pop("FAKE_FAULT", None)
    command = [sys.executable, "-m", "tests.fakes.bitwatt", "run", "--device", "cpu", "--workload", "fake", "-q"]
    command += ["--out", str(out), "--smoke", "--warmup", "0.1", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120)


def rows(out: Path) -> list[dict[str, str]]:
    (path,) = out.glob("*.csv")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_joules_in_the_csv_are_the_true_joules(library, tmp_path):
    curve = Curve(points=((0.0, 80.0), (4.0, 220.0), (30.0, 260.0)), noise_w=5.0)
    origin = time.monotonic_ns()
    script = write_script(tmp_path / "script", origin, Card(B), Card(A, curve))
    out = tmp_path / "out"
    done = run(library, script, out, "--meter", f"nvml:{A}", "--window", "3")
    assert done.returncode == 0, done.stderr
    (row,) = rows(out)
    (note,) = storage.read_sidecar(next(out.glob("*.jsonl"))).windows
    true_j = curve.energy_j((note.window.start_ns - origin) / 1e9, (note.window.end_ns - origin) / 1e9)
    assert row["meter"] == "nvml"
    assert A in row["meter_id"]
    assert row["energy_scope"] == "gpu"
    # the reported half-width is of 95%: twice that is beyond chance, also where a busy machine delayed the polls
    assert float(row["energy_uncertainty_j"]) < 0.05 * true_j
    assert abs(float(row["energy_j"]) - true_j) <= 2 * float(row["energy_uncertainty_j"])
    assert float(row["work_per_j"]) == pytest.approx(float(row["work"]) / float(row["energy_j"]))
    assert float(row["idle_power_w"]) > 0
    assert float(row["power_limit_w"]) > 0
    assert row["valid"] == "true"


def test_an_index_is_nvmls_own_order(library, tmp_path):
    script = write_script(tmp_path / "script", time.monotonic_ns(), Card(B), Card(A))
    out = tmp_path / "out"
    done = run(library, script, out, "--meter", "nvml:0")
    assert done.returncode == 0, done.stderr
    assert B in rows(out)[0]["meter_id"]


# Seven seconds leave room for a slow start: the fault falls into the window as long as that begins before it.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("keys", "spans", "says"),
    [
        ({"lost_at": 7.0}, (), "lost"),
        ({"reset_at": 7.0}, (), "reset"),
        ({"frozen_at": 1.0, "no_power_field": 1, "no_usage": 1}, (), "frozen"),
    ],
)
def test_a_sensor_that_fails_gives_an_invalid_row_never_a_number(library, tmp_path, keys, spans, says):
    script = write_script(tmp_path / "script", time.monotonic_ns(), Card(A, keys=keys, spans=spans))
    out = tmp_path / "out"
    done = run(library, script, out, "--meter", "nvml:0", "--window", "7")
    assert done.returncode == 3, (done.stderr, done.stdout)
    assert "Traceback" not in done.stderr
    (row,) = rows(out)
    assert row["valid"] == "false"
    assert says in row["invalid_reasons"]
    assert (row["energy_j"], row["work_per_j"]) == ("", "")
    assert float(row["rate_per_s"]) > 0, "what was timed stands"


def test_a_card_that_is_not_there_is_one_sentence(library, tmp_path):
    script = write_script(tmp_path / "script", time.monotonic_ns(), Card(A))
    done = run(library, script, tmp_path / "out", "--meter", "nvml:5")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "To fix:" in done.stderr
    assert not (tmp_path / "out").exists()


def test_without_the_library_an_explicit_meter_is_refused_and_auto_goes_on(tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "LD_LIBRARY_PATH"}
    command = [sys.executable, "-m", "tests.fakes.bitwatt", "run", "--device", "cpu", "--workload", "fake", "--smoke"]
    explicit = subprocess.run(
        [*command, "--out", str(tmp_path / "a"), "--meter", "nvml"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    if explicit.returncode == 0:
        pytest.skip("this machine has a real NVML")
    assert explicit.returncode == 2
    assert "NVML" in explicit.stderr
    assert "Traceback" not in explicit.stderr


def test_zeus_is_laid_beside_on_request(library, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests" / "fakes" / "vendors"))
    card = Card(A, Curve(points=((0.0, 200.0),)), keys={"counter_period": 0.02})
    script = write_script(tmp_path / "script", time.monotonic_ns(), card)
    out = tmp_path / "out"
    done = run(library, script, out, "--meter", "nvml:0", "--zeus", "--window", "1")
    assert done.returncode == 0, done.stderr
    note, *_ = storage.read_sidecar(next(out.glob("*.jsonl"))).notes
    assert note.name == "zeus"
    assert note.data["zeus_j"] == pytest.approx(note.data["ours_j"], rel=0.1)
    assert "Zeus" in done.stderr


def test_zeus_without_a_card_is_one_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.fakes.bitwatt", "run", "--device", "cpu", "--workload", "fake", "--smoke",
         "--meter", "none", "--zeus", "--out", str(tmp_path)],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Zeus measures NVIDIA cards only" in done.stderr
