"""What works on this machine, and how to fix what does not: one list of checks, each with its result.

``examine`` yields results as it goes and raises nothing: a check that fails is a result, and so is one that could not
run because something before it failed. One file per concern.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.doctor import nvidia, packages, paths, sensors
from bench.doctor.check import Result, attempt
from bench.model import Device

BUDGET_S = 90.0
"""Runs of single paths start only within it, so that the whole ends within two minutes."""

__all__ = ["BUDGET_S", "Result", "examine"]


def examine(budget_s: float = BUDGET_S) -> Iterator[Result]:
    """Every check of this machine, in the order in which they build on one another."""
    deadline = time.monotonic() + budget_s
    yield from packages.checks()
    yield from nvidia.checks()
    found: list[Device] = []
    yield from attempt("devices", lambda: sensors.find_devices(found))
    for device in found:
        yield from sensors.checks(device)
        yield from paths.checks(device, deadline)
