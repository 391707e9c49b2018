"""``bitwatt dispatch``: what the cards of a site should do hour by hour."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from bench.cli import streams
from bench.cli.options import FormatOption, Results
from bench.cli.report import write_page
from bench.model import BenchError
from bench.model.options import Names, option_group

if TYPE_CHECKING:
    import pandas as pd

    from bench.analysis.dispatch import Fleet
    from bench.analysis.economics import Prices
    from bench.model.series import Series


WHOLE_CARDS = 16
"""Sites of up to so many cards are scheduled card by card, where the demand is known over time."""


@option_group("Over time", 1)
@dataclass(frozen=True, kw_only=True)
class SeriesOptions:
    """The figures that change with the hour, each a CSV with a column of times."""

    power: Path | None = None
    """Price of power: a CSV with a column of times, or an export of ENTSO-E or ERCOT."""
    hashprice: Path | None = None
    """Hashprice; default: the price file's."""
    rent: Path | None = None
    """Rent of the first card; default: the price file's."""
    demand: Path | None = None
    """Share of the cards that have a tenant; default: the price file's utilisation."""
    co2: Path | None = None
    """The grid's intensity, in kg/kWh or g/kWh."""
    power_unit: str | None = None
    """Unit of the prices of power where the file does not say, as in EUR/MWh."""
    power_column: str | None = None
    """Which column, or which settlement point, holds the prices of power."""
    time_zone: str | None = None
    """The site's time zone, as in Europe/Berlin: for times without an offset, days and demand charges.
    Default: that of an export of ENTSO-E or ERCOT, otherwise UTC."""

    def read(self, name: str, currency: str) -> Series | None:
        """The series of this name with a warning for each repair; None where no file is given."""
        from bench import storage
        from bench.analysis import dispatch as dispatching

        path: Path | None = getattr(self, name)
        if path is None:
            return None
        more = {"unit": self.power_unit, "column": self.power_column} if name == "power" else {}
        found = storage.read_series(path, dispatching.units(name, currency), zone=self.time_zone, **more)
        for note in found.notes:
            streams.warn(f"{path}: {note}")
        return found

    def read_all(self, currency: str) -> tuple[Series, dict[str, Series]]:
        """The prices of power, and the other series that are given.

        Raises:
            BenchError: no prices of power are given.
        """
        power = self.read("power", currency)
        if power is None:
            raise BenchError("no prices of power are given", "name a CSV of them with --power")
        others = {name: self.read(name, currency) for name in ("hashprice", "rent", "demand", "co2")}
        return power, {name: found for name, found in others.items() if found is not None}


def dispatch(
    files: Results | None = None,
    /,
    *,
    series: Annotated[SeriesOptions, Parameter(name="*")] = SeriesOptions(),
    prices: Path | None = None,
    rules: Path | None = None,
    cards: Names = (),
    asics: float = 0.0,
    fleet: bool = False,
    ai: str | None = None,
    schedule: Path | None = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    lang: str = "en",
    print_rules: bool = False,
    format: FormatOption = "table",  # noqa: A002 - the flag's name
) -> None:
    """Decide hour by hour: mine, rent out at any measured power limit, idle, switch off or sell the power back.

    The best schedule is found by linear programming, once with perfect foresight and once knowing a day at a time.

    Parameters
    ----------
    files
        Result CSVs with watts, or folders of them; a power sweep gives the settings to choose from.
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
    schedule
        Write the day-ahead schedule to this CSV, a row per step.
    output
        Write the page of these results with the schedule on it.
    lang
        Language of the page: 'en' or 'zh'.
    print_rules
        Print the file of rules to start from.
    format
        Format of the tables on stdout.
    """
    from bench import storage
    from bench.analysis import dispatch as dispatching
    from bench.output import dispatch as tables
    from bench.output import schedule_rows
    from bench.storage.fleet_rows import read_results

    if print_rules:
        streams.put(dispatching.example_path().read_text(encoding="utf-8"))
        return
    if output is not None:
        _check_page(files, lang)
    known = _prices(prices)
    file = dispatching.read_rules(rules) if rules else dispatching.RuleFile()
    power, more = series.read_all(known.currency)
    wanted = dispatching.COLUMNS if output is None else None
    frame = read_results(files or [], wanted) if files or not asics else None
    fleets, first_rent, notes = _fleets(frame, known, _counts(cards), asics, ai=ai, by_card=fleet)
    year = dispatching.year(power, known, first_rent, file, zone=series.time_zone or power.zone or "UTC", more=more)
    rule = replace(file.rules(), whole_cards="demand" in more and sum(each.cards for each in fleets) <= WHOLE_CARDS)
    decision = dispatching.decide(fleets, year, rule)
    if schedule is not None:
        storage.write_atomically(schedule, _csv(schedule_rows(decision.day_ahead, decision)))
        streams.say(f"wrote {schedule}")
    notes.append(f"likely prices as of {known.as_of.isoformat()}; capital and other fixed costs are left out")
    if output is not None and frame is not None:
        write_page(output, frame, files or [], prices, decision=decision, language=lang)
    streams.show(tables(decision, tuple(notes)), format)


def _prices(path: Path | None) -> Prices:
    from bench.analysis import economics

    known = economics.read_prices(path or economics.example_path())
    if path is None:
        streams.warn(
            f"these are the example prices of {known.as_of}; give your own with --prices "
            "(start from bitwatt economics --print-prices)"
        )
    return known


def _fleets(
    frame: pd.DataFrame | None,
    prices: Prices,
    counts: Mapping[str, float],
    asics: float,
    *,
    ai: str | None,
    by_card: bool,
) -> tuple[list[Fleet], float, list[str]]:
    """The fleets of the measured cards, then the ASICs; the rent of the first card; what was left out."""
    from bench.analysis import dispatch as dispatching

    found: tuple[list[Fleet], float, list[str]] = ([], 0.0, [])
    if frame is not None:
        found = dispatching.fleets(frame, prices, counts, ai=ai, by_card=by_card)
    if asics:
        found[0].append(dispatching.asics(prices.asic, asics, prices))
    return found


def _check_page(files: Results | None, lang: str) -> None:
    """Refuse, before anything is solved, what would stop the page afterwards."""
    from bench.report.language import translations

    translations(lang)
    if not files:
        raise BenchError("the page shows measured cards, and no results are given", "name result CSVs, or leave out -o")


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
