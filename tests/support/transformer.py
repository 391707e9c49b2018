"""Small blocks for the transformer's tests, and what they allocate."""

from __future__ import annotations

import dataclasses
import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.model import Device
from bench.workloads.transformer import dtypes, flops
from bench.workloads.transformer.block import Block
from bench.workloads.transformer.inputs import Values
from bench.workloads.transformer.latent import LatentBlock
from bench.workloads.transformer.shapes import Shape
from bench.workloads.transformer.train import TrainBlock

CPU = Device("cpu", 0, "a CPU", cores=2, arch="x86_64")
DENSE = Shape("dense", 64, 4, heads=4, kv_heads=2, head_dim=16, ffn=96, vocab=256, rope_theta=10000.0)
MIXTURE = dataclasses.replace(DENSE, name="mixture", experts=4, top_k=2)
SHAPES = [DENSE, MIXTURE]
WINDOWED = dataclasses.replace(MIXTURE, name="windowed", window=5, sinks=True)
SHARED = dataclasses.replace(MIXTURE, name="shared", top_k=1, shared_ffn=32)
LATENT = dataclasses.replace(
    SHARED, name="latent", kv_heads=4, head_dim=24, rope_dim=8, v_dim=16, q_lora=32, kv_lora=48
)
BLOCKS = [*SHAPES, WINDOWED, SHARED, LATENT]
"""Every kind of block."""
ALTERNATING = dataclasses.replace(WINDOWED, name="alternating", full_every=2)
DENSE_FIRST = dataclasses.replace(LATENT, name="dense-first", layers=3, dense_layers=1, dense_ffn=128)
MIXES = [ALTERNATING, DENSE_FIRST]
"""Models whose layers differ."""
PRODUCTS = ("qkv", "o", "gate_up", "down", "lm_head")


def gpu(arch="sm_90", index=0):
    return Device("cuda", index, "NVIDIA H100 80GB HBM3", arch=arch)


def make_block(shape, dtype="fp32", phase="prefill", batch=2, seq=12):
    kind = LatentBlock if shape.kv_lora else Block
    one = kind(CPU, shape, dtypes.lookup(dtype), phase, batch, seq, Values(CPU, "normal", 1))
    with torch.no_grad():
        one.prepare()
    return one


def make_train_block(shape, dtype="fp32", batch=2, seq=12):
    one = TrainBlock(CPU, shape, dtypes.lookup(dtype), batch, seq, Values(CPU, "normal", 1))
    one.prepare()
    return one


def all_right(errors):
    return all(value <= 1 for value in errors.values())


def full_attention(shape, batch, seq, phase):
    """FLOPs that torch counts for attention: it knows no mask, but a step of decode has only the window cached."""
    if phase == "decode":
        return flops.cached_attention_flops(shape, batch, shape.visible(seq))
    return flops.attention_flops(shape, batch, seq * seq) * (3 if phase == "train" else 1)


class Allocations(TorchDispatchMode):
    """Bytes of tensors alive, and their peak: every storage that an operation returns, until it is freed."""

    def __init__(self):
        super().__init__()
        self.alive: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                storage = leaf.untyped_storage()
                if storage._cdata not in self.alive:
                    self.alive[storage._cdata] = storage.nbytes()
                    weakref.finalize(storage, self.alive.pop, storage._cdata, None)
        self.peak = max(self.peak, sum(self.alive.values()))
        return out
