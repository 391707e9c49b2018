"""Results on disk: one CSV row per window, written whole and atomically, and a sidecar of what was seen.

The CSV's columns are the fields of :class:`~bench.model.Record`; nothing here repeats their names or types. Writing:

    with store.create(out_dir, "2026-11-23-h100") as results:
        number = results.sensor(meter.sensor, card_state, device)
        results.idle("before", start_ns, end_ns, samples, sensor=number)
        results.append(record, window=window, samples=samples, audit=audit, sensor=number)

Each :meth:`Store.append` puts the evidence into ``<stem>.samples.jsonl`` and syncs it, *before* the row: a row on disk
always has its evidence on disk, so that ``recompute`` and ``verify`` need the sidecar alone. Reading is strict:

    frame = store.read([Path("results/"), Path("a.csv")])   # one DataFrame, or a BenchError with file and line
    sidecar = store.read_sidecar(store.sidecar_path(csv))   # the same, as the frozen types of bench.model
"""

from __future__ import annotations

import contextlib
import csv
import errno
import importlib
import io
import json
import math
import os
import re
import types
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bench.model import SCHEMA_VERSION, Audit, BenchError, CardState, Device, Record, Sample, Sensor, Share, Window

if TYPE_CHECKING:
    import pandas as pd

SIDECAR_VERSION = 1
"""Version of the sidecar's lines. History: 1 = first."""

SIDECAR_SUFFIX = ".samples.jsonl"

FILE, LINE = "file", "line"
"""Two columns that :func:`read` adds: which file a row came from, and at which line it stands (line 1: the header)."""


# ---------------------------------------------------------------------------------------------------------------------
# columns


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
            raise TypeError(f"Record.{entry.name}: {hint} is no column type")
        found.append(Column(entry.name, plain, required, entry.metadata.get("doc", "")))
    return tuple(found)


COLUMNS: tuple[Column, ...] = _columns()
NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)


def cell(value: object) -> str:
    """One value as CSV text: missing is empty, truth is ``true``/``false``, a float is the shortest text that reads
    back as the same float, and control characters in text become spaces, so that a row is always one line.

    Raises:
        ValueError: a float that is not finite; missing is None.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is no figure; missing is None")
        return repr(float(value))
    if isinstance(value, int):
        return str(int(value))
    return "".join(char if char.isprintable() else " " for char in str(value)).strip()


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
        # numpy's scalars are told apart here rather than written as text that reads back otherwise
        if value is not None and type(value) is not column.type and not _is_subtype(value, column.type):
            raise ValueError(f"{column.name} wants {column.type.__name__}, not {value!r}")
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
    """Records as the text of a CSV, header first; what ``--csv -`` prints and what a file holds."""
    return _csv_text([list(NAMES), *(row(record) for record in records)])


def to_json(records: Iterable[Record]) -> str:
    """Records as a JSON list of objects with the CSV's column names; missing is null."""
    return json.dumps([asdict(record) for record in records], indent=1, allow_nan=False) + "\n"


