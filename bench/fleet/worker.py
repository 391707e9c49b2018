"""One node: every card measured in a process of its own that sees this card only. Knows no engine.

Run again on the same folder, it measures only what is missing, so every launcher resumes by starting it again.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path

from filelock import FileLock, Timeout

from bench.fleet import card as cards
from bench.fleet import clock, layout
from bench.fleet.layout import Card, Node, Status
from bench.fleet.rendezvous import Coordinator
from bench.measure.plan import RunPlan
from bench.model import BenchError, Device

POLL_S = 0.02
HUNG_S = 900.0
"""A card whose process logs nothing for so long is given up: no build, search or window takes half of that."""
GRACE_S = 20.0
"""How long a card's process may take to end after SIGTERM: its meter is closed and its rows are kept."""

Say = Callable[[str], None]


def work(
    plan: RunPlan,
    folder: Path,
    *,
    node: str | None = None,
    together: bool = True,
    start_at: datetime | None = None,
    say: Say = lambda _: None,
) -> list[Status]:
    """Measure every card of this node that is not done yet, and return the status of all of them.

    Args:
        plan: what to measure; its ``--device`` names the cards, by default every accelerator, else the CPU.
        folder: the fleet's folder, shared by all nodes or copied together later.
        node: name of this node; default: its host name.
        together: all cards at once, each window beginning at one moment; otherwise one card after another.
        start_at: begin at this moment, as other nodes do.
        say: takes a sentence for a person to read.

    Raises:
        BenchError: the plan is anonymous or fits no device, another worker measures this node, or the folder cannot be
            written.
    """
    if plan.output.anonymous:
        raise BenchError(
            "--anonymous does not apply to a fleet, whose shards are named by node and card",
            "leave it out, and give --node a name of your choice",
        )
    node = node or socket.gethostname()
    mode = "together" if together else "one-by-one"
    home = folder / layout.safe(node)
    with _alone(home):
        context = multiprocessing.get_context("spawn")
        found = enumerate_cards(plan.selection.device, context)
        written = Node(
            node,
            found,
            "together" if together else "one-by-one",
            clock.now_utc(),
            None if start_at is None else start_at.isoformat().replace("+00:00", "Z"),
            clock=clock.read(home),
        )
        layout.write(home / layout.NODE, written)
        todo = [card for card in found if not _done(folder, node, card)]
        if len(todo) < len(found):
            say(f"{len(found) - len(todo)} of {len(found)} cards are done already")
        if start_at is not None and todo:
            late_s = _wait_for(start_at)
            layout.write(home / layout.NODE, replace(written, late_s=late_s))
        plan = _for_cards(plan, node)
        tasks = [cards.Task(_into(plan, folder, node, card), folder, node, card, mode) for card in todo]
        for group in [tasks] if together else [[task] for task in tasks]:
            _measure(group, context, say)
    return [status for _, status in layout.statuses(folder) if status.node == node]


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Refuse to measure a node that another worker measures, for example after a job was submitted twice."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / ".lock", timeout=0):
            yield
    except Timeout:
        raise BenchError(
            f"another worker measures this node into {home}", "wait for it, or choose another --out"
        ) from None
    except OSError as error:
        raise BenchError(f"cannot write {home} ({error.strerror})", "choose another --out") from error


def _done(folder: Path, node: str, card: Card) -> bool:
    status = layout.read(layout.card_folder(folder, node, card.card) / layout.STATUS, Status)
    return status is not None and status.state == "done"


def _wait_for(moment: datetime) -> float:
    """Sleep until a moment; how many seconds later than that it is (≥ 0)."""
    while (left_s := (moment - datetime.now(UTC)).total_seconds()) > 0:
        time.sleep(min(left_s, 1.0))
    return -left_s


def _for_cards(plan: RunPlan, node: str) -> RunPlan:
    """One seed for all cards, so that they measure the same variant at the same time; and the node's name as host."""
    seed = secrets.randbits(32) if plan.timing.seed is None else plan.timing.seed
    label = node if plan.output.host_label is None else plan.output.host_label
    return replace(plan, timing=replace(plan.timing, seed=seed), output=replace(plan.output, host_label=label))


def _into(plan: RunPlan, folder: Path, node: str, card: Card) -> RunPlan:
    return replace(plan, output=replace(plan.output, out=layout.card_folder(folder, node, card.card)))


# ---- which cards there are ------------------------------------------------------------------------------------------


