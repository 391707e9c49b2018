"""Every figure of the energy method for a dozen sensors, in simulated time. Run as a program, it writes them again:

python -m tests.support.energy_figures

Old sidecars must give the same figures (``bitwatt recompute``) as long as :data:`bench.model.METHOD_VERSION` is the
same: whoever changes a figure raises it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from bench.model import METHOD_VERSION, Window
from bench.power.energy import idle_power, measure
from tests.fakes.nvml.truth import Curve
from tests.fakes.sensor import FakeSensor
from tests.support.paths import DATA

FILE = DATA / "energy_figures.json"

STEP = Curve(points=((0.0, 150.0), (7.5, 150.0), (7.5, 450.0)), noise_w=20.0, noise_cell=0.004, noise_seed=7)
RAMP = Curve(points=((0.0, 100.0), (20.0, 500.0)))
THROTTLED = ((4.0, 5.5, "hw_thermal"), (2.0, 9.0, "sw_power_cap"))

SENSORS: dict[str, tuple[FakeSensor, dict[str, Any]]] = {
    "counter": (FakeSensor(STEP), {"gain_uncertainty": 0.05}),
    "coarse counter": (FakeSensor(STEP, counter_period=0.4, counter_resolution=1.0), {"offset_uncertainty_w": 5.0}),
    "counter alone": (FakeSensor(RAMP, power=False), {}),
    "counter that sums readings": (FakeSensor(STEP, counter_part_time=True, sensor_noise=5.0), {}),
    "readings of a quarter": (FakeSensor(STEP, counter=False), {"gain_uncertainty": 0.05, "offset_uncertainty_w": 5.0}),
    "whole readings": (FakeSensor(RAMP, counter=False, aperture=0.1, resolution=1.0), {}),
    "averages of a second": (FakeSensor(STEP, counter=False, averaging=1.0, aperture=0.1), {}),
    "slow readings": (FakeSensor(STEP, counter=False, period=1.0, aperture=1.0), {}),
    "calibrated": (FakeSensor(RAMP, gain=1.02, offset=-3.0), {"calibration_gain": 1.02, "calibration_offset_w": -3.0}),
    "failed reads": (FakeSensor(STEP, counter=False, fails=((6.0, 6.3), (9.0, 9.06))), {}),
    "most reads failed": (FakeSensor(STEP, fails=((7.0, 9.0),)), {}),
    "lost card": (FakeSensor(STEP, lost_at=7.5), {}),
    "reset counter": (FakeSensor(STEP, reset_at=7.5), {}),
    "frozen counter alone": (FakeSensor(STEP, frozen_at=5.0, power=False), {}),
    "frozen counter": (FakeSensor(STEP, frozen_at=5.0), {}),
    "frozen reading": (FakeSensor(STEP, stuck=((4.0, 8.0, 333.0),)), {}),
    "throttled": (FakeSensor(STEP, throttled=THROTTLED), {}),
    "readings that disagree with the counter": (FakeSensor(STEP, stuck=((4.0, 5.5, 900.0),)), {}),
}
WINDOWS = {"long": (3.0137, 13.0471), "short": (7.013, 7.847), "shorter than an update": (7.46, 7.53)}


def figures() -> dict[str, Any]:
    """Sensor and window → every field of its energy, and the idle power of the same stretch."""
    found: dict[str, Any] = {"method_version": METHOD_VERSION}
    for name, (fake, facts) in SENSORS.items():
        for length, (start, end) in WINDOWS.items():
            samples, sensor = fake.poll(start - 2.0, end + 2.0), fake.sensor(**facts)
            window = Window(round(start * 1e9), round(end * 1e9), launches=1, work=1.0)
            idle = idle_power(samples, window.start_ns, window.end_ns, sensor)
            found[f"{name}, {length}"] = json.loads(
                json.dumps({**asdict(measure(samples, window, sensor)), "idle": idle})
            )
    return found


if __name__ == "__main__":
    FILE.write_text(json.dumps(figures(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
