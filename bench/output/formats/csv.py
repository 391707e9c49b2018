"""CSV: the document's rows, with a header; safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from bench.model.text import clean
from bench.output.document import Document


def render(document: Document, width: int) -> list[str]:  # noqa: ARG001 - every format is called alike
    """A header and one line per row; missing is empty."""
    from bench.storage import cell

    rows = [_flat(row) for row in document.rows]
    if not rows:
        return [""]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows(
        [_inert(value) if isinstance(value, str) else cell(value) for value in row.values()] for row in rows
    )
    return [out.getvalue()]


def _flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _inert(text: str) -> str:
    """Text that a spreadsheet would take for a formula gets an apostrophe, which keeps it text."""
    text = clean(text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
