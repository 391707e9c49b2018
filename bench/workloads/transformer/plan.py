"""The transformer workload: the matrix work of one block at published model shapes.

:func:`plan` turns options into variants, :func:`build` allocates one. The jobs are in ``gemm`` (bare products),
``mamf`` (the search for the fastest product) and ``phases`` (whole blocks, from ``block`` and ``train``), all on the
base in ``job``. Model shapes are in ``shapes``, default sizes in ``suites``, the count of work in ``flops``, the types
in ``dtypes``, and the checks in ``freivalds`` (products) and ``reference`` (everything else).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from bench.model import BenchError, BuildContext, Device, Job, Variant
from bench.workloads.transformer import dtypes, gemm, mamf, phases, shapes, suites
from bench.workloads.transformer.inputs import INPUT_KINDS
from bench.workloads.transformer.options import (
    LAYERED_PHASES,
    SEARCH_BUDGET_S,
    BlockSettings,
    TransformerOptions,
    settings_of,
)
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


def plan(device: Device, options: TransformerOptions, *, smoke: bool = False) -> list[Variant]:
    """The variants that ``options`` name, or the default suite of the device if they name nothing.

    All combinations of the given phases, shapes, types, batches and token counts are planned. The defaults are phase
    ``gemm``, shape ``llama3-8b``, bf16 (for smoke ``tiny`` and fp32), and sizes that suit phase and device.
    ``options.inputs`` may name several kinds of input, each of which gives a variant. Phase ``mamf`` is planned
    without a shape, which :func:`resolve` finds; a shape ``MxNxK`` names one found earlier.

    Raises:
        BenchError: an unknown phase, shape, type or kind of input.
    """
    _check(options)
    own = None if options.shape_file is None else shapes.load(None, options.shape_file).name
    suite = suites.smoke_suite() if smoke else suites.default_suite(device)
    chosen = _combinations(options, own, smoke=smoke) if options.names_something else suite
    variants = []
    for phase, shape, dtype, batch, seq in chosen:
        default_batch, default_seq = suites.default_size(device, phase, shape or "", dtype)
        depths = options.layers if phase in LAYERED_PHASES else ()
        for inputs, layers in product(options.inputs or ("normal",), depths or (None,)):
            settings = BlockSettings(
                inputs=inputs,
                layers=layers,
                compile=options.compile,
                shape_file=options.shape_file if shape == own else None,
                budget_s=options.budget_s or SEARCH_BUDGET_S,
            )
            if phase == "mamf":
                variants.append(Variant(NAME, phase, shape, dtype, options=settings))
                continue
            single: tuple[str, ...] = ()
            if options.detail and phase == "gemm":
                single = tuple(each.name for each in shapes.load(shape, settings.shape_file).products())
            variants += [
                Variant(NAME, phase, shape, dtype, batch or default_batch, seq or default_seq, name, settings)
                for name in (None, *single)
            ]
    return variants


def build(device: Device, variant: Variant, context: BuildContext = BuildContext()) -> Job:
    """Allocate one variant and fill it with seeded inputs.

    Raises:
        BenchError: an unknown phase, shape, type, product or option value.
        Skip: a type that the device or phase lacks, or buffers that do not fit the device's memory.
    """
    builder = BUILDERS.get(variant.phase or "")
    if builder is None:
        raise BenchError(f"there is no phase named {variant.phase!r}", f"choose from {', '.join(BUILDERS)}")
    settings = replace(settings_of(variant), seed=context.seed or 0)
    shape = None if variant.phase == "mamf" else shapes.load(variant.shape, settings.shape_file)
    return builder(device, replace(variant, options=settings), shape)


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
            budget_s = settings_of(variant).budget_s

            def report(share: float, _line: str, variant: Variant = variant, budget_s: float = budget_s) -> None:
                if progress is not None:
                    progress(variant, share * budget_s, budget_s)

            report(0.0, "")
            found, _ = mamf.search(device, variant.dtype or "bf16", budget_s, report)
            done.append(replace(variant, shape=found.shape))
        else:
            done.append(variant)
    return done


def _combinations(options: TransformerOptions, own_shape: str | None, *, smoke: bool) -> list[Setting]:
    names = options.shape + ((own_shape,) if own_shape else ())
    products = tuple(name for name in names if mamf.is_product(name))
    models = tuple(name for name in names if name not in products)
    dtypes = options.dtype or ("fp32" if smoke else "bf16",)
    # A search starts without a shape, unless an earlier result is named.
    searches: list[Setting] = [
        ("mamf", product, dtype, None, None)
        for product in products or (None,)
        for dtype in dtypes
        if products or "mamf" in options.phase
    ]
    if products and not models and set(options.phase) <= {"mamf"}:
        return searches
    return searches + [
        (phase, shape, dtype, batch, seq)
        for phase in [name for name in options.phase if name != "mamf"] or (() if searches else ("gemm",))
        for shape in models or ("tiny" if smoke else "llama3-8b",)
        for dtype in dtypes
        for batch in options.batch or (None,)
        for seq in options.seq or (None,)
    ]


def _check(options: TransformerOptions) -> None:
    for phase in options.phase:
        if phase not in BUILDERS:
            raise BenchError(f"there is no phase named {phase!r}", f"choose from {', '.join(BUILDERS)}")
    for dtype in options.dtype:
        dtypes.lookup(dtype)
    for name in options.shape:
        if not mamf.is_product(name):
            shapes.load(name)
    for kind in options.inputs:
        if kind not in INPUT_KINDS:
            raise BenchError(f"there are no inputs named {kind!r}", f"choose from {', '.join(INPUT_KINDS)}")
