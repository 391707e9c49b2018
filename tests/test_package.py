"""The wheel as a stranger gets it: built from the sdist, in an empty environment, no compiler, an empty HOME."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import bench
from tests.support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {"cuda12", "cuda13", "amd", "mthreads", "ray", "zeus", "fleet", "dev"}


def call(*command: str | Path, cwd: Path, path: str = os.environ["PATH"], **environment: str) -> str:
    """stdout of a command that must succeed, with nothing of this environment but what pip and BLAS need."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "OPENBLAS_", "SSL_"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=kept | {"PATH": path} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory) -> Path:
    """An sdist of this checkout, and a wheel built from that sdist with the build tools of this environment."""
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(dist) -> Path:
    return next(dist.glob("*.whl"))


@pytest.fixture(scope="module")
def box(wheel, tmp_path_factory) -> Path:
    """A folder with ``venv/``, which holds the wheel and its dependencies alone, and an empty ``home/``."""
    folder = tmp_path_factory.mktemp("box")
    (folder / "home").mkdir()
    call(sys.executable, "-m", "venv", "venv", cwd=folder)
    call("venv/bin/python", "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel, cwd=folder)
    return folder


def listing(venv: Path) -> set[str]:
    """Files of an environment that are bitwatt's own."""
    patterns = [
        "bin/bitwatt",
        "share/**/*bitwatt*",
        *(f"lib/*/site-packages/{name}/**/*" for name in ("bitwatt*", "bench")),
    ]
    return {str(path) for pattern in patterns for path in venv.glob(pattern) if path.is_file()}


def bitwatt(box: Path, *arguments: str) -> str:
    """stdout of ``bitwatt`` with only its own environment on PATH: neither a compiler nor git."""
    return call(
        box / "venv/bin/bitwatt", *arguments, cwd=box, path=str(box / "venv/bin"), HOME=str(box / "home"), CC="none"
    )


@pytest.mark.slow
def test_the_sdist_gives_the_version_of_its_wheel_without_git(dist, wheel):
    (sdist,) = dist.glob("*.tar.gz")
    version = sdist.name.removeprefix("bitwatt-").removesuffix(".tar.gz")
    assert wheel.name.startswith(f"bitwatt-{version}-py3-none-linux_")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"kernels/sha256d.cu", "bench/hatch_build.py", "constraints.txt", "PKG-INFO", "LICENSE"} <= names


@pytest.mark.slow
def test_the_wheel_names_its_extras_and_carries_no_tests(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("/METADATA"))).decode()
    assert set(re.findall(r"^Provides-Extra: (.+)$", metadata, re.MULTILINE)) == EXTRAS
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"bench", "bitwatt"}
    assert sum(name.endswith(".so") for name in names) == 1


@pytest.mark.slow
def test_everything_works_from_the_wheel_alone(box, wheel):
    assert bitwatt(box, "--version").split() == ["bitwatt", wheel.name.split("-")[1]]
    assert "cpu" in bitwatt(box, "devices")
    assert "sha256d" in bitwatt(box, "run", "--device", "cpu", "--smoke", "--out", "results", "--format", "markdown")
    bitwatt(box, "verify", "results")
    assert "sha256d" in bitwatt(box, "compare", "results")
    bitwatt(box, "report", "results", "-o", "page.html")
    assert (box / "page.html").read_text().startswith("<!doctype html>")
    assert "ASIC" in bitwatt(box, "economics", "results")
    assert [path for path in (box / "home").rglob("*") if path.is_file()] == []


@pytest.mark.slow
def test_uninstalling_leaves_nothing(box):
    assert listing(box / "venv")
    call("venv/bin/python", "-m", "pip", "uninstall", "-q", "-y", "bitwatt", cwd=box)
    assert listing(box / "venv") == set()


def test_a_copy_of_the_source_that_is_not_installed_has_no_version(monkeypatch):
    def missing(name: str) -> str:
        from importlib import metadata

        raise metadata.PackageNotFoundError(name)

    assert re.match(r"\d+\.\d+", bench.__version__)
    monkeypatch.setattr("importlib.metadata.version", missing)
    assert bench.__version__ == "0+unknown"


def test_each_optional_package_is_in_an_extra():
    assert set(PROJECT["optional-dependencies"]) == EXTRAS
