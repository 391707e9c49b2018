"""Installs a torch plugin of a given name into a folder that a child process puts on its path."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT

CARDS = {"musa": "MTT S4000", "mlu": "MLU370-X8"}


def write_plugin(folder: Path, kind: str, *, autoload: bool = True, body: str | None = None) -> Path:
    """The package ``torch_<kind>``; with ``autoload`` its entry point makes torch load it, as recent plugins do."""
    package = folder / f"torch_{kind}"
    package.mkdir(parents=True)
    body = body or f"from tests.fakes.torch_backend import install\nLIBRARY = install({kind!r}, {CARDS[kind]!r}, 2)\n"
    package.joinpath("__init__.py").write_text(f"{body}\n\ndef _autoload():\n    pass\n", encoding="utf-8")
    about = folder / f"torch_{kind}-2.1.0.dist-info"
    about.mkdir()
    about.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: torch_{kind}\nVersion: 2.1.0\n")
    if autoload:
        about.joinpath("entry_points.txt").write_text(f"[torch.backends]\ntorch_{kind} = torch_{kind}:_autoload\n")
    return folder


def bitwatt(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with the plugin on the path."""
    return subprocess.run(
        [sys.executable, "-m", "bench.cli.app", *arguments],
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", **environment},
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
        check=False,
    )
