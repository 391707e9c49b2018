"""``bitwatt merge``: the shards of a fleet into one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bench.cli import options, streams
from bench.model import EXIT_INVALID, EXIT_OK


def merge(
    folders: list[Path],
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    format: options.FormatOption = "table",  # noqa: A002 - the flag's name
) -> int:
    """Join the shards of a fleet into one file, each card once, and list what is missing.

    Exit codes: 0 complete, 3 cards are missing; `bitwatt fleet … --resume DIR` measures them.

    Parameters
    ----------
    folders
        Folders that `bitwatt worker --out` or a launcher wrote.
    output
        The file: .parquet, or .csv.
    format
        Format of the list of missing cards on stdout.
    """
    from bench.cli import fleet_tables
    from bench.fleet import merge as merging

    merged = merging.merge(folders, output, streams.say)
    streams.say(f"wrote {output}: {merged}")
    streams.show(fleet_tables.missing(merged.missing), format)
    return EXIT_INVALID if merged.missing else EXIT_OK
