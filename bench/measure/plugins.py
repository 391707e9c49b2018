"""torch's device plugins: packages through which other makers' cards reach torch.

Recent plugins load themselves at ``import torch`` (entry point ``torch.backends``); older ones must be imported.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import sys
from dataclasses import dataclass

from bench.model import BenchError, first_line

PLUGINS = {"musa": "torch_musa", "mlu": "torch_mlu"}
"""Kind of device → the package of its plugin (Moore Threads, Cambricon)."""
AUTOLOAD = "TORCH_DEVICE_BACKEND_AUTOLOAD"
"""``0`` in this variable keeps torch from loading plugins (torch/__init__.py)."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """An installed plugin."""

    kind: str
    package: str
    loaded: bool
    problem: str | None = None
    """Why it is not loaded, as a clause: ``torch_musa failed to load (…)``."""

    @property
    def label(self) -> str:
        """For example ``torch_musa 2.1.0``."""
        try:
            return f"{self.package} {importlib.metadata.version(self.package)}"
        except importlib.metadata.PackageNotFoundError:
            return self.package


def import_torch() -> None:
    """Import torch, which loads the plugins that load themselves.

    Raises:
        BenchError: such a plugin fails, and with it ``import torch``.
    """
    try:
        import torch  # noqa: F401
    except RuntimeError as error:
        cause = error.__cause__
        if cause is None:
            raise
        raise BenchError(
            f"{first_line(error).partition('. ')[0]} ({type(cause).__name__}: {first_line(cause)})",
            f"repair or uninstall that torch plugin, or set {AUTOLOAD}=0 to run without plugins",
        ) from error


def load() -> list[Plugin]:
    """Import torch and, where torch sees no accelerator, the plugins that are installed but did not load themselves.

    Raises:
        BenchError: a plugin that loads itself fails, and with it ``import torch``.
    """
    import_torch()
    import torch

    return [
        _load(kind, package, wanted=not torch.accelerator.is_available())
        for kind, package in PLUGINS.items()
        if package in sys.modules or importlib.util.find_spec(package)
    ]


def _load(kind: str, package: str, *, wanted: bool) -> Plugin:
    if package in sys.modules:
        return Plugin(kind, package, True)
    if os.environ.get(AUTOLOAD, "1") != "1":
        return Plugin(kind, package, False, f"{package} is installed, but {AUTOLOAD}=0 switches it off")
    if not wanted:
        return Plugin(kind, package, False, f"{package} is installed, but torch already has an accelerator")
    try:
        importlib.import_module(package)
    except Exception as error:  # noqa: BLE001 - a plugin may fail in any way, which must not end a run on other devices
        return Plugin(kind, package, False, f"{package} failed to load ({type(error).__name__}: {first_line(error)})")
    return Plugin(kind, package, True)


def problems(plugins: list[Plugin], kind: str | None = None) -> str:
    """The problems of all plugins, or of one kind's, joined; empty where there are none."""
    return "; ".join(each.problem for each in plugins if each.problem and kind in (None, each.kind))
