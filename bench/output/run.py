"""What a run gave: its windows gathered by task and setting, and what a reader must know about them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

from bench.model import Record, TaskKey
from bench.output.comparison import figures_grid
from bench.output.document import Document, Grid
from bench.output.format import quantity


def run(records: Sequence[Record]) -> Document:
    """A run's windows: one row per device × task × setting in tables, one per window in CSV and JSON."""
    rows = [asdict(record) for record in records]
    return Document(
        grids=(_grid(records),) if records else (),
        rows=rows,
        windows=lambda: rows,
        notes=(*peak_notes(records), *lock_notes(records), *row_notes(records)),
    )


def _grid(records: Sequence[Record]) -> Grid:
    from bench import storage
    from bench.analysis import compare

    by = "device" if _several_of_a_name(records) else "card"
    return figures_grid(compare.compare(storage.to_frame(records), by=by))


def _several_of_a_name(records: Sequence[Record]) -> bool:
    names = {record.device_name for record in records}
    return len({(record.device_name, record.device_uuid) for record in records}) > len(names)


def row_notes(records: Sequence[Record]) -> list[str]:
    """What a reader of the table must know: invalid, unverified and unsteady windows, warnings, short windows."""
    notes: dict[str, list[str]] = {}
    for record in records:
        what = TaskKey.of(record).label
        if not record.valid:
            notes.setdefault(f"invalid: {record.invalid_reasons or 'no reason was given'}", []).append(what)
        elif not record.verified:
            reason = "not verified" if record.proven is None else "not proven: too few shares, so not verified"
            notes.setdefault(reason, []).append(what)
        if record.steady is False and record.energy_j is not None:
            notes.setdefault("not steady when the window began", []).append(what)
        # without a meter the only warning is why there are no watts, and that was said before the run
        for warning in (record.warnings or "").split(";") if record.meter else ():
            if warning.strip():
                notes.setdefault(warning.strip(), []).append(what)
    lines = [f"{text} ({_where(places, len(records))})" for text, places in notes.items()]
    if any(record.energy_method == "assumed" for record in records):
        lines.append("watts are assumed, not measured")
    modes = sorted({record.mode for record in records} - {"standard"})
    if modes:
        lines.append(f"{' and '.join(modes)} mode: short windows, for a check rather than a figure to publish")
    return lines


def peak_notes(records: Sequence[Record]) -> list[str]:
    """MFU and MBU of each workload whose peak is known, the mean of its valid windows, with the peak's source."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        if record.valid and record.mfu is not None:
            groups.setdefault(TaskKey.of(record).label, []).append(record)
    lines = []
    for what, rows in groups.items():
        mfu = math.fsum(row.mfu or 0.0 for row in rows) / len(rows)
        mbu = [row.mbu for row in rows if row.mbu is not None]
        text = f"MFU {mfu:.1%}" + (f", MBU {math.fsum(mbu) / len(mbu):.1%}" if mbu else "")
        clocks = [row.sm_clock_mhz_mean for row in rows if row.sm_clock_mhz_mean is not None]
        above = f"; the SM clock was {math.fsum(clocks) / len(clocks):.0f} MHz" if clocks and mfu > 1 else ""
        lines.append(f"{what}: {text} of the peak ({rows[0].peak_source}{above})")
    return lines


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
