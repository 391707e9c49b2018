"""Work in a pattern of known times on one device, so that its power sensor can be examined.

The device is busy or idle by the clock: launches of about a millisecond fill each busy stretch, and the stretch ends
with the sync of its last one.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import power, workloads
from bench.measure import devices
from bench.measure.plan import RunPlan
from bench.model import BenchError, BuildContext, Device, Job, Meter, Sensor
from bench.model.sensor_test import Estimate
from bench.power.selftest import Load, examine

POLL_S = 0.005
LAUNCH_S = 0.001
LEAST_SECONDS = 15.0
UNKNOWN_PERIOD_S = 0.1
"""Assumed where the meter's probe saw no update."""
IDLE_S = 1.5
NEAR = 1.04
"""Period of the fast square load in update periods: each update sees the load a little later in its period."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """``busy_s`` of work, then ``idle_s`` without; ``block`` counts the changes of pattern before it."""

    busy_s: float
    idle_s: float
    block: int


def pattern(period_s: float, seconds: float, chance: random.Random) -> list[Stretch]:
    """A square load of about ``seconds`` for a sensor that updates every ``period_s``.

    Long steps show rise and averaging, a load near the update period the duty cycle, short random stretches the delay,
    and a steady end the noise.
    """
    long_s = max(1.4, 3 * period_s)
    near_s = NEAR * period_s
    found = [
        Stretch(long_s * chance.uniform(1, 1.35), long_s * chance.uniform(1, 1.35), 0)
        for _ in range(max(3, round(0.5 * seconds / (2.35 * long_s))))
    ]
    found += [Stretch(near_s / 2, near_s / 2, 1) for _ in range(max(5, round(0.18 * seconds / near_s)))]
    spent_s = 0.0
    while spent_s < 0.17 * seconds:
        short = Stretch(chance.uniform(0.5, 4) * period_s, chance.uniform(0.5, 4) * period_s, 2)
        found.append(short)
        spent_s += short.busy_s + short.idle_s
    found.append(Stretch(max(3.0, 0.08 * seconds), 0.0, 3))
    return found


def apply(job: Job, stretches: Sequence[Stretch], progress: Callable[[float], None]) -> Load:
    """Run the pattern. ``progress`` gets the seconds that have passed, after each stretch."""
    iterations = launch_iterations(job)
    begun_ns = time.monotonic_ns()
    time.sleep(IDLE_S)
    busy: list[tuple[float, float]] = []
    blocks: list[float] = []
    block = stretches[0].block
    due_s = time.monotonic()
    for stretch in stretches:
        if stretch.block != block:
            block = stretch.block
            blocks.append(time.monotonic())
        # each stretch starts when it is due, so that a late end does not shift the rhythm
        time.sleep(max(0.0, due_s - time.monotonic()))
        start_s = time.monotonic()
        while time.monotonic() - start_s < stretch.busy_s:
            job.launch(iterations)
            job.sync()
        busy.append((start_s, time.monotonic()))
        due_s = max(due_s + stretch.busy_s + stretch.idle_s, busy[-1][1])
        progress((time.monotonic_ns() - begun_ns) / 1e9)
    time.sleep(IDLE_S / 2)
    return Load(tuple(busy), tuple(blocks), POLL_S)


def launch_iterations(job: Job) -> int:
    """Iterations that take about :data:`LAUNCH_S`."""
    iterations = 1
    while True:
        start_s = time.monotonic()
        job.launch(iterations)
        job.sync()
        taken_s = time.monotonic() - start_s
        if taken_s >= LAUNCH_S or iterations >= 1 << 24:
            return max(1, round(iterations * LAUNCH_S / max(taken_s, 1e-9)))
        iterations *= 4


def one_device(spec: str) -> Device:
    """The device that ``--device`` names.

    Raises:
        BenchError: there is none, or there are several.
    """
    found = devices.choose(spec).devices
    if len(found) > 1:
        raise BenchError(f"{spec} means {len(found)} devices", f"name one, such as --device {found[0].label}")
    return found[0]


def open_job(device: Device, workload: str) -> Job:
    """The smallest job of a workload on the device, with the workload's default options.

    Raises:
        BenchError: there is no such workload.
        Skip: the device cannot run it.
    """
    module = workloads.load(workload)
    variants = module.plan(device, getattr(RunPlan(), workloads.entry(workload).group), smoke=True)
    return module.build(device, variants[0], BuildContext())


def open_fast_meter(spec: str, device: Device, calibration: Path | None = None) -> Meter:
    """The meter, polled every :data:`POLL_S`.

    Raises:
        BenchError: it reads nothing.
    """
    meter = power.open_meter(spec, device, poll_s=POLL_S, calibration=calibration)
    if meter.sensor.source in ("none", "assumed", "replay"):
        meter.close()
        reason = meter.sensor.reason or f"--meter {spec} reads no sensor"
        raise BenchError(f"there is no power sensor to examine: {reason}", "give a --meter that reads watts")
    return meter


def examine_sensor(
    device: Device, spec: str, workload: str, seconds: float, progress: Callable[[float], None]
) -> tuple[Sensor, dict[str, Estimate]]:
    """Run a square load on the device and find what its power sensor does.

    Args:
        device: what works.
        spec: the meter, as ``--meter`` names it.
        workload: the work.
        seconds: about how long.
        progress: gets the seconds that have passed.

    Raises:
        BenchError: too short, no sensor, too few updates, or a load that does not move the reading.
    """
    if seconds < LEAST_SECONDS:
        raise BenchError(f"{seconds:g} s are too short to examine a sensor", f"use --seconds {LEAST_SECONDS:g} or more")
    meter = open_fast_meter(spec, device)
    try:
        job = open_job(device, workload)
        try:
            stretches = pattern(meter.sensor.power_period_s or UNKNOWN_PERIOD_S, seconds, random.Random())
            meter.start()
            start_ns = time.monotonic_ns()

            def drain(done_s: float) -> None:
                meter.latest()  # or the pipe fills
                progress(done_s)

            load = apply(job, stretches, drain)
        finally:
            job.close()
        samples = meter.samples(start_ns, time.monotonic_ns())
    finally:
        meter.close()
    return meter.sensor, examine(samples, load)
