"""The workloads by name. Each module loads only when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

from bench.model import BenchError, BuildContext, Device, Job, Variant


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a workload lives, and which group of a plan's options it reads."""

    module: str
    group: str
    standard: bool = True
    """Whether a run measures it without being asked to."""


WORKLOADS: Mapping[str, Entry] = {
    "sha256d": Entry("bench.workloads.hashing.sha256d", "hashing"),
    "scrypt": Entry("bench.workloads.hashing.scrypt", "hashing"),
    "transformer": Entry("bench.workloads.transformer.plan", "transformer"),
    "bandwidth": Entry("bench.workloads.bandwidth.plan", "bandwidth", standard=False),
}
"""Add a workload here: its name, its module, and the field of ``RunPlan`` that holds its options."""
STANDARD = tuple(name for name, entry in WORKLOADS.items() if entry.standard)
"""What a run measures without being asked to."""


class Workload(Protocol):
    """What a workload's module offers."""

    def plan(self, device: Device, options: Any, *, smoke: bool = False) -> list[Variant]:
        """The variants that ``options`` name for ``device``, without touching it; ``smoke``: the smallest honest set.

        Raises:
            BenchError: a name that the workload does not know.
        """

    def build(self, device: Device, variant: Variant, context: BuildContext = ...) -> Job:
        """Allocate and prepare one variant.

        Raises:
            Skip: the device cannot run it.
        """


@runtime_checkable
class Searching(Protocol):
    """What the module of a workload also offers if some of its variants must first be searched for."""

    def resolve(
        self,
        device: Device,
        variants: Sequence[Variant],
        progress: Callable[[Variant, float, float], None] | None = ...,
    ) -> list[Variant]:
        """The variants with their searches done.

        ``progress`` gets a variant, the seconds of its search so far (0 before it starts) and those it may take.

        Raises:
            Skip: the device cannot run it.
        """


def entry(name: str) -> Entry:
    """The registry's entry for ``name``.

    Raises:
        BenchError: no workload has this name.
    """
    if name not in WORKLOADS:
        raise BenchError(f"there is no workload named {name!r}", f"choose from {', '.join(WORKLOADS)}")
    return WORKLOADS[name]


def load(name: str) -> Workload:
    """Import the module behind ``name``.

    Raises:
        BenchError: no workload has this name.
    """
    return cast(Workload, importlib.import_module(entry(name).module))
