"""What a comparison gave: the verdict in a sentence, then a table with each card's figures and ratios.

A task is a section of the table and a card is a row of it; with one card, a task is a row. What all rows share (card,
implementation, setting) is in the heading.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from bench.analysis.metrics import METRICS
from bench.analysis.settings import SETTINGS
from bench.model import Comparison
from bench.output.answer import answer
from bench.output.document import Document, Grid
from bench.output.format import MISSING, plus_minus, quantity
from bench.output.verdict import verdicts

if TYPE_CHECKING:
    import pandas as pd

    from bench.analysis.compare import Result

Group = Mapping[str, Comparison]
"""Metric → figure, of one device × task × setting."""

MOST_SUBJECTS = 12
"""With more cards than these, a table shows the best of each task, and cards are not described one by one."""

ROWS_OF_A_SCREEN = 20
"""Rows that such a table has at most, as long as each task has three."""

_PART_OF_TASK = frozenset({"workload", "phase", "shape", "product", "dtype", "batch", "seq"})
_IN_TITLE = ("device_name", "implementation", "power_limit_w", "driver")
_DROP_FIRST = (
    *("n", "power_mean_w ratio", "tokens_per_s ratio", "tokens_per_j ratio", "power_mean_w", "tokens_per_s"),
    *("rate_per_s ratio", "tokens_per_j", "rate_per_s"),
)
"""Columns that a narrow screen leaves out, in this order; work per joule and its ratio stay."""


def comparison(result: Result, *, every: bool = False, frame: pd.DataFrame | None = None) -> Document:
    """A comparison: the verdict, a table, and notes on why a verdict could not be given.

    Args:
        result: what was compared.
        every: show all rows however many cards there are, in place of the best of each task.
        frame: the rows behind the result, for formats that hold samples.
    """
    from bench.analysis.compare import flat

    return Document(
        grids=(comparison_grid(result, every=every),),
        rows=flat(result),
        notes=tuple(comparison_notes(result)),
        lead=(*verdicts(result), *difference_notes(result)) if result.baseline is not None else _alone(result),
        windows=lambda: [] if frame is None else _plain(frame),
    )


def _alone(result: Result) -> tuple[str, ...]:
    """With nothing to compare, what the card does."""
    return tuple(filter(None, [answer(result)]))


def _plain(frame: pd.DataFrame) -> list[Mapping[Any, Any]]:
    return [dict(row) for row in frame.astype(object).where(frame.notna(), None).to_dict("records")]


def difference_notes(result: Result) -> list[str]:
    """A sentence per subject on the settings in which it differs from the baseline, to be read with the verdict."""
    known: dict[str, list[str]] = {}
    unknown: dict[str, list[str]] = {}
    for one in result.differences:
        heading = SETTINGS[one.column].heading
        if one.is_unknown:
            unknown.setdefault(heading, []).append(one.subject)
        else:
            known.setdefault(one.subject, []).append(f"{heading} {_values(one.here)}, not {_values(one.baseline)}")
    if len(known) + len(unknown) > MOST_SUBJECTS:
        names = sorted({SETTINGS[one.column].heading for one in result.differences})
        return [f"Settings differ from {result.baseline}'s: {', '.join(names)}; --format json says where."]
    said = [f"{who} has other settings than {result.baseline}: {'; '.join(what)}." for who, what in known.items()]
    same: dict[tuple[str, ...], list[str]] = {}
    for heading, subjects in unknown.items():
        same.setdefault(tuple(dict.fromkeys(subjects)), []).append(heading)
    said += [f"Not known on both sides for {', '.join(who)}: {', '.join(what)}." for who, what in same.items()]
    return said


def _values(values: Sequence[object], most: int = 3) -> str:
    said = ["unknown" if value is None else _cell(value) for value in values]
    return " or ".join(said[:most]) + (f" or {len(said) - most} more" if len(said) > most else "")


# ---- the table ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Columns:
    """Which columns a table has, after the first one."""

    settings: tuple[str, ...]
    figures: tuple[str, ...]
    """Metrics, each followed by its ratio where there is one (``rate_per_s ratio``)."""
    noted: bool

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.settings, *self.figures, "n", *(["note"] if self.noted else []))


def comparison_grid(result: Result, *, every: bool = False) -> Grid:
    """The table with ratios to the baseline; without them where there is one subject only."""
    return figures_grid(result, ratios=result.baseline is not None, every=every)


def figures_grid(result: Result, *, ratios: bool = False, every: bool = True) -> Grid:
    """A section per task and a row per subject and setting; with one subject, a row per task and setting."""
    tasks: dict[str, list[Group]] = {}
    for found in result.groups():
        tasks.setdefault(next(iter(found.values())).task.label, []).append(found)
    alone = len(result.subjects) == 1
    columns = _columns(result, tasks, ratios=ratios, alone=alone)
    rows: list[tuple[str, ...]] = []
    styles: list[str] = []
    sections: dict[int, str] = {}
    hidden = 0
    for task, groups in tasks.items():
        kept = _best_first(groups, result, 0 if every else max(3, ROWS_OF_A_SCREEN // len(tasks)))
        hidden += len(groups) - len(kept)
        if not alone:
            sections[len(rows)] = ", ".join([task, *_common(groups, result, columns.settings)])
        for group in kept:
            rows.append(_row(task if alone else _who(group, result), group, columns))
            styles.append("red" if _is_invalid(group) else "")
    published: dict[str, list[Comparison]] = {}
    for one in result.published:
        published.setdefault(_published_name(one), []).append(one)
    for name, cards in published.items():
        sections[len(rows)] = f"published, not measured here: {name}"
        rows += [_published_row(one, columns) for one in cards]
        styles += ["dim italic"] * len(cards)
    names = ["task" if alone else result.by, *columns.names]
    return Grid(
        header=tuple(_heading(name) for name in names),
        rows=tuple(rows),
        right=frozenset(range(1 + len(columns.settings), len(names) - columns.noted)),
        styles=tuple(styles),
        title=_title(result, ratios=ratios, hidden=hidden, alone=alone, settings=columns.settings),
        drop=tuple(names.index(name) for name in _DROP_FIRST if name in names and _may_go(name, names)),
        sections=sections,
    )


def _columns(result: Result, tasks: Mapping[str, Sequence[Group]], *, ratios: bool, alone: bool) -> _Columns:
    every = [group for groups in tasks.values() for group in groups]
    varying = [name for name in result.shown if name != result.subject and name not in _PART_OF_TASK]
    settings = [name for name in varying if any(_vary(groups, name) for groups in tasks.values())]
    if alone:  # a setting that follows from the workload is in the title
        workloads: dict[str, list[Group]] = {}
        for group in every:
            workloads.setdefault(_key(group)["workload"], []).append(group)
        settings = [name for name in varying if any(_vary(groups, name) for groups in workloads.values())]
    figures: list[str] = []
    present = {one.metric for one in result.comparisons if one.value is not None}
    for name in METRICS:
        if name in present:
            figures.append(name)
            if ratios and not _repeats(name, result):
                figures.append(f"{name} ratio")
    return _Columns(tuple(settings), tuple(figures), any(map(_is_invalid, every)))


def _may_go(name: str, names: Sequence[str]) -> bool:
    """The most important figure that there is stays."""
    return name != "rate_per_s" or "work_per_j" in names


def _row(first: str, group: Group, columns: _Columns) -> tuple[str, ...]:
    key = _key(group)
    cells = [first, *(_cell(key[name]) for name in columns.settings)]
    roles = {one.role for one in group.values()}
    if columns.settings and "best" in roles:
        cells[1] += " (best)"
    for name in columns.figures:
        metric, _, is_ratio = name.partition(" ")
        one = group.get(metric)
        cells.append(_ratio(one) if is_ratio else _figure(one))
    cells.append(str(max(one.repeats for one in group.values())))
    return (*cells, "invalid" if _is_invalid(group) else "") if columns.noted else tuple(cells)


def _published_row(one: Comparison, columns: _Columns) -> tuple[str, ...]:
    column = "power_mean_w" if one.unit == "W" else one.metric
    at = column if column in columns.figures else columns.figures[0] if columns.figures else "n"
    cells = dict.fromkeys(columns.settings, "") | dict.fromkeys([*columns.figures, "n"], MISSING) | {"note": ""}
    cells[at] = _figure(one)
    return (_cell(one.key["device_name"]), *(cells[name] for name in columns.names))


def _heading(name: str) -> str:
    metric, _, is_ratio = name.partition(" ")
    if metric in METRICS:
        heading = METRICS[metric].heading
        return f"{heading.removesuffix(' (modelled)').replace('work ', '')} ratio" if is_ratio else heading
    return SETTINGS[name].heading if name in SETTINGS else name.replace("_", " ")


def _title(result: Result, *, ratios: bool, hidden: int, alone: bool, settings: Sequence[str]) -> str | None:
    parts = [f"ratios to {result.baseline} (--by {result.by})"] if ratios else []
    if alone:
        parts.append(result.subjects[0])
        parts += _by_workload(result, settings)
    known = {**result.common}
    said = [name for name in _IN_TITLE if name != result.subject and known.get(name) is not None]
    parts += [_setting(name, known[name]) for name in said]
    if hidden:
        parts.append(f"the best of each task; --all shows {hidden} more rows")
    return "; ".join(parts) or None


def _by_workload(result: Result, settings: Sequence[str]) -> list[str]:
    """With one subject: implementations that follow from the workload, ``c-avx512 (sha256d, scrypt)``."""
    if "implementation" in settings or "implementation" in result.common:
        return []
    uses: dict[str, dict[str, None]] = {}
    for group in result.groups():
        key = _key(group)
        uses.setdefault(_cell(key["implementation"]), {})[key["workload"]] = None
    return [", ".join(f"{name} ({', '.join(workloads)})" for name, workloads in uses.items())]


def _common(groups: Sequence[Group], result: Result, columns: Sequence[str]) -> list[str]:
    """Settings that all rows of a task share, where other tasks have others."""
    names = [
        name for name in (*result.shown, "implementation") if name not in {*_PART_OF_TASK, result.subject, *columns}
    ]
    keys = [_key(group) for group in groups]
    return [
        _setting(name, keys[0][name])
        for name in dict.fromkeys(names)
        if name not in result.common and keys[0].get(name) is not None and not _vary(groups, name)
    ]


def _setting(name: str, value: object) -> str:
    """A setting within a heading: names speak for themselves, numbers do not."""
    return _cell(value) if name in ("device_name", "implementation") else f"{_heading(name)} {_cell(value)}"


def _best_first(groups: Sequence[Group], result: Result, most: int) -> list[Group]:
    """All groups in order; with many subjects the best first, ``most`` of them if that is not 0, and the baseline's."""
    if len(result.subjects) <= MOST_SUBJECTS:
        return list(groups)

    def worth(group: Group) -> float:
        figures = (group[name].value for name in ("work_per_j", "rate_per_s") if name in group)
        return -1.0 if _is_invalid(group) else next((value for value in figures if value is not None), 0.0)

    ranked = sorted(groups, key=worth, reverse=True)
    return [
        group
        for number, group in enumerate(ranked)
        if not most or number < most or str(_key(group)[result.subject]) == result.baseline
    ]


