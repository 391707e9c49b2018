"""Phase ``gemm``: the matrix products of a transformer, bare.

The headline set weighs the products as the model does: QKV, O, gate-up and down once, and the LM head, which comes
once in ``layers`` blocks, with 1/layers of its FLOPs. One iteration runs the block's products and one slice of
vocabulary/layers rows of the LM head, each time the next slice, so that every row of the vocabulary is read in turn.
The other honest way, ``layers`` blocks and then the whole head, makes an iteration ``layers`` times as long: 14 s for
70B on a slow card, where an iteration must stay under half a second. The slice is at least 1,600 rows wide at published
shapes, enough to be as efficient as the head's full width; ``product="lm_head"`` measures that full width.

Inputs are seeded and scaled so that outputs have unit size. Weights lie [n, k], as models store them. Where the set is
smaller than twice the last-level cache it is kept in several copies that take turns, so that weights come from memory.
In a mixture of experts each expert multiplies its even share of the tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.model import Audit, BenchError, Device, Facts, Variant
from bench.workloads.transformer import dtypes, flops, freivalds, peaks, shapes, torch_device
from bench.workloads.transformer.dtypes import Dtype
from bench.workloads.transformer.shapes import Product, Shape

SEED = 20260
MAX_COPIES = 64
GRAPH_FLOPS = 2e12
"""On CUDA an iteration below this is replayed from a graph: its few products take under a few milliseconds, of which
launching them one by one from Python would be a part that the rate must not hold."""


def seed_of(variant: Variant) -> int:
    """Seed of a variant's inputs."""
    return SEED + int(variant.options.get("seed", 0))


@dataclass(frozen=True, slots=True)
class Call:
    """One product in place: ``out`` [m, n] = ``x`` [m, k] · ``weight`` [n, k] transposed."""

    name: str
    x: Any
    weight: Any
    weight_t: Any
    out: Any


