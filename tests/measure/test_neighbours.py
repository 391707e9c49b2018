"""Another bitwatt or a heavy load is named before measuring and in the rows; --wait-idle waits for it to end."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import storage
from bench.measure import neighbours, session
from bench.measure.neighbours import Neighbours, Process
from bench.measure.observer import Silent
from bench.measure.plan import OutputOptions, RunPlan, SelectionOptions
from bench.measure.timing import TimingOptions
from bench.model import BenchError
from bench.power.options import PowerOptions
from bench.workloads.hashing.options import HashingOptions
from tests.support.paths import ROOT


class Heard(Silent):
    def __init__(self) -> None:
        self.hints: list[str] = []
        self.stages: list[str] = []

    def hint(self, message: str) -> None:
        self.hints.append(message)

    def stage(self, variant: object, stage: str, seconds: float | None) -> None:
        self.stages.append(stage)


def scripted(*cpu_s: float, name: str = "gcc", measures: bool = False):
    """A process list with one process, whose CPU seconds are given one look after another."""
    times = iter(cpu_s)
    return lambda: {7: Process(name, next(times), measures)}


@pytest.fixture(autouse=True)
def four_cores_without_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "usable_cores", lambda: 4)
    monkeypatch.setattr(neighbours.interference, "STAT", Path("/nowhere"))


def test_an_idle_machine_has_nothing_to_name() -> None:
    found = neighbours.look(0.05, scripted(5.0, 5.001))
    assert (str(found), found.column) == ("", None)


def test_a_heavy_load_is_named_by_process_for_the_user_and_without_names_in_the_row() -> None:
    found = neighbours.look(0.05, scripted(5.0, 5.2))
    assert re.fullmatch(r"other processes keep \d\.\d of 4 cores busy \(gcc \d\.\d\)", str(found))
    assert re.fullmatch(r"\d\.\d cores busy", str(found.column))


def test_another_bitwatt_is_named_though_it_waits() -> None:
    found = neighbours.look(0.01, scripted(5.0, 5.0, name="python", measures=True))
    assert str(found) == "another bitwatt is measuring (process 7)"
    assert found.column == "another bitwatt"


@pytest.mark.parametrize(
    ("command", "measures"),
    [
        ("/usr/bin/python3 /home/me/.venv/bin/bitwatt run --device cuda", True),
        ("python -m bench.cli.app sweep", True),
        ("bitwatt compare results", False),
        ("vim /src/bitwatt.py run", False),
        ("python -m tests.fakes.bitwatt run", True),
        ("", False),
    ],
)
def test_what_counts_as_a_bitwatt_that_measures(command: str, measures: bool) -> None:
    assert neighbours._measures(command.split()) is measures


def test_real_processes_are_seen_and_the_own_ones_are_not() -> None:
    spin = [sys.executable, "-c", "import time; end = time.time() + 60\nwhile time.time() < end: pass"]
    # Its parent ends at once, so that it is no child of this process.
    parent = subprocess.run(
        [sys.executable, "-c", f"import subprocess as s; print(s.Popen({spin!r}, stdout=-3, stderr=s.DEVNULL).pid)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    stranger = int(parent.stdout)
    own = subprocess.Popen(spin)
    try:
        time.sleep(0.5)
        seen = neighbours.processes()
        assert stranger in seen
        assert own.pid not in seen
        assert seen[stranger].cpu_s > 0
        assert not seen[stranger].measures
    finally:
        own.kill()
        own.wait()
        subprocess.run(["kill", str(stranger)], check=False)


def test_waiting_ends_when_the_machine_is_idle_and_gives_up_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(neighbours.time, "sleep", slept.append)
    busy = Neighbours(runs=(7,))
    looks = iter([busy, busy, Neighbours()])
    seen = Heard()
    neighbours.wait(60, seen, lambda: next(looks))
    assert seen.stages == ["wait for an idle machine"]
    assert len(slept) == 2
    with pytest.raises(BenchError, match=r"not idle within 0 s: another bitwatt is measuring \(process 7\)"):
        neighbours.wait(0, seen, lambda: busy)


def test_it_is_said_before_measuring_and_in_every_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "look", lambda: Neighbours((7,), 3.2, ("gcc 2.0",)))
    plan = RunPlan(
        selection=SelectionOptions(device="cpu", workload=("sha256d",)),
        hashing=HashingOptions(isa="generic", threads=1),
        power=PowerOptions(meter="none"),
        timing=TimingOptions(smoke=True, window_s=0.1, warmup_s=0.0, repeats=2),
        output=OutputOptions(out=tmp_path),
    )
    seen = Heard()
    session.run(plan, seen)
    assert [hint for hint in seen.hints if "gcc 2.0" in hint and "another bitwatt" in hint]
    (path,) = tmp_path.glob("*.csv")
    assert [record.neighbours for record in storage.read_records(path)] == ["another bitwatt, 3.2 cores busy"] * 2


@pytest.mark.slow
def test_two_real_runs_see_each_other(tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "tests.fakes.bitwatt", "run", "--device", "cpu", "--workload", "fake", "--smoke"),
        *("--meter", "none", "--warmup", "0.1", "--window", "20", "--out"),
    ]
    first = subprocess.Popen([*command, str(tmp_path / "first")], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        while not (tmp_path / "first").exists():
            time.sleep(0.05)
        second = subprocess.run(
            [*command, str(tmp_path / "second"), "--wait-idle", "1"],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    finally:
        first.kill()
        first.wait()
    assert second.returncode == 3
    assert re.search(r"not idle within 1 s: another bitwatt is measuring \(process [\d, ]*\d+", second.stderr)
    assert not (tmp_path / "second").exists()
