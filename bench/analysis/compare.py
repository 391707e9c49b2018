"""Card against card and run against run: pure statistics on a frame of result rows. Prints nothing, exits nowhere.

    frame = store.read(paths, compare.COLUMNS)               # strict; any frame with these columns will do
    result = compare.compare(frame, by="card", baseline="Example GPU A")
    for line in result.comparisons:                          # bench.model.Comparison, one per line and metric
        print(line.key["device_name"], line.metric, line.value, line.ratio, line.verdict, line.reason)
    result = published.lay(result)                           # lays published figures beside, never in a statistic
    failed = [j for c in gate.conditions("work_per_j<0.95") if (j := gate.judge(result, c)).failed]
    render.comparison_table(result)                          # or comparison_markdown, comparison_csv, comparison_json

A *line* is one device × workload × setting: rows that agree in every key column. A *subject* is what ``by`` names
(a card, a driver …); each subject's lines are set against the baseline subject's line of the same task.

The statistics, and why:

* Rates, watts and work per joule are positive and their noise is multiplicative, and what is asked for is a ratio: all
  of it is done on logarithms. A value is the geometric mean of its windows; its 95% interval is Student's t on the
  logs; a ratio's is Welch's t on the difference of the logs, with Satterthwaite's degrees of freedom. Nothing is gained
  by Fieller's interval: it is for ratios of means on the plain scale. At 5% noise the two scales differ by 0.1%. On
  logs rate ÷ watts = work per joule also holds for the printed figures.
* Windows of one run share its conditions (temperature, clocks, neighbours). A line of one run is judged by its windows;
  a line of several runs (or cards of one name) by the runs' means, each counting once, so that many windows of one run
  cannot pass for many runs.
* The interval of an energy figure is never narrower than the windows' own timing and sampling uncertainty allows.
* Sensor error does not fall with repeats. Between two sensors both their uncertainties widen the ratio's interval
  (root of the sum of squares); on one sensor the gain cancels and only the offset remains, which weighs on a ratio by
  |1/P₁ − 1/P₂|. The value's own interval is from the repeats alone.
* A difference under 1% is ``same`` when the interval says so: a run stops repeating at ±1%, so less was never resolved.
* One window has no spread: no interval, ``cannot tell``. An invalid row is listed and in no statistic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bench.analysis.groups import (
    COLUMNS,
    ENERGY_MUST_MATCH,
    MUST_MATCH,
    SETTING,
    SUBJECTS,
    TASK,
    InvalidRow,
    Line,
    Stat,
    reduce_rows,
    student,
    text,
)
from bench.analysis.metrics import METRICS
from bench.model import BenchError, Comparison

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "METRICS", "SUBJECTS", "InvalidRow", "Result", "compare", "flat"]

_ACROSS_DEVICES = frozenset({"device_name", "device_uuid", "run_id", "file", "host"})
"""Subjects whose pairs may be of two device names. Drivers are only compared on the same card."""

DEVICE_OPTIONS = frozenset({"threads", "isa", "gap", "found"})
"""Options that are the device's own best (cores, scratchpad layout, the winning shape of a search): they must match on
one device, not between two."""

SAME_WITHIN = 0.01
"""Two figures whose whole interval lies within this ratio are the same."""


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
    """Key columns that tell lines apart, the subject first."""
    about: Mapping[str, Mapping[str, Any]]
    """Subject → key columns in which the subjects differ but which are one value within each."""
    common: Mapping[str, Any]
    """Key columns with the same value everywhere."""
    means: tuple[Comparison, ...] = ()
    """Geometric mean of the ratios, per subject, workload and metric, over the tasks that every subject has."""
    invalid: tuple[InvalidRow, ...] = ()
    published: tuple[Comparison, ...] = ()

    def groups(self) -> list[dict[str, Comparison]]:
        """Metric → comparison for each group, in order. Every group has ``rate_per_s``."""
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
    """Set each subject's lines against the baseline's.

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
    lines, rejected = reduce_rows(frame, subject, wanted)
    subjects = tuple(dict.fromkeys(line.subject for line in lines))
    alone = len(subjects) == 1 and baseline is None
    chosen = None if alone else _baseline(subjects, baseline, by)
    found = _against(lines, chosen, subject, wanted)
    shown, about, common = _split_keys(lines, subject)
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
        invalid=tuple(rejected),
    )


