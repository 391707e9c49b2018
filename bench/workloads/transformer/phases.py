"""Phases ``prefill``, ``decode`` and ``train``: whole blocks that take turns, as jobs a runner can time.

As many copies of the block (weights, cache and activations) take turns as are needed to exceed the last-level cache
twice. On CUDA, prefill and decode are replayed from CUDA graphs, one per copy: no launch overhead, no allocation.
With ``options["compile"]`` the block is fused by torch.compile; compilation happens in ``build``, outside all timing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from bench.model import Audit, Device, Facts, Skip, Variant, first_line
from bench.workloads.transformer import (
    block,
    dtypes,
    flops,
    freivalds,
    functional,
    peaks,
    reference,
    torch_device,
    train,
)
from bench.workloads.transformer.block import Block
from bench.workloads.transformer.dtypes import Dtype
from bench.workloads.transformer.gemm import MAX_COPIES, seed_of
from bench.workloads.transformer.shapes import Shape
from bench.workloads.transformer.train import TrainBlock

GRAPH_KINDS = ("cuda", "rocm")
"""Kinds of device on which prefill and decode are replayed from graphs."""
BLOCK_DTYPES = ("fp32", "tf32", "fp16", "bf16")


def copy_bytes(shape: Shape, dtype: Dtype, phase: str, batch: int, seq: int) -> int:
    """Bytes of one copy of a phase's block."""
    if phase == "train":
        return train.memory_bytes(shape, dtype, batch, seq)
    return block.memory_bytes(shape, dtype, batch, seq, phase)


def copies_for(shape: Shape, dtype: Dtype, phase: str, batch: int, seq: int, cache_bytes: int) -> int:
    """Copies that exceed the last-level cache twice."""
    return min(MAX_COPIES, max(1, math.ceil(2 * cache_bytes / copy_bytes(shape, dtype, phase, batch, seq))))


