"""How far a fleet is, and how that is shown."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bench.cli import fleet as cli
from bench.cli import streams
from bench.cli.worker import at_level
from bench.fleet import launch, layout
from bench.fleet.layout import Card, Fleet, Node, Status
from bench.measure.plan import RunPlan, to_dict
from bench.measure.timing import TimingOptions


def card(folder, node, name, state, rows, joules=None):
    status = Status(node, name, 0, state, "", "together", rows=rows, joules=joules)
    layout.write(layout.card_folder(folder, node, name) / layout.STATUS, status)


def test_progress_counts_nodes_cards_rows_and_joules_and_names_the_slowest(tmp_path):
    layout.write(tmp_path / layout.FLEET, Fleet("slurm", 3))
    for name in ("n1", "n2"):
        cards = (Card("GPU-a", 0, "cuda", "X"), Card("GPU-b", 1, "cuda", "X"))
        layout.write(tmp_path / name / layout.NODE, Node(name, cards, "together", ""))
    card(tmp_path, "n1", "GPU-a", "done", 4, 1000.0)
    card(tmp_path, "n1", "GPU-b", "done", 4, 2000.0)
    card(tmp_path, "n2", "GPU-a", "running", 3, 500.0)
    card(tmp_path, "n2", "GPU-b", "running", 1)
    follower = launch.Follower(tmp_path)
    assert str(follower.look()) == (
        "1 of 3 nodes done, 2 of 4 cards, 12 rows, 3.5e+03 J; slowest: GPU-b of n2 with 1 row"
    )
    card(tmp_path, "n2", "GPU-a", "failed", 3, 500.0)
    card(tmp_path, "n2", "GPU-b", "done", 4)
    assert str(follower.look()) == "1 of 3 nodes done, 3 of 4 cards, 1 failed, 15 rows, 3.5e+03 J"


def test_a_fleet_is_followed_until_its_job_has_ended(tmp_path):
    states = iter(["PENDING (Resources)", "RUNNING", None])
    shown, slept = [], []
    launch.follow(tmp_path, lambda: next(states), shown.append, slept.append)
    nothing = "0 of 0 nodes done, 0 of 0 cards, 0 rows"
    assert shown == [f"pending (resources): {nothing}", f"running: {nothing}", nothing]
    assert slept == [launch.FOLLOW_S] * 2


def test_a_log_gets_a_line_now_and_then_and_only_what_has_changed(monkeypatch):
    text = io.StringIO()
    monkeypatch.setattr(streams, "err", lambda: Console(file=text, force_terminal=False))
    now = [0.0]
    monkeypatch.setattr(cli.time, "monotonic", lambda: now[0])
    with cli._showing() as show:
        for at, message in [(0, "a"), (1, "b"), (30, "b"), (61, "b"), (90, "c"), (91, "d")]:
            now[0] = at
            show(message)
    assert text.getvalue().split() == ["a", "b", "c"]


def test_a_terminal_shows_what_is_newest(monkeypatch):
    text = io.StringIO()
    monkeypatch.setattr(streams, "err", lambda: Console(file=text, force_terminal=True, width=100))
    with cli._showing() as show:
        show("[1] of 2 nodes done")
    assert "[1] of 2 nodes done" in text.getvalue() or text.getvalue()


def test_a_resumed_fleet_begins_at_once(tmp_path):
    settings = {"mode": "together", "start_at": "2026-11-24T20:00:00Z"}
    layout.write(tmp_path / layout.FLEET, Fleet("ray", settings=settings))
    assert launch.resume(tmp_path, "ray").settings == {"mode": "together"}


@pytest.mark.parametrize(
    ("level", "timing"), [("quick", {"quick": True}), ("medium", {}), ("long", {"thorough": True})]
)
def test_a_level_is_a_mode_of_the_plan(level, timing):
    plan = RunPlan(timing=TimingOptions(smoke=True))
    assert to_dict(at_level(plan, level)).get("timing", {}) == timing
    assert at_level(plan, None) == plan
