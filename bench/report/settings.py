"""The table of settings: one column per run and device. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.model import Record
from bench.output.format import figures
from bench.report.table import Row, Table

if TYPE_CHECKING:
    import pandas as pd

MOST_RUNS = 24

_GROUPS = {
    "Run": ("run_id", "started_utc", "host", "mode", "harness_version", "commit", "dirty", "method_version"),
    "Device": (
        *("device_name", "device_kind", "device_uuid", "device_index", "device_cores", "device_memory_gib"),
        *("device_arch", "device_choice"),
    ),
    "Software": ("driver", "runtime", "torch", "cupy", "implementation", "precision", "options"),
    "Card": ("power_limit_w", "default_power_limit_w", "sm_clock_lock_mhz", "mig", "ecc", "co_tenants"),
    "Meter": ("meter", "meter_id", "energy_method", "energy_scope", "idle_power_w"),
    "Windows": ("window_s", "repeat", "native", "temperature_max_c", "peak_source"),
}

_UNITS = {"_w": "W", "_s": "s", "_gib": "GiB", "_mhz": "MHz", "_c": "°C", "_utc": "UTC"}


def column_title(name: str) -> str:
    """A column's name as words with its unit: ``power_limit_w`` → ``power limit (W)``."""
    for ending, unit in _UNITS.items():
        if name.endswith(ending):
            return f"{name.removesuffix(ending).replace('_', ' ')} ({unit})"
    return name.replace("_", " ")


def settings_table(frame: pd.DataFrame) -> Table:
    """One column per run and device, one row per setting; several values of one run are listed."""
    docs = {entry.name: entry.metadata.get("doc") for entry in fields(Record)}
    groups = frame.groupby(["file", "run_id", "device_name", "device_index"], observed=True, sort=False)
    # a groupby cuts the frame anew for each group: never for groups that are not shown
    shown = list(itertools.islice(groups, MOST_RUNS))
    rows = []
    for title, names in _GROUPS.items():
        rows.append(Row([title], class_="group"))
        for name in names:
            cells = [_distinct(part[name]) for _, part in shown]
            if any(cells):
                rows.append(Row([column_title(name), *(cell or "not known" for cell in cells)], title=docs.get(name)))
    more = groups.ngroups - len(shown)
    return Table(
        "The settings of each run",
        ["Setting", *(Path(str(key[0])).name for key, _ in shown)],
        rows,
        class_="settings",
        more=f"{more} more runs are not shown here." if more else "",
    )


def _distinct(values: Any, most: int = 4) -> str:
    """The distinct values of a column: one, a few, or a range of numbers."""
    present = values.dropna()
    unique = [value.item() if hasattr(value, "item") else value for value in dict.fromkeys(present)]
    if not unique:
        return ""
    if values.name == "started_utc":
        first, last = (str(value)[:19].replace("T", " ") for value in (min(unique), max(unique)))
        return first if first == last else f"{first} to {last}"
    if values.name == "commit":
        unique = [str(value)[:12] for value in unique]
    if len(unique) <= most:
        return ", ".join(map(_value, unique))
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in unique):
        return f"{_value(min(unique))} to {_value(max(unique))} ({len(unique)} values)"
    return f"{_value(min(unique))} to {_value(max(unique))}" if _is_sorted(unique) else f"{len(unique)} values"


def _is_sorted(values: Sequence[Any]) -> bool:
    return all(a <= b for a, b in itertools.pairwise(values))


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return figures(value) if isinstance(value, float) else str(value)
