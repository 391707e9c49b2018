"""Results as Rich tables, Markdown, CSV and JSON. Pure: returns strings and renderables, prints nothing.

Every table is first a :class:`Grid` of finished cells, then drawn in one of two ways, so that the table on the screen
and the Markdown in an issue hold the same text.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bench.analysis.metrics import METRICS
from bench.model import Comparison, Device, Record, Sensor, TaskKey
from bench.output.format import MISSING, digits, interval, plus_minus, quantity

if TYPE_CHECKING:
    from rich.table import Table

    from bench.analysis.compare import Result
    from bench.analysis.economics import Outlook, Range
    from bench.analysis.frontier import Frontier


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of finished text. ``styles`` holds a Rich style per row, ``right`` the columns that hold figures."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[int] = frozenset()
    styles: tuple[str, ...] = ()
    title: str | None = None

    def table(self) -> Table:
        """As a Rich table."""
        from rich.table import Table
        from rich.text import Text

        title = None if self.title is None else Text(self.title, style="table.title")
        table = Table(title=title, title_justify="left", header_style="bold")
        for place, name in enumerate(self.header):
            table.add_column(Text(name), justify="right" if place in self.right else "left", overflow="fold")
        for place, cells in enumerate(self.rows):
            style = self.styles[place] if self.styles else ""
            table.add_row(*(Text(text) for text in cells), style=style)
        return table

    def markdown(self) -> str:
        """As a GitHub table."""
        lines = [f"**{_escape(self.title)}**\n"] if self.title else []
        lines.append(_pipe(self.header))
        lines.append(_pipe(["---:" if place in self.right else "---" for place in range(len(self.header))]))
        lines += [_pipe([_escape(text) for text in cells]) for cells in self.rows]
        return "\n".join(lines) + "\n"


def _pipe(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape(text: str) -> str:
    """Text inside a Markdown table: a bar would end the cell, and a tag or a link would be drawn."""
    return "".join(f"\\{char}" if char in "\\|<[*_`" else char for char in text)


# ---------------------------------------------------------------------------------------------------------------------
# what can be measured


def devices_grid(found: Sequence[tuple[Device, Sensor]]) -> Grid:
    """Devices with their power sensor."""
    rows = []
    for device, sensor in found:
        memory = MISSING if device.memory_bytes is None else f"{device.memory_bytes / 2**30:.1f} GiB"
        power = "none (see below)" if sensor.reason else "none"
        if sensor.source != "none":
            how = "counter" if sensor.counter else (sensor.power_field or "sampled")
            power = ", ".join(part for part in (sensor.source, sensor.scope, how) if part)
        detail = ", ".join(part for part in (device.arch, device.driver, device.runtime) if part)
        cores = MISSING if device.cores is None else str(device.cores)
        rows.append((device.label, device.name, cores, memory, detail or MISSING, power))
    return Grid(("device", "name", "cores", "memory", "arch, driver, runtime", "power"), tuple(rows), frozenset({2, 3}))


def devices_table(found: Sequence[tuple[Device, Sensor]]) -> Table:
    """Devices with their power sensor, for the screen."""
    return devices_grid(found).table()


def device_notes(found: Sequence[tuple[Device, Sensor]]) -> list[str]:
    """Why a device has no watts, and what to do; a line each."""
    return [f"{device.label}: {sensor.reason}" for device, sensor in found if sensor.reason]


def devices_json(found: Sequence[tuple[Device, Sensor]]) -> str:
    """Devices with their power sensor, a JSON list."""
    items = [
        {"device": {"label": device.label, **asdict(device)}, "sensor": asdict(sensor)} for device, sensor in found
    ]
    return json.dumps(items, indent=1) + "\n"


# ---------------------------------------------------------------------------------------------------------------------
# what a run gave


def rows_grid(records: Sequence[Record]) -> Grid:
    """A run's windows gathered into one line per device × workload × setting, with 95% intervals."""
    from bench import storage
    from bench.analysis import compare

    result = compare.compare(storage.to_frame(records), by="device" if _several_of_a_name(records) else "card")
    return comparison_grid(result)


