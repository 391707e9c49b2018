"""A tiny run of every path that a device has: each kernel variant, and each phase of the transformer in each type."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from bench import workloads
from bench.doctor.check import Result, attempt
from bench.model import BenchError, BuildContext, Device, Variant

PHASES = ("prefill", "decode", "train")
TYPES = ("fp32", "tf32", "fp16", "bf16", "fp8", "int8")
SEED = 1


def checks(device: Device, deadline: float) -> Iterator[Result]:
    """Every path of ``device``; those that would start after ``deadline`` (of the monotonic clock) are skipped."""
    paths: list[tuple[str, Callable[[], str]]] = []
    yield from attempt("list of paths", lambda: _list(device, paths), device=device.label)
    for name, work in paths:
        if time.monotonic() < deadline:
            yield from attempt(name, work, device=device.label)
        else:
            yield Result(
                name, "skipped", "no time left: run bitwatt doctor --budget with more seconds", None, device.label
            )


def _list(device: Device, paths: list[tuple[str, Callable[[], str]]]) -> str:
    paths += _hashing(device)
    try:
        paths += _transformer(device)
    except ImportError as error:
        raise BenchError(f"torch does not load ({error})", "see the check of torch above") from error
    return f"{len(paths)} paths"


def _hashing(device: Device) -> list[tuple[str, Callable[[], str]]]:
    from bench.workloads.hashing import cpu, scrypt_cuda, sha256d_cuda
    from bench.workloads.hashing.options import HashingOptions

    settings: list[tuple[str, str, HashingOptions]] = []
    for name, variants in (("sha256d", sha256d_cuda.VARIANTS), ("scrypt", range(len(scrypt_cuda.GAPS_AND_WIDE)))):
        if device.kind == "cuda":
            settings += [(name, f"variant {number}", HashingOptions(variant=number)) for number in variants]
        elif device.kind == "cpu":
            isas = cpu.host_scan(name).supported()
            settings += [(name, isa, HashingOptions(isa=isa)) for isa in isas]  # type: ignore[arg-type]
    settings.append(("sha256d", "torch operations", HashingOptions(engine="portable")))
    return [
        (f"{name} {what}", partial(_run, device, Variant(name, options=options))) for name, what, options in settings
    ]


def _transformer(device: Device) -> list[tuple[str, Callable[[], str]]]:
    from bench.workloads.transformer.options import TransformerOptions

    # One product stands for gemm. A CPU takes long to fill a block's inputs, so it runs the other phases in one type.
    products = TransformerOptions(shape=("tiny",), phase=("gemm",), dtype=TYPES, batch=(1,), seq=(64,))
    types = ("fp32",) if device.kind == "cpu" else TYPES
    blocks = TransformerOptions(shape=("tiny",), phase=PHASES, dtype=types, batch=(1,), seq=(64,))
    plan = workloads.load("transformer").plan
    variants = [replace(variant, product="qkv") for variant in plan(device, products, smoke=True)]
    variants += plan(device, blocks, smoke=True)
    return [(f"{variant.phase} {variant.dtype}", partial(_run, device, variant)) for variant in variants]


def _run(device: Device, variant: Variant) -> str:
    """Build, verify, run one iteration and judge it, as a measurement does."""
    started = time.monotonic()
    job = workloads.load(variant.workload).build(device, variant, BuildContext(seed=SEED))
    try:
        audits = [job.verify()]
        job.launch(1)
        job.sync()
        audits.append(job.audit())
    finally:
        job.close()
    reasons = [reason for audit in audits for reason in audit.reasons]
    if not all(audit.ok for audit in audits):
        raise BenchError(f"wrong output: {'; '.join(reasons[:2])}", "report this as a defect, with this list")
    native = "" if job.facts.native else ", not native"
    return f"{job.facts.implementation}{native}, right, in {time.monotonic() - started:.1f} s"
