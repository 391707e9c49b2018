"""Results on disk: a CSV with one row per window, and a sidecar with the evidence behind each row.

The CSV's columns are the fields of :class:`~bench.model.Record`. Writing:

    with storage.create(out_dir, "2026-11-23-h100") as results:
        number = results.sensor(meter.sensor, card_state, device)
        results.idle("before", start_ns, end_ns, samples, sensor=number)
        results.append(record, window=window, samples=samples, audit=audit, sensor=number)

:meth:`Store.append` writes and syncs the evidence *before* the row: a row on disk always has its evidence on disk, so
that ``recompute`` and ``verify`` need these two files alone. Reading:

    frame = storage.read([Path("results/"), Path("a.csv")])   # one DataFrame, or a BenchError with file and line
    sidecar = storage.read_sidecar(storage.sidecar_path(csv))

pandas and pyarrow are loaded by the readers, when they are called.
"""

from bench.storage.anonymous import local_salt
from bench.storage.columns import COLUMNS, NAMES, Column, cell, to_csv, to_json
from bench.storage.files import expand, write_atomically
from bench.storage.reader import FILE, LINE, read, read_records, to_frame, to_records
from bench.storage.series import read_series
from bench.storage.sidecar import read_sidecar, sidecar_path
from bench.storage.writer import Store, create

__all__ = [
    "COLUMNS",
    "FILE",
    "LINE",
    "NAMES",
    "Column",
    "Store",
    "cell",
    "create",
    "expand",
    "local_salt",
    "read",
    "read_records",
    "read_series",
    "read_sidecar",
    "sidecar_path",
    "to_csv",
    "to_frame",
    "to_json",
    "to_records",
    "write_atomically",
]
