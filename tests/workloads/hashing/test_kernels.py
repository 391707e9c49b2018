"""Access to kernels/: sources are found, the library is built whole, once, and only when it must be."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.model import BenchError
from bench.workloads.hashing import kernels
from tests.support.paths import ROOT


def small_tree(folder: Path) -> Path:
    sources = folder / "kernels"
    sources.mkdir()
    (sources / "host.c").write_text("int bw_answer(void) { return 42; }\n")
    return sources


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout of one tiny C file, whose library is not there yet."""
    sources = small_tree(tmp_path)
    (tmp_path / "bench").mkdir()
    monkeypatch.setattr(kernels, "PACKAGE", tmp_path / "bench")
    monkeypatch.setattr(kernels, "NATIVE", tmp_path / "bench" / "_native")
    monkeypatch.setattr(kernels, "SCANS", {})
    return sources


def test_source_reads_text_and_refuses_what_is_not_there():
    assert "SHA256D_K63" in kernels.source("sha256d.h")
    with pytest.raises(BenchError, match=r"cannot read the kernel source nothing\.cu"):
        kernels.source("nothing.cu")


def test_an_installed_package_carries_its_own_sources(checkout, tmp_path):
    assert kernels.kernel_dir() == checkout
    (tmp_path / "bench" / "_kernels").mkdir()
    assert kernels.kernel_dir() == tmp_path / "bench" / "_kernels"


def test_no_sources_at_all_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "PACKAGE", tmp_path / "a" / "b")
    with pytest.raises(BenchError, match="sources are missing"):
        kernels.kernel_dir()


def test_the_library_is_built_once_and_again_after_an_edit(checkout, capsys):
    assert not kernels.library_is_current()
    built = kernels.ensure_library()
    assert kernels.library_is_current()
    first = built.stat()
    assert kernels.ensure_library().stat() == first
    later = first.st_mtime_ns + 1_000_000_000
    os.utime(checkout / "host.c", ns=(later, later))
    assert not kernels.library_is_current()
    assert kernels.ensure_library().stat().st_ino != first.st_ino
    # What to print while it compiles is the caller's business.
    assert capsys.readouterr() == ("", "")


def test_an_installed_library_is_never_rebuilt(checkout, tmp_path, monkeypatch):
    checkout.rename(tmp_path / "bench" / "_kernels")
    native = tmp_path / "bench" / "_native"
    native.mkdir()
    (native / kernels.LIBRARY).write_text("as it came")
    os.utime(native / kernels.LIBRARY, (1, 1))
    monkeypatch.setenv("CC", "no-such-compiler")
    assert kernels.ensure_library().read_text() == "as it came"


def test_two_at_once_compile_once(checkout, monkeypatch):
    built, build = [], kernels.build_library
    monkeypatch.setattr(kernels, "build_library", lambda *paths: built.append(paths) or build(*paths))
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(lambda _: kernels.ensure_library(), range(4)))
    assert len(paths) == len(built) == 1
    assert sorted(p.name for p in kernels.NATIVE.iterdir()) == [".lock", kernels.LIBRARY]


def test_no_compiler_is_one_sentence(checkout, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    with pytest.raises(BenchError, match="'no-such-compiler' named by CC was not found") as caught:
        kernels.ensure_library()
    assert "apt-get install gcc" in caught.value.fix
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BenchError, match="a C compiler was not found"):
        kernels.ensure_library()


def test_a_failed_compile_names_the_error_and_leaves_nothing(checkout):
    (checkout / "host.c").write_text("this is not C\n")
    with pytest.raises(BenchError, match=r"failed on the host library: .*error"):
        kernels.ensure_library()
    assert [p.name for p in kernels.NATIVE.iterdir()] == [".lock"]


def test_a_folder_that_cannot_be_written_is_one_sentence(checkout, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(kernels, "NATIVE", tmp_path / "file" / "_native")
    with pytest.raises(BenchError, match="cannot be written"):
        kernels.ensure_library()


def test_declarations_leave_out_the_preprocessor():
    text = kernels.declarations("#ifndef A\n  #include <x.h>\nint f(void);\n#endif\n")
    assert text.strip() == "int f(void);"


@pytest.mark.parametrize(
    ("machine", "isas"),
    [
        ("x86_64", {"avx512", "avx2", "shani", "shanivl", "sse2", "generic"}),
        ("aarch64", {"neon", "armv8", "generic"}),
        ("arm64", {"neon", "armv8", "generic"}),
        ("riscv64", {"generic"}),
    ],
)
def test_what_is_compiled_for_each_machine(machine, isas):
    listed = [unit for unit in kernels.units(machine) if unit.source == "sha256d_cpu.c"]
    assert {unit.isa for unit in listed} == isas
    assert kernels.Unit("host.c") in kernels.units(machine)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling")
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.whl"))


def test_the_wheel_carries_sources_and_library(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "py3-none-linux" in wheel.name
    assert f"bench/_native/{kernels.LIBRARY}" in names
    for file in ("host.h", "sha256d.h", "sha256d_cpu.c", "sha256d.cu"):
        assert f"bench/_kernels/{file}" in names


def test_the_wheel_hashes_without_a_compiler(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    program = (
        "from bench.model import Device, Variant\n"
        "from bench.workloads.hashing import kernels\n"
        "from bench.workloads.hashing import sha256d\n"
        "job = sha256d.build(Device('cpu', 0, 'x'), Variant('sha256d'))\n"
        "assert job.verify().ok\n"
        "print(kernels.NATIVE)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "CC": "no-such-compiler"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "bench" / "_native")
