"""The transformer workload: the matrix work of one block at published model shapes.

:func:`plan` turns a request into variants, :func:`build` allocates one. The jobs are in ``gemm`` (bare products),
``mamf`` (the search for the fastest product) and ``phases`` (whole blocks, from ``block`` and ``train``), all on the
base in ``job``. Model shapes are in ``shapes``, default sizes in ``suites``, the count of work in ``flops``, the types
in ``dtypes``, and the checks in ``freivalds`` (products) and ``reference`` (everything else).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.model import BenchError, Device, Job, Variant
from bench.workloads import Request
from bench.workloads.transformer import dtypes, gemm, mamf, phases, shapes, suites
from bench.workloads.transformer.inputs import INPUT_KINDS
from bench.workloads.transformer.shapes import PRODUCTS
from bench.workloads.transformer.suites import Setting

NAME = "transformer"

BUILDERS: Mapping[str, Callable[[Device, Variant, Any], Job]] = {
    "gemm": gemm.build,
    "prefill": phases.build,
    "decode": phases.build,
    "train": phases.build,
    "mamf": mamf.build,
}
"""Phase → its builder, which takes a model shape (None for ``mamf``)."""

OPTIONS = ("inputs", "shape_file", "compile", "seed", "budget_s")
"""Options that this workload reads; it ignores those of others."""


def plan(device: Device, request: Request) -> list[Variant]:
    """The variants that a request names, or the default suite of the device if it names nothing.

    All combinations of the given phases, shapes, types, batches and token counts are planned. The defaults are phase
    ``gemm``, shape ``llama3-8b``, bf16 (for smoke ``tiny`` and fp32), and sizes that suit phase and device.
    ``options["inputs"]`` may name several kinds of input, each of which gives a variant. Phase ``mamf`` is planned
    without a shape, which :func:`resolve` finds; a shape ``MxNxK`` names one found earlier.

    Raises:
        BenchError: an unknown phase, shape, type or kind of input, or a batch or token count below 1.
    """
    options = {name: request.options[name] for name in OPTIONS if request.options.get(name)}
    inputs = options.pop("inputs", ())
    inputs = (inputs,) if isinstance(inputs, str) else tuple(inputs)
    _check(request, inputs)
    named = request.shapes or request.phases or request.dtypes or request.batches or request.seqs
    own = None
    if "shape_file" in options:
        options["shape_file"] = str(options["shape_file"])
        own = shapes.load(None, options["shape_file"]).name
    suite = suites.smoke_suite() if request.smoke else suites.default_suite(device)
    chosen = _combinations(request, own) if named or own else suite
    variants = []
    for phase, shape, dtype, batch, seq in chosen:
        rest = {name: value for name, value in options.items() if name != "shape_file" or shape == own}
        default_batch, default_seq = suites.default_size(device, phase, shape or "", dtype)
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
            found, _ = mamf.search(device, variant.dtype or "bf16", budget_s, report)
            done.append(replace(variant, shape=found.shape))
        else:
            done.append(variant)
    return done


def _combinations(request: Request, own_shape: str | None) -> list[Setting]:
    names = request.shapes + ((own_shape,) if own_shape else ())
    products = tuple(name for name in names if mamf.is_product(name))
    models = tuple(name for name in names if name not in products)
    dtypes = request.dtypes or ("fp32" if request.smoke else "bf16",)
    # A search starts without a shape, unless an earlier result is named.
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
            raise BenchError(f"{what} must be ≥ 1, not {count}", f"give a {what} of 1 or more")
    for kind in inputs:
        if kind not in INPUT_KINDS:
            raise BenchError(f"there are no inputs named {kind!r}", f"choose from {', '.join(INPUT_KINDS)}")
