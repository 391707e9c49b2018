"""Reading result CSVs back, strictly: every cell is of its column's type, or the file is refused by line.

pyarrow parses and checks; only where it finds a fault does a slow pass over the file say which cell is wrong.
"""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import math
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.model import SCHEMA_VERSION, BenchError, Record
from bench.storage.columns import COLUMNS, NAMES, csv_text, row
from bench.storage.files import cannot_read, expand

if TYPE_CHECKING:
    import pandas as pd

FILE, LINE = "file", "line"
"""Two columns that :func:`read` adds: the file a row came from, and its line there (line 1 is the header)."""


def read(paths: Sequence[Path], columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read result CSVs into one frame, strictly: every cell is of its column's type or the file is refused.

    Returns one row per window in the order given: ``columns`` (default: all of :data:`NAMES`) plus :data:`FILE` and
    :data:`LINE`. Every column is checked, also those that are not kept. Text is ``category``, floats ``float64`` with
    NaN for missing, counts ``int64`` (``Int64`` where they may be missing), truth ``bool`` (``boolean`` where it may
    be missing).

    Raises:
        BenchError: no such file, empty, not a CSV, a missing, unknown or repeated column, a newer schema, text in a
            number column, a figure that is not finite, an empty required cell, a cut-off row. With file and line.
    """
    kept = list(NAMES) if columns is None else list(columns)
    arrow: Any = importlib.import_module("pyarrow")
    tables, files, rows = [], [], []
    for batch in _batches(expand(paths)):
        table = _parse(batch, kept)
        if table is None:
            # Arrow says only that something is wrong; the slow pass says where
            for path in dict.fromkeys(part.path for part in batch.parts):
                _diagnose(path)
            raise BenchError(f"{batch.parts[0].path} cannot be read as a CSV", "restore the file from a copy")
        tables.append(table.select(kept))
        for part in batch.parts:
            files.append(str(part.path))
            rows.append((part.first_line, part.rows))
    whole = arrow.concat_tables(tables).unify_dictionaries()
    del tables
    return _frame(whole, files, rows)


_BATCH_BYTES = 16 << 20
_BLOCK_BYTES = 1 << 20
"""Bodies up to this are read without threads: Arrow aborts now and then when a process ends soon after an error."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Whole lines of one file: ``rows`` of them, the first at line ``first_line``."""

    path: Path
    first_line: int
    rows: int


@dataclass(slots=True)
class _Batch:
    """Whole lines of one or more files with the same header, read in one go: 2,000 small files cost as few calls."""

    header: tuple[str, ...]
    parts: list[_Part]
    body: list[memoryview]
    size: int = 0


def _batches(paths: Iterable[Path]) -> Iterator[_Batch]:
    batch: _Batch | None = None
    for path in paths:
        header: tuple[str, ...] = ()
        for first_line, lines, found in _pieces(path):
            header = found or header
            if batch is not None and (batch.header != header or batch.size + len(lines) > _BATCH_BYTES):
                yield batch
                batch = None
            if batch is None:
                batch = _Batch(header, [], [])
            batch.parts.append(_Part(path, first_line, _newlines(lines)))
            batch.body.append(lines)
            batch.size += len(lines)
    if batch is not None:
        yield batch


def _pieces(path: Path) -> Iterator[tuple[int, memoryview, tuple[str, ...]]]:
    """A file's rows as runs of whole lines: (line number of the first, the lines, the header with the first run)."""
    line, rest = 2, memoryview(b"")
    try:
        with path.open("rb") as stream:
            header = _header(path, stream.readline(), stream)
            while True:
                # a fresh buffer each time, for the one before is still in use, and no larger than what is left to read
                left = os.fstat(stream.fileno()).st_size - stream.tell()
                room = bytearray(len(rest) + min(_BATCH_BYTES, max(left, 1)))
                buffer = memoryview(room)
                buffer[: len(rest)] = rest
                got = stream.readinto(buffer[len(rest) :])
                if not got:
                    break
                filled = len(rest) + got
                cut = room.rfind(b"\n", 0, filled) + 1
                if cut:
                    yield line, buffer[:cut], header
                    line += _newlines(buffer[:cut])
                    header = ()
                rest = buffer[cut:filled]
    except OSError as error:
        raise cannot_read(path, error) from error
    if rest:
        raise BenchError(
            f"{path}, line {line}: the file ends in the middle of a row",
            "restore it from a copy; if the row is whole, end the file with a newline",
        )
    if line == 2:
        raise BenchError(f"{path} has a header and no rows", "leave it out, or run the bench again")


def _newlines(data: memoryview) -> int:
    import numpy as np

    return int(np.count_nonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n")))


def _header(path: Path, line: bytes, stream: io.BufferedReader) -> tuple[str, ...]:
    """The header's names, each known, none missing, none twice."""
    if not line.strip():
        raise BenchError(f"{path} is empty", "leave it out, or run the bench again")
    try:
        (names,) = csv.reader([line.decode("utf-8-sig")])
    except (UnicodeDecodeError, ValueError, csv.Error):
        names = []
    known = set(NAMES)
    if not known.intersection(names):
        raise BenchError(f"{path} is not a bitwatt result CSV", "give files that `bitwatt run` wrote, or their folder")
    missing = [name for name in NAMES if name not in names]
    unknown = [name for name in names if name not in known]
    twice = [name for name in known if names.count(name) > 1]
    if missing or unknown or twice:
        if "schema_version" in names:
            # a newer file has other columns; its version is the real news
            start = stream.tell()
            with contextlib.suppress(UnicodeDecodeError, StopIteration, IndexError, ValueError, csv.Error):
                cells = next(csv.reader([stream.readline().decode()]))
                _check_schema(path, 2, int(cells[names.index("schema_version")]))
            stream.seek(start)
        if missing:
            raise BenchError(
                f"{path}, line 1: the column {missing[0]!r} is missing", "restore the file as `bitwatt run` wrote it"
            )
        what = f"the column {unknown[0]!r} is unknown" if unknown else f"the column {twice[0]!r} stands there twice"
        raise BenchError(f"{path}, line 1: {what}", "remove the column")
    return tuple(names)


def _check_schema(path: Path, line: int, version: int) -> None:
    if version > SCHEMA_VERSION:
        raise BenchError(
            f"{path}, line {line}: schema_version {version} is newer than this bitwatt's {SCHEMA_VERSION}",
            "update bitwatt to read it",
        )
    if version < 1:
        raise BenchError(f"{path}, line {line}: there is no schema_version {version}", "restore the file from a copy")


def _parse(batch: _Batch, kept: Collection[str]) -> Any:
    """The batch as an Arrow table whose every cell is of its column's type, or None where one is not.

    Optional text that is not kept has nothing that could be wrong and is passed over.
    """
    pa: Any = importlib.import_module("pyarrow")
    compute: Any = importlib.import_module("pyarrow.compute")
    arrow_csv: Any = importlib.import_module("pyarrow.csv")
    kinds = {str: pa.dictionary(pa.int32(), pa.string()), bool: pa.bool_(), float: pa.float64(), int: pa.int64()}
    body = batch.body[0] if len(batch.body) == 1 else b"".join(batch.body)
    checked = [column for column in COLUMNS if column.name in kept or column.required or column.type is not str]
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(body),
            read_options=arrow_csv.ReadOptions(
                column_names=list(batch.header), block_size=_BLOCK_BYTES, use_threads=len(body) > _BLOCK_BYTES
            ),
            parse_options=arrow_csv.ParseOptions(ignore_empty_lines=False),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=[column.name for column in checked],
                column_types={column.name: kinds[column.type] for column in checked},
                null_values=[""],
                strings_can_be_null=True,
                true_values=["true"],
                false_values=["false"],
            ),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != sum(part.rows for part in batch.parts):
        return None
    for column in checked:
        values = table[column.name]
        if column.required and values.null_count:
            return None
        if column.type is float and compute.all(compute.is_finite(values)).as_py() is False:
            return None
    lowest, highest = compute.min_max(table["schema_version"]).as_py().values()
    return table if lowest >= 1 and highest <= SCHEMA_VERSION else None


_PATTERNS: Mapping[type, str] = {
    int: r"-?[0-9]+",
    float: r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?",
    bool: r"true|false",
}
_WANTED: Mapping[type, str] = {int: "a whole number", float: "a number", bool: "true or false"}


def _diagnose(path: Path) -> None:
    """Go through a file cell by cell and raise for the first that is wrong; silent when none is."""
    patterns = {kind: re.compile(text) for kind, text in _PATTERNS.items()}
    by_name = {column.name: column for column in COLUMNS}
    restore = "restore the file from a copy"
    line = 1
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, strict=True)
            header = next(reader)
            for cells in reader:
                line += 1
                if reader.line_num != line:
                    raise BenchError(f"{path}, line {line}: a quoted cell runs over the end of the line", restore)
                if len(cells) != len(header):
                    raise BenchError(f"{path}, line {line}: {len(cells)} cells where {len(header)} are due", restore)
                for name, text in zip(header, cells, strict=True):
                    column = by_name[name]
                    if not text and column.required:
                        raise BenchError(f"{path}, line {line}: {name} is empty and must not be", restore)
                    if text and column.type is not str:
                        figure = patterns[column.type].fullmatch(text.strip())
                        if not figure or (column.type is float and not math.isfinite(float(text))):
                            raise BenchError(
                                f"{path}, line {line}: {name} is {text!r} and must be {_WANTED[column.type]}",
                                "correct the cell; missing is an empty cell",
                            )
                    if name == "schema_version":
                        _check_schema(path, line, int(text))
    except UnicodeDecodeError as error:
        raise BenchError(f"{path}, line {line + 1}: not UTF-8 text ({error.reason})", restore) from None
    except csv.Error as error:
        raise BenchError(f"{path}, line {line + 1}: not a CSV ({error})", restore) from None


