"""Rows → groups: rows that agree in every key column, reduced to an estimate per metric. Pure.

A group is one device × task × setting. Which statistics and why: see :mod:`bench.analysis.compare`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.analysis.estimate import Part, Reduced, between_runs, exp, half_width, outliers, reduce, student
from bench.analysis.metrics import METRICS
from bench.analysis.settings import CONDITIONS, POOLED_ONLY_IF_EQUAL, SETTINGS
from bench.model import TaskKey
from bench.model.job import rolled_versions

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
"""What ``--by`` accepts in addition to the key columns' own names, and the column it means."""

_DERIVED = {"implementation_class": "implementation", "energy_source": "energy_method"}

COLUMNS: tuple[str, ...] = tuple(
    dict.fromkeys(
        [
            *("device_name", "device_uuid", "run_id", "host", "commit", "repeat"),
            *TASK,
            *(_DERIVED.get(name, name) for name in (*MUST_MATCH, *ENERGY_MUST_MATCH, *SETTINGS)),
            *METRICS,
            *("energy_j", "energy_uncertainty_j", "sensor_uncertainty_j", "meter", "meter_id"),
            *("verified", "proven", "valid", "invalid_reasons"),
            *("window_s", "others_cpu_s", "steal_s"),
        ]
    )
)
"""The columns that :func:`compare` reads, in addition to ``file`` and ``line``."""


@dataclass(frozen=True, slots=True)
class InvalidRow:
    """A row that is in no statistic."""

    file: str
    line: int
    subject: str
    task: str
    reason: str


@dataclass(frozen=True, slots=True)
class Outlier:
    """A valid window whose rate is far from the others of its group. It stays in the file and in the estimate, where
    it hardly counts.
    """

    file: str
    line: int
    subject: str
    task: str
    share: float
    """Its rate ÷ the median of its group."""
    cause: str | None = None
    """What else used the machine in it, where that explains the loss; None where nothing measured does."""


@dataclass(frozen=True, slots=True)
class Stat:
    """One metric of one group, on logarithms."""

    count: int
    """Windows."""
    runs: int
    mean: float
    within: Part | None
    """Error of the mean from the scatter of windows; None for a single window."""
    between: Part
    """Error of the mean from run to run."""
    t_interval: tuple[float, float] | None = None
    """Student's t on all windows, or on the runs' means."""

    @property
    def value(self) -> float:
        return exp(self.mean)

    @property
    def parts(self) -> tuple[Part, ...]:
        """What the value's own interval covers: this run, or all runs from several on."""
        within = () if self.within is None else (self.within,)
        return within if self.runs == 1 else (*within, self.between)

    @property
    def covers(self) -> str:
        return "within this run" if self.runs == 1 else "between runs"

    def interval(self) -> tuple[float, float] | None:
        if not self.parts:
            return None
        half = half_width(self.parts)
        return exp(self.mean - half), exp(self.mean + half)


@dataclass(frozen=True, slots=True)
class ResultGroup:
    """Rows that agree in every key column."""

    key: Mapping[str, Any]
    subject: str
    rows: int
    valid: int
    runs: frozenset[str]
    """Run ids of its valid rows."""
    reasons: tuple[str, ...]
    """Why rows of it are invalid."""
    stats: Mapping[str, Stat]
    sensors: frozenset[str]
    watts: float | None
    sensor_w: float | None
    """95% half-width of the sensor's own error, in watts; None where it is not known."""
    conditions: Mapping[str, float | None]
    """Means of :data:`~bench.analysis.settings.CONDITIONS`."""

    @property
    def task(self) -> str:
        return TaskKey.of(self.key).label

    @property
    def is_stock(self) -> bool:
        """Whether the card runs as it came: at its default power limit (or an unknown one), with no clock lock."""
        limit, default = self.key["power_limit_w"], self.key["default_power_limit_w"]
        limited = limit is not None and default is not None and abs(limit - default) > 0.5
        return not limited and self.key["sm_clock_lock_mhz"] is None


def implementation_class(name: str) -> str:
    """``torch-portable`` for the portable loop, which is not a device's best; ``version-rolling-4`` where four block
    versions share part of each hash's work; ``native`` for everything else.
    """
    if name.startswith("torch-portable"):
        return "torch-portable"
    versions = rolled_versions(name)
    return "native" if versions == 1 else f"version-rolling-{versions}"


def key_columns(subject: str) -> tuple[str, ...]:
    """All columns in which the rows of a group agree."""
    return tuple(dict.fromkeys([subject, "device_name", *TASK, *MUST_MATCH, *ENERGY_MUST_MATCH, *POOLED_ONLY_IF_EQUAL]))


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


