"""Installs this checkout into the running virtual environment, with the CUDA builds that fit the driver and the cards.

``make`` runs it before anything else is installed, so it needs the standard library only. It decides first and installs
afterwards: where no build fits, it says what to do and installs nothing.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CUDA12_TORCH = "https://download.pytorch.org/whl/cu126"
"""The CUDA 12 build of torch 2.13; PyPI has the CUDA 13 build."""
CUDA12_DRIVER, CUDA13_DRIVER = 525, 580
"""The oldest driver branches (docs.nvidia.com/deploy/cuda-compatibility)."""
CUDA12_CARDS, CUDA13_CARDS = (5.0, 9.0), (7.5, float("inf"))
"""Lowest and highest compute capability (torch 2.12 and later: github.com/pytorch/pytorch/issues/178665)."""
PROC = Path("/proc/driver/nvidia/version")


class UnsupportedError(Exception):
    """No published build fits; the message says what to do."""


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA card: the driver's branch (its first number) and the compute capability, None where unreadable."""

    name: str
    driver: int
    capability: float | None = None


def parse(table: str) -> list[Gpu]:
    """Cards from ``nvidia-smi --query-gpu=driver_version,compute_cap,name --format=csv,noheader``.

    Lines that are no card, such as the message of a driver that does not answer, are skipped.
    """
    cards = []
    for line in table.splitlines():
        driver, _, rest = (cell.strip() for cell in line.partition(","))
        capability, _, name = (cell.strip() for cell in rest.partition(","))
        if name and driver.split(".")[0].isdigit():
            known = capability.replace(".", "", 1).isdigit()
            cards.append(Gpu(name, int(driver.split(".")[0]), float(capability) if known else None))
    return cards


def parse_proc(text: str) -> list[Gpu]:
    """A card of unknown kind from ``/proc/driver/nvidia/version``: containers may have it without nvidia-smi."""
    for word in text.split():
        major, dot, minor = word.partition(".")
        if dot and len(major) == 3 and major.isdigit() and minor.replace(".", "").isdigit():
            return [Gpu("NVIDIA card", int(major))]
    return []


def find_gpus() -> list[Gpu]:
    """The NVIDIA cards of this machine; empty where there is no driver."""
    query = ["nvidia-smi", "--query-gpu=driver_version,compute_cap,name", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
        found = parse(done.stdout)
    except (OSError, subprocess.TimeoutExpired):
        found = []
    return found or (parse_proc(PROC.read_text()) if PROC.exists() else [])


def choose(gpus: Iterable[Gpu]) -> str:
    """The extra that serves all cards: ``cuda13``, ``cuda12``, or ``none`` where there is no card.

    Raises:
        UnsupportedError: no single build serves all cards with this driver.
    """
    cards = list(gpus)
    if not cards:
        return "none"
    driver = min(card.driver for card in cards)
    known = [(card.capability, card.name) for card in cards if card.capability is not None]
    lowest, highest = min(known, default=None), max(known, default=None)
    if driver >= CUDA13_DRIVER and (not lowest or lowest[0] >= CUDA13_CARDS[0]):
        return "cuda13"
    if driver < CUDA12_DRIVER:
        raise UnsupportedError(
            f"NVIDIA driver {driver} is too old for CUDA 12. To fix: install driver {CUDA13_DRIVER} or later, or at "
            f"least {CUDA12_DRIVER}; to measure the CPU alone: make bench CUDA_BUILD=none DEVICE=cpu"
        )
    if lowest and lowest[0] < CUDA12_CARDS[0]:
        raise UnsupportedError(
            f"the {lowest[1]} (compute capability {lowest[0]}) is too old for every current build of torch. To fix: "
            "to measure the CPU alone, make bench CUDA_BUILD=none DEVICE=cpu"
        )
    if highest and highest[0] > CUDA12_CARDS[1]:
        if driver < CUDA13_DRIVER:
            raise UnsupportedError(
                f"the {highest[1]} (compute capability {highest[0]}) needs a CUDA 13 build of torch, and that needs a "
                f"newer driver than {driver}. To fix: install driver {CUDA13_DRIVER} or later"
            )
        raise UnsupportedError(
            f"no single build of torch serves both the {lowest[1] if lowest else ''} and the {highest[1]}. To fix: use "
            "two environments, make bench VENV=.venv12 CUDA_BUILD=cuda12 ARGS='--device cuda:N' for the older card, "
            "and VENV=.venv13 CUDA_BUILD=cuda13 for the newer one"
        )
    return "cuda12"


def pip_calls(build: str, *, dev: bool, pip_args: list[str]) -> list[list[str]]:
    """Arguments of each ``pip install``: torch first where it must not come from PyPI, then this checkout."""
    extras = [*(["dev"] if dev else []), *([build] if build != "none" else [])]
    common = ["-q", *pip_args, "-c", "constraints.txt"]
    calls = [[*common, "-e", f".[{','.join(extras)}]" if extras else "."]]
    if build == "cuda12":
        calls.insert(0, [*common, "--index-url", CUDA12_TORCH, "torch"])
    return calls


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description="Install this checkout with the CUDA builds that fit this machine.")
    parser.add_argument("--build", choices=["auto", "none", "cuda12", "cuda13"], default="auto")
    parser.add_argument("--dev", action="store_true", help="also install what the tests need")
    parser.add_argument("--dry-run", action="store_true", help="print the pip commands and run nothing")
    parser.add_argument("pip_args", nargs="*", metavar="-- PIP_ARGS", help="more arguments for pip")
    options = parser.parse_args()
    try:
        build = choose(find_gpus()) if options.build == "auto" else options.build
    except UnsupportedError as reason:
        print(f"bitwatt: {reason}", file=sys.stderr)
        return 2
    print(f"CUDA build: {build}", file=sys.stderr)
    for arguments in pip_calls(build, dev=options.dev, pip_args=options.pip_args):
        command = [sys.executable, "-m", "pip", "install", *arguments]
        if options.dry_run:
            print(shlex.join(["pip", "install", *arguments]))
        elif code := subprocess.run(command, check=False).returncode:  # noqa: S603
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
