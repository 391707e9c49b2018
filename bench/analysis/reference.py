"""What cards of each model do, from the verified rows of many: one row per card, task and setting. Pure.

    table = build(frame)                  # rows with their card, as `bench.storage.fleet_rows.read_rows` gives them

A reference names no host and no UUID: cards are numbered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.analysis.groups import TASK, implementation_class
from bench.analysis.units import READ, units
from bench.model import BenchError

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = READ
"""The columns that :func:`build` and :func:`bench.analysis.rank.rank` read."""

SAME = (
    *("device_name", "power_limit_w", "power_profiles", *TASK),
    *("work_unit", "mode", "implementation_class", "native", "precision", "options"),
)
"""Figures are compared where these agree. Drivers may differ: they change faster than references are made."""
SAME_ENERGY = ("method_version", "energy_scope")
"""Figures per joule also need these to agree."""
FIGURES = ("rate_per_s", "work_per_j", "power_mean_w", "temperature_max_c")
NAMES = ("card", *SAME, *SAME_ENERGY, "driver", "windows", *FIGURES)
"""A reference's columns."""

_TEXTS = frozenset({*SAME, *SAME_ENERGY, "driver"} - {"power_limit_w", "batch", "seq", "native"})


def build(frame: pd.DataFrame) -> pd.DataFrame:
    """The reference of all valid, verified rows: :data:`NAMES`, each figure the estimate from a card's windows.

    Raises:
        BenchError: no row is valid and verified.
    """
    table = figures(frame)
    if table.empty:
        raise BenchError("no row is both valid and verified", "give results in standard mode: `make bench`")
    table["card"] = table["card_number"].factorize()[0]
    order = ["device_name", "workload", "phase", "shape", "card"]
    return table.sort_values(order, key=lambda column: column.astype(str) if column.name in _TEXTS else column)[
        list(NAMES)
    ].reset_index(drop=True)


def figures(frame: pd.DataFrame) -> pd.DataFrame:
    """Card, task and setting with :data:`FIGURES`; those without a valid and verified row are left out.

    ``rate_low``, ``rate_high``, ``joules_low`` and ``joules_high`` are ends of 95% intervals.
    """
    import numpy as np

    table = units(frame, {})
    table = table[table["rate"].notna()].copy()
    table["implementation_class"] = table["implementation"].astype(str).map(implementation_class)
    table["rate_per_s"], table["work_per_j"] = np.exp(table["rate"]), np.exp(-table["joules"])
    table["power_mean_w"] = np.exp(table["rate"] + table["joules"])
    table["temperature_max_c"] = table["temperature"]
    for name, value in (("rate", table["rate"]), ("joules", table["joules"])):
        half = table[f"{name}_half"].fillna(0.0)
        table[f"{name}_low"], table[f"{name}_high"] = np.exp(value - half), np.exp(value + half)
    return table


def checked(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """A reference as it was read from a file, each column of its type.

    Args:
        table: text in every column, empty where a value is missing.
        name: of the file, for messages.

    Raises:
        BenchError: it is not a reference.
    """
    import numpy as np
    import pandas as pd

    absent = [column for column in NAMES if column not in table]
    if absent:
        raise BenchError(
            f"{name} is not a reference: it has no column {absent[0]}", "make one: bitwatt reference build"
        )
    out = {}
    for column in NAMES:
        values = table[column]
        if column in _TEXTS:
            out[column] = values.where(values != "", None).astype(object)
        elif column == "native":
            out[column] = values == "True"
        else:
            numbers = pd.to_numeric(values.where(values != "", None), errors="coerce")
            if (numbers.isna() & (values != "")).any() or not np.isfinite(numbers.dropna()).all():
                raise BenchError(f"{name}: {column} has a cell that is not a number", "make the reference again")
            out[column] = numbers.astype(float)
    return pd.DataFrame(out)
