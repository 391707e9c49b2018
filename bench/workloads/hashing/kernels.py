"""Access to ``kernels/``: the text of device code, and the host library that is compiled from it.

An installed wheel carries both inside the package (``bench/_kernels``, ``bench/_native``). In a checkout the text is
read from ``kernels/`` and the library is compiled into ``bench/_native`` when it is absent or older than its sources.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data import PACKAGE
from bench.model import BenchError

NATIVE = PACKAGE / "_native"
LIBRARY = "libbitwatt_host.so"

COMMON_FLAGS = ("-std=c11", "-O3", "-fPIC", "-fvisibility=hidden", "-fno-strict-aliasing", "-Wall", "-Wextra")
IN_ORDER = ("-fno-tree-reassoc", "-fno-schedule-insns2")
"""For gcc: the rounds are written in the order that suits a vector unit, and gcc's own orders cost 8% (docs/log.md)."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One compilation of one C file: the same text is compiled once per instruction set."""

    source: str
    """File name within ``kernels/``."""
    isa: str | None = None
    """Name of the instruction set; None for the part that chooses one at run time."""
    isa_flags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """A file name without its suffix, different for each unit."""
        return f"{Path(self.source).stem}-{self.isa}" if self.isa else Path(self.source).stem

    @property
    def flags(self) -> tuple[str, ...]:
        """Compiler flags that this unit needs besides :data:`COMMON_FLAGS`."""
        return (*self.isa_flags, f"-DBW_ISA={self.isa}", f"-DBW_ISA_{self.isa.upper()}") if self.isa else ()


X86_ISA_FLAGS: dict[str, tuple[str, ...]] = {
    "avx512": ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mprefer-vector-width=512"),
    "avx2": ("-mavx2",),
    # Legacy encodings only: SHA instructions have no VEX form, and a dirty zmm upper half makes legacy ones crawl.
    "shani": ("-msse4.1", "-msha", "-mno-avx"),
    "shanivl": ("-msse4.1", "-msha", "-mavx512f", "-mavx512vl", "-mprefer-vector-width=128"),
    "sse2": (),
    "generic": (),
}
ARM_ISA_FLAGS: dict[str, tuple[str, ...]] = {"neon": (), "armv8": ("-march=armv8-a+crypto",), "generic": ()}


def isa_flags(machine: str) -> dict[str, tuple[str, ...]]:
    """Instruction sets compiled for ``machine`` (as ``platform.machine()`` names it) and their compiler flags."""
    if machine in ("x86_64", "AMD64"):
        return X86_ISA_FLAGS
    if machine in ("aarch64", "arm64"):
        return ARM_ISA_FLAGS
    return {"generic": ()}


CHOICE = "host.c"
"""C file that chooses an instruction set at run time."""
SCANS: dict[str, frozenset[str]] = {
    "sha256d_cpu.c": frozenset(),
    "scrypt_cpu.c": frozenset({"shanivl", "shani", "armv8"}),
}
"""C file of a scan → instruction sets that it is not compiled for."""


def units(machine: str) -> list[Unit]:
    """Everything that the host library of ``machine`` is made of."""
    sets = isa_flags(machine)
    return [
        Unit(CHOICE),
        *(Unit(name, isa, flags) for name, skip in SCANS.items() for isa, flags in sets.items() if isa not in skip),
    ]


def kernel_dir() -> Path:
    """The folder of device code: inside an installed package, or next to the package in a checkout.

    Raises:
        BenchError: neither exists.
    """
    for folder in (PACKAGE / "_kernels", PACKAGE.parent / "kernels"):
        if folder.is_dir():
            return folder
    raise BenchError("the kernel sources are missing from this installation", "install bitwatt again from its wheel")


def source(name: str) -> str:
    """The text of one file of ``kernels/``, for example ``sha256d.cu``.

    Raises:
        BenchError: there is no such file.
    """
    path = kernel_dir() / name
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BenchError(f"cannot read the kernel source {name} ({error})", "install bitwatt again") from error


def whole_source(name: str) -> str:
    """The text of one kernel with the project's own headers written out in place.

    CuPy keys its cache of machine code by this text alone, so a change in an included header would go unnoticed.
    """
    return re.sub(r'^#include "([\w.]+)"$', lambda found: source(found[1]), source(name), flags=re.MULTILINE)


@functools.cache
def host() -> tuple[Any, Any]:
    """The host library as ``(ffi, lib)``, loaded once. cffi releases the GIL while a call runs.

    Raises:
        BenchError: the library is missing and cannot be built, or does not load.
    """
    from cffi import FFI

    path = ensure_library()
    ffi = FFI()
    ffi.cdef(declarations(source("host.h")))
    try:
        return ffi, ffi.dlopen(str(path))
    except OSError as error:
        raise BenchError(f"the host library does not load ({error})", f"delete {path} and run again") from error


