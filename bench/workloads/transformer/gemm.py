"""Phase ``gemm``: the matrix products of a transformer, bare.

The headline set weights the products as the model does: QKV, O, gate-up and down once, and the LM head, which occurs
once per ``layers`` blocks, with 1/layers of its FLOPs. One iteration runs the block's products and one slice of
vocabulary/layers rows of the LM head, each time the next slice, so that every row of the vocabulary is read in turn.
The alternative, ``layers`` blocks and then the whole head, makes an iteration ``layers`` times as long: 14 s for 70B on
a slow card, where an iteration must stay under half a second. The slice is at least 1,600 rows wide at published
shapes, enough to be as efficient as the head's full width; ``product="lm_head"`` measures that full width.

Inputs are seeded and scaled so that outputs have unit size. Weights are stored [n, k], as in models. A set smaller than
ten times the last-level cache is kept in several copies that run in turn, so that weights come from memory. In a
mixture of experts each expert multiplies an equal share of the tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from bench.model import BenchError, Device, Skip, Variant
from bench.workloads.transformer import dtypes, flops, freivalds, memory, torch_device
from bench.workloads.transformer.dtypes import Dtype
from bench.workloads.transformer.inputs import Values
from bench.workloads.transformer.job import SEED, RotatingJob, copies_for, poison, seed_of
from bench.workloads.transformer.shapes import Product, Shape

GRAPH_FLOPS = 2e12
"""On CUDA a smaller iteration is replayed from a graph: its products take a few milliseconds at most, and launching
them one by one from Python would take a visible part of that."""


@dataclass(frozen=True, slots=True)
class Call:
    """One product and its buffers: ``out`` [m, n] = ``x`` [m, k] · ``weight`` [n, k] transposed."""

    name: str
    x: Tensor
    weight: Tensor
    weight_t: Tensor
    out: Tensor


def multiply(dtype: Dtype, device: Device) -> Callable[[Call], Tensor]:
    """The torch call that multiplies in ``dtype`` and writes into the call's ``out``."""
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
    """What a gemm job will allocate. Sizes in bytes."""

    products: tuple[tuple[Product, int], ...]
    """Each product with the rows that one of its experts sees; the LM head with the rows of its slice as ``n``."""
    lm_vocab: int
    """Rows of the LM head that is run in slices, 0 where there is none."""
    copies: int
    lm_slices: int
    memory_bytes: int
    rotating_bytes: int
    """What the iterations take turns over: every copy, and the whole LM head."""
    bytes_per_iteration: int
    flops_per_iteration: int
    head_flops: int
    """The LM head's share of ``flops_per_iteration``."""


def layout(shape: Shape, dtype: Dtype, tokens: int, product: str | None, rotation_bytes: int) -> Layout:
    """Plan the buffers of a variant.

    Raises:
        BenchError: the tokens do not divide among the experts, or there is no such product.
    """
    names = [each.name for each in shape.products()]
    if product is not None and product not in names:
        raise BenchError(f"{shape.name} has no product named {product!r}", f"choose from {', '.join(names)}")
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
    return layout_of(tuple(chosen), dtype, rotation_bytes, lm_vocab if slices > 1 else 0, slices)


def layout_of(
    products: tuple[tuple[Product, int], ...], dtype: Dtype, rotation_bytes: int, lm_vocab: int = 0, lm_slices: int = 1
) -> Layout:
    """Plan the buffers of any set of (product, rows of one expert).

    With ``lm_vocab`` the last product is one of ``lm_slices`` slices of an LM head of ``lm_vocab`` rows.
    """
    weights = outputs = inputs = lm_weights = 0
    for each, rows in products:
        inputs += each.experts * rows * each.k * dtype.itemsize
        outputs += each.experts * rows * each.n * dtype.out_dtype.itemsize
        if each.name == "lm_head" and lm_vocab:
            lm_weights = lm_vocab * each.k * dtype.itemsize
        else:
            weights += each.experts * each.n * each.k * dtype.itemsize
    copies = copies_for(weights + inputs + outputs, rotation_bytes)
    projections = sum(
        (1 if lm_vocab and e.name == "lm_head" else copies) * e.experts * freivalds.projection_bytes(e.n, e.k)
        for e, _ in products
    )
    scratch = max(freivalds.workspace_bytes(rows, e.n, e.k, dtype.itemsize) for e, rows in products)
    return Layout(
        products,
        lm_vocab,
        copies,
        lm_slices,
        # Outputs are allocated after everything else is filled and the pool of values is freed.
        memory_bytes=copies * (weights + inputs)
        + lm_weights
        + max(copies * outputs + projections + scratch, Values.pool_bytes(dtype.itemsize)),
        rotating_bytes=copies * (weights + inputs + outputs) + lm_weights,
        bytes_per_iteration=inputs + outputs + sum(e.experts * e.n * e.k * dtype.itemsize for e, _ in products),
        flops_per_iteration=sum(2 * e.experts * rows * e.n * e.k for e, rows in products),
        head_flops=sum(2 * rows * e.n * e.k for e, rows in products if e.name == "lm_head"),
    )


def is_captured(device: Device, plan: Layout) -> bool:
    """Whether a job of this plan is replayed from CUDA graphs."""
    return device.is_cuda_like and plan.flops_per_iteration < GRAPH_FLOPS


