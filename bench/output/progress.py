"""Progress on stderr: what is being done, how far it is, and the rate and watts as they are now."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from bench.model import Record, Variant
from bench.model.text import clean
from bench.output.format import quantity


class TerminalObserver:
    """Draws one bar per stage. Where stderr is no terminal, a stage is a line, so that a CI log stays readable."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._live = console.is_terminal and not quiet
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[now]}"),
            console=console,
            transient=True,
            disable=not self._live,
        )
        self._task = self._progress.add_task("", total=None, now="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def stage(self, variant: Variant | None, stage: str, seconds: float | None) -> None:
        """Start the next bar; ``seconds`` None: how long it takes is not known."""
        text = clean(f"{variant.label}: {stage}" if variant else stage)
        if self._live:
            self._progress.reset(self._task, total=seconds, description=text, now="")
        elif not self._quiet and not stage.startswith(("build", "verify")):
            self._console.print(Text(text + (f" ({seconds:g} s)" if seconds else "")))

    def progress(self, done_s: float, rate_per_s: float | None, unit: str | None, power_w: float | None) -> None:
        """Move the bar and show the rate and the watts of the moment."""
        if not self._live:
            return
        now = []
        if rate_per_s is not None and unit is not None:
            now.append(quantity(rate_per_s, f"{unit}/s"))
        if power_w is not None:
            now.append(f"{power_w:.0f} W")
        self._progress.update(self._task, completed=done_s, now="  ".join(now))

    def note(self, message: str) -> None:
        """A sentence that stays on the screen, also with ``--quiet``: it says what is missing from the result."""
        self._console.print(Text(clean(message), style="yellow"))

    def hint(self, message: str) -> None:
        """Advice that ``--quiet`` leaves out."""
        if not self._quiet:
            self._console.print(Text(f"warning: {clean(message)}", style="yellow"))

    def stored(self, path: Path, records: tuple[Record, ...], *, complete: bool) -> None:
        """Say where a device's rows are."""
        count = len(records)
        kept = f"{count} row{'s are' if count > 1 else ' is'} safe in {path}"
        self._console.print(Text(f"wrote {path} and its sidecar" if complete else kept))
