"""An examination as a document for every output format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from bench.doctor.check import Result
from bench.output import Document, Grid

STYLES = {"works": "", "failed": "red", "skipped": "dim"}


def document(results: Sequence[Result]) -> Document:
    """A row for each check; the notes say how to fix what failed."""
    rows = tuple((result.device or "", result.name, result.state, result.detail) for result in results)
    styles = tuple(STYLES[result.state] for result in results)
    return Document(
        grids=(Grid(("device", "check", "state", "found"), rows, styles=styles),),
        rows=[asdict(result) for result in results],
        notes=tuple(
            f"{' '.join(filter(None, (result.device, result.name)))}: {result.detail}. To fix: {result.fix}."
            for result in results
            if result.state == "failed"
        ),
        notes_are_results=True,
    )
