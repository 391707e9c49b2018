"""Two meters on one device at several powers: what :mod:`bench.power.reference` fits gain and offset to."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from bench import power
from bench.measure import square_load
from bench.model import BenchError, Device, Job, Meter, Sensor, Window
from bench.model.sensor_test import Level
from bench.power import energy

SHARES = (0.0, 1 / 3, 2 / 3, 1.0)
"""Shares of the time for which the device works, one power level each."""
PASSES = 2
MARGIN_S = 2.0
"""Work before and after each window, so that late and averaged readings see nothing else."""
LEAST_WINDOW_S = 2.0
CHOP_S = (0.02, 0.06)
"""Shortest and longest period of the partial load; at random, so that no sensor keeps step with it."""


def least_seconds() -> float:
    """The shortest run."""
    return len(SHARES) * PASSES * (LEAST_WINDOW_S + 2 * MARGIN_S)


def open_meters(device: Device, spec: str, reference_spec: str) -> tuple[Meter, Meter]:
    """The meter to calibrate and the reference.

    Raises:
        BenchError: one of them does not open or reads no sensor, or both are the same.
    """
    meters: list[Meter] = []
    try:
        for flag, each in (("--meter", spec), ("--reference-meter", reference_spec)):
            meters.append(power.open_meter(each, device))
            sensor = meters[-1].sensor
            if sensor.source in ("none", "assumed", "replay"):
                raise BenchError(
                    f"{flag} {each} reads no sensor{f' ({sensor.reason})' if sensor.reason else ''}",
                    "give a power source that measures this device now",
                )
        first, second = (meter.sensor for meter in meters)
        if first.source != "command" and (first.source, first.sensor_id) == (second.source, second.sensor_id):
            raise BenchError("both meters are the same sensor", "give an independent --reference-meter")
    except BenchError:
        for meter in meters:
            meter.close()
        raise
    return meters[0], meters[1]


def measure_levels(
    device: Device, spec: str, reference_spec: str, workload: str, seconds: float, note: Callable[[str], None]
) -> tuple[Sensor, Sensor, list[Level]]:
    """Measure the device with both meters at several powers, in an order drawn anew for each pass.

    Args:
        device: what works.
        spec: the meter to calibrate.
        reference_spec: the meter that is believed.
        workload: the work.
        seconds: about how long in all.
        note: takes a line on each window.

    Returns:
        The sensor, the reference, and the levels.

    Raises:
        BenchError: too short, a meter does not open, or a window's energy is unknown.
    """
    if seconds < least_seconds():
        raise BenchError(f"{seconds:g} s are too short", f"use --seconds {least_seconds():g} or more")
    window_s = seconds / (len(SHARES) * PASSES) - 2 * MARGIN_S
    chance = random.Random()
    meter, reference = open_meters(device, spec, reference_spec)
    try:
        job = square_load.open_job(device, workload)
        try:
            meter.start()
            reference.start()
            iterations = square_load.launch_iterations(job)
            levels = []
            for _ in range(PASSES):
                for share in chance.sample(SHARES, len(SHARES)):
                    window = _work(job, iterations, share, window_s, chance)
                    true_w, true_half_w = _mean_w(reference, window, "--reference-meter")
                    reading_w, reading_half_w = _mean_w(meter, window, "--meter")
                    levels.append(Level(true_w, true_half_w, reading_w, reading_half_w))
                    note(f"busy {share:.0%}: {reading_w:.1f} W, reference {true_w:.1f} W")
        finally:
            job.close()
    finally:
        meter.close()
        reference.close()
    return meter.sensor, reference.sensor, levels


def _work(job: Job, iterations: int, share: float, window_s: float, chance: random.Random) -> Window:
    """Keep the device busy for a share of the time; the window lies between two margins of the same load."""
    begun_s = time.monotonic()
    end_s = begun_s + window_s + 2 * MARGIN_S
    launches = 0
    while (now_s := time.monotonic()) < end_s:
        period_s = chance.uniform(*CHOP_S)
        while time.monotonic() < now_s + share * period_s:
            job.launch(iterations)
            job.sync()
            launches += 1
        time.sleep(max(0.0, now_s + period_s - time.monotonic()))
    start_ns = round((begun_s + MARGIN_S) * 1e9)
    return Window(start_ns, start_ns + round(window_s * 1e9), max(1, launches), float(max(1, launches)))


def _mean_w(meter: Meter, window: Window, flag: str) -> tuple[float, float]:
    """Mean power of a window and its 95% half-width, in watts.

    Raises:
        BenchError: the window's energy is unknown.
    """
    found = energy.measure(meter.samples(window.start_ns, window.end_ns), window, meter.sensor)
    if found.joules is None:
        reason = "; ".join(found.invalid_reasons) or "no samples"
        raise BenchError(f"{flag}: the energy of a window is unknown ({reason})", "see bitwatt doctor")
    return found.joules / window.seconds, (found.uncertainty_j or 0.0) / window.seconds
