"""Checks results from what is on disk: the CSV against its sidecar, and shares against the hash they claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import storage
from bench.audit import recompute
from bench.model import BenchError, Record, Share
from bench.model.sidecar import Sidecar, WindowNote
from bench.model.text import clean
from bench.workloads.hashing import proof
from bench.workloads.hashing import shares as hashing

SETTLED_LATER = frozenset({"idle_power_w", "net_work_per_j", "proven", "warnings"})
"""Columns that later windows may change. The first three are computed from the evidence instead."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault in one row of one file; ``line`` counts as an editor does (the header is line 1)."""

    path: Path
    line: int
    message: str
    column: str | None = None
    """The cell at fault; None where it is not one cell."""

    def __str__(self) -> str:
        return clean(f"{self.path}, line {self.line}: {self.message}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What ``bitwatt verify`` found in a number of files."""

    findings: tuple[Finding, ...]
    rows: int
    shares: int
    """Shares that were hashed again."""


def verify(paths: Sequence[Path]) -> Verdict:
    """Check every row of every file.

    Reported are a cell that differs from the sidecar, joules that differ from what the samples give, a figure that
    does not follow from the row's others, a row without evidence, a share that does not hash or was used before, a
    count of shares that the claimed hashes cannot have yielded, and a hashrate that too few shares prove. Nothing is
    signed: against someone who edits the CSV and the sidecar together, only the shares stand.

    Raises:
        BenchError: a file cannot be read (damage is an error of its own, with file and line).
    """
    findings: list[Finding] = []
    rows = hashed = 0
    used: dict[Share, tuple[Path, int]] = {}
    for path in storage.expand(paths):
        records = storage.read_records(path)
        sidecar_path = storage.sidecar_path(path)
        if not sidecar_path.exists():
            raise BenchError(
                f"{path} has no sidecar: {sidecar_path.name} is not in its folder",
                "keep both files together; without the sidecar the rows cannot be checked",
            )
        sidecar = storage.read_sidecar(sidecar_path)
        shares = {note.row: note.audit.shares for note in sidecar.windows if note.audit is not None}
        found = _against_evidence(path, records, sidecar)
        found += _work(path, records, shares)
        found += _used_before(path, shares, used)
        findings += sorted(found, key=lambda finding: finding.line)
        rows += len(records)
        hashed += sum(len(shares.get(number, ())) for number in range(1, len(records) + 1))
    return Verdict(tuple(findings), rows, hashed)


def _against_evidence(path: Path, records: Sequence[Record], sidecar: Sidecar) -> list[Finding]:
    """Rows and cells that the sidecar contradicts; each cell once."""
    notes = {note.row: note for note in sidecar.windows}
    found: list[Finding] = []
    for number, record in enumerate(records, start=1):
        if number in notes:
            found += against_sidecar(path, record, notes[number])
        else:
            found.append(Finding(path, number + 1, "the sidecar has no evidence for this row"))
    reported = {(finding.line, finding.column) for finding in found}
    return found + [
        Finding(path, difference.line, difference.message, difference.column)
        for difference in recompute.differences(recompute.figures(sidecar), records)
        if (difference.line, difference.column) not in reported
    ]


def _work(path: Path, records: Sequence[Record], shares: Mapping[int, Sequence[Share]]) -> list[Finding]:
    """Work that the shares contradict or do not prove."""
    found = [
        Finding(path, number + 1, f"work_unit is {record.work_unit}, but {record.workload} counts hashes", "work_unit")
        for number, record in enumerate(records, start=1)
        if record.workload in hashing.DIGESTS and record.work_unit != "hash"
    ]
    by_row = [shares.get(number) for number in range(1, len(records) + 1)]
    found += [Finding(path, problem.row + 2, problem.message) for problem in hashing.verify_rows(records, by_row)]
    contradicted = {finding.line - 1 for finding in found}
    found += [
        Finding(path, claim.rows[0] + 1, str(claim))
        for claim in proof.claims(records, shares)
        if not claim.proven and not contradicted.intersection(claim.rows)
    ]
    return found


def _used_before(
    path: Path, shares: Mapping[int, Sequence[Share]], used: dict[Share, tuple[Path, int]]
) -> list[Finding]:
    """Rows with a share that another file proves its work with. Within a file the shares' own check finds it."""
    found = []
    for row, own in shares.items():
        taken = next((used[share] for share in own if share in used and used[share][0] != path), None)
        if taken:
            found.append(Finding(path, row + 1, f"its shares are those of {taken[0]}, line {taken[1]}"))
        for share in own:
            used.setdefault(share, (path, row + 1))
    return found


def against_sidecar(path: Path, record: Record, note: WindowNote) -> list[Finding]:
    """Cells of a row that differ from its sidecar. Both were written from one value, so they must be equal."""
    line = note.row + 1
    expected = {
        **note.columns,
        "work": note.window.work,
        "launches": note.window.launches,
        "window_s": note.window.seconds,
    }
    if note.audit is not None:
        expected["verified"] = note.audit.ok and record.proven is not False
    found = []
    for name in storage.NAMES:
        value, wanted = getattr(record, name), expected.get(name)
        if name not in SETTLED_LATER and value != wanted:
            message = f"{name} is {_shown(value)}, but the sidecar has {_shown(wanted)}"
            found.append(Finding(path, line, message, name))
    kept = (record.warnings or "").split(";")
    removed = [text for text in str(expected.get("warnings") or "").split(";") if text and text not in kept]
    return found + [Finding(path, line, f"the warning {text!r} was removed", "warnings") for text in removed]


def _shown(value: object) -> str:
    return "empty" if value is None else f"{value:.9g}" if isinstance(value, float) else str(value)
