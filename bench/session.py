"""One device's run into one store: variants are planned, each finished window goes to disk at once."""

from __future__ import annotations

from collections.abc import Sequence

from bench import runner, workloads
from bench.model import Device, Idle, Job, Measurement, Meter, Refusal, Variant
from bench.runner import Context, Observer, Timing
from bench.store import Store
from bench.workloads import Request


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
    for item in runner.measure(device, variants, _build, meter, timing, context, observer, seed=seed):
        match item:
            case Measurement():
                results.append(item.record, window=item.window, samples=item.samples, audit=item.audit, sensor=sensor)
            case Idle():
                idles[item.when] = item
                results.idle(item.when, item.start_ns, item.end_ns, item.samples, sensor=sensor)
            case Refusal():
                wrong = wrong or item.wrong
                word = "wrong result, not timed" if item.wrong else "skipped"
                observer.note(f"{word}: {item.variant.label}: {item.reason}")
    settled = runner.finish(results.records[first:], idles.get("before"), idles.get("after"))
    for number, record in enumerate(settled, start=first + 1):
        results.replace(number, record)
    return wrong


def _build(device: Device, variant: Variant) -> Job:
    return workloads.load(variant.workload).build(device, variant)