class GemmJob(RotatingJob):
    """A set of products that rotates over its copies.

    Args:
        native: whether the device multiplies the type natively.
        tokens_per_iteration: tokens of the whole model, LM head included, that an iteration stands for.
        note: appended to the options of the job's facts.
    """

    def __init__(
        self,
        device: Device,
        variant: Variant,
        plan: Layout,
        native: bool,
        tokens_per_iteration: float | None = None,
        note: str = "",
    ) -> None:
        super().__init__(device, variant, native)
        self._plan = plan
        self._multiply = multiply(self._dtype, device)
        self._projections: dict[int, freivalds.Projection] = {}
        self._turns = self._allocate(seed_of(variant))
        self._poison()
        self._runs = [self._run_of(calls) for calls in self._turns]
        captured = is_captured(device, plan)
        if captured:
            self._capture(self._runs)
            self._poison()
        self.facts = self._describe(
            "-graph" if captured else "",
            plan.flops_per_iteration,
            plan.bytes_per_iteration,
            tokens_per_iteration,
            plan.memory_bytes + memory.library_bytes(device, captured),
            plan.rotating_bytes,
            tokens_per_iteration and tokens_per_iteration / (1 - plan.head_flops / plan.flops_per_iteration),
            note,
        )

    def _fill(self, seed: int) -> tuple[list[list[tuple[str, Tensor, Tensor, int]]], Tensor | None]:
        """Name, activations, weight and width of each product, by copy; and the LM head, if it is run in slices.

        The pool of values, as large as a small job, is freed on return: outputs are allocated after that.
        """
        values = Values(self._device, self._inputs, seed)

        def filled(rows: int, columns: int, scale: float) -> Tensor:
            empty = torch.empty(rows, columns, dtype=self._dtype.torch_dtype, device=self._device.torch_name)
            return values.fill(empty, scale)

        # One-byte weights keep unit size, as a model's scales would ensure: scaled by k^-0.5, e4m3 would hold only
        # subnormals, a third of the distinct values, so fewer bits would toggle. Other weights give outputs of unit
        # size.
        def weight_scale(k: int) -> float:
            return 1.0 if self._dtype.itemsize == 1 else k**-0.5

        head: Tensor | None = None
        if self._plan.lm_vocab:
            width = self._plan.products[-1][0].k
            head = filled(self._plan.lm_vocab, width, weight_scale(width))
        copies = []
        for _ in range(self._plan.copies):
            products = []
            for product, rows in self._plan.products:
                for _ in range(product.experts):
                    x = filled(rows, product.k, 1.0)
                    sliced = head is not None and product.name == "lm_head"
                    weight = head if sliced else filled(product.n, product.k, weight_scale(product.k))
                    products.append((product.name, x, cast(Tensor, weight), product.n))
            copies.append(products)
        return copies, head

    def _allocate(self, seed: int) -> list[list[Call]]:
        """Fill every buffer; one list of calls per turn, each turn on other memory where there are copies."""
        filled, head = self._fill(seed)

        def empty(rows: int, columns: int) -> Tensor:
            return torch.empty(rows, columns, dtype=self._dtype.out_dtype, device=self._device.torch_name)

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
        return turns

    def _run_of(self, calls: list[Call]) -> Callable[[], None]:
        multiply = self._multiply

        def run() -> None:
            for call in calls:
                multiply(call)

        return run

    def _poison(self) -> None:
        for calls in self._turns[: self._plan.copies]:
            for call in calls:
                poison(call.out)

    def _check(self, turn: int) -> dict[str, float]:
        """Freivalds' check of every product of a turn; the worst of each name."""
        worst: dict[str, float] = {}
        for index, call in enumerate(self._turns[turn]):
            excess = freivalds.excess(call.x, call.out, self._projection(call, index), self._dtype)
            worst[f"freivalds_{call.name}"] = max(worst.get(f"freivalds_{call.name}", 0.0), excess)
        return worst

    def _reason(self, name: str, error: float) -> str:
        product = name.removeprefix("freivalds_")
        return f"product {product} is wrong: Freivalds residual {error:.3g} × tolerance"

    def _projection(self, call: Call, index: int) -> freivalds.Projection:
        # A slice of the LM head is projected anew each time: keeping all would cost as much as a block.
        if call.name == "lm_head" and self._plan.lm_slices > 1:
            return freivalds.project(call.weight, SEED + index, self._check_device)
        key = id(call.weight)
        if key not in self._projections:
            self._projections[key] = freivalds.project(call.weight, SEED + index, self._check_device)
        return self._projections[key]

    def _free(self) -> None:
        self._turns = []
        self._projections = {}


def build(device: Device, variant: Variant, shape: Shape) -> GemmJob:
    """Allocate a gemm variant.

    Raises:
        Skip: the type is not native where it must be, the layers have different products, or the buffers do not fit.
        BenchError: an unknown type, product or kind of input.
    """
    if shape.dense_layers:
        raise Skip(
            f"phase gemm runs one set of products, and the layers of {shape.name} have different ones",
            "use --phase prefill,decode, which run every kind of layer",
        )
    tokens = (variant.batch or 1) * (variant.seq or 1)
    plan = layout(shape, dtypes.lookup(variant.dtype), tokens, variant.product, torch_device.rotation_bytes(device))
    return build_products(device, variant, plan, None if variant.product else tokens / shape.layers)


def build_products(
    device: Device, variant: Variant, plan: Layout, tokens_per_iteration: float | None = None, note: str = ""
) -> GemmJob:
    """Allocate the products of ``plan``; see :class:`GemmJob`.

    Raises:
        Skip: the type is not native where it must be, or the buffers do not fit.
        BenchError: an unknown type or kind of input.
    """
    dtype = dtypes.lookup(variant.dtype)
    native = dtypes.require(device, dtype)
    for product, rows in plan.products:
        dtypes.require_product(device, dtype, rows, product.n, product.k)
    needed = plan.memory_bytes + memory.library_bytes(device, is_captured(device, plan))
    memory.require(device, needed, variant.label)
    return memory.allocate(
        device, variant.label, lambda: GemmJob(device, variant, plan, native, tokens_per_iteration, note)
    )
