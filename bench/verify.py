"""Judge results again from what lies on disk: CSV against sidecar, shares against the hash they claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import proof, store
from bench.model import BenchError, Record, Share, Window


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with one row of one file; ``line`` counts as an editor does (the header is line 1)."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}: {self.message}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What ``bitwatt verify`` found in a number of files."""

    findings: tuple[Finding, ...]
    rows: int
    shares: int
    """Shares that were hashed again."""


def verify(paths: Sequence[Path]) -> Verdict:
    """Check every row of every file.

    Found are a figure that does not follow from the row's others or from the sidecar's window, a row without evidence,
    a share that does not hash, and a count of shares that the claimed hashes cannot have yielded.

    Raises:
        BenchError: a file cannot be read (damage is an error of its own, with file and line).
    """
    findings: list[Finding] = []
    rows = shares = 0
    for path in store.expand(paths):
        records = store.read_records(path)
        rows += len(records)
        sidecar_path = store.sidecar_path(path)
        if not sidecar_path.exists():
            raise BenchError(
                f"{path} has no sidecar: {sidecar_path.name} is not beside it",
                "keep both files together; without the sidecar nothing proves the rows",
            )
        sidecar = store.read_sidecar(sidecar_path)
        windows = {note.row: note for note in sidecar.windows}
        shares_by_row: list[Sequence[Share] | None] = []
        for number, record in enumerate(records, start=1):
            note = windows.get(number)
            shares_by_row.append(None if note is None or note.audit is None else note.audit.shares)
            problems = against_window(record, note.window) if note else ["the sidecar holds nothing of this row"]
            findings += [Finding(path, number + 1, problem) for problem in problems]
        shares += sum(len(found) for found in shares_by_row if found)
        findings += [
            Finding(path, problem.row + 2, problem.message) for problem in proof.verify_rows(records, shares_by_row)
        ]
    return Verdict(tuple(findings), rows, shares)


def against_window(record: Record, window: Window) -> list[str]:
    """Columns of a row that its window in the sidecar contradicts; both were written from one value, so exactly."""
    due = {"work": window.work, "launches": window.launches, "window_s": window.seconds}
    return [
        f"{name} is {getattr(record, name):.9g}, but the sidecar's window has {value:.9g}"
        for name, value in due.items()
        if getattr(record, name) != value
    ]