def multiply(dtype: Dtype, device: Device) -> Callable[[Call], Any]:
    """The torch call that multiplies in ``dtype`` and writes into the call's ``out``."""
    import torch

    if dtype.name == "int8":
        return lambda call: torch._int_mm(call.x, call.weight_t, out=call.out)
    if dtype.name == "fp8":
        one = torch.ones((), dtype=torch.float32, device=device.torch_name)
        return lambda call: torch._scaled_mm(
            call.x,
            call.weight_t,
            scale_a=one,
            scale_b=one,
            out_dtype=torch.bfloat16,
            use_fast_accum=False,
            out=call.out,
        )
    return lambda call: torch.mm(call.x, call.weight_t, out=call.out)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a gemm job allocates, known before it does. Sizes in bytes."""

    products: tuple[tuple[Product, int], ...]
    """Each product with the rows that one of its experts sees; the LM head with the rows of its slice as ``n``."""
    lm_vocab: int
    """Rows of the LM head that is run in slices, 0 where there is none."""
    copies: int
    lm_slices: int
    memory_bytes: int
    bytes_per_iteration: int
    flops_per_iteration: int


def layout(shape: Shape, dtype: Dtype, tokens: int, product: str | None, cache_bytes: int) -> Layout:
    """Plan the buffers of a variant.

    Raises:
        BenchError: the tokens do not spread over the experts, or there is no such product.
    """
    if product is not None and product not in shapes.PRODUCTS:
        raise BenchError(f"there is no product named {product!r}", f"choose from {', '.join(shapes.PRODUCTS)}")
    chosen: list[tuple[Product, int]] = []
    lm_vocab = 0
    for each in shape.products():
        if product not in (None, each.name):
            continue
        try:
            rows = flops.product_tokens(each, tokens)
        except ValueError as error:
            raise BenchError(str(error), f"choose a multiple of {shape.experts} tokens") from error
        if each.name == "lm_head":
            lm_vocab = each.n
            width = each.n if product else flops.lm_slice_rows(shape)
            each = Product(each.name, width, each.k)  # noqa: PLW2901
        chosen.append((each, rows))
    slices = -(-lm_vocab // flops.lm_slice_rows(shape)) if lm_vocab and product is None else 1
    return layout_of(tuple(chosen), dtype, cache_bytes, lm_vocab if slices > 1 else 0, slices)


def layout_of(
    products: tuple[tuple[Product, int], ...], dtype: Dtype, cache_bytes: int, lm_vocab: int = 0, lm_slices: int = 1
) -> Layout:
    """Plan the buffers of any set of (product, rows of one expert).

    With ``lm_vocab`` the last product is one of ``lm_slices`` slices of an LM head of so many rows.
    """
    weights = outputs = inputs = lm_weights = 0
    for each, rows in products:
        inputs += each.experts * rows * each.k * dtype.bytes
        outputs += each.experts * rows * each.n * dtype.out_bytes
        if each.name == "lm_head" and lm_vocab:
            lm_weights = lm_vocab * each.k * dtype.bytes
        else:
            weights += each.experts * each.n * each.k * dtype.bytes
    copies = min(MAX_COPIES, max(1, math.ceil(2 * cache_bytes / (weights + inputs + outputs))))
    projections = sum(
        (1 if lm_vocab and e.name == "lm_head" else copies) * e.experts * freivalds.projection_bytes(e.n, e.k)
        for e, _ in products
    )
    scratch = max(freivalds.workspace_bytes(rows, e.n, e.k, dtype.bytes) for e, rows in products)
    return Layout(
        products,
        lm_vocab,
        copies,
        lm_slices,
        # Outputs come once all else is filled and the pool of values is gone.
        memory_bytes=copies * (weights + inputs)
        + lm_weights
        + max(copies * outputs + projections + scratch, torch_device.Values.pool_bytes(dtype.bytes)),
        bytes_per_iteration=inputs + outputs + sum(e.experts * e.n * e.k * dtype.bytes for e, _ in products),
        flops_per_iteration=sum(2 * e.experts * rows * e.n * e.k for e, rows in products),
    )


class GemmJob:
    """A set of products that take turns over their copies. See :class:`bench.model.Job`."""

    def __init__(
        self,
        device: Device,
        variant: Variant,
        plan: Layout,
        native: bool,
        tokens_per_iteration: float | None = None,
        note: str = "",
    ) -> None:
        self._memory = torch_device.PeakMemory(device)
        self._device = device
        self._dtype = dtypes.lookup(variant.dtype)
        self._plan = plan
        self._place = device.torch_name
        self._check_place = torch_device.check_place(device)
        self._multiply = multiply(self._dtype, device)
        self._turns = self._allocate(str(variant.options.get("inputs", "normal")), seed_of(variant))
        self._next = 0
        self._launched = 0
        self._projections: dict[int, freivalds.Projection] = {}
        self._replays = self._capture()
        self.facts = self._facts(variant, native, tokens_per_iteration, note)

    def _facts(self, variant: Variant, native: bool, tokens_per_iteration: float | None, note: str) -> Facts:
        import torch

        peak = peaks.lookup(self._device, self._dtype.name)
        return Facts(
            implementation=f"torch-{torch.__version__}{'-graph' if self._replays else ''}",
            work_unit="FLOP",
            work_per_iteration=float(self._plan.flops_per_iteration),
            tokens_per_iteration=tokens_per_iteration,
            bytes_per_iteration=float(self._plan.bytes_per_iteration),
            peak_work_per_s=peak.flops_per_s,
            peak_bytes_per_s=peak.bytes_per_s,
            peak_source=peak.source,
            native=native,
            precision=dtypes.set_flags(self._dtype),
            memory_bytes=self._plan.memory_bytes + torch_device.library_bytes(self._device),
            options=torch_device.settings(self._device, variant.options.get("inputs", "normal")) + note,
        )

    def _fill(self, inputs: str, seed: int) -> tuple[list[list[tuple[str, Any, Any, int]]], Any]:
        """Name, activations, weight and width of each product, by copy; and the LM head, if it is run in slices.

        The pool of values, as large as a small job, is gone on return: outputs are made after that.
        """
        import torch

        values = torch_device.Values(self._device, inputs, seed)

        def filled(rows: int, columns: int, scale: float) -> Any:
            empty = torch.empty(rows, columns, dtype=self._dtype.torch, device=self._place)
            return values.fill(empty, scale)

        # One-byte values keep their full size, as a model's scales see to: k^-0.5 would leave e4m3 its subnormals
        # alone, a third of the distinct values and so fewer toggling bits. Other weights give outputs of unit size.
        def weight_scale(k: int) -> float:
            return 1.0 if self._dtype.bytes == 1 else k**-0.5

        head: Any = None
        if self._plan.lm_vocab:
            width = self._plan.products[-1][0].k
            head = filled(self._plan.lm_vocab, width, weight_scale(width))
        copies = []
        for _ in range(self._plan.copies):
            products = []
            for product, rows in self._plan.products:
                for _ in range(product.experts):
                    x = filled(rows, product.k, 1.0)
                    sliced = product.name == "lm_head" and head is not None
                    weight = head if sliced else filled(product.n, product.k, weight_scale(product.k))
                    products.append((product.name, x, weight, product.n))
            copies.append(products)
        return copies, head

    def _allocate(self, inputs: str, seed: int) -> list[list[Call]]:
        """Fill every buffer; one list of calls per turn, each turn on other memory where there are copies."""
        import torch

        filled, head = self._fill(inputs, seed)

        def empty(rows: int, columns: int) -> Any:
            return torch.empty(rows, columns, dtype=self._dtype.out_torch, device=self._place)

        copies = [[Call(name, x, w, w.t(), empty(len(x), n)) for name, x, w, n in products] for products in filled]
        turns = []
        for turn in range(math.lcm(self._plan.copies, self._plan.lm_slices)):
            calls = list(copies[turn % self._plan.copies])
            if head is not None:
                # The last slice is moved back to end with the vocabulary: all slices are equally wide.
                last = calls[-1]
                width = last.out.shape[1]
                first = min(turn % self._plan.lm_slices * width, self._plan.lm_vocab - width)
                part = head[first : first + width]
                calls[-1] = Call(last.name, last.x, part, part.t(), last.out)
            turns.append(calls)
        self._spoil(copies)
        return turns

    def _spoil(self, turns: list[list[Call]]) -> None:
        """Overwrite all outputs, so that what a check reads can only come from work done since."""
        for calls in turns:
            for call in calls:
                call.out.fill_(-(2**31) if self._dtype.name == "int8" else float("nan"))

    def _capture(self) -> list[Callable[[], Any]]:
        """Each turn as a CUDA graph where an iteration is small; empty elsewhere."""
        if self._device.kind not in ("cuda", "rocm") or self._plan.flops_per_iteration >= GRAPH_FLOPS:
            return []
        dtypes.set_flags(self._dtype)

        def turn_of(calls: list[Call]) -> Callable[[], None]:
            def run() -> None:
                for call in calls:
                    self._multiply(call)

            return run

        replays = [torch_device.capture(self._device, turn_of(calls)) for calls in self._turns]
        self._spoil(self._turns[: self._plan.copies])
        return replays

    def launch(self, iterations: int) -> None:
        dtypes.set_flags(self._dtype)
        turns, run, turn, replays = self._turns, self._multiply, self._next, self._replays
        count = len(turns)
        for _ in range(iterations):
            if replays:
                replays[turn]()
            else:
                for call in turns[turn]:
                    run(call)
            turn += 1
            if turn == count:
                turn = 0
        self._next = turn
        self._launched += iterations

    def sync(self) -> None:
        torch_device.synchronize(self._device)

    def verify(self) -> Audit:
        """Run one iteration and check each of its products."""
        self.audit()
        self.launch(1)
        self.sync()
        return self.audit()

    def audit(self) -> Audit:
        """Check every product of the last iteration launched, then spoil all outputs for the next window."""
        if self._launched == 0:
            return Audit(True)
        calls = self._turns[self._next - 1]
        reasons = []
        worst: dict[str, float] = {}
        for index, call in enumerate(calls):
            with torch_device.exact_heap(self._device):
                excess = freivalds.excess(call.x, call.out, self._projection(call, index), self._dtype)
            worst[f"freivalds_{call.name}"] = max(worst.get(f"freivalds_{call.name}", 0.0), excess)
        for name, excess in worst.items():
            if not excess <= 1.0:
                product = name.removeprefix("freivalds_")
                reasons.append(f"product {product} is wrong: Freivalds residual {excess:.3g} × tolerance")
        self._launched = 0
        self._spoil(self._turns[: self._plan.copies])
        return Audit(not reasons, tuple(reasons), details=worst)

    def _projection(self, call: Call, index: int) -> freivalds.Projection:
        # A slice of the LM head is projected anew each time: keeping all would cost as much as a block.
        if call.name == "lm_head" and self._plan.lm_slices > 1:
            return freivalds.project(call.weight, SEED + index, self._check_place)
        key = id(call.weight)
        if key not in self._projections:
            self._projections[key] = freivalds.project(call.weight, SEED + index, self._check_place)
        return self._projections[key]

    def peak_memory_bytes(self) -> int | None:
        return self._memory.grown_bytes()

    def close(self) -> None:
        self._turns = []
        self._replays = []
        self._projections = {}
        torch_device.release(self._device)


def build(device: Device, variant: Variant, shape: Shape) -> GemmJob:
    """Allocate a gemm variant.

    Raises:
        Skip: the type is not native where it must be, or the buffers do not fit.
        BenchError: an unknown type, product or kind of input.
    """
    dtype = dtypes.lookup(variant.dtype)
    is_native = dtypes.require(device, dtype)
    tokens = (variant.batch or 1) * (variant.seq or 1)
    plan = layout(shape, dtype, tokens, variant.product, torch_device.cache_bytes(device))
    for each, rows in plan.products:
        dtypes.require_product(device, dtype, rows, each.n, each.k)
    torch_device.require_memory(device, plan.memory_bytes + torch_device.library_bytes(device), variant.label)
    job: GemmJob = torch_device.guarded_allocation(
        device,
        variant.label,
        lambda: GemmJob(device, variant, plan, is_native, None if variant.product else tokens / shape.layers),
    )
    return job
