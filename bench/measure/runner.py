"""Measure: verify → warm up → window(s) under a meter → record.

Nothing unverified is timed; rate and energy always come from one window; every finished window is handed on at once,
so that a crash, Ctrl-C or a full disk costs at most the window under way.
"""

from __future__ import annotations

import itertools
import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from bench.model import (
    EXIT_INVALID,
    METHOD_VERSION,
    SCHEMA_VERSION,
    Audit,
    BenchError,
    CardState,
    Device,
    Energy,
    Facts,
    Idle,
    Job,
    Measurement,
    Meter,
    Record,
    ReferenceMeter,
    Refusal,
    Sensor,
    Skip,
    Variant,
    Window,
)
from bench.power import energy

GIB = 1 << 30

# Steady state (docs/method.md, thresholds of this project's own): the last three blocks agree within these.
STEADY_BLOCKS = 3
STEADY_RATE = 0.005
STEADY_POWER = 0.01
STEADY_SLOPE_C_PER_S = 0.1
IDLE_DRIFT = 0.05
"""Relative difference of the idle baselines before and after, above which rows carry a warning."""

LEAST_REPEATS = 3
"""Windows of a variant before the stop rule may end its repeats."""

KEEP_BUILT = 0.5
"""Share of device memory up to which built jobs are kept for their next repeat instead of being built again."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things take, in seconds. ``mode`` labels the rows."""

    mode: str
    window_s: float
    warmup_min_s: float
    warmup_max_s: float
    block_s: float
    idle_s: float
    launch_s: float = 0.25
    """Aim for one launch; each is varied at random by ±40% so that no launch rhythm beats with a sensor's."""
    repeats: int = 1
    target_half_width: float | None = None
    """Stop repeating once the 95% interval of the rate is this narrow (relative); None: do all repeats."""
    budget_s: float | None = None
    """Begin no further round of repeats that would end later than this after the start; None: do all repeats."""

    @property
    def judges_steady(self) -> bool:
        """Whether the warm-up is long enough to hold three blocks."""
        return self.warmup_max_s >= STEADY_BLOCKS * self.block_s


@dataclass(frozen=True, slots=True)
class Asked:
    """Durations that the user asked for in place of the mode's own; None: the mode's.

    Raises:
        BenchError: a duration is impossible.
    """

    window_s: float | None = None
    repeats: int | None = None
    warmup_s: float | None = None

    def __post_init__(self) -> None:
        if self.window_s is not None and not (math.isfinite(self.window_s) and self.window_s >= 0.1):
            raise BenchError(f"a window of {self.window_s:g} s is too short to time", "use --window 0.1 or more")
        if self.repeats is not None and self.repeats < 1:
            raise BenchError(f"{self.repeats} repeats measure nothing", "use --repeats 1 or more")
        if self.warmup_s is not None and not (math.isfinite(self.warmup_s) and self.warmup_s >= 0):
            raise BenchError(f"a warm-up of {self.warmup_s:g} s cannot be", "use --warmup 0 or more")


def timing(mode: str, asked: Asked | None = None, *, metered: bool) -> Timing:
    """The durations of a mode; windows are 30 s where watts are read and 5 s where none are.

    Args:
        mode: ``standard``, ``quick`` (5 s windows) or ``smoke`` (1 s windows, for CI).
        asked: what replaces the mode's own durations.
        metered: whether a power sensor is read.
    """
    asked = asked or Asked()
    if mode == "smoke":
        base = Timing("smoke", 1.0, 0.3, 0.5, 0.25, 0.5, launch_s=0.05, repeats=1)
    elif mode == "quick":
        base = Timing("quick", 5.0, 2.0, 6.0, 1.0, 2.0, repeats=1)
    elif metered:
        base = Timing("standard", 30.0, 5.0, 60.0, 2.0, 5.0, repeats=8, target_half_width=0.01, budget_s=2700.0)
    else:
        base = Timing("standard", 5.0, 1.0, 3.0, 0.5, 0.0, repeats=3, budget_s=200.0)
    if not metered:
        base = replace(base, idle_s=0.0)
    if asked.window_s is not None:
        base = replace(base, window_s=asked.window_s)
    if asked.repeats is not None:
        # A number of repeats that was asked for is what is run.
        base = replace(base, repeats=asked.repeats, target_half_width=None, budget_s=None)
    if asked.warmup_s is not None:
        shortest = min(base.warmup_min_s, asked.warmup_s)
        block = min(base.block_s, max(asked.warmup_s / STEADY_BLOCKS, 0.02))
        base = replace(base, warmup_min_s=shortest, warmup_max_s=asked.warmup_s, block_s=block)
    return base


