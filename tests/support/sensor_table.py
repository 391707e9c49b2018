"""Naive against measured error for ten sensor models: prints the table of docs/method.md.

    python -m tests.support.sensor_table            # print it
    python -m tests.support.sensor_table --write    # put it into docs/method.md

Each sensor measures the same windows of the same loads, in simulated time; every figure follows from seeds.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bench.model import Sample, Sensor
from bench.power.energy import measure
from bench.power.sampler import POLL_S
from tests.fakes.nvml.truth import Curve
from tests.fakes.sensor import FakeSensor
from tests.support.draws import Draw, naive_counter_j, naive_power_j
from tests.support.paths import ROOT

WINDOWS = 60
IDLE_W = 60.0
DOCUMENT = ROOT / "docs" / "method.md"
BEGIN, END = "<!-- sensor table -->", "<!-- end of sensor table -->"


@dataclass(frozen=True)
class Model:
    """One sensor: how it is told in the table, and the fake's settings. ``facts`` go to the probed sensor."""

    name: str
    build: Callable[[Curve, int], FakeSensor]
    facts: dict[str, object]


def sensor(**settings: object) -> Callable[[Curve, int], FakeSensor]:
    def build(curve: Curve, seed: int) -> FakeSensor:
        chance = random.Random(seed)
        period = float(str(settings.get("period", 0.1)))
        phases = {"phase": chance.uniform(0, period), "counter_phase": chance.uniform(0, 0.02), "sensor_noise": 0.1}
        return FakeSensor(curve, seed=seed, **{**phases, **settings})  # type: ignore[arg-type]

    return build


GAIN = {"gain_uncertainty": 0.08, "offset_uncertainty_w": 12.0}
CALIBRATED = {
    "calibration_gain": 1.044,
    "calibration_offset_w": -22.6,
    "gain_uncertainty": 0.005,
    "offset_uncertainty_w": 1.0,
}

MODELS = (
    Model("instant, samples 25 of 100 ms; true counter", sensor(aperture=0.025), {}),
    Model("the same; counter sums the readings", sensor(aperture=0.025, counter_part_time=True), {}),
    Model("the same; no counter", sensor(aperture=0.025, counter=False), {}),
    Model("1 s average; true counter, 20 ms", sensor(aperture=0.1, averaging=1.0, counter_period=0.02), {}),
    Model("1 s average; no counter", sensor(aperture=0.1, averaging=1.0, counter=False), {}),
    Model("samples 10 of 20 ms; no counter", sensor(period=0.02, aperture=0.01, counter=False), {}),
    Model(
        "whole watts, 3 W noise; no counter", sensor(aperture=0.1, resolution=1.0, sensor_noise=3.0, counter=False), {}
    ),
    Model("counter only, 1 ms (RAPL)", sensor(power=False, counter_period=0.001, aperture=0.1), {}),
    Model("gain 1.044, offset −22.6 W", sensor(aperture=0.1, gain=1.044, offset=-22.6), GAIN),
    Model("the same, calibrated", sensor(aperture=0.1, gain=1.044, offset=-22.6), CALIBRATED),
)


def load(seed: int) -> tuple[Curve, float, float]:
    """A job that begins from idle a little before its window or long before it, and ends with it; 2 to 10 s."""
    chance = random.Random(seed)
    start = 5 + chance.random()
    end = start + math.exp(chance.uniform(math.log(2), math.log(10)))
    begin = start - chance.choice((0.05, 2.4))
    watts = chance.uniform(150, 600)
    later_w = watts * chance.choice((1.0, 1.0, chance.uniform(0.7, 1.3)))
    middle = chance.uniform(start, end)
    points = ((0.0, IDLE_W), (begin, IDLE_W), (begin, watts), (middle, watts), (middle, later_w), (end, later_w))
    curve = Curve(points=(*points, (end, IDLE_W)))
    kind = chance.choice(("steady", "noisy", "square"))
    if kind == "noisy":
        curve = replace(curve, noise_w=0.1 * watts, noise_cell=0.005, noise_seed=seed)
    if kind == "square":
        period = math.exp(chance.uniform(math.log(0.02), math.log(1.0)))
        curve = replace(curve, square_period=period, square_high=0.3 * watts, square_phase=chance.uniform(0, 1))
    return curve, start, end


@dataclass(frozen=True)
class Row:
    name: str
    naive_power: list[float]
    naive_counter: list[float]
    ours: list[float]
    reported: list[float]
    within: float


def evaluate(model: Model) -> Row:
    naive_power, naive_counter, ours, reported, within = [], [], [], [], []
    for seed in range(1, WINDOWS + 1):
        curve, start, end = load(seed)
        draw = Draw(model.build(curve, seed), start, end, POLL_S, seed=seed)
        samples: Sequence[Sample] = draw.samples()
        probed: Sensor = draw.fake.sensor(POLL_S, **model.facts)
        energy = measure(samples, draw.window, probed)
        assert energy.joules is not None
        assert energy.uncertainty_j is not None
        true_j = draw.true_j
        ours.append(abs(energy.joules / true_j - 1))
        half_j = math.hypot(energy.uncertainty_j, energy.sensor_uncertainty_j or 0.0)
        reported.append(half_j / true_j)
        within.append(abs(energy.joules - true_j) <= half_j + 1e-9 * true_j)
        if draw.fake.power:
            naive_power.append(abs(naive_power_j(samples, draw.window) / true_j - 1))
        counted = naive_counter_j(samples, draw.window)
        if counted is not None:
            naive_counter.append(abs(counted / true_j - 1))
    return Row(model.name, naive_power, naive_counter, ours, reported, statistics.mean(within))


def pair(errors: list[float]) -> str:
    """Median and worst of twenty."""
    if not errors:
        return "–"
    ordered = sorted(errors)
    return f"{100 * statistics.median(ordered):.2f} / {100 * ordered[math.ceil(0.95 * len(ordered)) - 1]:.1f}"


def table() -> str:
    lines = [
        "| sensor | naive: readings | naive: counter | bitwatt | reported ± | held |",
        "|---|---|---|---|---|---|",
    ]
    for model in MODELS:
        row = evaluate(model)
        cells = [
            row.name,
            pair(row.naive_power),
            pair(row.naive_counter),
            pair(row.ours),
            pair(row.reported),
            f"{100 * row.within:.0f}%",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def written(text: str, found: str) -> str:
    """The document with the table between its marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{found}\n{END}{after}"


def main() -> None:
    found = table()
    if "--write" in sys.argv:
        DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8"), found), encoding="utf-8")
    else:
        print(found)


if __name__ == "__main__":
    main()
