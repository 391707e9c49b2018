"""Coverage of the reported ±, in simulated time: sensor class × load × window. Prints the table of docs/method.md.

    python -m tests.support.energy_coverage            # print it (some minutes)
    python -m tests.support.energy_coverage --write    # put it into docs/method.md

Every figure follows from seeds. The load runs from before the window (warm-up, then a pause of up to 0.15 s as the
runner makes it) until the window's end, and is idle afterwards: the harness's own pattern.

The method's constants were chosen on ``draw(…)``. The table is made by ``draw(…, held_out=True)``: other seeds, and
other ranges of update periods, apertures, jitter, facts that the probe gets slightly wrong, and loads of other depths,
speeds and shapes.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

from bench.power.energy import measure
from bench.power.sampler import POLL_S
from tests.fakes.nvml.truth import Curve
from tests.fakes.sensor import FakeSensor
from tests.support.draws import Draw, naive_counter_j, naive_power_j
from tests.support.paths import ROOT

DRAWS = 40
WINDOWS_S = (1.0, 5.0, 10.0, 30.0)
IDLE_W = 70.0
BEFORE_S = 4.0
DOCUMENT = ROOT / "docs" / "method.md"
BEGIN, END = "<!-- coverage table -->", "<!-- end of coverage table -->"


@dataclass(frozen=True)
class JobCurve:
    """True power of a job: an envelope, and a texture of zero or more watts that exists only while the job runs."""

    envelope: Curve
    texture: Curve
    runs: tuple[tuple[float, float], ...]

    def energy_j(self, start: float, end: float) -> float:
        """True joules of [start, end]."""
        spans = [(max(start, low), min(end, high)) for low, high in self.runs]
        texture_j = math.fsum(self.texture.energy_j(low, high) for low, high in spans if high > low)
        return self.envelope.energy_j(start, end) + texture_j


@dataclass(frozen=True)
class SensorClass:
    """One kind of sensor: the fake's settings, and facts that the probe would know besides."""

    name: str
    settings: dict[str, object]
    facts: dict[str, object]


SENSORS = (
    SensorClass("instant 25 of 100 ms, true counter", {"aperture": 0.025}, {}),
    SensorClass("instant 25 of 100 ms, counter of readings", {"aperture": 0.025, "counter_part_time": True}, {}),
    SensorClass("instant 25 of 100 ms, no counter", {"aperture": 0.025, "counter": False}, {}),
    SensorClass("instant 100 of 100 ms, counter 20 ms", {"aperture": 0.1, "counter_period": 0.02}, {}),
    SensorClass("instant 100 of 100 ms, no counter", {"aperture": 0.1, "counter": False}, {}),
    SensorClass("1 s average, counter 100 ms", {"aperture": 0.1, "averaging": 1.0}, {}),
    SensorClass("1 s average, no counter", {"aperture": 0.1, "averaging": 1.0, "counter": False}, {}),
    SensorClass("10 of 20 ms, no counter", {"period": 0.02, "aperture": 0.01, "counter": False}, {}),
    SensorClass(
        "whole watts, 3 W noise, no counter",
        {"aperture": 0.1, "resolution": 1.0, "sensor_noise": 3.0, "counter": False},
        {},
    ),
    SensorClass("counter only, 1 ms", {"power": False, "counter_period": 0.001, "aperture": 0.1}, {}),
    SensorClass("counter only, 100 ms", {"power": False, "counter_period": 0.1, "aperture": 0.1}, {}),
)


def steady(curve: Curve, watts: float, chance: random.Random) -> Curve:
    return replace(curve, noise_w=0.01 * watts, noise_cell=0.02, noise_seed=chance.randrange(1 << 30))


def noisy(curve: Curve, watts: float, chance: random.Random) -> Curve:
    return replace(curve, noise_w=0.12 * watts, noise_cell=0.005, noise_seed=chance.randrange(1 << 30))


def restless(curve: Curve, watts: float, chance: random.Random) -> Curve:
    """Slow wandering: power that changes every 0.4 s."""
    return replace(curve, noise_w=0.06 * watts, noise_cell=0.4, noise_seed=chance.randrange(1 << 30))


def square(low_s: float, high_s: float) -> Callable[[Curve, float, random.Random], Curve]:
    def make(curve: Curve, watts: float, chance: random.Random) -> Curve:
        period = math.exp(chance.uniform(math.log(low_s), math.log(high_s)))
        share = chance.uniform(0.3, 0.7)
        return replace(
            curve, square_period=period, square_duty=share, square_high=-0.3 * watts, square_phase=chance.uniform(0, 9)
        )

    return make