def memory_bytes(shape: Shape, dtype: Dtype, phase: str, batch: int, seq: int, copies: int, device: Device) -> int:
    """Peak bytes of a job: its copies, and the largest of what filling, running and checking them takes besides.

    Each CUDA graph keeps the memory of its temporaries, such as keys and values repeated to all heads, for itself.
    """
    filled = copies * copy_bytes(shape, dtype, phase, batch, seq)
    expanded = block.expanded_bytes(shape, dtype, batch, seq, device)
    pool = torch_device.Values.pool_bytes(dtype.bytes)
    if phase == "train":
        before = copies * train.filled_bytes(shape, dtype, batch, seq)
        running = train.expanding_bytes(shape, dtype, batch, seq, expanded)
        return max(before + pool, filled + max(running, train.checking_bytes(shape, dtype, batch, seq)))
    rows = batch * (1 if phase == "decode" else seq)
    sizes = [(rows * p.top_k // p.experts, p.n, p.k) for p in shape.products() if p.name != "lm_head"]
    scratch = max(freivalds.workspace_bytes(*size, dtype.bytes) for size in sizes)
    projections = copies * block.projection_bytes(shape)
    before = copies * block.filled_bytes(shape, dtype, batch, seq, phase)
    if device.kind in GRAPH_KINDS:
        return max(before + pool, filled + copies * expanded + projections + scratch)
    # What attention returned the time before is dropped only once it has returned anew.
    running = expanded + rows * shape.attention_width * dtype.bytes
    return max(before + pool, filled + projections + max(running, scratch))


def least_bytes(shape: Shape, dtype: Dtype, phase: str, batch: int, seq: int, experts_used: int) -> int:
    """Least bytes that cross device memory in an iteration: what no cache can keep from one iteration to the next.

    Weights are read once (twice in training, whose gradients are written once); x is read and y written; decoding reads
    the cache and writes one token to it, prefill writes it. MBU is this over time over bandwidth.
    """
    rows = batch * (1 if phase == "decode" else seq)
    values = (3 if phase == "train" else 1) * flops.block_weights(shape, experts_used)
    values += (4 if phase == "train" else 2) * rows * shape.d_model
    if phase == "decode":
        values += flops.cache_values(shape, batch, seq) + flops.cache_values(shape, batch, 1)
    elif phase == "prefill":
        values += flops.cache_values(shape, batch, seq)
    return values * dtype.bytes


class BlockJob:
    """Copies of a block that take turns. See :class:`bench.model.Job`."""

    def __init__(self, device: Device, variant: Variant, shape: Shape, copies: int, memory: int, native: bool) -> None:
        import torch

        self._memory = torch_device.PeakMemory(device)
        self._device = device
        self._dtype = dtypes.lookup(variant.dtype)
        self._phase = variant.phase or ""
        batch, seq = variant.batch or 1, variant.seq or 1
        self._check_place = torch_device.check_place(device)
        self._launched = 0
        self._next = 0
        self._audits = 0
        precision = dtypes.set_flags(self._dtype)
        inputs = str(variant.options.get("inputs", "normal"))
        values = torch_device.Values(device, inputs, seed_of(variant))
        self._blocks: list[Any] = []
        for _ in range(copies):
            if self._phase == "train":
                self._blocks.append(TrainBlock(device, shape, self._dtype, batch, seq, values))
            else:
                self._blocks.append(Block(device, shape, self._dtype, self._phase, batch, seq, values))
        del values
        with torch.no_grad():
            for each in self._blocks:
                each.prepare()
        self._runs: list[Callable[[], Any]] = [each.run for each in self._blocks]
        self._wanted: list[Any] = []
        self._outputs: list[Any] = [None] * copies
        how = ""
        if variant.options.get("compile"):
            self._compile(shape, batch)
            how = "-compile"
        if device.kind in GRAPH_KINDS and self._phase != "train":
            with torch.no_grad():
                self._runs = [torch_device.capture(device, run) for run in self._runs]
            how += "-graph"
        peak = peaks.lookup(device, self._dtype.name)
        used = max(each.experts_used() for each in self._blocks)
        tokens = batch * (1 if self._phase == "decode" else seq)
        self.facts = Facts(
            implementation=f"torch-{torch.__version__}{how}",
            work_unit="FLOP",
            work_per_iteration=float(block.flops_per_run(shape, self._phase, batch, seq)),
            tokens_per_iteration=tokens / shape.layers,
            bytes_per_iteration=float(least_bytes(shape, self._dtype, self._phase, batch, seq, used)),
            peak_work_per_s=peak.flops_per_s,
            peak_bytes_per_s=peak.bytes_per_s,
            peak_source=peak.source,
            native=native,
            precision=precision,
            memory_bytes=memory,
            options=torch_device.settings(device, inputs) + (" compile=on" if variant.options.get("compile") else ""),
        )

    def _compile(self, shape: Shape, batch: int) -> None:
        """Replace the runs by one fused function; what it gives is held to the checked eager result of each copy."""
        import torch

        device = self._device

        def fused(weights: Any, x: Any, cos: Any, sin: Any, cache: Any) -> Any:
            return functional.forward(shape, device, weights, x, (cos, sin), batch, cache=cache)

        compiled = torch.compile(fused, fullgraph=True, dynamic=False)

        def runner(index: int, each: Block) -> Callable[[], Any]:
            b = each.buffers
            cache = (b["keys"], b["values"]) if "keys" in b else None

            def run() -> Any:
                self._outputs[index] = compiled(each.weights, b["x"], each.cos, each.sin, cache)

            return run

        self._wanted = [each.buffers["y"].clone() for each in self._blocks]
        self._reference_checks = [each.check(self._check_place) for each in self._blocks]
        self._runs = [runner(index, each) for index, each in enumerate(self._blocks)]
        try:
            with torch.no_grad():
                for run in self._runs:
                    run()
        except RuntimeError as error:
            raise Skip(
                f"torch.compile cannot build the block here: {first_line(error)}",
                "install a C++ compiler (on a GPU: Triton too), or leave --compile out",
            ) from error

    def launch(self, iterations: int) -> None:
        import torch

        dtypes.set_flags(self._dtype)
        runs, turn = self._runs, self._next
        count = len(runs)
        with torch.no_grad():
            for _ in range(iterations):
                runs[turn]()
                turn += 1
                if turn == count:
                    turn = 0
        self._next = turn
        self._launched += iterations

    def sync(self) -> None:
        torch_device.synchronize(self._device)

    def verify(self) -> Audit:
        """Run every copy once and check each stage of the last."""
        self.audit()
        self.launch(len(self._blocks))
        self.sync()
        return self.audit()

    def audit(self) -> Audit:
        """Check every stage of the last iteration launched, then spoil what it wrote for the next window."""
        import torch

        if self._launched == 0:
            return Audit(True)
        last = (self._next - 1) % len(self._blocks)
        with torch.no_grad(), torch_device.exact_heap(self._device):
            found = self._check_compiled(last) if self._wanted else self._check_eager(last)
        self._launched = 0
        self._audits += 1
        reasons = tuple(
            f"stage {name} of {self._phase} is wrong: error {excess:.3g} × tolerance"
            for name, excess in found.items()
            if not excess <= 1.0
        )
        return Audit(not reasons, reasons, details=found)

    def _check_eager(self, last: int) -> dict[str, float]:
        each = self._blocks[last]
        found: dict[str, float] = each.check(self._check_place, self._audits)
        for every in self._blocks:
            every.spoil()
        return found

    def _check_compiled(self, last: int) -> dict[str, float]:
        """The fused result beside the eager one, of which every stage was checked."""
        output = self._outputs[last]
        found = {f"eager_{name}": excess for name, excess in self._reference_checks[last].items()}
        if output is None:
            return found | {"compiled": math.inf}
        wanted = reference.wide(self._wanted[last], self._check_place)
        found["compiled"] = reference.close(output, wanted, 8, self._dtype, self._check_place)
        for index, stale in enumerate(self._outputs):
            if stale is not None:
                stale.fill_(math.nan)
                # Under a CUDA graph the output's place is fixed and is written again; else a new tensor comes.
                self._outputs[index] = stale if self._device.kind in ("cuda", "rocm") else None
        return found

    def peak_memory_bytes(self) -> int | None:
        return self._memory.grown_bytes()

    def close(self) -> None:
        self._blocks, self._runs, self._wanted, self._outputs = [], [], [], []
        torch_device.release(self._device)


def build(device: Device, variant: Variant, shape: Shape) -> BlockJob:
    """Allocate a prefill, decode or train variant.

    Raises:
        Skip: the type has no path through a whole block, or the buffers do not fit.
        BenchError: an unknown type or kind of input, or compile for what it does not serve.
    """
    dtype = dtypes.lookup(variant.dtype)
    if dtype.name not in BLOCK_DTYPES:
        raise Skip(
            f"{dtype.name} runs in phase gemm only: norms and attention of a block have no {dtype.name} form",
            f"use --phase gemm, or a type of {', '.join(BLOCK_DTYPES)}",
        )
    native = dtypes.require(device, dtype)
    if variant.options.get("compile") and (variant.phase == "train" or shape.experts > 1):
        raise Skip(
            f"compile serves prefill and decode of dense blocks, not {variant.phase} of {shape.name}",
            "leave --compile out for this phase",
        )
    phase, batch, seq = variant.phase or "", variant.batch or 1, variant.seq or 1
    copies = copies_for(shape, dtype, phase, batch, seq, torch_device.cache_bytes(device))
    memory = memory_bytes(shape, dtype, phase, batch, seq, copies, device) + torch_device.library_bytes(device)
    torch_device.require_memory(device, memory, variant.label)
    job: BlockJob = torch_device.guarded_allocation(
        device, variant.label, lambda: BlockJob(device, variant, shape, copies, memory, native)
    )
    return job