def reads_watts(sensor: Sensor) -> bool:
    """Whether a sensor is really read: neither absent nor a number that the user vouched for."""
    return sensor.source not in ("none", "assumed")


@dataclass(frozen=True, slots=True)
class Context:
    """What every row of a run says of itself: the identity columns and the library versions."""

    run_id: str
    harness_version: str
    commit: str | None = None
    dirty: bool | None = None
    host: str | None = None
    torch: str | None = None
    cupy: str | None = None
    device_choice: str | None = None


class Observer(Protocol):
    """Told what goes on; draws a progress bar or nothing. Must not raise."""

    def stage(self, variant: Variant | None, stage: str, seconds: float | None) -> None:
        """A new stage (``build``, ``verify``, ``warm up``, ``window 2/3``, ``idle``), expected to take ``seconds``."""

    def progress(self, done_s: float, rate_per_s: float | None, unit: str | None, power_w: float | None) -> None:
        """Within a stage, a few times a second."""

    def note(self, message: str) -> None:
        """One sentence worth keeping on the screen (a skipped variant, an invalid window)."""


class Silent:
    """An observer that draws nothing."""

    def stage(self, variant: Variant | None, stage: str, seconds: float | None) -> None:
        """Ignore."""

    def progress(self, done_s: float, rate_per_s: float | None, unit: str | None, power_w: float | None) -> None:
        """Ignore."""

    def note(self, message: str) -> None:
        """Ignore."""


@dataclass
class _Built:
    """A job that is up, with what was learnt of it."""

    job: Job
    iterations: int
    """Iterations of one launch."""


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
    built: dict[int, _Built] = field(default_factory=dict)
    """Jobs that are up, by the variant's place in the list."""

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
) -> Iterator[Measurement | Idle | Refusal]:
    """Run every variant ``timing.repeats`` times, interleaved (A B C, C B A, …), and yield each window as it ends.

    The meter must have been started. An idle baseline comes first and last where watts are read; the caller passes
    both to :func:`finish` to settle the net columns. A variant that cannot run, or whose output is wrong, is refused
    and the others go on.

    Raises:
        BenchError: a device failed. Windows yielded before it stand.
    """
    run = _Run(device, build, meter, timing, context, observer or Silent(), random.Random(seed), reference_meter)
    idle: Idle | None = None
    refused: set[int] = set()
    done: list[list[Record]] = [[] for _ in variants]
    rows = itertools.count(1)
    places = range(len(variants))
    try:
        begun = time.monotonic()
        for repeat in range(1, timing.repeats + 1):
            if _over_budget(time.monotonic() - begun, repeat, timing):
                run.observer.note(f"stopped after {repeat - 1} repeats: one more would pass {timing.budget_s:g} s")
                break
            for place in places if repeat % 2 else reversed(places):
                variant = variants[place]
                if place in refused or _settled(done[place], timing):
                    continue
                try:
                    with translate_device_errors(run, variant):
                        built = _bring_up(run, place, variant)
                except (Skip, _WrongOutput) as reason:
                    refused.add(place)
                    yield Refusal(variant, str(reason), wrong=isinstance(reason, _WrongOutput))
                    continue
                if idle is None and run.metered and timing.idle_s:
                    # Here the context exists and the card is about to work: the baseline that its load stands on.
                    idle = _idle(run, "before")
                    yield idle
                with translate_device_errors(run, variant):
                    measurement = _window(run, variant, built, repeat, next(rows), idle)
                done[place].append(measurement.record)
                yield measurement
                _make_room(run)
        if idle is not None:
            _close_all(run)
            yield _idle(run, "after")
    finally:
        _close_all(run)


