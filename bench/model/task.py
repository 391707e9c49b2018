"""What was done: the part of a row's key that names a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, slots=True, order=True)
class TaskKey:
    """A workload with all its parameters. Figures of different tasks are never compared."""

    workload: str
    phase: str | None = None
    shape: str | None = None
    product: str | None = None
    """One matrix product of the set; None: the whole set."""
    dtype: str | None = None
    batch: int | None = None
    seq: int | None = None

    @classmethod
    def of(cls, source: object) -> Self:
        """From anything that has these fields: a mapping, a :class:`Record`, a :class:`Variant`. Others are ignored."""
        names = [entry.name for entry in fields(cls)]
        values: list[Any] = (
            [source.get(name) for name in names]
            if isinstance(source, Mapping)
            else [getattr(source, name, None) for name in names]
        )
        return cls(*values)

    @property
    def words(self) -> tuple[str, ...]:
        """The parts that are set, as a user writes them: ``("transformer", "gemm", "llama3-8b", "bf16", "b1")``."""
        named: list[Any] = [self.workload, self.phase, self.shape, self.product, self.dtype]
        sizes = [f"{letter}{size}" for letter, size in (("b", self.batch), ("s", self.seq)) if size is not None]
        return (*(str(part) for part in named if part is not None), *sizes)

    @property
    def label(self) -> str:
        """In a few words, the same everywhere: ``transformer gemm llama3-8b bf16 b1 s8192``."""
        return " ".join(self.words)
