"""The map in docs/architecture.md, held: who may import whom, and what must not load early."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"

ALLOWED: dict[str, set[str]] = {
    # room → rooms it may import besides itself
    "model": set(),
    "devices": {"model"},
    "kernels_io": {"model"},
    "proof": {"model"},
    "peaks": {"model"},
    "workloads": {"model", "kernels_io", "proof", "peaks"},
    "energy": {"model"},
    "meters": {"model"},
    "runner": {"model", "energy"},
    "environment": {"model", "runner"},
    "store": {"model"},
    "recompute": {"model", "energy", "store"},
    "lines": {"model"},
    "compare": {"model", "lines"},
    "gate": {"model", "compare", "lines"},
    "published": {"model", "compare"},
    "economics": {"model", "compare", "lines"},
    "render": {"model", "units", "store", "sweep", "compare", "lines", "gate", "economics"},
    "results": {"model", "store", "render", "compare", "lines", "published"},
    "report": {"model", "units", "compare", "lines", "published", "economics"},
    "sweep": {"model"},
    "sass": {"model", "kernels_io"},
    "progress": {"model", "units"},
    "units": set(),
    "hatch_build": {"model", "kernels_io"},
    "session": {"model", "runner", "store", "workloads"},
    "verify": {"model", "proof", "recompute", "store"},
}
HEAVY = ("torch", "cupy", "pandas", "scipy", "plotly", "pynvml", "numpy", "ray")


def room(path: Path) -> str:
    return path.relative_to(BENCH).parts[0].removesuffix(".py")


def our_imports(source: str) -> set[str]:
    """First component below ``bench`` of every import in a source text, those inside functions included."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("bench.")}
        elif isinstance(node, ast.ImportFrom) and node.module == "bench":
            found |= {alias.name for alias in node.names if not alias.name.startswith("_")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bench."):
            found.add(node.module.split(".")[1])
    return found


def trespasses(path_room: str, source: str) -> set[str]:
    if path_room in ("cli", "__init__", "__main__"):
        return set()
    return our_imports(source) - ALLOWED[path_room] - {path_room}


@pytest.mark.parametrize("path", sorted(BENCH.rglob("*.py")), ids=lambda path: str(path.relative_to(BENCH)))
def test_every_room_imports_only_what_the_map_allows(path):
    assert not trespasses(room(path), path.read_text())


def test_the_rule_itself_rejects_a_trespass():
    assert trespasses("energy", "def f():\n    from bench.store import read\n") == {"store"}
    assert trespasses("model", "import bench.energy") == {"energy"}
    assert trespasses("compare", "from bench import runner") == {"runner"}


def test_kernels_holds_no_python():
    assert not list((ROOT / "kernels").rglob("*.py"))


def test_hashlib_is_used_nowhere():
    for path in [*BENCH.rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert "hashlib" not in names, path


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["compare", "--help"]])
def test_help_loads_nothing_heavy(arguments):
    code = (
        "import sys\n"
        "from bench.cli import app\n"
        f"try: app({arguments!r})\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        f"print('LOADED', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("LOADED []")
