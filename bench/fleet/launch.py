"""What every launcher does: lay out the folder, say what each node runs, and follow the shards as they come."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench import storage
from bench.fleet import layout
from bench.fleet.layout import Fleet, Missing, Status
from bench.measure.plan import RunPlan, from_dict, read, to_dict
from bench.model import BenchError

FOLLOW_S = 2.0


def default_command() -> str:
    """How the nodes start bitwatt, if they share this machine's file system."""
    return f"{shlex.quote(sys.executable)} -m bench.cli.app"


def begin(folder: Path, plan: RunPlan, fleet: Fleet) -> None:
    """Lay out the folder of a new fleet.

    Raises:
        BenchError: the folder holds a fleet already, or cannot be written.
    """
    if (folder / layout.FLEET).exists():
        raise BenchError(
            f"{folder} holds a fleet already", f"resume it: bitwatt fleet {fleet.engine} --resume {folder}"
        )
    layout.write(folder / layout.FLEET, fleet)
    storage.write_atomically(folder / layout.PLAN, plan_text(plan))


def resume(folder: Path, engine: str) -> Fleet:
    """The fleet in a folder, to go on with at once: a moment to begin at has passed.

    Raises:
        BenchError: there is none, or another engine launched it.
    """
    fleet = layout.read(folder / layout.FLEET, Fleet)
    if fleet is None:
        raise BenchError(f"{folder} holds no fleet", f"launch one: bitwatt fleet {engine} --out {folder}")
    if fleet.engine != engine:
        raise BenchError(f"{folder} was launched by {fleet.engine}", f"use bitwatt fleet {fleet.engine} --resume")
    return replace(fleet, settings={name: text for name, text in fleet.settings.items() if name != "start_at"})


def plan_text(plan: RunPlan) -> str:
    """A plan as the TOML file that ``--plan`` reads. Where results go is the launcher's to say."""
    tables: Mapping[str, Any] = to_dict(replace(plan, output=type(plan.output)()))
    parts = []
    for group, options in tables.items():
        # a JSON value of these types is a TOML value too
        lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in options.items()]
        parts.append("\n".join([f"[{group}]", *lines]) + "\n")
    return "\n".join(parts)


def plan_of(folder: Path) -> RunPlan:
    """The plan of a fleet's folder.

    Raises:
        BenchError: it cannot be read.
    """
    return from_dict(read(folder / layout.PLAN), str(folder / layout.PLAN))


def worker(command: str, plan: str, folder: str, node: str, settings: Mapping[str, str]) -> str:
    """The shell command that a node runs; all arguments are shell text."""
    start = f" --start-at {shlex.quote(settings['start_at'])}" if settings.get("start_at") else ""
    return f"{command} worker --plan {plan} --out {folder} --node {node} --{settings['mode']}{start}"


# ---- following ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a fleet is."""

    nodes_done: int
    nodes: int
    cards_done: int
    cards: int
    failed: int
    rows: int
    joules: float | None
    slowest: Status | None
    """The running card with the fewest rows."""

    def __str__(self) -> str:
        joules = "" if self.joules is None else f", {self.joules:.3g} J"
        failed = f", {self.failed} failed" if self.failed else ""
        slowest = ""
        if self.slowest is not None:
            slowest = (
                f"; slowest: {self.slowest.card} of {self.slowest.node} with {layout.counted(self.slowest.rows, 'row')}"
            )
        return (
            f"{self.nodes_done} of {self.nodes} nodes done, {self.cards_done} of {self.cards} cards{failed}, "
            f"{layout.counted(self.rows, 'row')}{joules}{slowest}"
        )


@dataclass
class Follower:
    """Reads a fleet's folder again and again; what is done is not read again."""

    folder: Path
    _settled: dict[Path, Status] = field(default_factory=dict)
    _nodes: dict[Path, layout.Node] = field(default_factory=dict)

    def look(self) -> Progress:
        """How far the fleet is now."""
        statuses: list[Status] = []
        for path in self.folder.glob(f"*/*/{layout.STATUS}"):
            status = self._settled.get(path) or layout.read(path, Status)
            if status is not None:
                statuses.append(status)
                if status.state == "done":
                    self._settled[path] = status
        for path in self.folder.glob(f"*/{layout.NODE}"):
            node = layout.read(path, layout.Node)
            if node is not None:
                self._nodes[path] = node
        done = {(each.node, each.card) for each in statuses if each.state == "done"}
        known = list(self._nodes.values())
        fleet = layout.read(self.folder / layout.FLEET, Fleet)
        asked = 0 if fleet is None or fleet.nodes is None else fleet.nodes
        joules = [each.joules for each in statuses if each.joules is not None]
        running = [each for each in statuses if each.state == "running"]
        return Progress(
            nodes_done=sum(all((node.node, card.card) in done for card in node.cards) for node in known),
            nodes=max(asked, len(known), len(layout.expected(self.folder))),
            cards_done=len(done),
            cards=sum(len(node.cards) for node in known),
            failed=sum(each.state == "failed" for each in statuses),
            rows=sum(each.rows for each in statuses),
            joules=sum(joules) if joules else None,
            slowest=min(running, key=lambda each: each.rows, default=None),
        )


def follow(
    folder: Path,
    alive: Callable[[], str | None],
    show: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Show how far a fleet is until nothing runs any more.

    Args:
        folder: the fleet's folder.
        alive: what the engine says of the job, such as ``RUNNING``; None once it has ended.
        show: takes a sentence.
        sleep: how to wait between two looks.
    """
    follower = Follower(folder)
    while (state := alive()) is not None:
        show(f"{state.lower()}: {follower.look()}")
        sleep(FOLLOW_S)
    show(str(follower.look()))


def nodes_to_resume(missing: list[Missing]) -> tuple[list[str], int]:
    """Which nodes to start again, and how many more that have no name yet."""
    names = [each.node for each in missing if each.node]
    return list(dict.fromkeys(names)), sum(not each.node for each in missing)
