"""Measure: verify → warm up → window(s) under a meter → record.

Nothing unverified is timed; rate and energy always come from one window; every finished window is handed on at once,
so that a crash, Ctrl-C or a full disk costs at most the window under way.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from bench.measure import device_errors, interference, interruptions, steadiness, stopping
from bench.measure import row as rows
from bench.measure.interruptions import Clocks, Launch
from bench.measure.observer import Observer, Rendezvous, Silent
from bench.measure.row import Context
from bench.measure.steadiness import Block
from bench.measure.timing import Timing, reads_watts
from bench.model import (
    BenchError,
    Device,
    Idle,
    Job,
    Measurement,
    Meter,
    Record,
    ReferenceMeter,
    Refusal,
    Skip,
    Variant,
    Window,
)
from bench.power import energy
from bench.workloads.hashing import proof
from bench.workloads.hashing.shares import DIGESTS

KEEP_BUILT = 0.5
"""Share of device memory up to which built jobs are kept for their next repeat instead of being built again."""


@dataclass
class _Built:
    """A job that is up, with what was learnt of it."""

    job: Job
    iterations: int
    """Iterations of one launch."""
    iteration_s: float = math.inf
    """Seconds of one iteration, as the last stretch of work had it."""
    steady: bool | None = None
    """Verdict of the warm-up; None where it was not judged."""
    warmed: bool = False


@dataclass
class _Run:
    """The state of one run on one device: what ``measure`` carries from step to step."""

    device: Device
    build: Callable[[Device, Variant], Job]
    meter: Meter
    timing: Timing
    context: Context
    observer: Observer
    rng: random.Random
    reference_meter: ReferenceMeter | None = None
    rendezvous: Rendezvous | None = None
    built: dict[int, _Built] = field(default_factory=dict)
    """Jobs that are up, by the variant's place in the list."""
    launches: list[Launch] = field(default_factory=list)
    """Of the latest stretch of work."""
    clocks: Clocks = field(default_factory=interruptions.read)
    """As they were after the latest window, or at the start."""

    @property
    def metered(self) -> bool:
        return reads_watts(self.meter.sensor)


def measure(
    device: Device,
    variants: Sequence[Variant],
    build: Callable[[Device, Variant], Job],
    meter: Meter,
    timing: Timing,
    context: Context,
    observer: Observer | None = None,
    *,
    seed: int | None = None,
    reference_meter: ReferenceMeter | None = None,
    rendezvous: Rendezvous | None = None,
) -> Iterator[Measurement | Idle | Refusal]:
    """Run every variant ``timing.repeats`` times, interleaved in an order drawn anew for each round, so that
    drift and neighbours fall on all alike; yield each window as it ends.

    The meter must have been started. An idle baseline comes first and last where watts are read; the caller passes
    both to :func:`bench.measure.row.settle` to settle the net columns. A variant that cannot run, or whose output is
    wrong, is refused and the others go on.

    Raises:
        BenchError: a device failed. Windows yielded before it stand.
    """
    run = _Run(device, build, meter, timing, context, observer or Silent(), random.Random(seed), reference_meter)
    run.rendezvous = rendezvous
    idle: Idle | None = None
    refused: set[int] = set()
    done: list[list[Record]] = [[] for _ in variants]
    done_rows = 0
    places = range(len(variants))
    order = list(places)
    # Of its own, so that the order follows the seed however many launches a window takes.
    shuffle = random.Random(seed).shuffle
    rule = stopping.RULES[timing.stop]
    run.observer.begin(len(variants), len(variants) * timing.repeats, timing.planned_s(len(variants)))
    try:
        begun = time.monotonic()
        ends_s: list[float] = []
        for repeat in range(1, timing.repeats + 1):
            if stopping.over_budget(ends_s, timing):
                run.observer.note(f"stopped after {repeat - 1} repeats: one more would pass {timing.budget_s:g} s")
                break
            shuffle(order)
            for place in order if repeat > 1 else places:
                variant = variants[place]
                if place in refused or stopping.enough(done[place], rule):
                    continue
                try:
                    with device_errors.translate(device, variant):
                        built = _bring_up(run, place, variant)
                    if idle is None and run.metered and timing.idle_s:
                        # Here the context exists and the card is about to work: the baseline that its load stands on.
                        idle = _idle(run, "before")
                        yield idle
                    with device_errors.translate(device, variant):
                        measurement = _window(run, variant, built, repeat, done_rows + 1, idle)
                except (Skip, _WrongOutput) as reason:
                    refused.add(place)
                    _close(run, place)
                    yield Refusal(variant, str(reason), wrong=isinstance(reason, _WrongOutput))
                    continue
                done_rows += 1
                done[place].append(measurement.record)
                yield measurement
                _make_room(run)
            ends_s.append(time.monotonic() - begun)
        if idle is not None:
            _close_all(run)
            yield _idle(run, "after")
    finally:
        _close_all(run)


# ---------------------------------------------------------------------------------------------------------------------
# steps


