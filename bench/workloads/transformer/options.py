"""Options of the transformer workload, and the settings that one variant of it carries. Light: loads no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from bench.model import BenchError, Variant
from bench.model.options import Names, Numbers, described, option_group
from bench.workloads.transformer import shapes

LAYERED_PHASES = ("prefill", "decode")
"""Phases that can run several layers of a model."""

SEARCH_BUDGET_S = 100.0
"""Default limit of a search in seconds; with set-up it ends within two minutes."""

Inputs = Literal["normal", "zeros", "ones", "structured"]


@option_group("Transformer", 2)
@dataclass(frozen=True, kw_only=True)
class TransformerOptions:
    """What the transformer workload measures. With nothing named, a default suite that suits the device.

    Raises:
        BenchError: a number out of range, layers without a phase that has them, or a search budget without a search.
    """

    shape: Annotated[Names, described(f"Model shapes: {', '.join(shapes.names())}, or MxNxK for one product.")] = ()
    """Model shapes, by the names of the files in ``bench/data/shapes``, or MxNxK for one product."""
    shape_file: Path | None = None
    """A TOML file with a model shape of your own."""
    phase: Names = ()
    """Phases: gemm, prefill, decode, train, mamf (searches for the fastest product)."""
    dtype: Names = ()
    """Numeric types: fp32, tf32, fp16, bf16, fp8, int8."""
    batch: Numbers = ()
    """Batch sizes."""
    seq: Numbers = ()
    """Tokens per sequence; in decode, tokens already in the cache."""
    layers: Numbers = ()
    """Run the model's first so many layers, each with its own weights, in place of one block of each kind."""
    inputs: Names = ()
    """Input values: normal, zeros, ones, structured."""
    detail: bool = False
    """Also measure each matrix product on its own."""
    compile: bool = False
    """Fuse the block with torch.compile; compilation is not timed."""
    budget_s: float | None = None
    """Time limit of the mamf search in seconds; default: 100."""

    def __post_init__(self) -> None:
        for name, numbers in (("batch", self.batch), ("seq", self.seq), ("layers", self.layers)):
            if any(number < 1 for number in numbers):
                raise BenchError(f"--{name} has a number below 1", f"use whole numbers from 1, such as --{name} 1,16")
        if self.layers and not set(self.phase) & set(LAYERED_PHASES):
            raise BenchError(
                f"--layers applies only to phases {' and '.join(LAYERED_PHASES)}",
                f"add --phase {','.join(LAYERED_PHASES)}, or leave it out",
            )
        if self.budget_s is None:
            return
        if not (math.isfinite(self.budget_s) and self.budget_s > 0):
            raise BenchError(f"a search cannot take {self.budget_s:g} s", "use --budget with seconds, such as 60")
        if "mamf" not in self.phase:
            raise BenchError("--budget applies only to the search of phase mamf", "add --phase mamf, or leave it out")

    @property
    def names_something(self) -> bool:
        """Whether any of shape, phase, type or size is given, so that no default suite applies."""
        return bool(self.shape or self.shape_file or self.phase or self.dtype or self.batch or self.seq)


@dataclass(frozen=True, kw_only=True)
class BlockSettings:
    """What one transformer variant carries besides its columns."""

    inputs: str = "normal"
    compile: bool = False
    shape_file: Path | None = None
    layers: int | None = None
    """First layers of the model to run; None: one block of each kind."""
    budget_s: float = SEARCH_BUDGET_S
    seed: int = 0
    """Of the inputs."""


def settings_of(variant: Variant) -> BlockSettings:
    """The settings that a variant carries; the defaults where it carries none."""
    if variant.options is None:
        return BlockSettings()
    if not isinstance(variant.options, BlockSettings):
        raise TypeError(f"{variant.label} carries {type(variant.options).__name__}, not BlockSettings")
    return variant.options
