"""Card against card and run against run: pure statistics on a frame of result rows. Prints nothing, exits nowhere.

    frame = storage.read(paths, compare.COLUMNS)             # strict; any frame with these columns will do
    result = compare.compare(frame, by="card", baseline="Example GPU A")
    for item in result.comparisons:                          # bench.model.Comparison, one per group and metric
        print(item.key["device_name"], item.metric, item.value, item.ratio, item.verdict, item.reason)
    result = with_published(result)                          # adds published figures, never to a statistic
    output.render(output.comparison(result), "markdown")     # or table, csv, json

A *group* is one device × task × setting: rows that agree in every key column. A *subject* is what ``by`` names (a card,
a driver …). Which group of the baseline subject each group is compared with: :mod:`bench.analysis.pairs`.

The statistics, and why:

* Rates, watts and work per joule are positive and their noise is multiplicative, and what is asked for is a ratio: all
  of it is done on logarithms. At 5% noise the two scales differ by 0.1%.
* A value is the trimmed mean of its windows' logarithms, which a disturbed window hardly moves, and its interval is
  Yuen's (:mod:`bench.analysis.estimate`). Student's t on all windows is in CSV and JSON as well. Windows far from the
  others are named and stay in the file.
* Windows of one run share its conditions (temperature, clocks, neighbours). The interval of a value from one run covers
  that run only, and says so; that of several runs covers the difference between runs. A ratio always does, unless both
  sides are of one device in one run: with one run each it has a floor, and more runs narrow it.
* The interval of an energy figure is never narrower than the windows' own timing and sampling uncertainty allows.
* Sensor error does not fall with repeats. Between two sensors both their uncertainties widen the ratio's interval
  (root of the sum of squares); on one sensor the gain cancels and only the offset remains, which weighs on a ratio by
  |1/P₁ − 1/P₂|. The value's own interval is from the repeats alone.
* A table of many comparisons shows some differences by chance: verdicts are given after Holm's allowance for all of
  them, so that the chance of even one false difference in the table is at most 5%.
* A difference under 1% is ``same`` when the interval says so.
* One window has no spread: no interval, ``cannot tell``. An invalid row is listed and in no statistic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.analysis.estimate import exp
from bench.analysis.groups import (
    COLUMNS,
    ENERGY_MUST_MATCH,
    MUST_MATCH,
    SUBJECTS,
    TASK,
    InvalidRow,
    Outlier,
    ResultGroup,
    reduce_rows,
    text,
)
from bench.analysis.metrics import METRICS
from bench.analysis.pairs import SAME_WITHIN, Difference, pair
from bench.analysis.settings import POOLED_ONLY_IF_EQUAL
from bench.model import BenchError, Comparison

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "METRICS", "SUBJECTS", "InvalidRow", "Result", "compare", "flat"]


@dataclass(frozen=True, slots=True)
class Result:
    """What :func:`compare` found."""

    by: str
    """As the user named it, for example ``card``."""
    subject: str
    """The column behind ``by``."""
    baseline: str | None
    """The baseline subject; None where there is only one subject."""
    subjects: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    shown: tuple[str, ...]
    """Key columns that tell groups apart, the subject first."""
    about: Mapping[str, Mapping[str, Any]]
    """Subject → key columns in which the subjects differ but which are one value within each."""
    common: Mapping[str, Any]
    """Key columns with the same value everywhere."""
    differences: tuple[Difference, ...] = ()
    """Settings in which the two sides of a comparison differ, or which one side does not know."""
    means: tuple[Comparison, ...] = ()
    """Geometric mean of the ratios, per subject, workload and metric, over the tasks that every subject has."""
    invalid: tuple[InvalidRow, ...] = ()
    outliers: tuple[Outlier, ...] = ()
    published: tuple[Comparison, ...] = ()

    def groups(self) -> list[dict[str, Comparison]]:
        """Metric → comparison for each group, in order."""
        found: dict[int, dict[str, Comparison]] = {}
        for item in self.comparisons:
            found.setdefault(id(item.key), {})[item.metric] = item
        return list(found.values())


def compare(
    frame: pd.DataFrame,
    baseline: str | None = None,
    by: str = "card",
    metrics: Sequence[str] | None = None,
) -> Result:
    """Compare each subject's groups with the baseline's.

    Args:
        frame: rows with at least :data:`COLUMNS`, ``file`` and ``line``, as ``bench.storage`` reads them.
        baseline: a subject by its full name or a part of it that only one has; default: the first in the frame.
        by: a name of :data:`SUBJECTS` or a key column.
        metrics: of :data:`METRICS`; default: all that the rows hold.

    Raises:
        BenchError: an unknown ``by``, ``metrics`` or ``baseline``, or no rows.
    """
    subject = _subject(by)
    wanted = _metrics(metrics)
    if not len(frame):
        raise BenchError("there are no rows to compare", "give result CSVs that hold some")
    groups, rejected, far = reduce_rows(frame, subject, wanted)
    subjects = tuple(dict.fromkeys(group.subject for group in groups))
    alone = len(subjects) == 1 and baseline is None
    chosen = None if alone else _baseline(subjects, baseline, by)
    found, differences = pair(groups, chosen, subject, wanted)
    shown, about, common = _split_keys(groups, subject)
    return Result(
        by=by,
        subject=subject,
        baseline=chosen,
        subjects=subjects,
        comparisons=tuple(found),
        shown=shown,
        about=about,
        common=common,
        means=tuple(_means(found, subject, subjects, chosen, wanted)),
        differences=tuple(differences),
        invalid=tuple(rejected),
        outliers=tuple(far),
    )


def _subject(by: str) -> str:
    name = SUBJECTS.get(by, by.replace("-", "_"))
    known = {*SUBJECTS.values(), *TASK, *MUST_MATCH, *ENERGY_MUST_MATCH, *POOLED_ONLY_IF_EQUAL} - {
        "workload",
        "work_unit",
    }
    if name not in known:
        choices = ", ".join([*SUBJECTS, *sorted(known - set(SUBJECTS.values()))])
        raise BenchError(f"--by {by} is not known", f"choose from {choices}")
    return name


def _metrics(metrics: Sequence[str] | None) -> tuple[str, ...]:
    for name in metrics or ():
        if name not in METRICS:
            raise BenchError(f"there is no metric {name!r}", f"choose from {', '.join(METRICS)}")
    return tuple(metrics or METRICS)


def _baseline(subjects: Sequence[str], asked: str | None, by: str) -> str:
    if asked is None:
        return subjects[0]
    if asked in subjects:
        return asked
    near = [name for name in subjects if asked.casefold() in name.casefold()]
    if len(near) == 1:
        return near[0]
    matches = f"matches {len(near)} of them" if near else "matches none of them"
    raise BenchError(f"--baseline {asked!r} {matches} (--by {by})", f"choose from {', '.join(near or subjects)}")


def _split_keys(
    groups: Sequence[ResultGroup], subject: str
) -> tuple[tuple[str, ...], dict[str, dict[str, Any]], dict[str, Any]]:
    """Which key columns tell groups apart, which only describe a subject, and which say nothing."""
    alone = len({group.subject for group in groups}) == 1
    shown: list[str] = [subject, "workload"]
    about: dict[str, dict[str, Any]] = {group.subject: {} for group in groups}
    common: dict[str, Any] = {}
    for name in (name for name in groups[0].key if name not in shown):
        of_subject, of_task, of_group = (
            _values(groups, name, by)
            for by in (lambda group: group.subject, lambda group: group.task, lambda group: (group.subject, group.task))
        )
        if len(set().union(*of_subject.values())) == 1:
            common[name] = groups[0].key[name]
        elif name in TASK or _vary(of_group):
            shown.append(name)
        elif not _vary(of_subject):
            for who, values in of_subject.items():
                about[who][name] = next(iter(values))
        elif name == "implementation" and (alone or _vary(of_task)):
            shown.append(name)
        # else it follows from the workload, as its unit does, and tells no two groups apart
    return tuple(shown), about, common


def _values(groups: Sequence[ResultGroup], name: str, by: Callable[[ResultGroup], Any]) -> dict[Any, set[Any]]:
    found: dict[Any, set[Any]] = {}
    for group in groups:
        found.setdefault(by(group), set()).add(group.key[name])
    return found


def _vary(values: Mapping[Any, set[Any]]) -> bool:
    return any(len(distinct) > 1 for distinct in values.values())


def _means(
    found: Sequence[Comparison], subject: str, subjects: Sequence[str], chosen: str | None, metrics: Sequence[str]
) -> list[Comparison]:
    """Geometric means of the stock ratios over the tasks for which *every* subject has one, two tasks at least.

    Per workload: hashes and FLOPs are never averaged. The interval treats the tasks' errors as fully dependent (one
    sensor, one card), which is the wider choice.
    """
    if chosen is None:
        return []
    others = [name for name in subjects if name != chosen]
    means = []
    for workload in dict.fromkeys(item.key["workload"] for item in found):
        for metric in metrics:
            table: dict[str, dict[str, list[Comparison]]] = {}
            for item in found:
                bounded = item.ratio is not None and item.ratio_low is not None and item.role != "best"
                if bounded and item.key["workload"] == workload and item.metric == metric:
                    table.setdefault(item.task.label, {}).setdefault(text(item.key[subject]), []).append(item)
            # a task with two groups of one subject has no single ratio
            shared = [
                task for task, by in table.items() if set(others) == set(by) and all(len(v) == 1 for v in by.values())
            ]
            if len(shared) < 2:
                continue
            for other in others:
                parts = [table[task][other][0] for task in shared]
                logs = [
                    sum(math.log(getattr(part, name)) for part in parts) / len(parts)
                    for name in ("ratio", "ratio_low", "ratio_high")
                ]
                means.append(_mean(other, subject, workload, metric, shared, logs))
    return means


def _mean(
    other: str, subject: str, workload: str, metric: str, shared: Sequence[str], logs: Sequence[float]
) -> Comparison:
    ratio, low, high = map(exp, logs)
    more, less = METRICS[metric].above, METRICS[metric].below
    margin = 1 + SAME_WITHIN
    verdict = (
        "same" if 1 / margin <= low and high <= margin else more if low > 1 else less if high < 1 else "cannot tell"
    )
    return Comparison(
        key={subject: other, "workload": workload},
        metric=metric,
        unit="",
        repeats=len(shared),
        value=None,
        low=None,
        high=None,
        ratio=ratio,
        ratio_low=low,
        ratio_high=high,
        verdict=verdict,
        reason=f"geometric mean over {len(shared)} tasks that all have run: {', '.join(shared)}",
    )


# ---- flat rows, for CSV and JSON ----------------------------------------------------------------------------------

FLAT = (
    *("metric", "unit", "repeats", "value", "low", "high", "t_low", "t_high", "covers", "role"),
    *("ratio", "ratio_low", "ratio_high", "p_value", "verdict", "reason"),
)


def flat(result: Result) -> list[dict[str, Any]]:
    """Everything in a result as flat objects with the same keys: ``kind`` (``group``, ``mean``, ``published``,
    ``difference``, ``outlier`` or ``invalid row``), the key columns that differ, the figures, verdict and reason.
    """
    about = {name for what in result.about.values() for name in what}
    names = list(
        dict.fromkeys([*result.shown, "device_name", *TASK, *sorted(about), "published_metric", "published_kind"])
    )
    rows = []
    for kind, items in (("group", result.comparisons), ("mean", result.means), ("published", result.published)):
        for item in items:
            key = {name: item.key.get(name) for name in names}
            rows.append({"kind": kind, **key, **{name: getattr(item, name) for name in FLAT}})

    def add(kind: str, subject: str, reason: str, **more: Any) -> None:
        rows.append({"kind": kind, **dict.fromkeys([*names, *FLAT]), result.subject: subject, "reason": reason, **more})

    for difference in result.differences:
        here, there = (" or ".join(map(text, values)) for values in (difference.here, difference.baseline))
        add("difference", difference.subject, f"{difference.column} {here} against {there}")
    for far in result.outliers:
        where = f"{far.file}, line {far.line}: {far.share:.0%} of its group's median ({far.task})"
        where += f": {far.cause}" if far.cause else ""
        add("outlier", far.subject, where, metric="rate_per_s", ratio=far.share)
    for row in result.invalid:
        add("invalid row", row.subject, f"{row.file}, line {row.line}: {row.reason}", verdict="invalid")
    return rows
