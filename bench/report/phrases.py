"""Texts that the page shows and other packages make: names from their tables, and sentences with values in them.

Each is in the catalogues as it stands here; :func:`bench.report.language.phrase` finds the values in a sentence again.
A sentence that is not here, and every text that was recorded in a CSV, stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from bench.analysis.economics import BREAK_EVENS, DECISIONS, INPUT_WORDS, POSSIBLE, UNITS, input_name
from bench.analysis.metrics import METRICS
from bench.analysis.settings import SETTINGS
from bench.model import Record
from bench.model.throttle import REASONS
from bench.report.language import N_

SENTENCES = (
    # bench.analysis.pairs
    N_("only the stock setting and the best one of a sweep are compared"),
    N_("the baseline did not run this task"),
    N_("the baseline has no valid result of this task"),
    N_("the baseline has {count} results for this task ({settings} differ)"),
    N_("give fewer files"),
    N_("refused: {difference}"),
    N_("{count} invalid of {all} left out: {reason}"),
    N_("no watts were read"),
    N_("no watts were read in the baseline"),
    N_("the baseline is invalid ({reason})"),
    N_("one window here has no spread (--repeats 5 or more)"),
    N_("one window in the baseline has no spread (--repeats 5 or more)"),
    N_("one window here and in the baseline has no spread (--repeats 5 or more)"),
    N_("the interval contains 1"),
    N_("the interval contains 1, because runs of one device differ by as much: measure again (another run)"),
    N_("the interval excludes 1, but of {count} comparisons some do by chance (Holm, {level})"),
    N_("the sensors' uncertainty is unknown, so the watts of two cards cannot be ranked"),
    N_("within the sensors' errors (±{one} and ±{other})"),
    N_("within the sensor's offset error (±{watts} W)"),
    N_("their intervals overlap"),
    # bench.analysis.economics
    N_("SHA-256d on a GPU loses to an ASIC by orders of magnitude"),
    N_("SHA-256d on a GPU loses to an ASIC by orders of magnitude: {figures}"),
    N_("{card} takes {joules} J/TH, {factor} times the {asic}'s {other} J/TH"),
    N_("{card}: AI power is that of {task}"),
    N_("{card}: mining in unrented hours adds {amount}"),
    N_("{card}: mining in unrented hours loses {amount}: leave it idle"),
    N_("{card}: renting out is best in {rent} of the draws, mining in {mine}, switching off in {off}"),
    N_("{card}: what decides between mining and AI: {one} ({a}), {two} ({b}), {three} ({c})"),
    N_("an operating margin is before capital; the net present value has paid for machines and building"),
    N_("no choice for this site pays for its capital at any of the prices"),
    N_("the highest net present value is that of {choice}"),
    N_("cannot tell what to build: ranges overlap; {choice} has the highest likely net present value"),
    N_("{name}: the price file does not say what it costs to buy"),
    N_("the price file has no capital (building, life, discount rate), so no margin here pays for anything"),
    N_("{what} ({use}, {building} building)"),
    N_("{card}: sha256d was not measured"),
    N_("{card}: no transformer task was measured"),
    N_("{card}: no watts were read"),
    N_("{card}: watts are assumed, not measured"),
    N_("{card}: no idle power was read"),
    N_("{card}: the price file has no rent for it"),
    N_("{card}: mining at its best setting, {setting}, takes {joules} J/TH"),
    N_("{card}: sha256d was not measured at the stock setting; used: {setting}"),
    N_("ranges take every input at its worst or at its best; they are not 95% intervals"),
    N_("prices as of {day}, from the price file; nothing was fetched"),
    # bench.analysis.dispatch
    N_("{card}, class {number} of {count}"),
    N_("another setting ({code})"),
)

_WORDS = (
    *(N_("faster"), N_("slower"), N_("more"), N_("less"), N_("better"), N_("worse"), N_("same"), N_("cannot tell")),
    *(N_("not compared"), N_("invalid"), N_("baseline"), N_("stock"), N_("best"), N_("measured"), N_("peak")),
    *(N_("share"), N_("on"), N_("off"), N_("mining"), N_("AI")),
    *(N_("AI, reserved"), N_("hosting"), N_("new"), N_("converted")),
)


def vocabulary() -> Iterator[str]:
    """Names in the tables of other packages, as the page writes them."""
    from bench.report.settings import GROUPS, plain_title

    yield from (metric.heading for metric in METRICS.values())
    yield from (meaning for _unit, meaning, _terms in BREAK_EVENS.values())
    yield from (reason.meaning for reason in REASONS)
    yield from DECISIONS
    yield from (text for _low, _high, *texts in POSSIBLE.values() for text in texts)
    yield from dict.fromkeys(input_name(name) for name in (*UNITS, "rent", *INPUT_WORDS))
    yield from (
        plain_title(entry.name) for entry in fields(Record) if entry.name in {*SETTINGS, *sum(GROUPS.values(), ())}
    )
