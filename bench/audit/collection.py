"""The collection under ``results/``: whether a CSV may join it and under what name, and the README that lists it.

    found = collection.check(Path("results/2026….csv"))      # BenchError says why not; found.name is its name there
    text = collection.readme(Path("results"))                # the README with an up-to-date table

Contributed CSVs and their sidecars live in ``results/cards/``, so that a local run in ``results/`` is never listed.
"""

from __future__ import annotations

import itertools
import math
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import storage
from bench.analysis import compare, published
from bench.model import EXIT_INVALID, BenchError, Record
from bench.output.comparison import figures_grid
from bench.output.formats.markdown import grid_markdown
from bench.output.run import row_notes

CARDS = "cards"
BEGIN, END = "<!-- table: made by `make results`, do not edit -->", "<!-- end of table -->"
LEAST_REPEATS = 3
LEAST_WINDOW_S = 5.0
LEAST_UNMETERED_WINDOW_S = 0.9
"""Where no watts are read, windows of 1 s are the default."""


@dataclass(frozen=True, slots=True)
class Check:
    """A CSV that may join. ``notes``: what its readers should know; none of it keeps the file out."""

    name: str
    rows: int
    notes: tuple[str, ...]


def check(path: Path) -> Check:
    """Check that a CSV may join the collection, and choose its name there.

    It must come from one real device, in standard mode, with its sidecar, every row verified, at least
    one row valid, and at least three valid windows of each task that has any.

    Raises:
        BenchError: it may not, and why; exit code 3 where the measurement is at fault.
    """
    records = storage.read_records(path)
    devices = {(record.device_name, record.device_uuid) for record in records}
    if len(devices) > 1:
        raise BenchError(f"{path} holds {len(devices)} devices", "contribute one file for each")
    first = records[0]
    if first.device_name.startswith("Example "):
        raise BenchError(
            f"{path} is from a made-up device, {first.device_name!r}", "measure a real one with `make bench`"
        )
    modes = sorted({record.mode for record in records} - {"standard"})
    if modes:
        raise BenchError(f"{path} has rows in {' and '.join(modes)} mode", "measure in standard mode: `make bench`")
    sidecar = storage.sidecar_path(path)
    if not sidecar.exists():
        raise BenchError(
            f"{path} has no sidecar", f"put {sidecar.name} in the same folder; it holds the evidence of the work"
        )
    in_sidecar = {note.row for note in storage.read_sidecar(sidecar).windows}
    bare = [number for number in range(1, len(records) + 1) if number not in in_sidecar]
    if bare:
        raise BenchError(
            f"{path}, line {bare[0] + 1}: its window is not in the sidecar", "contribute a run as it was written"
        )
    if any(record.energy_method == "assumed" for record in records):
        raise BenchError(f"{path} has assumed power", "measure with a sensor, or without power")
    least = {True: LEAST_WINDOW_S, False: LEAST_UNMETERED_WINDOW_S}
    short = [number for number, row in enumerate(records, 2) if row.window_s < least[row.meter is not None]]
    if short:
        raise BenchError(
            f"{path}, line {short[0]}: the window is shorter than {least[records[short[0] - 2].meter is not None]:g} s",
            "measure without --window: `make bench`",
        )
    wrong = [number for number, record in enumerate(records, 2) if not record.verified]
    if wrong:
        unproven = records[wrong[0] - 2].proven is False
        raise BenchError(
            f"{path}, line {wrong[0]}: the work was not {'proven by enough shares' if unproven else 'verified'}",
            "measure with fewer --share-bits" if unproven else "find out why before contributing it",
            exit_code=EXIT_INVALID,
        )
    _enough(path, records)
    return Check(_name(records), len(records), tuple(_notes(records)))


def _enough(path: Path, records: Sequence[Record]) -> None:
    result = compare.compare(storage.to_frame(records, str(path)), metrics=["rate_per_s"])
    good = [comparison for comparison in result.comparisons if comparison.repeats]
    if not good:
        raise BenchError(
            f"{path} has no valid row", "see its invalid_reasons and measure again", exit_code=EXIT_INVALID
        )
    few = [comparison for comparison in good if comparison.repeats < LEAST_REPEATS]
    if few:
        raise BenchError(
            f"{path}: {few[0].task.label} has {few[0].repeats} valid window{'s' if few[0].repeats > 1 else ''}",
            f"measure with --repeats {LEAST_REPEATS} or more",
        )


