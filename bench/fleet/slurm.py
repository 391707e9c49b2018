"""Slurm: a batch file that a person can read and change, submitted and followed."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench import storage
from bench.fleet import launch, layout
from bench.fleet.layout import Fleet
from bench.model import BenchError, first_line

SCRIPT = "job.sbatch"


def script(folder: Path, fleet: Fleet, *, nodes: int, only: Sequence[str] = (), without: Sequence[str] = ()) -> str:
    """The batch file.

    Args:
        folder: the fleet's folder, which all nodes see.
        fleet: partition, time limit, command and the like, in its settings.
        nodes: how many nodes to ask for.
        only: nodes that must be among them.
        without: nodes that must not.
    """
    settings = fleet.settings
    lines = [f"--nodes={nodes}", "--ntasks-per-node=1"]
    if fleet.cards_per_node:
        lines.append(f"--gres=gpu:{fleet.cards_per_node}")
    lines += [f"--{name}={settings[name]}" for name in ("partition", "time", "account") if settings.get(name)]
    lines += [f"--nodelist={','.join(only)}"] if only else []
    lines += [f"--exclude={','.join(without)}"] if without else []
    home = folder.resolve()
    # an option is not shell text, so a blank in it needs quotes of its own
    lines.append(f'--output="{home}/slurm-%j.log"')
    directives = "\n".join(f"#SBATCH {line}" for line in lines)
    command = settings.get("command") or launch.default_command()
    work = launch.worker(
        command, shlex.quote(str(home / layout.PLAN)), shlex.quote(str(home)), '"$SLURMD_NODENAME"', settings
    )
    return f"""#!/bin/bash
# Written by bitwatt: one worker per node measures every card of that node into {home}.
# Change what you like and submit it by hand with sbatch; what is measured already is not measured again.
#SBATCH --job-name=bitwatt
{directives}
# Other jobs on the node would draw power and take time in the windows:
#SBATCH --exclusive
# A node that fails does not end the others:
#SBATCH --no-kill

scontrol show hostnames "$SLURM_JOB_NODELIST" >> {shlex.quote(str(home / layout.NODES))}
srun --ntasks-per-node=1 --kill-on-bad-exit=0 --no-kill --wait=0 \\
  bash -c {shlex.quote(f"exec {work}")}
"""


def submit(folder: Path, fleet: Fleet, text: str) -> Fleet:
    """Write the batch file, submit it, and note the job in the fleet's file.

    Raises:
        BenchError: Slurm is not there or refuses the job, or the folder cannot be written.
    """
    path = folder / SCRIPT
    storage.write_atomically(path, text)
    job = _slurm("sbatch", "--parsable", str(path)).strip().partition(";")[0]
    fleet = replace(fleet, job=job)
    layout.write(folder / layout.FLEET, fleet)
    return fleet


def state(job: str | None) -> str | None:
    """What Slurm says of a job (``PENDING (Resources)``, ``RUNNING``); None where it has ended."""
    if job is None:
        return None
    try:
        found = _slurm("squeue", "--noheader", f"--jobs={job}", "--format=%T %r").strip()
    except BenchError as error:
        if "Invalid job id" in error.message:
            return None
        raise
    name, _, reason = found.partition(" ")
    if not name or name in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"):
        return None
    return name if reason in ("", "None") else f"{name} ({reason})"


def again(folder: Path, fleet: Fleet) -> str | None:
    """The batch file for what is missing; None where nothing is.

    Nodes that have reported are asked for by name, so that each card is measured in the node that it is in.
    """
    missing = layout.missing(folder)
    if not missing:
        return None
    names, unnamed = launch.nodes_to_resume(missing)
    finished = {node.node for node in layout.nodes(folder)} - set(names)
    return script(folder, fleet, nodes=len(names) + unnamed, only=names, without=sorted(finished) if unnamed else ())


def _slurm(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    except FileNotFoundError:
        raise BenchError(
            f"there is no {command[0]} on this machine", "run this where jobs are submitted, or add --dry-run"
        ) from None
    except subprocess.CalledProcessError as error:
        said = first_line(RuntimeError(error.stderr))
        raise BenchError(f"{command[0]} failed ({said})", "change the options, or the batch file") from error
    return done.stdout
