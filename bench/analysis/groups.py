"""Rows → lines: rows that agree in every key column, reduced to means and variances of logarithms. Pure.

A *line* is one device × workload × setting. Which statistics and why: see :mod:`bench.analysis.compare`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.analysis.metrics import METRICS
from bench.model import TaskKey

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

TASK = ("workload", "phase", "shape", "product", "dtype", "batch", "seq")
"""What was done. Results of different tasks are never compared."""

MUST_MATCH = (
    "schema_version",
    "method_version",
    "work_unit",
    "mode",
    "implementation_class",
    "native",
    "precision",
    "options",
)
"""A pair that differs in one of these is refused, with the field named."""

ENERGY_MUST_MATCH = ("energy_scope", "energy_source")
"""The same, for the energy metrics only. ``energy_source`` is ``assumed`` or ``measured``."""

SETTING = (
    "device_kind",
    "device_arch",
    "device_cores",
    "power_limit_w",
    "sm_clock_lock_mhz",
    "mig",
    "ecc",
    "driver",
    "runtime",
    "torch",
    "cupy",
    "implementation",
    "harness_version",
)
"""May differ within a pair; rows that differ here are never pooled."""

SUBJECTS: Mapping[str, str] = {
    "card": "device_name",
    "gpu": "device_uuid",
    "device": "device_uuid",
    "power-limit": "power_limit_w",
    "clock-lock": "sm_clock_lock_mhz",
    "run": "run_id",
    "harness": "harness_version",
    "host": "host",
    "file": "file",
    "commit": "commit",
}
"""What ``--by`` accepts beside the key columns' own names, and the column it means."""

CONFIDENCE = 0.95

_DERIVED = {"implementation_class": "implementation", "energy_source": "energy_method"}

COLUMNS: tuple[str, ...] = tuple(
    dict.fromkeys(
        [
            *("device_name", "device_uuid", "run_id", "host", "commit", "repeat"),
            *TASK,
            *(_DERIVED.get(name, name) for name in (*MUST_MATCH, *ENERGY_MUST_MATCH, *SETTING)),
            *METRICS,
            *("energy_j", "energy_uncertainty_j", "sensor_uncertainty_j", "meter", "meter_id"),
            *("verified", "valid", "invalid_reasons"),
        ]
    )
)
"""The columns that :func:`compare` reads, beside ``file`` and ``line``."""


@dataclass(frozen=True, slots=True)
class InvalidRow:
    """A row that is in no statistic."""

    file: str
    line: int
    subject: str
    task: str
    reason: str


@dataclass(frozen=True, slots=True)
class Stat:
    """One metric of one line, on logarithms. ``variance`` is that of the mean."""

    count: int
    mean: float
    variance: float
    freedom: float

    @property
    def value(self) -> float:
        return math.exp(self.mean)

    def interval(self) -> tuple[float, float] | None:
        if self.count < 2:
            return None
        half = student(self.freedom) * math.sqrt(self.variance)
        return math.exp(self.mean - half), math.exp(self.mean + half)


@dataclass(frozen=True, slots=True)
class Line:
    """Rows that agree in every key column."""

    key: Mapping[str, Any]
    subject: str
    rows: int
    valid: int
    runs: int
    reasons: tuple[str, ...]
    """Why rows of it are invalid."""
    stats: Mapping[str, Stat]
    sensors: frozenset[str]
    watts: float | None
    sensor_w: float | None
    """95% half-width of the sensor's own error, in watts; None where it is not known."""

    @property
    def task(self) -> str:
        return TaskKey.of(self.key).label


@functools.lru_cache(maxsize=4096)
def student(freedom: float) -> float:
    """Two-sided 95% quantile of Student's t for ``freedom`` ≥ 1 degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + CONFIDENCE / 2))


def implementation_class(name: str) -> str:
    """``torch-portable`` for the portable loop, which is no device's best; ``native`` for everything else."""
    return "torch-portable" if name.startswith("torch-portable") else "native"


def key_columns(subject: str) -> tuple[str, ...]:
    """All columns in which the rows of a line agree."""
    return tuple(dict.fromkeys([subject, "device_name", *TASK, *MUST_MATCH, *ENERGY_MUST_MATCH, *SETTING]))


