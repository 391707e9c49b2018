"""JSON: a list of the document's rows."""

from __future__ import annotations

import json

from bench.output.document import Document


def render(document: Document, width: int) -> list[str]:  # noqa: ARG001 - every format is called alike
    """One object per row; missing is null."""
    return [json.dumps(list(document.rows), indent=1, allow_nan=False) + "\n"]
