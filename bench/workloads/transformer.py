"""The transformer workload: the matrix work of one block at published model shapes.

``plan`` turns a request into variants, ``build`` allocates one. What runs lives beside this file: the bare products
in ``gemm``, shapes in ``shapes``, the count of work in ``flops``, the types in ``numerics``, the check in
``freivalds``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bench.model import BenchError, Device, Job, Variant
from bench.workloads import Request, gemm, numerics, shapes, torch_device
from bench.workloads.shapes import PRODUCTS, Shape

NAME = "transformer"

BUILDERS: Mapping[str, Callable[[Device, Variant, Shape], Job]] = {"gemm": gemm.build}
"""Phase → what builds it."""

OPTIONS = ("inputs", "shape_file")
"""Options that this workload reads; those of other workloads are left alone."""


def plan(device: Device, request: Request) -> list[Variant]:
    """The variants that a request names; with nothing named, the default suite of the device.

    Given some of phase, shape, type, batch and tokens, all their combinations are planned; what is not given is
    ``gemm`` at ``llama3-8b`` in bf16 (``tiny`` in fp32 for smoke).

    Raises:
        BenchError: an unknown phase, shape, type or option, or a batch or token count below 1.
    """
    options = {name: request.options[name] for name in OPTIONS if request.options.get(name) is not None}
    _check(request, options)
    named = request.shapes or request.phases or request.dtypes or request.batches or request.seqs
    if not named and "shape_file" not in options:
        chosen = _default_suite(device, request.smoke)
    else:
        shape_names = request.shapes or (
            (shapes.load(None, options["shape_file"]).name,)
            if "shape_file" in options
            else ("tiny" if request.smoke else "llama3-8b",)
        )
        phases = request.phases or ("gemm",)
        dtypes = request.dtypes or ("fp32" if request.smoke else "bf16",)
        chosen = [(phase, shape, dtype) for phase in phases for shape in shape_names for dtype in dtypes]
    variants = []
    for phase, shape_name, dtype in chosen:
        batches = request.batches or (1,)
        seqs = request.seqs or (default_tokens(device, shape_name, dtype),)
        for batch in batches:
            for seq in seqs:
                whole = Variant(NAME, phase, shape_name, dtype, batch, seq, None, options)
                variants.append(whole)
                if request.detail and phase == "gemm":
                    variants += [
                        Variant(NAME, phase, shape_name, dtype, batch, seq, product, options) for product in PRODUCTS
                    ]
    return variants


def build(device: Device, variant: Variant) -> Job:
    """Allocate one variant and fill it with seeded inputs.

    Raises:
        BenchError: an unknown phase, shape, type, product or option value.
        Skip: a type that the device lacks, or buffers that do not fit its memory.
    """
    builder = BUILDERS.get(variant.phase or "")
    if builder is None:
        raise BenchError(f"there is no phase named {variant.phase!r}", f"choose from {', '.join(BUILDERS)}")
    return builder(device, variant, shapes.load(variant.shape, variant.options.get("shape_file")))


def default_tokens(device: Device, shape_name: str | None, dtype: str) -> int:
    """Tokens of a ``gemm`` quantum: enough to be efficient, few enough for half a second on a slow device.

    A GPU takes 4096, the size from which published matmul rates level off. Two CPU cores do 8B in 0.15 s at 128 tokens
    in a native bf16, and in fp32 at 64 in 0.25 s; an emulated type is ten times as slow, so it takes 8.
    """
    if device.kind != "cpu":
        return 4096
    if shape_name == "tiny":
        return 256
    kind = numerics.lookup(dtype)
    if not numerics.native(device, kind):
        return 8
    return 64 if kind.bytes == 4 else 128


def _default_suite(device: Device, smoke: bool) -> list[tuple[str, str, str]]:
    """(phase, shape, dtype) in the order of running."""
    if smoke:
        return [("gemm", "tiny", "fp32"), ("gemm", "tiny", "bf16")]
    if device.kind == "cpu":
        return [("gemm", "tiny", "fp32"), ("gemm", "llama3-8b", "bf16")]
    types = [
        name
        for name in ("bf16", "fp16", "tf32", "fp8")
        if name == "bf16" or numerics.native(device, numerics.lookup(name))
    ]
    return [("gemm", "llama3-8b", name) for name in types] + [("gemm", "llama3-70b", "bf16")]


def _check(request: Request, options: Mapping[str, Any]) -> None:
    for phase in request.phases:
        if phase not in BUILDERS:
            raise BenchError(f"there is no phase named {phase!r}", f"choose from {', '.join(BUILDERS)}")
    for dtype in request.dtypes:
        numerics.lookup(dtype)
    for name in request.shapes:
        if "shape_file" not in options:
            shapes.load(name)
    for count, what in [(b, "batch") for b in request.batches] + [(s, "seq") for s in request.seqs]:
        if count < 1:
            raise BenchError(f"a {what} of {count} is no work", f"give a {what} of 1 or more")
    inputs = options.get("inputs", "normal")
    if inputs not in torch_device.INPUT_KINDS:
        raise BenchError(f"there are no inputs named {inputs!r}", f"choose from {', '.join(torch_device.INPUT_KINDS)}")
