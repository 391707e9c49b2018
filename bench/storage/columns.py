"""The CSV's columns, derived from :class:`~bench.model.Record`, and how one value is written as text."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any

from bench.model import Record
from bench.model.text import clean


@dataclass(frozen=True, slots=True)
class Column:
    """One CSV column, as ``Record`` declares it."""

    name: str
    type: type
    """``str``, ``int``, ``float`` or ``bool``."""
    required: bool
    doc: str = ""


def _columns() -> tuple[Column, ...]:
    hints = typing.get_type_hints(Record)
    found = []
    for entry in fields(Record):
        hint = hints[entry.name]
        options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        (plain,) = (option for option in options if option is not types.NoneType)
        required = entry.default is MISSING
        if plain not in (str, int, float, bool) or required == (types.NoneType in options):
            raise TypeError(f"Record.{entry.name}: {hint} cannot be a column's type")
        found.append(Column(entry.name, plain, required, entry.metadata.get("doc", "")))
    return tuple(found)


COLUMNS: tuple[Column, ...] = _columns()
NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)


def cell(value: object) -> str:
    """One value as CSV text: missing is empty, truth is ``true`` or ``false``, a float is the shortest text that reads
    back as the same float, and text is cleaned so that a row is always one line and no
    spreadsheet runs it.

    Raises:
        ValueError: a float that is not finite; missing is None.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is not finite; missing is None")
        return repr(float(value))
    if isinstance(value, int):
        return str(int(value))
    return _no_formula(clean(str(value)))


_FORMULA = re.compile(r"[=@].+|[-+](?![0-9.,]+%?$).+")
"""Text that a spreadsheet would run. A plain number is none."""


def _no_formula(text: str) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe in front says that it is text."""
    return f"'{text}" if _FORMULA.fullmatch(text) else text


def cleaned(record: Record) -> Record:
    """The record with its text as a CSV holds it, so that the sidecar can hold the same."""
    changes: dict[str, Any] = {}
    for column in COLUMNS:
        value = getattr(record, column.name)
        if isinstance(value, str):
            changes[column.name] = cell(value) or None
    return replace(record, **changes)


def row(record: Record) -> list[str]:
    """A record as CSV cells, in the order of :data:`NAMES`.

    Raises:
        ValueError: a required field is empty, a value is of another type than its column, or a float is not finite.
    """
    cells = []
    for column in COLUMNS:
        value = getattr(record, column.name)
        if column.type is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        # an exact type or a plain subtype: NumPy's scalars would be written as text that reads back otherwise
        if value is not None and type(value) is not column.type and not _is_subtype(value, column.type):
            raise ValueError(f"{column.name} must be {column.type.__name__}, not {value!r}")
        try:
            text = cell(value)
        except ValueError as error:
            raise ValueError(f"{column.name}: {error}") from None
        if column.required and not text:
            raise ValueError(f"{column.name} is required and empty")
        cells.append(text)
    return cells


def _is_subtype(value: object, wanted: type) -> bool:
    return isinstance(value, wanted) and not (wanted is int and isinstance(value, bool))


def to_csv(records: Iterable[Record]) -> str:
    """Records as the text of a CSV, header first."""
    return csv_text([NAMES, *(row(record) for record in records)])


def to_json(records: Iterable[Record]) -> str:
    """Records as a JSON list of objects with the CSV's column names; missing is null."""
    return json.dumps([asdict(record) for record in records], indent=1, allow_nan=False) + "\n"


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells as CSV lines."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
