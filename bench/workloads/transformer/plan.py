"""The transformer workload: the matrix work of one block at published model shapes.

``plan`` turns a request into variants, ``build`` allocates one. What runs lives beside this file: bare products in
``gemm``, the search for the fastest product in ``mamf``, whole blocks in ``phases`` (on ``block`` and ``train``),
shapes in ``shapes``, the count of work in ``flops``, the types in ``numerics``, the checks in ``freivalds`` and
``stages``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.model import BenchError, Device, Job, Variant
from bench.workloads import Request
from bench.workloads.transformer import dtypes, gemm, mamf, phases, shapes, torch_device
from bench.workloads.transformer.mamf import search
from bench.workloads.transformer.shapes import PRODUCTS

NAME = "transformer"

BUILDERS: Mapping[str, Callable[[Device, Variant, Any], Job]] = {
    "gemm": gemm.build,
    "prefill": phases.build,
    "decode": phases.build,
    "train": phases.build,
    "mamf": mamf.build,
}
"""Phase → what builds it, given a model shape (for ``mamf`` none)."""

MODEL_PHASES = ("gemm", "prefill", "decode", "train")

OPTIONS = ("inputs", "shape_file", "compile", "seed", "budget_s")
"""Options that this workload reads; those of other workloads are left alone."""

Setting = tuple[str, str | None, str, int | None, int | None]
"""Phase, shape, type, batch and tokens per sequence; None where the device's default serves."""


def plan(device: Device, request: Request) -> list[Variant]:
    """The variants that a request names; with nothing named, the default suite of the device.

    Given some of phase, shape, type, batch and tokens, all their combinations are planned. What is not given is phase
    ``gemm``, shape ``llama3-8b``, bf16 (for smoke ``tiny`` and fp32), and sizes that suit phase and device.
    ``options["inputs"]`` may name several kinds of input: a variant for each. Phase ``mamf`` is planned without a
    shape: :func:`search` finds it and gives the variant to measure; a shape ``MxNxK`` names one found before.

    Raises:
        BenchError: an unknown phase, shape, type or kind of input, or a batch or token count below 1.
    """
    options = {name: request.options[name] for name in OPTIONS if request.options.get(name)}
    inputs = _names(options.pop("inputs", ()))
    _check(request, inputs)
    named = request.shapes or request.phases or request.dtypes or request.batches or request.seqs
    own = None
    if "shape_file" in options:
        options["shape_file"] = str(options["shape_file"])
        own = shapes.load(None, options["shape_file"]).name
    suite = smoke_suite() if request.smoke else default_suite(device)
    chosen = _combinations(request, own) if named or own else suite
    variants = []
    for phase, shape, dtype, batch, seq in chosen:
        rest = {name: value for name, value in options.items() if name != "shape_file" or shape == own}
        default_batch, default_seq = default_size(device, phase, shape or "", dtype)
        for kind in inputs or ("normal",):
            settings = rest | ({"inputs": kind} if inputs else {})
            if phase == "mamf":
                variants.append(Variant(NAME, phase, shape, dtype, options=settings))
                continue
            variants += [
                Variant(NAME, phase, shape, dtype, batch or default_batch, seq or default_seq, product, settings)
                for product in (None, *(PRODUCTS if request.detail and phase == "gemm" else ()))
            ]
    return variants


def build(device: Device, variant: Variant) -> Job:
    """Allocate one variant and fill it with seeded inputs.

    Raises:
        BenchError: an unknown phase, shape, type, product or option value.
        Skip: a type that the device or phase lacks, or buffers that do not fit the device's memory.
    """
    builder = BUILDERS.get(variant.phase or "")
    if builder is None:
        raise BenchError(f"there is no phase named {variant.phase!r}", f"choose from {', '.join(BUILDERS)}")
    shape = None if variant.phase == "mamf" else shapes.load(variant.shape, variant.options.get("shape_file"))
    return builder(device, variant, shape)


def resolve(
    device: Device, variants: Sequence[Variant], progress: Callable[[Variant, float, float], None] | None = None
) -> list[Variant]:
    """Run the search of each ``mamf`` variant that has no shape yet, and name the variant by the shape that won.

    Args:
        device: where to search.
        variants: as :func:`plan` gave them.
        progress: called with the variant, the seconds of its search that have passed (0 before it starts), and the
            seconds that it may take.

    Raises:
        BenchError: a product was wrong.
        Skip: the device lacks the type or the memory.
    """
    done = []
    for variant in variants:
        if variant.phase == "mamf" and variant.shape is None:
            budget_s = float(variant.options.get("budget_s", mamf.BUDGET_S))

            def report(share: float, _line: str, variant: Variant = variant, budget_s: float = budget_s) -> None:
                if progress is not None:
                    progress(variant, share * budget_s, budget_s)

            report(0.0, "")
            found, _ = search(device, variant.dtype or "bf16", budget_s, report)
            done.append(replace(variant, shape=found.shape))
        else:
            done.append(variant)
    return done