def beat(curve: Curve, watts: float, chance: random.Random) -> Curve:
    """A square load 0.5 to 6% off the 10 Hz of many sensors."""
    period = 0.1 * (1 + chance.choice((-1, 1)) * chance.uniform(0.005, 0.06))
    return replace(
        curve, square_period=period, square_duty=chance.uniform(0.3, 0.7), square_high=-0.3 * watts,
        square_phase=chance.uniform(0, 9), noise_w=0.01 * watts, noise_cell=0.02, noise_seed=chance.randrange(1 << 30),
    )  # fmt: skip


LOADS: dict[str, Callable[[Curve, float, random.Random], Curve]] = {
    "steady": steady,
    "noisy": noisy,
    "wandering": restless,
    "pulses 5–40 ms": square(0.005, 0.04),
    "pulses 0.15–2 s": square(0.15, 2.0),
    "one step": steady,
    "drift 3%": steady,
    "beat near 10 Hz": beat,
}


@dataclass(frozen=True)
class Setting:
    """How far one draw departs from the nominal sensor and load; by default not at all."""

    slower: float
    """Update periods, as a multiple of the nominal ones."""
    aperture: float = 1.0
    depth: float = 1.0
    """Texture of the load, as a multiple."""
    speed: float = 1.0
    """Times of that texture, as a multiple."""
    jitter: float = 0.0
    probed: float = 1.0
    """Period as the probe found it, as a multiple of the true one."""
    poll_s: float = POLL_S
    bends: bool = False
    """Power approaches its level exponentially, as clocks and temperature settle."""


def held_out_setting(chance: random.Random) -> Setting:
    return Setting(
        slower=chance.uniform(0.82, 1.25),
        aperture=chance.uniform(0.7, 1.2),
        depth=math.exp(chance.uniform(math.log(0.3), math.log(1.8))),
        speed=math.exp(chance.uniform(math.log(0.5), math.log(2.0))),
        jitter=chance.choice((0.0, 0.0002, 0.001)),
        probed=chance.uniform(0.99, 1.01),
        poll_s=chance.choice((0.05, POLL_S, 0.07)),
        bends=chance.random() < 0.3,
    )


def textured(load: str, watts: float, setting: Setting, period: float, chance: random.Random) -> Curve:
    made = LOADS[load](Curve(points=((0.0, 0.0),)), watts, chance)
    speed = 1.0 if load.startswith("beat") else setting.speed
    near = period / 0.1 if load.startswith("beat") and period > 0.05 else 1.0  # near this sensor's own period
    return replace(
        made,
        noise_w=made.noise_w * setting.depth,
        noise_cell=made.noise_cell * speed,
        square_high=max(-0.7 * watts, made.square_high * setting.depth),
        square_period=made.square_period * speed * near,
    )


def draw(sensor: SensorClass, load: str, window_s: float, seed: int, *, held_out: bool = False) -> Draw:
    chance = random.Random(f"{sensor.name} {load} {window_s} {seed}{' held out 2' if held_out else ''}")
    start = BEFORE_S + chance.random()
    end = start + window_s * chance.uniform(1.0, 1.08)
    pause = chance.choice((0.0, 0.02, 0.15))
    watts = chance.uniform(150, 600)
    paused_w = IDLE_W if pause > 0.1 else 0.5 * watts
    last_w = watts * (1.03 if load == "drift 3%" else 1.0)
    points = [(0.0, IDLE_W), (start - 3, IDLE_W), (start - 3, watts), (start - pause, watts), (start - pause, paused_w)]
    points += [(start, paused_w), (start, watts)]
    # no two specimens keep the same period, and none keeps step with the sampler
    setting = held_out_setting(chance) if held_out else Setting(slower=chance.uniform(0.98, 1.03))
    if load == "one step":
        middle = chance.uniform(start, end)
        last_w = watts * chance.uniform(0.7, 1.2)
        points += [(middle, watts), (middle, last_w)]
    elif setting.bends:
        times = [start + (end - start) * part / 20 for part in range(1, 20)]
        points += [(t, last_w + (watts - last_w - 0.04 * watts) * math.exp((start - t) / 2)) for t in times]
    points += [(end, last_w), (end, IDLE_W + 30), (end + 0.3, IDLE_W)]
    period = float(str(sensor.settings.get("period", 0.1))) * setting.slower
    counter_period = float(str(sensor.settings.get("counter_period", 0.1))) * setting.slower
    texture = textured(load, watts, setting, period, chance)
    curve = JobCurve(Curve(points=tuple(points)), texture, ((start - 3, start - pause), (start, end)))
    fake = FakeSensor(
        curve,  # type: ignore[arg-type]
        seed=seed,
        **{  # type: ignore[arg-type]
            "phase": chance.uniform(0, period),
            "counter_phase": chance.uniform(0, counter_period),
            "sensor_noise": 0.3,
            **sensor.settings,
            "period": period,
            "counter_period": counter_period,
            "aperture": min(period, float(str(sensor.settings["aperture"])) * setting.slower * setting.aperture),
            "jitter": min(setting.jitter, 0.1 * counter_period),
        },
    )
    return Draw(fake, start, end, setting.poll_s, probed=setting.probed, seed=seed)


