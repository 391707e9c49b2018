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
