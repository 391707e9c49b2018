"""Holds docs/architecture.md: who may import whom. Also sizes, what must not load early, and what must not be used."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import factory

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
SOURCES = sorted(BENCH.rglob("*.py"))

# ---- imports: the table of the map is the rule --------------------------------------------------------------------


def read_map(document: str) -> dict[str, set[str]]:
    """Package → packages it may import: first and last cell of the map's rows."""
    rows = re.findall(r"^\| `([\w/.]+?)/?` \|.*\| ([^|]*) \|$", document, re.MULTILINE)
    return {name: set(re.findall(r"[\w/]+", imports)) for name, imports in rows}


MAP = read_map((ROOT / "docs/architecture.md").read_text())


def package(parts: tuple[str, ...]) -> str:
    """The deepest package of the map that holds a module; the first part where the map names none."""
    names = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    return next((name for name in reversed(names) if name in MAP), names[0])


def imports(source: str) -> set[tuple[str, ...]]:
    """Every module below ``bench`` that a source text imports, also inside functions; ``bench`` itself is left out."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names if not alias.name.startswith("_")}
    return {tuple(name.split(".")[1:]) for name in found if name.startswith("bench.")}


def forbidden(here: str, source: str) -> set[str]:
    """Packages that a module of package ``here`` imports against the map. Its own and the one around it are allowed."""
    if "all" in MAP[here]:
        return set()
    targets = {package(parts) for parts in imports(source)} - {here, here.rpartition("/")[0]}
    return {target for target in targets if not MAP[here] & {target, target.split("/")[0]}}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(BENCH)))
def test_each_package_imports_only_what_the_map_allows(path):
    here = package(path.relative_to(BENCH).parts)
    assert here in MAP, "docs/architecture.md has no row for this package"
    assert not forbidden(here, path.read_text())


def test_the_rule_rejects_a_forbidden_import():
    assert forbidden("power", "def f():\n    from bench.storage.store import read\n") == {"storage"}
    assert forbidden("model", "import bench.power.energy") == {"power"}
    assert forbidden("analysis", "from bench import report") == {"report"}
    assert forbidden("workloads/hashing", "from bench.workloads.transformer import dtypes") == {"workloads/transformer"}
    assert forbidden("workloads/hashing", "from bench.workloads import load") == set()


def test_the_map_names_packages_that_exist_and_has_no_cycle():
    assert [name for name in MAP if not (BENCH / name).exists()] == []
    assert set().union(*MAP.values()) <= {*MAP, "all"}
    graphlib.TopologicalSorter({name: allowed - {"all"} for name, allowed in MAP.items()}).prepare()


# ---- sizes: a file has one job, a function fits on a screen -------------------------------------------------------

FILE_LINES, FUNCTION_LINES = 500, 80


def too_long(name: str, source: str) -> set[str]:
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    found = {f"{name} {each.name}" for each in functions if each.end_lineno - each.lineno >= FUNCTION_LINES}
    return found | ({name} if len(source.splitlines()) > FILE_LINES else set())


def test_no_file_and_no_function_is_too_long():
    found = set().union(*(too_long(str(path.relative_to(BENCH)), path.read_text()) for path in SOURCES))
    assert found == set()


def test_the_size_rule_rejects_one_line_too_many():
    assert too_long("a.py", "def f():\n" + "    pass\n" * (FUNCTION_LINES - 1)) == set()
    assert too_long("a.py", "def f():\n" + "    pass\n" * FUNCTION_LINES) == {"a.py f"}
    assert too_long("a.py", "pass\n" * FILE_LINES) == set()
    assert too_long("a.py", "pass\n" * (FILE_LINES + 1)) == {"a.py"}


# ---- what must not be used, and what must not load early ----------------------------------------------------------


def uses_hashlib(source: str) -> bool:
    nodes = list(ast.walk(ast.parse(source)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return "hashlib" in names | {node.module for node in nodes if isinstance(node, ast.ImportFrom)}


def test_hashlib_is_used_nowhere():
    assert uses_hashlib("def f():\n    from hashlib import sha256\n")
    assert uses_hashlib("import hashlib as h")
    assert not [path for path in [*SOURCES, *(ROOT / "tests").rglob("*.py")] if uses_hashlib(path.read_text())]


def test_kernels_holds_no_python():
    assert not list((ROOT / "kernels").rglob("*.py"))


HEAVY = {"torch", "cupy", "pandas", "scipy", "plotly", "pynvml", "numpy", "ray"}


def heavy_modules_after(arguments: list[str], first: str = "pass") -> set[str]:
    """The heavy modules that ``bitwatt ARGUMENTS`` has loaded when it ends."""
    code = (
        f"import sys\n{first}\nsys.argv = ['bitwatt', *{arguments!r}]\n"
        "from bench.cli.app import main\n"
        "try: main()\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        "print('LOADED', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return HEAVY & set(done.stdout.rpartition("LOADED")[2].split())


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["compare", "--help"]], ids=" ".join)
def test_help_loads_nothing_heavy(arguments):
    assert heavy_modules_after(arguments) == set()


def test_compare_loads_no_gpu_library(tmp_path):
    results = factory.write(tmp_path / "a.csv", factory.run(factory.CARD_A, 3))
    assert heavy_modules_after(["compare", str(results)]) & {"torch", "cupy", "pynvml"} == set()


def test_the_check_of_loaded_modules_sees_a_heavy_one():
    assert heavy_modules_after(["--help"], "import numpy") == {"numpy"}