def _key(group: Group) -> Mapping[str, Any]:
    return next(iter(group.values())).key


def _vary(groups: Sequence[Group], name: str) -> bool:
    return len({_key(group).get(name) for group in groups}) > 1


def _is_invalid(group: Group) -> bool:
    return all(one.verdict == "invalid" for one in group.values())


def _repeats(metric: str, result: Result) -> bool:
    """Whether a modelled metric's ratios all repeat those of the measured one."""
    measured = METRICS[metric].multiple_of
    if measured is None:
        return False
    for group in result.groups():
        ours, theirs = (group[name].ratio if name in group else None for name in (metric, measured))
        if ours is not None and (theirs is None or not math.isclose(ours, theirs, rel_tol=1e-6)):
            return False
    return True


def _who(group: Group, result: Result) -> str:
    return _cell(_key(group)[result.subject])


def _published_name(line: Comparison) -> str:
    return f"{line.key['published_metric'].replace('_', ' ')}, {line.key['published_kind']}"


def _figure(one: Comparison | None) -> str:
    if one is None or one.value is None:
        return MISSING
    metric = METRICS.get(one.metric)
    text = quantity(one.value, one.unit)
    if metric is not None and one.unit in metric.heading:  # the heading has the unit already
        text = text.removesuffix(f" {one.unit}")
    if metric is not None and metric.energy and one.key.get("energy_source") == "assumed":
        return f"{text} assumed"
    return " ".join(filter(None, [text, plus_minus(one.value, one.low, one.high)]))


