"""Files: found, written whole or not at all, and what is said when they cannot be."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence
from pathlib import Path

from bench.model import BenchError


def expand(paths: Sequence[Path]) -> list[Path]:
    """Files as given and folders as their ``*.csv`` in order of name; each file once.

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


def write_atomically(path: Path, text: str) -> None:
    """Write all of ``text`` to ``path`` or nothing: a synced temporary file in the same folder is renamed over it.

    Raises:
        BenchError: the disk is full or may not be written; what was at ``path`` is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            write_all(fd, text.encode())
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
        raise cannot_write(path, error) from error


def write_all(fd: int, data: bytes) -> None:
    """Write all of ``data``, however many calls that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def cannot_write(path: Path, error: OSError) -> BenchError:
    """The error for a file that could not be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    way_out = "free some space; rows written before are intact" if full else "choose a folder that can be written"
    return BenchError(f"cannot write {path} ({_reason(error)})", way_out)


def cannot_read(path: Path, error: OSError) -> BenchError:
    """The error for a file that could not be read."""
    return BenchError(f"cannot read {path} ({_reason(error)})", "check the path and its permissions")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