def _several_of_a_name(records: Sequence[Record]) -> bool:
    names = {record.device_name for record in records}
    return len({(record.device_name, record.device_uuid) for record in records}) > len(names)


def rows_table(records: Sequence[Record]) -> Table:
    """:func:`rows_grid` for the screen."""
    return rows_grid(records).table()


def rows_markdown(records: Sequence[Record]) -> str:
    """:func:`rows_grid` as Markdown, with its notes."""
    notes = "".join(f"\n- {_escape(line)}" for line in row_notes(records))
    return rows_grid(records).markdown() + (f"{notes}\n" if notes else "")


def row_notes(records: Sequence[Record]) -> list[str]:
    """What a reader of the table must know: invalid, unverified and unsteady windows, warnings, short windows."""
    notes: dict[str, list[str]] = {}
    for record in records:
        what = TaskKey.of(record).label
        if not record.valid:
            notes.setdefault(f"invalid: {record.invalid_reasons or 'no reason was given'}", []).append(what)
        elif not record.verified:
            notes.setdefault("not verified", []).append(what)
        if record.steady is False:
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


def _where(places: Sequence[str], windows: int) -> str:
    """How many windows a note is of, and of which workloads where it is not all of them."""
    count = f"{len(places)} of {windows} windows"
    return count if len(places) == windows else f"{count}: {', '.join(dict.fromkeys(places))}"


# ---------------------------------------------------------------------------------------------------------------------
# what a comparison gave

_PART_OF_TASK = frozenset({"workload", "phase", "shape", "product", "dtype", "batch", "seq"})

_MOST_SUBJECTS = 12
"""More than these are not described line by line."""


def comparison_grid(result: Result, *, ratios: bool = True) -> Grid:
    """With a baseline: a row per task, metric and line, so that the cards stand under one another.

    Without one, or without ``ratios``: a row per line, its metrics beside one another.
    """
    lines: dict[int, dict[str, Comparison]] = {}
    for line in result.comparisons:
        lines.setdefault(id(line.key), {})[line.metric] = line
    metrics = [
        name for name in METRICS if any(name in held and held[name].value is not None for held in lines.values())
    ]
    settings = [name for name in result.shown if name != result.subject and name not in _PART_OF_TASK]
    if result.baseline is None or not ratios:
        return _alone(result, list(lines.values()), metrics, settings)
    return _beside(result, list(lines.values()), [name for name in metrics if not _repeats(name, result)], settings)


def _repeats(metric: str, result: Result) -> bool:
    """Whether a modelled metric's ratios all repeat those of the measured one."""
    measured_metric = METRICS[metric].multiple_of
    if measured_metric is None:
        return False
    measured = {id(line.key): line.ratio for line in result.comparisons if line.metric == measured_metric}
    for line in result.comparisons:
        if line.metric == metric and line.ratio is not None:
            other = measured.get(id(line.key))
            if other is None or not math.isclose(line.ratio, other, rel_tol=1e-6):
                return False
    return True