def default_suite(device: Device) -> list[Setting]:
    """What a run measures when nothing is named, in the order of running.

    On a CPU: every phase at ``tiny``, and what two cores do of 8B in bf16. On a GPU: 8B in each phase in bf16 (fp16
    where bf16 would be emulated), its products in each native floating type, and the products of 70B.
    """
    if device.kind == "cpu":
        tiny: list[Setting] = [(phase, "tiny", "fp32", None, None) for phase in MODEL_PHASES]
        return tiny + [(phase, "llama3-8b", "bf16", None, None) for phase in ("gemm", "prefill", "decode")]
    native = [name for name in ("bf16", "fp16", "tf32", "fp8") if dtypes.native(device, dtypes.lookup(name))]
    main = native[0] if native else "fp32"
    return [
        *(("gemm", "llama3-8b", name, None, None) for name in native or [main]),
        ("prefill", "llama3-8b", main, 1, 2048),
        ("decode", "llama3-8b", main, 1, 2048),
        ("decode", "llama3-8b", main, 64, 2048),
        ("train", "llama3-8b", main, 1, 2048),
        ("gemm", "llama3-70b", main, None, None),
    ]


def smoke_suite() -> list[Setting]:
    """The smallest honest set: products in two types, and one whole block each way."""
    return [
        ("gemm", "tiny", "fp32", None, None),
        ("gemm", "tiny", "bf16", None, None),
        ("decode", "tiny", "fp32", None, None),
        ("train", "tiny", "fp32", None, None),
    ]


def default_size(device: Device, phase: str, shape: str, dtype: str) -> tuple[int, int]:
    """Batch and tokens per sequence of an iteration: efficient, and at most half a second on a slow device.

    A GPU takes 4096 tokens in ``gemm``, from which published matmul rates level off, and 2048 in a block. Two CPU cores
    do the products of 8B in 0.15 s at 128 tokens in a native bf16, and in fp32 at 64 in 0.25 s; an emulated type is
    ten times as slow. In ``decode`` the tokens are those already in the cache.
    """
    if device.kind != "cpu":
        return 1, 4096 if phase == "gemm" else 2048
    if phase == "decode":
        return (4, 256) if shape == "tiny" else (1, 1024)
    if shape == "tiny":
        return 1, 256
    kind = dtypes.lookup(dtype)
    tokens = (64 if kind.bytes == 4 else 128) if dtypes.native(device, kind) else 8
    return 1, max(8, tokens // 2) if phase == "train" else tokens


def _combinations(request: Request, own_shape: str | None) -> list[Setting]:
    names = request.shapes + ((own_shape,) if own_shape else ())
    products = tuple(name for name in names if mamf.is_product(name))
    models = tuple(name for name in names if name not in products)
    dtypes = request.dtypes or ("fp32" if request.smoke else "bf16",)
    # A search has no shape of its own to begin with: it is planned without one, unless its result is named.
    searches: list[Setting] = [
        ("mamf", product, dtype, None, None)
        for product in products or (None,)
        for dtype in dtypes
        if products or "mamf" in request.phases
    ]
    if products and not models and set(request.phases) <= {"mamf"}:
        return searches
    return searches + [
        (phase, shape, dtype, batch, seq)
        for phase in [name for name in request.phases if name != "mamf"] or (() if searches else ("gemm",))
        for shape in models or ("tiny" if request.smoke else "llama3-8b",)
        for dtype in dtypes
        for batch in request.batches or (None,)
        for seq in request.seqs or (None,)
    ]


def _names(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _check(request: Request, inputs: Sequence[str]) -> None:
    for phase in request.phases:
        if phase not in BUILDERS:
            raise BenchError(f"there is no phase named {phase!r}", f"choose from {', '.join(BUILDERS)}")
    for dtype in request.dtypes:
        dtypes.lookup(dtype)
    for name in request.shapes:
        if not mamf.is_product(name):
            shapes.load(name)
    for count, what in [(b, "batch") for b in request.batches] + [(s, "seq") for s in request.seqs]:
        if count < 1:
            raise BenchError(f"a {what} of {count} is no work", f"give a {what} of 1 or more")
    for kind in inputs:
        if kind not in torch_device.INPUT_KINDS:
            raise BenchError(
                f"there are no inputs named {kind!r}", f"choose from {', '.join(torch_device.INPUT_KINDS)}"
            )


__all__ = ["BUILDERS", "NAME", "build", "default_size", "default_suite", "plan", "resolve", "search", "smoke_suite"]
