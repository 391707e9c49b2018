"""A node of pretended cards under the fake NVML, and the command on it."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.fakes.nvml.truth import Card, Curve, write_script
from tests.support.paths import ROOT

PLAN = """[selection]
workload = ["fake"]
[transformer]
shape = ["one", "two"]
[timing]
smoke = true
window_s = 0.3
warmup_s = 0.1
repeats = 2
"""


def uuid(number: int) -> str:
    return f"GPU-00000000-0000-0000-0000-{number:012x}"


def script(path: Path, *numbers: int) -> Path:
    """A node's NVML script: a card of 100 W plus its number each."""
    cards = [Card(uuid(number), Curve(points=((0.0, 100.0 + number),))) for number in numbers]
    return write_script(path, time.monotonic_ns(), *cards)


def environment(library: Path, **more: object) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("FAKE_", "CUDA_", "SLURM"))}
    kept |= {"LD_LIBRARY_PATH": str(library), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return kept | {key: str(value) for key, value in more.items()}


COMMAND = f"{sys.executable} -m tests.fakes.fleet"


def bitwatt(env: dict[str, str], *arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND.split(), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, timeout=timeout)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