@dataclass(frozen=True)
class Cell:
    """One sensor class under one load in windows of one length. Errors relative."""

    sensor: str
    load: str
    window_s: float
    held: tuple[bool, ...]
    errors: tuple[float, ...]
    reported: tuple[float, ...]
    naive: tuple[float, ...]


def evaluate(sensor: SensorClass, load: str, window_s: float, draws: int = DRAWS) -> Cell:
    held, errors, reported, naive = [], [], [], []
    for seed in range(1, draws + 1):
        drawn = draw(sensor, load, window_s, seed, held_out=True)
        samples = drawn.samples()
        energy = measure(samples, drawn.window, drawn.sensor(**sensor.facts))
        assert energy.joules is not None, (sensor.name, load, window_s, seed, energy)
        assert energy.uncertainty_j is not None
        true_j = drawn.through_sensor_j
        held.append(abs(energy.joules - true_j) <= energy.uncertainty_j + 1e-9 * true_j)
        errors.append(abs(energy.joules / true_j - 1))
        reported.append(energy.uncertainty_j / true_j)
        plain = naive_power_j(samples, drawn.window) if drawn.fake.power else naive_counter_j(samples, drawn.window)
        naive.append(abs((plain or 0.0) / true_j - 1))
    return Cell(sensor.name, load, window_s, tuple(held), tuple(errors), tuple(reported), tuple(naive))


def _job(job: tuple[SensorClass, str, float, int]) -> Cell:
    return evaluate(*job)


def cells(
    draws: int = DRAWS, sensors: Sequence[SensorClass] = SENSORS, loads: Sequence[str] = tuple(LOADS)
) -> list[Cell]:
    jobs = [(sensor, load, window_s, draws) for sensor in sensors for load in loads for window_s in WINDOWS_S]
    with ProcessPoolExecutor(2) as pool:
        return list(pool.map(_job, jobs, chunksize=4))


def pooled(found: Sequence[Cell]) -> Cell:
    def joined(name: str) -> tuple[float, ...]:
        return tuple(value for cell in found for value in getattr(cell, name))

    first = found[0]
    held = tuple(one for cell in found for one in cell.held)
    return Cell(first.sensor, "all", first.window_s, held, joined("errors"), joined("reported"), joined("naive"))


def table(found: Sequence[Cell]) -> str:
    """Two Markdown tables: each sensor class over all loads but the beat, and the share held by load."""
    heads = " | ".join(f"{window_s:g} s" for window_s in WINDOWS_S)
    rule = "|---|" + "---|" * len(WINDOWS_S)
    lines = ["Held, and median error / ± / naive error in per cent:", "", f"| sensor | {heads} |", rule]
    for sensor in SENSORS:
        row = []
        for window_s in WINDOWS_S:
            mine = [cell for cell in found if cell.sensor == sensor.name and cell.window_s == window_s]
            cell = pooled([cell for cell in mine if not cell.load.startswith("beat")])
            figures = [100 * statistics.median(values) for values in (cell.errors, cell.reported, cell.naive)]
            row.append(f"{100 * statistics.mean(cell.held):.0f}%, " + " / ".join(f"{value:.2g}" for value in figures))
        lines.append(f"| {sensor.name} | {' | '.join(row)} |")
    lines += ["", f"Held in windows of {heads.replace(' |', ',')}, in per cent:", ""]
    lines += [f"| sensor | {' | '.join(LOADS)} |", "|---|" + "---|" * len(LOADS)]
    for sensor in SENSORS:
        row = []
        for load in LOADS:
            mine = [cell for cell in found if cell.sensor == sensor.name and cell.load == load]
            row.append(" ".join(f"{100 * statistics.mean(cell.held):.0f}" for cell in mine))
        lines.append(f"| {sensor.name} | {' | '.join(row)} |")
    return "\n".join(lines)


def main() -> None:
    text = table(cells())
    if "--write" in sys.argv:
        before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        DOCUMENT.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