def _frame(table: Any, files: list[str], rows: list[tuple[int, int]]) -> pd.DataFrame:
    """An Arrow table of checked cells as the frame that :func:`read` promises."""
    import numpy as np
    import pandas as pd

    by_name = {column.name: column for column in COLUMNS}
    data: dict[str, Any] = {}
    for name in table.column_names:
        values = table[name].combine_chunks()
        table = table.drop_columns([name])  # frees each column once it has been turned
        column = by_name[name]
        if column.type is int and not column.required:
            data[name] = pd.array(values.to_numpy(zero_copy_only=False), dtype="Int64")
        elif column.type is bool and not column.required:
            data[name] = values.to_pandas(types_mapper={_arrow_bool(): pd.BooleanDtype()}.get)
        elif column.type is str:
            data[name] = values.to_pandas()
        else:
            plain = values.to_numpy(zero_copy_only=False)
            # without missing cells Arrow lends its own memory, which nobody may write to
            data[name] = plain if plain.flags.writeable else plain.copy()
    codes = np.repeat(np.array(_codes(files), dtype=np.int32), [count for _, count in rows])
    where = pd.Categorical.from_codes(codes, categories=pd.Index(dict.fromkeys(files)))
    lines = np.concatenate([np.arange(first, first + count) for first, count in rows])
    return pd.DataFrame({FILE: where, LINE: lines, **data}, copy=False)


