"""The stand-in for CuPy, over a new machine for each test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.workloads.hashing import scrypt_cuda, sha256d_cuda
from tests.fakes.cuda import driver
from tests.support.paths import TESTS


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[driver.Machine]:
    """Two CUDA devices, as ``import cupy`` then finds them; grids are small enough for this CPU to run."""
    monkeypatch.syspath_prepend(str(TESTS / "fakes" / "cuda"))
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "cache"))
    real = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "cupy"}
    monkeypatch.setattr(sha256d_cuda, "THREADS", 32)
    monkeypatch.setattr(sha256d_cuda, "ROLLED_THREADS", 32)
    monkeypatch.setattr(sha256d_cuda, "WAVES", 2)
    monkeypatch.setattr(scrypt_cuda, "THREADS", 4)
    yield driver.reset()
    for name in [name for name in sys.modules if name.partition(".")[0] == "cupy"]:
        del sys.modules[name]
    sys.modules.update(real)
