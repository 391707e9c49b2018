"""Which group is compared with which, and what the pair says. Pure.

The rule, the same for table, page and money: a card's *stock* setting (default power limit, no clock lock) is compared
with the other card's stock setting. Where a card was measured at several settings, the one with the most work per joule
is its *best*, and is compared as a second, named figure: with the other card's best, or with its stock setting if that
is all there is. No group is matched to the nearest setting of the other side. Two groups of one device are compared at
equal limits and clocks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.analysis.estimate import Part, exp, half_width, holm, p_value
from bench.analysis.groups import (
    ENERGY_MUST_MATCH,
    MUST_MATCH,
    TASK,
    ResultGroup,
    text,
)
from bench.analysis.metrics import METRICS
from bench.analysis.settings import POOLED_ONLY_IF_EQUAL, SETTINGS
from bench.model import Comparison

ACROSS_DEVICES = frozenset({"device_name", "device_uuid", "run_id", "file", "host"})
"""Subjects whose pairs may be of two device names. Drivers are only compared on the same card."""

LIMITS = ("power_limit_w", "default_power_limit_w", "sm_clock_lock_mhz")
"""What a sweep changes."""

DEVICE_OPTIONS = frozenset({"threads", "isa", "gap", "found"})
"""Options that are the device's own best (cores, scratchpad layout, the winning shape of a search): they must match on
one device, not between two."""

SAME_WITHIN = 0.01
"""Two figures whose whole interval lies within this ratio are the same."""

NOT_COMPARED = "only the stock setting and the best one of a sweep are compared"

FALSE_VERDICTS = 0.05
"""Chance of even one false difference in a whole table (Holm)."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting in which a subject's groups differ from the baseline groups that they were compared with."""

    subject: str
    column: str
    here: tuple[Any, ...]
    """Its values; None is unknown."""
    baseline: tuple[Any, ...]

    @property
    def is_unknown(self) -> bool:
        """Whether one side does not know the setting, so that a difference could be hidden."""
        return {None} in ({*self.here}, {*self.baseline})


def pair(
    groups: Sequence[ResultGroup], chosen: str | None, subject: str, metrics: Sequence[str]
) -> tuple[list[Comparison], list[Difference]]:
    """A comparison per group and metric, in the order task by task with the baseline first; and what differs."""

    def pairing(group: ResultGroup) -> tuple[Any, ...]:
        own = [group.key[name] for name in TASK if name != subject]
        return (*own, None if subject in ACROSS_DEVICES else group.key["device_name"])

    roles = _roles(groups, subject)
    bases: dict[tuple[Any, ...], list[ResultGroup]] = {}
    for group in groups:
        if group.subject == chosen:
            bases.setdefault(pairing(group), []).append(group)
    order = {task: number for number, task in enumerate(dict.fromkeys(pairing(group) for group in groups))}
    ranked = sorted(groups, key=lambda group: (order[pairing(group)], group.subject != chosen))
    has = {name: {group.key["workload"] for group in groups if name in group.stats} for name in metrics}
    found: list[Comparison] = []
    differences: dict[tuple[str, str], tuple[dict[Any, None], dict[Any, None]]] = {}
    for group in ranked:
        compared = chosen is not None and group.subject != chosen
        base, refusal = _pick(group, bases.get(pairing(group), []), subject, roles) if compared else (None, None)
        if base is not None and group.valid and base.valid:
            _note_differences(differences, group, base, subject)
        for metric in metrics:
            if group.key["workload"] not in has[metric] and metric != "rate_per_s":
                continue  # a metric this workload never has (tokens of a hash), or that nobody measured
            own = replace(_own_figure(group, metric), role=roles[id(group)])
            if group.valid and compared:
                own = _ratio(own, group, base, refusal, metric, subject)
            found.append(own)
    return _allow_for_many(found), [
        Difference(who, column, tuple(here), tuple(there)) for (who, column), (here, there) in differences.items()
    ]


# ---- roles and partners -------------------------------------------------------------------------------------------


