"""Reading result CSVs back: every cell is of its column's type, or the file is refused by line.

pyarrow parses and checks files as bitwatt wrote them; any other goes through :mod:`bench.storage.dialect`.
"""

from __future__ import annotations

import csv
import importlib
import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.model import SCHEMA_VERSION, BenchError, Record
from bench.model.text import clean
from bench.storage.columns import COLUMNS, NAMES, csv_text, row
from bench.storage.dialect import Understood, understand
from bench.storage.files import MOST_BYTES, cannot_read, expand, is_stream, read_bytes, too_large

if TYPE_CHECKING:
    import pandas as pd

FILE, LINE = "file", "line"
"""Two columns that :func:`read` adds: the file a row came from, and its line there (line 1 is the header)."""


_LOGGER = logging.getLogger(__name__)

_BATCH_BYTES = 16 << 20
_BLOCK_BYTES = 1 << 20
"""Bodies up to this are read without threads: Arrow aborts now and then when a process ends soon after an error."""
_MOST_LINE_BYTES = 1 << 20
_MOST_DIALECT_BYTES = 256 << 20
"""Largest file of another program, which is read as a whole and cell by cell."""

LARGEST, SMALLEST = 1e50, 1e-50
"""Bounds of any figure but a probability, so that ratios, squares and sums of them stay finite."""

WINDOW_IDENTITY = (
    *("run_id", "started_utc", "device_uuid", "device_name", "device_index", "power_limit_w", "repeat"),
    *("workload", "phase", "shape", "dtype", "batch", "seq", "product", "implementation", "options"),
)
"""Columns that together name one window: two rows alike in all of them are copies of one measurement."""


def read(
    paths: Sequence[Path], columns: Sequence[str] | None = None, *, note: Callable[[str], None] = _LOGGER.warning
) -> pd.DataFrame:
    """Read result CSVs into one frame: every cell is of its column's type, or the file is refused.

    A file that another program saved is read where its meaning is certain; ``note`` is called with a sentence on what
    was understood. A window that is there more than once, in copies of a file, is kept once, with a sentence too.

    Args:
        paths: files, folders of them, or ``-`` for standard input.
        columns: those to keep, by default all. Every column is checked, also those that are not kept.
        note: takes sentences for a person to read; by default they are logged.

    Returns:
        One row per window in the order given: ``columns`` plus :data:`FILE` and :data:`LINE`. Text is ``category``,
        floats ``float64`` with NaN for missing, counts ``int64`` (``Int64`` where they may be missing), truth ``bool``
        (``boolean`` where it may be missing).

    Raises:
        BenchError: no such file, empty, too large, not a result CSV, a required column missing, a newer schema, a cell
            whose meaning is not certain, a figure out of bounds, a cut-off row. With file, line and column.
    """
    kept = list(NAMES) if columns is None else list(columns)
    frame = _load(paths, [*kept, *(name for name in WINDOW_IDENTITY if name not in kept)], note)
    return _without_copies(frame, note)[[FILE, LINE, *kept]]


def _without_copies(frame: pd.DataFrame, note: Callable[[str], None]) -> pd.DataFrame:
    copies = frame.duplicated(list(WINDOW_IDENTITY))
    if not copies.any():
        return frame
    where = frame.loc[copies, [FILE, LINE]].iloc[0]
    count = int(copies.sum())
    rows = "1 row is a copy" if count == 1 else f"{count} rows are copies"
    note(f"{rows} of windows read before and not counted again, the first at {where[FILE]}, line {where[LINE]}")
    return frame.loc[~copies].reset_index(drop=True)


