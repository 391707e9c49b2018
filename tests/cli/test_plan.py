"""``--plan`` and ``--again``: a run from a file, and the same run once more."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

from bench import storage
from tests.support.paths import ROOT


def bitwatt(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FAKE_")}
    command = [sys.executable, "-m", "tests.fakes.bitwatt", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120)


def written(folder: Path) -> tuple[Path, list[dict[str, str]]]:
    (path,) = folder.glob("*.csv")
    with path.open(newline="") as file:
        return path, list(csv.DictReader(file))


def test_a_plan_file_is_run_and_the_command_line_overrides_it(tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text(
        '[selection]\ndevice = "cpu"\nworkload = ["fake"]\n[transformer]\nshape = ["one", "two"]\n'
        "[timing]\nwindow_s = 0.15\nwarmup_s = 0.1\nquick = true\nrepeats = 2\n"
    )
    done = bitwatt("run", "--plan", plan, "--repeats", 1, "--out", tmp_path / "a")
    assert done.returncode == 0, done.stderr
    path, rows = written(tmp_path / "a")
    assert [row["shape"] for row in rows] == ["one", "two"]
    sidecar = storage.read_sidecar(storage.sidecar_path(path))
    assert sidecar.plan["timing"] == {"window_s": 0.15, "warmup_s": 0.1, "quick": True, "repeats": 1}

    again = bitwatt("run", "--again", path, "--out", tmp_path / "b")
    assert again.returncode == 0, again.stderr
    same, rows_again = written(tmp_path / "b")
    constant = ("workload", "shape", "mode", "repeat", "implementation", "device_choice")
    assert [[row[name] for name in constant] for row in rows_again] == [[row[n] for n in constant] for row in rows]
    recorded = storage.read_sidecar(storage.sidecar_path(same)).plan
    assert {**recorded, "output": None} == {**sidecar.plan, "output": None}


def test_again_without_a_recorded_plan_is_one_sentence(tmp_path):
    done = bitwatt("run", "--again", tmp_path / "none.csv")
    assert done.returncode == 2
    assert "none" in done.stderr
    assert "Traceback" not in done.stderr


def test_both_at_once_are_wrong_use(tmp_path):
    done = bitwatt("run", "--again", tmp_path / "a.csv", "--plan", tmp_path / "b.toml")
    assert done.returncode == 2
    assert "exclude each other" in done.stderr


def test_the_flags_of_earlier_versions_still_work(tmp_path):
    done = bitwatt(
        *("run", "--device", "cpu", "--workload", "fake", "--window", 0.15, "--warmup", 0, "--quick"),
        *("--out", tmp_path, "--csv", "-"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("schema_version,")
