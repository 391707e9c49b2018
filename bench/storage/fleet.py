"""The rows of a whole fleet in one file: a result CSV's columns and those that say where in the fleet a row is from.

Parquet loads a hundred times faster than CSV and keeps the columns' types; it also holds what the fleet lacks. Both are
written piece by piece, so that memory does not grow with the fleet.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from bench.model import BenchError
from bench.storage.columns import COLUMNS, Column
from bench.storage.files import cannot_read, cannot_write

if TYPE_CHECKING:
    import pandas as pd

FLEET_COLUMNS: tuple[Column, ...] = (
    Column("node", str, True, "node that the card is in"),
    Column("card", str, True, "UUID of the card; where it has none, its kind and index"),
    Column("slot", int, True, "index of the card on its node"),
    Column("together", bool, True, "whether all cards of the node were measured at once"),
    Column("neighbours_power_w", float, False, "mean power of the node's other cards in the window, summed over them"),
)
"""What a merged file has before the columns of a result CSV."""

MISSING = b"bitwatt.missing"
"""Key of the Parquet metadata that holds the list of missing cards, as JSON."""


class FleetWriter:
    """Writes a merged file, whole or not at all: it appears under its name when the ``with`` block ends well.

    Raises:
        BenchError: the suffix is neither .parquet nor .csv, or the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix not in (".parquet", ".csv"):
            raise BenchError(f"{path} is neither .parquet nor .csv", "name the output FLEET.parquet or FLEET.csv")
        self.path = path
        self.rows = 0
        self.missing: Sequence[Mapping[str, str]] = ()
        """Set before the block ends: the cards that the fleet lacks."""
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._parquet = path.suffix == ".parquet"
        self._schema = schema(dictionaries=self._parquet)
        self._writer: Any = None

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self._parquet:
                self._writer = importlib.import_module("pyarrow.parquet").ParquetWriter(
                    self._temporary, self._schema, compression="zstd"
                )
            else:
                self._writer = importlib.import_module("pyarrow.csv").CSVWriter(self._temporary, self._schema)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        return self

    def append(self, frame: pd.DataFrame) -> None:
        """Append rows: a frame with all columns of :data:`FLEET_COLUMNS` and of a result CSV.

        Raises:
            BenchError: the disk is full or may not be written.
        """
        arrow: Any = importlib.import_module("pyarrow")
        table = arrow.Table.from_pandas(frame[self._schema.names], preserve_index=False).cast(self._schema)
        try:
            self._writer.write_table(table)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self.rows += len(frame)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._parquet and kind is None:
                self._writer.add_key_value_metadata({MISSING: json.dumps(list(self.missing)).encode()})
            self._writer.close()
            if kind is None:
                self._temporary.replace(self.path)
        except OSError as error:
            if kind is None:
                raise cannot_write(self.path, error) from error
        finally:
            with contextlib.suppress(OSError):
                self._temporary.unlink(missing_ok=True)


def schema(*, dictionaries: bool) -> Any:
    """The Arrow schema of a merged file; text is dictionary-encoded in Parquet."""
    pa: Any = importlib.import_module("pyarrow")
    text = pa.dictionary(pa.int32(), pa.string()) if dictionaries else pa.string()
    kinds = {str: text, bool: pa.bool_(), float: pa.float64(), int: pa.int64()}
    return pa.schema([pa.field(each.name, kinds[each.type]) for each in (*FLEET_COLUMNS, *COLUMNS)])


def read_fleet(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """A merged Parquet file as a frame with the types of :func:`bench.storage.read`.

    Args:
        path: what ``bitwatt merge -o`` wrote.
        columns: those to read, by default all.

    Raises:
        BenchError: the file cannot be read, or is not a merged file.
    """
    import pandas as pd

    table = _open(path, columns)
    frame: pd.DataFrame = table.to_pandas(
        types_mapper={_arrow("int64"): pd.Int64Dtype(), _arrow("bool_"): pd.BooleanDtype()}.get
    )
    for each in (*FLEET_COLUMNS, *COLUMNS):
        if each.required and each.name in frame and each.type is int:
            frame[each.name] = frame[each.name].astype("int64")
        elif each.required and each.name in frame and each.type is bool:
            frame[each.name] = frame[each.name].astype("bool")
    return frame


def read_missing(path: Path) -> list[dict[str, str]]:
    """The cards that a merged Parquet file lacks, each with ``node``, ``card`` and ``reason``.

    Raises:
        BenchError: as :func:`read_fleet`.
    """
    parquet: Any = importlib.import_module("pyarrow.parquet")
    metadata = _loaded(path, parquet.read_metadata).metadata or {}
    found: list[dict[str, str]] = json.loads(metadata.get(MISSING, b"[]"))
    return found


def _open(path: Path, columns: Sequence[str] | None) -> Any:
    """The table; an optional column that the file lacks, because it is older than the column, is empty."""
    pa: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    fields = schema(dictionaries=True)
    wanted = fields.names if columns is None else list(columns)
    required = {each.name for each in (*FLEET_COLUMNS, *COLUMNS) if each.required}
    present = set(_loaded(path, parquet.read_schema).names)
    lacking = [name for name in wanted if name not in present]
    for name in lacking:
        if name in required:
            raise BenchError(f"{path} has no column {name}", "merge the shards again: bitwatt merge DIR -o FILE")
    kept = [name for name in wanted if name in present]
    table = _loaded(path, lambda stream: parquet.read_table(stream, columns=kept))
    for name in lacking:
        table = table.append_column(fields.field(name), pa.nulls(table.num_rows, fields.field(name).type))
    return table.select(wanted)


def _loaded(path: Path, load: Callable[[Any], Any]) -> Any:
    pa: Any = importlib.import_module("pyarrow")
    try:
        with path.open("rb") as stream:
            return load(stream)
    except pa.ArrowInvalid as error:
        raise BenchError(f"{path} is not a Parquet file", "give what `bitwatt merge -o FLEET.parquet` wrote") from error
    except OSError as error:
        raise cannot_read(path, error) from error


def _arrow(name: str) -> Any:
    return getattr(importlib.import_module("pyarrow"), name)()