class _WrongOutput(Exception):  # noqa: N818 - a state of affairs, turned into a Refusal
    """A job's verification failed; the text holds its reasons."""


def _bring_up(run: _Run, place: int, variant: Variant) -> _Built:
    """Build, verify and size a job once; later repeats find it here unless memory was short."""
    if place in run.built:
        return run.built[place]
    run.observer.stage(variant, "build", None)
    try:
        with device_errors.translate(run.device, variant):
            job = run.build(run.device, variant)
    except Skip:
        if not run.built:
            raise
        # The memory that it lacked may be what the jobs kept for later repeats hold.
        _close_all(run)
        job = run.build(run.device, variant)
    try:
        run.observer.stage(variant, "verify", None)
        check = job.verify()
        if not check.ok:
            raise _WrongOutput("; ".join(check.reasons))
        built = _Built(job, _size_launch(job, run.timing.launch_s))
        _warn_of_few_shares(run, variant, built, check.share_bits)
        job.audit()
    except BaseException:
        with suppress(RuntimeError, BenchError):
            job.close()
        raise
    run.built[place] = built
    return built


def _warn_of_few_shares(run: _Run, variant: Variant, built: _Built, share_bits: int | None) -> None:
    """Say before measuring that the windows asked for will not prove their hashrate."""
    if share_bits is None or variant.workload not in DIGESTS:
        return
    timing = run.timing
    rate = built.iterations * built.job.facts.work_per_iteration / timing.launch_s
    if reason := proof.shortfall(rate, share_bits, timing.window_s, timing.repeats):
        run.observer.note(f"warning: {variant.label}: {reason}")


def _size_launch(job: Job, target_s: float) -> int:
    """Iterations that keep the device busy for about ``target_s``: doubled until a launch is long enough to time."""
    iterations = 1
    while True:
        seconds = _timed_launch(job, iterations)
        if seconds >= target_s / 2 or iterations >= 1 << 24:
            return max(1, round(iterations * target_s / max(seconds, 1e-9)))
        iterations = max(iterations + 1, min(iterations * 8, math.ceil(iterations * target_s / max(seconds, 1e-6))))


def _timed_launch(job: Job, iterations: int) -> float:
    start = time.monotonic_ns()
    job.launch(iterations)
    job.sync()
    return (time.monotonic_ns() - start) / 1e9


def _work_for(run: _Run, built: _Built, seconds: float, begun_s: float) -> Window:
    """Launch until ``seconds`` have passed; the window ends with the sync of its last launch."""
    job, facts = built.job, built.job.facts
    iterations = 0
    run.launches.clear()
    job.sync()
    start = now = time.monotonic_ns()
    while True:
        # A load that repeats near the sensor's period is aliased (docs/method.md): no two launches are alike.
        size = max(1, round(built.iterations * run.rng.uniform(0.6, 1.4)))
        job.launch(size)
        job.sync()
        iterations += size
        begun, now = now, time.monotonic_ns()
        run.launches.append((size, (now - begun) / 1e9))
        latest = run.meter.latest()
        run.observer.progress(
            begun_s + (now - start) / 1e9,
            iterations * facts.work_per_iteration / ((now - start) / 1e9),
            facts.work_unit,
            latest.power_w if latest else None,
        )
        if now - start >= seconds * 1e9:
            sizes, lengths_s = zip(*run.launches, strict=True)
            lengths_us = tuple(round(length_s * 1e6) for length_s in lengths_s)
            return Window(start, now, len(sizes), iterations * facts.work_per_iteration, lengths_us, sizes)


def _keep_busy(run: _Run, built: _Built) -> None:
    """One launch, so that a device that waits for others does not cool down."""
    _work_for(run, built, 0.0, 0.0)


def _warm_up(run: _Run, variant: Variant, built: _Built) -> str | None:
    """Warm up a job before its first window, and settle it before each later one.

    Returns:
        What still moved at the end of the warm-up, and by how much; None where it was steady or not judged.
    """
    timing = run.timing
    if built.warmed:
        _correct(built, _work_for(run, built, timing.settle_s, 0.0), timing.launch_s)
        return None
    run.observer.stage(variant, "warm up", timing.warmup_max_s)
    blocks: list[Block] = []
    done = 0.0
    moved = None
    while done < timing.warmup_max_s or not blocks:
        window = _work_for(run, built, timing.block_s, done)
        done += window.seconds
        _correct(built, window, timing.launch_s)
        blocks.append(_block(run, window))
        moved = steadiness.moved(blocks, timing.block_s)
        if moved is None and done >= timing.warmup_min_s:
            break
    built.warmed = True
    if timing.judges_steady:
        built.steady = moved is None
        return moved
    return None


def _block(run: _Run, window: Window) -> Block:
    """What a block of the warm-up is judged by."""
    latest = run.meter.latest()
    power_w = None
    if run.metered:
        # Judged up to where samples have arrived: waiting for the rest would let the device go idle.
        late_ns = int(run.meter.sensor.settle_s * 1e9)
        seen = replace(window, end_ns=max(window.end_ns - late_ns, window.start_ns + 1))
        samples = run.meter.samples(seen.start_ns, seen.end_ns)
        power_w = energy.measure(samples, seen, run.meter.sensor).power_mean_w
    return Block(window.work / window.seconds, power_w, latest.temperature_c if latest else None)


