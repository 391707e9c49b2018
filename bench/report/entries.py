"""What the page shows of each result: compare's figures by metric, and means of some other columns. Pure.

No statistic is made here: values and intervals come from ``bench.analysis``. Columns without an interval (MFU,
arithmetic intensity, the sensor's own uncertainty) are plain means over the rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.analysis.compare import Result
from bench.analysis.settings import SETTINGS
from bench.model import Comparison, TaskKey
from bench.output.format import MISSING, figures, interval, scale
from bench.report.language import _

if TYPE_CHECKING:
    import pandas as pd

_TASK = ("phase", "shape", "product", "dtype", "batch", "seq")
_MEANS = ("mfu", "mbu", "intensity_flop_per_byte", "peak_per_s", "peak_bytes_per_s", "sensor_relative")
_ROLES = ("other", "best", "stock")
_MODES = ("standard", "quick", "smoke")


@dataclass(frozen=True, slots=True)
class Entry:
    """One result: a card, a task, a setting, and its figures."""

    key: Mapping[str, Any]
    card: str
    series: int
    """Number of the card on this page: its colour, marker and dash everywhere."""
    task: str
    setting: str
    """What distinguishes it from the card's other results of this task; empty where nothing does."""
    metrics: Mapping[str, Comparison]
    means: Mapping[str, float]
    """Plain means over the valid rows of :data:`_MEANS`, those that the rows hold."""

    @property
    def name(self) -> str:
        return f"{self.card}, {self.setting}" if self.setting else self.card

    @property
    def unit(self) -> str:
        """``hash`` or ``FLOP``."""
        return str(self.key["work_unit"])

    def figure(self, metric: str) -> Comparison | None:
        """The metric's comparison where it has a value."""
        found = self.metrics.get(metric)
        return found if found is not None and found.value is not None else None


def collect(frame: pd.DataFrame, result: Result) -> list[Entry]:
    """The results of ``result`` in its order, with the means of ``frame``."""
    grouped: dict[tuple[Any, ...], dict[str, Comparison]] = {}
    for found in result.comparisons:
        grouped.setdefault(tuple(found.key.values()), {})[found.metric] = found
    cards: dict[str, int] = {}
    grouped_keys = []
    for metrics in grouped.values():
        key = next(iter(metrics.values())).key
        cards.setdefault(str(key["device_name"]), len(cards))
        grouped_keys.append((key, metrics))
    means = _means(frame, [name for name in grouped_keys[0][0] if name in frame.columns]) if grouped_keys else {}
    distinguishing = _distinguishing([key for key, _metrics in grouped_keys])
    return [
        Entry(
            key=key,
            card=str(key["device_name"]),
            series=cards[str(key["device_name"])],
            task=task_label(key),
            setting=", ".join(
                text
                for name in distinguishing.get(str(key["device_name"]), ())
                if (text := setting_label(name, key[name]))
            ),
            metrics=metrics,
            means=means.get(tuple(value for name, value in key.items() if name in frame.columns), {}),
        )
        for key, metrics in grouped_keys
    ]


