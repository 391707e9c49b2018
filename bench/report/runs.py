"""A run as its sidecar has it: windows named by their CSV's rows, idle stretches, and samples. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.model import Sample
from bench.model.sidecar import SIDECAR_SUFFIX, Sidecar
from bench.report.entries import task_label

if TYPE_CHECKING:
    import pandas as pd

IDLE = "gpu_idle"
"""A throttle reason that says nothing about a load, and is left out."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """One measured window as the figure and its table show it."""

    row: int
    task: str
    card: str
    unit: str
    start_s: float
    end_s: float
    rate_per_s: float
    power_limit_w: float | None
    valid: bool
    throttle: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """One sidecar, with its windows named by its CSV's rows."""

    name: str
    stretches: tuple[Stretch, ...]
    idles: tuple[tuple[float, float], ...]
    samples: tuple[tuple[float, Sample], ...]


def runs(frame: pd.DataFrame, sidecars: Sequence[Sidecar]) -> list[Run]:
    """Sidecars as runs. A window whose row is not in ``frame`` is left out."""
    wanted = {str(item.path).removesuffix(SIDECAR_SUFFIX) + ".csv": item for item in sidecars}
    names = ("workload", "phase", "shape", "product", "dtype", "batch", "seq", "device_name", "work_unit")
    columns = ["file", "line", "rate_per_s", "power_limit_w", "valid", *names]
    rows = frame.loc[frame["file"].astype(str).isin(list(wanted)), columns].astype(object)
    table: dict[str, dict[int, dict[str, Any]]] = {}
    for item in rows.where(rows.notna(), None).to_dict("records"):
        table.setdefault(str(item["file"]), {})[int(item["line"])] = {str(name): item[name] for name in item}
    return [_run(Path(file).name, item, table.get(file, {})) for file, item in wanted.items() if item.windows]


def _run(name: str, sidecar: Sidecar, rows: Mapping[int, Mapping[str, Any]]) -> Run:
    windows = [note for note in sidecar.windows if note.row + 1 in rows]
    begins = [note.window.start_ns for note in windows] + [idle.start_ns for idle in sidecar.idles]
    zero = min(begins, default=0)

    def seconds(t_ns: int) -> float:
        return (t_ns - zero) / 1e9

    stretches = []
    samples: dict[int, Sample] = {}
    for note in windows:
        row = rows[note.row + 1]
        inside = [sample for sample in note.samples if note.window.start_ns <= sample.t_ns <= note.window.end_ns]
        stretches.append(
            Stretch(
                row=note.row,
                task=task_label(row),
                card=str(row["device_name"]),
                unit=str(row["work_unit"]),
                start_s=seconds(note.window.start_ns),
                end_s=seconds(note.window.end_ns),
                rate_per_s=float(row["rate_per_s"]),
                power_limit_w=row["power_limit_w"],
                valid=bool(row["valid"]),
                throttle=tuple(dict.fromkeys(why for sample in inside for why in sample.throttle if why != IDLE)),
            )
        )
        samples.update((sample.t_ns, sample) for sample in note.samples)
    for idle in sidecar.idles:
        samples.update((sample.t_ns, sample) for sample in idle.samples)
    return Run(
        name=name,
        stretches=tuple(stretches),
        idles=tuple((seconds(idle.start_ns), seconds(idle.end_ns)) for idle in sidecar.idles),
        samples=tuple((seconds(t_ns), samples[t_ns]) for t_ns in sorted(samples)),
    )


def medians(run: Run) -> dict[tuple[str, str], float]:
    """(card, task) → median of its windows' rates."""
    by_task: dict[tuple[str, str], list[float]] = {}
    for item in run.stretches:
        by_task.setdefault((item.card, item.task), []).append(item.rate_per_s)
    return {where: statistics.median(values) for where, values in by_task.items()}
