"""One device's run into one store: the plan becomes variants, and each finished window goes to disk at once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from bench import power, storage, workloads
from bench.measure import devices, neighbours, plugins, provenance, row, runner
from bench.measure.observer import Observer, Rendezvous, Silent
from bench.measure.plan import RunPlan, to_dict
from bench.measure.timing import Timing, reads_watts, timing
from bench.model import (
    BenchError,
    BuildContext,
    Choices,
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
)
from bench.power.zeus import ZeusMeter
from bench.storage import Store
from bench.workloads.hashing import proof

FRESH_NS = 1_000_000_000
"""How long a trial waits for a fresh sample before it goes without joules."""

MEMORY_EXCESS = 0.05
"""Share of the announced memory by which the measured peak may exceed it without a note."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """The settled rows of a run, and whether it can be trusted as a whole."""

    records: tuple[Record, ...]
    wrong: bool
    """Some output was wrong; what was wrong has no row."""
    errors: tuple[BenchError, ...] = ()
    """What ended the run of a device early."""

    @property
    def sound(self) -> bool:
        """Whether nothing was wrong, and every row is valid and verified."""
        good = all(record.valid and record.verified for record in self.records)
        return good and not self.wrong and not self.errors


def run(plan: RunPlan, observer: Observer | None = None) -> RunResult:
    """Measure each device that the plan names in turn, each into a CSV of its own.

    An error of one device ends that device's run only; the others go on.

    Raises:
        BenchError: no device fits the plan, or the only device failed.
    """
    observer = observer or Silent()
    choice = devices.choose(plan.selection.device)
    if choice.warning:
        observer.note(f"warning: {choice.warning}")
    records: list[Record] = []
    wrong = False
    errors: list[BenchError] = []
    for device in choice.devices:
        finished: list[Record] = []
        try:
            result = drain(run_device(plan, device, observer, device_choice=choice.how), finished)
        except BenchError as error:
            if len(choice.devices) == 1:
                raise
            observer.note(f"{device.label}: {error}")
            errors.append(error)
            records += finished
        else:
            records += result.records
            wrong = wrong or result.wrong
    return RunResult(tuple(records), wrong, tuple(errors))


def drain(running: Generator[Record, None, RunResult], finished: list[Record] | None = None) -> RunResult:
    """Run a device to its end and return its settled rows; ``finished`` also gets each row as it is on disk."""
    rows = [] if finished is None else finished
    while True:
        try:
            rows.append(next(running))
        except StopIteration as end:
            result: RunResult = end.value
            return result


def run_device(
    plan: RunPlan,
    device: Device,
    observer: Observer,
    *,
    device_choice: str = "asked for",
    passes: Callable[[], Iterable[object]] = lambda: (None,),
    needs_watts: bool = False,
    rendezvous: Rendezvous | None = None,
) -> Generator[Record, None, RunResult]:
    """Measure the plan's variants on one device; yield each row once it is on disk, and return the settled rows.

    Args:
        plan: what to measure.
        device: the device to measure it on.
        observer: watches the run; nothing is printed here.
        device_choice: how the device was chosen, for the rows.
        passes: measure all variants once per item; a sweep sets a power limit before it gives the next one.
        needs_watts: refuse to run without a power sensor.
        rendezvous: agrees with runs on other devices when each window begins.

    Raises:
        BenchError: the plan does not fit the device, the device failed, or the disk; the rows yielded before stand.
    """
    smoke = plan.timing.smoke
    if "transformer" in plan.selection.workload or plan.hashing.engine == "portable":
        plugins.import_torch()
    variants = [
        variant
        for name in plan.selection.workload
        for variant in workloads.load(name).plan(device, getattr(plan, workloads.entry(name).group), smoke=smoke)
    ]
    wrong = False
    with ExitStack() as stack:
        meter = power.open_meter(plan.power.source, device, calibration=plan.power.sensor_calibration)
        stack.callback(meter.close)
        if needs_watts and not reads_watts(meter.sensor):
            raise BenchError(f"this needs a power sensor: {meter.sensor.reason}", "give a --meter that reads watts")
        if meter.sensor.reason:
            observer.hint(f"no watts for {device.label}: {meter.sensor.reason}")
        durations = timing(plan.timing, metered=reads_watts(meter.sensor))
        if plan.timing.wait_idle_s is not None:
            neighbours.wait(plan.timing.wait_idle_s, observer)
        if str(others := neighbours.look()):
            observer.hint(f"{others}: figures may be too low")
        context = replace(
            provenance.context(device_choice, device, host_label=plan.output.host_label), neighbours=others.column
        )
        if threads := thread_limit(plan, device):
            observer.note(threads)
        meter.start()
        reference = stack.enter_context(ZeusMeter(meter.sensor)) if plan.power.zeus else None
        salt = storage.local_salt() if plan.output.anonymous else None
        results = stack.enter_context(_stored(storage.create(plan.output.out, context.run_id, salt=salt), observer))
        results.plan(to_dict(plan))
        device_run = _DeviceRun(plan, device, meter, durations, context, observer, results, reference, rendezvous)
        for _ in passes():
            wrong = (yield from device_run.measure(variants)) or wrong
        records = results.records
    return RunResult(records, wrong)


def thread_limit(plan: RunPlan, device: Device) -> str | None:
    """Which side of a comparison on a CPU the environment slows; None where it slows neither."""
    name = next((name for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in os.environ), None)
    if name is None or device.kind != "cpu" or "transformer" not in plan.selection.workload:
        return None
    import torch

    products, hashing = torch.get_num_threads(), plan.hashing.threads or device.cores or 1
    if products >= hashing:
        return None
    return (
        f"warning: {name}={os.environ[name]}: matrix products run on {products} of {device.cores} cores, hashing on "
        f"{hashing}; unset it, or give --threads {products}"
    )


@contextmanager
def _stored(results: Store, observer: Observer) -> Iterator[Store]:
    """Close the store on every way out, and say where the rows are."""
    try:
        with results:
            yield results
    except BaseException:
        if results.records:
            observer.stored(results.path, results.records, complete=False)
        raise
    else:
        if results.records:
            observer.stored(results.path, results.records, complete=True)


@dataclass
class _DeviceRun:
    """What the steps of one device's run share."""

    plan: RunPlan
    device: Device
    meter: Meter
    timing: Timing
    context: row.Context
    observer: Observer
    results: Store
    reference: ReferenceMeter | None
    rendezvous: Rendezvous | None = None
    choices: Choices = field(default_factory=dict)
    """What kernels' trials chose: a sweep measures one code path at every limit."""

    def measure(self, variants: Sequence[Variant]) -> Generator[Record, None, bool]:
        """One pass over the variants, settled at its end by its own idle baselines; returns whether any was wrong."""
        results, observer = self.results, self.observer
        first = len(results.records)
        sensor = results.sensor(self.meter.sensor, self.meter.card_state(), self.device)
        idles: dict[str, Idle] = {}
        wrong = False
        fresh: list[Job] = []
        context = BuildContext(self.plan.timing.seed, joules_reader(self.meter), self.choices)

        def build(device: Device, variant: Variant) -> Job:
            job = workloads.load(variant.workload).build(device, variant, context)
            fresh[:] = [job]
            return job

        for item in runner.measure(
            self.device,
            self._searched(variants),
            build,
            self.meter,
            self.timing,
            self.context,
            observer,
            seed=self.plan.timing.seed,
            reference_meter=self.reference,
            rendezvous=self.rendezvous,
        ):
            match item:
                case Measurement():
                    *earlier, record = proof.judge([*results.records, results.as_written(item.record)])
                    results.append(record, window=item.window, samples=item.samples, audit=item.audit, sensor=sensor)
                    if earlier != list(results.records[:-1]):
                        results.settle(earlier, first=1)
                    # Noted once a job, at its first window: later, other jobs hold memory too.
                    if fresh:
                        note_memory(results, record, fresh.pop().peak_memory_bytes(), observer)
                    self._note_reference(item)
                    yield record
                case Idle():
                    idles[item.when] = item
                    results.idle(item.when, item.start_ns, item.end_ns, item.samples, sensor=sensor)
                case Refusal():
                    wrong = wrong or item.wrong
                    word = "wrong result, not timed" if item.wrong else "skipped"
                    observer.note(f"{word}: {item.variant.label}: {item.reason}")
        settled = row.settle(results.records[first:], idles.get("before"), idles.get("after"))
        results.settle(settled, first=first + 1)
        return wrong

    def _searched(self, variants: Sequence[Variant]) -> list[Variant]:
        """The variants with each search done that names one (phase ``mamf``); skipped ones are noted and left out."""

        def show(variant: Variant, done_s: float, budget_s: float) -> None:
            if done_s == 0:
                self.observer.stage(variant, "search", budget_s)
            else:
                self.observer.progress(done_s, None, None, None)

        found: list[Variant] = []
        for variant in variants:
            workload = workloads.load(variant.workload)
            try:
                named = (
                    workload.resolve(self.device, [variant], show)
                    if isinstance(workload, workloads.Searching)
                    else [variant]
                )
            except Skip as reason:
                self.observer.note(f"skipped: {variant.label}: {reason}")
                continue
            if named != [variant]:
                shapes = ", ".join(str(each.shape) for each in named)
                self.observer.note(f"{variant.label}: {shapes} is the fastest shape found")
            found += named
        return found

    def _note_reference(self, item: Measurement) -> None:
        """Write another meter's joules of the same window into the sidecar, and show both."""
        if item.reference_energy_j is None:
            return
        ours_j, record = item.record.energy_j, item.record
        self.results.note("zeus", {"row": item.row, "zeus_j": item.reference_energy_j, "ours_j": ours_j})
        ours = "none" if ours_j is None else f"{ours_j:.1f} ± {record.energy_uncertainty_j or 0:.1f} J"
        self.observer.note(f"{record.workload}: Zeus {item.reference_energy_j:.1f} J, bitwatt {ours}")


def note_memory(results: Store, record: Record, peak_bytes: int | None, observer: Observer) -> None:
    """Write a job's peak of memory into the sidecar with what it announced; on a GPU, note where it was more.

    On a CPU the first job of a process also brings the pages of its libraries, so an excess says nothing there.
    """
    if peak_bytes is None:
        return
    gib = record.memory_announced_gib
    announced_bytes = None if gib is None else round(gib * row.GIB)
    number = len(results.records)
    results.note("memory", {"row": number, "announced_bytes": announced_bytes, "peak_bytes": peak_bytes})
    if record.device_kind == "cpu" or announced_bytes is None:
        return
    if peak_bytes > (1 + MEMORY_EXCESS) * announced_bytes:
        observer.note(f"row {number}: memory peaked at {peak_bytes} bytes, {announced_bytes} were announced")


def joules_reader(meter: Meter) -> Callable[[], float | None]:
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
