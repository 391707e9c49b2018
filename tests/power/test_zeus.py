"""Zeus and bitwatt on one window (a stand-in for Zeus, on the fake NVML library)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.model import BenchError, Device, Sensor, Window
from bench.power import open_meter
from bench.power.energy import measure
from bench.power.zeus import ZeusMeter
from tests.fakes.nvml.build import build
from tests.fakes.nvml.truth import Card, Curve, write_script
from tests.support.paths import VENDORS

CPU = Device("cpu", 0, "a CPU")
UUID, OTHER = "GPU-11111111-aaaa", "GPU-22222222-bbbb"


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(build(tmp_path)))
    cards = (Card(OTHER, Curve(((0.0, 50.0),))), Card(UUID, Curve(((0.0, 400.0),)), {"counter_period": 0.02}))
    monkeypatch.setenv("FAKE_NVML_SCRIPT", str(write_script(tmp_path / "script", time.monotonic_ns(), *cards)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")


@pytest.fixture
def vendors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(VENDORS))


@pytest.mark.usefixtures("cards", "vendors")
def test_both_agree_on_one_window() -> None:
    meter = open_meter(f"nvml:{UUID}", CPU)
    meter.start()
    with ZeusMeter(meter.sensor) as zeus:
        zeus.begin()
        start = time.monotonic_ns()
        time.sleep(1.0)
        window = Window(start, time.monotonic_ns(), launches=1, work=1.0)
        zeus_j = zeus.end()
    ours = measure(meter.samples(window.start_ns, window.end_ns), window, meter.sensor)
    meter.close()
    assert ours.joules == pytest.approx(400 * window.seconds, rel=0.05)
    assert zeus_j == pytest.approx(ours.joules, rel=0.1)


def sensor(source: str, sensor_id: str | None) -> Sensor:
    return Sensor(source=source, scope="gpu", sensor_id=sensor_id)


@pytest.mark.usefixtures("cards", "vendors")
def test_a_card_that_is_not_there() -> None:
    with pytest.raises(BenchError, match="does not start"):
        ZeusMeter(sensor("nvml", "GPU-33"))


@pytest.mark.parametrize("open_one", [lambda: sensor("rapl", "package-0"), lambda: sensor("nvml", None)])
def test_another_source(open_one: Callable[[], Sensor]) -> None:
    with pytest.raises(BenchError, match="measures NVIDIA cards only"):
        ZeusMeter(open_one())
