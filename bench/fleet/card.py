"""The process of one card: it sees this card only, measures the plan on it, and keeps the card's status on disk."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from bench.fleet import layout
from bench.fleet.clock import now_utc
from bench.fleet.layout import Card, Status
from bench.fleet.neighbours import Neighbours
from bench.fleet.rendezvous import Meeting
from bench.measure.plan import RunPlan
from bench.model import EXIT_INVALID, EXIT_OK, BenchError, Record, Variant

LOG = "log.txt"
VISIBLE = "CUDA_VISIBLE_DEVICES"
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Task:
    """All that a card's process is given."""

    plan: RunPlan
    folder: Path
    node: str
    card: Card
    mode: str


def run(task: Task, line: Connection | None) -> NoReturn:
    """Entry point of the process. Exit code 0: measured, 3: the card failed or a row cannot be trusted."""
    _end_with_parent()
    if task.card.visible is not None:
        os.environ[VISIBLE] = task.card.visible
    # Notes of several cards would interleave: each keeps a log of its own.
    folder = layout.card_folder(task.folder, task.node, task.card.card)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("a", encoding="utf-8") as log:
        sys.stderr = log
        code = measure(task, line)
    sys.exit(code)


def _end_with_parent() -> None:
    """SIGTERM ends the run the way Ctrl-C does; the kernel sends it too when the worker is killed (prctl(2), Linux)."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker passes it on
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    except (OSError, AttributeError):
        return


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def measure(task: Task, line: Connection | None) -> int:
    """Measure the card; its rows, evidence and status are on disk when this returns, whatever happened."""
    keeper = _Keeper(task)
    try:
        with ExitStack() as stack:
            neighbours = Neighbours(task.card.visible)
            stack.callback(neighbours.close)
            wrong = _measure(task, keeper, neighbours, line)
    except KeyboardInterrupt:
        return 130  # the status stays "running": the card is measured again
    except BenchError as error:
        keeper.end("failed", error.message)
        return EXIT_INVALID
    except Exception as error:  # noqa: BLE001 - whatever it was, the other cards go on and the reason is on record
        keeper.end("failed", f"internal error ({type(error).__name__}: {error})")
        return EXIT_INVALID
    if wrong or not keeper.status.rows:
        keeper.end("failed", "; ".join(keeper.refused) or "nothing was measured")
        return EXIT_INVALID
    keeper.end("done", None)
    return EXIT_INVALID if keeper.status.unsound_rows else EXIT_OK


def _measure(task: Task, keeper: _Keeper, neighbours: Neighbours, line: Connection | None) -> bool:
    from bench.measure import devices, session

    (device,) = devices.choose(task.card.device).devices
    if task.card.visible is not None and device.uuid != task.card.visible:
        raise BenchError(
            f"{VISIBLE}={task.card.visible} shows {device.uuid or 'a card without UUID'}",
            "see whether a driver or container overrides it",
        )
    running = session.run_device(
        task.plan,
        device,
        keeper,
        device_choice=f"fleet: {task.card.device}",
        rendezvous=None if line is None else Meeting(line),
    )
    while True:
        try:
            keeper.row(next(running), neighbours)
        except StopIteration as end:
            result: session.RunResult = end.value
            return result.wrong


class _Keeper:
    """Observes the run and keeps the card's status on disk."""

    def __init__(self, task: Task) -> None:
        self._folder = layout.card_folder(task.folder, task.node, task.card.card)
        self._path = self._folder / layout.STATUS
        self.status = Status(task.node, task.card.card, task.card.slot, "running", now_utc(), task.mode)
        self.refused: list[str] = []
        layout.write(self._path, self.status)

    def row(self, record: Record, neighbours: Neighbours) -> None:
        """A row is on disk: so is what belongs to it."""
        start_s = datetime.fromisoformat(record.started_utc).timestamp()
        around_w = neighbours.mean_w(start_s, start_s + record.window_s)
        before = self.status
        joules = before.joules if record.energy_j is None else (before.joules or 0.0) + record.energy_j
        self.status = replace(
            before,
            csv=f"{record.run_id}.csv",
            rows=before.rows + 1,
            unsound_rows=before.unsound_rows + (not (record.valid and record.verified)),
            joules=joules,
            neighbours_power_w=(*before.neighbours_power_w, None if around_w is None else round(around_w, 3)),
            updated_utc=now_utc(),
        )
        layout.write(self._path, self.status)

    def end(self, state: Any, error: str | None) -> None:
        """The last word on this attempt."""
        self.status = replace(self.status, state=state, error=error, updated_utc=now_utc())
        layout.write(self._path, self.status)

    def begin(self, variants: int, windows: int, seconds: float) -> None:
        """Not of interest."""

    def stage(self, variant: Variant | None, stage: str, seconds: float | None) -> None:
        text = f"{variant.label}: {stage}" if variant else stage
        self._log(text if seconds is None else f"{text} ({seconds:g} s)")

    def progress(self, done_s: float, rate_per_s: float | None, unit: str | None, power_w: float | None) -> None:
        """Too fine for a fleet."""

    def note(self, message: str) -> None:
        if message.startswith("wrong result"):
            self.refused.append(message)
        self._log(message)

    def hint(self, message: str) -> None:
        self._log(message)

    def stored(self, path: Path, records: tuple[Record, ...], *, complete: bool) -> None:
        """The status says it already."""

    def _log(self, message: str) -> None:
        print(time.strftime("%H:%M:%S"), message, file=sys.stderr, flush=True)
