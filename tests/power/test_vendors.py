"""AMD, Moore Threads, a command's wattmeter, a replay and a calibration, each against a fake of its own."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.model import BenchError, Device, Energy, Meter, Sample, Sensor, Window
from bench.model.sidecar import Line, Opening, SensorNote, WindowNote, encode
from bench.power import open_meter
from bench.power.calibration import fit
from bench.power.command import watts_of
from bench.power.energy import measure
from bench.power.replay import ReplayMeter, without_gaps
from tests.fakes.nvml.truth import Curve
from tests.fakes.sensor import FakeSensor
from tests.support.paths import VENDORS

CPU = Device("cpu", 0, "a CPU")
ROCM = Device("rocm", 0, "a card", pci_bus_id="0000:03:00.0")
MUSA = Device("musa", 0, "a card")

Opener = Callable[..., Meter]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Opener]:
    meters: list[Meter] = []

    def opener(spec: str, device: Device, **options: Any) -> Meter:
        script = json.dumps(options.pop("script", {}))
        monkeypatch.setenv("PYTHONPATH", str(VENDORS))
        monkeypatch.setenv("FAKE_AMD", script)
        monkeypatch.setenv("FAKE_MTML", script)
        meters.append(open_meter(spec, device, **options))
        return meters[-1]

    yield opener
    for meter in meters:
        meter.close()


def measured(meter: Meter, seconds: float) -> Energy:
    meter.start()
    start = time.monotonic_ns()
    time.sleep(seconds)
    window = Window(start, time.monotonic_ns(), launches=1, work=1.0)
    return measure(meter.samples(window.start_ns, window.end_ns), window, meter.sensor)


# AMD


def test_amd_counter_and_power(opened: Opener) -> None:
    meter = opened("auto", ROCM)
    energy = measured(meter, 1.0)
    assert meter.sensor.source == "amd"
    assert energy.method == "counter"
    assert energy.power_mean_w == pytest.approx(300, rel=0.05)
    assert energy.crosscheck_ratio == pytest.approx(1, abs=0.05)
    assert (energy.temperature_end_c, energy.sm_clock_mhz_mean, energy.mem_clock_mhz_mean) == (55, 1700, 1200)
    state = meter.card_state()
    assert (state.power_limit_w, state.default_power_limit_w, state.co_tenants) == (500, 560, 1)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ({"frozen_after": 0.0}, "was frozen"),
        ({"factor": 10}, "while the power reading was 300 W"),
        ({"factor": 0.2}, "while the power reading was 300 W"),
    ],
    ids=["frozen", "ten times", "a fifth"],
)
def test_amd_counter_that_lies_is_not_used_and_said_so(script: dict[str, float], words: str, opened: Opener) -> None:
    meter = opened("amd", ROCM, script=script)
    assert not meter.sensor.counter
    energy = measured(meter, 0.5)
    assert energy.method == "integrated"
    assert energy.power_mean_w == pytest.approx(300, rel=0.01)
    assert any(words in warning for warning in energy.warnings)


def test_amd_older_names(opened: Opener) -> None:
    power = {"current_socket_power": "N/A", "average_socket_power": 250}
    sensor = opened("amd", ROCM, script={"power": power, "watts": 250, "counter_key": "power"}).sensor
    assert sensor.counter
    assert sensor.power_field == "average"


def test_amd_matches_by_bus_and_by_index(opened: Opener) -> None:
    script = {"buses": ["0000:03:00.0", "0000:83:00.0"]}
    second = Device("rocm", 0, "a card", pci_bus_id="0000:83:00.0")
    assert (opened("auto", second, script=script).sensor.sensor_id or "").startswith("a1")
    assert (opened("amd:1", CPU, script=script).sensor.sensor_id or "").startswith("a1")
    with pytest.raises(BenchError, match="matches no single AMD card"):
        opened("amd:5", CPU, script=script)


@pytest.mark.parametrize("script", [{"fail": ["power", "energy"]}, {"fail": ["init"]}])
def test_amd_without_power(script: dict[str, Any], opened: Opener) -> None:
    assert opened("auto", ROCM, script=script).sensor.source == "none"
    with pytest.raises(BenchError) as error:
        opened("amd", ROCM, script=script)
    assert "\n" not in error.value.message


# Moore Threads


def test_mthreads_is_sampled(opened: Opener) -> None:
    meter = opened("auto", MUSA, script={"watts": 210, "fail": ["memory clock"]})
    assert not meter.sensor.counter
    assert meter.sensor.power_period_s == pytest.approx(0.05, abs=0.02)
    energy = measured(meter, 0.6)
    assert energy.method == "integrated"
    assert energy.power_mean_w == pytest.approx(210, rel=0.01)
    assert (energy.temperature_end_c, energy.sm_clock_mhz_mean, energy.mem_clock_mhz_mean) == (61, 1600, None)


def test_mthreads_lost(opened: Opener) -> None:
    energy = measured(opened("mthreads", MUSA, script={"lost_after": 1.0}), 1.0)
    assert energy.joules is None
    assert "device lost" in energy.invalid_reasons[0]


def test_mthreads_choice_and_failure(opened: Opener) -> None:
    assert (opened("mthreads:1", CPU, script={"cards": 2}).sensor.sensor_id or "").startswith("12345678")
    with pytest.raises(BenchError, match="matches no single"):
        opened("mthreads", CPU, script={"cards": 2})
    with pytest.raises(BenchError, match="no power"):
        opened("mthreads", MUSA, script={"fail": ["power"]})


def test_a_vendor_package_that_is_absent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # an empty file of the name stands before any that may be installed
    monkeypatch.setenv("PYTHONPATH", "")
    for spec, device, package in (("amd", ROCM, "amdsmi"), ("mthreads", MUSA, "mthreads-ml-py")):
        try:
            __import__("amdsmi" if spec == "amd" else "pymtml")
        except ImportError:
            with pytest.raises(BenchError, match=package) as error:
                open_meter(spec, device)
            assert "pip install" in error.value.fix
        except OSError:  # the package is there and its driver is not
            pass


# a command


@pytest.mark.parametrize(
    ("line", "watts"),
    [
        ("123.4", 123.4),
        ("  87 W", 87),
        ("power=1.5e2 W", 150),
        ("P: 300W at 12.1 V", 300),
        ("", None),
        ("n/a", None),
        ("0", None),
        ("-5", None),
        ("1e999", None),
    ],
)
def test_watts_of_a_line(line: str, watts: float | None) -> None:
    assert watts_of(line) == watts


def python(text: str) -> str:
    return f"command:{shlex.quote(sys.executable)} -c {shlex.quote(text)}"


def test_a_command_that_goes_on(opened: Opener) -> None:
    text = "import time\nwhile True:\n  print('411.5 W', flush=True); time.sleep(0.05)"
    meter = opened(python(text), CPU)
    energy = measured(meter, 0.6)
    assert meter.sensor.scope == "wall"
    assert meter.sensor.power_period_s == pytest.approx(0.05, abs=0.03)
    assert energy.power_mean_w == pytest.approx(411.5)


def test_a_command_that_prints_once(opened: Opener) -> None:
    energy = measured(opened("command:echo 95.5", CPU), 0.6)
    assert energy.power_mean_w == pytest.approx(95.5)


def test_a_command_that_stops_makes_no_number(opened: Opener) -> None:
    text = "import time\nfor i in range(12):\n  print(400, flush=True); time.sleep(0.1)"
    energy = measured(opened(python(text), CPU), 1.5)
    assert energy.joules is None
    assert "command ended" in energy.invalid_reasons[0]


@pytest.mark.parametrize("command", ["command:true", "command:echo none", "command:exit 3", "command: "])
def test_a_command_without_watts(command: str, opened: Opener) -> None:
    with pytest.raises(BenchError, match="command"):
        opened(command, CPU)


# replay


def write_sidecar(path: Path, fake: FakeSensor, *stretches: tuple[float, float]) -> Path:
    lines: list[Line] = [Opening(), SensorNote(0, fake.sensor())]
    for row, (start, end) in enumerate(stretches, 1):
        samples = tuple(fake.poll(start, end))
        lines.append(WindowNote(row, round(start * 1e9), round(end * 1e9), 1, 1.0, sensor=0, samples=samples))
    path.write_bytes(b"".join(map(encode, lines)))
    return path


@pytest.mark.parametrize("counter", [True, False])
def test_replay_gives_the_recorded_watts(counter: bool, tmp_path: Path, opened: Opener) -> None:
    """Two stretches of 1.5 s with an hour between them, gone through twice."""
    fake = FakeSensor(Curve(((0.0, 350.0),)), counter=counter)
    path = write_sidecar(tmp_path / "x.samples.jsonl", fake, (1.0, 2.5), (100.0, 101.5))
    meter = ReplayMeter(path)
    meter.start()
    assert meter._start_ns is not None
    start = meter._start_ns + 500_000_000
    window = Window(start, start + 4_000_000_000, 1, 1.0)
    energy = measure(meter.samples(window.start_ns, window.end_ns), window, meter.sensor)
    assert meter.sensor.source == "replay"
    assert energy.invalid_reasons == ()
    assert energy.power_mean_w == pytest.approx(350, rel=0.01)
    assert any("replayed" in warning for warning in energy.warnings)
    latest = meter.latest()
    assert latest is not None
    assert latest.power_w == pytest.approx(350)


def test_replay_keeps_what_was_missing(tmp_path: Path) -> None:
    fake = FakeSensor(Curve(((0.0, 350.0),)), counter=False, fails=((1.5, 2.0),))
    meter = ReplayMeter(write_sidecar(tmp_path / "x.samples.jsonl", fake, (1.0, 3.0)))
    meter.start()
    assert meter._start_ns is not None
    window = Window(meter._start_ns, meter._start_ns + 1_500_000_000, 1, 1.0)
    assert measure(meter.samples(window.start_ns, window.end_ns), window, meter.sensor).joules is None


def test_gaps_close_and_counters_go_on() -> None:
    """Two stretches of a 100 ms counter seen every 50 ms, each cut to whole updates."""
    shown = {0.0: 5.0, 0.05: 5.0, 0.1: 15.0, 0.15: 15.0, 0.2: 25.0, 0.25: 25.0, 0.3: 35.0}
    later = {t + 40.0: joules + 4000.0 for t, joules in shown.items()}
    samples = [Sample(round(t * 1e9), power_w=100.0, counter_j=joules) for t, joules in (shown | later).items()]
    found = without_gaps(samples, 0.05)
    assert [round(sample.t_ns / 1e6) for sample in found.samples] == [0, 50, 100, 150, 200, 250, 300, 350]
    assert [sample.counter_j for sample in found.samples] == pytest.approx([0, 0, 10, 10, 20, 20, 30, 30])
    assert (found.span_ns, found.span_j) == (400_000_000, pytest.approx(40))


def test_gaps_close_without_a_counter() -> None:
    samples = [Sample(round(t * 1e9), power_w=100.0) for t in (10.0, 10.05, 50.0, 50.05)]
    found = without_gaps(samples, 0.05)
    assert [sample.t_ns for sample in found.samples] == [0, 50_000_000, 100_000_000, 150_000_000]
    assert found.span_ns == 200_000_000


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "is empty"),
        (b"not json\nmore\n", "line 1: not a bitwatt sidecar"),
        (encode(SensorNote(0, Sensor("nvml", "gpu"))), "line 1: not a bitwatt sidecar"),
        (encode(Opening()), "no samples"),
        (encode(Opening()) + b'{"kind":"sensor","number":0,"sensor":{"sauce":"x"}}\n', "line 2: damaged"),
    ],
)
def test_replay_of_something_else(raw: bytes, words: str, tmp_path: Path, opened: Opener) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(raw)
    with pytest.raises(BenchError, match=words):
        opened(f"replay:{path}", CPU)
    with pytest.raises(BenchError, match="cannot read"):
        opened(f"replay:{tmp_path / 'absent'}", CPU)


def test_replay_of_a_run_that_was_killed(tmp_path: Path) -> None:
    path = write_sidecar(tmp_path / "x.jsonl", FakeSensor(Curve(((0.0, 350.0),))), (1.0, 2.0))
    path.write_text(path.read_text() + '{"kind":"window","row":2,"sam')
    assert ReplayMeter(path).sensor.source == "replay"


# calibration


def calibration(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "my.toml"
    path.write_text(text)
    return path


def test_calibration_by_figures(tmp_path: Path) -> None:
    text = 'gain = 1.05\noffset_w = -4\ngain_uncertainty = 0.004\noffset_uncertainty_w = 0.5\nsource = "my meter"'
    sensor = open_meter("assume:100", CPU, calibration=calibration(tmp_path, text)).sensor
    assert (sensor.calibration_gain, sensor.calibration_offset_w) == (1.05, -4)
    assert (sensor.gain_uncertainty, sensor.offset_uncertainty_w) == (0.004, 0.5)
    assert sensor.uncertainty_source == "my meter"


def test_calibration_by_points() -> None:
    noise_w = {60: 0.5, 150: -0.4, 250: 0.1, 350: 0.3, 450: -0.5}
    points = [(float(w), 1.044 * w - 22.6 + error) for w, error in noise_w.items()]
    gain, offset_w, gain_share, offset_half_w = fit(points)
    assert abs(gain - 1.044) < gain_share * gain < 0.02
    assert abs(offset_w + 22.6) < offset_half_w < 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gain = 0", "must be within"),
        ("gain = -1", "must be within"),
        ("gain = nan", "must be a number"),
        ("gain = true", "must be a number"),
        ('offset_w = "3"', "must be a number"),
        ("gian = 1", "unknown key 'gian'"),
        ("points = [[1, 2], [2, 3]]", "3 points or more"),
        ("points = [[1, 2], [1, 3], [1, 4]]", "3 points or more"),
        ("points = [1, 2, 3]", "cannot be fitted"),
        ('sensor_id = "GPU-x"', "is for the sensor GPU-x"),
        ("gain =", "is not valid TOML"),
    ],
)
def test_calibration_that_is_wrong(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=words):
        open_meter("assume:100", CPU, calibration=calibration(tmp_path, text))


def test_calibration_file_that_is_absent(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="cannot read"):
        open_meter("assume:100", CPU, calibration=tmp_path / "absent.toml")