def _subject(by: str) -> str:
    name = SUBJECTS.get(by, by.replace("-", "_"))
    known = {*SUBJECTS.values(), *TASK, *MUST_MATCH, *ENERGY_MUST_MATCH, *SETTING} - {"workload", "work_unit"}
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
    lines: Sequence[Line], subject: str
) -> tuple[tuple[str, ...], dict[str, dict[str, Any]], dict[str, Any]]:
    """Which key columns tell lines apart, which only describe a subject, and which say nothing."""
    alone = len({line.subject for line in lines}) == 1
    shown: list[str] = [subject, "workload"]
    about: dict[str, dict[str, Any]] = {line.subject: {} for line in lines}
    common: dict[str, Any] = {}
    for name in (name for name in lines[0].key if name not in shown):
        of_subject, of_task, of_line = (
            _values(lines, name, by)
            for by in (lambda line: line.subject, lambda line: line.task, lambda line: (line.subject, line.task))
        )
        if len(set().union(*of_subject.values())) == 1:
            common[name] = lines[0].key[name]
        elif name in TASK or _vary(of_line):
            shown.append(name)
        elif not _vary(of_subject):
            for who, values in of_subject.items():
                about[who][name] = next(iter(values))
        elif name == "implementation" and (alone or _vary(of_task)):
            shown.append(name)
        # else it follows from the workload, as its unit does, and tells no two lines apart
    return tuple(shown), about, common


def _values(lines: Sequence[Line], name: str, by: Callable[[Line], Any]) -> dict[Any, set[Any]]:
    found: dict[Any, set[Any]] = {}
    for line in lines:
        found.setdefault(by(line), set()).add(line.key[name])
    return found


def _vary(values: Mapping[Any, set[Any]]) -> bool:
    return any(len(group) > 1 for group in values.values())


# ---------------------------------------------------------------------------------------------------------------------
# lines → pairs → verdicts


def _against(lines: Sequence[Line], chosen: str | None, subject: str, metrics: Sequence[str]) -> list[Comparison]:
    def pairing(line: Line) -> tuple[Any, ...]:
        own = [line.key[name] for name in TASK if name != subject]
        return (*own, None if subject in _ACROSS_DEVICES else line.key["device_name"])

    bases: dict[tuple[Any, ...], list[Line]] = {}
    for line in lines:
        if line.subject == chosen:
            bases.setdefault(pairing(line), []).append(line)
    order = {task: place for place, task in enumerate(dict.fromkeys(pairing(line) for line in lines))}
    ranked = sorted(lines, key=lambda line: (order[pairing(line)], line.subject != chosen))
    has = {name: {line.key["workload"] for line in lines if name in line.stats} for name in metrics}
    found = []
    for line in ranked:
        if chosen is None or line.subject == chosen:
            base, refusal = None, None
        else:
            base, refusal = _pick(line, bases.get(pairing(line), []), subject)
        for metric in metrics:
            if line.key["workload"] not in has[metric]:
                # a metric this workload never has (tokens of a hash), or that nobody measured
                if metric in ("rate_per_s",):
                    found.append(_one(line, metric))
                continue
            own = _one(line, metric)
            if line.valid and chosen is not None and line.subject != chosen:
                own = _ratio(own, line, base, refusal, metric, subject)
            found.append(own)
    return found


def _one(line: Line, metric: str) -> Comparison:
    """A line's own figure, before it is set against anything."""
    stat = line.stats.get(metric)
    unit = METRICS[metric].unit(line.key["work_unit"])
    left_out = line.rows - line.valid
    note = f"{left_out} invalid of {line.rows} left out: {'; '.join(line.reasons)}" if left_out else None
    if not line.valid:
        return Comparison(
            line.key, metric, unit, 0, None, None, None, verdict="invalid", reason="; ".join(line.reasons)
        )
    if stat is None:
        return Comparison(line.key, metric, unit, 0, None, None, None, reason=_join("no watts were read", note))
    low, high = stat.interval() or (None, None)
    return Comparison(line.key, metric, unit, stat.count, stat.value, low, high, verdict="baseline", reason=_join(note))


def _join(*parts: str | None) -> str | None:
    return "; ".join(part for part in parts if part) or None


