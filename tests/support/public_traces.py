"""Public traces: readings of NVIDIA cards beside a power module's (PMD) watts, as windows of this project's meter.

    python -m tests.support.public_traces            # print the table of docs/method.md
    python -m tests.support.public_traces --write    # put it into docs/method.md
    python -m tests.support.public_traces --extract FOLDER    # make tests/data/pmd_traces.json.gz from the originals

Source: github.com/JimZeyuYang/GPU_Power_Benchmark, plotting/data (MIT licence, Copyright (c) 2023 Zeyu Yang; the
licence is in the extract). The extract holds means of the module's 4.9 kHz watts over 5 ms, and each change of a
``power.draw`` field with its time. FOLDER is ``plotting/data`` of a checkout. In the originals nvidia-smi's clock is an
hour ahead, and the module's data begin 50 ms before their stated start, as the authors' own script has it.
"""

from __future__ import annotations

import bisect
import csv
import gzip
import json
import math
import random
import statistics
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path

from bench.data import cards
from bench.model import Sample, Sensor, Window
from bench.power.energy import measure
from bench.power.sampler import POLL_S
from tests.support.paths import ROOT

EXTRACT = ROOT / "tests" / "data" / "pmd_traces.json.gz"
DOCUMENT = ROOT / "docs" / "method.md"
BEGIN, END = "<!-- trace table -->", "<!-- end of trace table -->"
CELL_S = 0.005
WINDOW_S = 5.0
MARGIN_S = 1.3
"""Trace before and after a window."""
STRIDE_S = 0.1
DELAYS_S = tuple(0.005 * number for number in range(-2, 17))
CARDS = {
    "3090": ("5050/3090", "NVIDIA GeForce RTX 3090", "pulses"),
    "A100": ("5050/A100", "NVIDIA A100-PCIE-40GB", "pulses in step with the sensor"),
    "3090_TR": ("Transient_Response/3090_TR", "NVIDIA GeForce RTX 3090", "one load of 6 s"),
    "4090_TR": ("Transient_Response/4090_TR", "NVIDIA GeForce RTX 4090", "one load of 6 s"),
    "A100_TR": ("Transient_Response/A100_TR", "NVIDIA A100-PCIE-40GB", "one load of 6 s"),
    "A5000_TR": ("Transient_Response/A5000_TR", "NVIDIA RTX A5000", "one load of 6 s"),
    "K40m_TR": ("Transient_Response/K40m_TR", "Tesla K40m", "one load of 6 s"),
}
"""Folder, card, and load of each trace."""
APERTURES = {"A100": 0.025, "A100_TR": 0.025}
"""Seconds that a reading reports, where that is not 0.1."""
PERIODS = {"A100": 0.104, "A100_TR": 0.104, "K40m_TR": 0.1}


@dataclass(frozen=True)
class Trace:
    """One field of one trace. Seconds from the module's first sample."""

    name: str
    field: str
    joules: tuple[float, ...]
    """The module's energy at every CELL_S."""
    changes: tuple[tuple[float, float], ...]
    """(time, watts) of each change of the reading."""

    @property
    def sensor(self) -> Sensor:
        """What a probe would say of it: as the authors found it."""
        known = cards.sensor(CARDS[self.name][1])
        period_s = PERIODS.get(self.name, 0.1)
        averages = self.field == "usage" and self.name in ("3090", "3090_TR", "A5000_TR")
        return Sensor(
            source="nvml",
            scope="gpu",
            power_field="average" if averages else "instant",
            power_period_s=period_s,
            averaging_s=1.0 if averages else None,
            duty=1.0 if averages else APERTURES.get(self.name, 0.1) / period_s,
            gain_uncertainty=known.gain_uncertainty,
            offset_uncertainty_w=known.offset_uncertainty_w,
            poll_s=POLL_S,
        )

    def energy_j(self, start: float, end: float) -> float:
        """The module's joules of [start, end]."""
        low, high = (self._at(time) for time in (start, end))
        return high - low

    def _at(self, time: float) -> float:
        cell, rest = divmod(time / CELL_S, 1)
        index = min(int(cell), len(self.joules) - 2)
        return self.joules[index] + rest * (self.joules[index + 1] - self.joules[index])

    def polls(self, seed: int) -> list[Sample]:
        """The samples of this project's sampler."""
        times, watts = [time for time, _ in self.changes], [value for _, value in self.changes]
        chance = random.Random(seed)
        found, due = [], times[0] + chance.random() * POLL_S
        while due < min(times[-1] + 0.2, CELL_S * (len(self.joules) - 1)):
            time = due + min(chance.expovariate(1 / 0.0003), 0.02)
            found.append(Sample(round(max(0.0, time) * 1e9), watts[bisect.bisect_right(times, time) - 1]))
            due = max(due + POLL_S, time)
        return [sample for sample in found if sample.t_ns > 0]

    def windows(self) -> list[Window]:
        last = min(self.changes[-1][0], CELL_S * (len(self.joules) - 1)) - MARGIN_S - WINDOW_S
        first = max(0.0, self.changes[0][0]) + MARGIN_S
        starts = [first + STRIDE_S * number for number in range(max(0, int((last - first) / STRIDE_S)))]
        return [Window(round(s * 1e9), round((s + WINDOW_S) * 1e9), launches=1, work=1.0) for s in starts]


