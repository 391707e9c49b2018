"""``bitwatt worker`` on pretended cards: pinned by UUID, together, one by one, cut short, and on the CPU."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from datetime import datetime

import pytest

from bench.fleet import layout, worker
from tests.support import fleet
from tests.support.paths import ROOT

ONE_WINDOW = ("--shape", "one", "--repeats", 1)


def statuses(out):
    return {status.card: (folder, status) for folder, status in layout.statuses(out)}


def spans(out):
    """For each card its windows as (start, end) in Unix time, in the order measured."""
    found = {}
    for card, (folder, status) in statuses(out).items():
        found[card] = [
            (start := datetime.fromisoformat(row["started_utc"]).timestamp(), start + float(row["window_s"]))
            for row in fleet.rows(folder / status.csv)
        ]
    return found


def least_overlap(found):
    """The smallest share of a window in which the same window of all the other cards ran too."""
    shares = []
    for together in zip(*found.values(), strict=True):
        common = min(end for _, end in together) - max(start for start, _ in together)
        shares += [max(0.0, common) / (end - start) for start, end in together]
    return min(shares)


@pytest.mark.slow
def test_four_cards_are_pinned_by_uuid_and_their_windows_overlap(library, plan, tmp_path):
    env = fleet.environment(library, FAKE_NVML_SCRIPT=fleet.script(tmp_path / "script", 1, 2, 3, 4))
    out = tmp_path / "out"
    done = fleet.bitwatt(env, "worker", "--plan", plan, "--out", out, "--together", "--window", 2)
    assert done.returncode == 0, done.stderr
    found = statuses(out)
    assert list(found) == [fleet.uuid(number) for number in (1, 2, 3, 4)]
    for number, (card, (folder, status)) in enumerate(found.items(), start=1):
        rows = fleet.rows(folder / status.csv)
        assert len(rows) == status.rows == 4
        # the process saw one card only, and its own meter read that card
        assert {(row["device_uuid"], row["device_index"]) for row in rows} == {(card, "0")}
        assert all(card in row["meter_id"] for row in rows)
        assert {round(float(row["power_mean_w"])) for row in rows} == {100 + number}
        # the cards draw 101 W to 104 W: what is not this card's is its neighbours'
        assert status.neighbours_power_w == pytest.approx([410 - 100 - number] * 4, abs=0.5)
        assert status.slot == number - 1
    assert least_overlap(spans(out)) >= 0.95


def test_the_measure_of_overlap_sees_a_late_card():
    assert least_overlap({"a": [(0.0, 10.0)], "b": [(1.0, 11.0)]}) == pytest.approx(0.9)
    assert least_overlap({"a": [(0.0, 1.0)], "b": [(5.0, 6.0)]}) == 0.0


@pytest.mark.slow
def test_one_by_one_no_windows_overlap_and_what_is_done_is_not_measured_again(library, plan, tmp_path):
    env = fleet.environment(library, FAKE_NVML_SCRIPT=fleet.script(tmp_path / "script", 1, 2))
    out = tmp_path / "out"
    arguments = ("worker", "--plan", plan, "--out", out, "--one-by-one", *ONE_WINDOW)
    assert fleet.bitwatt(env, *arguments).returncode == 0
    assert least_overlap(spans(out)) == 0
    before = {path: path.read_bytes() for path in out.rglob("*.csv")}

    again = fleet.bitwatt(env, *arguments)
    assert again.returncode == 0
    assert "2 of 2 cards are done already" in again.stderr
    assert {path: path.read_bytes() for path in out.rglob("*.csv")} == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "says"), [("device", "the device fell off the bus"), ("kill", "SIGKILL"), ("verify", "off by one")]
)
def test_a_card_that_fails_is_on_record_and_the_others_go_on(library, plan, tmp_path, fault, says):
    bad = fleet.uuid(2)
    env = fleet.environment(
        library,
        FAKE_NVML_SCRIPT=fleet.script(tmp_path / "script", 1, 2),
        FAKE_FAULT=fault,
        FAKE_FAULT_CARD=bad,
    )
    out = tmp_path / "out"
    done = fleet.bitwatt(env, "worker", "--plan", plan, "--out", out, "--together", "--format", "json")
    assert done.returncode == 3
    listed = {row["card"]: row for row in json.loads(done.stdout)}
    assert listed[bad]["state"] == "failed"
    assert says in listed[bad]["error"]
    assert (listed[fleet.uuid(1)]["state"], listed[fleet.uuid(1)]["rows"]) == ("done", 4)
    assert [(each.card, says in each.reason) for each in layout.missing(out)] == [(bad, True)]

    healed = fleet.bitwatt({**env, "FAKE_FAULT": ""}, "worker", "--plan", plan, "--out", out)
    assert healed.returncode == 0
    assert "1 of 2 cards are done already" in healed.stderr
    assert layout.missing(out) == []


@pytest.mark.slow
def test_an_interrupted_worker_keeps_its_rows_and_measures_the_rest_later(library, plan, tmp_path):
    env = fleet.environment(library, FAKE_NVML_SCRIPT=fleet.script(tmp_path / "script", 1, 2))
    out = tmp_path / "out"
    command = [*fleet.COMMAND.split(), "worker", "--plan", str(plan), "--out", str(out), "--one-by-one"]
    process = subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not any(status.rows for _, status in layout.statuses(out)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    second = fleet.bitwatt(env, "worker", "--plan", plan, "--out", out)
    assert second.returncode == 2
    assert "another worker measures this node" in second.stderr
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert [each.reason.partition(" after")[0] for each in layout.missing(out)] == ["cut short", "not begun"]
    assert list(out.rglob("*.csv"))

    assert fleet.bitwatt(env, "worker", "--plan", plan, "--out", out, *ONE_WINDOW).returncode == 0
    assert layout.missing(out) == []


def test_a_box_without_a_gpu_gives_one_shard_of_its_cpu(plan, tmp_path):
    out = tmp_path / "out"
    command = ["worker", "--plan", plan, "--out", out, "--device", "cpu", "--node", "n/1", "--meter", "none"]
    env = fleet.environment(tmp_path, FAKE_NVML_SCRIPT="none")
    late = fleet.bitwatt(env, *command, *ONE_WINDOW, "--start-at", "1000000000")
    assert late.returncode == 0, late.stderr
    ((folder, status),) = layout.statuses(out)
    assert folder == out / "n_1" / "cpu"
    assert (status.node, status.card, status.state, status.rows) == ("n/1", "cpu", "done", 1)
    assert fleet.rows(folder / status.csv)[0]["host"] == "n/1"
    (node,) = layout.nodes(out)
    assert node.start_at_utc == "2001-09-09T01:46:40Z"
    assert node.late_s > 1e8
    assert abs(node.clock.folder_offset_s) < 1


def test_a_card_hangs_if_its_log_stands_still(tmp_path):
    now = [0.0]
    watch = worker.Watch(lambda: now[0])
    log = tmp_path / "log.txt"
    assert not watch.hangs(log)
    now[0] = worker.HUNG_S
    assert not watch.hangs(log)
    log.write_text("idle before")
    now[0] += 1
    assert not watch.hangs(log), "it has begun to log"
    now[0] += worker.HUNG_S
    assert not watch.hangs(log)
    now[0] += 1
    assert watch.hangs(log)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--anonymous", "--device", "cpu"], "does not apply to a fleet"),
        (["--together", "--one-by-one"], "exclude each other"),
        (["--start-at", "noon"], "'noon' is not a moment"),
        (["--start-at", "2026-11-24T20:00:00"], "is not a moment"),
    ],
)
def test_wrong_use_is_one_sentence(tmp_path, arguments, says):
    done = fleet.bitwatt(fleet.environment(tmp_path), "worker", "--out", tmp_path / "out", *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert not (tmp_path / "out").exists()
