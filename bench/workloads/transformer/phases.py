"""Phases ``prefill``, ``decode`` and ``train``: copies of a whole block that run in turn, as a job.

As many copies of the block (weights, cache and activations) are made as exceed the last-level cache ten times, if the
memory allows (:func:`~bench.workloads.transformer.torch_device.rotation_bytes`). On CUDA,
prefill and decode are replayed from CUDA graphs, one per copy: no launch overhead, no allocation. With the option
``compile`` the block is fused by torch.compile; compilation happens in :func:`build`, outside all timing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bench.model import Device, Skip, Variant, first_line
from bench.workloads.transformer import (
    block,
    dtypes,
    flops,
    freivalds,
    functional,
    memory,
    reference,
    torch_device,
    train,
)
from bench.workloads.transformer.block import Block, Weights
from bench.workloads.transformer.dtypes import Dtype
from bench.workloads.transformer.inputs import Values
from bench.workloads.transformer.job import RotatingJob, copies_for, seed_of
from bench.workloads.transformer.options import settings_of
from bench.workloads.transformer.shapes import Shape
from bench.workloads.transformer.train import TrainBlock

BLOCK_DTYPES = ("fp32", "tf32", "fp16", "bf16")


def copy_bytes(shape: Shape, dtype: Dtype, phase: str, batch: int, seq: int) -> int:
    """Bytes of one copy of a phase's block."""
    if phase == "train":
        return train.memory_bytes(shape, dtype, batch, seq)
    return block.memory_bytes(shape, dtype, batch, seq, phase)


