"""For all tests: signals as a terminal has them, and no recorded machine code where another compiler is installed.

Tests marked ``recorded_nvrtc`` read PTX or machine code, and need the compiler that they were recorded with.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import signal
import threading

import pytest

from tests.support.chromium import Chromium

RECORDED_NVRTC = "13.5.37"
"""CI installs exactly this one; a CUDA build of torch brings another."""


def pytest_configure() -> None:
    """Take back SIGINT and SIGHUP where ``nohup`` or a script's ``&`` had them ignored: our children inherit that."""
    if threading.current_thread() is threading.main_thread():
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)


def nvrtc_version() -> str | None:
    try:
        return importlib.metadata.version("nvidia-cuda-nvrtc")
    except importlib.metadata.PackageNotFoundError:
        return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    found = nvrtc_version()
    if found == RECORDED_NVRTC:
        return
    reason = f"recorded with NVRTC {RECORDED_NVRTC}, here is {found}"
    for item in items:
        if item.get_closest_marker("recorded_nvrtc"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """One headless Chromium for all pages."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Debian's chromium is not installed")
    opened = Chromium(path, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()