def _pick(line: Line, bases: Sequence[Line], subject: str) -> tuple[Line | None, str | None]:
    """The baseline line to set ``line`` against, or None and why."""
    if not bases:
        return None, "the baseline did not run this task"
    differing = [(_differing(line, base, MUST_MATCH, subject), base) for base in bases]
    fitting = [base for fields, base in differing if not fields]
    if not fitting:
        fields, base = min(differing, key=lambda item: len(item[0]))
        return None, _refusal(line, base, fields)

    def closeness(base: Line) -> tuple[int, ...]:
        first = ("device_name", *ENERGY_MUST_MATCH)
        return (
            sum(line.key[name] == base.key[name] for name in first),
            sum(line.key[name] == base.key[name] for name in SETTING),
        )

    best = max(map(closeness, fitting))
    nearest = [base for base in fitting if closeness(base) == best]
    if len(nearest) > 1:
        apart = [name for name in line.key if len({base.key[name] for base in nearest}) > 1]
        return (
            None,
            f"the baseline has {len(nearest)} results for this task ({', '.join(apart)} differ); give fewer files",
        )
    return nearest[0], None


def _differing(line: Line, base: Line, names: Sequence[str], subject: str) -> list[str]:
    """Fields of ``names`` in which the two differ. The field that ``by`` names may differ: that is the question."""
    return [
        name
        for name in names
        if name != subject
        and (_options(line, base) if name == "options" else line.key[name] != base.key[name])
        and not (subject == "implementation" and name == "implementation_class")
    ]


def _options(line: Line, base: Line) -> bool:
    """Whether the options differ, leaving aside between two devices those that say how much of a device is used."""
    one_device = all(line.key[name] == base.key[name] for name in ("device_name", "device_cores"))
    sets = []
    for key in (line.key, base.key):
        parts = (key["options"] or "").split()
        sets.append({part for part in parts if one_device or part.partition("=")[0] not in DEVICE_OPTIONS})
    return sets[0] != sets[1]


def _refusal(line: Line, base: Line, fields: Sequence[str]) -> str:
    def value(key: Mapping[str, Any], name: str) -> str:
        return "none" if key[name] is None else text(key[name])

    said = [f"{name} {value(line.key, name)} against {value(base.key, name)}" for name in fields]
    return f"refused: {' and '.join(said)}"


def _ratio(
    own: Comparison, line: Line, base: Line | None, refusal: str | None, metric: str, subject: str
) -> Comparison:
    def cannot(reason: str, **more: Any) -> Comparison:
        return replace(own, verdict="cannot tell", reason=_join(reason, own.reason), **more)

    if base is None:
        return cannot(refusal or "nothing to compare with")
    if METRICS[metric].energy and own.value is not None and metric in base.stats:
        fields = _differing(line, base, ENERGY_MUST_MATCH, subject)
        if fields:
            return cannot(_refusal(line, base, fields))
    if not base.valid:
        return cannot(f"the baseline is invalid ({'; '.join(base.reasons)})")
    if own.value is None:
        return replace(own, verdict="cannot tell")
    if metric not in base.stats:
        return cannot("no watts were read in the baseline")
    mine, theirs = line.stats[metric], base.stats[metric]
    difference = mine.mean - theirs.mean
    ratio = math.exp(difference)
    few = [who for who, stat in (("here", mine), ("in the baseline", theirs)) if stat.count < 2]
    if few:
        return cannot(f"one window {' and '.join(few)} has no spread (--repeats 3 or more)", ratio=ratio)
    half = _welch(mine, theirs)
    sensor, note = _sensor_half_width(line, base) if METRICS[metric].energy else (0.0, None)
    if sensor is None:
        return cannot(note or "", ratio=ratio)
    whole = math.hypot(half, sensor)
    bounds: dict[str, Any] = {
        "ratio": ratio,
        "ratio_low": math.exp(difference - whole),
        "ratio_high": math.exp(difference + whole),
    }
    more, less = METRICS[metric].above, METRICS[metric].below
    margin = math.log1p(SAME_WITHIN)
    if abs(difference) + whole <= margin:
        return replace(own, verdict="same", reason=_join(own.reason), **bounds)
    if abs(difference) > whole:
        return replace(own, verdict=more if difference > 0 else less, reason=_join(own.reason), **bounds)
    if abs(difference) > half and note:
        return cannot(note, **bounds)
    return cannot("the interval contains 1", **bounds)


