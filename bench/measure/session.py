"""One device's run into one store: variants are planned, each finished window goes to disk at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from bench import workloads
from bench.measure import runner
from bench.measure.runner import Context, Observer, Timing
from bench.model import Device, Idle, Job, Measurement, Meter, Record, ReferenceMeter, Refusal, Skip, Variant
from bench.storage import Store
from bench.workloads import Request


def resolve(device: Device, variants: Sequence[Variant], observer: Observer) -> list[Variant]:
    """Let each workload that has a search complete its variants before anything is measured, showing progress.

    Returns:
        The variants to measure. A variant that the device cannot search is reported and left out.

    Raises:
        BenchError: the search met a wrong result.
    """

    def show(variant: Variant, done_s: float, budget_s: float) -> None:
        if done_s == 0:
            observer.stage(variant, "search", budget_s)
        else:
            observer.progress(done_s, None, None, None)

    resolved: list[Variant] = []
    for variant in variants:
        search = getattr(workloads.load(variant.workload), "resolve", None)
        try:
            found = [variant] if search is None else search(device, [variant], show)
        except Skip as reason:
            observer.note(f"skipped: {variant.label}: {reason}")
            continue
        if found != [variant]:
            observer.note(f"{variant.label}: {', '.join(str(each.shape) for each in found)} is the fastest shape found")
        resolved += found
    return resolved


FRESH_NS = 1_000_000_000
"""How long a trial waits for a fresh sample before it goes without joules."""

MEMORY_EXCESS = 0.05
"""Share of the announced memory by which the measured peak may exceed it without a word."""


def plan(device: Device, names: Sequence[str], request: Request) -> list[Variant]:
    """The variants of all named workloads, in the order of running.

    Raises:
        BenchError: an unknown workload, shape, phase, type or option.
    """
    return [variant for name in names for variant in workloads.load(name).plan(device, request)]


def measure_into(
    results: Store,
    device: Device,
    variants: Sequence[Variant],
    meter: Meter,
    timing: Timing,
    context: Context,
    observer: Observer,
    *,
    seed: int | None = None,
    reference_meter: ReferenceMeter | None = None,
) -> bool:
    """Measure ``variants`` under a started meter and write every window as it ends.

    Rows of this call are settled at its end by their own idle baselines, so that a store can hold several calls (a
    sweep over power limits) one after another.

    Returns:
        Whether any variant's output was wrong.

    Raises:
        BenchError: a device failed, or the disk; the rows written before stand.
    """
    first = len(results.records)
    sensor = results.sensor(meter.sensor, meter.card_state(), device)
    idles: dict[str, Idle] = {}
    wrong = False
    fresh: Job | None = None

    def build(device: Device, variant: Variant) -> Job:
        nonlocal fresh
        if variant.options.get("prefer") == "efficiency":
            variant = replace(variant, options={**variant.options, "joules": joules_of(meter)})
        fresh = workloads.load(variant.workload).build(device, variant)
        return fresh

    variants = resolve(device, variants, observer)
    for item in runner.measure(
        device, variants, build, meter, timing, context, observer, seed=seed, reference_meter=reference_meter
    ):
        match item:
            case Measurement():
                results.append(item.record, window=item.window, samples=item.samples, audit=item.audit, sensor=sensor)
                if fresh is not None:
                    # Once per job, at its first window: later windows run while other jobs hold memory too.
                    _note_memory(results, item.record, fresh.peak_memory_bytes(), observer)
                    fresh = None
                if item.reference_energy_j is not None:
                    ours_j = item.record.energy_j
                    results.note(
                        "zeus", {"row": len(results.records), "zeus_j": item.reference_energy_j, "ours_j": ours_j}
                    )
                    told = "none" if ours_j is None else f"{ours_j:.1f} ± {item.record.energy_uncertainty_j or 0:.1f} J"
                    observer.note(f"{item.record.workload}: Zeus {item.reference_energy_j:.1f} J, ours {told}")
            case Idle():
                idles[item.when] = item
                results.idle(item.when, item.start_ns, item.end_ns, item.samples, sensor=sensor)
            case Refusal():
                wrong = wrong or item.wrong
                word = "wrong result, not timed" if item.wrong else "skipped"
                observer.note(f"{word}: {item.variant.label}: {item.reason}")
    settled = runner.finish(results.records[first:], idles.get("before"), idles.get("after"))
    results.settle(settled, first=first + 1)
    return wrong


def _note_memory(results: Store, record: Record, peak_bytes: int | None, observer: Observer) -> None:
    """Write a job's peak of memory into the sidecar, beside what it announced; on a GPU say so where it was more.

    On a CPU the first job of a process also brings the pages of its libraries, so more says nothing there.
    """
    if peak_bytes is None:
        return
    gib = record.memory_announced_gib
    announced_bytes = None if gib is None else round(gib * runner.GIB)
    row = len(results.records)
    results.note("memory", {"row": row, "announced_bytes": announced_bytes, "peak_bytes": peak_bytes})
    if record.device_kind == "cpu" or announced_bytes is None:
        return
    if peak_bytes > (1 + MEMORY_EXCESS) * announced_bytes:
        observer.note(f"row {row}: {peak_bytes} bytes were held at the peak, {announced_bytes} were announced")


def joules_of(meter: Meter) -> Callable[[], float | None]:
    """A reading of the meter's energy counter as it is now, for a kernel's trial; None where there is no counter.

    Waits for a poll that began after the call, so that what was drawn before it is counted.
    """

    def read() -> float | None:
        asked_ns, give_up_ns = time.monotonic_ns(), time.monotonic_ns() + FRESH_NS
        while time.monotonic_ns() < give_up_ns:
            sample = meter.latest()
            if sample is not None and sample.t_ns >= asked_ns:
                return sample.counter_j
            time.sleep(0.005)
        return None

    return read
