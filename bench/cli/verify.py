"""``bitwatt verify`` and ``bitwatt recompute``: check results on disk."""

from __future__ import annotations

from typing import Literal

from bench.cli import streams
from bench.cli.options import Results
from bench.model import EXIT_INVALID, EXIT_OK


def verify(files: Results, /) -> int:
    """Hash every share found again and compare each row with its sidecar; exit code 3 if anything is wrong.

    Parameters
    ----------
    files
        Result CSVs, or folders of them.
    """
    from bench.audit import verify

    verdict = verify.verify(files)
    streams.put(*map(str, verdict.findings))
    if verdict.findings:
        wrong = len({(finding.path, finding.line) for finding in verdict.findings})
        streams.say(f"{wrong} of {verdict.rows} rows do not agree with their evidence.")
        return EXIT_INVALID
    streams.put(f"{verdict.rows} rows agree with their evidence; {verdict.shares} shares hashed again.")
    return EXIT_OK


def recompute(files: Results, /, *, format: Literal["table", "csv"] = "table") -> int:  # noqa: A002 - the flag's name
    """Recompute every energy figure from the sidecar alone; exit code 3 if the CSV differs.

    Parameters
    ----------
    files
        Result CSVs, their sidecars (*.samples.jsonl), or folders of CSVs.
    format
        csv prints the recomputed figures.
    """
    from bench import storage
    from bench.audit import recompute

    differ = 0
    for path in storage.expand(files):
        found = recompute.recompute(path)
        if format == "csv":
            streams.put(recompute.to_csv(found.rows))
        for difference in found.differences:
            streams.put(f"{found.csv}, {difference}")
        differ += len(found.differences)
        outcome = "no CSV to compare with" if found.csv is None else f"{len(found.differences)} differences"
        streams.say(f"{found.sidecar}: {len(found.rows)} windows, {outcome}")
    return EXIT_INVALID if differ else EXIT_OK