def _roles(groups: Sequence[ResultGroup], subject: str) -> dict[int, str]:
    """``stock``, ``best`` or ``other`` for each group, by id."""
    sweeps: dict[tuple[Any, ...], list[ResultGroup]] = {}
    for group in groups:
        names = ("device_name", *TASK, *MUST_MATCH)
        sweeps.setdefault((group.subject, *(group.key[name] for name in names)), []).append(group)
    roles: dict[int, str] = {}
    for sweep in sweeps.values():
        for group in sweep:
            roles[id(group)] = "stock" if group.is_stock or subject in LIMITS else "other"
        best = max((group for group in sweep if group.valid), key=_efficiency, default=None)
        if best is not None and roles[id(best)] == "other":
            roles[id(best)] = "best"
    return roles


def _efficiency(group: ResultGroup) -> tuple[float, float]:
    per_joule, rate = group.stats.get("work_per_j"), group.stats.get("rate_per_s")
    return per_joule.mean if per_joule else -math.inf, rate.mean if rate else -math.inf


def _pick(
    group: ResultGroup, bases: Sequence[ResultGroup], subject: str, roles: Mapping[int, str]
) -> tuple[ResultGroup | None, str | None]:
    """The baseline group to compare ``group`` with, or None and why."""
    if not bases:
        return None, "the baseline did not run this task"
    differing = [(_differing(group, base, MUST_MATCH, subject), base) for base in bases]
    fitting = [base for fields, base in differing if not fields]
    if not fitting:
        fields, base = min(differing, key=lambda item: len(item[0]))
        return None, _refusal(group, base, fields)
    limits = [name for name in LIMITS if name != subject]
    equal = [base for base in fitting if _same(group, base, ("device_name", *limits))]
    if equal:
        fitting = equal
    elif subject not in LIMITS:
        fitting, refusal = _by_role(group, fitting, roles)
        if refusal:
            return None, refusal
    if len(fitting) > 1:
        names = [name for name in (*ENERGY_MUST_MATCH, *POOLED_ONLY_IF_EQUAL) if name != subject]
        fitting = [base for base in fitting if _same(group, base, names)] or fitting
    if len(fitting) > 1:
        apart = [name for name in group.key if len({base.key[name] for base in fitting}) > 1]
        many = f"the baseline has {len(fitting)} results for this task ({', '.join(apart)} differ)"
        return None, f"{many}; give fewer files"
    return fitting[0], None


def _by_role(
    group: ResultGroup, bases: Sequence[ResultGroup], roles: Mapping[int, str]
) -> tuple[list[ResultGroup], str | None]:
    role = roles[id(group)]
    if role == "other":
        return [], NOT_COMPARED
    for wanted in ("stock", "best") if role == "stock" else ("best", "stock"):
        held = [base for base in bases if roles[id(base)] == wanted]
        if held:
            return held, None
    return [], "the baseline has no valid result of this task"


def _same(group: ResultGroup, base: ResultGroup, names: Sequence[str]) -> bool:
    return all(group.key[name] == base.key[name] for name in names)


def _note_differences(
    differences: dict[tuple[str, str], tuple[dict[Any, None], dict[Any, None]]],
    group: ResultGroup,
    base: ResultGroup,
    subject: str,
) -> None:
    """Collect the settings in which the two differ, and those that one side does not know."""
    one_card = group.key["device_name"] == base.key["device_name"]
    for setting in SETTINGS.values():
        if setting.column == subject or (setting.of_the_card and not one_card):
            continue
        where = group.key if setting.tolerance is None else group.conditions
        there = base.key if setting.tolerance is None else base.conditions
        ours, theirs = where[setting.column], there[setting.column]
        if setting.tolerance is not None and ours is not None and theirs is not None:
            ours, theirs = round(ours, 1), round(theirs, 1)
            differ = abs(ours - theirs) > setting.tolerance
        else:
            differ = ours != theirs
        if differ:
            here, baseline = differences.setdefault((group.subject, setting.column), ({}, {}))
            here[ours] = baseline[theirs] = None


def _differing(group: ResultGroup, base: ResultGroup, names: Sequence[str], subject: str) -> list[str]:
    """Fields of ``names`` in which the two differ. The field that ``by`` names may differ: that is the question."""
    return [
        name
        for name in names
        if name != subject
        and (_options(group, base) if name == "options" else group.key[name] != base.key[name])
        and not (subject == "implementation" and name == "implementation_class")
    ]


