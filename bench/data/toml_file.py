"""TOML files that a user gives: read within limits, so that no file takes more than a moment or a few megabytes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from bench.model import BenchError
from bench.model.text import clean

MOST_BYTES = 256 << 10
MOST_KEY_PARTS = 16
LARGEST = 1e30
"""Bound of any number, so that products of a few stay finite."""

_KEY_PART = re.compile(r"\s*([\w-]*|\"[^\"]*\"|'[^']*')\s*")


def read_toml(path: Path, what: str, fix: str) -> dict[str, Any]:
    """The tables of a TOML file.

    Args:
        path: the file.
        what: what it is, for messages: ``price file``.
        fix: the way out where it is not valid.

    Raises:
        BenchError: it cannot be read, is larger than :data:`MOST_BYTES`, is not valid TOML, nests too deeply, or has
            a number beyond :data:`LARGEST`.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BenchError(f"cannot read the {what} {path} ({reason})", "check the path and its permissions") from error
    if len(raw) > MOST_BYTES:
        raise BenchError(f"the {what} {path} is larger than {MOST_BYTES >> 10} KiB", fix)
    try:
        text = raw.decode("utf-8")
        _check_keys(text)
        values = tomllib.loads(text)
        _check_numbers(values)
    except RecursionError:
        raise BenchError(f"the {what} {path} nests too deeply", fix) from None
    except ValueError as error:
        raise BenchError(f"the {what} {path} is not valid TOML ({clean(str(error))[:200]})", fix) from None
    return values


def _check_keys(text: str) -> None:
    """Refuse keys of many parts (``a.a.a…``), for which the parser's time and memory grow with their square."""
    for number, line in enumerate(text.splitlines(), 1):
        parts = 0
        for part in line.split("."):
            parts = parts + 1 if _KEY_PART.fullmatch(part) else 0
            if parts > MOST_KEY_PARTS:
                raise ValueError(f"line {number}: a key of more than {MOST_KEY_PARTS} parts")


def _check_numbers(value: Any) -> None:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _check_numbers(item)
    elif isinstance(value, int | float) and (value > LARGEST or value < -LARGEST):
        raise ValueError(f"a number beyond {LARGEST:g}")