def _distinguishing(keys: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Card → key columns in which two of its results of one task differ."""
    aside = {"device_name", "workload", "work_unit", "implementation_class", "energy_source", "default_power_limit_w"}
    aside |= set(_TASK)
    differing: dict[str, dict[str, None]] = {}
    first: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for key in keys:
        card = str(key["device_name"])
        other = first.setdefault((card, task_label(key)), key)
        names = [name for name in key if name not in aside and key[name] != other[name]]
        differing.setdefault(card, {}).update(dict.fromkeys(names))
    return {card: list(names) for card, names in differing.items()}


def _means(frame: pd.DataFrame, names: list[str]) -> dict[tuple[Any, ...], dict[str, float]]:
    """Key → mean of each column over its valid rows."""
    rows = frame.loc[(frame["valid"] & frame["verified"]).to_numpy(dtype=bool)]
    if not len(rows):
        return {}
    rows = rows.assign(
        sensor_relative=rows["sensor_uncertainty_j"] / rows["energy_j"],
        # mbu = (rate ÷ intensity) ÷ bandwidth, so the bandwidth that the run knew comes back
        peak_bytes_per_s=rows["rate_per_s"] / rows["intensity_flop_per_byte"] / rows["mbu"],
    )
    table = rows.groupby(names, observed=True, dropna=False, sort=False)[list(_MEANS)].mean()
    return {
        tuple(map(_plain, key)): {
            name: float(value) for name, value in zip(_MEANS, values, strict=True) if math.isfinite(value)
        }
        for key, values in zip(table.index, table.to_numpy(dtype=float), strict=True)
    }


def plain_rows(frame: pd.DataFrame, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Some columns of each row; missing is None."""
    part = frame[list(columns)].astype(object)
    return [{str(k): v for k, v in row.items()} for row in part.where(part.notna(), None).to_dict("records")]


def _plain(value: Any) -> Any:
    """A group's key as :mod:`bench.analysis.compare` writes it: missing is None, numpy's scalars are Python's."""
    import pandas as pd

    if value is None or pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value


def task_label(key: Mapping[str, Any]) -> str:
    """What was done, short: ``sha256d``, ``decode llama3-8b bf16 b64 s2048``."""
    task = TaskKey.of(key)
    if task.phase == "scan":
        return task.workload
    return task.label.removeprefix("transformer ")


def setting_label(name: str, value: object) -> str:
    """A setting in a few words: ``300 W``, ``locked at 1200 MHz``, ``driver 999.99``."""
    if value is None:
        return ""
    match name:
        case "power_limit_w":
            return _("{watts} W limit", watts=figures(float(str(value))))
        case "sm_clock_lock_mhz":
            return _("locked at {clock} MHz", clock=figures(float(str(value))))
        case "mode" | "implementation" | "precision" | "options":
            return str(value)
        case "native":
            return "" if value else _("emulated")
        case "mig" | "ecc":
            return f"{name.upper()} {_('on') if value else _('off')}"
        case _:
            return f"{_(SETTINGS[name].heading) if name in SETTINGS else name.replace('_', ' ')} {value}"


def interval_text(found: Comparison) -> str:
    """``12.50 MH/J [12.42, 12.58]``; it says so where one window has no spread, or the interval is between runs."""
    if found.value is None:
        return MISSING
    factor, unit = scale([found.value], found.unit)
    low, high = (None if bound is None else bound / factor for bound in (found.low, found.high))
    value, bracket, bounds = interval(found.value / factor, low, high).partition(" [")
    if not bracket:
        return f"{value} {unit} ({_('one window, no interval')})"
    return f"{value} {unit} [{bounds}{' ' + _('between runs') if found.covers == 'between runs' else ''}"


_PHASES = ("decode", "prefill", "gemm", "train", "mamf")


def task_rank(key: Mapping[str, Any]) -> tuple[Any, ...]:
    """Sorts tasks: sha256d first of hashes; of AI whole sets of real models, decode before prefill before the rest."""
    phase = str(key["phase"])
    return (
        key["workload"] not in ("sha256d", "transformer"),
        str(key["shape"]).startswith("tiny"),
        key["product"] is not None,
        _PHASES.index(phase) if phase in _PHASES else len(_PHASES),
    )


def best(entries: Sequence[Entry], metric: str) -> Entry | None:
    """Of results of one card and task the one to show first: longest windows, the device's own code, native type, the
    stock setting as :mod:`bench.analysis.pairs` compares it, then the best figure.
    """
    held = [entry for entry in entries if entry.figure(metric) is not None]

    def worth(entry: Entry) -> tuple[Any, ...]:
        return (
            -_mode_rank(entry),
            entry.key["implementation_class"] == "native",
            bool(entry.key["native"]),
            _ROLES.index(entry.metrics[metric].role or "other"),
            entry.metrics[metric].value,
        )

    return max(held, key=worth, default=None)


def tasks(entries: Sequence[Entry], unit: str, metric: str) -> list[str]:
    """Tasks of one unit with a figure, the one that most cards share first; of equals by :func:`task_rank`."""
    held: dict[str, set[str]] = {}
    rank: dict[str, tuple[Any, ...]] = {}
    for entry in entries:
        if entry.unit == unit and entry.figure(metric) is not None:
            held.setdefault(entry.task, set()).add(entry.card)
            rank[entry.task] = task_rank(entry.key)
    return sorted(held, key=lambda task: (rank[task][:3], -len(held[task]), rank[task]))


def leaders(entries: Sequence[Entry], task: str, metric: str, *, of_a_sweep: bool = False) -> list[Entry]:
    """Each card's result of a task that stands for it (:func:`best`), the best card first.

    With ``of_a_sweep``, the best setting of a card that was swept, where :mod:`bench.analysis.pairs` names one. Results
    of short windows come after those of long ones.
    """
    own: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.task == task and entry.figure(metric) is not None:
            own.setdefault(entry.card, []).append(entry)
    found = [best(held, metric) for held in own.values()]
    if of_a_sweep:
        found = [swept(entries, entry, metric) or entry for entry in found if entry is not None]

    def worth(entry: Entry) -> tuple[int, float]:
        return -_mode_rank(entry), entry.metrics[metric].value or 0.0

    return sorted((entry for entry in found if entry is not None), key=worth, reverse=True)


def swept(entries: Sequence[Entry], stock: Entry, metric: str) -> Entry | None:
    """The best setting of the card's power sweep in this task, a second figure next to ``stock``; None without one."""
    for entry in entries:
        found = entry.figure(metric)
        if (entry.card, entry.task) == (stock.card, stock.task) and found is not None and found.role == "best":
            return None if entry is stock else entry
    return None


def _mode_rank(entry: Entry) -> int:
    mode = str(entry.key["mode"])
    return _MODES.index(mode) if mode in _MODES else len(_MODES)