def reduce_rows(
    frame: pd.DataFrame, subject: str, metrics: Sequence[str]
) -> tuple[list[ResultGroup], list[InvalidRow], list[Outlier]]:
    """Group the rows by their key, and reduce each group to an estimate per metric."""
    import numpy as np

    names = key_columns(subject)
    coded = {name: _codes(frame, name) for name in names}
    group, first = _grouped([codes for codes, _ in coded.values()])
    count = len(first)
    keys = [{name: labels[codes[row]] for name, (codes, labels) in coded.items()} for row in first]
    del coded

    valid = (frame["valid"] & frame["verified"]).to_numpy(dtype=bool)
    uuid, (run, run_names) = _codes(frame, "device_uuid")[0], _codes(frame, "run_id")
    cluster, cluster_first = _grouped([group, run, uuid])
    runs = _Runs(group, cluster, group[cluster_first], [str(key["device_kind"]) for key in keys])

    energy = frame["energy_j"].to_numpy(dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        window_relative = frame["energy_uncertainty_j"].to_numpy(dtype=float) / energy
        sensor_relative = frame["sensor_uncertainty_j"].to_numpy(dtype=float) / energy
    stats: list[dict[str, Stat]] = [{} for _ in range(count)]
    for metric in metrics:
        floor = window_relative if METRICS[metric].energy else None
        for number, stat in _reduce(frame[metric].to_numpy(dtype=float), valid, runs, floor):
            stats[number][metric] = stat

    sensor = _group_means(sensor_relative, group, valid & np.isfinite(energy), count, whole=True)
    watts = _group_means(frame["power_mean_w"].to_numpy(dtype=float), group, valid, count, whole=False)
    conditions = {
        name: _group_means(frame[name].to_numpy(dtype=float, na_value=np.nan), group, valid, count, whole=False)
        for name in CONDITIONS
    }
    meters, meter_names = _codes(frame, "meter_id")
    sensors = _sets(group, meters, meter_names, valid, count)
    run_sets = _sets(group, run, run_names, valid, count)
    total, good = np.bincount(group, minlength=count), np.bincount(group[valid], minlength=count)
    subjects = [text(key[subject]) for key in keys]
    rejected = _rejected(frame, np.flatnonzero(~valid), group, subjects, keys)
    reasons: list[dict[str, None]] = [{} for _ in range(count)]
    for row, item in zip(np.flatnonzero(~valid), rejected, strict=True):
        reasons[group[row]][item.reason] = None
    groups = [
        ResultGroup(
            key=keys[number],
            subject=subjects[number],
            rows=int(total[number]),
            valid=int(good[number]),
            runs=frozenset(run_sets[number]),
            reasons=tuple(reasons[number]),
            stats=stats[number],
            sensors=frozenset(sensors[number]),
            watts=_finite(watts[number]),
            sensor_w=_finite(sensor[number] * watts[number]),
            conditions={name: _finite(values[number]) for name, values in conditions.items()},
        )
        for number in range(count)
    ]
    return groups, rejected, _outliers(frame, valid, group, groups)


def _sets(
    group: NDArray[np.int64], codes: NDArray[Any], names: Sequence[Any], valid: NDArray[np.bool_], count: int
) -> list[set[str]]:
    """The distinct values of a column in each group's valid rows; missing is left out."""
    found: list[set[str]] = [set() for _ in range(count)]
    for row in _grouped([group, codes, valid])[1].tolist():
        if valid[row] and codes[row] >= 0:
            found[group[row]].add(str(names[codes[row]]))
    return found


@dataclass(frozen=True, slots=True)
class _Runs:
    """Rows → runs → groups: a group has one run per run id and device."""

    group_of_row: NDArray[np.int64]
    run_of_row: NDArray[np.int64]
    group_of_run: NDArray[np.int64]
    kinds: Sequence[str]
    """Device kind of each group."""


def _reduce(
    values: NDArray[np.float64], valid: NDArray[np.bool_], runs: _Runs, floor: NDArray[np.float64] | None
) -> list[tuple[int, Stat]]:
    """The estimate of log(values) for each group that has any: of its windows in each run, then over its runs.

    ``floor``: relative 95% half-width of each window's own uncertainty, below which the variance does not fall.
    """
    import numpy as np

    usable = valid & (values > 0)  # a NaN compares false
    logs = np.log(values[usable])
    in_run, groups = runs.run_of_row[usable], len(runs.kinds)
    found = reduce(logs, in_run, len(runs.group_of_run))
    variance = found.variance
    if floor is not None:
        own = np.bincount(in_run, weights=(np.nan_to_num(floor[usable]) / 1.959964) ** 2, minlength=len(found.count))
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = np.where(found.count > 1, np.maximum(variance, own / found.count**2), variance)
    filled = found.count > 0
    owner = runs.group_of_run[filled]
    known = np.nan_to_num(variance[filled])

    def total(weights: NDArray[np.float64]) -> NDArray[Any]:
        return np.bincount(owner, weights=weights, minlength=groups)

    many, windows = np.bincount(owner, minlength=groups), total(found.count[filled].astype(float))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total(found.mean[filled]) / many
        deviation = total((found.mean[filled] - mean[owner]) ** 2)
        squares = np.maximum(0.0, deviation - (many - 1) / many * total(known))
        freedom = total(known) ** 2 / total(known**2 / np.maximum(found.freedom[filled], 1.0))
        scattered = total((found.count[filled] > 1).astype(float)) > 0
    # for comparison with other tools: the plain mean and Student's t, on windows or on the runs' means
    plain = reduce(logs, runs.group_of_row[usable], groups, trim=0.0)
    by_runs = reduce(found.mean[filled], owner, groups, trim=0.0)
    stats = []
    for number in np.flatnonzero(many).tolist():
        usual = by_runs if many[number] > 1 else plain
        within = Part(float(total(known)[number] / many[number] ** 2), _or(float(freedom[number]), 1.0))
        stats.append(
            (
                number,
                Stat(
                    count=int(windows[number]),
                    runs=int(many[number]),
                    mean=float(mean[number]),
                    within=within if scattered[number] else None,
                    between=between_runs(runs.kinds[number], int(many[number]), float(squares[number])),
                    t_interval=_t_interval(usual, number),
                ),
            )
        )
    return stats


def _t_interval(usual: Reduced, number: int) -> tuple[float, float] | None:
    if usual.count[number] < 2:
        return None
    half = student(float(usual.freedom[number])) * math.sqrt(float(usual.variance[number]))
    return exp(usual.mean[number] - half), exp(usual.mean[number] + half)


def _outliers(
    frame: pd.DataFrame, valid: NDArray[np.bool_], group: NDArray[np.int64], groups: Sequence[ResultGroup]
) -> list[Outlier]:
    import numpy as np

    rates = frame["rate_per_s"].to_numpy(dtype=float)
    rows = np.flatnonzero(valid & (rates > 0))
    logs = np.log(rates[rows])
    far, middle = outliers(logs, group[rows], len(groups))
    return [
        Outlier(
            file=str(frame["file"].iloc[row]),
            line=int(frame["line"].iloc[row]),
            subject=groups[group[row]].subject,
            task=groups[group[row]].task,
            share=exp(float(off)),
            cause=_cause(frame, row, exp(float(off))),
        )
        for row, off in zip(rows[far].tolist(), (logs - middle)[far].tolist(), strict=True)
    ]


EXPLAINS = 0.5
"""Others explain a slow window if their share of the CPU time is at least this part of the loss: one core of two that
is taken costs a hash loop half of its rate, and work that waits for its slowest thread more."""


def _cause(frame: pd.DataFrame, row: int, share: float) -> str | None:
    """A sentence on who took the CPU in a slow window."""
    import pandas as pd

    cells = [frame[name].iloc[row] for name in ("others_cpu_s", "steal_s", "window_s", "device_cores")]
    others_s, steal_s, window_s, cores = (0.0 if pd.isna(cell) else float(cell) for cell in cells)
    if frame["device_kind"].iloc[row] != "cpu" or not window_s * cores > 0:
        return None
    taken = {"other processes": others_s, "other machines of the host": steal_s}
    shares = {who: spent_s / (window_s * cores) for who, spent_s in taken.items()}
    if share >= 1 or math.fsum(shares.values()) < EXPLAINS * (1 - share):
        return None
    by_most = sorted(shares.items(), key=lambda item: -item[1])
    return " and ".join(f"{who} took {part:.0%} of the CPU time" for who, part in by_most if part >= 0.01) or None


def _or(value: float, other: float) -> float:
    return value if math.isfinite(value) and value > 0 else other


def _group_means(
    values: NDArray[np.float64], group: NDArray[np.int64], mask: NDArray[np.bool_], count: int, *, whole: bool
) -> NDArray[np.float64]:
    """Mean per group; NaN where there is none, or, with ``whole``, where any value is missing."""
    import numpy as np

    held = mask & ~np.isnan(values)
    size = np.bincount(group[held], minlength=count)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.bincount(group[held], weights=values[held], minlength=count) / size
    if whole:
        mean[size < np.bincount(group[mask], minlength=count)] = np.nan
    return mean


def _rejected(
    frame: pd.DataFrame,
    rows: NDArray[np.int64],
    group: NDArray[np.int64],
    subjects: Sequence[str],
    keys: Sequence[Mapping[str, Any]],
) -> list[InvalidRow]:
    names = ("file", "line", "verified", "proven", "invalid_reasons")
    columns = [frame[name].iloc[rows].astype(object) for name in names]
    return [
        InvalidRow(
            file=str(file),
            line=int(number),
            subject=subjects[group[row]],
            task=TaskKey.of(keys[group[row]]).label,
            reason=reasons if isinstance(reasons, str) else "flagged invalid" if verified else _unverified(proven),
        )
        for row, file, number, verified, proven, reasons in zip(rows, *columns, strict=True)
    ]


def _unverified(proven: object) -> str:
    return "not proven: too few shares" if proven is False else "not verified"


def text(value: object) -> str:
    """A key's value as a person writes it; missing is ``unknown``."""
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return "unknown" if value is None else str(value)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
