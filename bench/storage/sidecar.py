"""The sidecar's file; its format is :mod:`bench.model.sidecar`."""

from __future__ import annotations

from pathlib import Path

from bench.model.sidecar import SIDECAR_SUFFIX, Sidecar, decode
from bench.storage.files import cannot_read


def sidecar_path(csv_path: Path) -> Path:
    """``x.csv`` → ``x.samples.jsonl``."""
    return csv_path.with_suffix(SIDECAR_SUFFIX)


def read_sidecar(path: Path) -> Sidecar:
    """Read a sidecar.

    Raises:
        BenchError: no such file, not a sidecar, a newer version, or damage, with the line.
    """
    try:
        with path.open("rb") as stream:
            return decode(stream, path)
    except OSError as error:
        raise cannot_read(path, error) from error
