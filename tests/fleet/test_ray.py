"""Ray: a real cluster of three nodes with two pretended cards each, and how files come home."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from collections import Counter

import psutil
import pytest

from bench.fleet import layout
from bench.fleet.ray import growth, receive
from bench.model import BenchError
from bench.storage.fleet import read_fleet
from tests.support import fleet
from tests.support.paths import ROOT

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (bitwatt[ray])")


def test_files_come_home_whole_in_the_order_that_keeps_them_consistent(tmp_path):
    home, far = tmp_path / "home", tmp_path / "far"
    card = far / "n1" / "GPU-a"
    card.mkdir(parents=True)
    sent = {}
    (card / "r.samples.jsonl").write_text("one\n")
    (card / "r.csv").write_text("row\n")
    (card / "status.json").write_text("{}")
    (card / ".r.csv.1.tmp").write_text("half")
    first = list(growth(far, sent))
    assert [name.rpartition("/")[2] for name, _, _ in first] == ["r.samples.jsonl", "r.csv", "status.json"]
    with (card / "r.samples.jsonl").open("a") as stream:
        stream.write("two\n")
    (card / "r.csv").write_text("row\nrow\n")
    second = list(growth(far, sent))
    assert [(offset, content) for _, offset, content in second] == [(4, b"two\n"), (0, b"row\nrow\n")]
    assert list(growth(far, sent)) == []
    for chunk in (*first, *second):
        receive(home, chunk)
    for name in ("r.samples.jsonl", "r.csv", "status.json"):
        assert (home / "n1" / "GPU-a" / name).read_bytes() == (card / name).read_bytes()


def test_a_path_that_leads_out_of_the_folder_is_refused(tmp_path):
    with pytest.raises(BenchError, match="sent the path"):
        receive(tmp_path / "home", ("../x", 0, b""))
    assert not (tmp_path / "x").exists()


class Cluster:
    def __init__(self, env, nodes):
        command = [sys.executable, "-m", "tests.support.ray_cluster", str(nodes)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        said = json.loads(self.process.stdout.readline())
        self.address = said["address"]
        self.ids = {f"{said['host']}-{ray_id[:8]}": ray_id for ray_id in said["ids"]}

    def kill(self, name):
        self.process.stdin.write(f"kill {self.ids[name]}\n")
        self.process.stdin.flush()
        # Ray's own report of the death comes before
        assert any(line == "killed\n" for line in self.process.stdout)

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()


@pytest.fixture
def cluster(library, tmp_path):
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    env = fleet.environment(library, FAKE_NVML_SCRIPTS=scripts)
    cluster = Cluster(env, 3)
    for number, name in enumerate(cluster.ids):
        fleet.script(scripts / name, 10 * number + 1, 10 * number + 2)
    yield cluster
    cluster.close()


def launch(cluster, library, *arguments):
    command = [*fleet.COMMAND.split(), "fleet", "ray", "--address", cluster.address, "--command", fleet.COMMAND]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        cwd=ROOT,
        env=fleet.environment(library),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@needs_ray
@pytest.mark.slow
def test_each_card_of_each_node_is_measured_once_and_a_node_that_dies_is_listed(cluster, library, plan, tmp_path):
    out = tmp_path / "fleet"
    process = launch(cluster, library, "--plan", plan, "--out", out)
    lost = list(cluster.ids)[-1]  # not the head node
    deadline = time.monotonic() + 90
    while process.poll() is None and not any(each.node == lost and each.rows for _, each in layout.statuses(out)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    cluster.kill(lost)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 3, stderr
    cards = {(name, fleet.uuid(10 * n + slot)) for n, name in enumerate(cluster.ids) for slot in (1, 2)}
    assert {(each.node, each.card) for each in layout.missing(out)} == {card for card in cards if card[0] == lost}
    assert lost in stdout
    assert f"bitwatt fleet ray --resume {out}" in stderr

    frame = read_fleet(out / "fleet.parquet")
    frame = frame[frame["node"] != lost]
    columns = [frame[name].astype(object) for name in ("node", "card", "slot", "shape", "repeat")]
    assert Counter(zip(*columns, strict=True)) == {
        (name, fleet.uuid(10 * n + slot + 1), slot, shape, repeat): 1
        for n, name in enumerate(cluster.ids)
        if name != lost
        for slot in (0, 1)
        for shape in ("one", "two")
        for repeat in (1, 2)
    }
    assert (frame["device_uuid"].astype(str) == frame["card"].astype(str)).all()
    # the evidence came home too
    assert len(list(out.rglob("*.samples.jsonl"))) == 6

    again = launch(cluster, library, "--resume", out)
    again.communicate(timeout=120)
    assert again.returncode == 3, "the lost node is still lost"


@needs_ray
@pytest.mark.slow
def test_a_task_that_dies_on_a_living_node_is_tried_again(cluster, library, plan, tmp_path):
    out = tmp_path / "fleet"
    process = launch(cluster, library, "--plan", plan, "--out", out)
    unlucky = next(iter(cluster.ids))
    deadline = time.monotonic() + 90
    while process.poll() is None and not any(each.node == unlucky and each.rows for _, each in layout.statuses(out)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for each in psutil.process_iter(["cmdline"]):
        if {"worker", "--node", unlucky} <= set(each.info["cmdline"] or ()):
            each.parent().kill()
            break
    _, stderr = process.communicate(timeout=120)
    assert f"{unlucky} is tried again" in stderr
    assert process.returncode == 0, stderr
    frame = read_fleet(out / "fleet.parquet")
    assert set(Counter(zip(frame["node"].astype(str), frame["card"].astype(str), strict=True)).values()) == {4}
    assert frame["card"].nunique() == 6


@needs_ray
@pytest.mark.slow
def test_a_local_cluster_measures_the_cpu_of_each_of_its_nodes(plan, tmp_path):
    env = fleet.environment(tmp_path, FAKE_NVML_SCRIPT="none")
    out = tmp_path / "fleet"
    arguments = ("--device", "cpu", "--meter", "none", "--shape", "one", "--repeats", 1, "--one-by-one")
    done = fleet.bitwatt(
        *(env, "fleet", "ray", "--local", 2, "--plan", plan, "--out", out, "--command", fleet.COMMAND), *arguments
    )
    assert done.returncode == 0, done.stderr
    frame = read_fleet(out / "fleet.parquet")
    assert len(frame) == frame["node"].nunique() == 2
    assert not frame["together"].any()


def test_without_ray_the_error_says_how_to_get_it(monkeypatch):
    from bench.fleet import ray

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BenchError, match=r"bitwatt\[ray\]"):
        ray.connect(None, 0, None)
