"""Jetson's power monitors in a sysfs tree of the test's own."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bench.model import BenchError, Device
from bench.power import jetson, open_meter

JETSON = Device("cuda", 0, "Orin")


def hwmon(root: Path, address: str, *rails: tuple[str, int, int]) -> Path:
    """A monitor as JetPack 5 and 6 show it: (name, mV, mA) of each rail, and the driver's own sum channel."""
    folder = root / "ina3221" / address / "hwmon" / f"hwmon{address[-1]}"
    folder.mkdir(parents=True)
    for number, (name, voltage_mv, current_ma) in enumerate(rails, 1):
        (folder / f"in{number}_label").write_text(f"{name}\n")
        (folder / f"in{number}_input").write_text(f"{voltage_mv}\n")
        (folder / f"curr{number}_input").write_text(f"{current_ma}\n")
    (folder / "in7_label").write_text("sum of shunt voltages\n")
    (folder / "in7_input").write_text("99\n")
    return folder


def iio(root: Path, address: str, *rails: tuple[str, int]) -> None:
    """A monitor as JetPack 4 shows it: (name, mW) of each rail."""
    folder = root / "ina3221x" / address / f"iio:device{address[-1]}"
    folder.mkdir(parents=True)
    for number, (name, power_mw) in enumerate(rails):
        (folder / f"rail_name_{number}").write_text(f"{name}\n")
        (folder / f"in_power{number}_input").write_text(f"{power_mw}\n")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jetson, "PROBE_S", 0.02)


def test_an_input_rail_is_the_whole_module(tmp_path: Path) -> None:
    hwmon(tmp_path, "1-0040", ("VDD_IN", 19_000, 1_000), ("VDD_CPU_GPU_CV", 19_000, 400), ("VDD_SOC", 19_000, 200))
    reader = jetson.open_reader(str(tmp_path))
    sample = reader.read()
    assert sample.power_w == pytest.approx(19.0)
    assert (reader.sensor.scope, reader.sensor.sensor_id, reader.sensor.counter) == ("module", "VDD_IN", False)


def test_without_an_input_rail_the_known_rails_are_summed_and_no_part_counts_twice(tmp_path: Path) -> None:
    hwmon(tmp_path, "1-0040", ("VDD_GPU_SOC", 19_000, 1_000), ("VDD_CPU_CV", 19_000, 500), ("VIN_SYS_5V0", 5_000, 800))
    hwmon(tmp_path, "1-0041", ("VDDQ_VDD2_1V8AO", 5_000, 300))
    assert jetson.open_reader(str(tmp_path)).read().power_w == pytest.approx(19.0 + 9.5 + 4.0)


def test_older_kernels_show_milliwatts(tmp_path: Path) -> None:
    iio(tmp_path, "6-0040", ("POM_5V_IN", 4_321), ("POM_5V_GPU", 1_000), ("POM_5V_CPU", 900))
    assert jetson.open_reader(str(tmp_path)).read().power_w == pytest.approx(4.321)


def test_two_monitors_of_six_rails(tmp_path: Path) -> None:
    iio(tmp_path, "1-0040", ("GPU", 5_000), ("CPU", 2_000), ("SOC", 1_000))
    iio(tmp_path, "1-0041", ("CV", 100), ("VDDRQ", 700), ("SYS5V", 2_200))
    assert jetson.open_reader(str(tmp_path)).read().power_w == pytest.approx(11.0)


def test_what_is_not_a_known_module_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no INA3221 power monitor"):
        jetson.open_reader(str(tmp_path))
    hwmon(tmp_path, "1-0040", ("GPU", 5_000, 10), ("CPU", 5_000, 10))
    with pytest.raises(BenchError, match="which of the rails CPU, GPU make up the module"):
        jetson.open_reader(str(tmp_path))


def test_a_failed_read_is_missing_and_never_0_watts(tmp_path: Path) -> None:
    folder = hwmon(tmp_path, "1-0040", ("VDD_IN", 19_000, 1_000))
    reader = jetson.open_reader(str(tmp_path))
    (folder / "curr1_input").write_text("0\n")
    assert (reader.read().power_w, reader.read().missing) == (None, True)
    (folder / "curr1_input").unlink()
    sample = reader.read()
    assert (sample.power_w, sample.missing) == (None, True)
    assert "power monitor failed" in (sample.error or "")


def test_the_update_period_is_probed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jetson, "PROBE_S", 0.6)
    begun_s = time.monotonic()
    rail = jetson.Rail("VDD_IN", lambda: 10.0 + int((time.monotonic() - begun_s) / 0.05))
    reader = jetson.JetsonReader({"VDD_IN": rail})
    assert reader.sensor.power_period_s == pytest.approx(0.05, abs=0.02)


def test_auto_takes_the_module_on_a_jetson_and_nvml_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(jetson.ROOT_VARIABLE, str(tmp_path))
    assert "NVML" in (open_meter("auto", JETSON).sensor.reason or "")
    hwmon(tmp_path, "1-0040", ("VDD_IN", 19_000, 1_000))
    meter = open_meter("auto", JETSON)
    try:
        assert (meter.sensor.source, meter.sensor.sensor_id) == ("jetson", "VDD_IN")
        meter.start()
        latest = meter.latest()
        assert latest is not None
        assert latest.power_w == pytest.approx(19.0)
    finally:
        meter.close()
