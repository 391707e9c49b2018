"""Power limits on the fake NVML library: set, read back, and put back on every way out, kill -9 included."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import output
from bench.analysis.frontier import Point, frontiers, knee
from bench.measure.sweep import commands, parse_limits, sweep
from bench.model import BenchError, Device, Record
from bench.power.limits import LimitRange, PowerLimiter
from tests.fakes.nvml.build import build
from tests.fakes.nvml.truth import Card, write_script
from tests.support.paths import ROOT

UUID, OTHER = "GPU-11111111-aaaa", "GPU-22222222-bbbb"
CPU = Device("cpu", 0, "a CPU")
CARD = LimitRange(uuid=UUID, name="a card", low_w=200, high_w=700, default_w=700, now_w=650)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def state(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[float]]:
    """A card limited to 650 W; gives the limits that were set on it, oldest first."""
    path = tmp_path / "limits"
    monkeypatch.setenv("LD_LIBRARY_PATH", str(library))
    keys = {"state": path, "limit_w": 650, "default_w": 700, "min_w": 200, "max_w": 700}
    script = write_script(tmp_path / "script", time.monotonic_ns(), Card(OTHER), Card(UUID, keys=keys))
    monkeypatch.setenv("FAKE_NVML_SCRIPT", str(script))
    return lambda: [float(line) for line in path.read_text().split()] if path.exists() else []


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_limits_are_set_and_put_back(state: Callable[[], list[float]]) -> None:
    seen: list[float] = []

    def measure(watts: float) -> list[float]:
        seen.append(state()[-1])
        return [watts]

    limiter = PowerLimiter(f"nvml:{UUID}", CPU)
    assert limiter.range == replace(CARD, name="NVIDIA Fake")
    assert list(sweep(limiter, (600.0, 400.0), measure)) == [600.0, 400.0]
    assert seen == [600.0, 400.0]
    assert state() == [600.0, 400.0, 650.0]


def test_put_back_after_an_error(state: Callable[[], list[float]]) -> None:
    def measure(watts: float) -> Iterator[None]:
        raise RuntimeError("the workload broke")
        yield

    with pytest.raises(RuntimeError, match="broke"):
        list(sweep(PowerLimiter(f"nvml:{UUID}", CPU), (300.0,), measure))
    assert state() == [300.0, 650.0]


def test_put_back_when_the_rest_is_not_wanted(state: Callable[[], list[float]]) -> None:
    under_way = sweep(PowerLimiter(f"nvml:{UUID}", CPU), (600.0, 300.0), lambda watts: [watts])
    assert next(under_way) == 600.0
    under_way.close()  # type: ignore[attr-defined]
    assert state() == [600.0, 650.0]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("whole_group", [False, True], ids=["process", "group"])
def test_put_back_after_a_kill(number: signal.Signals, whole_group: bool, state: Callable[[], list[float]]) -> None:
    program = (
        "import time\nfrom bench.power.limits import PowerLimiter\nfrom bench.model import Device\n"
        f"limiter = PowerLimiter('nvml:{UUID}', Device('cpu', 0, 'c')); limiter.set(300.0)\n"
        "print('set', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "set\n"
        assert state() == [300.0]
        if whole_group:
            os.killpg(run.pid, number)
        else:
            run.send_signal(number)
        run.wait(10)
    assert eventually(lambda: state() == [300.0, 650.0]), state()


def test_put_back_when_the_watchdog_itself_is_killed(state: Callable[[], list[float]]) -> None:
    with PowerLimiter(f"nvml:{UUID}", CPU) as limiter:
        limiter.set(300.0)
        limiter._child.kill()
        limiter._child.wait()
    assert state() == [300.0, 650.0]


def test_a_watchdog_that_dies_is_replaced_at_once(state: Callable[[], list[float]]) -> None:
    """It was once noticed only at the next set; a run killed in between left its limit behind."""
    with PowerLimiter(f"nvml:{UUID}", CPU) as limiter:
        limiter.set(300.0)
        first = limiter._child
        first.kill()
        assert eventually(lambda: limiter._child is not first and limiter._child.poll() is None, 3.0)
        limiter.set(400.0)
    assert state() == [300.0, 400.0, 650.0]


def test_a_limit_that_somebody_else_set_is_left_alone(state: Callable[[], list[float]], tmp_path: Path) -> None:
    with PowerLimiter(f"nvml:{UUID}", CPU) as limiter:
        limiter.set(300.0)
        with (tmp_path / "limits").open("a") as file:
            file.write("500.0\n")
    assert state() == [300.0, 500.0]


def test_an_old_limit_that_the_driver_rounds_is_restored(
    state: Callable[[], list[float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {"state": tmp_path / "limits", "limit_w": 651.9, "default_w": 700, "min_w": 200, "max_w": 700, "round_w": 5}
    script = write_script(tmp_path / "rounding", time.monotonic_ns(), Card(UUID, keys=keys))
    monkeypatch.setenv("FAKE_NVML_SCRIPT", str(script))
    with PowerLimiter("nvml", CPU) as limiter:
        limiter.set(300.0)
    assert state() == [300.0, 650.0]


def test_a_limit_that_cannot_be_put_back_is_told_with_the_command(
    state: Callable[[], list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = PowerLimiter(f"nvml:{UUID}", CPU)
    limiter.set(300.0)
    limiter._child.kill()
    limiter._child.wait()
    monkeypatch.setenv("FAKE_NVML_SCRIPT", "/nowhere")
    with pytest.raises(BenchError, match="could not be restored") as error:
        limiter.close()
    assert error.value.fix == f"sudo nvidia-smi -i {UUID} -pl 650"


def test_nothing_is_set_where_nothing_was_changed(state: Callable[[], list[float]]) -> None:
    with PowerLimiter(f"nvml:{UUID}", CPU):
        pass
    assert state() == []


def test_what_the_card_does_not_take(state: Callable[[], list[float]]) -> None:
    with PowerLimiter(f"nvml:{UUID}", CPU) as limiter:
        for watts in (199.0, 701.0):
            with pytest.raises(BenchError, match="does not accept"):
                limiter.set(watts)
    assert state() == []


def test_without_permission(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(library))
    script = write_script(tmp_path / "script", time.monotonic_ns(), Card(UUID, keys={"denied": 1}))
    monkeypatch.setenv("FAKE_NVML_SCRIPT", str(script))
    with pytest.raises(BenchError, match="Insufficient Permissions") as error:
        list(sweep(PowerLimiter("nvml", CPU), (300.0,), lambda watts: [watts]))
    assert "root" in error.value.fix


def test_which_card(state: Callable[[], list[float]]) -> None:
    with PowerLimiter("auto", Device("cuda", 0, "a card", uuid=UUID)) as limiter:
        assert limiter.range.uuid == UUID
    with pytest.raises(BenchError, match="matches no NVML card"):
        PowerLimiter("nvml:7", CPU)
    with pytest.raises(BenchError, match="through NVML"):
        PowerLimiter("rapl", CPU)


# the limits asked for


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("50%..100%", (700, 630, 560, 490, 420, 350)),
        ("50%..100%:25%", (700, 525, 350)),
        ("10%..100%:30%", (700, 490, 280, 200)),
        ("200W..400W:100W", (400, 300, 200)),
        ("300..300", (300,)),
        ("250, 80%,700", (700, 560, 250)),
        ("600..900:100", (700, 600)),
    ],
)
def test_limits_asked_for(text: str, limits: tuple[float, ...]) -> None:
    assert parse_limits(text, CARD) == pytest.approx(limits)


BEYOND = ("600..700:0.001", ",".join(map(str, range(300, 400))), "800..900", "10..150")


@pytest.mark.parametrize(
    "text", ["", "x", "0", "-5", "50%..", "100%..50%", "300..400:0", "150", "701", "nan", "inf..300", *BEYOND]
)
def test_limits_that_cannot_be(text: str) -> None:
    with pytest.raises(BenchError):
        parse_limits(text, CARD)


def test_a_range_that_is_clipped_is_told() -> None:
    told: list[str] = []
    parse_limits("600..900:100", CARD, told.append)
    parse_limits("600..700:50", CARD, told.append)
    assert told == ["a card accepts 200 W to 700 W: of '600..900:100' the limits 700 W, 600 W are measured"]


def test_dry_run() -> None:
    assert commands((600.0, 300.5), CARD) == [
        f"nvidia-smi -i {UUID} -pl 600",
        f"nvidia-smi -i {UUID} -pl 300.5",
        f"nvidia-smi -i {UUID} -pl 650",
    ]


# the frontier


def record(limit_w: float, rate: float, watts: float, **fields: Any) -> Record:
    plain: dict[str, Any] = {
        "schema_version": 1,
        "method_version": "1",
        "run_id": "r",
        "started_utc": "2026-01-01T00:00:00Z",
        "harness_version": "0",
        "device_kind": "cuda",
        "device_name": "a card",
        "device_index": 0,
        "workload": "sha256d",
        "implementation": "x",
        "native": True,
        "repeat": 1,
        "mode": "standard",
        "window_s": 10.0,
        "launches": 1,
        "work": rate * 10,
        "work_unit": "hash",
        "rate_per_s": rate,
        "energy_j": watts * 10,
        "work_per_j": rate / watts,
        "power_limit_w": limit_w,
        "verified": True,
        "valid": True,
    }
    return Record(**{**plain, **fields})


def test_frontier_best_and_knee() -> None:
    """Rate rises with the square root of watts above 100 W: half as much work per watt as one goes up."""
    rows = [
        record(w, 10 * (w - 100) ** 0.5 * (1 + noise), w)
        for w in (200.0, 300.0, 400.0, 500.0, 600.0, 700.0)
        for noise in (-0.001, 0.0, 0.001)
    ]
    rows += [record(700.0, 1e9, 700.0, valid=False), record(700.0, 1e9, 700.0, work_per_j=None, energy_j=None)]
    rows += [record(w, 5.0 * w, w, workload="transformer", phase="gemm") for w in (200.0, 450.0, 700.0)]
    by_sqrt, straight = frontiers(rows)
    assert [point.limit_w for point in by_sqrt.points] == [200, 300, 400, 500, 600, 700]
    (best,) = by_sqrt.best
    assert best.limit_w == 200
    assert best.work_per_j_low < best.work_per_j < best.work_per_j_high
    assert by_sqrt.knee is not None
    assert by_sqrt.knee.limit_w == 400  # of the six, the furthest above the chord from 200 W to 700 W
    assert straight.knee is None
    assert straight.label == "transformer gemm"


def test_a_limit_is_the_best_only_with_an_interval_that_stands_apart() -> None:
    once = [record(w, 1.0, w) for w in (200.0, 300.0, 400.0)]
    assert frontiers(once)[0].best == (), "one window has no interval"
    (text,) = output.sweep(frontiers(once)).notes
    assert "no limit is called the best" in text
    noisy = [record(w, factor, w) for w in (200.0, 205.0, 400.0) for factor in (0.9, 1, 1.1)]
    (frontier,) = frontiers(noisy)
    assert [point.limit_w for point in frontier.best] == [200, 205]
    document = output.sweep([frontier])
    assert [row["best"] for row in document.rows] == [False] * 3
    assert [row["may_be_best"] for row in document.rows] == [True, True, False]
    assert [row[-1] for row in document.grids[0].rows][:2] == ["perhaps the best"] * 2
    assert "cannot be told apart" in document.notes[0]
    apart = [record(w, factor, w) for w in (200.0, 300.0) for factor in (0.99, 1, 1.01)]
    assert [row["best"] for row in output.sweep(frontiers(apart)).rows] == [True, False]


def test_repeats_are_pooled() -> None:
    rows = [record(300.0, 90.0, 300.0, repeat=1), record(300.0, 110.0, 300.0, repeat=2)]
    (point,) = frontiers(rows)[0].points
    assert (point.rate_per_s, point.power_w, point.windows) == (100.0, 300.0, 2)
    assert point.work_per_j == pytest.approx(1 / 3)


def test_no_knee_where_watts_buy_nothing() -> None:
    assert knee([Point(w, w, 100.0, 100 / w, 1) for w in (200.0, 300.0, 400.0)]) is None
    assert knee([Point(w, 250.0, 100.0 + w, 1.0, 1) for w in (200.0, 300.0, 400.0)]) is None
    assert knee([Point(w, w, w, 1.0, 1) for w in (200.0, 300.0)]) is None