def _load(paths: Sequence[Path], kept: Sequence[str], note: Callable[[str], None]) -> pd.DataFrame:
    """Every row of every file, copies included."""
    arrow: Any = importlib.import_module("pyarrow")
    files = expand(paths)
    foreign: dict[Path, Understood] = {}
    while True:
        tables, parts = [], []
        for batch in _batches(files, foreign):
            table = _parse(batch, kept)
            if table is None:
                # Arrow says only that something differs; the slow way either understands the files or says where
                if all(part.path in foreign for part in batch.parts):
                    raise BenchError(f"{batch.parts[0].path} cannot be read as a CSV", "restore the file from a copy")
                foreign |= {part.path: _understood(part.path, note) for part in batch.parts}
                break
            tables.append(table.select(list(kept)))
            parts += batch.parts
        else:
            break
    whole = arrow.concat_tables(tables).unify_dictionaries()
    del tables
    return _within_bounds(_frame(whole, parts))


def _understood(path: Path, note: Callable[[str], None]) -> Understood:
    found = understand(read_bytes(path, _MOST_DIALECT_BYTES), path)
    if found.notes:
        note(f"{path}: {'; '.join(found.notes)}")
    return found


def _within_bounds(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame, if every figure is one that can be computed with."""
    for column in COLUMNS:
        if column.type is not float or column.name not in frame:
            continue
        size = frame[column.name].abs()
        wrong = size > LARGEST
        if not column.name.endswith("_p_value"):
            wrong |= (size > 0) & (size < SMALLEST)
        if wrong.any():
            row = frame.loc[wrong].iloc[0]
            raise BenchError(
                f"{row[FILE]}, line {row[LINE]}: {column.name} is {row[column.name]:g}, which no device can reach",
                "correct the cell; missing is an empty cell",
            )
    return frame


@dataclass(frozen=True, slots=True)
class _Part:
    """Whole lines of one file, and their numbers there."""

    path: Path
    lines: Sequence[int]


@dataclass(slots=True)
class _Batch:
    """Whole lines of one or more files with the same header, read in one go: 2,000 small files cost as few calls."""

    header: tuple[str, ...]
    parts: list[_Part]
    body: list[memoryview]
    size: int = 0


def _batches(paths: Iterable[Path], foreign: Mapping[Path, Understood]) -> Iterator[_Batch]:
    """The files' rows in order. Those in ``foreign`` have been understood already and are not opened."""
    batch: _Batch | None = None
    for path in paths:
        header: tuple[str, ...] = ()
        for lines, body, found in _rows_of(foreign[path]) if path in foreign else _pieces(path):
            header = found or header
            if batch is not None and (batch.header != header or batch.size + len(body) > _BATCH_BYTES):
                yield batch
                batch = None
            if batch is None:
                batch = _Batch(header, [], [])
            batch.parts.append(_Part(path, lines))
            batch.body.append(body)
            batch.size += len(body)
    if batch is not None:
        yield batch


def _rows_of(found: Understood) -> Iterator[tuple[Sequence[int], memoryview, tuple[str, ...]]]:
    yield found.lines, memoryview(csv_text(found.rows).encode()), NAMES


def _pieces(path: Path) -> Iterator[tuple[Sequence[int], memoryview, tuple[str, ...]]]:
    """A file's rows as runs of whole lines: (their numbers, the lines, the header with the first run).

    A file that is not plainly as bitwatt wrote it gives a header without names, which no batch can be parsed with.
    """
    line, rest = 2, memoryview(b"")
    unclear: tuple[Sequence[int], memoryview, tuple[str, ...]] = range(0), memoryview(b""), ("",)
    if is_stream(path):
        yield unclear
        return
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > MOST_BYTES:
                raise too_large(path, MOST_BYTES)
            header = _header(stream.readline(_MOST_LINE_BYTES))
            if header is None:
                yield unclear
                return
            while True:
                # a fresh buffer each time, for the one before is still in use, and no larger than what is left to read
                left = size - stream.tell()
                room = bytearray(len(rest) + min(_BATCH_BYTES, max(left, 1)))
                buffer = memoryview(room)
                buffer[: len(rest)] = rest
                got = stream.readinto(buffer[len(rest) :])
                if not got:
                    break
                filled = len(rest) + got
                cut = room.rfind(b"\n", 0, filled) + 1
                if cut:
                    count = _newlines(buffer[:cut])
                    yield range(line, line + count), buffer[:cut], header
                    line += count
                    header = ()
                rest = buffer[cut:filled]
                if len(rest) > _MOST_LINE_BYTES:
                    raise BenchError(
                        f"{path}, line {line}: longer than {_MOST_LINE_BYTES >> 20} MiB",
                        "give files that bitwatt wrote",
                    )
    except OSError as error:
        raise cannot_read(path, error) from error
    if rest or line == 2:
        yield unclear


def _newlines(data: memoryview) -> int:
    import numpy as np

    return int(np.count_nonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n")))


def _header(line: bytes) -> tuple[str, ...] | None:
    """The header's names, if they are exactly ours in whatever order."""
    try:
        (names,) = csv.reader([line.decode("utf-8-sig")])
    except (UnicodeDecodeError, ValueError, csv.Error):
        return None
    return tuple(names) if sorted(names) == sorted(NAMES) else None


def _parse(batch: _Batch, kept: Collection[str]) -> Any:
    """The batch as an Arrow table whose every cell is of its column's type, or None where one is not.

    Optional text that is not kept has nothing that could be wrong and is not parsed.
    """
    if batch.header == ("",):
        return None
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
    if table.num_rows != sum(len(part.lines) for part in batch.parts):
        return None
    for column in checked:
        values = table[column.name]
        if column.required and values.null_count:
            return None
        if column.type is float and compute.all(compute.is_finite(values)).as_py() is False:
            return None
    lowest, highest = compute.min_max(table["schema_version"]).as_py().values()
    return table if lowest >= 1 and highest <= SCHEMA_VERSION else None


def _frame(table: Any, parts: Sequence[_Part]) -> pd.DataFrame:
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
            data[name] = _cleaned(values.to_pandas())
        else:
            plain = values.to_numpy(zero_copy_only=False)
            # without missing cells Arrow lends its own memory, which nobody may write to
            data[name] = plain if plain.flags.writeable else plain.copy()
    files = [str(part.path) for part in parts]
    codes = np.repeat(np.array(_codes(files), dtype=np.int32), [len(part.lines) for part in parts])
    where = pd.Categorical.from_codes(codes, categories=pd.Index(dict.fromkeys(files)))
    lines = np.concatenate([np.asarray(part.lines, dtype=np.int64) for part in parts])
    return pd.DataFrame({FILE: where, LINE: lines, **data}, copy=False)


def _cleaned(texts: pd.Series[Any]) -> pd.Series[Any]:
    """Text whose control characters are shown: whatever prints it sends none to a terminal."""
    if all(clean(text) == text for text in texts.cat.categories):
        return texts
    return texts.astype(object).map(clean, na_action="ignore").replace("", None).astype("category")


def _arrow_bool() -> Any:
    return importlib.import_module("pyarrow").bool_()


def _codes(files: list[str]) -> list[int]:
    number: dict[str, int] = {}
    return [number.setdefault(file, len(number)) for file in files]


def read_records(path: Path) -> list[Record]:
    """One CSV as records, copies included, for few rows.

    Raises:
        BenchError: as :func:`read`.
    """
    return to_records(_load([path], NAMES, _LOGGER.warning))


def to_frame(records: Sequence[Record], name: str = "this run") -> pd.DataFrame:
    """Records as the frame that :func:`read` gives of a file called ``name``; there must be at least one."""
    body = csv_text(row(record) for record in records).encode()
    batch = _Batch(NAMES, [_Part(Path(name), range(2, 2 + len(records)))], [memoryview(body)])
    return _frame(_parse(batch, NAMES).unify_dictionaries(), batch.parts)


def to_records(frame: pd.DataFrame) -> list[Record]:
    """The rows of a frame as records; missing becomes None."""
    import pandas as pd

    columns: dict[str, list[Any]] = {}
    for column in COLUMNS:
        values = frame[column.name].astype(object).tolist()
        columns[column.name] = [None if value is None or pd.isna(value) else column.type(value) for value in values]
    return [Record(**dict(zip(columns, values, strict=True))) for values in zip(*columns.values(), strict=True)]
