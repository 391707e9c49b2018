"""Files: found, written whole or not at all, and what is said when they cannot be."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.model import EXIT_IO, EXIT_USAGE, BenchError

STDIN = frozenset({"-", "/dev/stdin"})
STDOUT = frozenset({"-", "/dev/stdout"})
MOST_BYTES = 2 << 30
"""Largest file that is read."""


def expand(paths: Sequence[Path]) -> list[Path]:
    """Files as given and folders as their ``*.csv`` in order of name; each file once, however it is named.

    ``-`` is standard input. A FIFO is read where it is given, and skipped in a folder, where nobody may write to it.

    Raises:
        BenchError: no such path, not a file, or a folder without a CSV.
    """
    found: dict[tuple[int, int] | str, Path] = {}
    for path in paths:
        inside = sorted(entry for entry in path.glob("*.csv") if entry.is_file()) if path.is_dir() else [path]
        if not inside:
            raise BenchError(f"{path} holds no .csv file", "give result CSVs, or a folder that holds some")
        for file in inside:
            found.setdefault(_identity(file), file)
    if not found:
        raise BenchError("no CSV was given", "give one or more result CSVs, or a folder that holds some")
    return list(found.values())


def _identity(path: Path) -> tuple[int, int] | str:
    if str(path) in STDIN:
        return "-"
    try:
        entry = path.stat()
    except OSError:
        raise BenchError(f"there is no file {path}", "check the path; give result CSVs or folders of them") from None
    if not (stat.S_ISREG(entry.st_mode) or stat.S_ISFIFO(entry.st_mode)):
        raise BenchError(f"{path} is not a file", "give result CSVs, or folders of them")
    return entry.st_dev, entry.st_ino


def is_stream(path: Path) -> bool:
    """Whether a path can be read only once and from the start: standard input or a FIFO."""
    return str(path) in STDIN or path.is_fifo()


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """All of a file, of a FIFO, or of standard input (``-``).

    Raises:
        BenchError: it cannot be read, or is longer than ``most`` bytes.
    """
    try:
        if str(path) in STDIN:
            raw = sys.stdin.buffer.read(most + 1)
        else:
            with path.open("rb") as stream:
                raw = stream.read(most + 1)
    except OSError as error:
        raise cannot_read(path, error) from error
    if len(raw) > most:
        raise too_large(path, most)
    return raw


def too_large(path: Path, most: int) -> BenchError:
    """The error for a file above a limit."""
    return BenchError(f"{path} is larger than {most >> 20} MiB", "give smaller files, or several of them")


def write_atomically(path: Path, text: str | bytes) -> None:
    """Write all of ``text`` to ``path`` or nothing: a synced temporary file in the same folder is renamed over it.

    ``-`` and ``/dev/stdout`` are standard output. A symbolic link is followed, so that it still is one afterwards.

    Raises:
        BenchError: the disk is full or may not be written, or ``path`` is a device, a FIFO or a folder; what was at
            ``path`` is untouched.
    """
    if str(path) in STDOUT:
        sys.stdout.write(text if isinstance(text, str) else text.decode())
        sys.stdout.flush()
        return
    try:
        path = path.resolve(strict=False)
        if path.exists() and not path.is_file():
            raise BenchError(f"{path} is not a regular file", "choose a file, or - for standard output")
        _replace(path, text.encode() if isinstance(text, str) else text)
    except (OSError, RuntimeError) as error:
        # RuntimeError: links that lead to one another, before Python 3.13
        raise cannot_write(path, error if isinstance(error, OSError) else OSError(str(error))) from error


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name[:200]}.{os.getpid()}.tmp")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_all(fd: int, data: bytes) -> None:
    """Write all of ``data``, however many calls that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def cannot_write(path: Path, error: OSError) -> BenchError:
    """The error for a file that could not be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    way_out = "free some space; rows written before are intact" if full else "choose a folder that can be written"
    failed = full or error.errno == errno.EIO
    return BenchError(f"cannot write {path} ({_reason(error)})", way_out, exit_code=EXIT_IO if failed else EXIT_USAGE)


def cannot_read(path: Path, error: OSError) -> BenchError:
    """The error for a file that could not be read."""
    return BenchError(f"cannot read {path} ({_reason(error)})", "check the path and its permissions")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
