"""Are Python's packages there, and can the CPU kernels be built."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from collections.abc import Iterator
from functools import partial

from bench.doctor.check import Result, attempt
from bench.model import BenchError, first_line

REQUIRED = {
    "torch": "torch",
    "numpy": "numpy",
    "scipy": "scipy",
    "pandas": "pandas",
    "pyarrow": "pyarrow",
    "pynvml": "nvidia-ml-py",
    "Crypto": "pycryptodome",
    "cffi": "cffi",
    "psutil": "psutil",
}
"""Module → distribution. All of them are dependencies of bitwatt."""


def checks() -> Iterator[Result]:
    """Python, each package, and the library of CPU kernels."""
    yield Result("python", "works", sys.version.split()[0])
    for module, distribution in REQUIRED.items():
        yield from attempt(distribution, partial(_import, module, distribution))
    yield from attempt("CPU kernels", _host_library)


def _import(module: str, distribution: str) -> str:
    try:
        importlib.import_module(module)
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "version unknown"
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError)
        raise BenchError(
            f"{distribution} {'is not installed' if missing else 'does not load'} ({first_line(error)})",
            f"run: {sys.executable} -m pip install --force-reinstall {distribution}",
        ) from error


def _host_library() -> str:
    from bench.workloads.hashing import kernels

    kernels.host()
    return str(kernels.NATIVE / kernels.LIBRARY)
