"""What a workload offers the runner: a variant to measure, and the job that runs it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from bench.model.task import TaskKey


@dataclass(frozen=True, slots=True)
class Variant:
    """One thing to measure: a workload and its setting. Missing means that the workload has no such knob."""

    workload: str
    phase: str | None = None
    shape: str | None = None
    dtype: str | None = None
    batch: int | None = None
    seq: int | None = None
    """Tokens per sequence."""
    product: str | None = None
    """One matrix product of the set (``qkv``, ``o``, ``gate_up``, ``down``, ``lm_head``); None: the whole."""
    options: object | None = None
    """What the workload alone understands: its own frozen settings. None: that workload's defaults."""

    @property
    def label(self) -> str:
        """One line for a progress bar or a message, for example ``transformer gemm llama3-8b bf16``."""
        return TaskKey.of(self).label


Choices = MutableMapping[str, tuple[int | str, str | None]]
"""Name of a trial → what it chose, and what decided."""


@dataclass(frozen=True, slots=True)
class BuildContext:
    """What a run gives to every job that it builds."""

    seed: int | None = None
    """Seed of headers and inputs. None: headers from the time, inputs from a fixed seed."""
    read_joules: Callable[[], float | None] | None = None
    """Reads the energy counter as it is now, for a kernel's trial by hashes per joule; None without a counter."""
    choices: Choices | None = None
    """What trials chose earlier in this run, which later builds take over: one code path per run and sweep."""


def rolled_name(name: str, versions: int) -> str:
    """Name of a hash loop that rolls so many block versions: ``c-avx512-roll4``, or ``name`` alone for one."""
    return name if versions == 1 else f"{name}-roll{versions}"


def rolled_versions(implementation: str) -> int:
    """Block versions that a hash loop of this name rolls: 4 for ``c-avx512-roll4``, 1 for a plain scan."""
    found = re.search(r"-roll([1-9]\d{0,4})$", implementation)
    return int(found[1]) if found else 1


@dataclass(frozen=True, slots=True)
class Facts:
    """What a job is, fixed once it is built. An iteration is the smallest launch; work per iteration never varies."""

    implementation: str
    """What really runs, for example ``c-avx512``, ``cuda-v1``, ``torch-portable``, ``torch-2.13.0``."""
    work_unit: str
    """``hash`` or ``FLOP``."""
    work_per_iteration: float
    tokens_per_iteration: float | None = None
    """Tokens of the whole model that an iteration stands for, with the LM head on every token (modelled)."""
    block_tokens_per_iteration: float | None = None
    """The same without the LM head: tokens of one block ÷ layers (modelled)."""
    bytes_per_iteration: float | None = None
    """Least bytes that must cross device memory in an iteration (weights, activations, cache)."""
    cache_share_bound: float | None = None
    """Share of these bytes that the last-level cache may have served at most: its size ÷ what buffers rotate over."""
    peak_work_per_s: float | None = None
    """The device's own stated or derived peak in ``work_unit``/s; None when unknown, never infinite."""
    peak_bytes_per_s: float | None = None
    peak_source: str | None = None
    native: bool = True
    """False where the device emulates the type."""
    precision: str | None = None
    """Numeric flags that were set, for example ``tf32=on reduced_precision_reduction=off``."""
    memory_bytes: int | None = None
    """Device memory announced beforehand."""
    options: str | None = None
    """Further settings that must match for two rows to be compared, ``name=value`` joined by spaces."""


@dataclass(frozen=True, slots=True)
class Share:
    """One found nonce: the 80-byte header (nonce field included) whose SHA-256d meets the share target."""

    header_hex: str
    nonce: int


@dataclass(frozen=True, slots=True)
class Audit:
    """Judgement of the work done since the last audit. ``ok`` is False where the output was wrong."""

    ok: bool
    reasons: tuple[str, ...] = ()
    share_bits: int | None = None
    """A share is a hash with at least this many leading zero bits (as Bitcoin writes the number)."""
    shares_expected: float | None = None
    shares_found: int | None = None
    shares_p_value: float | None = None
    """Two-sided Poisson probability of a count at least this far from the expected one."""
    shares: tuple[Share, ...] = ()
    details: Mapping[str, float] = field(default_factory=dict)
    """Figures worth keeping in the sidecar, for example the Freivalds residual."""


@runtime_checkable
class Job(Protocol):
    """Work that a runner can time. Built by a workload module's ``build``; owns device memory until ``close``."""

    facts: Facts

    def verify(self) -> Audit:
        """Check the output against a reference. Nothing unverified is timed."""

    def launch(self, iterations: int) -> None:
        """Enqueue ``iterations`` ≥ 1 iterations; may return before they are done. Allocates nothing."""

    def sync(self) -> None:
        """Return once all that was launched is done. Raises :class:`BenchError` if the device failed."""

    def audit(self) -> Audit:
        """Judge what was launched since the last audit; called after a sync, outside every window."""

    def peak_memory_bytes(self) -> int | None:
        """Most device memory held since the job's allocation began, beyond what was held before; None if unknown.

        Meaningful until the next job is built: the counters belong to the device, not to a job.
        """

    def close(self) -> None:
        """Free what the job holds. Idempotent."""
