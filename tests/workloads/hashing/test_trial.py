"""The trial of kernel variants: it is fair, and it says how it chose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.model import Device
from bench.workloads.hashing import sha256d_cuda, trial
from bench.workloads.hashing.cuda import CudaScan
from bench.workloads.hashing.cuda_device import Cuda
from bench.workloads.hashing.engine import NONCE_SPACE, Work
from bench.workloads.hashing.job import reference_scan
from bench.workloads.hashing.options import HashingOptions
from bench.workloads.hashing.shares import sha256d
from tests.fakes.cuda import driver
from tests.support.hashing import random_headers

DEVICE = Device("cuda", 0, "stand-in", driver="580.95.05")
SECONDS = {0: 30.0, 1: 28.0, 2: 26.0, 3: 27.0, 4: 29.0}
"""Of 2^32 nonces, by variant: the third to be compiled is the fastest."""

Pace = Callable[[float, int], float]
"""Device seconds so far, and how often this variant ran → by what factor it is slower than it should be."""


class Card:
    """Times scans by a script in place of a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pace: Pace = lambda now, turn: 1.0) -> None:
        self.now = 0.0
        self.joules = 0.0
        self.watts = dict.fromkeys(SECONDS, 100.0)
        self.ran: dict[int, list[float]] = {number: [] for number in SECONDS}
        self._pace = pace
        monkeypatch.setattr(Cuda, "timed", lambda _cuda, work: self.timed(work))
        kernel = type("Kernel", (), {"kernel": type("Function", (), {"ptr": 1})})
        monkeypatch.setattr(Cuda, "compile", lambda *_: kernel())

    def timed(self, work: Any) -> float:
        scan, (_, _, count) = work.func.__self__, work.args
        number = int(scan.implementation.removeprefix("cuda-v"))
        took = SECONDS[number] * count / NONCE_SPACE * self._pace(self.now, len(self.ran[number]))
        self.now += took
        self.joules += self.watts[number] * took
        self.ran[number].append(took)
        return took

    def choose(self, joules: Callable[[], float | None] | None = None, **options: Any) -> CudaScan:
        return sha256d_cuda.open_engine(DEVICE, HashingOptions(**options), joules)


def test_the_fastest_is_kept(machine: driver.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(monkeypatch)
    kept = card.choose()
    assert (kept.implementation, kept.setting) == ("cuda-v2", None)
    assert all(sum(times) >= 2.0 for times in card.ran.values())
    # The others' memory is free again.
    assert machine.pool_emptied == 4


def cold(now: float, turn: int) -> float:
    """An idle card raises its clock within the first half second."""
    return 2.0 if now < 0.5 else 1.0


def hot(now: float, turn: int) -> float:
    """A card that warms up loses a percent a second."""
    return 1.0 + 0.01 * now


def disturbed(now: float, turn: int) -> float:
    """Something else takes the card for a moment, once, in the middle of the trial."""
    return 3.0 if 5.0 < now < 5.2 else 1.0


@pytest.mark.parametrize("pace", [cold, hot, disturbed])
def test_what_happens_to_the_card_does_not_decide(
    machine: driver.Machine, monkeypatch: pytest.MonkeyPatch, pace: Pace
) -> None:
    """Variants within 4% of one another, and a card that changes by more than that during the trial."""
    assert Card(monkeypatch, pace).choose().implementation == "cuda-v2"


@pytest.mark.parametrize(
    ("change", "pace"), [({"WARM_UP_S": 0.0, "ROUNDS": 1}, cold), ({"ROUNDS": 1, "ROUND_S": 3.0}, hot)]
)
def test_an_unfair_trial_picks_another(
    machine: driver.Machine, monkeypatch: pytest.MonkeyPatch, change: dict[str, float], pace: Pace
) -> None:
    """Without the warm-up, or in one long turn each, the first or the last to run is at a disadvantage."""
    for name, value in change.items():
        monkeypatch.setattr(trial, name, value)
    monkeypatch.setitem(SECONDS, 2 if pace is cold else 4, 25.9 if pace is cold else 25.5)
    monkeypatch.setitem(SECONDS, 0, 25.8 if pace is cold else 26.0)
    assert Card(monkeypatch, pace).choose().implementation != f"cuda-v{0 if pace is cold else 4}"


def test_the_trial_by_joules_can_pick_another(machine: driver.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(monkeypatch)
    card.watts = {0: 200.0, 1: 300.0, 2: 500.0, 3: 450.0, 4: 500.0}
    kept = card.choose(lambda: card.joules, prefer="efficiency")
    assert (kept.implementation, kept.setting) == ("cuda-v0", "prefer=efficiency")


@pytest.mark.parametrize("joules", [None, lambda: None, lambda: 5.0], ids=["none", "silent", "frozen"])
def test_a_trial_without_joules_says_so(machine: driver.Machine, monkeypatch: pytest.MonkeyPatch, joules: Any) -> None:
    kept = Card(monkeypatch).choose(joules, prefer="efficiency")
    assert (kept.implementation, kept.setting) == ("cuda-v2", "prefer=speed(no-joules)")


def test_a_trial_runs_on_the_device(machine: driver.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sha256d_cuda, "VARIANTS", (0, 1))
    for name, value in {"WARM_UP_S": 0.002, "ROUND_S": 0.002, "ROUNDS": 2}.items():
        monkeypatch.setattr(trial, name, value)
    kept = sha256d_cuda.open_engine(DEVICE, HashingOptions())
    assert kept.implementation in ("cuda-v0", "cuda-v1")
    header = random_headers(2, 1)[0]
    kept.scan(Work(4, header, 2), 5, 50)
    kept.sync()
    assert sorted(kept.drain()) == [(4, nonce) for nonce in reference_scan(sha256d, header, 2, 5, 50)]


def test_later_builds_of_a_run_take_over_what_the_first_trial_chose(
    machine: driver.Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a sweep's table would fall apart into the variants that win at one limit or another."""
    Card(monkeypatch)
    choices: dict[str, tuple[int | str, str | None]] = {}
    first = sha256d_cuda.open_engine(DEVICE, HashingOptions(prefer="efficiency"), None, choices)
    assert choices == {"sha256d": (2, "prefer=speed(no-joules)")}
    other = Card(monkeypatch)
    monkeypatch.setitem(SECONDS, 4, 1.0)
    second = sha256d_cuda.open_engine(DEVICE, HashingOptions(prefer="efficiency"), None, choices)
    assert (second.implementation, second.setting) == (first.implementation, first.setting)
    assert not any(other.ran.values()), "no second trial"
    asked = sha256d_cuda.open_engine(DEVICE, HashingOptions(variant=0), None, choices)
    assert (asked.implementation, asked.setting) == ("cuda-v0", None)
    assert sha256d_cuda.open_engine(DEVICE, HashingOptions(), None, {}).implementation == "cuda-v4"
