"""Builds a ``.cu`` text for this machine's CPU and runs its kernel thread by thread."""

from __future__ import annotations

import ctypes
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
FOLDER = tempfile.TemporaryDirectory(prefix="bitwatt-host-gpu-")
HIP_OPTIONS = ("-D__HIPCC_RTC__", "-D__HIP_DEVICE_COMPILE__=1")
"""What HIPRTC defines; the text then takes the path of AMD's compiler."""


class CompileError(Exception):
    """What the host compiler said."""


class HostKernel:
    """One kernel of a text, compiled for the host."""

    def __init__(self, library: ctypes.CDLL, entry: str) -> None:
        self._launch = getattr(library, f"{entry}_launch")
        self._launch.argtypes = [ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p]
        sizes = (ctypes.c_int * 64)()
        self.parameters = tuple(sizes[: getattr(library, f"{entry}_parameters")(sizes)])
        """Bytes of each parameter; negative for a pointer."""

    def __call__(self, blocks: int, threads: int, arguments: Sequence[Any]) -> None:
        """Run every thread. An argument is an array (a pointer to it is passed) or a NumPy value (passed itself).

        Raises:
            TypeError: an argument does not have its parameter's size or nature. CUDA itself would not notice.
        """
        self.run(blocks, threads, [pack(argument) for argument in arguments])

    def check(self, packed: Sequence[tuple[bytes, bool]]) -> None:
        given = tuple(-len(data) if pointer else len(data) for data, pointer in packed)
        if given != self.parameters:
            raise TypeError(f"arguments of {given} bytes for parameters of {self.parameters} (negative: a pointer)")

    def run(self, blocks: int, threads: int, packed: Sequence[tuple[bytes, bool]]) -> None:
        self.check(packed)
        values = [ctypes.create_string_buffer(data, len(data)) for data, _ in packed]
        addresses = (ctypes.c_void_p * len(values))(*[ctypes.addressof(value) for value in values])
        self._launch(blocks, threads, addresses)


def pack(argument: Any) -> tuple[bytes, bool]:
    """``(bytes, is a pointer)`` of one kernel argument."""
    if isinstance(argument, np.ndarray) and argument.dtype.names is None:
        return int(argument.ctypes.data).to_bytes(8, "little"), True
    if isinstance(argument, np.ndarray):
        assert argument.size == 1, "CuPy passes only arrays of one element by value"
        return argument.tobytes(), False
    assert isinstance(argument, np.generic), f"{type(argument)} has no fixed size"
    return argument.tobytes(), False


@functools.cache
def build(
    text: str, entry: str, options: tuple[str, ...] = (), *, hip: bool = False, optimise: str = "-O0"
) -> HostKernel:
    """Compile ``text`` and return its kernel ``entry``.

    Args:
        text: the whole source, headers written out.
        entry: name of the ``__global__`` function.
        options: ``-D…``.
        hip: take AMD's spelling instead of NVIDIA's intrinsics.
        optimise: ``-O0`` compiles in a third of a second, ``-O1`` runs ten times as fast.

    Raises:
        CompileError: the host compiler rejects it.
    """
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler runs the .cu text on the host (Debian: g++)")
    with tempfile.NamedTemporaryFile(dir=FOLDER.name, suffix=".so", delete=False) as library:
        target = library.name
    source = Path(target).with_suffix(".cpp")
    source.write_text(f'#include "host_gpu.h"\n{text}\nHOST_KERNEL({entry})\n')
    spelling = HIP_OPTIONS if hip else ("-DGPU_EMULATED",)
    defines = [option for option in options if option.startswith("-D")]
    command = [compiler, "-std=c++17", optimise, "-w", "-shared", "-fPIC", *spelling, *defines, f"-I{HERE}"]
    run = subprocess.run([*command, str(source), "-o", target], capture_output=True, text=True, check=False)
    if run.returncode:
        raise CompileError(run.stderr)
    return HostKernel(ctypes.CDLL(target), entry)
