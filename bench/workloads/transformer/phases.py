"""Phases ``prefill``, ``decode`` and ``train``: copies of whole blocks that run in turn, as a job.

What an iteration runs of a model is in :mod:`~bench.workloads.transformer.stack`. As many copies of it (weights, cache
and activations) are made as exceed the last-level cache ten times, if the memory allows
(:func:`~bench.workloads.transformer.torch_device.rotation_bytes`). On CUDA, prefill and decode are replayed from CUDA
graphs, one for each block: no launch overhead, no allocation. With the option ``compile`` the block is fused by
torch.compile; compilation happens in :func:`build`, outside all timing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from bench.model import Device, Skip, Variant, first_line
from bench.workloads.transformer import (
    attention,
    block,
    buffers,
    dtypes,
    flops,
    freivalds,
    functional,
    memory,
    reference,
    torch_device,
    train,
)
from bench.workloads.transformer.block import Block
from bench.workloads.transformer.buffers import Weights
from bench.workloads.transformer.dtypes import Dtype
from bench.workloads.transformer.inputs import Values
from bench.workloads.transformer.job import RotatingJob, copies_for, seed_of
from bench.workloads.transformer.latent import LatentBlock
from bench.workloads.transformer.options import settings_of
from bench.workloads.transformer.shapes import Shape
from bench.workloads.transformer.stack import Stack
from bench.workloads.transformer.stack import plan as plan_stack
from bench.workloads.transformer.train import TrainBlock

BLOCK_DTYPES = ("fp32", "tf32", "fp16", "bf16")


def copy_bytes(shape: Shape, dtype: Dtype, phase: str, batch: int, seq: int) -> int:
    """Bytes of one block of a phase."""
    if phase == "train":
        return train.memory_bytes(shape, dtype, batch, seq)
    return buffers.memory_bytes(shape, dtype, batch, seq, phase)


def memory_bytes(stack: Stack, dtype: Dtype, phase: str, batch: int, seq: int, copies: int, device: Device) -> int:
    """Peak bytes of a job: its copies, and whichever of filling, running and checking them needs most on top.

    Each CUDA graph keeps memory of its own for temporaries such as keys and values repeated to all heads.
    """
    blocks = stack.blocks
    filled = copies * sum(copy_bytes(each, dtype, phase, batch, seq) for each in blocks)
    # Decode's queries come grouped by the head whose keys they share, so nothing is repeated.
    expanded = [attention.expanded_bytes(each, dtype, batch, seq, device) for each in blocks]
    if phase == "decode":
        # Softmax of the scores of latent attention, which has no fused kernel.
        expanded = [batch * each.heads * seq * dtype.itemsize if each.kv_lora else 0 for each in blocks]
    pool = Values.pool_bytes(dtype.itemsize)
    if phase == "train":
        (shape,) = blocks
        before = copies * train.filled_bytes(shape, dtype, batch, seq)
        running = train.expanding_bytes(shape, dtype, batch, seq, *expanded)
        return max(before + pool, filled + max(running, train.checking_bytes(shape, dtype, batch, seq)))
    rows = batch * (1 if phase == "decode" else seq)
    if stack.chained:
        # A layer's input is the output of the one before it.
        filled -= copies * (len(blocks) - 1) * rows * stack.shape.d_model * dtype.itemsize
    filled += copies * sum(attention.mask_bytes(each, dtype, phase, seq, device) for each in blocks)
    products = [p for each in blocks for p in each.products() if p.name != "lm_head"]
    sizes = [(rows * p.top_k // p.experts, p.n, p.k) for p in products]
    scratch = max(
        *(freivalds.workspace_bytes(*size, dtype.itemsize) for size in sizes),
        *(reference.total_bytes(each.top_k, rows, each.d_model) for each in blocks if each.experts > 1),
    )
    projections = copies * sum(buffers.projection_bytes(each) for each in blocks)
    before = copies * sum(buffers.filled_bytes(each, dtype, batch, seq, phase) for each in blocks)
    if is_captured(device, phase):
        return max(before + pool, filled + copies * sum(expanded) + projections + scratch)
    # Attention's previous output is freed only after it has returned the next one.
    running = max(e + rows * b.attention_width * dtype.itemsize for e, b in zip(expanded, blocks, strict=True))
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


def stack_bytes(stack: Stack, dtype: Dtype, phase: str, batch: int, seq: int, used: Mapping[Shape, int]) -> int:
    """:func:`least_bytes` of an iteration of a stack; ``used`` are the experts that its kinds of layers use."""
    return int(stack.cost(lambda each: least_bytes(each, dtype, phase, batch, seq, used[each])))


def model_tokens(
    stack: Stack, dtype: Dtype, phase: str, batch: int, seq: int, used: Mapping[Shape, int]
) -> tuple[float, float]:
    """Tokens of the whole model that an iteration stands for: with the LM head on every token, and without it.

    Each is the tokens of an iteration times its cost ÷ the cost of the model. The head is not run here. It, and layers
    that are not run, are taken to run at the iteration's own rate: of bytes in decode, which memory limits, and of
    FLOPs in prefill and training.
    """
    tokens = batch * (1 if phase == "decode" else seq)
    if phase == "decode":
        head_cost: float = flops.head_values(stack.shape, tokens) * dtype.itemsize
    else:
        head_cost = (3 if phase == "train" else 1) * flops.head_flops(stack.shape, tokens)

    def cost(each: Shape) -> float:
        if phase == "decode":
            return least_bytes(each, dtype, phase, batch, seq, used[each])
        return block.flops_per_run(each, phase, batch, seq)

    run, whole = stack.cost(cost), stack.model_cost(cost)
    return tokens * run / (whole + head_cost), tokens * run / whole


def is_captured(device: Device, phase: str) -> bool:
    """Whether a phase is replayed from CUDA graphs."""
    return device.is_cuda_like and phase != "train"


class BlockJob(RotatingJob):
    """Copies of a block that run in turn."""

    def __init__(
        self, device: Device, variant: Variant, stack: Stack, copies: int, memory_bytes: int, native: bool
    ) -> None:
        super().__init__(device, variant, native)
        self._phase = variant.phase or ""
        self._audits = 0
        batch, seq = variant.batch or 1, variant.seq or 1
        self._copies = self._make_copies(stack, copies, batch, seq)
        self._blocks = [each for copy in self._copies for each in copy]
        with torch.no_grad():
            self._prepare(stack)
        self._runs = [each.run for each in self._blocks]
        self._verify_iterations = copies
        self._compiled = settings_of(variant).compile
        if self._compiled:
            self._compile(stack.shape, batch)
        captured = is_captured(device, self._phase)
        if captured:
            self._capture(self._runs)
        self._runs = self._in_turn(stack)
        used: dict[Shape, int] = {}
        for each in self._blocks:
            used[each.shape] = max(used.get(each.shape, 0), each.experts_used())
        sizes = {kind: copy_bytes(kind, self._dtype, self._phase, batch, seq) for kind in stack.blocks}
        tokens, block_tokens = model_tokens(stack, self._dtype, self._phase, batch, seq, used)
        self.facts = self._describe(
            ("-compile" if self._compiled else "") + ("-graph" if captured else ""),
            int(stack.cost(lambda kind: block.flops_per_run(kind, self._phase, batch, seq))),
            stack_bytes(stack, self._dtype, self._phase, batch, seq, used),
            tokens,
            memory_bytes,
            copies * stack.reused_bytes(sizes),
            block_tokens,
            (" compile=on" if self._compiled else "") + (f" layers={len(stack.layers)}" if stack.chained else ""),
        )

    def _make_copies(self, stack: Stack, copies: int, batch: int, seq: int) -> Sequence[Sequence[Block | TrainBlock]]:
        # The pool of values is freed on return, before any block allocates its outputs.
        values = Values(self._device, self._inputs, seed_of(self._variant))
        device, dtype, phase = self._device, self._dtype, self._phase
        if phase == "train":
            return [
                [TrainBlock(device, each, dtype, batch, seq, values) for each in stack.blocks] for _ in range(copies)
            ]
        return [
            [
                (LatentBlock if each.kv_lora else Block)(device, each, dtype, phase, batch, seq, values)
                for each in stack.blocks
            ]
            for _ in range(copies)
        ]

    def _prepare(self, stack: Stack) -> None:
        for copy in self._copies:
            previous: Block | None = None
            for each in copy:
                if stack.chained and isinstance(each, Block):
                    if previous is not None:
                        each.buffers["x"] = previous.buffers["y"]
                    previous = each
                each.prepare()

    def _in_turn(self, stack: Stack) -> list[Callable[[], object]]:
        """One run for each copy: its layers, given ``_runs``, the run of each block."""
        width = len(stack.blocks)
        order = range(width) if stack.chained else [stack.blocks.index(layer) for layer in stack.layers]

        def of(runs: Sequence[Callable[[], object]]) -> Callable[[], object]:
            if len(runs) == 1:
                return runs[0]

            def run() -> None:
                for each in runs:
                    each()

            return run

        return [of([self._runs[first + i] for i in order]) for first in range(0, len(self._blocks), width)]

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
            worst: dict[str, float] = {}
            for each in self._copies[turn]:
                for name, error in each.check(self._check_device, self._audits - 1).items():
                    worst[name] = max(worst.get(name, 0.0), error)
            return worst
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
        self._copies, self._blocks, self._outputs, self._eager_outputs = [], [], [], []


def build(device: Device, variant: Variant, shape: Shape) -> BlockJob:
    """Allocate a prefill, decode or train variant.

    Raises:
        Skip: the blocks cannot run in the type, the phase or compiled, or the buffers do not fit.
        BenchError: an unknown type or kind of input, or layers that the model lacks.
    """
    dtype = dtypes.lookup(variant.dtype)
    if dtype.name not in BLOCK_DTYPES:
        raise Skip(
            f"{dtype.name} runs in phase gemm only: a block's norms and attention do not exist in {dtype.name}",
            f"use --phase gemm, or a type of {', '.join(BLOCK_DTYPES)}",
        )
    native = dtypes.require(device, dtype)
    phase, batch, seq = variant.phase or "", variant.batch or 1, variant.seq or 1
    settings = settings_of(variant)
    if phase == "train" and not (shape.is_plain and settings.layers is None):
        raise Skip(
            f"phase train runs one block of models whose layers are alike, without windows, sinks or shared experts, "
            f"not {shape.name}" + (f" with --layers {settings.layers}" if settings.layers else ""),
            "use --phase prefill,decode",
        )
    if settings.compile and (phase == "train" or shape.experts > 1 or not shape.is_plain or settings.layers):
        raise Skip(
            f"--compile supports prefill and decode of one dense block, not {phase} of {shape.name}",
            "leave out --compile for this phase",
        )
    attention.require(device, shape, dtype, seq)
    stack = plan_stack(shape, settings.layers)
    sizes = {kind: copy_bytes(kind, dtype, phase, batch, seq) for kind in stack.blocks}
    copies = copies_for(stack.reused_bytes(sizes), torch_device.rotation_bytes(device))
    needed = memory_bytes(stack, dtype, phase, batch, seq, copies, device)
    needed += memory.library_bytes(device, is_captured(device, phase))
    memory.require(device, needed, variant.label)
    return memory.allocate(device, variant.label, lambda: BlockJob(device, variant, stack, copies, needed, native))
