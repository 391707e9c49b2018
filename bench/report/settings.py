"""The table of settings: one column per run and device. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.analysis.settings import SETTINGS
from bench.model import Record
from bench.output.format import figures
from bench.report.language import N_, _, is_english
from bench.report.section import Content, Section, Study
from bench.report.table import Row, Table

if TYPE_CHECKING:
    import pandas as pd

MOST_RUNS = 24

GROUPS = {
    N_("Run"): ("run_id", "started_utc", "host", "mode", "harness_version", "commit", "dirty", "method_version"),
    N_("Device"): (
        *("device_name", "device_kind", "device_uuid", "device_index", "device_cores", "device_memory_gib"),
        *("device_arch", "device_choice"),
    ),
    N_("Software"): ("driver", "runtime", "torch", "cupy", "implementation", "precision", "options"),
    N_("Card"): ("power_limit_w", "default_power_limit_w", "sm_clock_lock_mhz", "mig", "ecc", "co_tenants"),
    N_("Meter"): ("meter", "meter_id", "energy_method", "energy_scope", "idle_power_w"),
    N_("Windows"): ("window_s", "repeat", "native", "temperature_max_c", "peak_source"),
}

_UNITS = {"_w": "W", "_s": "s", "_gib": "GiB", "_mhz": "MHz", "_c": "°C", "_utc": "UTC"}


def column_title(name: str) -> str:
    """A column's name as words with its unit: ``power_limit_w`` → ``power limit (W)``."""
    return _(plain_title(name))


def plain_title(name: str) -> str:
    """:func:`column_title` in English."""
    if name in SETTINGS:
        return SETTINGS[name].heading
    for ending, unit in _UNITS.items():
        if name.endswith(ending):
            return f"{name.removesuffix(ending).replace('_', ' ')} ({unit})"
    return name.replace("_", " ")


def settings_table(frame: pd.DataFrame) -> Table:
    """One column per run and device, one row per setting; several values of one run are listed."""
    # what a column means is written in English only
    docs = {entry.name: entry.metadata.get("doc") for entry in fields(Record)} if is_english() else {}
    groups = frame.groupby(["file", "run_id", "device_name", "device_index"], observed=True, sort=False)
    # a groupby cuts the frame anew for each group: never for groups that are not shown
    shown = list(itertools.islice(groups, MOST_RUNS))
    rows = []
    for title, names in GROUPS.items():
        rows.append(Row([_(title)], class_="group"))
        for name in names:
            cells = [_distinct(part[name]) for _key, part in shown]
            if any(cells):
                rows.append(
                    Row([column_title(name), *(cell or _("not known") for cell in cells)], title=docs.get(name))
                )
    more = groups.ngroups - len(shown)
    return Table(
        _("The settings of each run"),
        [_("Setting"), *(Path(str(key[0])).name for key, _ in shown)],
        rows,
        class_="settings",
        more=_("{count} more runs are not shown here.", count=more) if more else "",
    )


def _build(study: Study) -> Content:
    return Content([settings_table(study.frame)])


SECTION = Section("settings", N_("Settings"), N_("Settings of each run"), _build)


def _distinct(values: Any, most: int = 4) -> str:
    """The distinct values of a column: one, a few, or a range of numbers."""
    present = values.dropna()
    unique = [value.item() if hasattr(value, "item") else value for value in dict.fromkeys(present)]
    if not unique:
        return ""
    if values.name == "started_utc":
        first, last = (str(value)[:19].replace("T", " ") for value in (min(unique), max(unique)))
        return first if first == last else _("{low} to {high}", low=first, high=last)
    if values.name == "commit":
        unique = [str(value)[:12] for value in unique]
    if len(unique) <= most:
        return ", ".join(map(_value, unique))
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in unique):
        low, high = _value(min(unique)), _value(max(unique))
        return _("{low} to {high} ({count} values)", low=low, high=high, count=len(unique))
    if _is_sorted(unique):
        return _("{low} to {high}", low=_value(min(unique)), high=_value(max(unique)))
    return _("{count} values", count=len(unique))


def _is_sorted(values: Sequence[Any]) -> bool:
    return all(a <= b for a, b in itertools.pairwise(values))


def _value(value: object) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return figures(value) if isinstance(value, float) else str(value)
