"""The folder of a fleet: which files it holds, and what they say.

::

    DIR/fleet.json              how the fleet was launched, where a launcher did
    DIR/plan.toml               its plan
    DIR/nodes.txt               nodes that are to report, one per line (each may be there more than once)
    DIR/NODE/node.json          the cards of a node, and its clock
    DIR/NODE/CARD/status.json   how far a card is: running, done or failed
    DIR/NODE/CARD/*.csv         its rows; the sidecars with their evidence stand next to them

A card is measured once its status is *done*. Its rows belong together (one random order, one pair of idle baselines),
so a card that was cut short is measured again as a whole, and the rows of the cut attempt are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from bench import storage
from bench.model import BenchError

FLEET, PLAN, NODES, NODE, STATUS = "fleet.json", "plan.toml", "nodes.txt", "node.json", "status.json"

SILENT = "the node never reported"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Clock:
    """How far the clock of a node can be trusted."""

    synchronized: bool | None = None
    """Whether the kernel says that its clock is synchronized."""
    max_error_s: float | None = None
    """The kernel's bound of its error."""
    folder_offset_s: float | None = None
    """The folder's clock minus the node's: the same reference for all nodes that share the folder."""
    folder_uncertainty_s: float | None = None
    """Half the time that the comparison took."""


@dataclass(frozen=True, slots=True)
class Card:
    """One card of a node."""

    card: str
    """UUID; where the card has none, its kind and index, such as ``cpu``."""
    slot: int
    """Index on the node."""
    kind: str
    name: str
    visible: str | None = None
    """What CUDA_VISIBLE_DEVICES is set to in the card's process; None: it is chosen by ``device`` alone."""
    device: str = "auto"
    """``--device`` in the card's process."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node that has reported, and its cards."""

    node: str
    cards: tuple[Card, ...]
    mode: Literal["together", "one-by-one"]
    started_utc: str
    start_at_utc: str | None = None
    """Agreed moment at which all nodes begin."""
    late_s: float | None = None
    """How much later than that this node began."""
    clock: Clock = field(default_factory=Clock)


@dataclass(frozen=True, slots=True)
class Status:
    """How far one card is. Written again after each row."""

    node: str
    card: str
    slot: int
    state: Literal["running", "done", "failed"]
    updated_utc: str
    mode: str
    csv: str | None = None
    """Name of the CSV of this attempt; None before its first row."""
    rows: int = 0
    unsound_rows: int = 0
    """Rows that are invalid or not verified."""
    joules: float | None = None
    """Sum over the windows; None where no power is read."""
    error: str | None = None
    """Why the card failed; for a card that is done, what was not measured because it was wrong."""
    neighbours_power_w: tuple[float | None, ...] = ()
    """For each row, mean power of the node's other cards in that window, summed over them."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """How a fleet was launched: enough to resume it."""

    engine: str
    nodes: int | None = None
    cards_per_node: int | None = None
    job: str | None = None
    """The engine's name of the latest job."""
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Missing:
    """What a fleet still lacks: a card, or a node of which nothing is known (``card`` empty)."""

    node: str
    card: str
    reason: str


def counted(count: int, noun: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def safe(name: str) -> str:
    """``name`` as the name of a file. Distinct names stay distinct for what hosts and UUIDs are made of."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")[:120] or "_"


def card_folder(folder: Path, node: str, card: str) -> Path:
    """Where a card's shard goes."""
    return folder / safe(node) / safe(card)


def write(path: Path, value: Node | Status | Fleet) -> None:
    """Write one of the JSON files, whole or not at all.

    Raises:
        BenchError: the disk is full or may not be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(f"cannot write {path} ({error.strerror})", "choose a folder that can be written") from error
    storage.write_atomically(path, msgspec.json.encode(value).decode() + "\n")


def read(path: Path, kind: type[T]) -> T | None:
    """One of the JSON files; None where there is none.

    Raises:
        BenchError: the file is damaged.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise BenchError(f"cannot read {path} ({error})", "remove the file: its card counts as missing then") from error


def expect(folder: Path, nodes: Iterable[str]) -> None:
    """Note nodes that are to report."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / NODES).open("a", encoding="utf-8") as stream:
        stream.write("".join(f"{node}\n" for node in nodes))


def expected(folder: Path) -> list[str]:
    """Nodes that are to report, each once."""
    try:
        text = (folder / NODES).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


def nodes(folder: Path) -> list[Node]:
    """The nodes that have reported, by name."""
    found = (read(path, Node) for path in sorted(folder.glob(f"*/{NODE}")))
    return [node for node in found if node is not None]


def statuses(folder: Path) -> Iterator[tuple[Path, Status]]:
    """The status of each card that was begun, with its folder, by node and card."""
    for path in sorted(folder.glob(f"*/*/{STATUS}")):
        status = read(path, Status)
        if status is not None:
            yield path.parent, status


def missing(folder: Path, begun: Iterable[Status] | None = None) -> list[Missing]:
    """What is still to be measured: cards that are not done, and nodes that never reported. Also the resume list.

    Args:
        folder: the fleet's folder.
        begun: the status of each card, where it has been read already.
    """
    known = nodes(folder)
    if begun is None:
        begun = (status for _, status in statuses(folder))
    states = {(status.node, status.card): status for status in begun}
    found = []
    for node in known:
        for card in node.cards:
            status = states.get((node.node, card.card))
            if status is None:
                found.append(Missing(node.node, card.card, "not begun"))
            elif status.state == "running":
                found.append(Missing(node.node, card.card, f"cut short after {counted(status.rows, 'row')}"))
            elif status.state == "failed":
                found.append(Missing(node.node, card.card, status.error or "failed"))
    names = [node.node for node in known]
    silent = [name for name in expected(folder) if name not in names]
    found += [Missing(name, "", SILENT) for name in silent]
    fleet = read(folder / FLEET, Fleet)
    unknown = 0 if fleet is None or fleet.nodes is None else fleet.nodes - len(known) - len(silent)
    found += [Missing("", "", "a node that was asked for never reported")] * max(0, unknown)
    if fleet is not None and fleet.cards_per_node is not None:
        for node in known:
            lacking = fleet.cards_per_node - len(node.cards)
            if lacking > 0:
                found.append(Missing(node.node, "", f"shows {len(node.cards)} of {fleet.cards_per_node} cards"))
    return found
