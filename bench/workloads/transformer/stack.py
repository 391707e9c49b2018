"""The layers that one iteration runs: blocks that stand for a model's layers, or its first layers in their order.

A model whose layers differ (windowed and full attention, dense and mixture) is a weighted mix of its kinds of layers:
an iteration runs one block of each kind as often as the model has such layers, with the numbers divided by what divides
all of them. So gpt-oss runs a windowed block and a full one; of 61 layers whose first 3 are dense, the dense block runs
3 times and the mixture 58 times. Every layer then has the share of the iteration that it has of the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.model import BenchError
from bench.workloads.transformer.shapes import Shape


@dataclass(frozen=True, slots=True)
class Stack:
    """What an iteration runs of a model."""

    shape: Shape
    """The model."""
    layers: tuple[Shape, ...]
    """Kind of each layer, in the order of running."""
    chained: bool
    """Whether each layer has weights of its own and reads what the one before it wrote."""

    @property
    def blocks(self) -> tuple[Shape, ...]:
        """The layers that have weights of their own: all of a chain, otherwise one of each kind."""
        return self.layers if self.chained else tuple(dict.fromkeys(self.layers))

    def cost(self, of: Callable[[Shape], float]) -> float:
        """Sum of a cost over the layers of an iteration."""
        return sum(of(layer) for layer in self.layers)

    def model_cost(self, of: Callable[[Shape], float]) -> float:
        """Sum of a cost over all layers of the model."""
        return sum(count * of(kind) for kind, count in self.shape.kinds().items())

    def reused_bytes(self, block_bytes: Mapping[Shape, int]) -> int:
        """Bytes between two reads of the same weights in a copy: all of it, or a block that runs several times."""
        repeated = [kind for kind in self.blocks if not self.chained and self.layers.count(kind) > 1]
        return min((block_bytes[kind] for kind in repeated), default=sum(block_bytes[kind] for kind in self.blocks))


def plan(shape: Shape, layers: int | None = None) -> Stack:
    """The stack of a model: the mix of its kinds of layers, or its first ``layers`` layers.

    Raises:
        BenchError: more layers than the model has, or too few to have every kind.
    """
    kinds = shape.kinds()
    if layers is None:
        divisor = math.gcd(*kinds.values())
        mix = tuple(kind for kind, count in kinds.items() for _ in range(count // divisor))
        return Stack(shape, mix, chained=False)
    if layers > shape.layers:
        raise BenchError(
            f"{shape.name} has {shape.layers} layers, not {layers}", f"use --layers with at most {shape.layers}"
        )
    first = tuple(shape.layer(index) for index in range(layers))
    if len(set(first)) < len(kinds):
        least = next(n for n in range(1, shape.layers + 1) if {shape.layer(i) for i in range(n)} == set(kinds))
        raise BenchError(
            f"the first {layers} layers of {shape.name} are of {len(set(first))} of its {len(kinds)} kinds",
            f"use --layers {least} or more",
        )
    return Stack(shape, first, chained=True)
