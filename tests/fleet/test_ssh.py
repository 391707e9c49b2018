"""ssh: the host file, a stand-in for ssh that runs the command here, and a real sshd."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from bench.fleet import layout, ssh
from bench.model import BenchError
from bench.storage.fleet import read_fleet
from tests.support import fleet

CPU = ("--device", "cpu", "--meter", "none", "--shape", "one", "--repeats", 1)


def run(env, out, hosts, plan, *arguments):
    command = ("fleet", "ssh", "--hosts", hosts, "--plan", plan, "--out", out, "--command", fleet.COMMAND)
    return fleet.bitwatt(env, *command, *CPU, *arguments)


def test_hosts_are_read_one_per_line(tmp_path):
    path = tmp_path / "hosts"
    path.write_text("# rack 1\nn1\nroot@n2  # new\n\n")
    assert ssh.hosts(path) == [ssh.Host("n1", "n1"), ssh.Host("n2", "root@n2")]


@pytest.mark.parametrize(
    ("text", "says"),
    [("-oProxyCommand=x", "is not a host"), ("a b", "is not a host"), ("n1\nme@n1", "twice"), ("# none", "no host")],
)
def test_a_wrong_host_file_is_refused(tmp_path, text, says):
    path = tmp_path / "hosts"
    path.write_text(text)
    with pytest.raises(BenchError, match=says):
        ssh.hosts(path)
    with pytest.raises(BenchError, match="cannot read the host file"):
        ssh.hosts(tmp_path / "none")


def test_a_host_cannot_write_outside_its_own_folder(tmp_path):
    host = ssh.Host("n1", "n1")
    with tarfile.open(tmp_path / ".n1.tar", "w") as archive:
        for name in ("n1/good", "n2/foreign", "../escaped", "n1/../../up"):
            entry = tarfile.TarInfo(name)
            entry.size = 1
            archive.addfile(entry, io.BytesIO(b"x"))
    (tmp_path / "n1.log").write_text("")
    said = []
    ssh._home(tmp_path, host, 0, said.append)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} <= {"n1.log", "n1/good"}
    assert not (tmp_path.parent / "escaped").exists()
    assert not (tmp_path.parent / "up").exists()


@pytest.mark.slow
def test_shards_come_home_and_a_host_that_is_down_is_resumed(plan, tmp_path):
    """The stand-in runs the command in a home of its own per host; a host whose home is not there is down."""
    fake = tmp_path / "ssh"
    fake.write_text(
        f'#!/bin/sh\ncd {tmp_path}/homes/"$1" 2>/dev/null || {{ echo "ssh: connect to $1: no route" >&2; exit 255; }}\n'
        'exec sh -c "$2"\n'
    )
    fake.chmod(0o755)
    hosts = tmp_path / "hosts"
    hosts.write_text("n1\nn2\n")
    (tmp_path / "homes" / "n1").mkdir(parents=True)
    env = fleet.environment(tmp_path, FAKE_NVML_SCRIPT="none")
    out = tmp_path / "fleet"
    first = run(env, out, hosts, plan, "--ssh", str(fake))
    assert first.returncode == 3, first.stderr
    assert "n2 sent no shards: ssh: connect to n2: no route" in first.stderr
    assert [(each.node, each.reason) for each in layout.missing(out)] == [("n2", layout.SILENT)]
    before = {path: path.read_bytes() for path in (out / "n1").rglob("*.csv")}

    (tmp_path / "homes" / "n2").mkdir()
    second = fleet.bitwatt(env, "fleet", "ssh", "--hosts", hosts, "--resume", out)
    assert second.returncode == 0, second.stderr
    frame = read_fleet(out / "fleet.parquet")
    assert sorted(frame["node"].astype(str)) == ["n1", "n2"]
    assert before == {path: path.read_bytes() for path in (out / "n1").rglob("*.csv")}
    assert len(list(out.rglob("*.samples.jsonl"))) == 2


@pytest.fixture
def sshd(tmp_path):
    """A real sshd on a port of this machine, for root by a key of its own; gives the client's configuration."""
    if shutil.which("sshd", path="/usr/sbin") is None or os.geteuid() != 0:
        pytest.skip("needs root and sshd (apt install openssh-server)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path / "sshd"
    folder.mkdir(mode=0o700)
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copy(folder / "client.pub", folder / "authorized")
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile {folder}/pid\n"
        f"AuthorizedKeysFile {folder}/authorized\nPermitRootLogin yes\nStrictModes no\nUsePAM no\n"
    )
    (folder / "config").write_text(
        f"Host n*\nHostName 127.0.0.1\nPort {port}\nUser root\nIdentityFile {folder}/client\nIdentitiesOnly yes\n"
        f"UserKnownHostsFile {folder}/known\nStrictHostKeyChecking accept-new\nBatchMode yes\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", folder / "sshd_config"], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield folder / "config"
    server.terminate()
    server.wait()


@pytest.mark.slow
def test_over_a_real_sshd(sshd, plan, tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("n1\nn2\n")
    out = tmp_path / "fleet"
    env = fleet.environment(tmp_path)
    # sshd gives the worker an environment of its own
    command = f"env PYTHONPATH={env['PYTHONPATH']} FAKE_NVML_SCRIPT=none {fleet.COMMAND}"
    arguments = ("fleet", "ssh", "--hosts", hosts, "--plan", plan, "--out", out, "--ssh", f"ssh -F {sshd}")
    done = fleet.bitwatt(env, *arguments, "--command", command, *CPU)
    remote = layout.read(out / layout.FLEET, layout.Fleet).settings["remote"]
    shutil.rmtree(Path.home() / remote, ignore_errors=True)
    assert done.returncode == 0, done.stderr
    frame = read_fleet(out / "fleet.parquet")
    assert sorted(frame["node"].astype(str)) == ["n1", "n2"]