def _arrow_bool() -> Any:
    return importlib.import_module("pyarrow").bool_()


def _codes(files: list[str]) -> list[int]:
    number: dict[str, int] = {}
    return [number.setdefault(file, len(number)) for file in files]


def read_records(path: Path) -> list[Record]:
    """One CSV as records, for few rows.

    Raises:
        BenchError: as :func:`read`.
    """
    return to_records(read([path]))


def to_frame(records: Sequence[Record], name: str = "this run") -> pd.DataFrame:
    """Records as the frame that :func:`read` gives of a file called ``name``; there must be at least one."""
    body = "".join(csv_text([row(record)]) for record in records).encode()
    batch = _Batch(NAMES, [_Part(Path(name), 2, len(records))], [memoryview(body)])
    return _frame(_parse(batch, NAMES).unify_dictionaries(), [name], [(2, len(records))])


def to_records(frame: pd.DataFrame) -> list[Record]:
    """The rows of a frame as records; missing becomes None."""
    import pandas as pd

    columns: dict[str, list[Any]] = {}
    for column in COLUMNS:
        values = frame[column.name].astype(object).tolist()
        columns[column.name] = [None if value is None or pd.isna(value) else column.type(value) for value in values]
    return [Record(**dict(zip(columns, values, strict=True))) for values in zip(*columns.values(), strict=True)]