def _codes(frame: pd.DataFrame, name: str) -> tuple[NDArray[Any], list[Any]]:
    """A key column as whole numbers and what each stands for; −1, the last, is missing."""
    import pandas as pd

    if name == "implementation_class":
        codes, names = _codes(frame, "implementation")
        return _renamed(codes, [None if text is None else implementation_class(str(text)) for text in names])
    if name == "energy_source":
        codes, names = _codes(frame, "energy_method")
        return _renamed(codes, ["assumed" if text == "assumed" else "measured" for text in names])
    values = frame[name]
    if isinstance(values.dtype, pd.CategoricalDtype):
        codes, labels = values.cat.codes.to_numpy(), list(values.cat.categories)
    else:
        codes, unique = pd.factorize(values)
        labels = list(unique)
        if len(labels) < 127:
            codes = codes.astype("int8")  # some thirty columns of a million rows are held at once
    return codes, [*(label.item() if hasattr(label, "item") else label for label in labels), None]


def _renamed(codes: NDArray[Any], names: list[Any]) -> tuple[NDArray[Any], list[Any]]:
    """Codes after their names were mapped, some onto the same; a missing name stays the last."""
    import numpy as np

    unique = [*dict.fromkeys(names[:-1]), names[-1]]
    table = np.array([*(unique.index(name) for name in names[:-1]), len(unique) - 1], dtype=np.int16)
    return table[codes], unique