def _options(group: ResultGroup, base: ResultGroup) -> bool:
    """Whether the options differ, leaving aside between two devices those that say how much of a device is used."""
    one_device = all(group.key[name] == base.key[name] for name in ("device_name", "device_cores"))
    sets = []
    for key in (group.key, base.key):
        parts = (key["options"] or "").split()
        sets.append({part for part in parts if one_device or part.partition("=")[0] not in DEVICE_OPTIONS})
    return sets[0] != sets[1]


def _refusal(group: ResultGroup, base: ResultGroup, fields: Sequence[str]) -> str:
    def value(key: Mapping[str, Any], name: str) -> str:
        return "none" if key[name] is None else text(key[name])

    said = [f"{name} {value(group.key, name)} against {value(base.key, name)}" for name in fields]
    return f"refused: {' and '.join(said)}"


# ---- figures and verdicts -----------------------------------------------------------------------------------------


def _own_figure(group: ResultGroup, metric: str) -> Comparison:
    """A group's own figure, before it is compared with anything."""
    stat = group.stats.get(metric)
    left_out = group.rows - group.valid
    note = f"{left_out} invalid of {group.rows} left out: {'; '.join(group.reasons)}" if left_out else None
    empty = Comparison(group.key, metric, METRICS[metric].unit(group.key["work_unit"]), 0, None, None, None)
    if not group.valid:
        return replace(empty, verdict="invalid", reason="; ".join(group.reasons))
    if stat is None:
        return replace(empty, reason=_join("no watts were read", note))
    low, high = stat.interval() or (None, None)
    t_low, t_high = stat.t_interval or (None, None)
    return replace(
        empty,
        repeats=stat.count,
        value=stat.value,
        low=low,
        high=high,
        t_low=t_low,
        t_high=t_high,
        covers=None if low is None else stat.covers,
        verdict="baseline",
        reason=_join(note),
    )


def _join(*parts: str | None) -> str | None:
    return "; ".join(part for part in parts if part) or None


def _ratio(
    own: Comparison, group: ResultGroup, base: ResultGroup | None, refusal: str | None, metric: str, subject: str
) -> Comparison:
    def cannot(reason: str, **more: Any) -> Comparison:
        return replace(own, verdict="cannot tell", reason=_join(reason, own.reason), **more)

    if base is None:
        verdict = "not compared" if refusal == NOT_COMPARED else "cannot tell"
        return replace(own, verdict=verdict, reason=_join(refusal, own.reason))
    is_energy = METRICS[metric].energy
    if is_energy and own.value is not None and metric in base.stats:
        fields = _differing(group, base, ENERGY_MUST_MATCH, subject)
        if fields:
            return cannot(_refusal(group, base, fields))
    if not base.valid:
        return cannot(f"the baseline is invalid ({'; '.join(base.reasons)})")
    if own.value is None:
        return replace(own, verdict="cannot tell")
    if metric not in base.stats:
        return cannot("no watts were read in the baseline")
    mine, theirs = group.stats[metric], base.stats[metric]
    difference = mine.mean - theirs.mean
    ratio = exp(difference)
    few = [who for who, stat in (("here", mine), ("in the baseline", theirs)) if stat.count < 2]
    if few:
        return cannot(f"one window {' and '.join(few)} has no spread (--repeats 5 or more)", ratio=ratio)
    parts = _parts(group, base, metric)
    half = half_width(parts)
    sensor, note = _sensor_half_width(group, base) if is_energy else (0.0, None)
    if sensor is None:
        return cannot(note or "", ratio=ratio)
    whole = math.hypot(half, sensor)
    bounds: dict[str, Any] = {
        "ratio": ratio,
        "ratio_low": exp(difference - whole),
        "ratio_high": exp(difference + whole),
        "p_value": p_value(difference, whole, parts),
    }
    if abs(difference) + whole <= math.log1p(SAME_WITHIN):
        return replace(own, verdict="same", **bounds)
    if abs(difference) > whole:
        word = METRICS[metric].above if difference > 0 else METRICS[metric].below
        return replace(own, verdict=word, **bounds)
    if abs(difference) > half and note:
        return cannot(note, **bounds)
    return cannot(_why_open(group, base, metric, difference), **bounds)


