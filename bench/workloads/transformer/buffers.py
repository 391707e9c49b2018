"""What a block of a shape keeps in memory: its weights, the buffers of its stages, and their bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from bench.model import Device
from bench.workloads.transformer import freivalds
from bench.workloads.transformer.dtypes import Dtype
from bench.workloads.transformer.inputs import Values
from bench.workloads.transformer.shapes import Shape


@dataclass(frozen=True, slots=True)
class Weights:
    """A block's parameters. ``gate_up`` and ``down`` are stacked over experts (one for a dense block).

    ``extra`` holds, by name, what only some models have: ``sinks``, the shared expert, latent attention's.
    """

    norm1: Tensor
    qkv: Tensor
    o: Tensor
    norm2: Tensor
    gate_up: Tensor
    down: Tensor
    router: Tensor | None
    extra: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, named: dict[str, Tensor]) -> Weights:
        """The parameters of :func:`weight_shapes` by name."""
        own = {each.name for each in fields(cls)}
        rest = {name: tensor for name, tensor in named.items() if name not in own}
        main: dict[str, Any] = {"router": None} | {name: named[name] for name in named if name in own}
        return cls(**main, extra=rest)

    def products(self) -> dict[str, Tensor]:
        """Weight matrices by name, one per expert."""
        named = {"qkv": self.qkv, "o": self.o}
        if self.router is not None:
            named["router"] = self.router
        for name, stack in (("gate_up", self.gate_up), ("down", self.down)):
            for expert in range(stack.shape[0]):
                named[f"{name}.{expert}"] = stack[expert]
        return named | {name: weight for name, weight in self.extra.items() if weight.dim() == 2}


def weight_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Dimensions of each parameter."""
    d = shape.d_model
    sizes: dict[str, tuple[int, ...]] = {
        "norm1": (d,),
        "qkv": (shape.qkv_width, d),
        "o": (d, shape.attention_width),
        "norm2": (d,),
        "gate_up": (shape.experts, 2 * shape.ffn, d),
        "down": (shape.experts, d, shape.ffn),
    }
    if shape.experts > 1:
        sizes["router"] = (shape.experts, d)
    if shape.kv_lora:
        sizes |= {
            "q_norm": (shape.q_lora,),
            "q_up": (shape.heads * shape.head_dim, shape.q_lora),
            "kv_norm": (shape.kv_lora,),
            "kv_up": (shape.heads * (shape.nope_dim + shape.value_dim), shape.kv_lora),
        }
    if shape.shared_ffn:
        sizes |= {"shared_gate_up": (2 * shape.shared_ffn, d), "shared_down": (d, shape.shared_ffn)}
    if shape.sinks:
        sizes["sinks"] = (shape.heads,)
    return sizes


def make_weights(shape: Shape, dtype: Dtype, device: Device, values: Values) -> Weights:
    """Seeded parameters, scaled so that every product gives outputs of unit size."""
    filled: dict[str, Tensor] = {}
    for name, size in weight_shapes(shape).items():
        tensor = torch.empty(size, dtype=dtype.torch_dtype, device=device.torch_name)
        if name == "sinks":
            # As large as a sum over some keys: a sink that is forgotten, or counted twice, must not pass.
            filled[name] = values.fill(tensor)
        elif "norm" in name:
            # Near one, as trained norms are, but not exactly: a norm that omits its weight must not pass.
            filled[name] = values.fill(tensor, 0.1).add_(1.0)
        else:
            filled[name] = values.fill(tensor, size[-1] ** -0.5)
    return Weights.of(filled)


def buffer_shapes(shape: Shape, batch: int, seq: int, phase: str) -> dict[str, tuple[int, ...]]:
    """Dimensions of every buffer that a block allocates in addition to its weights, in the block's type."""
    rows = batch * (seq if phase == "prefill" else 1)
    routed = rows * shape.top_k
    d = shape.d_model
    sizes: dict[str, tuple[int, ...]] = {
        "x": (rows, d),
        "h1": (rows, d),
        "qkv": (rows, shape.qkv_width),
        "rotated": (rows, shape.heads + (1 if shape.kv_lora else shape.kv_heads), shape.rotated_dim),
        "o": (rows, d),
        "r1": (rows, d),
        "h2": (rows, d),
        "gate_up": (routed, 2 * shape.ffn),
        "act": (routed, shape.ffn),
        "down": (rows, d),
        "y": (rows, d),
    }
    if shape.kv_lora:
        sizes |= _latent_buffer_shapes(shape, batch, seq, phase)
    elif phase == "decode":
        sizes["keys"] = sizes["values"] = (batch, shape.kv_heads, shape.visible(seq), shape.head_dim)
    if shape.experts > 1:
        sizes |= {"logits": (rows, shape.experts), "sent": (routed, d), "expert_out": (routed, d), "back": (routed, d)}
    if shape.shared_ffn:
        sizes |= {
            "shared_gate_up": (rows, 2 * shape.shared_ffn),
            "shared_act": (rows, shape.shared_ffn),
            "shared_down": (rows, d),
        }
    return sizes


def _latent_buffer_shapes(shape: Shape, batch: int, seq: int, phase: str) -> dict[str, tuple[int, ...]]:
    rows, heads = batch * (seq if phase == "prefill" else 1), shape.heads
    sizes: dict[str, tuple[int, ...]] = {
        "q_normed": (rows, shape.q_lora),
        "latent": (rows, shape.kv_lora),
        "q": (rows, heads * shape.head_dim),
    }
    if phase == "prefill":
        every = (rows, heads, shape.head_dim)
        return sizes | {"kv": (rows, heads * (shape.nope_dim + shape.value_dim)), "q_all": every, "k_all": every}
    return sizes | {
        "keys": (batch, 1, seq, shape.cache_width),
        "absorbed": (heads, rows, shape.kv_lora),
        "q_all": (rows, heads, shape.cache_width),
        "scores": (batch, heads, seq),
        "context": (rows, heads, shape.kv_lora),
        "headed": (heads, rows, shape.value_dim),
    }


FILLED = ("x", "keys", "values")
"""Buffers that are read before anything writes them."""


def filled_bytes(shape: Shape, dtype: Dtype, batch: int, seq: int, phase: str) -> int:
    """Bytes of a block before :meth:`Block.prepare`: its weights, and the buffers that are filled."""
    buffers = buffer_shapes(shape, batch, seq, phase)
    sizes = [*weight_shapes(shape).values(), *(buffers[name] for name in FILLED if name in buffers)]
    return sum(math.prod(size) for size in sizes) * dtype.itemsize


def memory_bytes(shape: Shape, dtype: Dtype, batch: int, seq: int, phase: str) -> int:
    """Bytes of one block's weights and buffers, including what attention returns."""
    rows = batch * (seq if phase == "prefill" else 1)
    values = sum(math.prod(size) for size in weight_shapes(shape).values())
    values += sum(math.prod(size) for size in buffer_shapes(shape, batch, seq, phase).values())
    values += rows * shape.attention_width
    values += (rows if phase == "prefill" else 1) * shape.head_dim // (batch if phase == "prefill" else 1)
    return values * dtype.itemsize


def projection_bytes(shape: Shape) -> int:
    """Bytes of the projections that Freivalds' check keeps for one block."""
    named = [(p.n, p.k, p.experts) for p in shape.products() if p.name != "lm_head"]
    return sum(experts * freivalds.projection_bytes(n, k) for n, k, experts in named)
