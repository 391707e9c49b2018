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
    # package → packages it may import besides itself
    "model": set(),
    "data": {"model"},
    "storage": {"model", "data"},
    "workloads": {"model", "data"},
    "power": {"model", "data"},
    "analysis": {"model", "data"},
    "measure": {"model", "data", "storage", "workloads", "power", "analysis"},
    "audit": {"model", "data", "storage", "power", "workloads", "analysis", "output"},
    "output": {"model", "data", "storage", "analysis"},
    "report": {"model", "data", "storage", "analysis", "output"},
    "hatch_build": {"model", "workloads"},
}
ANYTHING = {"cli", "__init__"}
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
    if path_room in ANYTHING:
        return set()
    return our_imports(source) - ALLOWED[path_room] - {path_room}


@pytest.mark.parametrize("path", sorted(BENCH.rglob("*.py")), ids=lambda path: str(path.relative_to(BENCH)))
def test_every_room_imports_only_what_the_map_allows(path):
    assert not trespasses(room(path), path.read_text())


def test_the_rule_itself_rejects_a_trespass():
    assert trespasses("power", "def f():\n    from bench.storage.store import read\n") == {"storage"}
    assert trespasses("model", "import bench.power.energy") == {"power"}
    assert trespasses("analysis", "from bench import runner") == {"runner"}


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
        "from bench.cli.app import app\n"
        f"try: app({arguments!r})\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        f"print('LOADED', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("LOADED []")
