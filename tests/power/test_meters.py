"""Choosing a power source, and the sampler's process: it is never starved, and never outlives its run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import power
from bench.model import BenchError, Device, Window
from bench.power import SOURCES, SPECS, child, open_meter
from bench.power.sampler import SampledMeter
from bench.power.source import Source, nothing, sampled
from tests.support.paths import ROOT

CPU = Device("cpu", 0, "a CPU")


@pytest.fixture
def powercap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A powercap tree with one package."""
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    (zone / "name").write_text("package-0\n")
    (zone / "energy_uj").write_text("1000000\n")
    (zone / "max_energy_range_uj").write_text("262143328850\n")
    monkeypatch.setenv("BITWATT_POWERCAP_ROOT", str(tmp_path))
    return tmp_path


def test_none_gives_no_watts_and_says_why() -> None:
    meter = open_meter("none", CPU)
    meter.start()
    assert meter.sensor.source == "none"
    assert meter.sensor.reason
    assert meter.latest() is None
    assert meter.samples(0, 1) == ()
    meter.close()


def test_assumed_watts() -> None:
    assert open_meter("assume:250", CPU).sensor.assumed_w == 250
    for text in ("assume:", "assume:x", "assume:-1", "assume:0", "assume:nan", "assume:inf"):
        with pytest.raises(BenchError, match="not a number of watts"):
            open_meter(text, CPU)


def test_an_unknown_source_names_the_known_ones() -> None:
    with pytest.raises(BenchError, match="wattson") as error:
        open_meter("wattson", CPU)
    assert "rapl" in error.value.fix


def test_auto_without_a_sensor_never_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITWATT_POWERCAP_ROOT", str(tmp_path))
    sensor = open_meter("auto", CPU).sensor
    assert sensor.source == "none"
    assert "no package zone" in (sensor.reason or "")
    assert "to get watts" in (sensor.reason or "")
    assert "xpu" in (open_meter("auto", Device("xpu", 0, "x")).sensor.reason or "")
    with pytest.raises(BenchError, match="no package zone"):
        open_meter("rapl", CPU)


def test_samples_stream_while_the_workload_holds_the_interpreter_lock(powercap: Path) -> None:
    meter = open_meter("rapl", CPU)
    try:
        meter.start()
        start = time.monotonic_ns()
        interval = sys.getswitchinterval()
        sys.setswitchinterval(30.0)  # this thread will not give up the lock by itself
        try:
            while time.monotonic_ns() - start < 0.6e9:
                pass
        finally:
            sys.setswitchinterval(interval)
        end = time.monotonic_ns()
        samples = [sample for sample in meter.samples(start, end) if start <= sample.t_ns <= end]
        assert len(samples) >= 8  # 12 at the full rate
    finally:
        meter.close()


def test_samples_waits_for_one_after_the_window(powercap: Path) -> None:
    meter = open_meter("rapl", CPU)
    meter.start()
    start = time.monotonic_ns()
    time.sleep(0.2)
    end = time.monotonic_ns()
    samples = meter.samples(start, end)
    assert samples[0].t_ns <= start + 60_000_000
    assert samples[-1].t_ns > end
    meter.close()


def test_a_sampler_that_dies_is_a_missing_sample_with_its_reason(powercap: Path) -> None:
    meter = open_meter("rapl", CPU)
    assert isinstance(meter, SampledMeter)
    meter.start()
    start = time.monotonic_ns()
    meter._child.kill()
    meter._child.wait()
    time.sleep(0.1)
    end = time.monotonic_ns()
    last = meter.samples(start, end)[-1]
    assert last.missing
    assert "sampler ended" in (last.error or "")
    meter.close()


def test_a_sampler_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child.sys, "executable", "/bin/false")
    with pytest.raises(BenchError, match="did not start"):
        SampledMeter("bench.power.rapl", {})


def test_close_ends_the_process_and_is_idempotent(powercap: Path) -> None:
    meter = open_meter("rapl", CPU)
    assert isinstance(meter, SampledMeter)
    meter.start()
    meter.close()
    meter.close()
    assert meter._child.returncode == 0


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_the_sampler_ends_with_its_run(end: signal.Signals, powercap: Path) -> None:
    program = (
        "import time\nfrom bench.power import open_meter\nfrom bench.model import Device\n"
        "meter = open_meter('rapl', Device('cpu', 0, 'c')); meter.start()\n"
        "print(meter._child.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        pid = int(run.stdout.readline())
        assert _alive(pid)
        run.send_signal(end)
        run.wait(10)
    assert _eventually(lambda: not _alive(pid))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def _eventually(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_ctrl_c_does_not_reach_the_sampler(powercap: Path) -> None:
    meter = open_meter("rapl", CPU)
    assert isinstance(meter, SampledMeter)
    meter.start()
    meter._child.send_signal(signal.SIGINT)
    start = time.monotonic_ns()
    time.sleep(0.2)
    window = Window(start, time.monotonic_ns(), 1, 1.0)
    assert not any(sample.missing for sample in meter.samples(window.start_ns, window.end_ns))
    meter.close()


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_is_in_the_help_and_opens_from_its_own_line(name: str) -> None:
    entry = SOURCES[name]
    assert entry.syntax.startswith(name)
    assert entry.syntax in SPECS
    if entry.takes_detail:
        return
    with pytest.raises(BenchError, match="no power source named"):
        open_meter(f"{name}:x", CPU)


def test_a_new_source_is_one_module_and_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_meter.py").write_text(
        "import time\n"
        "from bench.model import CardState, Sample, Sensor\n"
        "class Reader:\n"
        "    sensor = Sensor(source='mine', scope='wall', power_field='mine')\n"
        "    def read(self): return Sample(time.monotonic_ns(), power_w=42.0)\n"
        "    def card_state(self): return CardState()\n"
        "    def close(self): pass\n"
        "def open_reader(**_): return Reader()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(power, "SOURCES", {**SOURCES, "mine": Source("mine", sampled("my_meter", nothing))})
    meter = open_meter("mine", CPU)
    meter.start()
    latest = meter.latest()
    meter.close()
    assert latest is not None
    assert latest.power_w == 42.0
