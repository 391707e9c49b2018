"""``bitwatt verify`` and ``bitwatt recompute``: check results on disk."""

from __future__ import annotations

from typing import Literal

from bench.cli import streams
from bench.cli.options import Results
from bench.model import EXIT_INVALID, EXIT_OK
from bench.model.text import counted


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
        agree = "does not agree with its" if verdict.rows == 1 else "do not agree with their"
        streams.say(f"{wrong} of {counted(verdict.rows, 'row')} {agree} evidence.")
        return EXIT_INVALID
    agree = "agrees with its" if verdict.rows == 1 else "agree with their"
    streams.put(f"{counted(verdict.rows, 'row')} {agree} evidence; {counted(verdict.shares, 'share')} hashed again.")
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
        outcome = "no CSV to compare with" if found.csv is None else counted(len(found.differences), "difference")
        streams.say(f"{found.sidecar}: {counted(len(found.rows), 'window')}, {outcome}")
    return EXIT_INVALID if differ else EXIT_OK