def finish(records: Sequence[Record], before: Idle | None, after: Idle | None) -> list[Record]:
    """Settle what is known only at the end: idle power as the mean of both baselines, and net work per joule.

    A difference above 5% between the baselines adds a warning to every row.
    """
    watts = [idle.power_w for idle in (before, after) if idle is not None and idle.power_w is not None]
    if not watts:
        return list(records)
    mean = statistics.fmean(watts)
    drifted = len(watts) == 2 and abs(watts[1] - watts[0]) > IDLE_DRIFT * mean
    done = []
    for record in records:
        warnings = record.warnings
        if drifted:
            text = f"idle power moved from {watts[0]:.1f} W to {watts[1]:.1f} W"
            warnings = f"{warnings};{text}" if warnings else text
        done.append(replace(record, idle_power_w=mean, net_work_per_j=_net_work_per_j(record, mean), warnings=warnings))
    return done


# ---------------------------------------------------------------------------------------------------------------------
# steps


class _WrongOutput(Exception):  # noqa: N818 - a state of affairs, turned into a Refusal
    """A job's verification failed; the text holds its reasons."""


@contextmanager
def translate_device_errors(run: _Run, variant: Variant) -> Iterator[None]:
    """Turn what torch and CuPy raise when a device fails (both RuntimeError) into one sentence.

    Which call raises says little: a GPU's fault surfaces at the next call that waits for it.
    """
    try:
        yield
    except RuntimeError as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if type(error).__name__ == "OutOfMemoryError":
            raise Skip(f"{run.device.label} ran out of memory ({first})", "free its memory or choose less") from error
        raise BenchError(
            f"{run.device.label} failed in {variant.label} ({first})",
            "see whether the device is still there (nvidia-smi, dmesg); the rows measured before are kept",
            exit_code=EXIT_INVALID,
        ) from error


def _bring_up(run: _Run, place: int, variant: Variant) -> _Built:
    """Build, verify and size a job once; later repeats find it here unless memory was short."""
    if place in run.built:
        return run.built[place]
    run.observer.stage(variant, "build", None)
    try:
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
        job.audit()
    except BaseException:
        with suppress(RuntimeError):
            job.close()
        raise
    run.built[place] = built
    return built


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
    launches = iterations = 0
    job.sync()
    start = time.monotonic_ns()
    while True:
        # A load that repeats near the sensor's period is aliased (docs/method.md): no two launches are alike.
        size = max(1, round(built.iterations * run.rng.uniform(0.6, 1.4)))
        job.launch(size)
        job.sync()
        launches, iterations = launches + 1, iterations + size
        now = time.monotonic_ns()
        latest = run.meter.latest()
        run.observer.progress(
            begun_s + (now - start) / 1e9,
            iterations * facts.work_per_iteration / ((now - start) / 1e9),
            facts.work_unit,
            latest.power_w if latest else None,
        )
        if now - start >= seconds * 1e9:
            return Window(start, now, launches, iterations * facts.work_per_iteration)


def _warm_up(run: _Run, variant: Variant, built: _Built, *, first: bool) -> bool | None:
    """Work until rate, power and temperature stand still; False at the bound, None where it is not judged."""
    timing = run.timing
    run.observer.stage(variant, "warm up", timing.warmup_max_s)
    blocks: list[tuple[float, float | None, float | None]] = []
    done = 0.0
    while True:
        window = _work_for(run, built, timing.block_s, done)
        done += window.seconds
        built.iterations = _corrected(built, window, timing.launch_s)
        latest = run.meter.latest()
        power = None
        if run.metered:
            # Judged up to where samples have arrived: waiting for the rest would let the device go idle.
            late_ns = int(run.meter.sensor.settle_s * 1e9)
            seen = replace(window, end_ns=max(window.end_ns - late_ns, window.start_ns + 1))
            samples = run.meter.samples(seen.start_ns, seen.end_ns)
            power = energy.measure(samples, seen, run.meter.sensor).power_mean_w
        blocks.append((window.work / window.seconds, power, latest.temperature_c if latest else None))
        if done < timing.warmup_min_s:
            continue
        if timing.judges_steady and _steady(blocks[-STEADY_BLOCKS:], timing.block_s):
            return True
        if done >= timing.warmup_max_s or (not first and not timing.judges_steady):
            return False if timing.judges_steady else None