def enumerate_cards(spec: str, context: SpawnContext) -> tuple[Card, ...]:
    """The cards that ``--device`` names, found by a process that ends at once: a context on a card stays nowhere.

    Raises:
        BenchError: as :func:`bench.measure.devices.choose`, or the process died.
    """
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_enumerate, args=(spec, theirs))
    process.start()
    theirs.close()
    try:
        found = ours.recv()
    except EOFError:
        process.join()
        raise BenchError(
            f"looking for devices ended with exit code {process.exitcode}", "run `bitwatt devices` to see why"
        ) from None
    finally:
        ours.close()
    process.join()
    if isinstance(found, BenchError):
        raise found
    return tuple(_card(device) for device in found)


def _enumerate(spec: str, line: multiprocessing.connection.Connection) -> None:
    from bench.measure import devices

    try:
        line.send(list(devices.choose(spec).devices))
    except BenchError as error:
        line.send(_PortableError(error.message, error.fix, error.exit_code))


class _PortableError(BenchError):
    """A :class:`BenchError` that survives pickling."""

    def __init__(self, message: str, fix: str, code: int) -> None:
        super().__init__(message, fix, exit_code=code)

    def __reduce__(self) -> tuple[type[_PortableError], tuple[str, str, int]]:
        return type(self), (self.message, self.fix, self.exit_code)


def _card(device: Device) -> Card:
    """An NVIDIA card is pinned by UUID, whatever number CUDA, NVML or a container gives it; others by their index."""
    if device.is_nvidia and device.uuid:
        return Card(device.uuid, device.index, device.kind, device.name, visible=device.uuid, device="cuda:0")
    return Card(device.uuid or device.label, device.index, device.kind, device.name, device=device.label)


# ---- the cards' processes -------------------------------------------------------------------------------------------


def _measure(tasks: Sequence[cards.Task], context: SpawnContext, say: Say) -> None:
    """Run the tasks at once, each in its process, and bring their windows together if there are several."""
    coordinator = Coordinator()
    watch = Watch()
    running: dict[str, tuple[SpawnProcess, cards.Task]] = {}
    try:
        for task in tasks:
            ours, theirs = context.Pipe() if len(tasks) > 1 else (None, None)
            process = context.Process(target=cards.run, args=(task, theirs), name=task.card.card)
            process.start()
            running[task.card.card] = (process, task)
            if ours is not None and theirs is not None:
                theirs.close()
                coordinator.add(task.card.card, ours)
        while running:
            wait([process.sentinel for process, _ in running.values()], timeout=POLL_S)
            for card in coordinator.step():
                say(f"{card} is not ready: the other cards go on without it")
            for card, (process, task) in list(running.items()):
                if watch.hangs(layout.card_folder(task.folder, task.node, card) / cards.LOG):
                    say(f"{card} has made no progress for {HUNG_S:g} s: its process is ended")
                    process.kill()
                if process.exitcode is not None:
                    coordinator.drop(card)
                    del running[card]
                    say(_outcome(task, process.exitcode))
    finally:
        _end([process for process, _ in running.values()])


class Watch:
    """Notices a card's process that hangs, as in a driver that waits for a lost card: its log stands still."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[Path, tuple[int, float]] = {}

    def hangs(self, log: Path) -> bool:
        """Whether a log has not changed for :data:`HUNG_S`. The clocks of file systems differ, so only ours counts."""
        now_s = self._clock()
        changed_ns = log.stat().st_mtime_ns if log.exists() else 0
        before_ns, since_s = self._seen.get(log, (-1, now_s))
        if changed_ns != before_ns:
            self._seen[log] = changed_ns, now_s
            return False
        return now_s - since_s > HUNG_S


def _outcome(task: cards.Task, code: int) -> str:
    """A sentence on a card whose process has ended; a process that died leaves the reason in the card's status."""
    folder = layout.card_folder(task.folder, task.node, task.card.card)
    status = layout.read(folder / layout.STATUS, Status)
    if status is None or status.state == "running":
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        before = status or Status(task.node, task.card.card, task.card.slot, "running", "", task.mode)
        status = replace(before, state="failed", error=f"the card's process {how}", updated_utc=clock.now_utc())
        layout.write(folder / layout.STATUS, status)
    if status.state == "failed":
        return f"{status.card} failed: {status.error}"
    doubt = f", {status.unsound_rows} of them not sound" if status.unsound_rows else ""
    joules = "" if status.joules is None else f", {status.joules:.0f} J"
    return f"{status.card}: {layout.counted(status.rows, 'row')}{doubt}{joules}"


def _end(processes: Sequence[SpawnProcess]) -> None:
    """After an interruption: ask each card's process to end, and end it if it does not."""
    for process in processes:
        process.terminate()
    give_up = time.monotonic() + GRACE_S
    for process in processes:
        with contextlib.suppress(KeyboardInterrupt):
            process.join(max(0.0, give_up - time.monotonic()))
        if process.exitcode is None:
            process.kill()
            process.join()
