"""What NVML's failures advise under Windows' Subsystem for Linux, and that they do not advise it elsewhere."""

from __future__ import annotations

from pathlib import Path

import pynvml
import pytest

from bench.doctor import nvidia
from bench.model import BenchError
from bench.power import nvml, wsl

RELEASES = {"wsl": "5.15.167.4-microsoft-standard-WSL2\n", "linux": "6.1.0-28-amd64\n"}


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    monkeypatch.setattr(wsl, "RELEASE", tmp_path / "osrelease")
    monkeypatch.setattr(wsl, "DEVICE_FILE", tmp_path / "dxg")
    for name in ("DEVICE_FILE", "DRIVER_FILE"):
        monkeypatch.setattr(nvidia, name, tmp_path / "absent")
    if request.param != "no /proc":
        (tmp_path / "osrelease").write_text(RELEASES[request.param])
    (tmp_path / "dxg").touch()
    return str(request.param)


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    monkeypatch.setattr(pynvml, "nvmlInitWithFlags", fail)


@pytest.mark.usefixtures("no_library")
@pytest.mark.parametrize("kernel", ["wsl", "linux", "no /proc"], indirect=True)
def test_a_driver_that_does_not_start(kernel: str) -> None:
    with pytest.raises(BenchError, match="NVML does not start") as error:
        nvml.initialise()
    assert ("in Windows" in error.value.fix) == (kernel == "wsl")
    assert "--meter none" in error.value.fix


@pytest.mark.parametrize("kernel", ["wsl", "linux"], indirect=True)
def test_a_card_without_power(kernel: str) -> None:
    assert ("in Windows" in wsl.no_power()) == (kernel == "wsl")


@pytest.mark.usefixtures("no_library")
@pytest.mark.parametrize("kernel", ["wsl", "linux"], indirect=True)
def test_doctor_does_not_take_a_lent_gpu_for_a_machine_without_one(kernel: str) -> None:
    driver = next(nvidia.checks())
    assert driver.state == ("failed" if kernel == "wsl" else "skipped")
