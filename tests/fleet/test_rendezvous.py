"""Windows that begin together: who is waited for, and who is not."""

from __future__ import annotations

from multiprocessing import Pipe

from bench.fleet import rendezvous
from bench.fleet.rendezvous import Coordinator, Meeting


class Clock:
    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns


def cards(clock, *names):
    coordinator = Coordinator(clock)
    lines = {}
    for name in names:
        ours, lines[name] = Pipe()
        coordinator.add(name, ours)
    return coordinator, lines


def ready(line):
    line.send(rendezvous.READY)


def test_all_get_one_moment_once_all_are_ready():
    clock = Clock()
    coordinator, lines = cards(clock, "a", "b")
    ready(lines["a"])
    assert coordinator.step() == []
    assert not lines["a"].poll()
    clock.ns = 5
    ready(lines["b"])
    coordinator.step()
    assert lines["a"].recv() == lines["b"].recv() == 5 + rendezvous.LEAD_NS
    coordinator.step()
    assert not lines["a"].poll()


def test_nobody_waits_for_a_card_that_has_ended_or_whose_process_died():
    coordinator, lines = cards(Clock(), "a", "b", "c")
    ready(lines["a"])
    coordinator.drop("b")
    lines["c"].close()
    coordinator.step()
    assert lines["a"].recv() == rendezvous.LEAD_NS


def test_a_card_that_is_never_ready_is_left_behind_once_and_may_come_back():
    clock = Clock()
    coordinator, lines = cards(clock, "a", "b")
    ready(lines["a"])
    coordinator.step()
    clock.ns = round(rendezvous.PATIENCE_S * 1e9)
    assert coordinator.step() == ["b"]
    lines["a"].recv()
    ready(lines["a"])
    assert coordinator.step() == []
    lines["a"].recv()
    ready(lines["a"])
    ready(lines["b"])
    coordinator.step()
    assert lines["a"].recv() == lines["b"].recv()


def test_a_card_keeps_busy_until_just_before_the_moment():
    clock = Clock()
    ours, theirs = Pipe()
    launch_ns = 200_000_000

    def busy():
        clock.ns += launch_ns
        if clock.ns == 5 * launch_ns:
            ours.send(clock.ns + rendezvous.LEAD_NS)

    begin_ns = Meeting(theirs, clock)(busy)
    assert begin_ns == 5 * launch_ns + rendezvous.LEAD_NS
    # as close as one more launch and the audit allow
    assert 0 < begin_ns - clock.ns - rendezvous.AUDIT_NS <= 2 * launch_ns


def test_without_a_coordinator_the_window_begins_now():
    ours, theirs = Pipe()
    ours.close()
    assert Meeting(theirs, lambda: 7)(lambda: None) == 7
