"""Slurm: the batch file, and a real cluster of three nodes with two pretended cards each."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from bench.cli.app import call
from bench.fleet import layout
from bench.fleet.layout import Fleet
from bench.storage.fleet import read_fleet
from tests.support import fleet, local_slurm
from tests.support.local_slurm import LocalSlurm
from tests.support.paths import ROOT


def test_a_dry_run_prints_a_batch_file_and_submits_nothing(tmp_path, plan, capsys, monkeypatch):
    monkeypatch.setenv("PATH", "")
    out = tmp_path / "my fleet"
    arguments = ["fleet", "slurm", "--nodes", "3", "--gpus-per-node", "8", "--partition", "h100", "--out", str(out)]
    assert call([*arguments, "--time-limit", "01:00:00", "--one-by-one", "--dry-run"]) == 0
    text = capsys.readouterr().out
    for line in ("--nodes=3", "--ntasks-per-node=1", "--gres=gpu:8", "--partition=h100", "--time=01:00:00"):
        assert f"#SBATCH {line}\n" in text
    assert f'#SBATCH --output="{out}/slurm-%j.log"' in text
    assert "--one-by-one" in text
    assert subprocess.run(["/bin/bash", "-n"], input=text, text=True).returncode == 0
    assert not out.exists()


def test_without_slurm_the_error_says_where_to_run_it(tmp_path, capsys, monkeypatch):
    from bench.model import BenchError

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchError, match="no sbatch on this machine"):
        call(["fleet", "slurm", "--nodes", "1", "--out", str(tmp_path / "f")])
    with pytest.raises(BenchError, match="holds a fleet already"):
        call(["fleet", "slurm", "--nodes", "1", "--out", str(tmp_path / "f")])
    with pytest.raises(BenchError, match="was launched by slurm"):
        from bench.fleet import launch

        launch.resume(tmp_path / "f", "ray")


def test_what_is_missing_is_asked_for_by_node(tmp_path):
    from bench.fleet import slurm

    description = Fleet("slurm", 4, 1, settings={"mode": "together"})
    layout.write(tmp_path / layout.FLEET, description)
    layout.expect(tmp_path, ["n1", "n2", "n3"])
    for name in ("n1", "n2"):
        card = layout.Card("GPU-a", 0, "cuda", "X")
        layout.write(tmp_path / name / layout.NODE, layout.Node(name, (card,), "together", ""))
    layout.write(tmp_path / "n1" / "GPU-a" / layout.STATUS, layout.Status("n1", "GPU-a", 0, "done", "", "together"))
    text = slurm.again(tmp_path, description)
    assert "#SBATCH --nodes=3\n" in text
    assert "#SBATCH --nodelist=n2,n3\n" in text
    assert "#SBATCH --exclude=n1\n" in text


# ---- a real Slurm ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    reason = local_slurm.lacking()
    if reason:
        pytest.skip(reason)
    slurm = LocalSlurm(tmp_path_factory.mktemp("slurm"))
    yield slurm
    slurm.stop()


@pytest.fixture
def scripts(tmp_path, cluster):
    folder = tmp_path / "scripts"
    folder.mkdir()
    for number, name in enumerate(cluster.nodes):
        fleet.script(folder / name, 10 * number + 1, 10 * number + 2)
    return folder


CARDS = {(f"n{number + 1}", fleet.uuid(10 * number + slot)) for number in range(3) for slot in (1, 2)}


def launch(cluster, library, scripts, *arguments):
    env = fleet.environment(library, FAKE_NVML_SCRIPTS=scripts, SLURM_CONF=cluster.env["SLURM_CONF"])
    command = [*fleet.COMMAND.split(), "fleet", "slurm", "--command", fleet.COMMAND, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def end(process, code):
    stdout, stderr = process.communicate(timeout=240)
    assert process.returncode == code, stdout + stderr
    return stdout, stderr


def each_window_once(path: Path) -> None:
    """No gap and no duplicate: every card of every node has each of its windows exactly once."""
    frame = read_fleet(path)
    counts = Counter(
        zip(frame["node"].astype(str), frame["card"].astype(str), frame["shape"], frame["repeat"], strict=True)
    )
    assert set(counts) == {(*card, shape, repeat) for card in CARDS for shape in ("one", "two") for repeat in (1, 2)}
    assert set(counts.values()) == {1}
    assert (frame["device_uuid"].astype(str) == frame["card"].astype(str)).all()


def rows_of(out, node):
    return sum(status.rows for _, status in layout.statuses(out) if status.node == node)


@pytest.mark.slow
def test_a_node_that_is_killed_is_resumed(cluster, library, scripts, plan, tmp_path):
    out = tmp_path / "fleet"
    arguments = ("--nodes", 3, "--gpus-per-node", 2, "--plan", plan, "--out", out)
    process = launch(cluster, library, scripts, *arguments)
    cluster.wait_for(lambda: process.poll() is not None or rows_of(out, "n2") >= 1)
    cluster.kill("n2")
    stdout, stderr = end(process, 3)
    assert "bitwatt fleet slurm --resume" in stderr
    assert {(each.node, each.card) for each in layout.missing(out)} == {card for card in CARDS if card[0] == "n2"}
    assert "cut short" in stdout
    before = {path: path.read_bytes() for name in ("n1", "n3") for path in (out / name).rglob("*.csv")}

    cluster.start("n2")
    _, stderr = end(launch(cluster, library, scripts, "--resume", out), 0)
    assert "6 cards on 3 nodes" in stderr
    each_window_once(out / "fleet.parquet")
    # nothing that was done was measured again
    assert before == {path: path.read_bytes() for name in ("n1", "n3") for path in (out / name).rglob("*.csv")}


@pytest.mark.slow
def test_a_fleet_whose_launcher_is_killed_is_followed_to_its_end(cluster, library, scripts, plan, tmp_path):
    out = tmp_path / "fleet"
    jobs = cluster.jobs()
    process = launch(cluster, library, scripts, "--nodes", 3, "--gpus-per-node", 2, "--plan", plan, "--out", out)
    cluster.wait_for(lambda: process.poll() is not None or rows_of(out, "n1") >= 1)
    process.kill()
    process.communicate()
    end(launch(cluster, library, scripts, "--resume", out), 0)
    each_window_once(out / "fleet.parquet")
    assert cluster.jobs() == jobs + 1
