"""A recorded sidecar in place of a sensor: its samples, end to end, supply the watts of a new run.

For trying a workload, a plot or a change of method on power that was really measured. Rows carry ``replay``.
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from bench.model import BenchError, CardState, Sample, Sensor
from bench.model.sidecar import IdleNote, WindowNote, decode

GAP_POLLS = 5
"""A recording holds only what surrounds its windows; gaps longer than this many polls are removed."""


def read_recording(path: Path) -> tuple[Sensor, list[Sample]]:
    """The first sensor of a sidecar and all its samples, oldest first, without duplicates.

    Raises:
        BenchError: the file cannot be read, is not a sidecar, or holds no samples.
    """
    fix = "give a *.samples.jsonl file that a metered run wrote"
    try:
        with path.open("rb") as stream:
            sidecar = decode(stream, path)
    except OSError as error:
        raise BenchError(f"cannot read the recording {path} ({error})", fix) from None
    notes: list[IdleNote | WindowNote] = [*sidecar.idles, *sidecar.windows]
    samples = {sample.t_ns: sample for note in notes if note.sensor == 0 for sample in note.samples}
    if not samples:
        raise BenchError(f"{path} holds no samples of a sensor", fix)
    return sidecar.sensors[0].sensor, [samples[t_ns] for t_ns in sorted(samples)]


@dataclass(frozen=True, slots=True)
class Recording:
    """Samples from time 0 on, without gaps, and the length and energy of one pass over them."""

    samples: tuple[Sample, ...]
    span_ns: int
    span_j: float
    """Joules by the counter; 0 without one."""


def without_gaps(samples: Sequence[Sample], poll_s: float) -> Recording:
    """The samples with their long gaps removed.

    A stretch with a counter is cut to whole updates, from one sample that first shows a new value to another, so that
    time and joules stay consistent where stretches meet.
    """
    poll_ns = round(poll_s * 1e9)
    found: list[Sample] = []
    at_ns, at_j = 0, 0.0
    for stretch in _stretches(samples, GAP_POLLS * poll_ns):
        counted = [sample for sample in stretch if sample.counter_j is not None]
        fresh = [later for earlier, later in pairwise(counted) if later.counter_j != earlier.counter_j]
        if len(fresh) >= 2:
            first, last = fresh[0], fresh[-1]
            kept = [sample for sample in stretch if first.t_ns <= sample.t_ns < last.t_ns]
            length_ns, length_j = last.t_ns - first.t_ns, (last.counter_j or 0.0) - (first.counter_j or 0.0)
        else:
            first, kept = stretch[0], stretch
            length_ns, length_j = stretch[-1].t_ns - stretch[0].t_ns + poll_ns, 0.0
        for sample in kept:
            moved_j = None if sample.counter_j is None else sample.counter_j - (first.counter_j or 0.0) + at_j
            found.append(replace(sample, t_ns=sample.t_ns - first.t_ns + at_ns, counter_j=moved_j))
        at_ns, at_j = at_ns + length_ns, at_j + length_j
    return Recording(tuple(found), at_ns, at_j)


def _stretches(samples: Sequence[Sample], gap_ns: int) -> list[list[Sample]]:
    found = [[samples[0]]]
    for before, sample in pairwise(samples):
        if sample.t_ns - before.t_ns > gap_ns:
            found.append([])
        found[-1].append(sample)
    return found


class ReplayMeter:
    """A :class:`~bench.model.Meter` over a recording, which starts at ``start`` and repeats when it ends."""

    def __init__(self, path: Path) -> None:
        sensor, samples = read_recording(path)
        self.sensor = replace(sensor, source="replay", note=f"power was replayed from {path.name}")
        self._poll_s = sensor.poll_s or 0.05
        self._recording = without_gaps(samples, self._poll_s)
        self._times = [sample.t_ns for sample in self._recording.samples]
        self._start_ns: int | None = None

    def _between(self, first_ns: int, last_ns: int) -> Iterator[Sample]:
        assert self._start_ns is not None  # noqa: S101 (every caller checks)
        passes = max(0, (first_ns - self._start_ns) // self._recording.span_ns)
        while True:
            begin_ns = self._start_ns + passes * self._recording.span_ns
            if begin_ns > last_ns:
                return
            for sample in self._recording.samples[bisect.bisect_left(self._times, first_ns - begin_ns) :]:
                if begin_ns + sample.t_ns > last_ns:
                    return
                counter_j = None if sample.counter_j is None else sample.counter_j + passes * self._recording.span_j
                yield replace(sample, t_ns=begin_ns + sample.t_ns, counter_j=counter_j)
            passes += 1

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
        around_ns = round(self.sensor.settle_s * 1e9)
        return tuple(self._between(start_ns - 2 * around_ns, end_ns + around_ns))

    def close(self) -> None:
        """Nothing is held open."""
