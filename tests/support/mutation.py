"""Mutation testing of a random sample: how many small changes of the code do the tests notice? Run as a program:

python -m tests.support.mutation COUNT [PACKAGE …]

COUNT mutants of each package of :data:`PACKAGES` are drawn, always the same ones for the same code. Which tests run is
in ``[tool.mutmut]`` of pyproject.toml. Printed are the survivors with their change, and the scores.
"""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys

from tests.support.paths import ROOT

PACKAGES = {
    "shares": "bench.workloads.hashing.shares",
    "storage": "bench.storage",
    "audit": "bench.audit",
    "analysis": "bench.analysis",
    "power": "bench.power",
}
SURVIVED = {0, 5, 33}
"""Mutmut's codes of mutants that all tests passed with, or that no test reached."""


def mutmut(*arguments: str, quiet: bool = False) -> str:
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE if quiet else None, check=False, text=True).stdout


def outcomes() -> dict[str, int | None]:
    """Mutant → mutmut's exit code, or None where it has not been run."""
    found: dict[str, int | None] = {}
    for path in (ROOT / "mutants").rglob("*.meta"):
        found |= json.loads(path.read_text())["exit_code_by_key"]
    return found


def score(killed: int, of: int) -> str:
    """Share killed with the 95% half-width of sampling, in percent."""
    share = killed / of
    return f"{killed} of {of}, {100 * share:.0f} ± {196 * math.sqrt(share * (1 - share) / of):.0f}%"


def main(count: int, packages: list[str]) -> None:
    mutmut("run", "--max-children", "1", "none", quiet=True)  # no mutant of this name: generates them and ends
    every = sorted(outcomes())
    drawn: dict[str, list[str]] = {}
    for package in packages:
        names = [name for name in every if name.startswith(PACKAGES[package] + ".")]
        drawn[package] = random.Random(13).sample(names, min(count, len(names)))
        print(f"{package}: {len(names)} mutants, {len(drawn[package])} drawn", flush=True)
    mutmut("run", "--max-children", "1", *(name for names in drawn.values() for name in names), quiet=True)
    found = outcomes()
    for names in drawn.values():
        for name in sorted(name for name in names if found[name] in SURVIVED):
            print(mutmut("show", name, quiet=True))
    for package, names in drawn.items():
        print(f"{package}: killed {score(sum(found[name] not in SURVIVED for name in names), len(names))}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:] or list(PACKAGES))
