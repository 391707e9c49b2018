"""What a run gave: its windows gathered by task and setting, and what a reader must know about them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict

from bench.model import Record, TaskKey
from bench.output.answer import answer
from bench.output.comparison import figures_grid
from bench.output.document import Document
from bench.output.format import quantity


def run(records: Sequence[Record]) -> Document:
    """A run's windows: one row per task and setting (and device) in tables, one per window in CSV and JSON."""
    from bench import storage
    from bench.analysis import compare

    rows = [asdict(record) for record in records]
    if not records:
        return Document(grids=(), rows=rows)
    by = "device" if _several_of_a_name(records) else "card"
    result = compare.compare(storage.to_frame(records), by=by)
    return Document(
        grids=(figures_grid(result),),
        rows=rows,
        notes=(*peak_notes(records), *lock_notes(records), *row_notes(records)),
        conclusion=answer(result),
        windows=lambda: rows,
    )


def _several_of_a_name(records: Sequence[Record]) -> bool:
    names = {record.device_name for record in records}
    return len({(record.device_name, record.device_uuid) for record in records}) > len(names)


def row_notes(records: Sequence[Record]) -> list[str]:
    """What a reader of the table must know: invalid, unverified and unsteady windows, warnings, short windows.

    Notes that differ in their figures only are said once, with the number of windows.
    """
    notes: dict[str, list[tuple[str, str]]] = {}

    def add(text: str, what: str) -> None:
        notes.setdefault(_FIGURE.sub("#", text), []).append((text, what))

    for record in records:
        what = TaskKey.of(record).label
        if not record.valid:
            add(f"invalid: {record.invalid_reasons or 'no reason was given'}", what)
        elif not record.verified:
            add("not verified" if record.proven is None else "not proven: too few shares, so not verified", what)
        # without a meter the only warning is why there are no watts, and that was said before the run
        for warning in (record.warnings or "").split(";") if record.meter else ():
            if warning.strip() and not warning.strip().startswith(_UNSTEADY):
                add(warning.strip(), what)
    lines = [
        f"{found[0][0]}{_and_like_it(found)} ({_where([what for _, what in found], len(records))})"
        for found in notes.values()
    ]
    lines += unsteady_notes(records)
    if any(record.energy_method == "assumed" for record in records):
        lines.append("watts are assumed, not measured")
    modes = sorted({record.mode for record in records} - {"standard"})
    if modes:
        lines.append(f"{' and '.join(modes)} mode: short windows, for a check rather than a figure to publish")
    return lines


_FIGURE = re.compile(r"\d+(?:\.\d+)?")
_UNSTEADY = "not steady after the warm-up"


def _and_like_it(found: Sequence[tuple[str, str]]) -> str:
    others = len({text for text, _ in found}) - 1
    return f", and {others} more with other figures" if others else ""


def unsteady_notes(records: Sequence[Record]) -> list[str]:
    """One sentence on the tasks whose energy was read before the card had settled, and what still moved.

    Without a power reading it does not matter: a rate settles within the warm-up or its interval is wide.
    """
    moved: dict[str, str] = {}
    for record in records:
        read = record.energy_j is not None and record.energy_method != "assumed"
        if record.steady is False and read and record.valid:
            texts = [text.strip() for text in (record.warnings or "").split(";")]
            reasons = [text.removeprefix(_UNSTEADY).strip(": ") for text in texts if text.startswith(_UNSTEADY)]
            what = TaskKey.of(record).label
            moved[what] = moved.get(what) or ", ".join(reasons)
    said = [f"{what} ({reason})" if reason else what for what, reason in moved.items()]
    return [f"{_UNSTEADY}, so that watts may still have risen: {'; '.join(said)}"] if said else []


def peak_notes(records: Sequence[Record]) -> list[str]:
    """MFU and MBU of each task whose peak is known, the mean of its valid windows: a sentence per source of a peak."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record.valid and record.mfu is not None:
            groups.setdefault((str(record.peak_source), TaskKey.of(record).label), []).append(record)
    by_source: dict[str, list[str]] = {}
    for (source, what), rows in groups.items():
        mfu = math.fsum(row.mfu or 0.0 for row in rows) / len(rows)
        mbu = [row.mbu for row in rows if row.mbu is not None]
        text = f"{what} MFU {mfu:.1%}" + (f", MBU {math.fsum(mbu) / len(mbu):.1%}" if mbu else "")
        clocks = [row.sm_clock_mhz_mean for row in rows if row.sm_clock_mhz_mean is not None]
        above = f" (the SM clock was {math.fsum(clocks) / len(clocks):.0f} MHz)" if clocks and mfu > 1 else ""
        by_source.setdefault(source, []).append(text + above)
    return [f"of the peak ({source}): {'; '.join(said)}" for source, said in by_source.items()]


def lock_notes(records: Sequence[Record]) -> list[str]:
    """What a card's maker has locked, with the figures."""
    from bench.analysis import locked

    return [
        f"{card}: {lock.rate.name} is locked to about 1/{lock.divisor}: "
        f"{quantity(lock.rate.measured_per_s, lock.rate.unit)} where its multiprocessors could do "
        f"{quantity(lock.rate.expected_per_s, lock.rate.unit)} at this clock, while {lock.witness.name} reaches "
        f"{lock.witness.share:.0%} of its own; all figures are as measured"
        for card, rates in locked.rates(records).items()
        for lock in locked.find(rates)
    ]


def _where(places: Sequence[str], windows: int) -> str:
    """How many windows a note is of, and of which workloads where it is not all of them."""
    count = f"{len(places)} of {windows} windows"
    return count if len(places) == windows else f"{count}: {', '.join(dict.fromkeys(places))}"
