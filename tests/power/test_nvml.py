"""The real nvidia-ml-py on the fake libnvidia-ml.so.1, in the sampler's own process, in real time."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bench.model import BenchError, Device, Energy, Meter, Sample, Window
from bench.power import open_meter, probe
from bench.power.energy import measure
from tests.fakes.nvml.build import build
from tests.fakes.nvml.truth import Card, Curve, write_script
from tests.fakes.sensor import FakeSensor
from tests.support.paths import ROOT

UUID = "GPU-11111111-0000-0000-0000-000000000001"
OTHER = "GPU-22222222-0000-0000-0000-000000000002"
CPU = Device("cpu", 0, "a CPU")
CUDA = Device("cuda", 0, "a card", uuid=UUID)
PART_TIME = {"name": "NVIDIA H100 80GB HBM3", "aperture": 0.025}

Fake = Callable[..., int]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def fake(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Write a script of cards; new processes find the fake library. Returns time zero in monotonic ns."""

    def script(*cards: Card, origin_ns: int | None = None) -> int:
        origin = time.monotonic_ns() if origin_ns is None else origin_ns
        monkeypatch.setenv("LD_LIBRARY_PATH", str(library))
        monkeypatch.setenv("FAKE_NVML_SCRIPT", str(write_script(tmp_path / "nvml.script", origin, *cards)))
        return origin

    return script


@pytest.fixture
def opened() -> Iterator[Callable[..., Meter]]:
    meters: list[Meter] = []

    def opener(spec: str, device: Device = CUDA, **options: Any) -> Meter:
        meters.append(open_meter(spec, device, **options))
        return meters[-1]

    yield opener
    for meter in meters:
        meter.close()


CURVES = {
    "constant": Curve(((0.0, 300.0),)),
    "step": Curve(((0.0, 150.0), (2.5, 150.0), (2.5, 450.0))),
    "ramp": Curve(((0.0, 100.0), (6.0, 600.0))),
    "noisy": Curve(((0.0, 300.0),), noise_w=40.0, noise_cell=0.004),
}
FAULTS: dict[str, tuple[dict[str, float], tuple[tuple[str, tuple[float, ...]], ...], str]] = {
    "frozen": ({"frozen_at": 0.6, "no_power_field": 1, "no_usage": 1}, (), "frozen"),
    "lost": ({"lost_at": 1.0}, (), "device lost: GPU is lost"),
    "reset": ({"reset_at": 1.0}, (), "backward"),
    "failed read": ({"no_counter": 1}, (("fail", (1.0, 1.3)),), "reads failed"),
    "throttled": ({}, (("throttle", (1.0, 1.1, 0x40)),), "hw_thermal"),
}
"""Times are seconds into the window."""
# without the counter among the field values, power and counter are read by two calls
CONDITIONS = {"no_energy_field": 1, "temperature": 60, "temperature_slope": 5, "sm_mhz": 1755, "mem_mhz": 2619}
TWIN = Curve(((0.0, 200.0), (2.0, 400.0)), noise_w=30.0, square_period=0.3, square_high=120.0, square_phase=0.1)
TWIN_KEYS: dict[str, Any] = {
    "period": 0.08,
    "phase": 0.013,
    "aperture": 0.02,
    "gain": 1.03,
    "offset": -7.0,
    "counter_period": 0.05,
    "counter_phase": 0.007,
    "sensor_noise": 3.0,
    "resolution": 0.5,
    "averaging": 0.4,
}


@dataclass(frozen=True)
class Seen:
    """One card's window: its start and end in the script's seconds, its energy, its samples, and time zero in ns."""

    start: float
    end: float
    energy: Energy
    samples: tuple[Sample, ...]
    origin_ns: int


