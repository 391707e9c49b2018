"""What a run reports to an observer (a progress bar, a log, nothing), and how it agrees with runs on other devices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from bench.model import Record, Variant


class Observer(Protocol):
    """Watches a run. Its methods must not raise."""

    def begin(self, variants: int, windows: int, seconds: float) -> None:
        """A pass over so many variants begins: at most so many windows in all, in about so many seconds apart from
        building and verifying.
        """

    def stage(self, variant: Variant | None, stage: str, seconds: float | None) -> None:
        """A new stage (``build``, ``verify``, ``warm up``, ``window 2/3``, ``idle``), expected to take ``seconds``."""

    def progress(self, done_s: float, rate_per_s: float | None, unit: str | None, power_w: float | None) -> None:
        """Called within a stage, a few times a second."""

    def note(self, message: str) -> None:
        """One sentence that belongs to the result (a skipped variant, an invalid window)."""

    def hint(self, message: str) -> None:
        """One sentence of advice, which a quiet run may leave out."""

    def stored(self, path: Path, records: tuple[Record, ...], *, complete: bool) -> None:
        """A device's rows are on disk at ``path``; not ``complete`` where the run was cut short."""


Rendezvous = Callable[[Callable[[], None]], int]
"""Agrees with other devices when a window begins: given a function that keeps this device busy for a moment, returns
once all are ready, with the time (monotonic ns) at which the window is to begin."""


class Silent:
    """An observer that shows nothing."""

    def begin(self, variants: int, windows: int, seconds: float) -> None:
        """Ignore."""

    def stage(self, variant: Variant | None, stage: str, seconds: float | None) -> None:
        """Ignore."""

    def progress(self, done_s: float, rate_per_s: float | None, unit: str | None, power_w: float | None) -> None:
        """Ignore."""

    def note(self, message: str) -> None:
        """Ignore."""

    def hint(self, message: str) -> None:
        """Ignore."""

    def stored(self, path: Path, records: tuple[Record, ...], *, complete: bool) -> None:
        """Ignore."""