def _corrected(built: _Built, window: Window, launch_s: float) -> int:
    """Iterations per launch, corrected by the rate that the last block really had."""
    seconds_per_iteration = window.seconds / (window.work / built.job.facts.work_per_iteration)
    return max(1, round(launch_s / seconds_per_iteration))


def _steady(blocks: Sequence[tuple[float, float | None, float | None]], block_s: float) -> bool:
    if len(blocks) < STEADY_BLOCKS:
        return False
    rates = [rate for rate, _, _ in blocks]
    watts = [power for _, power, _ in blocks if power is not None]
    temperatures = [temperature for _, _, temperature in blocks if temperature is not None]
    if _spread(rates) > STEADY_RATE:
        return False
    if len(watts) == len(blocks) and _spread(watts) > STEADY_POWER:
        return False
    if len(temperatures) == len(blocks):
        slope = (temperatures[-1] - temperatures[0]) / ((len(blocks) - 1) * block_s)
        # Sensors count whole degrees: one step over the three blocks is no slope.
        return abs(slope) <= STEADY_SLOPE_C_PER_S or abs(temperatures[-1] - temperatures[0]) <= 1.0
    return True


def _spread(values: Sequence[float]) -> float:
    mean = statistics.fmean(values)
    return (max(values) - min(values)) / mean if mean else math.inf


def _window(run: _Run, variant: Variant, built: _Built, repeat: int, row: int, idle: Idle | None) -> Measurement:
    """One window: warm up, measure, audit, and put the row together."""
    timing, job = run.timing, built.job
    steady = _warm_up(run, variant, built, first=repeat == 1)
    # The window is judged by its own output alone; what the warm-up found is judged here, before.
    warm = job.audit()
    run.observer.stage(variant, f"window {repeat}/{timing.repeats}", timing.window_s)
    state = run.meter.card_state()
    started = datetime.now(UTC)
    if run.reference_meter is not None:
        run.reference_meter.begin()
    window = _work_for(run, built, timing.window_s, 0.0)
    reference_energy_j = None if run.reference_meter is None else run.reference_meter.end()
    audit = job.audit()
    if not warm.ok:
        audit = replace(
            audit, ok=False, reasons=(*audit.reasons, *(f"in the warm-up: {text}" for text in warm.reasons))
        )
    samples = run.meter.samples(window.start_ns, window.end_ns)
    joules = energy.measure(samples, window, run.meter.sensor)
    record = _record(run, variant, job.facts, window, joules, audit, state, repeat, steady, idle, started)
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


def _settled(records: Sequence[Record], timing: Timing) -> bool:
    """The stop rule: the 95% intervals of the rate, and of work per joule where there is any, are narrow enough."""
    good = [record for record in records if record.valid]
    if timing.target_half_width is None or len(good) < LEAST_REPEATS:
        return False
    from scipy.stats import t

    factor = t.ppf(0.975, len(good) - 1) / math.sqrt(len(good))
    figures = [[record.rate_per_s for record in good], [r.work_per_j for r in good if r.work_per_j is not None]]
    return all(
        factor * statistics.stdev(values) <= timing.target_half_width * statistics.fmean(values)
        for values in figures
        if len(values) >= LEAST_REPEATS
    )


def _over_budget(spent_s: float, repeat: int, timing: Timing) -> bool:
    """Whether one more round, as long as the rounds before it were on average, would end after the budget."""
    if timing.budget_s is None or repeat == 1:
        return False
    return spent_s + spent_s / (repeat - 1) > timing.budget_s


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
    """Close every job. A lost device fails here too: what failed first is what the user must hear of."""
    while run.built:
        with suppress(RuntimeError):
            run.built.popitem()[1].job.close()


# ---------------------------------------------------------------------------------------------------------------------
# the row


