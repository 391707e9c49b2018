"""A real Slurm of one controller and several nodes on this machine, each node with two pretended GPUs; needs root.

Debian's slurm-wlm and munge. Nodes share the host and have a port each; a GPU is a character device that is /dev/null.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import psutil

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch")

CONFIGURATION = """ClusterName=local
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/ctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/ctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdTimeout=8
KillWait=2
MinJobAge=300
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs=2 RealMemory=2000 Gres=gpu:2
PartitionName=all Nodes=n[1-{nodes}] Default=YES State=UP
"""


def lacking() -> str | None:
    """Why there can be no Slurm here; None where there can."""
    if os.geteuid() != 0:
        return "a Slurm of one's own needs root"
    programs = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"{programs[0]} is not installed (apt install slurm-wlm munge)" if programs else None


class LocalSlurm:
    def __init__(self, folder: Path, nodes: int = 3, port: int = 27_000) -> None:
        self.folder = folder
        self.nodes = [f"n{number}" for number in range(1, nodes + 1)]
        self.env = {"SLURM_CONF": str(folder / "slurm.conf")}
        for name in ("state", "spool"):
            (folder / name).mkdir(parents=True)
        (folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                host=socket.gethostname().partition(".")[0],
                folder=folder,
                nodes=nodes,
                port=port,
                first=port + 1,
                last=port + nodes,
            )
        )
        gres = []
        for name in self.nodes:
            for number in (0, 1):
                os.mknod(folder / f"gpu_{name}_{number}", 0o600 | 0o020000, os.makedev(1, 3))
            gres.append(f"NodeName={name} Name=gpu File={folder}/gpu_{name}_[0-1]\n")
        (folder / "gres.conf").write_text("".join(gres))
        self._munge()
        self.run("slurmctld", "-c")
        for name in self.nodes:
            self.start(name)
        self.wait_for(lambda: self.run("sinfo", "-h", "-o", "%t %D").split() == ["idle", str(nodes)])

    def _munge(self) -> None:
        if subprocess.run(["munge", "-n"], capture_output=True).returncode == 0:
            return
        Path("/run/munge").mkdir(exist_ok=True)
        shutil.chown("/run/munge", "munge")
        subprocess.run(["runuser", "-u", "munge", "--", "munged"], check=True)

    def run(self, *command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **self.env}, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, name: str) -> None:
        self.run("slurmd", "-N", name, "-f", self.env["SLURM_CONF"])

    def kill(self, name: str) -> None:
        """A node loses its power: its daemon, its steps and all that they started end at once."""
        os.kill(self._pid(name), signal.SIGKILL)
        doomed: list[psutil.Process] = []
        for process in psutil.process_iter(["name", "cmdline"]):
            command = process.info["cmdline"] or []
            if "--node" in command and name in command:
                steps = [each for each in process.parents() if each.name().startswith("slurmstepd")]
                doomed += [*steps, process, *process.children(recursive=True)]
        assert doomed, f"nothing runs on {name}"
        for process in doomed:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def _pid(self, name: str) -> int:
        return int((self.folder / f"{name}.pid").read_text())

    def jobs(self) -> int:
        """Jobs that were ever submitted."""
        return len(set(self.run("squeue", "--all", "--states=all", "-h", "-o", "%A").split()))

    def stop(self) -> None:
        subprocess.run(["scancel", "--state=RUNNING", "--user=root"], env={**os.environ, **self.env})
        for path in self.folder.glob("*.pid"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(path.read_text()), signal.SIGTERM)

    @staticmethod
    def wait_for(condition, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.1)
