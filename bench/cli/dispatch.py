"""``bitwatt dispatch``: what the cards of a site should do hour by hour."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli import streams
from bench.cli.options import FormatOption, Results
from bench.model import BenchError
from bench.model.options import Names

if TYPE_CHECKING:
    from bench.model.series import Series


def dispatch(
    files: Results | None = None,
    /,
    *,
    power: Path | None = None,
    prices: Path | None = None,
    rules: Path | None = None,
    cards: Names = (),
    asics: float = 0.0,
    fleet: bool = False,
    ai: str | None = None,
    hashprice: Path | None = None,
    rent: Path | None = None,
    demand: Path | None = None,
    co2: Path | None = None,
    power_unit: str | None = None,
    power_column: str | None = None,
    time_zone: str | None = None,
    schedule: Path | None = None,
    print_rules: bool = False,
    format: FormatOption = "table",  # noqa: A002 - the flag's name
) -> None:
    """Decide hour by hour: mine, rent out at any measured power limit, idle, switch off or sell the power back.

    The best schedule is found by linear programming, once with perfect foresight and once knowing a day at a time.

    Parameters
    ----------
    files
        Result CSVs with watts, or folders of them; a power sweep gives the settings to choose from.
    power
        Price of power over time: a CSV with a column of times, or an export of ENTSO-E or ERCOT.
    prices
        Your prices (TOML); default: the dated example that comes with bitwatt.
    rules
        Minimum run times, start costs, contract, demand charge, events (TOML; start from --print-rules).
    cards
        How many cards there are, as in 512, or H100=512,A100=64; default: one of each.
    asics
        How many of the price file's ASIC stand beside them.
    fleet
        Count the cards in the files, and let the thirsty ones go off first.
    ai
        The AI task to sell, by some of its words, such as 'decode' or 'llama3-8b bf16'.
    hashprice
        Hashprice over time; default: the price file's.
    rent
        Rent of the first card over time; default: the price file's.
    demand
        Share of the cards that have a tenant, over time; default: the price file's utilisation.
    co2
        The grid's intensity over time, in kg/kWh or g/kWh.
    power_unit
        Unit of the prices of power where the file does not say, as in EUR/MWh.
    power_column
        Which column, or which settlement point, holds the prices of power.
    time_zone
        The site's time zone, as in Europe/Berlin: for times without an offset, days and demand charges.
    schedule
        Write the day-ahead schedule to this CSV, a row per step.
    print_rules
        Print the file of rules to start from.
    format
        Format of the tables on stdout.
    """
    from bench import output, storage
    from bench.analysis import dispatch as dispatching
    from bench.analysis import economics

    if print_rules:
        streams.put(dispatching.example_path().read_text(encoding="utf-8"))
        return
    if power is None:
        raise BenchError("no prices of power are given", "name a CSV of them with --power")
    known = economics.read_prices(prices or economics.example_path())
    if prices is None:
        streams.warn(
            f"these are the example prices of {known.as_of}; give your own with --prices "
            "(start from bitwatt economics --print-prices)"
        )

    def series(name: str, path: Path, **more: str | None) -> Series:
        found = storage.read_series(path, dispatching.units(name, known.currency), zone=time_zone, **more)
        for note in found.notes:
            streams.warn(f"{path}: {note}")
        return found

    asked = {"hashprice": hashprice, "rent": rent, "demand": demand, "co2": co2}
    file = dispatching.read_rules(rules) if rules else dispatching.RuleFile()
    priced = series("power", power, unit=power_unit, column=power_column)
    others = {name: series(name, path) for name, path in asked.items() if path}
    fleets: list[dispatching.Fleet] = []
    first_rent = 0.0
    notes: list[str] = []
    if files or not asics:
        frame = storage.read(files or [], dispatching.COLUMNS)
        fleets, first_rent, notes = dispatching.fleets(frame, known, _counts(cards), ai=ai, by_card=fleet)
    if asics:
        fleets.append(dispatching.asics(known.asic, asics, known))
    year = dispatching.year(priced, known, first_rent, file, zone=time_zone or "UTC", more=others)
    decision = dispatching.decide(fleets, year, file.rules())
    if schedule is not None:
        storage.write_atomically(schedule, _csv(output.schedule_rows(decision.day_ahead, decision)))
        streams.say(f"wrote {schedule}")
    notes.append(f"likely prices as of {known.as_of.isoformat()}; capital and other fixed costs are left out")
    streams.show(output.dispatch(decision, known.currency, tuple(notes)), format)


def _counts(cards: Names) -> dict[str, float]:
    """``512`` or ``H100=512`` as name → count.

    Raises:
        BenchError: not a number above 0.
    """
    counts: dict[str, float] = {}
    for part in cards:
        name, equals, count = part.rpartition("=")
        try:
            counts[name.strip() if equals else ""] = float(count)
        except ValueError:
            counts[""] = 0.0
        if not all(0 < value < 1e9 for value in counts.values()):
            raise BenchError(f"--cards {part} is not a number of cards", "write 512, or H100=512,A100=64")
    return counts


def _csv(rows: Iterable[Mapping[str, Any]]) -> str:
    table = list(rows)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, table[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()
