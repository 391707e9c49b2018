"""The formats of a result: one module each, named as the user names it, loaded when it is asked for.

A new format is a name in :data:`Format` and a module of that name here (``-`` written ``_``) with one function::

    def render(document: Document, width: int) -> list[str | Text]: ...

``width`` is the number of columns of the screen, for formats that are drawn. Nothing is printed here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.text import Text

    from bench.output.document import Document

Format = Literal["table", "json", "csv", "markdown", "pytest-benchmark", "metrics", "prometheus"]
"""How a result is written to stdout. Each is a module of this package."""

PIPE_WIDTH = 240
"""Columns of a table on its way into a file: a pipe has no width, and 80 would leave columns out."""


def render(document: Document, to: Format = "table", width: int = PIPE_WIDTH) -> list[str | Text]:
    """A document in one of the formats: text, and text with styles for ``table``.

    Notes are part of Markdown. On the screen they are the caller's to print, to stderr or to stdout as
    ``document.notes_are_results`` says; they are no part of CSV and JSON, whose rows hold the reasons.
    """
    module = importlib.import_module(f"bench.output.formats.{to.replace('-', '_')}")
    parts: list[str | Text] = module.render(document, width)
    return parts
