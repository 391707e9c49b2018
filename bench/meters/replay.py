"""A recorded sidecar in place of a sensor: its samples, laid end to end, tell the watts of a run of today.

For trying a workload, a plot or a change of method against power that was really seen. Rows carry ``replay``.
"""

from __future__ import annotations

import bisect
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.model import BenchError, CardState, Sample, Sensor

GAP_POLLS = 5
"""A recording keeps what lies around windows only; a longer gap than this many polls is closed up."""


def _sample(item: dict[str, Any]) -> Sample:
    throttle_ns = tuple((str(name), int(ns)) for name, ns in item.get("throttle_ns", ()))
    return Sample(**{**item, "throttle": tuple(item.get("throttle", ())), "throttle_ns": throttle_ns})


def read_recording(path: Path) -> tuple[Sensor, list[Sample]]:
    """The first sensor of a sidecar and all samples seen through it, oldest first, each once.

    Raises:
        BenchError: the file cannot be read, is no sidecar, or holds no samples.
    """
    fix = "give a *.samples.jsonl file that a metered run wrote"
    sensor: Sensor | None = None
    samples: dict[int, Sample] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"cannot read the recording {path} ({error})", fix) from None
    for number, line in enumerate(lines, start=1):
        try:
            item = json.loads(line)
            if item["kind"] == "sensor" and sensor is None:
                sensor = Sensor(**item["sensor"])
                first = item["number"]
            if item["kind"] in ("idle", "window") and sensor is not None and item.get("sensor") == first:
                samples |= {entry["t_ns"]: _sample(entry) for entry in item["samples"]}
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                break  # a run that was killed leaves half a line
            raise BenchError(f"{path}:{number} is no line of a sidecar ({error})", fix) from None
    if sensor is None or not samples:
        raise BenchError(f"{path} holds no samples of a sensor", fix)
    return sensor, [samples[t_ns] for t_ns in sorted(samples)]


def closed_up(samples: Sequence[Sample], poll_s: float) -> list[Sample]:
    """The samples from time 0 on, long gaps closed to one poll; a counter goes on from where it was."""
    poll_ns = round(poll_s * 1e9)
    found: list[Sample] = []
    shift_ns, shift_j = samples[0].t_ns, 0.0
    last_j: float | None = None
    for before, sample in zip([samples[0], *samples], samples, strict=False):
        gap_ns = sample.t_ns - before.t_ns
        if gap_ns > GAP_POLLS * poll_ns:
            shift_ns += gap_ns - poll_ns
            if sample.counter_j is not None and last_j is not None:
                shift_j += sample.counter_j - last_j - (sample.power_w or 0.0) * poll_s
        if sample.counter_j is not None:
            last_j = sample.counter_j
        counter_j = None if sample.counter_j is None else sample.counter_j - shift_j
        found.append(replace(sample, t_ns=sample.t_ns - shift_ns, counter_j=counter_j))
    return found


class ReplayMeter:
    """A :class:`~bench.model.Meter` over a recording, which begins at ``start`` and begins anew at its end."""

    def __init__(self, path: Path) -> None:
        sensor, samples = read_recording(path)
        self.sensor = replace(sensor, source="replay", note=f"power was replayed from {path.name}")
        self._poll_s = sensor.poll_s or 0.05
        self._once = closed_up(samples, self._poll_s)
        self._span_ns = self._once[-1].t_ns + round(self._poll_s * 1e9)
        counters = [sample.counter_j for sample in self._once if sample.counter_j is not None]
        self._span_j = counters[-1] - counters[0] + (self._once[-1].power_w or 0.0) * self._poll_s if counters else 0.0
        self._start_ns: int | None = None

    def _between(self, first_ns: int, last_ns: int) -> Iterator[Sample]:
        assert self._start_ns is not None  # noqa: S101 (the callers see to it)
        lap = max(0, (first_ns - self._start_ns) // self._span_ns)
        times = [sample.t_ns for sample in self._once]
        while True:
            begin_ns = self._start_ns + lap * self._span_ns
            if begin_ns > last_ns:
                return
            for sample in self._once[bisect.bisect_left(times, first_ns - begin_ns) :]:
                if begin_ns + sample.t_ns > last_ns:
                    return
                counter_j = None if sample.counter_j is None else sample.counter_j + lap * self._span_j
                yield replace(sample, t_ns=begin_ns + sample.t_ns, counter_j=counter_j)
            lap += 1

    def card_state(self) -> CardState:
        return CardState()

    def start(self) -> None:
        self._start_ns = time.monotonic_ns()

    def latest(self) -> Sample | None:
        if self._start_ns is None:
            return None
        now_ns = time.monotonic_ns()
        newest: Sample | None = None
        for sample in self._between(now_ns - GAP_POLLS * round(self._poll_s * 1e9), now_ns):
            newest = sample
        return newest

    def samples(self, start_ns: int, end_ns: int) -> tuple[Sample, ...]:
        if self._start_ns is None:
            return ()
        around_ns = round((self.sensor.lag_s + 1.5 * (self.sensor.counter_period_s or 0.0) + 2 * self._poll_s) * 1e9)
        return tuple(self._between(start_ns - 2 * around_ns, end_ns + around_ns))

    def close(self) -> None:
        """Nothing is held open."""