def _alone(result: Result, lines: Sequence[Mapping[str, Comparison]], metrics: list[str], settings: list[str]) -> Grid:
    header = [result.by, "workload", *(name.replace("_", " ") for name in settings), "n"]
    header += [METRICS[metric].heading for metric in metrics] + (["note"] if _all_invalid(lines) else [])
    rows, styles = [], []
    for held in lines:
        line = next(iter(held.values()))
        cells = [_cell(line.key[result.subject]), line.task.label, *(_cell(line.key[name]) for name in settings)]
        cells.append(str(max(one.repeats for one in held.values())))
        cells += [_figure(held.get(metric)) for metric in metrics]
        wrong = all(one.verdict == "invalid" for one in held.values())
        if _all_invalid(lines):
            cells.append("invalid" if wrong else "")
        rows.append(tuple(cells))
        styles.append("red" if wrong else "")
    for line in result.published:
        if line.metric in metrics:
            plain = [f"{_cell(line.key['device_name'])}, published", _published_name(line)]
            cells = [*plain, *[""] * len(settings), MISSING]
            cells += [_figure(line) if line.metric == metric else MISSING for metric in metrics]
            rows.append((*cells, "") if _all_invalid(lines) else tuple(cells))
            styles.append("dim italic")
    right = range(2 + len(settings), 3 + len(settings) + len(metrics))
    return Grid(tuple(header), tuple(rows), frozenset(right), tuple(styles))


def _all_invalid(lines: Sequence[Mapping[str, Comparison]]) -> bool:
    return any(all(one.verdict == "invalid" for one in held.values()) for held in lines)


def _beside(result: Result, lines: Sequence[Mapping[str, Comparison]], metrics: list[str], settings: list[str]) -> Grid:
    names = [name.replace("_", " ") for name in settings]
    header = ["workload", "metric", result.by, *names, "n", "figure", "ratio [95%]", "verdict"]
    tasks: dict[str, list[Mapping[str, Comparison]]] = {}
    for held in lines:
        tasks.setdefault(next(iter(held.values())).task.label, []).append(held)
    rows, styles = [], []
    for task, group in tasks.items():
        for metric in metrics:
            for line in (held[metric] for held in group if metric in held):
                own = [_cell(line.key[result.subject]), *(_cell(line.key[name]) for name in settings)]
                figures = [str(line.repeats), _figure(line), _ratio(line), line.verdict]
                rows.append((task, METRICS[metric].heading, *own, *figures))
                styles.append("red" if line.verdict == "invalid" else "")
    for line in result.published:
        heading = METRICS[line.metric].heading if line.metric in METRICS else MISSING
        who = [_cell(line.key["device_name"]), *[""] * len(settings)]
        rows.append((_published_name(line), heading, *who, MISSING, _figure(line), MISSING, "published"))
        styles.append("dim italic")
    right = frozenset(range(3 + len(settings), 6 + len(settings)))
    return Grid(tuple(header), tuple(rows), right, tuple(styles), f"against {result.baseline} (--by {result.by})")


def _published_name(line: Comparison) -> str:
    return f"{line.key['published_metric'].replace('_', ' ')}, {line.key['published_kind']}"


def _figure(line: Comparison | None) -> str:
    if line is None or line.value is None:
        return MISSING
    if line.metric in METRICS and METRICS[line.metric].energy and line.key.get("energy_source") == "assumed":
        return f"{quantity(line.value, line.unit)} assumed"
    spread = plus_minus(line.value, line.low, line.high)
    return f"{quantity(line.value, line.unit)} {spread}" if spread else quantity(line.value, line.unit)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, bool):
        return "on" if value else "off"
    return MISSING if value is None else str(value)


def comparison_notes(result: Result) -> list[str]:
    """What stands under the table: what the cards are, means, why a verdict could not be given, rows left out."""
    notes = []
    described = list(result.about.items())
    if len(described) > _MOST_SUBJECTS:
        notes.append(f"{len(described)} of --by {result.by}; what each of them is stands in --json and --csv")
        described = []
    for subject, what in described:
        said = [f"{name} {_cell(value)}" for name, value in what.items() if value is not None]
        if said:
            notes.append(f"{subject}: {', '.join(said)}")
    notes += [
        f"{mean.key[result.subject]}, {mean.key['workload']} {METRICS[mean.metric].heading}: "
        f"{_ratio(mean)} {mean.verdict} ({mean.reason})"
        for mean in result.means
    ]
    why: dict[str, list[str]] = {}
    for line in result.comparisons:
        if line.reason and line.verdict == "cannot tell":
            where = f"{_cell(line.key[result.subject])} {line.task.label} {METRICS[line.metric].heading}"
            why.setdefault(f"{line.verdict}: {line.reason}", []).append(where)
    notes += [f"{reason} — {_some(lines)}" for reason, lines in why.items()]
    lost: dict[str, list[str]] = {}
    for item in result.invalid:
        lost.setdefault(f"left out as invalid: {item.reason}", []).append(
            f"{item.file}, line {item.line} ({item.task})"
        )
    notes += [f"{reason} — {_some(where)}" for reason, where in lost.items()]
    for line in result.published:
        who = f"{line.key['device_name']} {_published_name(line)}"
        notes.append(f"published, not measured here: {who} {quantity(line.value, line.unit)} — {line.reason}")
    return notes