def _ratio(one: Comparison | None) -> str:
    """The verdict and the ratio that it rests on: ``slower 0.588 ±3.5%``."""
    if one is None:
        return MISSING
    if one.verdict == "baseline" or one.ratio is None:
        return one.verdict if one.value is not None or one.verdict == "invalid" else MISSING
    return f"{one.verdict} {times(one)}"


def times(one: Comparison) -> str:
    """A ratio with its interval: ``0.588 ±3.5%``."""
    spread = plus_minus(one.ratio, one.ratio_low, one.ratio_high)
    return f"{quantity(one.ratio, '', 3).strip()}{' ' + spread if spread else ''}"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, bool):
        return "on" if value else "off"
    return MISSING if value is None else str(value)


# ---- notes --------------------------------------------------------------------------------------------------------


def comparison_notes(result: Result) -> list[str]:
    """Sentences under the table: what the cards are, means, why a verdict could not be given, rows left out."""
    notes = about_notes(result)
    if len(result.subjects) <= MOST_SUBJECTS:
        notes += mean_notes(result)
    why: dict[str, dict[str, list[str]]] = {}
    for one in result.comparisons:
        if one.reason and one.verdict in ("cannot tell", "not compared"):
            where = why.setdefault(f"{one.verdict}: {one.reason}", {})
            where.setdefault(_cell(one.key[result.subject]), []).append(
                f"{one.task.label} {METRICS[one.metric].heading}"
            )
    for reason, where in why.items():
        if len(result.subjects) > MOST_SUBJECTS:
            at = f"{sum(map(len, where.values()))} figures of {len(where)} of {len(result.subjects)} (--by {result.by})"
        else:
            at = _some([f"{who} ({_some(what, 2)})" for who, what in where.items()])
        notes.append(f"{reason} — {at}")
    covered = sorted({one.covers for one in result.comparisons if one.covers})
    if covered:
        ratio = "; that of a ratio also covers the difference between runs, unless both sides are one device in one run"
        some_ratio = any(one.ratio_low is not None for one in result.comparisons)
        notes.append(
            f"± is a 95% interval; that of a figure is {' or '.join(covered)}, from the repeats alone"
            + (ratio if some_ratio else "")
        )
    notes += lost_notes(result)
    sources: dict[str, list[str]] = {}
    for one in result.published:
        who = f"{one.key['device_name']} {_published_name(one)} {quantity(one.value, one.unit)}"
        sources.setdefault(one.reason or "no source", []).append(who)
    notes += [f"published, not measured here: {_some(what)} — {source}" for source, what in sources.items()]
    return notes