def add(path: Path, folder: Path) -> Path:
    """Copy a CSV that may join, and its sidecar, into ``folder/cards``; returns where the CSV is now.

    A second run of the same card on the same day gets a number behind its name.

    Raises:
        BenchError: it may not join, or it is there already.
    """
    stem = check(path).name.removesuffix(".csv")
    cards = folder / CARDS
    held = {other.read_bytes(): other for other in sorted(cards.glob("*.csv"))}
    if other := held.get(path.read_bytes()):
        raise BenchError(f"{path} is in the collection already, as {other}", "measure again for another run")
    names = itertools.chain([f"{stem}.csv"], (f"{stem}-{number}.csv" for number in itertools.count(2)))
    target = next(cards / name for name in names if not (cards / name).exists())
    cards.mkdir(parents=True, exist_ok=True)
    # The evidence first, as in a run.
    shutil.copyfile(storage.sidecar_path(path), storage.sidecar_path(target))
    shutil.copyfile(path, target)
    return target


def machine(records: Sequence[Record]) -> str:
    """What a reader must know of where a run was made: a virtual machine, a container, cores that others used."""
    first = records[0]
    said = []
    if first.hypervisor is not None:
        said.append("virtual machine" + (f" ({first.hypervisor})" if first.hypervisor != "unknown" else ""))
    if first.container is not None:
        said.append(f"in {first.container}")
    stolen = [record.steal_s for record in records if record.steal_s is not None]
    if any(stolen) and first.device_kind == "cpu":
        capacity_s = math.fsum(record.window_s * (record.device_cores or 1) for record in records)
        said.append(f"shared with other machines, which took {math.fsum(stolen) / capacity_s:.1%} of its CPU time")
    return ", ".join(said) or "bare metal"


def _name(records: Sequence[Record]) -> str:
    """``nvidia-h100-80gb-hbm3-700w-580.65-20260101.csv``: the card, its limit, its driver, the day."""
    first = records[0]
    limits = {record.power_limit_w for record in records if record.power_limit_w is not None}
    limit = f"{limits.pop():.0f}w" if len(limits) == 1 else "limits" if limits else None
    day = min(record.started_utc for record in records)[:10].replace("-", "")
    parts = [first.device_name, limit, first.driver, day]
    return "-".join(_slug(part) for part in parts if part) + ".csv"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")


def _notes(records: Sequence[Record]) -> list[str]:
    first = records[0]
    notes = []
    if first.host is not None:
        notes.append(f"the file names the host {first.host!r}; run with --host-label to choose another name")
    if first.device_uuid is not None:
        notes.append("the file names the card's UUID")
    if any(record.dirty for record in records):
        notes.append("the checkout had uncommitted changes")
    unread = sum(record.energy_j is None and record.valid for record in records)
    if unread:
        notes.append(f"{unread} rows have no power")
    shared = max((record.co_tenants or 0 for record in records), default=0)
    if shared:
        notes.append(f"{shared} other process{'es' if shared > 1 else ''} had a context on the card")
    return notes + [note for note in row_notes(records) if note not in notes]


def table(folder: Path) -> str:
    """The figures in ``folder/cards`` as Markdown, and a summary of those published in ``folder/reference``.

    Raises:
        BenchError: a CSV there cannot be read.
    """
    paths = sorted((folder / CARDS).glob("*.csv"))
    if paths:
        result = compare.compare(storage.read(paths, compare.COLUMNS))
        body = grid_markdown(figures_grid(result)) + "\n" + "".join(map(_listed, paths))
        covered = " or ".join(dict.fromkeys(one.covers for one in result.comparisons if one.covers))
        body += f"\nIntervals (±) are 95% {covered}; the sensor's own error is not included.\n"
        if result.invalid:
            body += f"\n{len(result.invalid)} invalid rows are in the files but in none of the figures.\n"
    else:
        body = "No card has been contributed yet.\n"
    figures = published.figures(folder / "reference" / "published.csv")
    cards = dict.fromkeys(figure.card for figure in figures)
    listed = f"{len(figures)} figures for {len(cards)} cards, published by others ({', '.join(cards)})"
    return f"{body}\n`reference/published.csv`: {listed}. They were not measured by this project.\n"


def _listed(path: Path) -> str:
    records = storage.read_records(path)
    return f"- `{path.name}`: {len(records)} windows, {records[0].started_utc[:10]}; {machine(records)}\n"


def readme(folder: Path) -> str:
    """The text of ``folder/README.md`` with an up-to-date table.

    Raises:
        BenchError: there is no README, or the marks around its table are missing.
    """
    path = folder / "README.md"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BenchError(f"cannot read {path} ({(error.strerror or str(error)).lower()})", "restore it") from error
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BenchError(f"{path} lacks the markers around its table", f"restore the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{table(folder)}\n{END}{after}"