def declarations(header: str) -> str:
    """``host.h`` as cffi's cdef takes it: without the lines meant for the preprocessor."""
    return "\n".join(line for line in header.splitlines() if not line.lstrip().startswith("#"))


def library_is_current() -> bool:
    """Whether the host library is there and no older than its sources, so that :func:`host` compiles nothing.

    Raises:
        BenchError: the kernel sources are missing.
    """
    path, sources = NATIVE / LIBRARY, kernel_dir()
    if not path.is_file():
        return False
    # An installed package carries its library; only in a checkout may the sources be newer.
    return sources.parent == PACKAGE or not _stale(path, sources)


def ensure_library() -> Path:
    """Path of a host library that is no older than its sources; compiled now where a checkout needs it.

    Raises:
        BenchError: as :func:`build_library`, or the folder cannot be written.
    """
    path = NATIVE / LIBRARY
    if not library_is_current():
        with _lock(NATIVE):
            # Another process may have built it while this one waited.
            if not library_is_current():
                build_library(kernel_dir(), path)
    return path


def build_library(
    sources: Path, target: Path, *, defines: tuple[str, ...] = (), machine: str = platform.machine()
) -> None:
    """Compile ``sources``/*.c into the shared library ``target``; it appears whole or not at all.

    Args:
        sources: folder of the C files and their headers.
        target: the library to write.
        defines: further compiler arguments, for tests.
        machine: what the compiler compiles for, as ``platform.machine()`` names it.

    Raises:
        BenchError: no C compiler, or it fails.
    """
    compiler = find_compiler()
    order = () if _is_clang(compiler) else IN_ORDER
    started_ns = time.time_ns()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bitwatt-build-", dir=target.parent) as folder:
        objects: list[str] = []
        commands: list[list[str]] = []
        for unit in units(machine):
            objects.append(str(Path(folder) / f"{unit.name}.o"))
            arguments = [*COMMON_FLAGS, *order, *unit.flags, *defines]
            commands.append([*compiler, *arguments, "-c", str(sources / unit.source), "-o", objects[-1]])
        _run_all(commands)
        linked = Path(folder) / LIBRARY
        _run_all([[*compiler, "-shared", "-o", str(linked), *objects]])
        # Dated from before the compiler read the sources, so that an edit made meanwhile counts as newer.
        os.utime(linked, ns=(started_ns, started_ns))
        linked.replace(target)


def find_compiler() -> list[str]:
    """The C compiler to call: ``$CC``, else ``cc``, ``gcc`` or ``clang``.

    Raises:
        BenchError: there is none.
    """
    asked = os.environ.get("CC", "").split()
    for candidate in [asked] if asked else [["cc"], ["gcc"], ["clang"]]:
        if shutil.which(candidate[0]):
            return candidate
    what = f"the C compiler {asked[0]!r} named by CC" if asked else "a C compiler"
    raise BenchError(
        f"{what} was not found, and the CPU kernels are compiled on this machine",
        "install one, on Debian or Ubuntu with: apt-get install gcc libc6-dev",
    )


def _is_clang(compiler: list[str]) -> bool:
    """Clang answers to ``cc`` on some systems, and refuses flags of gcc's."""
    version = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    return "clang" in version.stdout


def _run_all(commands: list[list[str]]) -> None:
    """Run compiler commands, as many at a time as there are cores; the first failure becomes a BenchError."""
    width = max(1, os.cpu_count() or 1)
    for begin in range(0, len(commands), width):
        running = [
            (command, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))  # noqa: S603
            for command in commands[begin : begin + width]
        ]
        failed = [(command, output) for command, job in running for output in [job.communicate()[0]] if job.returncode]
        for command, output in failed:
            lines = [line for line in output.splitlines() if "error" in line] or output.splitlines() or ["no message"]
            raise BenchError(
                f"the C compiler {command[0]} failed on the host library: {lines[0].strip()}",
                "use gcc 9 or clang 10 or newer with its libc headers, for example CC=gcc",
            )


def _stale(library: Path, sources: Path) -> bool:
    """Whether a source is newer than the library, or this file, which says how it is compiled."""
    built_ns = library.stat().st_mtime_ns
    inputs = [*sources.glob("*.c"), *sources.glob("*.h"), Path(__file__)]
    return any(file.stat().st_mtime_ns > built_ns for file in inputs)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Hold an exclusive lock on ``folder``, so that two processes do not compile at once."""
    from filelock import FileLock

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock").acquire()
    except OSError as error:
        raise BenchError(
            f"the host library is missing and {folder} cannot be written ({error.strerror})",
            "install bitwatt from its wheel, or give this user write permission there",
        ) from error
    with lock:
        yield
