"""Recomputes energy figures from a sidecar alone, and compares its CSV with them to the last digit."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from bench import storage
from bench.model import METHOD_VERSION, BenchError, Energy, Record, Window
from bench.model.sidecar import SIDECAR_SUFFIX, Sidecar
from bench.model.text import clean
from bench.power import energy

Value = float | int | str | None

COLUMNS = (
    "energy_j",
    "energy_method",
    "energy_scope",
    "energy_uncertainty_j",
    "sensor_uncertainty_j",
    "crosscheck_ratio",
    "sample_count",
    "samples_missing",
    "power_mean_w",
    "power_p95_w",
    "idle_power_w",
    "work_per_j",
    "net_work_per_j",
    "temperature_start_c",
    "temperature_end_c",
    "temperature_max_c",
    "sm_clock_mhz_mean",
    "mem_clock_mhz_mean",
    "throttle_reasons",
    "throttle_s",
)
"""Columns that follow from a sidecar alone. ``tokens_per_j`` follows from these and the row's own tokens."""


@dataclass(frozen=True, slots=True)
class Row:
    """The energy figures of one row (row 1 is at line 2 of the CSV)."""

    row: int
    columns: Mapping[str, Value]
    invalid_reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """A cell of the CSV that differs from what its sidecar gives."""

    line: int
    column: str
    written: Value
    recomputed: Value

    @property
    def message(self) -> str:
        return clean(f"{self.column} is {_shown(self.written)}, the sidecar gives {_shown(self.recomputed)}")

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


@dataclass(frozen=True, slots=True)
class Recomputation:
    """Every row of a sidecar; ``csv`` is None where its CSV is missing and nothing could be compared."""

    sidecar: Path
    csv: Path | None
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]


def recompute(path: Path) -> Recomputation:
    """Recompute the figures of a sidecar, or of the sidecar of a CSV.

    Raises:
        BenchError: there is no sidecar, it is damaged, the CSV cannot be read, or its rows were measured by another
            method than this version's.
    """
    if path.name.endswith(SIDECAR_SUFFIX):
        sidecar_path = path
        csv_path = path.with_name(path.name.removesuffix(SIDECAR_SUFFIX) + ".csv")
    else:
        sidecar_path, csv_path = storage.sidecar_path(path), path
    if not sidecar_path.is_file():
        raise BenchError(f"there is no file {sidecar_path}", "keep a result's CSV and its sidecar in one folder")
    sidecar = storage.read_sidecar(sidecar_path)
    _check_method(sidecar)
    rows = figures(sidecar)
    if not csv_path.is_file():
        return Recomputation(sidecar_path, None, rows, ())
    return Recomputation(sidecar_path, csv_path, rows, differences(rows, storage.read_records(csv_path)))


def _check_method(sidecar: Sidecar) -> None:
    """Refuse rows of another method, whose joules this version cannot recompute."""
    for note in sidecar.windows:
        method = note.columns.get("method_version")
        if note.sensor is not None and method not in (None, METHOD_VERSION):
            raise BenchError(
                f"{sidecar.path.name}: row {note.row} was measured by method {method}, this version recomputes method"
                f" {METHOD_VERSION} only",
                f"use bitwatt {note.columns.get('harness_version') or 'of that time'}, which wrote it",
            )


def figures(sidecar: Sidecar) -> tuple[Row, ...]:
    """The energy figures of every window in a sidecar that was measured under a sensor."""
    idle_w: dict[int, list[float]] = {}
    for idle in sidecar.idles:
        sensor = sidecar.sensors[idle.sensor].sensor
        watts, _ = energy.idle_power(idle.samples, idle.start_ns, idle.end_ns, sensor)
        if watts is not None:
            idle_w.setdefault(idle.sensor, []).append(watts)
    rows = []
    for note in sidecar.windows:
        if note.sensor is None:
            continue
        seen = sidecar.sensors[note.sensor]
        joules = energy.measure(note.samples, note.window, seen.sensor)
        smoothing = seen.card_state is not None and bool(seen.card_state.power_smoothing)
        baselines = idle_w.get(note.sensor)
        idle_power_w = fmean(baselines) if baselines else None
        rows.append(Row(note.row, _columns(joules, note.window, idle_power_w, smoothing), joules.invalid_reasons))
    return tuple(rows)


def _columns(joules: Energy, window: Window, idle_power_w: float | None, smoothing: bool) -> dict[str, Value]:
    found: dict[str, Value] = {
        "energy_j": joules.joules,
        "energy_method": joules.method,
        "energy_scope": joules.scope,
        "energy_uncertainty_j": joules.uncertainty_j,
        "idle_power_w": idle_power_w,
        "work_per_j": window.work / joules.joules if joules.joules else None,
        "net_work_per_j": energy.net_work_per_j(
            window.work, joules, window.seconds, idle_power_w, power_smoothing=smoothing
        ),
        "throttle_reasons": ";".join(joules.throttle_reasons) or None,
    }
    values = {name: found[name] if name in found else getattr(joules, name) for name in COLUMNS}
    # text as a CSV holds it
    return {name: storage.cell(value) if isinstance(value, str) else value for name, value in values.items()}


def differences(rows: Sequence[Row], records: Sequence[Record]) -> tuple[Difference, ...]:
    """Cells that differ from what the sidecar gives, and rows that only one of the two has."""
    found = []
    by_row = {row.row: row for row in rows}
    for number, record in enumerate(records, start=1):
        row = by_row.pop(number, None)
        if row is None:
            if record.energy_j is not None:
                found.append(Difference(number + 1, "energy_j", record.energy_j, None))
            continue
        for name, value in row.columns.items():
            written = getattr(record, name)
            if written != value:
                found.append(Difference(number + 1, name, written, value))
        reasons = (record.invalid_reasons or "").split(";")
        lacking = [reason for reason in row.invalid_reasons if reason.replace(";", ",") not in reasons]
        found += [Difference(number + 1, "invalid_reasons", record.invalid_reasons, reason) for reason in lacking]
    # a run killed between evidence and row leaves one window more than rows
    by_row.pop(len(records) + 1, None)
    found += [Difference(number + 1, "energy_j", None, by_row[number].columns["energy_j"]) for number in sorted(by_row)]
    return tuple(found)


def _shown(value: Value) -> str:
    return "empty" if value is None else repr(value) if isinstance(value, float) else str(value)


def to_csv(rows: Sequence[Row]) -> str:
    """The recomputed figures as CSV text: ``row``, then the energy columns by the names they have in a result."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["row", *COLUMNS])
    writer.writerows([row.row, *(storage.cell(row.columns[name]) for name in COLUMNS)] for row in rows)
    return out.getvalue()
