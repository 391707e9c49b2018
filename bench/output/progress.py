"""Progress on stderr: what is being done, how far the run is, and the rate and watts of the moment.

On a terminal it is one line with a bar, redrawn in place and erased at the end, so that no result shares a line with
it. Elsewhere it is plain lines: one for each build, verification and warm-up, and one for the windows every ten
seconds.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.text import Text

from bench.model import Record, Variant
from bench.model.text import clean
from bench.output.format import quantity
from bench.output.talk import say

LOG_EVERY_S = 10.0
"""Seconds between two lines about windows in a log."""

BAR_WIDTHS = (8, 24)
"""Least and greatest width of the bar; a terminal without room for the least has none."""

_DOING = {
    "build": "building",
    "verify": "verifying",
    "warm up": "warming up",
    "search": "searching",
    "idle before": "measuring idle power",
    "idle after": "measuring idle power",
}


class TerminalObserver:
    """Shows a run on a console. ``clock`` gives seconds and is there for tests."""

    def __init__(self, console: Console, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._quiet = quiet
        self._clock = clock
        self._variants = self._windows = self._built = self._window = 0
        self._planned_s = self._finished_s = self._stage_s = self._done_s = 0.0
        self._begun_s = clock()
        self._logged_s: float | None = None
        self._doing = self._now = ""
        self._noted: Counter[str] = Counter()
        self._live: Live | None = None
        if console.is_terminal and not quiet:
            self._live = Live(
                get_renderable=lambda: self.line(console.width),
                console=console,
                refresh_per_second=8,
                transient=True,
            )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        for message, count in self._noted.items():
            if count > 1:
                say(self._console, f"{message} ({count} times)", "yellow")

    def begin(self, variants: int, windows: int, seconds: float) -> None:
        """Count windows and time anew: of a device, or of a power limit."""
        self._variants, self._windows, self._built, self._window = variants, windows, 0, 0
        self._planned_s, self._finished_s, self._stage_s, self._done_s = seconds, 0.0, 0.0, 0.0
        self._begun_s = self._clock()

    def stage(self, variant: Variant | None, stage: str, seconds: float | None) -> None:
        """Show what is done now; ``seconds`` None: how long it takes is not known."""
        self._finished_s += self._stage_s
        self._stage_s, self._done_s = seconds or 0.0, 0.0
        self._now = ""
        self._built += stage == "build"
        is_window = stage.startswith("window")
        self._window += is_window
        doing = "" if is_window else _DOING.get(stage, stage)
        self._doing = clean(": ".join(filter(None, [variant.label if variant else "", doing])))
        if self._live is None and not self._quiet and not (is_window and self._logged_lately()):
            limit = f" (up to {seconds:g} s)" if seconds and not is_window else ""
            say(self._console, ", ".join(self._parts() if is_window else [self._doing + limit]))

    def progress(self, done_s: float, rate_per_s: float | None, unit: str | None, power_w: float | None) -> None:
        """Move the bar and show the rate and the watts of the moment."""
        self._done_s = max(self._done_s, min(done_s, self._stage_s))  # settling counts from 0 again
        rate = [quantity(rate_per_s, f"{unit}/s")] if rate_per_s is not None and unit is not None else []
        self._now = ", ".join([*rate, *([f"{power_w:.0f} W"] if power_w is not None else [])])

    def line(self, width: int) -> Text:
        """The line as it is now, in at most ``width`` columns: what does not fit is left out, the least first."""
        parts = self._parts()
        while len(parts) > 1 and cell_len(", ".join(parts)) > width:
            parts.pop()
        text = ", ".join(parts)
        room = min(width - cell_len(text) - 1, BAR_WIDTHS[1])
        if not self._windows or room < BAR_WIDTHS[0]:
            return Text(text, no_wrap=True, overflow="ellipsis")
        filled = round(room * self._share())
        return Text.assemble(("━" * filled, "green"), ("━" * (room - filled), "bright_black"), f" {text}")

    def note(self, message: str) -> None:
        """A sentence that stays on the screen, also with ``--quiet``: it says what is missing from the result.

        What is noted again is counted, and said once more at the end with its count.
        """
        self._noted[message] += 1
        if self._noted[message] == 1:
            say(self._console, message, "yellow")

    def hint(self, message: str) -> None:
        """Advice that ``--quiet`` leaves out."""
        if not self._quiet:
            say(self._console, f"warning: {message}", "yellow")

    def stored(self, path: Path, records: tuple[Record, ...], *, complete: bool) -> None:
        """Say where a device's rows are."""
        count = len(records)
        kept = f"{count} row{'s are' if count > 1 else ' is'} safe in {path}"
        say(self._console, f"wrote {path} and its sidecar" if complete else kept)

    def _parts(self) -> list[str]:
        """``window 12 of 72``, what is measured, time left, rate: the most important first."""
        count = f"window {self._window} of {self._windows}" if self._window else ""
        return [part for part in (count, self._left(), self._doing, self._now) if part]

    def _share(self) -> float:
        done_s = self._finished_s + self._done_s
        return min(1.0, done_s / self._planned_s) if self._planned_s else 0.0

    def _left(self) -> str:
        """How long the rest takes: what is planned, and for each variant to come as much as the others have cost."""
        if not self._windows or not self._window:
            return ""
        done_s = self._finished_s + self._done_s
        unplanned_s = max(0.0, self._clock() - self._begun_s - done_s)
        to_build = max(0, self._variants - self._built) / max(1, self._built)
        return f"about {duration(max(0.0, self._planned_s - done_s) + unplanned_s * to_build)} left"

    def _logged_lately(self) -> bool:
        now_s = self._clock()
        if self._logged_s is not None and now_s - self._logged_s < LOG_EVERY_S and self._window < self._windows:
            return True
        self._logged_s = now_s
        return False


def duration(seconds: float) -> str:
    """In words, to about ten percent: ``40 s``, ``3 min``, ``1 h 20 min``."""
    if seconds < 60:
        return f"{max(5, round(seconds / 5) * 5)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(round(minutes / 10) * 10, 60)
    return f"{hours} h" + (f" {rest} min" if rest else "")