def _parts(group: ResultGroup, base: ResultGroup, metric: str) -> list[Part]:
    """The independent errors of a ratio: windows on both sides, and runs, unless both are of one device in one run,
    whose conditions they share.
    """
    mine, theirs = group.stats[metric], base.stats[metric]
    one_run = len(group.runs) == 1 and group.runs == base.runs and _same(group, base, ("device_name",))
    within = [stat.within for stat in (mine, theirs) if stat.within is not None]
    return within if one_run else [*within, mine.between, theirs.between]


def _why_open(group: ResultGroup, base: ResultGroup, metric: str, difference: float) -> str:
    """Why an interval contains 1: whether the windows scatter, or only the difference between runs is not known."""
    within = [stat.within for stat in (group.stats[metric], base.stats[metric]) if stat.within is not None]
    if len(within) == 2 and abs(difference) > half_width(within):
        return "the interval contains 1, because runs of one device differ by as much: measure again (another run)"
    return "the interval contains 1"


def _allow_for_many(found: list[Comparison]) -> list[Comparison]:
    """Take back the differences that a table of so many comparisons would show by chance (Holm). Modelled metrics
    repeat a measured one, and follow its verdict.
    """
    family = [
        number
        for number, item in enumerate(found)
        if item.p_value is not None and METRICS[item.metric].multiple_of is None
    ]
    adjusted = dict(zip(family, holm([found[number].p_value or 0.0 for number in family]), strict=True))
    taken_back: set[tuple[int, str]] = set()
    result = list(found)
    for number in family:
        item = found[number]
        if (
            item.verdict in (METRICS[item.metric].above, METRICS[item.metric].below)
            and adjusted[number] > FALSE_VERDICTS
        ):
            taken_back.add((id(item.key), item.metric))
            result[number] = _open(item, len(family))
    for number, item in enumerate(found):
        measured = METRICS[item.metric].multiple_of
        if measured and (id(item.key), measured) in taken_back:
            result[number] = _open(item, len(family))
    return result


def _open(item: Comparison, many: int) -> Comparison:
    reason = f"the interval excludes 1, but of {many} comparisons some do by chance (Holm, {FALSE_VERDICTS:.0%})"
    return replace(item, verdict="cannot tell", reason=_join(reason, item.reason))


def _sensor_half_width(group: ResultGroup, base: ResultGroup) -> tuple[float | None, str | None]:
    """95% half-width that the sensors' own error adds to a log ratio of watts, and a sentence; None: not known."""
    one = len(group.sensors) == 1 and group.sensors == base.sensors
    known = None not in (group.watts, base.watts, group.sensor_w, base.sensor_w)
    if not known:
        if one:
            return 0.0, None
        return None, "the sensors' uncertainty is unknown, so the watts of two cards cannot be ranked"
    assert group.watts is not None and base.watts is not None  # noqa: PT018, S101 - for the type checker
    assert group.sensor_w is not None and base.sensor_w is not None  # noqa: PT018, S101
    if not one:
        mine, theirs = group.sensor_w / group.watts, base.sensor_w / base.watts
        return math.hypot(mine, theirs), f"within the sensors' errors (±{mine:.1%} and ±{theirs:.1%})"
    offset = _offset_w(group.watts, group.sensor_w, base.watts, base.sensor_w)
    return offset * abs(1 / group.watts - 1 / base.watts), f"within the sensor's offset error (±{offset:.1f} W)"


def _offset_w(watts_a: float, error_a: float, watts_b: float, error_b: float) -> float:
    """A sensor's offset from its error at two loads, error² = (gain·watts)² + offset²; at most the smaller error."""
    most = min(error_a, error_b)
    if math.isclose(watts_a, watts_b, rel_tol=0.01):
        return most  # cannot be separated, and hardly matters: |1/P₁ − 1/P₂| is near 0
    squared = (error_a**2 * watts_b**2 - error_b**2 * watts_a**2) / (watts_b**2 - watts_a**2)
    return min(most, math.sqrt(max(0.0, squared)))