def _ratio(line: Comparison) -> str:
    return interval(line.ratio, line.ratio_low, line.ratio_high)


def _some(items: Sequence[str], most: int = 4) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return "; ".join(items[:most]) + more


def comparison_table(result: Result) -> Table:
    """:func:`comparison_grid` for the screen; print :func:`comparison_notes` under it."""
    return comparison_grid(result).table()


def comparison_markdown(result: Result) -> str:
    """:func:`comparison_grid` and its notes as Markdown."""
    notes = "".join(f"\n- {_escape(line)}" for line in comparison_notes(result))
    return comparison_grid(result).markdown() + (f"{notes}\n" if notes else "")


def comparison_csv(result: Result) -> str:
    """:func:`~bench.analysis.compare.flat` as CSV: a row per line and metric, then means, published, invalid rows."""
    from bench.analysis.compare import flat

    return objects_csv(flat(result))


def objects_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Objects with the same keys as CSV; missing is empty."""
    from bench.storage import cell

    if not rows:
        return ""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([cell(value) for value in row.values()] for row in rows)
    return out.getvalue()


def comparison_json(result: Result) -> str:
    """:func:`bench.analysis.compare.flat` as a JSON list."""
    from bench.analysis.compare import to_json

    return to_json(result)


# ---------------------------------------------------------------------------------------------------------------------
# money


def money(value: Range | None, count: int = 3) -> str:
    """``1.23 [0.98, 1.60]``; one figure where there is no spread, a dash where there is none at all."""
    if value is None or value.likely is None:
        return MISSING
    likely = _amount(value.likely, count)
    if value.low is None or value.high is None:
        return f"{likely} [no bounds]"
    if value.low == value.high:
        return likely
    return f"{likely} [{_amount(value.low, count)}, {_amount(value.high, count)}]"


def _amount(value: float, count: int) -> str:
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else MISSING
    size = abs(value)
    if size >= 1000:
        scale, sign = next((scale, sign) for scale, sign in ((1e9, "bn"), (1e6, "M"), (1e3, "k")) if size >= scale)
        return f"{digits(value / scale, count)}{sign}"
    return digits(value, count) if size >= 1e-6 else f"{value:.1e}"


def economics_grids(outlook: Outlook) -> list[Grid]:
    """Mining and AI side by side with the ASIC; what would have to be true for them to meet; the site full of each."""
    unit = outlook.prices.currency
    header = ["card", "use", "revenue/h", "power/h", f"net {unit}/h", f"net {unit}/MWh", f"net {unit}/GPU/year"]
    asic, rows, styles = outlook.prices.asic, [], []
    sides = [
        (item.card.name, use, side)
        for item in outlook.cards
        for use, side in (("mining", item.mining), ("AI", item.ai))
    ]
    for name, use, side in [*sides, (asic.name, "mining", outlook.asic)]:
        if side is None:
            rows.append((name, use, *[MISSING] * 5))
        else:
            cells = (side.revenue_per_h, side.power_cost_per_h, side.net_per_h, side.net_per_mwh, side.net_per_year)
            rows.append((name, use, *map(money, cells)))
        styles.append("dim italic" if name == asic.name else "")
    first = Grid(
        tuple(header),
        tuple(rows),
        frozenset(range(2, 7)),
        tuple(styles),
        f"per card, in {unit}: likely [least, greatest]",
    )
    even = _break_even_grid(outlook)
    grids = [first, even] if even.rows else [first]
    if outlook.site:
        grids.append(_site_grid(outlook))
    return grids


def _break_even_grid(outlook: Outlook) -> Grid:
    from bench.analysis.economics import BREAK_EVENS

    unit = outlook.prices.currency
    rows = []
    for item in outlook.cards:
        if item.advantage_per_h is not None:
            best = f"AI earns more than mining by (better as: {item.verdict})"
            rows.append((item.card.name, best, money(item.advantage_per_h), f"{unit}/h"))
        for name, value in item.break_evens.items():
            units, meaning, _ = BREAK_EVENS[name]
            rows.append((item.card.name, meaning, money(value), units.replace("USD", unit)))
    header = ("card", "what would have to be true", "likely [least, greatest]", "unit")
    return Grid(header, tuple(rows), frozenset({2}), (), "break-even: where both earn the same")


def _site_grid(outlook: Outlook) -> Grid:
    unit = outlook.prices.currency
    header = (
        "machines of",
        "use",
        "count",
        "hashrate, PH/s",
        "tokens/s (modelled)",
        f"revenue {unit}/year",
        f"net {unit}/year",
    )
    rows = tuple(
        (
            choice.what,
            choice.use,
            money(choice.machines),
            money(choice.ph_per_s),
            money(choice.tokens_per_s),
            money(choice.revenue_per_year),
            money(choice.net_per_year),
        )
        for choice in outlook.site
    )
    title = f"a site of {outlook.site_mw:g} MW at its meter, full of one kind"
    return Grid(header, rows, frozenset(range(2, 7)), (), title)


def economics_tables(outlook: Outlook) -> list[Table]:
    """:func:`economics_grids` for the screen; print :func:`bench.analysis.economics.notes` under them."""
    return [grid.table() for grid in economics_grids(outlook)]


def economics_markdown(outlook: Outlook) -> str:
    """:func:`economics_grids` and the notes as Markdown."""
    from bench.analysis.economics import notes

    said = "".join(f"- {_escape(line)}\n" for line in notes(outlook))
    return "\n".join([*(grid.markdown() for grid in economics_grids(outlook)), said])


def economics_csv(outlook: Outlook) -> str:
    """:func:`bench.analysis.economics.flat` as CSV."""
    from bench.analysis.economics import flat

    return objects_csv(flat(outlook))


def economics_json(outlook: Outlook) -> str:
    """:func:`bench.analysis.economics.flat` as a JSON list."""
    from bench.analysis.economics import flat

    return json.dumps(flat(outlook), indent=1, allow_nan=False) + "\n"


# ---------------------------------------------------------------------------------------------------------------------
# power sweep


def frontier_tables(frontiers: Sequence[Frontier]) -> list[Table]:
    """One table per workload: rate, watts and work per joule at each power limit, the best and the knee marked."""
    return [_frontier_grid(frontier).table() for frontier in frontiers]


def _frontier_grid(frontier: Frontier) -> Grid:
    unit = frontier.work_unit
    rows = []
    for point in frontier.points:
        marks = [name for name, mark in (("most per joule", frontier.best), ("knee", frontier.knee)) if mark == point]
        rows.append(
            (
                quantity(point.limit_w, "W"),
                quantity(point.power_w, "W"),
                quantity(point.rate_per_s, f"{unit}/s"),
                quantity(point.work_per_j, f"{unit}/J"),
                str(point.windows),
                ", ".join(marks),
            )
        )
    header = ("power limit", "power", "rate", "work per joule", "n", "")
    return Grid(header, tuple(rows), frozenset(range(5)), title=frontier.label)
