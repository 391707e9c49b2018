"""What other programs make of a result CSV: understood where the meaning is the same, refused by cell where it is not.

A file as bitwatt wrote it never gets here. :func:`understand` turns any other into rows of cells as bitwatt would have
written them, with a sentence for each thing that was different: another delimiter or encoding, decimal commas, ``NA``
for missing, ``True``, ``17.0`` for a count, an index column, added or left-out optional columns, blank lines.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.model import SCHEMA_VERSION, BenchError
from bench.storage.columns import COLUMNS, NAMES, Column
from bench.storage.fleet import FLEET_COLUMNS

DELIMITERS: Mapping[str, str] = {",": "commas", ";": "semicolons", "\t": "tabs"}
ENCODINGS: Sequence[tuple[bytes, str, str]] = (
    # the mark of UTF-32 LE begins with that of UTF-16 LE
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
)
MISSING = frozenset({"na", "nan", "n/a", "#n/a", "null", "none", "<na>"})
"""Words for missing, as pandas, R and spreadsheets write them; compared in lower case."""
MERGED = frozenset(column.name for column in FLEET_COLUMNS)
"""Columns of a merged fleet, which say where a row is from and nothing of what it measured."""
INDEX = re.compile(r"|Unnamed: \d+|index|level_\d+")
"""Names of an index column that pandas saved: none at all, or the one it makes up on reading."""

_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_COMMA_NUMBER = re.compile(r"[-+]?[0-9]*,[0-9]+([eE][-+]?[0-9]+)?")
_WANTED: Mapping[type, str] = {int: "a whole number", float: "a number", bool: "true or false"}
_INT_LIMIT = 2**63
_EXACT_FLOAT = 2**53

CORRECT = "correct the cell; missing is an empty cell"


@dataclass(slots=True)
class Understood:
    """A file's rows as bitwatt would have written them."""

    rows: list[list[str]] = field(default_factory=list)
    """Cells in the order of :data:`NAMES`."""
    lines: list[int] = field(default_factory=list)
    """The line each row is at; line 1 is the header."""
    notes: list[str] = field(default_factory=list)
    """What was different, each a clause without its subject."""


def understand(raw: bytes, path: Path) -> Understood:
    """The rows of a CSV that another program saved.

    Args:
        raw: the whole file.
        path: its name, for messages.

    Raises:
        BenchError: not a result CSV, a newer schema, a required column missing, a column twice, a row of another
            length than the header, or a cell whose meaning is not certain. With line and column.
    """
    found = Understood()
    text = _decoded(raw, path, found.notes)
    rows = _rows(text, path, found.notes)
    header_line, names = next(rows, (1, []))
    if not any(names):
        raise BenchError(f"{path} is empty", "leave it out, or measure again")
    body = [(line, cells) for line, cells in rows if any(cells)]
    positions = _positions(path, header_line, names, body, found.notes)
    if not body:
        raise BenchError(f"{path} has a header and no rows", "leave it out, or measure again")
    if not text.endswith(("\n", "\r")):
        last = names[min(len(body[-1][1]), len(names)) - 1]
        found.notes.append(f"the last line has no line end: if the file was cut there, its {last} may be incomplete")
    cells = _Cells(path, found.notes, positions, body)
    width = len(names)
    for line, row in body:
        if len(row) > width and not any(row[width:]):
            row = row[:width]  # noqa: PLW2901 - a trailing delimiter
        if len(row) != width:
            raise BenchError(
                f"{path}, line {line}: {len(row)} cells, but the header has {width}",
                "restore the missing cells, or remove the row; a quoted or decimal comma may have been lost",
            )
        found.rows.append([cells.canonical(line, column, row[at] if at >= 0 else "") for column, at in positions])
        found.lines.append(line)
    found.notes = list(dict.fromkeys(found.notes))
    return found


def _decoded(raw: bytes, path: Path, notes: list[str]) -> str:
    encoding, name = next((entry[1:] for entry in ENCODINGS if raw.startswith(entry[0])), ("utf-8", "UTF-8"))
    if name != "UTF-8":
        notes.append(f"read as {name}")
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        # UTF-16 and UTF-32 have their line ends in wider units; the count of the bytes is right for them, too
        line = raw[: error.start].count(b"\n") + 1
        raise BenchError(
            f"{path}, line {line}: not {name} text ({error.reason})", "save the file again as CSV with UTF-8 encoding"
        ) from None


