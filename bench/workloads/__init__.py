"""The workloads by name. Each module is loaded only when it is asked for.

A workload module offers two functions:

``plan(device, request) -> list[Variant]``
    The variants that a request names, cheaply and without touching the device. Raises
    :class:`~bench.model.BenchError` for a name it does not know.
``build(device, variant) -> Job``
    Allocates and prepares one variant. Raises :class:`~bench.model.Skip` where the device cannot run it.

A module may also offer ``resolve(device, variants, progress) -> list[Variant]``: a search that completes planned
variants before anything is measured. ``progress(variant, done_s, budget_s)`` is called with ``done_s`` = 0 before each
search and again as it goes on. Raises :class:`~bench.model.Skip` where the device cannot run it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from bench.model import BenchError, Device, Job, Variant

MODULES: Mapping[str, str] = {
    "sha256d": "bench.workloads.hashing.sha256d",
    "scrypt": "bench.workloads.hashing.scrypt",
    "transformer": "bench.workloads.transformer.plan",
}
"""Workload name → module. Add a workload here."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for. An empty tuple means: this workload's default for the device."""

    shapes: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    batches: tuple[int, ...] = ()
    seqs: tuple[int, ...] = ()
    detail: bool = False
    """Add a variant per matrix product."""
    smoke: bool = False
    """The smallest honest set, for CI."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """``isa``, ``inputs``, ``compile``, ``shape_file``, ``prefer`` …: each workload reads its own."""


class Workload(Protocol):
    """What a workload module offers."""

    def plan(self, device: Device, request: Request) -> list[Variant]: ...

    def build(self, device: Device, variant: Variant) -> Job: ...


def load(name: str) -> Workload:
    """Import the module behind ``name``.

    Raises:
        BenchError: no workload has this name.
    """
    if name not in MODULES:
        raise BenchError(f"there is no workload named {name!r}", f"choose from {', '.join(MODULES)}")
    return cast(Workload, importlib.import_module(MODULES[name]))
