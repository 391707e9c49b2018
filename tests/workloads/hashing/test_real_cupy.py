"""The stand-in for CuPy against CuPy itself, which loads without a driver, and its compiler on every kernel.

Skipped where CuPy is not installed; CI installs it (``.ci/run``).
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from bench.workloads.hashing import kernels, sass, scrypt_cuda, sha256d_cuda
from tests.fakes.cuda import driver
from tests.fakes.cuda.real import parameters
from tests.support.paths import ROOT, TESTS

cupy = pytest.importorskip("cupy", reason="CuPy is not installed: pip install cupy-cuda13x")
if "stand-in" in cupy.__version__:
    pytest.skip("CuPy is the stand-in here", allow_module_level=True)

OURS = """
import inspect, json
from types import SimpleNamespace
import cupy

SPECIAL = ("__enter__", "__exit__", "__getitem__", "__call__", "__init__")

def names(value, path):
    for name, member in vars(value).items():
        where, ours = [*path, name], (getattr(member, "__module__", None) or "").startswith("cupy")
        if name.startswith("_") and name not in SPECIAL:
            continue
        if isinstance(member, SimpleNamespace) or inspect.ismodule(member) and member.__name__.startswith("cupy"):
            yield from names(member, where)
        elif inspect.isclass(member) and (ours or isinstance(value, SimpleNamespace)):
            yield where, None
            if ours:
                yield from names(member, where)
        elif inspect.isfunction(member) and ours:
            yield where, [name for name in inspect.signature(member).parameters if name != "self"]
        elif isinstance(member, property):
            yield where, None

print(json.dumps(list(names(cupy, []))))
"""
"""Prints every public name of the stand-in, with the parameters of its functions."""
MADE_BY_CUPY = {"ndarray.__init__", "RawKernel.__init__"}
"""Nobody else calls these."""


def stand_in() -> dict[str, list[str] | None]:
    path = os.pathsep.join(map(str, (TESTS / "fakes" / "cuda", ROOT)))
    run = subprocess.run([sys.executable, "-c", OURS], env={**os.environ, "PYTHONPATH": path}, capture_output=True)
    assert run.returncode == 0, run.stderr.decode()
    return {".".join(where): given for where, given in json.loads(run.stdout)}


NAMES = {name: given for name, given in stand_in().items() if name not in MADE_BY_CUPY}


def missing(name: str, given: list[str] | None) -> str | None:
    """What CuPy lacks of one name of the stand-in."""
    try:
        value: Any = functools.reduce(getattr, name.removesuffix(".__init__").split("."), cupy)
    except AttributeError as error:
        return str(error)
    if given is None or name.endswith(("__enter__", "__exit__", "__getitem__")):
        return None
    real = parameters(value)
    extra = [parameter for parameter in given if parameter not in real]
    return f"{name} does not take {extra}; it takes {real}" if extra else None


def test_the_stand_in_is_looked_through() -> None:
    assert {"zeros", "RawModule.compile", "cuda.Device.use", "cuda.runtime.memGetInfo", "cuda.Event.record"} <= set(
        NAMES
    )


@pytest.mark.parametrize("name", NAMES)
def test_cupy_has_every_name_of_the_stand_in(name: str) -> None:
    assert missing(name, NAMES[name]) is None


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("cuda.Device.activate", []),
        ("cuda.Stream.__init__", ["blocking"]),
        ("RawModule.__init__", ["source"]),
        ("cuda.driver.occupancyMaxActiveBlocksPerMultiprocessor", ["kernel"]),
    ],
)
def test_a_name_that_cupy_does_not_have_is_found(name: str, given: list[str]) -> None:
    assert missing(name, given)


@pytest.mark.parametrize("status", driver.RUNTIME_ERRORS)
def test_errors_read_as_cupys(status: int) -> None:
    """Advice is chosen by the error's name."""
    assert str(cupy.cuda.runtime.CUDARuntimeError(status)) == driver.RUNTIME_ERRORS[status]


def test_errors_are_of_the_kinds_that_are_caught() -> None:
    assert issubclass(cupy.cuda.runtime.CUDARuntimeError, RuntimeError)
    assert issubclass(cupy.cuda.driver.CUDADriverError, RuntimeError)
    assert issubclass(cupy.cuda.memory.OutOfMemoryError, MemoryError)
    assert str(cupy.cuda.memory.OutOfMemoryError(8, 16)).startswith("Out of memory allocating 8 bytes")


def compiled(name: str, defines: dict[str, int], arch: int) -> bytes:
    """Machine code by CuPy's own compiler, with the options that it adds."""
    options = ("--std=c++14", *(f"-D{key}={value}" for key, value in defines.items()), "-ftz=true")
    code, _ = cupy.cuda.compiler.compile_using_nvrtc(kernels.whole_source(name), options, str(arch), "kernel.cu")
    return code


@pytest.fixture
def without_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """CuPy remembers the option per device, so it asks for the current one; there is none."""
    monkeypatch.setattr(
        cupy.cuda.compiler, "_get_arch_for_options_for_nvrtc", lambda arch=None: (f"-arch=sm_{arch}", "cubin")
    )


@pytest.mark.slow
@pytest.mark.parametrize("arch", sass.ARCHITECTURES)
def test_cupy_compiles_every_kernel(without_device: None, arch: int) -> None:
    jobs = [
        ("sha256d.cu", {"SHA256D_VARIANT": v, "NONCES_PER_THREAD": 16, "SHA256D_THREADS": 256})
        for v in sha256d_cuda.VARIANTS
    ] + [
        ("scrypt.cu", {"SCRYPT_GAP": gap, "SCRYPT_WIDE": wide, "SCRYPT_THREADS": 128})
        for gap, wide in scrypt_cuda.GAPS_AND_WIDE
    ]
    with ThreadPoolExecutor(2) as pool:
        for (name, _), code in zip(jobs, pool.map(lambda job: compiled(*job, arch), jobs), strict=True):
            assert code.startswith(b"\x7fELF")
            assert b".text." + {"sha256d.cu": b"sha256d_scan", "scrypt.cu": b"scrypt_scan"}[name] + b"\0" in code


def test_cupys_compiler_refuses_a_fault(without_device: None) -> None:
    with pytest.raises(cupy.cuda.compiler.CompileException, match="must be"):
        compiled("sha256d.cu", {"SHA256D_VARIANT": 9}, 90)


def test_the_machine_code_is_what_the_bounds_are_counted_in(without_device: None) -> None:
    """CuPy's further options change no instruction of the kernel."""
    defines = {"SHA256D_VARIANT": 3, "NONCES_PER_THREAD": 1}
    # CuPy drops the last byte, a zero; the driver does not mind, nvdisasm does.
    by_cupy = sass.disassemble(compiled("sha256d.cu", defines, 90) + b"\0")
    by_us = sass.disassemble(sass.compile_cubin(kernels.whole_source("sha256d.cu"), 90, defines=defines).image)
    assert list(sass.instructions(by_cupy, "sha256d_scan")) == list(sass.instructions(by_us, "sha256d_scan"))


def test_a_home_that_cannot_be_written_does_not_end_the_import() -> None:
    program = (
        "from bench.model import Device\n"
        "from bench.workloads.hashing.cuda_device import import_cupy\n"
        "print(import_cupy(Device('cuda', 0, 'x')).__version__)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "CUPY_CACHE_DIR"}
    environment["HOME"] = "/dev/null"
    alone = subprocess.run([sys.executable, "-c", "import cupy"], env=environment, capture_output=True, text=True)
    assert "Error" in alone.stderr
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == cupy.__version__
