"""``bitwatt sensor`` from the command line: nvidia-ml-py on a fake NVML whose card draws more while the job works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.data import cards
from bench.data.cards import SensorFamily, matching
from bench.data.toml_file import read_toml
from bench.model import BenchError, Sensor
from bench.power.calibration import calibrated
from tests.fakes.nvml import build as fake
from tests.fakes.nvml.truth import Card, Curve, write_script
from tests.support.paths import ROOT

UUID = "GPU-11111111-0000-0000-0000-000000000001"
NAME = "NVIDIA H100 80GB HBM3"
TRUE = {"period": 0.1013, "aperture": 0.025, "delay": 0.04, "counter_delay": 0.03, "counter_period": 0.05}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake.build(tmp_path_factory.mktemp("nvml"))


def sensor(
    library: Path, folder: Path, *arguments: str, load_w: float = 300, **keys: float
) -> subprocess.CompletedProcess[str]:
    load = folder / "load"
    card = Card(
        UUID, Curve(((0.0, 80.0),), noise_w=3.0), {"name": NAME, "load": load, "load_w": load_w, **TRUE, **keys}
    )
    script = write_script(folder / "script", time.monotonic_ns() - 5 * 10**9, card)
    environment = dict(os.environ, LD_LIBRARY_PATH=str(library), FAKE_NVML_SCRIPT=str(script), FAKE_LOAD=str(load))
    usual = {"--device": "cpu", "--workload": "fake", "--meter": "nvml:0"}
    options = [text for flag, value in usual.items() if flag not in arguments for text in (flag, value)]
    command = [sys.executable, "-m", "tests.fakes.bitwatt", "sensor", *options, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120)


@pytest.mark.slow
def test_what_it_finds_and_the_file_that_it_writes(library: Path, tmp_path: Path) -> None:
    path = tmp_path / "sensor.toml"
    done = sensor(library, tmp_path, "--seconds", "20", "-o", str(path), "--format", "json")
    assert done.returncode == 0, done.stderr
    found = {row["property"]: row for row in json.loads(done.stdout)}
    for name, value in {
        "update_period_s": TRUE["period"],
        "duty": TRUE["aperture"] / TRUE["period"],
        "delay_s": TRUE["delay"],
        "counter_period_s": TRUE["counter_period"],
        "counter_delay_s": TRUE["counter_delay"],
    }.items():
        # the fake's work ends a little after its file says so: 4 ms more than the half-width
        assert abs(found[name]["value"] - value) <= 2 * found[name]["half_width"] + 0.004, (name, found[name])
    opened = Sensor("nvml", "gpu", sensor_id=UUID, power_field="instant", power_period_s=0.1, duty=0.5, counter=True)
    known = calibrated(opened, path)
    assert known.duty == pytest.approx(found["duty"]["value"], rel=1e-4)
    assert known.delay_s == pytest.approx(found["delay_s"]["value"], rel=1e-4)
    assert known.counter_delay_s == pytest.approx(found["counter_delay_s"]["value"], rel=1e-4)
    assert (known.averaging_s, known.calibration_gain, known.calibration_offset_w) == (None, 1.0, 0.0)
    (entry,) = read_toml(path, "file", "")["sensor"]
    family = SensorFamily(**entry)
    assert matching([family, cards.sensor("another card")], NAME) is family
    assert matching([family, cards.sensor("another card")], "NVIDIA H100 PCIe") is not family


@pytest.mark.slow
def test_work_that_draws_nothing_is_refused(library: Path, tmp_path: Path) -> None:
    done = sensor(library, tmp_path, "--seconds", "15", load_w=0)
    assert done.returncode == 2, done.stdout
    assert "the load moves the reading by" in done.stderr
    assert "To fix:" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--seconds", "3"), "too short to examine a sensor"),
        (("--meter", "none"), "no power sensor to examine"),
        (("--meter", "assume:100"), "no power sensor to examine"),
        (("--workload", "nothing"), "no workload named"),
        (("--device", "cuda:7"), "there is no device cuda:7"),
    ],
)
def test_wrong_use_is_one_sentence(arguments: tuple[str, ...], says: str, library: Path, tmp_path: Path) -> None:
    done = sensor(library, tmp_path, *arguments)
    assert done.returncode == 2
    assert says in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[sensor]]\nduty = 1.5\npower_field = "instant"', "duty must be within"),
        ("[[sensor]]\ndelay_s = -1", "delay_s must be within"),
        ('[[sensor]]\nduty = "half"', "duty must be a number"),
        ('[[sensor]]\npower_field = "usage"\nduty = 0.5', "about the reading usage"),
        ("[[sensor]]\nduty = 0.5\n[[sensor]]\nduty = 0.5", r"one \[\[sensor\]\] table"),
        ("[[sensor]]\ndutyy = 0.5", "unknown key 'dutyy'"),
        ('[[sensor]]\nname = "another card"\nduty = 0.5', "is about another card, not this card"),
        ("sensor = 3", r"one \[\[sensor\]\] table"),
    ],
)
def test_a_wrong_sensor_file_is_refused(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "sensor.toml"
    path.write_text(text)
    with pytest.raises(BenchError, match=says):
        calibrated(Sensor("nvml", "gpu", power_field="instant", name="this card"), path)


def test_gain_and_timing_may_stand_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "sensor.toml"
    path.write_text("gain = 1.02\noffset_w = -3\n[[sensor]]\nduty = 0.25\naveraging_s = 0\n")
    known = calibrated(Sensor("nvml", "gpu", power_field="usage", averaging_s=1.0), path)
    assert (known.calibration_gain, known.calibration_offset_w, known.duty, known.averaging_s) == (1.02, -3, 0.25, None)