def _rows(text: str, path: Path, notes: list[str]) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of every line, blank ones included as empty lists; ends of cells are stripped."""
    lines = list(io.StringIO(text, newline=""))
    # Excel's own line, which names the delimiter
    skipped = int(bool(lines) and re.fullmatch(r"sep=.", lines[0].strip().lower()) is not None)
    header = lines[skipped] if len(lines) > skipped else ""
    delimiter = max(DELIMITERS, key=lambda mark: sum(name.strip(' "') in NAMES for name in header.split(mark)))
    if delimiter != ",":
        notes.append(f"cells are separated by {DELIMITERS[delimiter]}")
    reader = csv.reader(lines[skipped:], delimiter=delimiter, strict=True)
    line = skipped
    try:
        for cells in reader:
            line += 1
            if reader.line_num != line - skipped:
                raise BenchError(
                    f"{path}, line {line}: a quoted cell runs over the end of the line",
                    "write the cell's text on one line",
                )
            yield line, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise BenchError(f"{path}, line {line + 1}: not a CSV ({error})", "save the file again as CSV") from None


def _positions(
    path: Path,
    header_line: int,
    names: list[str],
    body: Sequence[tuple[int, list[str]]],
    notes: list[str],
) -> list[tuple[Column, int]]:
    """Each column with its position in a row; -1 for one that the file leaves out."""
    known = set(NAMES)
    if not known.intersection(names):
        raise BenchError(f"{path} is not a bitwatt result CSV", "give files that `bitwatt run` wrote, or their folder")
    if "schema_version" in names and body:
        # a newer file has other columns, so its version is what matters
        line, cells = body[0]
        at = names.index("schema_version")
        text = cells[at] if at < len(cells) else ""
        if _NUMBER.fullmatch(text):
            check_schema(path, line, float(text))
    where = f"{path}, line {header_line}"
    twice = next((name for name in names if name in known and names.count(name) > 1), None)
    if twice:
        raise BenchError(f"{where}: the column {twice!r} appears twice", "remove one of the two")
    for column in COLUMNS:
        if column.required and column.name not in names:
            raise BenchError(
                f"{where}: the column {column.name!r} is missing and has no default",
                "restore the column, or use the file that `bitwatt run` wrote",
            )
    absent = [name for name in NAMES if name not in names]
    if absent:
        notes.append(f"{_listed(absent)} missing, taken as unknown")
    # a delimiter at the end of the header has no name after it and needs no word
    others = [name for at, name in enumerate(names) if name not in known and (name or at == 0)]
    index = [name for name in others if INDEX.fullmatch(name)]
    if index:
        notes.append("an index column is ignored")
    unknown = [name for name in others if name not in index and name not in MERGED]
    if unknown:
        notes.append(f"unknown {_listed(unknown)} ignored")
    return [(column, names.index(column.name) if column.name in names else -1) for column in COLUMNS]


def _listed(names: Sequence[str], most: int = 4) -> str:
    shown = ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
    return f"column {shown}" if len(names) == 1 else f"columns {shown}"


def check_schema(path: Path, line: int, version: float) -> None:
    """Refuse a file of a newer schema, or of one that never was.

    Raises:
        BenchError: with the version.
    """
    if version > SCHEMA_VERSION:
        raise BenchError(
            f"{path}, line {line}: schema_version {version:.9g} is newer than this bitwatt's {SCHEMA_VERSION}",
            "update bitwatt to read it",
        )
    if version < 1:
        raise BenchError(f"{path}, line {line}: there is no schema_version {version:.9g}", CORRECT)


class _Cells:
    """Turns one file's cells into bitwatt's own; learns from all of them how the file writes decimals and missing."""

    def __init__(
        self,
        path: Path,
        notes: list[str],
        positions: Sequence[tuple[Column, int]],
        body: Sequence[tuple[int, list[str]]],
    ) -> None:
        self.path = path
        self.notes = notes
        comma: tuple[int, str] | None = None
        point: tuple[int, str] | None = None
        self._missing: set[str] = set()
        for line, row in body:
            for column, at in positions:
                text = row[at] if 0 <= at < len(row) else ""
                if not text or column.type is str:
                    continue
                if text.lower() in MISSING:
                    self._missing.add(text)
                elif column.type is not bool and "," in text:
                    comma = comma or (line, column.name)
                elif column.type is float and "." in text:
                    point = point or (line, column.name)
        if comma and point:
            raise BenchError(
                f"{path}, line {comma[0]}: {comma[1]} has a comma and {point[1]} (line {point[0]}) a decimal point",
                "save the file with one kind of decimal mark and without thousands separators",
            )
        self._comma = comma is not None
        if comma:
            notes.append("decimal commas are read as decimal points")
        if self._missing:
            notes.append(f"{', '.join(sorted(self._missing))} read as missing")

    def canonical(self, line: int, column: Column, text: str) -> str:
        """A cell as bitwatt would have written it.

        Raises:
            BenchError: its meaning is not certain, or it is required and empty.
        """
        if text in self._missing and not (column.type is str and column.required):
            text = ""
        if not text:
            if column.required:
                raise BenchError(
                    f"{self.path}, line {line}: {column.name} is empty and must not be", "restore the value"
                )
            return ""
        if column.type is str:
            return text
        found = self._bool(text) if column.type is bool else self._number(column, text)
        if found is None:
            raise BenchError(
                f"{self.path}, line {line}: {column.name} is {text[:60]!r} and must be {_WANTED[column.type]}", CORRECT
            )
        if column.name == "schema_version":
            check_schema(self.path, line, int(found))
        return found

    def _bool(self, text: str) -> str | None:
        plain = text.lower()
        if plain not in ("true", "false"):
            return None
        if plain != text:
            self.notes.append(f"{text} read as {plain}")
        return plain

    def _number(self, column: Column, text: str) -> str | None:
        plain = text.replace(",", ".") if self._comma and _COMMA_NUMBER.fullmatch(text) else text
        if not _NUMBER.fullmatch(plain) or not math.isfinite(float(plain)):
            return None
        if column.type is float:
            return plain
        if re.fullmatch(r"[-+]?[0-9]+", plain):
            # int() refuses 4,301 digits and more with an error of its own
            return str(int(plain)) if len(plain) < 30 and abs(int(plain)) < _INT_LIMIT else None
        value = float(plain)
        if not value.is_integer() or abs(value) > _EXACT_FLOAT:
            return None
        self.notes.append("whole numbers written with decimals (17.0) read as such")
        return str(int(value))