@pytest.fixture(scope="module")
def windows(library: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """Every load and every fault measured at once, each on a card and under a sampler of its own."""
    folder = tmp_path_factory.mktemp("script")
    arm = {"arm": folder / "arm"}
    cards = {name: Card(f"GPU-load-{name}", curve, PART_TIME) for name, curve in CURVES.items()}
    for name, (keys, spans, _) in FAULTS.items():
        cards[name] = Card(f"GPU-fault-{name.replace(' ', '-')}", keys={**PART_TIME, **keys, **arm}, spans=spans)
    cards["conditions"] = Card("GPU-conditions", keys=CONDITIONS)
    cards["instant"] = Card("GPU-twin-instant", TWIN, TWIN_KEYS)
    cards["average"] = Card("GPU-twin-average", TWIN, {**TWIN_KEYS, "usage_averages": 1, "no_power_field": 1})
    origin = time.monotonic_ns() + 10**9 // 2
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(len(cards)) as pool:
        patch.setenv("LD_LIBRARY_PATH", str(library))
        patch.setenv("FAKE_NVML_SCRIPT", str(write_script(folder / "nvml.script", origin, *cards.values())))
        uuids = [card.uuid for card in cards.values()]
        meters = list(pool.map(lambda uuid: open_meter("auto", replace(CUDA, uuid=uuid)), uuids))
        for meter in meters:
            meter.start()
        time.sleep(max(0.5, 1.5 - (time.monotonic_ns() - origin) / 1e9))
        start = time.monotonic_ns()
        (folder / "arm").write_text(repr((start - origin) / 1e9))
        time.sleep(2.0)
        window = Window(start, time.monotonic_ns(), launches=1, work=1.0)
        results = {}
        for name, meter in zip(cards, meters, strict=True):
            samples = meter.samples(window.start_ns, window.end_ns)
            energy = measure(samples, window, meter.sensor)
            at = [(t_ns - origin) / 1e9 for t_ns in (window.start_ns, window.end_ns)]
            results[name] = Seen(at[0], at[1], energy, samples, origin)
            meter.close()
    return results


WIDEST = {"ramp": 0.3, "step": 0.4}
"""A ramp within a window of 2 s cannot be distinguished from half a beat."""


@pytest.mark.parametrize("load", CURVES)
def test_joules_agree_with_the_truth(load: str, windows: dict[str, Seen]) -> None:
    seen = windows[load]
    energy = seen.energy
    true_j = CURVES[load].energy_j(seen.start, seen.end)
    assert energy.invalid_reasons == ()
    assert energy.method == "counter"
    assert energy.joules is not None
    assert energy.uncertainty_j is not None
    assert abs(energy.joules - true_j) < max(0.02 * true_j, 1.5 * energy.uncertainty_j)
    assert energy.uncertainty_j < WIDEST.get(load, 0.2) * true_j
    assert energy.sample_count is not None
    assert energy.sample_count >= 20


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_come_out_as_reasons(fault: str, windows: dict[str, Seen]) -> None:
    energy = windows[fault].energy
    assert any(FAULTS[fault][2] in reason for reason in energy.invalid_reasons), energy
    assert (energy.joules is None) == (fault != "throttled")


def test_a_cpu_workload_under_a_card_named_by_index_or_uuid(fake: Fake, opened: Callable[..., Meter]) -> None:
    fake(Card(OTHER, Curve(((0.0, 50.0),))), Card(UUID, Curve(((0.0, 400.0),))))
    for spec, uuid, watts in (("nvml:0", OTHER, 50), (f"nvml:{UUID}", UUID, 400), ("nvml:11111111", UUID, 400)):
        meter = opened(spec, CPU)
        meter.start()
        assert meter.sensor.sensor_id == uuid
        latest = meter.latest()
        assert latest is not None
        assert latest.power_w == pytest.approx(watts, rel=0.01)
        meter.close()


def test_cuda_order_differs_from_nvml_order(fake: Fake, opened: Callable[..., Meter]) -> None:
    fake(Card(OTHER, keys={"bus_id": "00000000:01:00.0"}), Card(UUID, keys={"bus_id": "00000000:02:00.0"}))
    assert opened("auto", CUDA).sensor.sensor_id == UUID
    assert opened("nvml", replace(CUDA, uuid=UUID.removeprefix("GPU-"))).sensor.sensor_id == UUID
    by_bus = replace(CUDA, uuid=None, pci_bus_id="00000000:02:00.0")
    assert opened("nvml", by_bus).sensor.sensor_id == UUID
    with pytest.raises(BenchError, match="matches no NVML card"):
        opened("nvml", replace(CUDA, uuid="GPU-33333333"))
    with pytest.raises(BenchError, match="without UUID"):
        opened("nvml", replace(CUDA, uuid=None))
    assert "matches no" in (opened("auto", replace(CUDA, uuid="GPU-33333333")).sensor.reason or "")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"mig": 1}, "MIG"),
        ({"denied": 1}, "Insufficient Permissions"),
        ({"no_power_field": 1, "no_usage": 1, "no_counter": 1}, "Not Supported"),
        ({"lost_at": 0.0}, "GPU is lost"),
    ],
    ids=["mig", "permission", "unsupported", "lost"],
)
def test_no_power_is_a_reason_under_auto_and_an_error_when_asked_for(
    keys: dict[str, float], words: str, fake: Fake, opened: Callable[..., Meter]
) -> None:
    fake(Card(UUID, keys=keys))
    sensor = opened("auto").sensor
    assert sensor.source == "none"
    assert words in (sensor.reason or "")
    with pytest.raises(BenchError, match=words) as error:
        opened("nvml")
    assert error.value.fix


def test_without_a_driver_the_reason_says_so(
    tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch, opened: Callable[..., Meter]
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(library))
    monkeypatch.setenv("FAKE_NVML_SCRIPT", str(tmp_path / "absent"))
    assert "Driver Not Loaded" in (opened("auto").sensor.reason or "")


