"""A sensor, samples, a window and an audit that exercise every field, for tests of the sidecar and its readers."""

from __future__ import annotations

from pathlib import Path

from bench import storage
from bench.model import Audit, CardState, Device, Sample, Sensor, Share, Window
from tests.support import factory

SENSOR = Sensor(
    source="nvml", scope="gpu", sensor_id="GPU-x", counter=True, counter_period_s=0.1, gain_uncertainty=0.05
)


SAMPLES = (
    Sample(t_ns=10**18 + 1, power_w=0.1 + 0.2, counter_j=1e9 / 3, temperature_c=61.0, throttle=("sw_power_cap",)),
    Sample(t_ns=10**18 + 2, missing=True, error="Not Supported"),
)


AUDIT = Audit(
    ok=True,
    share_bits=32,
    shares_expected=1.5,
    shares_found=1,
    shares=(Share("00" * 76 + "07000000", 7),),
    details={"residual": 0.25},
)


WINDOW = Window(start_ns=10**18, end_ns=10**18 + 3, launches=2, work=2.0**40 + 1)


def write_sidecar(folder: Path) -> Path:
    """A sidecar with every kind of line, beside a CSV of two rows."""
    with storage.create(folder, "a") as results:
        results.plan({"device": "cuda:0", "timing": {"repeats": 3}})
        number = results.sensor(SENSOR, CardState(power_limit_w=700.0, mig=False), Device("cuda", 0, "Example GPU A"))
        results.idle("before", 5, 6, SAMPLES, sensor=number)
        results.append(factory.sha256d(), window=WINDOW, samples=SAMPLES, audit=AUDIT, sensor=number)
        results.note("warm-up", {"rates": [0.1, 0.2]})
        results.append(factory.gemm(), window=WINDOW, sensor=number)
        results.idle("after", 7, 8, SAMPLES, sensor=number)
    return results.sidecar


def write_full(folder: Path) -> Path:
    """A sidecar of a run with two windows under a power sensor with a counter, and idle baselines."""
    second = 1_000_000_000
    sensor = Sensor(
        source="nvml", scope="gpu", sensor_id="GPU-x", counter=True, counter_period_s=0.1, counter_resolution_j=0.001,
        power_field="instant", power_period_s=0.1, averaging_s=1.0, duty=0.25, gain_uncertainty=0.05,
        offset_uncertainty_w=5.0, poll_s=0.05, calibration_gain=1.01, calibration_offset_w=2.0,
    )  # fmt: skip

    def samples(start_s: int, end_s: int) -> tuple[Sample, ...]:
        found = []
        for t_ns in range(start_s * second, end_s * second, second // 10):
            lost = t_ns % (3 * second) == 0
            found.append(
                Sample(
                    t_ns=t_ns,
                    power_w=600.0 + t_ns % 7,
                    counter_j=t_ns / 1e9 * 600,
                    temperature_c=61.0,
                    sm_clock_mhz=1700.0,
                    mem_clock_mhz=2600.0,
                    throttle=("sw_power_cap",),
                    throttle_ns=(("hw_thermal", t_ns // 1000),),
                    missing=lost,
                    error="lost" if lost else None,
                )
            )
        return tuple(found)

    with storage.create(folder, "a") as results:
        number = results.sensor(sensor, CardState(power_limit_w=700.0), Device("cuda", 0, "Example GPU A"))
        results.idle("before", 1 * second, 3 * second, samples(0, 4), sensor=number)
        for row, start_s in enumerate((5, 8), 1):
            window = Window(start_s * second, (start_s + 2) * second, 4, 2.0**34)
            record = factory.sha256d(repeat=row, shares_expected=4.0, shares_found=1)
            share = Share(f"{row:02x}" * 76 + "07000000", 7)
            audit = Audit(ok=True, share_bits=32, shares_expected=4.0, shares_found=1, shares=(share,))
            results.append(record, window=window, samples=samples(start_s - 1, start_s + 3), audit=audit, sensor=number)
        results.note("warm-up", {"rates": [0.1, 0.2]})
    return results.sidecar