def memory_bytes(shape: Shape, dtype: Dtype, phase: str, batch: int, seq: int, copies: int, device: Device) -> int:
    """Peak bytes of a job: its copies, and whichever of filling, running and checking them needs most on top.

    Each CUDA graph keeps memory of its own for temporaries such as keys and values repeated to all heads.
    """
    filled = copies * copy_bytes(shape, dtype, phase, batch, seq)
    # Decode's queries come grouped by the head whose keys they share, so nothing is repeated.
    expanded = 0 if phase == "decode" else block.expanded_bytes(shape, dtype, batch, seq, device)
    pool = Values.pool_bytes(dtype.itemsize)
    if phase == "train":
        before = copies * train.filled_bytes(shape, dtype, batch, seq)
        running = train.expanding_bytes(shape, dtype, batch, seq, expanded)
        return max(before + pool, filled + max(running, train.checking_bytes(shape, dtype, batch, seq)))
    rows = batch * (1 if phase == "decode" else seq)
    sizes = [(rows * p.top_k // p.experts, p.n, p.k) for p in shape.products() if p.name != "lm_head"]
    scratch = max(freivalds.workspace_bytes(*size, dtype.itemsize) for size in sizes)
    projections = copies * block.projection_bytes(shape)
    before = copies * block.filled_bytes(shape, dtype, batch, seq, phase)
    if is_captured(device, phase):
        return max(before + pool, filled + copies * expanded + projections + scratch)
    # Attention's previous output is freed only after it has returned the next one.
    running = expanded + rows * shape.attention_width * dtype.itemsize
    return max(before + pool, filled + projections + max(running, scratch))


def least_bytes(shape: Shape, dtype: Dtype, phase: str, batch: int, seq: int, experts_used: int) -> int:
    """Least bytes that cross device memory in an iteration: what no cache can keep from one iteration to the next.

    Weights are read once (in training twice, and their gradients are written once); x is read and y written; decode
    reads the cache and writes one token to it, prefill writes it. MBU is these bytes ÷ time ÷ bandwidth.
    """
    rows = batch * (1 if phase == "decode" else seq)
    values = (3 if phase == "train" else 1) * flops.block_weights(shape, experts_used)
    values += (4 if phase == "train" else 2) * rows * shape.d_model
    if phase == "decode":
        values += flops.cache_values(shape, batch, seq) + flops.cache_values(shape, batch, 1)
    elif phase == "prefill":
        values += flops.cache_values(shape, batch, seq)
    return values * dtype.itemsize


def model_tokens(shape: Shape, dtype: Dtype, phase: str, batch: int, seq: int, experts_used: int) -> float:
    """Tokens of the whole model that an iteration of one block stands for, with the LM head on every token.

    The head is not run here. It is taken to run at the block's own rate: of bytes in decode, which memory limits, and
    of FLOPs in prefill and training.
    """
    tokens = batch * (1 if phase == "decode" else seq)
    if phase == "decode":
        block_cost = least_bytes(shape, dtype, phase, batch, seq, experts_used)
        head_cost = flops.head_values(shape, tokens) * dtype.itemsize
    else:
        block_cost = block.flops_per_run(shape, phase, batch, seq)
        head_cost = (3 if phase == "train" else 1) * flops.head_flops(shape, tokens)
    return tokens / (shape.layers + head_cost / block_cost)


def is_captured(device: Device, phase: str) -> bool:
    """Whether a phase is replayed from CUDA graphs."""
    return device.is_cuda_like and phase != "train"


class BlockJob(RotatingJob):
    """Copies of a block that run in turn."""

    def __init__(
        self, device: Device, variant: Variant, shape: Shape, copies: int, memory_bytes: int, native: bool
    ) -> None:
        super().__init__(device, variant, native)
        self._phase = variant.phase or ""
        self._audits = 0
        batch, seq = variant.batch or 1, variant.seq or 1
        self._blocks = self._make_blocks(shape, copies, batch, seq)
        with torch.no_grad():
            for each in self._blocks:
                each.prepare()
        self._runs = [each.run for each in self._blocks]
        self._verify_iterations = copies
        self._compiled = settings_of(variant).compile
        if self._compiled:
            self._compile(shape, batch)
        captured = is_captured(device, self._phase)
        if captured:
            self._capture(self._runs)
        used = max(each.experts_used() for each in self._blocks)
        tokens = batch * (1 if self._phase == "decode" else seq)
        self.facts = self._describe(
            ("-compile" if self._compiled else "") + ("-graph" if captured else ""),
            block.flops_per_run(shape, self._phase, batch, seq),
            least_bytes(shape, self._dtype, self._phase, batch, seq, used),
            model_tokens(shape, self._dtype, self._phase, batch, seq, used),
            memory_bytes,
            copies * copy_bytes(shape, self._dtype, self._phase, batch, seq),
            tokens / shape.layers,
            " compile=on" if self._compiled else "",
        )

    def _make_blocks(self, shape: Shape, copies: int, batch: int, seq: int) -> Sequence[Block | TrainBlock]:
        # The pool of values is freed on return, before any block allocates its outputs.
        values = Values(self._device, self._inputs, seed_of(self._variant))
        if self._phase == "train":
            return [TrainBlock(self._device, shape, self._dtype, batch, seq, values) for _ in range(copies)]
        return [Block(self._device, shape, self._dtype, self._phase, batch, seq, values) for _ in range(copies)]

    def _compile(self, shape: Shape, batch: int) -> None:
        """Replace the runs by one fused function, whose output is compared with the checked eager output."""
        device = self._device

        def fused(weights: Weights, x: Tensor, cos: Tensor, sin: Tensor, cache: tuple[Tensor, Tensor] | None) -> Tensor:
            return functional.forward(shape, device, weights, x, (cos, sin), batch, cache=cache)

        compiled = torch.compile(fused, fullgraph=True, dynamic=False)
        blocks = [each for each in self._blocks if isinstance(each, Block)]

        def run_of(index: int, each: Block) -> Callable[[], None]:
            b = each.buffers
            cache = (b["keys"], b["values"]) if "keys" in b else None

            def run() -> None:
                self._outputs[index] = compiled(each.weights, b["x"], each.cos, each.sin, cache)

            return run

        self._outputs: list[Tensor | None] = [None] * len(blocks)
        self._eager_outputs = [each.buffers["y"].clone() for each in blocks]
        self._eager_errors = [each.check(self._check_device) for each in blocks]
        self._runs = [run_of(index, each) for index, each in enumerate(blocks)]
        try:
            with torch.no_grad():
                for run in self._runs:
                    run()
        except RuntimeError as error:
            raise Skip(
                f"torch.compile cannot build the block here: {first_line(error)}",
                "install a C++ compiler (on a GPU: Triton too), or leave out --compile",
            ) from error

    def _check(self, turn: int) -> dict[str, float]:
        self._audits += 1
        if not self._compiled:
            return self._blocks[turn].check(self._check_device, self._audits - 1)
        output = self._outputs[turn]
        errors = {f"eager_{name}": error for name, error in self._eager_errors[turn].items()}
        if output is None:
            return errors | {"compiled": math.inf}
        expected = reference.wide(self._eager_outputs[turn], self._check_device)
        return errors | {"compiled": reference.close(output, expected, 8, self._dtype, self._check_device)}

    def _reason(self, name: str, error: float) -> str:
        return f"stage {name} of {self._phase} is wrong: error {error:.3g} × tolerance"

    def _poison(self) -> None:
        if not self._compiled:
            for each in self._blocks:
                each.poison()
            return
        for index, stale in enumerate(self._outputs):
            if stale is not None:
                stale.fill_(math.nan)
                # A CUDA graph writes its output to the same address again; without one, each run returns a new tensor.
                self._outputs[index] = stale if self._device.is_cuda_like else None

    def _free(self) -> None:
        self._blocks, self._outputs, self._eager_outputs = [], [], []


def build(device: Device, variant: Variant, shape: Shape) -> BlockJob:
    """Allocate a prefill, decode or train variant.

    Raises:
        Skip: a whole block cannot run in the type or compiled, or the buffers do not fit.
        BenchError: an unknown type or kind of input.
    """
    dtype = dtypes.lookup(variant.dtype)
    if dtype.name not in BLOCK_DTYPES:
        raise Skip(
            f"{dtype.name} runs in phase gemm only: a block's norms and attention do not exist in {dtype.name}",
            f"use --phase gemm, or a type of {', '.join(BLOCK_DTYPES)}",
        )
    native = dtypes.require(device, dtype)
    if settings_of(variant).compile and (variant.phase == "train" or shape.experts > 1):
        raise Skip(
            f"--compile supports prefill and decode of dense blocks, not {variant.phase} of {shape.name}",
            "leave out --compile for this phase",
        )
    phase, batch, seq = variant.phase or "", variant.batch or 1, variant.seq or 1
    copies = copies_for(copy_bytes(shape, dtype, phase, batch, seq), torch_device.rotation_bytes(device))
    needed = memory_bytes(shape, dtype, phase, batch, seq, copies, device)
    needed += memory.library_bytes(device, is_captured(device, phase))
    memory.require(device, needed, variant.label)
    return memory.allocate(device, variant.label, lambda: BlockJob(device, variant, shape, copies, needed, native))