@cache
def traces() -> tuple[Trace, ...]:
    """Every field of the seven traces that differs from the others of its trace."""
    held = json.loads(gzip.decompress(EXTRACT.read_bytes()))
    found = []
    for name in CARDS:
        joules = tuple(accumulate((watts * 0.1 * CELL_S for watts in held[name]["watts_tenths"]), initial=0.0))
        for field, changes in held[name]["changes"].items():
            found.append(Trace(name, field, joules, tuple((ms / 1000, watts) for ms, watts in changes)))
    return tuple(found)


@dataclass(frozen=True)
class Fit:
    """reading = gain × true + offset, ``delay_s`` later."""

    gain: float
    offset_w: float
    delay_s: float
    residual_w: float
    """Standard deviation of what is left."""


@dataclass(frozen=True)
class Row:
    """One field of one trace, over all its windows. Errors relative."""

    trace: Trace
    fit: Fit
    raw_errors: tuple[float, ...]
    raw_held: float
    """Within the ± with the sensor's own uncertainty from the card table."""
    errors: tuple[float, ...]
    held: float
    """After the fit, within the ± from timing and sampling."""
    half_widths: tuple[float, ...]


def evaluate(trace: Trace) -> Row:
    fit = fitted(trace)
    calibrated = replace(
        trace.sensor, calibration_gain=fit.gain, calibration_offset_w=fit.offset_w, delay_s=fit.delay_s
    )
    raw, raw_held, errors, held, halves = [], [], [], [], []
    for number, window in enumerate(trace.windows()):
        samples = trace.polls(number)
        true_j = trace.energy_j(window.start_ns / 1e9, window.end_ns / 1e9)
        plain, fitted_one = measure(samples, window, trace.sensor), measure(samples, window, calibrated)
        assert plain.joules is not None
        assert fitted_one.joules is not None
        raw.append(plain.joules / true_j - 1)
        within_j = math.hypot(plain.uncertainty_j or 0.0, plain.sensor_uncertainty_j or 0.0)
        raw_held.append(abs(plain.joules - true_j) <= within_j)
        half_j = fitted_one.uncertainty_j or 0.0
        errors.append(fitted_one.joules / true_j - 1)
        held.append(abs(fitted_one.joules - true_j) <= half_j)
        halves.append(half_j / true_j)
    return Row(trace, fit, tuple(raw), statistics.mean(raw_held), tuple(errors), statistics.mean(held), tuple(halves))


def fitted(trace: Trace) -> Fit:
    """Gain and offset of reading = gain × true + offset, and the delay with which they fit best, by each update and the
    module's mean over what it reports.
    """
    sensor = trace.sensor
    span_s = sensor.averaging_s or (sensor.duty or 1.0) * (sensor.power_period_s or 0.1)
    end_s = CELL_S * (len(trace.joules) - 1)
    found = []
    for delay_s in DELAYS_S:
        updates = [(time - delay_s, watts) for time, watts in trace.changes if span_s + 0.1 < time < end_s]
        true_w = [trace.energy_j(time - span_s, time) / span_s for time, _ in updates]
        line = statistics.linear_regression(true_w, [watts for _, watts in updates])
        residuals = [y - line.slope * x - line.intercept for x, (_, y) in zip(true_w, updates, strict=True)]
        found.append(Fit(line.slope, line.intercept, delay_s, statistics.pstdev(residuals)))
    return min(found, key=lambda fit: fit.residual_w)


