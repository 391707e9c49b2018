"""``bitwatt sweep`` and ``recompute`` from the command line, over the fake NVML."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fakes.nvml import build as fake
from tests.fakes.nvml.truth import Card, Curve, write_script
from tests.support.paths import ROOT

UUID = "GPU-00000000-0000-0000-0000-00000000000a"
FAST = ["--device", "cpu", "--meter", "nvml:0", "--workload", "fake", "--shape", "one", "--quick", "--warmup", "0.1"]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return fake.build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def card(tmp_path):
    """A script of one card whose limit lives in a file; returns the script and that file."""
    state = tmp_path / "limit_mw"
    keys = {"limit_w": 300.0, "default_w": 300.0, "min_w": 100.0, "max_w": 320.0, "state": state}
    curve = Curve(points=((0.0, 150.0),))
    return write_script(tmp_path / "script", time.monotonic_ns(), Card(UUID, curve, keys=keys)), state


def start(library: Path, script: Path, *arguments: object) -> subprocess.Popen[str]:
    environment = dict(os.environ, LD_LIBRARY_PATH=str(library), FAKE_NVML_SCRIPT=str(script))
    environment.pop("FAKE_FAULT", None)
    command = [sys.executable, "-m", "tests.fakes.bitwatt", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    )


def limits(state: Path) -> list[str]:
    """Every limit that was set, oldest first, in watts."""
    return state.read_text().split() if state.exists() else []


def rows(out: Path) -> list[dict[str, str]]:
    (path,) = out.glob("*.csv")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_dry_run_prints_the_commands_and_changes_nothing(library, card, tmp_path):
    script, state = card
    process = start(library, script, "sweep", *FAST, "--power-limits", "200,300", "--dry-run", "--out", tmp_path / "o")
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    # the last command puts the old limit back
    assert [line.split()[-1] for line in stdout.splitlines()] == ["300", "200", "300"]
    assert all(line.startswith(f"nvidia-smi -i {UUID} -pl ") for line in stdout.splitlines())
    assert not state.exists()
    assert not (tmp_path / "o").exists()


@pytest.mark.slow
def test_a_sweep_measures_at_each_limit_and_puts_the_old_one_back(library, card, tmp_path):
    script, state = card
    out = tmp_path / "o"
    process = start(
        library, script, "sweep", *FAST, "--window", "0.5", "--power-limits", "200,250,300", "--out", out, "-q"
    )
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert [float(row["power_limit_w"]) for row in rows(out)] == [300.0, 250.0, 200.0]
    assert "no limit is called the best" in stderr, "one window per limit has no interval"
    assert limits(state)[-1] == "300.000"
    again = start(library, script, "recompute", out)
    told, stderr = again.communicate(timeout=60)
    assert again.returncode == 0, told
    assert "3 windows, 0 differences" in stderr


@pytest.mark.slow
def test_an_edited_joule_is_found_by_recompute(library, card, tmp_path):
    script, _ = card
    out = tmp_path / "o"
    process = start(library, script, "run", *FAST, "--window", "0.5", "--out", out, "-q")
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    (row,) = rows(out)
    (path,) = out.glob("*.csv")
    path.write_text(path.read_text().replace(row["energy_j"], repr(float(row["energy_j"]) * 0.9)))
    process = start(library, script, "recompute", path)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "line 2: energy_j" in stdout


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_limit_is_back_after_a_kill(library, card, tmp_path, number):
    script, state = card
    arguments = ["--window", "30", "--power-limits", "200,180", "--out", tmp_path / "o"]
    process = start(library, script, "sweep", *FAST, *arguments)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and "200.000" not in limits(state):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(number)
    process.communicate(timeout=30)
    while time.monotonic() < deadline and limits(state)[-1] != "300.000":
        time.sleep(0.02)
    assert limits(state)[-1] == "300.000"


def test_a_limit_out_of_range_is_one_sentence(library, card, tmp_path):
    script, state = card
    process = start(library, script, "sweep", *FAST, "--power-limits", "50", "--out", tmp_path / "o")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "To fix:" in stderr
    assert "Traceback" not in stderr
    assert not state.exists()