def _record(
    run: _Run,
    variant: Variant,
    facts: Facts,
    window: Window,
    joules: Energy,
    audit: Audit,
    state: CardState,
    repeat: int,
    steady: bool | None,
    idle: Idle | None,
    started: datetime,
) -> Record:
    device, context, sensor = run.device, run.context, run.meter.sensor
    rate = window.work / window.seconds
    iterations_per_s = rate / facts.work_per_iteration
    tokens_per_s = _scaled(facts.tokens_per_iteration, iterations_per_s)
    bytes_per_s = _scaled(facts.bytes_per_iteration, iterations_per_s)
    invalid = (*joules.invalid_reasons, *(() if audit.ok else audit.reasons))
    record = Record(
        schema_version=SCHEMA_VERSION,
        method_version=METHOD_VERSION,
        run_id=context.run_id,
        started_utc=started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        harness_version=context.harness_version,
        commit=context.commit,
        dirty=context.dirty,
        host=context.host,
        device_kind=device.kind,
        device_name=device.name,
        device_uuid=device.uuid,
        device_index=device.index,
        device_cores=device.cores,
        device_memory_gib=None if device.memory_bytes is None else device.memory_bytes / GIB,
        device_arch=device.arch,
        driver=device.driver,
        runtime=device.runtime,
        torch=context.torch,
        cupy=context.cupy,
        device_choice=context.device_choice,
        **_state_columns(state),
        workload=variant.workload,
        phase=variant.phase,
        shape=variant.shape,
        dtype=variant.dtype,
        batch=variant.batch,
        seq=variant.seq,
        product=variant.product,
        implementation=facts.implementation,
        native=facts.native,
        precision=facts.precision,
        options=facts.options,
        repeat=repeat,
        mode=run.timing.mode,
        window_s=window.seconds,
        launches=window.launches,
        work=window.work,
        work_unit=facts.work_unit,
        rate_per_s=rate,
        tokens_per_s=tokens_per_s,
        meter=None if sensor.source == "none" else sensor.source,
        meter_id=sensor.sensor_id,
        energy_j=joules.joules,
        energy_method=joules.method,
        energy_scope=joules.scope,
        energy_uncertainty_j=joules.uncertainty_j,
        sensor_uncertainty_j=joules.sensor_uncertainty_j,
        crosscheck_ratio=joules.crosscheck_ratio,
        sample_count=joules.sample_count,
        samples_missing=joules.samples_missing,
        power_mean_w=joules.power_mean_w,
        power_p95_w=joules.power_p95_w,
        idle_power_w=None if idle is None else idle.power_w,
        work_per_j=_ratio(window.work, joules.joules),
        tokens_per_j=_ratio(_scaled(tokens_per_s, window.seconds), joules.joules),
        peak_per_s=facts.peak_work_per_s,
        peak_source=facts.peak_source,
        mfu=_ratio(rate, facts.peak_work_per_s),
        mbu=_ratio(bytes_per_s, facts.peak_bytes_per_s),
        intensity_flop_per_byte=_ratio(facts.work_per_iteration, facts.bytes_per_iteration)
        if facts.work_unit == "FLOP"
        else None,
        memory_announced_gib=None if facts.memory_bytes is None else facts.memory_bytes / GIB,
        temperature_start_c=joules.temperature_start_c,
        temperature_end_c=joules.temperature_end_c,
        temperature_max_c=joules.temperature_max_c,
        sm_clock_mhz_mean=joules.sm_clock_mhz_mean,
        mem_clock_mhz_mean=joules.mem_clock_mhz_mean,
        throttle_reasons=_joined(joules.throttle_reasons),
        throttle_s=joules.throttle_s,
        share_bits=audit.share_bits,
        shares_expected=audit.shares_expected,
        shares_found=audit.shares_found,
        shares_p_value=audit.shares_p_value,
        steady=steady,
        verified=audit.ok,
        valid=not invalid,
        invalid_reasons=_joined(invalid),
        warnings=_joined(joules.warnings),
    )
    if record.idle_power_w is None:
        return record
    return replace(record, net_work_per_j=_net_work_per_j(record, record.idle_power_w))


def _state_columns(state: CardState) -> Mapping[str, Any]:
    """The columns that are the card's state, by the names both types share."""
    return {name: getattr(state, name) for name in CardState.__dataclass_fields__}


def _net_work_per_j(record: Record, idle_power_w: float) -> float | None:
    joules = Energy(record.energy_j, None, None, uncertainty_j=record.energy_uncertainty_j)
    return energy.net_work_per_j(record.work, joules, record.window_s, idle_power_w)


def _ratio(above: float | None, below: float | None) -> float | None:
    return None if above is None or not below else above / below


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _joined(texts: Sequence[str]) -> str | None:
    return ";".join(text.replace(";", ",") for text in texts) or None
