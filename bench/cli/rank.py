"""``bitwatt rank``: where a card stands among the cards of its model."""

from __future__ import annotations

from pathlib import Path

from bench.cli import options, streams
from bench.cli.reference import read as read_reference
from bench.model import EXIT_INVALID, EXIT_OK


def rank(
    files: options.Results,
    /,
    *,
    reference: Path,
    format: options.FormatOption = "table",  # noqa: A002 - the flag's name
) -> int:
    """Percentile of each figure of a card among the cards of its model, at the same task and power limit.

    Exit codes: 0 ranked, 3 no figure could be ranked.

    Parameters
    ----------
    files
        Result CSVs, folders of them, or a merged fleet.
    reference
        What `bitwatt reference build` wrote, or a merged fleet (Parquet).
    format
        Format of the table on stdout.
    """
    from bench import output
    from bench.analysis import rank as ranking
    from bench.analysis.reference import COLUMNS
    from bench.storage.fleet_rows import read_rows

    known = read_reference(reference)
    found = ranking.rank(read_rows(files, COLUMNS, note=streams.say), known)
    streams.show(output.rank(found), format)
    return EXIT_OK if any(item.percentile is not None for item in found) else EXIT_INVALID
