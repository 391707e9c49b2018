"""What a section of the page is. A new one is a file with a ``SECTION``, and its line in ``sections.py``. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from bench.analysis.compare import Result
from bench.analysis.dispatch import Decision
from bench.analysis.economics import Outlook
from bench.report.entries import Entry
from bench.report.figure import Figure
from bench.report.runs import Run
from bench.report.table import Table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Study:
    """All that a page is made from."""

    frame: pd.DataFrame
    result: Result
    entries: Sequence[Entry]
    runs: Sequence[Run] = ()
    outlook: Outlook | None = None
    decision: Decision | None = None
    hrefs: Mapping[str, str] = field(default_factory=dict)
    """Card → address of its own page, relative to this one."""

    @property
    def cards(self) -> list[str]:
        """The cards in the page's order."""
        return list(dict.fromkeys(entry.card for entry in self.entries))


@dataclass(frozen=True, slots=True)
class Note:
    """A paragraph in small print."""

    text: str
    kind: ClassVar[str] = "paragraph"


@dataclass(frozen=True, slots=True)
class Sentences:
    """A box with a title and a list of sentences."""

    title: str
    texts: Sequence[str]
    kind: ClassVar[str] = "sentences"


@dataclass(frozen=True, slots=True)
class Folded:
    """A table that is shown once the reader asks for it."""

    title: str
    table: Table
    kind: ClassVar[str] = "folded"


Block = Figure | Table | Note | Sentences | Folded


@dataclass(frozen=True, slots=True)
class Content:
    """What a section shows."""

    blocks: Sequence[Block] = ()
    values: Any = None
    """For a section with a template of its own."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """For the page's script."""


@dataclass(frozen=True, slots=True)
class Section:
    """A section: its names, what fills it, and how it is written."""

    id: str
    name: str
    """In the page's navigation."""
    heading: str
    build: Callable[[Study], Content | None]
    """None: there is nothing to show, and the section is left out."""
    absent: str = ""
    """Why it is not on the page, as a sentence; empty where that needs no word."""
    template: str = "section.html"
    script: str = ""
    """A file of ``scripts/``."""
    needs_script: bool = False
    """Whether it is of no use without JavaScript, and then hidden."""