def table() -> str:
    lines = [
        "| trace | field | raw error | raw held | gain, offset, delay, residual | fitted: error | reported ± | held |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for trace in traces():
        row = evaluate(trace)
        fit = row.fit
        card, load = CARDS[trace.name][1:]
        raw, after, half = (
            100 * statistics.median(map(abs, values)) for values in (row.raw_errors, row.errors, row.half_widths)
        )
        lines.append(
            f"| {card}, {load} | {trace.sensor.power_field} | {raw:.1f}% | {100 * row.raw_held:.0f}% |"
            f" {fit.gain:.3f}, {fit.offset_w:+.1f} W, {1000 * fit.delay_s:.0f} ms, {fit.residual_w:.1f} W |"
            f" {after:.2f}% | {half:.2f}% | {100 * row.held:.0f}% |"
        )
    return "\n".join(lines)


# ---------------------------------------------------------------------------------------------------------------------
# the extract


def extract(folder: Path) -> None:
    held: dict[str, object] = {
        "source": "github.com/JimZeyuYang/GPU_Power_Benchmark, plotting/data; derived: means over 5 ms, changes only",
        "licence": (folder.parent.parent / "LICENSE").read_text(encoding="utf-8"),
    }
    for name, (path, _, _) in CARDS.items():
        held[name] = _extracted(folder / path)
    EXTRACT.write_bytes(gzip.compress(json.dumps(held, separators=(",", ":")).encode(), 9, mtime=0))


def _extracted(folder: Path) -> dict[str, object]:
    times, watts = _module(folder)
    joules = list(accumulate((w * (b - a) for w, (a, b) in zip(watts, pairwise(times), strict=False)), initial=0.0))
    origin = times[0]
    marks = [origin + CELL_S * number for number in range(int((times[-1] - origin) / CELL_S) + 1)]
    at = []
    for mark in marks:
        index = min(max(bisect.bisect_right(times, mark) - 1, 0), len(times) - 2)
        at.append(joules[index] + watts[index] * (mark - times[index]))
    tenths = [round((later - earlier) / CELL_S * 10) for earlier, later in pairwise(at)]
    return {"watts_tenths": tenths, "changes": _changes(folder / "gpudata.csv", origin)}


def _module(folder: Path) -> tuple[list[float], list[float]]:
    """Times (s since 1970) and watts, decoded as the authors' ``_convert_pmd_data`` does."""
    start = int((folder / "PMD_start_ts.txt").read_text().split()[0]) - 50_000
    times, watts, ticks, last = [], [], 0, None
    for stamp, *raw in struct.iter_unpack("<H8h", _whole((folder / "PMD_data.bin").read_bytes(), 18)):
        ticks += 0 if last is None else (stamp - last) % 65536
        last = stamp
        v1, i1, v2, i2, v3, i3, v4, i4 = (0 if value < 0 else value >> 4 for value in raw)
        times.append(start / 1e6 + ticks / 2934.5 / 1000)
        watts.append((v1 * i1 + v2 * i2 + v4 * i4) * 0.007568 * 0.0488 + v3 * i3 * 0.0075 * 0.0488)
    return times, watts


def _whole(data: bytes, size: int) -> bytes:
    return data[: len(data) // size * size]


def _changes(path: Path, origin: float) -> dict[str, list[tuple[int, float]]]:
    """Changes of ``power.draw`` and, where it differs, of ``power.draw.instant``: ms since ``origin``, watts."""
    rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    head = [name.strip() for name in rows[0]]
    found: dict[str, list[tuple[int, float]]] = {}
    for field, column in (("usage", "power.draw [W]"), ("instant", "power.draw.instant [W]")):
        if column not in head:
            continue
        changes: list[tuple[int, float]] = []
        for row in rows[1:]:
            if len(row) <= head.index(column):
                continue
            stamp = datetime.strptime(row[0].strip(), "%Y/%m/%d %H:%M:%S.%f").replace(tzinfo=UTC)
            value = float(row[head.index(column)])
            if not changes or value != changes[-1][1]:
                changes.append((round((stamp.timestamp() - 3600 - origin) * 1000), value))
        if [value for _, value in changes] != [value for _, value in found.get("usage", [])]:
            found[field] = changes
    return found


def main(arguments: Sequence[str]) -> None:
    if "--extract" in arguments:
        extract(Path(arguments[arguments.index("--extract") + 1]))
    elif "--write" in arguments:
        before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        DOCUMENT.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8")
    else:
        print(table())


if __name__ == "__main__":
    main(sys.argv[1:])