@pytest.mark.parametrize(
    ("keys", "scope", "field", "averaging_s", "counter"),
    [
        ({}, "gpu", "instant", None, True),
        ({"no_power_field": 1, "usage_averages": 1}, "gpu", "usage", 1.0, True),
        ({"no_power_field": 1, "name": "NVIDIA A100-SXM4-40GB"}, "gpu", "usage", None, True),
        ({"no_power_field": 1, "no_usage": 1}, "gpu", None, None, True),
        ({"no_counter": 1}, "gpu", "instant", None, False),
        ({"module_only": 1, "name": "NVIDIA GH200 480GB"}, "module", "instant", None, False),
    ],
    ids=["all", "usage averages", "GA100", "counter only", "power only", "module"],
)
def test_probe(
    keys: dict[str, Any],
    scope: str,
    field: str | None,
    averaging_s: float | None,
    counter: bool,
    fake: Fake,
    opened: Callable[..., Meter],
) -> None:
    noisy = Curve(((0.0, 300.0),), noise_w=30.0)
    fake(Card(UUID, noisy, {**PART_TIME, "counter_period": 0.05, **keys}), origin_ns=time.monotonic_ns() - 2 * 10**9)
    sensor = opened("nvml").sensor
    assert (sensor.scope, sensor.power_field, sensor.averaging_s, sensor.counter) == (
        scope,
        field,
        averaging_s,
        counter,
    )
    assert sensor.counter_period_s == (pytest.approx(0.05, abs=0.015) if counter else None)
    assert sensor.power_period_s == (pytest.approx(0.1, abs=0.02) if field else None)


def test_card_state(fake: Fake, opened: Callable[..., Meter]) -> None:
    fake(Card(UUID, keys={"limit_w": 350, "default_w": 700, "app_mhz": 1200, "ecc": 1, "tenants": 2}))
    state = opened("nvml").card_state()
    assert (state.power_limit_w, state.default_power_limit_w, state.sm_clock_lock_mhz) == (350, 700, 1200)
    # two strangers, and we are not among them: one of the ids may be ours as the host knows it
    assert (state.mig, state.ecc, state.co_tenants) == (False, True, None)


@pytest.mark.parametrize(("pids", "own", "count"), [([], 7, 0), ([7], 7, 0), ([7, 8, 9], 7, 2), ([8, 9], 7, None)])
def test_co_tenants_are_counted_only_where_we_can_tell_ourselves_apart(
    pids: list[int], own: int, count: int | None
) -> None:
    assert probe.co_tenants(pids, own) == count


def test_conditions(windows: dict[str, Seen]) -> None:
    energy = windows["conditions"].energy
    assert energy.temperature_start_c is not None
    assert energy.temperature_end_c is not None
    assert energy.temperature_end_c > energy.temperature_start_c > 60
    assert energy.method == "counter"
    assert (energy.sm_clock_mhz_mean, energy.mem_clock_mhz_mean) == (1755, 2619)


@pytest.mark.parametrize("reading", ["instant", "average"])
def test_the_simulated_sensor_and_the_fake_library_agree(reading: str, windows: dict[str, Seen]) -> None:
    """Sample by sample: what tests in simulated time prove holds for the library that real-time tests load."""
    seen = windows[reading]
    twin = FakeSensor(TWIN, **{**TWIN_KEYS, "averaging": 0.4 if reading == "average" else None})
    times = [(sample.t_ns - seen.origin_ns) / 1e9 for sample in seen.samples]
    agree = [
        math.isclose(sample.power_w or 0, twin.power_w(t), abs_tol=0.002)
        and math.isclose(sample.counter_j or 0, twin.counter_j(t), abs_tol=0.002)
        for sample, t in zip(seen.samples, times, strict=True)
        if t > 0.1
    ]
    # a read that an update falls into may show either side of it
    assert sum(agree) >= 0.9 * len(agree)
    assert len(agree) >= 15


def test_the_run_itself_never_loads_a_vendor_library(fake: Fake) -> None:
    fake(Card(UUID))
    program = (
        "import sys, time\n"
        "from bench.power import open_meter\n"
        "from bench.model import Device\n"
        f"meter = open_meter('auto', Device('cuda', 0, 'card', uuid={UUID!r}))\n"
        "meter.start(); time.sleep(0.2); meter.card_state(); meter.close()\n"
        "assert meter.sensor.source == 'nvml', meter.sensor\n"
        "loaded = {'pynvml', 'torch', 'numpy', 'amdsmi'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
        "assert 'libnvidia-ml' not in open('/proc/self/maps').read()\n"
    )
    root = ROOT
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root, env=dict(os.environ), timeout=60)