def _correct(built: _Built, window: Window, launch_s: float) -> None:
    """Correct the iterations of a launch by the rate that the last block really had."""
    built.iteration_s = window.seconds / (window.work / built.job.facts.work_per_iteration)
    built.iterations = max(1, round(launch_s / built.iteration_s))


def _window(run: _Run, variant: Variant, built: _Built, repeat: int, row: int, idle: Idle | None) -> Measurement:
    """One window: warm up, measure, audit, and put the row together."""
    timing, job = run.timing, built.job
    moved = _warm_up(run, variant, built)
    begin_ns = None if run.rendezvous is None else run.rendezvous(lambda: _keep_busy(run, built))
    # The window is judged by its own output alone; what the warm-up found is judged here, before.
    warm = job.audit()
    run.observer.stage(variant, f"window {repeat}/{timing.repeats}", timing.window_s)
    state = run.meter.card_state()
    if begin_ns is not None:
        time.sleep(max(0.0, (begin_ns - time.monotonic_ns()) / 1e9))
    started = datetime.now(UTC)
    if run.reference_meter is not None:
        run.reference_meter.begin()
    before, clocks = interference.read(), interruptions.read()
    window = _work_for(run, built, timing.window_s, 0.0)
    others = interference.between(before, interference.read())
    invalid, warnings = _interrupted(run, built, clocks)
    reference_energy_j = None if run.reference_meter is None else run.reference_meter.end()
    audit = job.audit()
    if not warm.ok:
        audit = replace(
            audit, ok=False, reasons=(*audit.reasons, *(f"in the warm-up: {text}" for text in warm.reasons))
        )
    samples = run.meter.samples(window.start_ns, window.end_ns)
    joules = energy.measure(samples, window, run.meter.sensor)
    if moved is not None:
        warnings.append(f"not steady after the warm-up: {moved}")
    joules = replace(
        joules, invalid_reasons=(*joules.invalid_reasons, *invalid), warnings=(*joules.warnings, *warnings)
    )
    record = rows.record(
        run.device,
        run.meter.sensor,
        run.context,
        timing.mode,
        variant,
        job.facts,
        window,
        joules,
        audit,
        state,
        repeat,
        built.steady,
        idle,
        started,
        others,
    )
    if not record.valid:
        run.observer.note(f"invalid window of {variant.label}: {record.invalid_reasons}")
    return Measurement(
        row=row,
        record=record,
        window=window,
        sensor=run.meter.sensor,
        samples=samples,
        audit=audit,
        idle=idle,
        reference_energy_j=reference_energy_j,
    )


def _interrupted(run: _Run, built: _Built, before: Clocks) -> tuple[tuple[str, ...], list[str]]:
    """Reasons why the window that has just ended is invalid, and warnings about the clocks since the one before."""
    after = interruptions.read()
    invalid = interruptions.invalid_reasons(interruptions.stalled_s(run.launches, built.iteration_s), before, after)
    step = interruptions.clock_warning(run.clocks, after)
    run.clocks = after
    if step is None:
        return invalid, []
    run.observer.note(f"warning: {step}")
    return invalid, [step]


def _idle(run: _Run, when: str) -> Idle:
    """Mean power with the context created and no work, after the clocks have had time to fall."""
    run.observer.stage(None, f"idle {when}", run.timing.idle_s)
    time.sleep(min(2.0, run.timing.idle_s))
    start = time.monotonic_ns()
    while (now := time.monotonic_ns()) - start < run.timing.idle_s * 1e9:
        latest = run.meter.latest()
        run.observer.progress((now - start) / 1e9, None, None, latest.power_w if latest else None)
        time.sleep(0.05)
    samples = run.meter.samples(start, now)
    watts, uncertainty = energy.idle_power(samples, start, now, run.meter.sensor)
    return Idle(when, start, now, watts, uncertainty, samples)


def _make_room(run: _Run) -> None:
    """Drop built jobs, oldest first, while they hold more than half of the device's memory.

    A job that holds none is kept: building it again would gain nothing.
    """
    total = run.device.memory_bytes
    held = {place: built.job.facts.memory_bytes or 0 for place, built in run.built.items()}
    for place in [place for place, size in held.items() if size][:-1]:
        if not total or sum(held.values()) <= KEEP_BUILT * total:
            return
        run.built.pop(place).job.close()
        del held[place]


def _close_all(run: _Run) -> None:
    """Close every job."""
    for place in list(run.built):
        _close(run, place)


def _close(run: _Run, place: int) -> None:
    """Close a job that is up. A lost device fails here again, so only the first error, raised earlier, is reported."""
    if place in run.built:
        with suppress(RuntimeError, BenchError):
            run.built.pop(place).job.close()
