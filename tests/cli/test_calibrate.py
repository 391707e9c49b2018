"""``bitwatt calibrate`` from the command line: a fake card that reads wrong, beside a wattmeter that reads right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.model import Sensor
from bench.power.calibration import calibrated
from tests.fakes.nvml import build as fake
from tests.fakes.nvml.truth import Card, Curve, write_script
from tests.support.paths import ROOT

UUID = "GPU-11111111-0000-0000-0000-000000000001"
GAIN, OFFSET_W = 1.05, 12.0
IDLE_W, LOAD_W = 80.0, 300.0
REFERENCE = f"command:{sys.executable} -m tests.fakes.wattmeter {IDLE_W} {LOAD_W}"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake.build(tmp_path_factory.mktemp("nvml"))


def calibrate(library: Path, folder: Path, *arguments: str, load_w: float = LOAD_W) -> subprocess.CompletedProcess[str]:
    load = folder / "load"
    keys = {"load": load, "load_w": load_w, "gain": GAIN, "offset": OFFSET_W, "sensor_noise": 1.0}
    card = Card(UUID, Curve(((0.0, IDLE_W),)), keys)
    script = write_script(folder / "script", time.monotonic_ns() - 5 * 10**9, card)
    environment = dict(os.environ, LD_LIBRARY_PATH=str(library), FAKE_NVML_SCRIPT=str(script), FAKE_LOAD=str(load))
    usual = {"--device": "cpu", "--workload": "fake", "--meter": "nvml:0", "--reference-meter": REFERENCE}
    options = [text for flag, value in usual.items() if flag not in arguments for text in (flag, value)]
    command = [sys.executable, "-m", "tests.fakes.bitwatt", "calibrate", *options, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=180)


@pytest.mark.slow
def test_gain_and_offset_are_recovered_within_the_stated_uncertainty(library: Path, tmp_path: Path) -> None:
    path = tmp_path / "calibration.toml"
    done = calibrate(library, tmp_path, "--seconds", "56", "-o", str(path), "--format", "json")
    assert done.returncode == 0, done.stderr
    (line,) = json.loads(done.stdout)
    assert abs(line["gain"] / GAIN - 1) <= 1.3 * line["gain_uncertainty"], line
    assert abs(line["offset_w"] - OFFSET_W) <= 1.3 * line["offset_uncertainty_w"], line
    assert line["gain_uncertainty"] < 0.05
    assert line["offset_uncertainty_w"] < 10
    known = calibrated(Sensor("nvml", "gpu", sensor_id=UUID, power_field="instant"), path)
    assert known.calibration_gain == pytest.approx(line["gain"], rel=1e-5)
    assert known.calibration_offset_w == pytest.approx(line["offset_w"], rel=1e-4)


@pytest.mark.slow
def test_one_power_level_is_refused(library: Path, tmp_path: Path) -> None:
    reference = f"command:{sys.executable} -m tests.fakes.wattmeter {IDLE_W} 0"
    done = calibrate(library, tmp_path, "--seconds", "48", "--reference-meter", reference, load_w=0)
    assert done.returncode == 2, done.stdout
    assert "the windows lie at 1 power level, and a line needs 3" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--seconds", "10"), "10 s are too short"),
        (("--reference-meter", "none"), "--reference-meter none reads no sensor"),
        (("--reference-meter", "assume:100"), "--reference-meter assume:100 reads no sensor"),
        (("--reference-meter", "nvml:0"), "both meters are the same sensor"),
        (("--meter", "none"), "--meter none reads no sensor"),
    ],
)
def test_wrong_use_is_one_sentence(arguments: tuple[str, ...], says: str, library: Path, tmp_path: Path) -> None:
    done = calibrate(library, tmp_path, *arguments)
    assert done.returncode == 2
    assert says in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
