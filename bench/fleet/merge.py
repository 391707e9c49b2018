"""Shards into one file, by node and card; and the list of what is missing, which is also the list to resume."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import storage
from bench.fleet import layout
from bench.fleet.layout import Missing, Status
from bench.model import BenchError
from bench.storage.fleet import FleetWriter

if TYPE_CHECKING:
    import pandas as pd

SHARDS_AT_ONCE = 2000
"""Shards that are read in one go: some 30 MB of rows."""
_ORDER = {"running": 0, "failed": 1, "done": 2}


@dataclass(frozen=True, slots=True)
class Shard:
    """The rows of one card."""

    csv: Path
    status: Status


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge wrote, and what it lacks."""

    rows: int
    cards: int
    nodes: int
    missing: tuple[Missing, ...]

    def __str__(self) -> str:
        rows, cards = layout.counted(self.rows, "row"), layout.counted(self.cards, "card")
        return f"{rows} of {cards} on {layout.counted(self.nodes, 'node')}"


def merge(folders: Sequence[Path], output: Path, note: Callable[[str], None] = lambda _: None) -> Merged:
    """Join the shards in the folders into one file, each card once.

    Args:
        folders: folders of a fleet, such as one per node where they share none.
        output: a .parquet or .csv file.
        note: takes a sentence on each thing that was left out.

    Raises:
        BenchError: there is no shard, or a file cannot be read or written.
    """
    shards, missing = collect(folders, note)
    damaged: dict[tuple[str, str], str] = {}
    with FleetWriter(output) as writer:
        for first in range(0, len(shards), SHARDS_AT_ONCE):
            for frame in _frames(shards[first : first + SHARDS_AT_ONCE], damaged, note):
                writer.append(frame)
        missing += [Missing(*key, reason) for key, reason in damaged.items()]
        if not writer.rows:
            raise BenchError("no shard has a row", "see log.txt next to each shard")
        writer.missing = [asdict(each) for each in missing]
        rows = writer.rows
    kept = {(shard.status.node, shard.status.card) for shard in shards} - set(damaged)
    return Merged(rows, len(kept), len({node for node, _ in kept}), tuple(missing))


def collect(folders: Sequence[Path], note: Callable[[str], None]) -> tuple[list[Shard], list[Missing]]:
    """The shard of each card, and what is missing from all folders together.

    Raises:
        BenchError: a folder is not there, holds nothing of a fleet, or has a damaged file.
    """
    best: dict[tuple[str, str], Shard] = {}
    lacking: list[Missing] = []
    reported: set[str] = set()
    copies: list[Path] = []
    attempts: list[Path] = []
    for folder in folders:
        begun = list(layout.statuses(folder))
        if not begun and not layout.nodes(folder):
            raise BenchError(f"{folder} holds no shards of a fleet", "give a folder that `bitwatt worker --out` wrote")
        lacking += layout.missing(folder, [status for _, status in begun])
        reported |= {status.node for _, status in begun}
        for place, status in begun:
            if status.csv is None:
                continue
            attempts += [path for path in place.glob("*.csv") if path.name != status.csv]
            shard = Shard(place / status.csv, status)
            known = best.get((status.node, status.card))
            if known is None or _rank(shard) > _rank(known):
                best[status.node, status.card] = shard
            if known is not None:
                copies.append(min((shard, known), key=_rank).csv)
    done = {key for key, shard in best.items() if shard.status.state == "done"}
    # what one folder lacks another may hold
    missing = [
        each for each in lacking if (each.node, each.card) not in done and (each.card or each.node not in reported)
    ]
    if copies:
        note(_left_out(copies, "of a card that is there once already"))
    if attempts:
        note(_left_out(attempts, "of an attempt that was cut short or failed, and measured again"))
    return list(best.values()), missing


def _rank(shard: Shard) -> tuple[int, str]:
    return _ORDER[shard.status.state], shard.status.updated_utc


def _left_out(paths: Sequence[Path], why: str) -> str:
    shards = "1 shard is" if len(paths) == 1 else f"{len(paths)} shards are"
    return f"{shards} left out, each {why}; the first is {paths[0]}"


def _frames(
    shards: Sequence[Shard], damaged: dict[tuple[str, str], str], note: Callable[[str], None]
) -> Iterator[pd.DataFrame]:
    """The shards' rows; where one of them cannot be read, it goes into ``damaged`` and the others are kept."""
    try:
        yield _frame(shards, note)
    except BenchError as error:
        if len(shards) > 1:
            half = len(shards) // 2
            yield from _frames(shards[:half], damaged, note)
            yield from _frames(shards[half:], damaged, note)
            return
        status = shards[0].status
        damaged[status.node, status.card] = error.message
        note(f"{status.card} of {status.node} is left out: {error.message}")


def _frame(shards: Sequence[Shard], note: Callable[[str], None]) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    frame = storage.read([shard.csv for shard in shards], note=note)
    by_file = {str(shard.csv): number for number, shard in enumerate(shards)}
    files = frame.pop(storage.FILE)
    numbers = np.array([by_file[name] for name in files.cat.categories])[files.cat.codes]
    lines = frame.pop(storage.LINE).to_numpy()
    statuses = [shard.status for shard in shards]
    watts = [status.neighbours_power_w for status in statuses]
    frame["node"] = pd.Categorical([status.node for status in statuses])[numbers]
    frame["card"] = pd.Categorical([status.card for status in statuses])[numbers]
    frame["slot"] = np.array([status.slot for status in statuses])[numbers]
    frame["together"] = np.array([status.mode == "together" for status in statuses])[numbers]
    # the row on line 2 is the first one
    frame["neighbours_power_w"] = np.array(
        [watts[n][line - 2] if line - 2 < len(watts[n]) else None for n, line in zip(numbers, lines, strict=True)],
        dtype=np.float64,
    )
    return frame
