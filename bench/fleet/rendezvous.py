"""Windows of several cards that begin at one moment.

Each card's process says when it is ready for its next window and keeps its card busy. Once all that still run are
ready, the coordinator names a moment a second ahead, on the clock that all processes of a machine share. A process that
ends, or dies, no longer counts, so nobody waits for it; a card that does not become ready within :data:`PATIENCE_S` is
left behind. Cards meet at every window, so no difference in warm-up, audit or launch length adds up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing.connection import Connection

LEAD_NS = 1_000_000_000
"""How far ahead the moment lies: longer than one launch and an audit."""
AUDIT_NS = 150_000_000
"""Time kept free before the moment, for the audit of the warm-up."""
PATIENCE_S = 600.0
"""A first build with its compilation and verification takes minutes on some cards."""
READY = "ready"


class Meeting:
    """A card's side: called before each window (:data:`bench.measure.observer.Rendezvous`)."""

    def __init__(self, line: Connection, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._line = line
        self._clock = clock

    def __call__(self, busy: Callable[[], None]) -> int:
        """Keep busy until all are ready; the moment (monotonic ns) at which the window begins.

        Without a coordinator, which may have been killed, the window begins now.
        """
        longest_ns = 0
        begin_ns: int | None = None
        try:
            self._line.send(READY)
            while begin_ns is None or self._clock() + longest_ns + AUDIT_NS < begin_ns:
                if begin_ns is None and self._line.poll():
                    begin_ns = int(self._line.recv())
                    continue
                started = self._clock()
                busy()
                longest_ns = max(longest_ns, self._clock() - started)
        except (OSError, EOFError):
            return self._clock()
        return begin_ns


class Coordinator:
    """The worker's side: the cards that still run, and which of them are ready."""

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._lines: dict[str, Connection] = {}
        self._ready: dict[str, int] = {}
        self._behind: set[str] = set()

    def add(self, card: str, line: Connection) -> None:
        """A card's process has started."""
        self._lines[card] = line

    def drop(self, card: str) -> None:
        """A card's process has ended."""
        self._ready.pop(card, None)
        self._behind.discard(card)
        line = self._lines.pop(card, None)
        if line is not None:
            line.close()

    def step(self) -> list[str]:
        """Take what the cards say, and release them if all are ready.

        Returns:
            Cards that were left behind just now, because the others had waited too long for them.
        """
        now = self._clock()
        for card, line in list(self._lines.items()):
            try:
                while line.poll():
                    line.recv()
                    self._ready[card] = now
                    self._behind.discard(card)
            except (OSError, EOFError):
                self.drop(card)
        if not self._ready:
            return []
        waiting = set(self._lines) - set(self._ready) - self._behind
        late: list[str] = []
        if waiting:
            if now - min(self._ready.values()) < PATIENCE_S * 1e9:
                return []
            late = sorted(waiting)
            self._behind |= waiting
        begin_ns = now + LEAD_NS
        for card in list(self._ready):
            try:
                self._lines[card].send(begin_ns)
            except OSError:
                self.drop(card)
        self._ready.clear()
        return late