def _csv_text(rows: Iterable[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


# ---------------------------------------------------------------------------------------------------------------------
# writing


def sidecar_path(csv_path: Path) -> Path:
    """``x.csv`` → ``x.samples.jsonl``."""
    return csv_path.with_suffix(SIDECAR_SUFFIX)


class Store:
    """A result CSV and its sidecar while a run is going on. Made by :func:`create`; close it, or use ``with``."""

    def __init__(self, path: Path, sidecar_fd: int) -> None:
        self.path = path
        self.sidecar = sidecar_path(path)
        self._fd = sidecar_fd
        self._length = 0
        self._records: list[Record] = []
        self._lines: list[str] = []
        self._sensors = 0

    @property
    def records(self) -> tuple[Record, ...]:
        """What has been written, oldest first."""
        return tuple(self._records)

    def sensor(self, sensor: Sensor, card_state: CardState | None = None, device: Device | None = None) -> int:
        """Note a power source in the sidecar; the number that comes back names it in :meth:`idle` and :meth:`append`.

        Raises:
            BenchError: the sidecar cannot be written.
        """
        number = self._sensors
        state, what = (None if item is None else _lean(item) for item in (card_state, device))
        self._note({"kind": "sensor", "number": number, "sensor": _lean(sensor), "card_state": state, "device": what})
        self._sensors += 1
        return number

    def idle(self, when: str, start_ns: int, end_ns: int, samples: Iterable[Sample], *, sensor: int) -> None:
        """Note an idle baseline (``when``: ``before`` or ``after``) with its samples.

        Raises:
            BenchError: the sidecar cannot be written.
        """
        self._note(
            {
                "kind": "idle",
                "sensor": self._known(sensor),
                "when": when,
                "start_ns": start_ns,
                "end_ns": end_ns,
                "samples": [_lean(sample) for sample in samples],
            }
        )

    def note(self, name: str, data: Mapping[str, Any]) -> None:
        """Note something else worth keeping (JSON values only), for example a warm-up curve.

        Raises:
            BenchError: the sidecar cannot be written.
        """
        self._note({"kind": "note", "name": name, "data": dict(data)})

    def append(
        self,
        record: Record,
        *,
        window: Window | None = None,
        samples: Iterable[Sample] = (),
        audit: Audit | None = None,
        sensor: int | None = None,
    ) -> int:
        """Write one window: its evidence to the sidecar first, then the whole CSV anew, atomically.

        Returns the row's number, 1 for the first (it stands at line number + 1). Without ``window`` there is no
        evidence to keep and the sidecar gets nothing.

        Raises:
            BenchError: the disk is full or may not be written; the rows written before are still there.
            ValueError: the record breaks the columns' types.
        """
        number = len(self._records) + 1
        line = _csv_text([row(record)])
        if window is not None:
            self._note(
                {
                    "kind": "window",
                    "row": number,
                    "sensor": None if sensor is None else self._known(sensor),
                    **asdict(window),
                    "samples": [_lean(sample) for sample in samples],
                    "audit": None if audit is None else _lean_audit(audit),
                    "columns": _lean(record),
                }
            )
        self._write([*self._lines, line])
        self._records.append(record)
        self._lines.append(line)
        return number

    def replace(self, number: int, record: Record) -> None:
        """Write row ``number`` anew, for a figure known only later, such as the idle baseline after the run.

        Raises:
            BenchError: as :meth:`append`.
            ValueError: the record breaks the columns' types.
            IndexError: there is no such row.
        """
        if not 1 <= number <= len(self._records):
            raise IndexError(f"there is no row {number} of {len(self._records)}")
        lines = list(self._lines)
        lines[number - 1] = _csv_text([row(record)])
        self._write(lines)
        self._records[number - 1] = record
        self._lines = lines

    def close(self) -> None:
        """Close the sidecar. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _known(self, sensor: int) -> int:
        if not 0 <= sensor < self._sensors:
            raise IndexError(f"there is no sensor {sensor}; call Store.sensor first")
        return sensor

    def _note(self, item: dict[str, Any]) -> None:
        line = json.dumps(item, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        try:
            _write_all(self._fd, line)
            os.fsync(self._fd)
        except OSError as error:
            # half a line must not stay in the middle of the file if a later write succeeds
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._length)
            raise _cannot_write(self.sidecar, error) from error
        self._length += len(line)

    def _write(self, lines: Iterable[str]) -> None:
        write_atomically(self.path, _csv_text([NAMES]) + "".join(lines))


def create(out_dir: Path, name: str) -> Store:
    """Begin ``out_dir/name.csv`` and its sidecar. The CSV itself appears with the first row.

    Raises:
        BenchError: the folder cannot be made or written, or a result of this name is there already.
    """
    path = out_dir / f"{name}.csv"
    sidecar = sidecar_path(path)
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        if path.exists():
            raise FileExistsError
        # exclusive: two runs that chose one name cannot share a file
        fd = os.open(sidecar, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        taken = path if path.exists() else sidecar if sidecar.exists() else out_dir
        raise BenchError(f"{taken} is there already", "choose another --out, or move the old file away") from None
    except OSError as error:
        raise _cannot_write(path, error) from error
    store = Store(path, fd)
    try:
        store._note({"kind": "sidecar", "sidecar_version": SIDECAR_VERSION, "schema_version": SCHEMA_VERSION})
    except BenchError:
        store.close()
        sidecar.unlink(missing_ok=True)
        raise
    return store


def write_atomically(path: Path, text: str) -> None:
    """Put ``text`` at ``path`` as a whole or not at all: a synced temporary beside it, renamed over it.

    Raises:
        BenchError: the disk is full or may not be written; what stood at ``path`` is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            _write_all(fd, text.encode())
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise _cannot_write(path, error) from error


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _cannot_write(path: Path, error: OSError) -> BenchError:
    why = error.strerror or str(error)
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    way_out = "free some space; rows written before are intact" if full else "choose a folder that can be written"
    return BenchError(f"cannot write {path} ({why.lower()})", way_out)


def _lean(item: Any) -> dict[str, Any]:
    """A frozen dataclass as a JSON object without the fields that stand at their default."""
    lean = {}
    for entry in fields(item):
        value = getattr(item, entry.name)
        default = entry.default_factory() if entry.default_factory is not MISSING else entry.default
        if entry.default is MISSING and entry.default_factory is MISSING or value != default:
            lean[entry.name] = _plain(value)
    return lean


_NONCE_HEX = 8
"""Hex digits of a header's last field, the nonce in little-endian order."""


def _lean_audit(audit: Audit) -> dict[str, Any]:
    """An audit with its shares by header: thousands of nonces share one, so it is written once.

    Raises:
        ValueError: a share's header holds another nonce than the share says.
    """
    lean = _lean(replace(audit, shares=()))
    nonces: dict[str, list[int]] = {}
    for share in audit.shares:
        if not share.header_hex.endswith(share.nonce.to_bytes(4, "little").hex()):
            raise ValueError(f"the header of share {share.nonce} holds another nonce")
        nonces.setdefault(share.header_hex[:-_NONCE_HEX], []).append(share.nonce)
    return {**lean, "nonces": nonces} if nonces else lean


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_lean(part) if hasattr(part, "__dataclass_fields__") else part for part in value]
    return {key: _finite(part) for key, part in value.items()} if isinstance(value, Mapping) else value


def _finite(value: Any) -> Any:
    """JSON has no infinity and no NaN: a residual that is one of them is written as text."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


# ---------------------------------------------------------------------------------------------------------------------
# the sidecar, read back


@dataclass(frozen=True, slots=True)
class SensorNote:
    """A power source of a run, what it was attached to, and the card's settings."""

    sensor: Sensor
    card_state: CardState | None = None
    device: Device | None = None


@dataclass(frozen=True, slots=True)
class IdleNote:
    """An idle baseline: the device's context exists and nothing runs."""

    sensor: int
    when: str
    start_ns: int
    end_ns: int
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class WindowNote:
    """The evidence behind one CSV row; ``row`` 1 stands at line 2."""

    row: int
    window: Window
    samples: tuple[Sample, ...] = ()
    audit: Audit | None = None
    sensor: int | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    """The row's columns as they were first written; missing ones are left out."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """All that a sidecar holds. ``torn``: the last line was cut off by a kill and is left out."""

    path: Path
    sensors: tuple[SensorNote, ...]
    idles: tuple[IdleNote, ...]
    windows: tuple[WindowNote, ...]
    notes: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    torn: bool = False


@dataclass(slots=True)
class _Parts:
    sensors: list[SensorNote] = field(default_factory=list)
    idles: list[IdleNote] = field(default_factory=list)
    windows: list[WindowNote] = field(default_factory=list)
    notes: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)


def read_sidecar(path: Path) -> Sidecar:
    """Read a sidecar. A last line without its newline that does not parse was torn by a kill and is left out.

    Raises:
        BenchError: no such file, no sidecar, a newer version, or damage anywhere else, with the line.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _cannot_read(path, error) from error
    lines = raw.split(b"\n")
    whole = lines.pop() == b""
    if not whole:
        lines = raw.split(b"\n")
    parts = _Parts()
    torn = False
    for number, line in enumerate(lines, 1):
        try:
            _take(json.loads(line), parts, first=number == 1)
        except BenchError as error:
            raise BenchError(f"{path}, line {number}: {error.message}", error.fix) from None
        except (ValueError, KeyError, TypeError, IndexError) as error:
            if number == len(lines) and not whole and number > 1:
                torn = True
                break
            raise BenchError(
                f"{path}, line {number}: damaged ({type(error).__name__}: {error})",
                "restore the file from a copy; only a cut-off last line can be passed over",
            ) from None
    if not lines:
        raise BenchError(f"{path} is empty", "give the sidecar that stands beside a result CSV")
    return Sidecar(path, tuple(parts.sensors), tuple(parts.idles), tuple(parts.windows), tuple(parts.notes), torn=torn)


def _take(item: Any, parts: _Parts, *, first: bool) -> None:
    if first != (item["kind"] == "sidecar"):
        raise BenchError("not a bitwatt sidecar", f"give the {SIDECAR_SUFFIX} file that stands beside a result CSV")
    match item["kind"]:
        case "sidecar":
            for name, known in (("sidecar_version", SIDECAR_VERSION), ("schema_version", SCHEMA_VERSION)):
                if not 1 <= int(item[name]) <= known:
                    raise BenchError(
                        f"{name} {item[name]} is newer than this bitwatt's {known}", "update bitwatt to read it"
                    )
        case "sensor":
            if item["number"] != len(parts.sensors):
                raise ValueError(f"sensor {item['number']} where {len(parts.sensors)} was due")
            state, device = item["card_state"], item["device"]
            parts.sensors.append(
                SensorNote(
                    Sensor(**{name: _tupled(value) for name, value in item["sensor"].items()}),
                    None if state is None else CardState(**state),
                    None if device is None else Device(**device),
                )
            )
        case "idle":
            parts.idles.append(
                IdleNote(
                    _sensor_number(item["sensor"], parts),
                    item["when"],
                    int(item["start_ns"]),
                    int(item["end_ns"]),
                    tuple(_sample(sample) for sample in item["samples"]),
                )
            )
        case "window":
            if item["row"] != len(parts.windows) + 1 and not _is_retry(item, parts):
                raise ValueError(f"row {item['row']} where {len(parts.windows) + 1} was due")
            parts.windows.append(
                WindowNote(
                    int(item["row"]),
                    Window(int(item["start_ns"]), int(item["end_ns"]), int(item["launches"]), float(item["work"])),
                    tuple(_sample(sample) for sample in item["samples"]),
                    None if item["audit"] is None else _audit(item["audit"]),
                    None if item["sensor"] is None else _sensor_number(item["sensor"], parts),
                    dict(item["columns"]),
                )
            )
        case "note":
            parts.notes.append((item["name"], item["data"]))
        case kind:
            raise ValueError(f"unknown kind {kind!r}")


def _is_retry(item: Mapping[str, Any], parts: _Parts) -> bool:
    """A row whose evidence was written but whose CSV write failed is announced again; the later one counts."""
    if parts.windows and item["row"] == parts.windows[-1].row:
        parts.windows.pop()
        return True
    # windows without evidence leave a gap, never a step back
    return bool(item["row"] > (parts.windows[-1].row if parts.windows else 0))


def _sensor_number(number: int, parts: _Parts) -> int:
    if not 0 <= number < len(parts.sensors):
        raise ValueError(f"sensor {number} was never announced")
    return number


def _sample(item: Mapping[str, Any]) -> Sample:
    return Sample(**{name: _tupled(value) for name, value in item.items()})


def _tupled(value: Any) -> Any:
    """JSON knows lists only; the frozen types hold tuples."""
    return tuple(map(_tupled, value)) if isinstance(value, list) else value


def _audit(item: Mapping[str, Any]) -> Audit:
    shares = tuple(
        Share(header + int(nonce).to_bytes(4, "little").hex(), int(nonce))
        for header, nonces in item.get("nonces", {}).items()
        for nonce in nonces
    )
    rest = {name: value for name, value in item.items() if name != "nonces"}
    return Audit(**{**rest, "reasons": tuple(item.get("reasons", ())), "shares": shares})


# ---------------------------------------------------------------------------------------------------------------------
# the CSV, read back


def expand(paths: Sequence[Path]) -> list[Path]:
    """Files as given, folders as their ``*.csv`` in order of name; each file once.

    Raises:
        BenchError: no such path, or a folder without a CSV.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(path.glob("*.csv"))
            if not inside:
                raise BenchError(f"{path} holds no .csv file", "give result CSVs, or a folder that holds some")
            found.update(dict.fromkeys(inside))
        elif path.is_file():
            found[path] = None
        else:
            raise BenchError(f"there is no file {path}", "check the path; give result CSVs or folders of them")
    if not found:
        raise BenchError("no CSV was given", "give one or more result CSVs, or a folder that holds some")
    return list(found)


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
        raise _cannot_read(path, error) from error
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
    body = "".join(_csv_text([row(record)]) for record in records).encode()
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


def _cannot_read(path: Path, error: OSError) -> BenchError:
    return BenchError(f"cannot read {path} ({(error.strerror or str(error)).lower()})", "check the path and its rights")
