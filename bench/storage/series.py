"""Reading an hourly figure in the formats that people have: our own, ENTSO-E's and ERCOT's exports, or a plain CSV.

A plain CSV has a column of times (``time``, ``timestamp``, ``start`` …) and one of figures, whose unit stands in its
heading (``price [EUR/MWh]``) or is given. What is certain is repaired and said (an equal duplicate, a short gap, the
hour that a clock change repeats); what is not is refused with its line.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import multimode
from typing import TYPE_CHECKING

from bench.model import BenchError
from bench.model.series import Series
from bench.storage.files import read_bytes

if TYPE_CHECKING:
    import pandas as pd

MOST_BYTES = 64 << 20
FIRST_YEAR, LAST_YEAR = 1970, 2200
LONGEST_GAP_H = 3.0
"""Gaps up to this long are filled along a straight line; longer ones are refused."""
TIME_NAMES = ("time", "timestamp", "datetime", "date", "start", "utc", "hour", "period", "interval start", "valid_from")
_UNIT = re.compile(r"\[([^\]]+)\]\s*$|\(([^)]*/[^)]*)\)\s*$")
_ENTSOE = re.compile(r"^MTU \((.*)\)$")
_ENTSOE_ZONES = {
    "UTC": "UTC",
    "CET/CEST": "Europe/Brussels",
    "WET/WEST": "Europe/Lisbon",
    "EET/EEST": "Europe/Helsinki",
}
_DAY_FIRST = re.compile(r"^(?:\d{1,2}\.\d{1,2}\.\d{4}|(?:1[3-9]|2\d|3[01])/\d{1,2}/\d{4})")
"""Dates that begin with the day for certain: 31.01.2026, 31/01/2026."""


@dataclass(frozen=True, slots=True)
class _Table:
    """Times as text with their zone, figures as text, and the unit, of a file in any of the formats."""

    times: list[str]
    values: list[str]
    lines: list[int]
    unit: str | None
    zone: str | None
    day_first: bool = False


def read_series(
    path: Path,
    units: Mapping[str, float],
    *,
    unit: str | None = None,
    zone: str | None = None,
    column: str | None = None,
) -> Series:
    """Read a series of equal steps.

    Args:
        path: a CSV, or ``-`` for standard input.
        units: the units that are understood and what each is worth in the first one, which the result is in.
        unit: unit of the figures, where the file does not say.
        zone: time zone of times without an offset, for example ``Europe/Berlin``, where the format has none of its own.
        column: which column, or which settlement point, holds the figures, where there are several.

    Returns:
        The series in UTC, sorted, with a note for everything that was repaired.

    Raises:
        BenchError: not such a file, no unit or an unknown one (another currency), a time or figure that is not one,
            no time zone, overlapping times, two figures for one time, a gap above three hours.
    """
    table = _table(path, column)
    named = unit or table.unit
    if named is None:
        raise BenchError(f"{path} does not say the unit of its figures", f"give it: {' or '.join(units)}")
    named = named.replace(" ", "").replace("€", "EUR").replace("$", "USD")
    if named not in units:
        raise BenchError(f"{path} is in {named}", f"convert it to {' or '.join(units)}, the price file's currency")
    notes: list[str] = []
    times = _times(path, table, zone, notes)
    values = [_number(path, line, text) for line, text in zip(table.lines, table.values, strict=True)]
    found = _regular(path, times, [value * units[named] for value in values], table.lines, next(iter(units)), notes)
    return replace(found, zone=table.zone)


def _table(path: Path, column: str | None) -> _Table:
    raw = read_bytes(path, MOST_BYTES)
    try:
        text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise BenchError(f"{path} is not text in UTF-8", "save it as CSV in UTF-8") from None
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise BenchError(f"{path} is not a CSV ({error})", "save it again as CSV") from None
    header = [name.strip() for name in rows[0]] if rows else []
    body = [(line, row) for line, row in enumerate(rows[1:], 2) if any(cell.strip() for cell in row)]
    if len(header) < 2 or not body:
        raise BenchError(f"{path} has no rows of times and figures", "give a CSV with a column of times and one figure")
    short = next((line for line, row in body if len(row) < len(header)), None)
    if short is not None:
        raise BenchError(f"{path}, line {short} is cut off", "restore the file, or delete the line")
    for reader in (_entsoe, _ercot):
        if found := reader(path, header, body, column):
            return found
    return _plain(path, header, body, column)


_Body = Sequence[tuple[int, Sequence[str]]]


def _entsoe(path: Path, header: Sequence[str], body: _Body, _column: str | None) -> _Table | None:
    """Its columns: ``MTU (CET/CEST)`` (``01.01.2025 00:00 - 01.01.2025 01:00``), ``Day-ahead Price [EUR/MWh]``."""
    match = _ENTSOE.match(header[0])
    if not match:
        return None
    place = next((at for at, name in enumerate(header) if "price" in name.lower()), None)
    if place is None:
        raise BenchError(f"{path} is an ENTSO-E export without prices", "export Day-ahead Prices")
    zone = _ENTSOE_ZONES.get(match[1])
    if zone is None:
        raise BenchError(f"{path} has times in {match[1]}", f"export it in {' or '.join(_ENTSOE_ZONES)}")
    unit = _unit_of(header[place])
    if unit is None and "Currency" in header:
        unit = f"{body[0][1][header.index('Currency')].strip()}/MWh"
    kept = [(line, row) for line, row in body if row[place].strip() not in ("", "-", "n/e", "N/A")]
    times = [re.sub(r"\s*\((CET|CEST)\)", "", row[0]).split(" - ")[0] for _, row in kept]
    return _Table(times, [row[place] for _, row in kept], [line for line, _ in kept], unit, zone, day_first=True)


def _ercot(path: Path, header: Sequence[str], body: _Body, column: str | None) -> _Table | None:
    """Its columns: ``Delivery Date``, ``Hour Ending`` or ``Delivery Hour`` (1 to 24), ``Settlement Point Price``."""
    names = {re.sub(r"[\s_]", "", name.lower()): at for at, name in enumerate(header)}
    hour = names.get("hourending", names.get("deliveryhour"))
    if "deliverydate" not in names or hour is None:
        return None
    price = names.get("settlementpointprice", names.get("price"))
    if price is None:
        raise BenchError(f"{path} is an ERCOT export without prices", "export settlement point prices")
    point = names.get("settlementpoint", names.get("settlementpointname"))
    points = sorted({row[point].strip() for _, row in body}) if point is not None else []
    if len(points) > 1 and column not in points:
        shown = ", ".join(points[:6])
        raise BenchError(f"{path} holds {len(points)} settlement points", f"name one with --power-column: {shown} …")
    kept = [entry for entry in body if len(points) < 2 or (point is not None and entry[1][point].strip() == column)]
    quarter = names.get("deliveryinterval")
    repeated = names.get("repeatedhourflag", names.get("dstflag"))
    times = []
    for line, row in kept:
        ending, interval = row[hour].strip().split(":")[0], row[quarter].strip() if quarter is not None else "1"
        if not (re.fullmatch(r"0?[1-9]|1\d|2[0-4]", ending, re.ASCII) and interval in ("1", "2", "3", "4")):
            raise BenchError(
                f"{path}, line {line}: hour {ending!r} and interval {interval!r} are not ERCOT's",
                "hours are from 1 to 24, intervals from 1 to 4",
            )
        began, minute = int(ending) - 1, 15 * (int(interval) - 1)
        fold = " fold" if repeated is not None and row[repeated].strip().upper() in ("Y", "TRUE") else ""
        times.append(f"{row[names['deliverydate']].strip()} {began:02d}:{minute:02d}{fold}")
    return _Table(times, [row[price] for _, row in kept], [line for line, _ in kept], "USD/MWh", "America/Chicago")


def _plain(path: Path, header: Sequence[str], body: _Body, column: str | None) -> _Table:
    lowered = [_UNIT.sub("", name).strip().lower() for name in header]
    when = next((at for at, name in enumerate(lowered) if name in TIME_NAMES), None)
    if when is None:
        raise BenchError(f"{path} has no column of times", f"name one of its columns {' or '.join(TIME_NAMES[:3])}")
    others = [at for at in range(len(header)) if at != when and lowered[at] not in ("end", "valid_to")]
    if column is not None:
        others = [at for at in others if column in (header[at], lowered[at])]
    if len(others) != 1:
        raise BenchError(
            f"{path} has {len(others)} columns of figures" + (f" named {column!r}" if column else ""),
            "name one with --power-column" if len(others) > 1 or column else "add a column of figures",
        )
    at = others[0]
    times, lines = [row[when] for _, row in body], [line for line, _ in body]
    day_first = any(_DAY_FIRST.match(text.strip()) for text in times)
    return _Table(times, [row[at] for _, row in body], lines, _unit_of(header[at]), None, day_first=day_first)


def _unit_of(heading: str) -> str | None:
    match = _UNIT.search(heading)
    return (match[1] or match[2]) if match else None


def _number(path: Path, line: int, text: str) -> float:
    plain = text.strip()
    if re.fullmatch(r"[-+]?\d+,\d+", plain):
        plain = plain.replace(",", ".")
    try:
        value = float(plain)
    except ValueError:
        value = float("nan")
    if not abs(value) < 1e9:
        raise BenchError(f"{path}, line {line}: {text.strip()!r} is not a figure", "correct or delete the line")
    return value


def _times(path: Path, table: _Table, zone: str | None, notes: list[str]) -> pd.DatetimeIndex:
    """Beginnings of the steps in UTC."""
    import pandas as pd

    texts = [text.strip() for text in table.times]
    folds = [text.endswith(" fold") for text in texts]
    texts = [text.removesuffix(" fold") for text in texts]
    aware = [bool(re.search(r"(Z|UTC|[+-]\d\d:?\d\d)$", text)) for text in texts]
    if any(aware) and not all(aware):
        line = table.lines[aware.index(not aware[0])]
        raise BenchError(f"{path}, line {line}: some times have an offset, others none", "write all of them alike")

    def parsed(*, utc: bool) -> pd.DatetimeIndex:
        try:
            # American exports write 01/31/2025, which pandas takes unless day_first is set.
            found = pd.DatetimeIndex(pd.to_datetime(texts, utc=utc, dayfirst=table.day_first, format="mixed"))
        except (ValueError, OverflowError):
            raise BenchError(f"{path}: {_first_bad(texts)!r} is not a time", "write 2026-01-31T13:00+01:00") from None
        far = (found.year < FIRST_YEAR) | (found.year > LAST_YEAR)
        if far.any():
            raise BenchError(f"{path}: {texts[int(far.argmax())]!r} is in no year of power prices", "correct the time")
        return found

    if all(aware):
        return parsed(utc=True)
    place = table.zone or zone
    if place is None:
        raise BenchError(
            f"{path} has times without a time zone", "give --time-zone, as in Europe/Berlin or UTC, or write offsets"
        )
    return _localized(path, parsed(utc=False), place, folds, table.lines, notes)


def _first_bad(texts: Sequence[str]) -> str:
    import pandas as pd

    bad = pd.to_datetime(list(texts), utc=True, errors="coerce", format="mixed").isna()
    return texts[int(bad.argmax())]


def _localized(
    path: Path, local: pd.DatetimeIndex, zone: str, folds: Sequence[bool], lines: Sequence[int], notes: list[str]
) -> pd.DatetimeIndex:
    """Local times in UTC. A repeated hour is told by its flag, or by coming second in the file."""
    import numpy as np
    import pandas as pd

    seen: set[pd.Timestamp] = set()
    summer = []
    for moment, fold in zip(local, folds, strict=True):
        summer.append(not (fold or moment in seen))
        seen.add(moment)
    try:
        placed = local.tz_localize(zone, ambiguous=np.array(summer), nonexistent="NaT")
    except (KeyError, ValueError) as error:
        raise BenchError(f"{zone!r} is not a time zone ({error})", "write it as Europe/Berlin, or UTC") from None
    if placed.isna().any():
        line = lines[int(placed.isna().argmax())]
        raise BenchError(
            f"{path}, line {line}: {local[placed.isna()][0]} does not exist in {zone} (clocks go forward)",
            "give the right --time-zone, or times in UTC",
        )
    if len(seen) < len(local):
        notes.append("the hour that the clock change repeats was put in the order of the file")
    return pd.DatetimeIndex(placed.tz_convert("UTC"))


def _regular(
    path: Path,
    times: pd.DatetimeIndex,
    values: Sequence[float],
    lines: Sequence[int],
    unit: str,
    notes: list[str],
) -> Series:
    """In order, without equal duplicates, short gaps filled."""
    order = sorted(range(len(times)), key=lambda at: times[at])
    if order != list(range(len(order))):
        notes.append("the rows were put in order of time")
    moments: list[pd.Timestamp] = []
    figures: list[float] = []
    for at in order:
        if moments and times[at] == moments[-1]:
            if values[at] != figures[-1]:
                raise BenchError(f"{path}, line {lines[at]}: a second figure for {times[at]}", "keep one of them")
            notes.append("equal duplicates were dropped")
            continue
        moments.append(times[at])
        figures.append(values[at])
    steps = [(later - earlier).total_seconds() / 3600 for earlier, later in pairwise(moments)]
    if not steps:
        raise BenchError(f"{path} holds one time only", "give a series of at least two")
    step = min(multimode(steps))
    for at, width in enumerate(steps):
        if width < step - 1e-9:
            raise BenchError(
                f"{path}: the step at {moments[at + 1]} overlaps the one before it ({width:g} h instead of {step:g} h)",
                "keep one length of step",
            )
        if width > max(LONGEST_GAP_H, step) + 1e-9:
            raise BenchError(
                f"{path} has a gap of {width:g} h after {moments[at]}", f"fill it; up to {LONGEST_GAP_H:g} h is filled"
            )
    filled_at, filled = _filled(path, moments, figures, step, notes)
    return Series(filled_at, filled, unit, step, str(path), tuple(dict.fromkeys(notes)))


def _filled(
    path: Path, moments: Sequence[pd.Timestamp], figures: Sequence[float], step: float, notes: list[str]
) -> tuple[list[pd.Timestamp], list[float]]:
    import numpy as np
    import pandas as pd

    grid = pd.date_range(moments[0], moments[-1], freq=pd.Timedelta(hours=step))
    known = pd.Series(np.array(figures), index=pd.DatetimeIndex(list(moments)))
    if not known.index.isin(grid).all():
        stray = known.index[~known.index.isin(grid)][0]
        raise BenchError(f"{path}: {stray} is off the steps of {step:g} h", "keep one length of step")
    missing = len(grid) - len(known)
    if missing:
        notes.append(f"{missing} missing step{'s were' if missing > 1 else ' was'} filled along a straight line")
    return list(grid), known.reindex(grid).interpolate().tolist()
