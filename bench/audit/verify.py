"""Judge results again from what lies on disk: CSV against sidecar, shares against the hash they claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.audit import recompute
from bench.model import BenchError, Record, Share
from bench.storage import store
from bench.workloads.hashing import shares as proof

SETTLED_LATER = frozenset({"idle_power_w", "net_work_per_j", "warnings"})
"""Columns that the end of a run writes anew; the first two are recomputed from the samples instead."""


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

    Found are a cell that is not what the sidecar holds, joules that the samples do not give, a figure that does not
    follow from the row's others, a row without evidence, a share that does not hash, and a count of shares that the
    claimed hashes cannot have yielded. Nothing is signed: who rewrites CSV and sidecar together is held by the
    shares alone.

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
            problems = against_sidecar(record, note) if note else ["the sidecar holds nothing of this row"]
            findings += [Finding(path, number + 1, problem) for problem in problems]
        shares += sum(len(found) for found in shares_by_row if found)
        findings += [
            Finding(path, problem.row + 2, problem.message) for problem in proof.verify_rows(records, shares_by_row)
        ]
        told = {(finding.line, finding.message.split(" is ")[0]) for finding in findings if finding.path == path}
        for difference in recompute.differences(recompute.figures(sidecar), records):
            if (difference.line, difference.column) not in told:
                findings.append(Finding(path, difference.line, str(difference).partition(": ")[2]))
    return Verdict(tuple(findings), rows, shares)


def against_sidecar(record: Record, note: store.WindowNote) -> list[str]:
    """Cells of a row that its sidecar contradicts; both were written from one value, so exactly."""
    window = note.window
    due = dict(note.columns)
    due |= {"work": window.work, "launches": window.launches, "window_s": window.seconds}
    found = []
    for name in store.NAMES:
        value, wanted = getattr(record, name), due.get(name)
        if name not in SETTLED_LATER and value != wanted:
            found.append(f"{name} is {_shown(value)}, but the sidecar has {_shown(wanted)}")
    kept = (record.warnings or "").split(";")
    lost = [text for text in (due.get("warnings") or "").split(";") if text and text not in kept]
    return found + [f"the warning {text!r} was taken out" for text in lost]


def _shown(value: object) -> str:
    return "empty" if value is None else f"{value:.9g}" if isinstance(value, float) else str(value)