def mean_notes(result: Result) -> list[str]:
    """The geometric means of the ratios, one sentence per workload and metric."""
    means: dict[str, list[str]] = {}
    for mean in result.means:
        if not _repeats(mean.metric, result):
            over = (mean.reason or "").partition(":")[0]  # the tasks themselves are in the table
            what = f"{mean.key['workload']} {METRICS[mean.metric].heading}, {over}"
            means.setdefault(what, []).append(f"{mean.key[result.subject]} {mean.verdict} {times(mean)}")
    return [f"{what}: {'; '.join(said)}" for what, said in means.items()]


def about_notes(result: Result) -> list[str]:
    """What must match and does not: one sentence per value, with the subjects that have it. The settings among it are
    with the verdict.
    """
    who: dict[str, list[str]] = {}
    for subject, what in result.about.items():
        said = [f"{_heading(name)} {_cell(value)}" for name, value in what.items() if name not in SETTINGS and value]
        if said:
            who.setdefault(", ".join(said), []).append(subject)
    return [f"{what}: {_some(subjects)}" for what, subjects in who.items()]


def lost_notes(result: Result) -> list[str]:
    """Windows that are far from the others, and rows that are in no statistic: once per file and reason."""
    found: dict[str, dict[str, list[str]]] = {}
    for far in result.outliers:
        where = found.setdefault("windows far from the others of their group, kept and hardly weighted", {})
        cause = f", {far.cause}" if far.cause else ""
        where.setdefault(far.file, []).append(f"line {far.line} ({far.task}: {far.share:.0%} of the median{cause})")
    for item in result.invalid:
        where = found.setdefault(f"left out as invalid: {item.reason}", {})
        where.setdefault(item.file, []).append(f"line {item.line} ({item.task})")
    return [
        f"{what} — {_some([f'{PurePath(file).name}, {_some(lines)}' for file, lines in where.items()])}"
        for what, where in found.items()
    ]


def _some(items: Sequence[str], most: int = 4) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return "; ".join(items[:most]) + more