def _grouped(columns: Sequence[NDArray[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that agree in all columns get one number, in order of first appearance; and each number's first row."""
    import numpy as np
    import pandas as pd

    first_column, *rest = columns
    group = pd.factorize(first_column)[0].astype(np.int64)
    for codes in rest:
        low, high = int(codes.min()), int(codes.max())
        if low != high:
            group *= high - low + 1
            group += codes
            group -= low
            group = pd.factorize(group)[0].astype(np.int64)
    first = np.full(int(group.max()) + 1, len(group), dtype=np.int64)
    np.minimum.at(first, group, np.arange(len(group)))
    return group, first


def reduce_rows(frame: pd.DataFrame, subject: str, metrics: Sequence[str]) -> tuple[list[Line], list[InvalidRow]]:
    """Group the rows by their key and reduce each group to means and variances of logarithms."""
    import numpy as np

    names = key_columns(subject)
    coded = {name: _codes(frame, name) for name in names}
    line, first = _grouped([codes for codes, _ in coded.values()])
    count = len(first)
    keys = [{name: labels[codes[row]] for name, (codes, labels) in coded.items()} for row in first]
    del coded

    valid = (frame["valid"] & frame["verified"]).to_numpy(dtype=bool)
    uuid, run = _codes(frame, "device_uuid")[0], _codes(frame, "run_id")[0]
    cluster, cluster_first = _grouped([line, run, uuid])
    cluster_line = line[cluster_first]
    # runs that have at least one valid window
    alive = np.bincount(cluster[valid], minlength=len(cluster_line)) > 0
    runs = np.bincount(cluster_line[alive], minlength=count)

    energy = frame["energy_j"].to_numpy(dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        window_relative = frame["energy_uncertainty_j"].to_numpy(dtype=float) / energy
        sensor_relative = frame["sensor_uncertainty_j"].to_numpy(dtype=float) / energy
    stats: list[dict[str, Stat]] = [{} for _ in range(count)]
    for metric in metrics:
        floor = window_relative if METRICS[metric].energy else None
        for place, stat in _reduce(frame[metric].to_numpy(dtype=float), valid, line, cluster, cluster_line, floor):
            stats[place][metric] = stat

    sensor, watts = (
        _line_means(sensor_relative, line, valid & np.isfinite(energy), count, whole=True),
        _line_means(frame["power_mean_w"].to_numpy(dtype=float), line, valid, count, whole=False),
    )
    meters, meter_names = _codes(frame, "meter_id")
    sensors: list[set[str]] = [set() for _ in range(count)]
    for row in _grouped([line, meters, valid])[1].tolist():
        if valid[row] and meters[row] >= 0:
            sensors[line[row]].add(str(meter_names[meters[row]]))

    total, good = np.bincount(line, minlength=count), np.bincount(line[valid], minlength=count)
    subjects = [text(key[subject]) for key in keys]
    rejected = _rejected(frame, np.flatnonzero(~valid), line, subjects, keys)
    reasons: list[dict[str, None]] = [{} for _ in range(count)]
    for row, item in zip(np.flatnonzero(~valid), rejected, strict=True):
        reasons[line[row]][item.reason] = None
    return [
        Line(
            key=keys[place],
            subject=subjects[place],
            rows=int(total[place]),
            valid=int(good[place]),
            runs=int(runs[place]),
            reasons=tuple(reasons[place]),
            stats=stats[place],
            sensors=frozenset(sensors[place]),
            watts=_finite(watts[place]),
            sensor_w=_finite(sensor[place] * watts[place]),
        )
        for place in range(count)
    ], rejected


def _reduce(
    values: NDArray[np.float64],
    valid: NDArray[np.bool_],
    line: NDArray[np.int64],
    cluster: NDArray[np.int64],
    cluster_line: NDArray[np.int64],
    floor: NDArray[np.float64] | None,
) -> list[tuple[int, Stat]]:
    """Mean, variance of the mean and degrees of freedom of log(values) for each line that has any.

    ``floor``: relative 95% half-width of each window's own uncertainty, under which the variance does not fall.
    """
    import numpy as np

    lines = int(line.max()) + 1
    usable = valid & (values > 0)  # a NaN compares false
    logs = np.log(values[usable])
    in_line, in_cluster = line[usable], cluster[usable]
    size = np.bincount(in_cluster, minlength=len(cluster_line))
    with np.errstate(divide="ignore", invalid="ignore"):
        cluster_mean = np.bincount(in_cluster, weights=logs, minlength=len(cluster_line)) / size
        filled = size > 0
        clusters = np.bincount(cluster_line[filled], minlength=lines)
        mean = np.bincount(cluster_line[filled], weights=cluster_mean[filled], minlength=lines) / clusters
        # one run: its windows are the observations; several: their means are
        windows = np.bincount(in_line, minlength=lines)
        within = np.bincount(in_line, weights=(logs - mean[in_line]) ** 2, minlength=lines)
        between_terms = (cluster_mean[filled] - mean[cluster_line[filled]]) ** 2
        between = np.bincount(cluster_line[filled], weights=between_terms, minlength=lines)
        observations = np.where(clusters > 1, clusters, windows)
        variance = np.where(clusters > 1, between, within) / (observations - 1) / observations
        if floor is not None:
            known = np.nan_to_num(floor[usable])
            least = np.bincount(in_line, weights=(known / 1.959964) ** 2, minlength=lines) / windows**2
            variance = np.where(observations > 1, np.maximum(variance, least), variance)
    return [
        (place, Stat(int(windows[place]), float(mean[place]), float(variance[place]), float(observations[place] - 1)))
        if observations[place] > 1
        else (place, Stat(1, float(mean[place]), math.nan, 0.0))
        for place in np.flatnonzero(windows).tolist()
    ]


def _line_means(
    values: NDArray[np.float64], line: NDArray[np.int64], mask: NDArray[np.bool_], count: int, *, whole: bool
) -> NDArray[np.float64]:
    """Mean per line; NaN where there is none, or, with ``whole``, where any value is missing."""
    import numpy as np

    held = mask & ~np.isnan(values)
    size = np.bincount(line[held], minlength=count)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.bincount(line[held], weights=values[held], minlength=count) / size
    if whole:
        mean[size < np.bincount(line[mask], minlength=count)] = np.nan
    return mean


def _rejected(
    frame: pd.DataFrame,
    rows: NDArray[np.int64],
    line: NDArray[np.int64],
    subjects: Sequence[str],
    keys: Sequence[Mapping[str, Any]],
) -> list[InvalidRow]:
    columns = [frame[name].iloc[rows].astype(object) for name in ("file", "line", "verified", "invalid_reasons")]
    return [
        InvalidRow(
            file=str(file),
            line=int(number),
            subject=subjects[line[row]],
            task=TaskKey.of(keys[line[row]]).label,
            reason=reasons if isinstance(reasons, str) else "flagged invalid" if verified else "not verified",
        )
        for row, file, number, verified, reasons in zip(rows, *columns, strict=True)
    ]


def text(value: object) -> str:
    """A key's value as a person writes it; missing is ``unknown``."""
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return "unknown" if value is None else str(value)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
