"""What a comparison gave: ratios and verdicts, or each group's own figures where there is no baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.analysis.metrics import METRICS
from bench.analysis.settings import SETTINGS
from bench.model import Comparison
from bench.output.document import Document, Grid
from bench.output.format import MISSING, interval, plus_minus, quantity

if TYPE_CHECKING:
    from bench.analysis.compare import Result


def comparison(result: Result) -> Document:
    """A comparison: a row per group and metric, with the published figures and why a verdict could not be given."""
    from bench.analysis.compare import flat

    grids = (*_difference_grids(result), comparison_grid(result))
    return Document(grids=grids, rows=flat(result), notes=tuple(comparison_notes(result)))


def _difference_grids(result: Result) -> list[Grid]:
    """What differs between the two sides, to be read before who won; no grid where nothing does."""
    if not result.differences or len(result.subjects) > _MOST_SUBJECTS:
        return []
    rows = [
        (one.subject, SETTINGS[one.column].heading, _values(one.here), _values(one.baseline))
        for one in sorted(result.differences, key=lambda one: one.is_unknown)
    ]
    title = f"settings that differ from {result.baseline}, or are unknown on one side"
    return [Grid((result.by, "setting", "here", "baseline"), tuple(rows), frozenset({2, 3}), (), title)]


def _values(values: Sequence[object], most: int = 3) -> str:
    said = ["unknown" if value is None else _cell(value) for value in values]
    return " or ".join(said[:most]) + (f" or {len(said) - most} more" if len(said) > most else "")


_PART_OF_TASK = frozenset({"workload", "phase", "shape", "product", "dtype", "batch", "seq"})

_MOST_SUBJECTS = 12
"""More subjects than these are not described one by one."""


def comparison_grid(result: Result) -> Grid:
    """With a baseline, a row per task, metric and group, so that the cards are one below the other; else as
    :func:`single_grid`.
    """
    if result.baseline is None:
        return single_grid(result)
    settings = _settings(result)
    header = ["workload", "metric", result.by, *_headings(settings), "n", "figure", "ratio [95%]", "verdict"]
    metrics = [name for name in _metrics(result) if not _repeats(name, result)]
    tasks: dict[str, list[Mapping[str, Comparison]]] = {}
    for group in result.groups():
        tasks.setdefault(next(iter(group.values())).task.label, []).append(group)
    rows, styles = [], []
    for task, groups in tasks.items():
        for metric in metrics:
            for one in (group[metric] for group in groups if metric in group):
                own = [_who(one, result), *(_cell(one.key[name]) for name in settings)]
                figures = [str(one.repeats), _figure(one), _ratio(one), one.verdict]
                rows.append((task, METRICS[metric].heading, *own, *figures))
                styles.append("red" if one.verdict == "invalid" else "")
    for one in result.published:
        heading = METRICS[one.metric].heading if one.metric in METRICS else MISSING
        who = [_cell(one.key["device_name"]), *[""] * len(settings)]
        rows.append((_published_name(one), heading, *who, MISSING, _figure(one), MISSING, "published"))
        styles.append("dim italic")
    right = frozenset(range(3 + len(settings), 6 + len(settings)))
    return Grid(tuple(header), tuple(rows), right, tuple(styles), f"relative to {result.baseline} (--by {result.by})")


def single_grid(result: Result) -> Grid:
    """A row per group with one column per metric, and no ratios."""
    settings, metrics = _settings(result), _metrics(result)
    noted = any(_is_invalid(group) for group in result.groups())
    header = [result.by, "workload", *_headings(settings), "n"]
    header += [METRICS[metric].heading for metric in metrics] + (["note"] if noted else [])
    rows, styles = [], []
    for group in result.groups():
        one = next(iter(group.values()))
        cells = [_cell(one.key[result.subject]), one.task.label, *(_cell(one.key[name]) for name in settings)]
        cells.append(str(max(figure.repeats for figure in group.values())))
        cells += [_figure(group.get(metric)) for metric in metrics]
        rows.append((*cells, "invalid" if _is_invalid(group) else "") if noted else tuple(cells))
        styles.append("red" if _is_invalid(group) else "")
    for one in result.published:
        if one.metric in metrics:
            cells = [
                f"{_cell(one.key['device_name'])}, published",
                _published_name(one),
                *[""] * len(settings),
                MISSING,
            ]
            cells += [_figure(one) if one.metric == metric else MISSING for metric in metrics]
            rows.append((*cells, "") if noted else tuple(cells))
            styles.append("dim italic")
    right = range(2 + len(settings), 3 + len(settings) + len(metrics))
    return Grid(tuple(header), tuple(rows), frozenset(right), tuple(styles))


def _settings(result: Result) -> list[str]:
    """Columns that tell groups of one task apart, apart from the subject."""
    return [name for name in result.shown if name != result.subject and name not in _PART_OF_TASK]


def _headings(settings: Sequence[str]) -> list[str]:
    return [name.replace("_", " ") for name in settings]


def _metrics(result: Result) -> list[str]:
    """Metrics that any group has a figure of."""
    present = {one.metric for one in result.comparisons if one.value is not None}
    return [name for name in METRICS if name in present]


def _is_invalid(group: Mapping[str, Comparison]) -> bool:
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


def _who(one: Comparison, result: Result) -> str:
    """The subject; with the role of its setting where a sweep gives it more than one."""
    who = _cell(one.key[result.subject])
    return f"{who}, best setting" if one.role == "best" else who


def _published_name(line: Comparison) -> str:
    return f"{line.key['published_metric'].replace('_', ' ')}, {line.key['published_kind']}"


def _figure(one: Comparison | None) -> str:
    if one is None or one.value is None:
        return MISSING
    if one.metric in METRICS and METRICS[one.metric].energy and one.key.get("energy_source") == "assumed":
        return f"{quantity(one.value, one.unit)} assumed"
    spread = plus_minus(one.value, one.low, one.high)
    return f"{quantity(one.value, one.unit)} {spread}" if spread else quantity(one.value, one.unit)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, bool):
        return "on" if value else "off"
    return MISSING if value is None else str(value)


def comparison_notes(result: Result) -> list[str]:
    """Sentences under the table: what the cards are, means, why a verdict could not be given, rows left out."""
    notes = []
    described = list(result.about.items())
    if len(described) > _MOST_SUBJECTS:
        notes.append(f"{len(described)} of --by {result.by}; --format json describes each")
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
        if line.reason and line.verdict in ("cannot tell", "not compared"):
            where = f"{_cell(line.key[result.subject])} {line.task.label} {METRICS[line.metric].heading}"
            why.setdefault(f"{line.verdict}: {line.reason}", []).append(where)
    notes += [f"{reason} — {_some(lines)}" for reason, lines in why.items()]
    covered = sorted({one.covers for one in result.comparisons if one.covers})
    if covered:
        notes.append(f"± of a figure is its 95% interval {' or '.join(covered)}, from the repeats alone")
    if any(one.ratio_low is not None for one in result.comparisons):
        notes.append(
            "a ratio's interval also covers the difference between runs, unless both sides are one device in one run"
        )
    far = [f"{one.file}, line {one.line} ({one.task}: {one.share:.0%} of the median)" for one in result.outliers]
    if far:
        notes.append(f"windows far from the others of their group, kept and hardly weighted — {_some(far)}")
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