def _welch(mine: Stat, theirs: Stat) -> float:
    """Half-width of the 95% interval of a difference of two means with unequal variances (Welch, Satterthwaite)."""
    variance = mine.variance + theirs.variance
    if variance == 0.0:
        return 0.0
    freedom = variance**2 / (mine.variance**2 / mine.freedom + theirs.variance**2 / theirs.freedom)
    return student(round(freedom, 2)) * math.sqrt(variance)


def _sensor_half_width(line: Line, base: Line) -> tuple[float | None, str | None]:
    """95% half-width that the sensors' own error adds to a log ratio of watts, and a sentence; None: not known."""
    one = len(line.sensors) == 1 and line.sensors == base.sensors
    known = None not in (line.watts, base.watts, line.sensor_w, base.sensor_w)
    if not known:
        if one:
            return 0.0, None
        return None, "the sensors' uncertainty is unknown, so the watts of two cards cannot be ranked"
    assert line.watts is not None and base.watts is not None  # noqa: PT018, S101 - for the type checker
    assert line.sensor_w is not None and base.sensor_w is not None  # noqa: PT018, S101
    if not one:
        mine, theirs = line.sensor_w / line.watts, base.sensor_w / base.watts
        return math.hypot(mine, theirs), f"within the sensors' errors (±{mine:.1%} and ±{theirs:.1%})"
    offset = _offset_w(line.watts, line.sensor_w, base.watts, base.sensor_w)
    return offset * abs(1 / line.watts - 1 / base.watts), f"within the sensor's offset error (±{offset:.1f} W)"


def _offset_w(watts_a: float, error_a: float, watts_b: float, error_b: float) -> float:
    """A sensor's offset from its error at two loads, error² = (gain·watts)² + offset²; at most the smaller error."""
    most = min(error_a, error_b)
    if math.isclose(watts_a, watts_b, rel_tol=0.01):
        return most  # cannot be told apart, and hardly weighs: |1/P₁ − 1/P₂| is near 0
    squared = (error_a**2 * watts_b**2 - error_b**2 * watts_a**2) / (watts_b**2 - watts_a**2)
    return min(most, math.sqrt(max(0.0, squared)))


def _means(
    found: Sequence[Comparison], subject: str, subjects: Sequence[str], chosen: str | None, metrics: Sequence[str]
) -> list[Comparison]:
    """Geometric means of the ratios over the tasks for which *every* subject has one, two tasks at least.

    Per workload: hashes and FLOPs are never averaged. The interval treats the tasks' errors as fully dependent (one
    sensor, one card), which is the wider choice.
    """
    if chosen is None:
        return []
    others = [name for name in subjects if name != chosen]
    means = []
    for workload in dict.fromkeys(line.key["workload"] for line in found):
        for metric in metrics:
            table: dict[str, dict[str, list[Comparison]]] = {}
            for line in found:
                bounded = line.ratio is not None and line.ratio_low is not None
                if bounded and line.key["workload"] == workload and line.metric == metric:
                    table.setdefault(line.task.label, {}).setdefault(text(line.key[subject]), []).append(line)
            # a task with two lines of one subject has no single ratio
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
    ratio, low, high = map(math.exp, logs)
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


# ---------------------------------------------------------------------------------------------------------------------
# flat rows, for CSV and JSON


FLAT = ("metric", "unit", "repeats", "value", "low", "high", "ratio", "ratio_low", "ratio_high", "verdict", "reason")


def flat(result: Result) -> list[dict[str, Any]]:
    """Everything in a result as flat objects with the same keys: ``kind`` (``line``, ``mean``, ``published`` or
    ``invalid row``), the key columns that differ, the figures, the verdict and the reason.
    """
    about = {name for what in result.about.values() for name in what}
    names = list(
        dict.fromkeys([*result.shown, "device_name", *TASK, *sorted(about), "published_metric", "published_kind"])
    )
    rows = []
    for kind, lines in (("line", result.comparisons), ("mean", result.means), ("published", result.published)):
        for line in lines:
            key = {name: line.key.get(name) for name in names}
            rows.append({"kind": kind, **key, **{name: getattr(line, name) for name in FLAT}})
    for item in result.invalid:
        empty = dict.fromkeys([*names, *FLAT])
        where = f"{item.file}, line {item.line}: {item.reason}"
        rows.append(
            {"kind": "invalid row", **empty, result.subject: item.subject, "verdict": "invalid", "reason": where}
        )
    return rows
