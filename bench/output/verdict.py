"""The verdict of a comparison in a sentence or two: who does more per joule and who is faster, at which tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.analysis.metrics import METRICS
from bench.model import Comparison, TaskKey
from bench.output.format import digits, plus_minus, quantity

if TYPE_CHECKING:
    from bench.analysis.compare import Result

MOST_SENTENCES = 3
"""Up to so many subjects have a sentence each; of more, the best at each task are named."""

SHORT_REASON = 60
"""Characters of a reason that is part of the verdict; a longer one is in the notes alone."""

_ASPECTS = (("work_per_j", "per joule"), ("rate_per_s", "rate"))


def verdicts(result: Result) -> list[str]:
    """Sentences that stand above the table; none where nothing was compared."""
    if result.baseline is None:
        return []
    others = [name for name in result.subjects if name != result.baseline]
    names = short_names([one.task for one in result.comparisons])
    if len(others) > MOST_SENTENCES:
        return [sentence for metric, _ in _ASPECTS if (sentence := _best_of(result, metric, names))][:1]
    return [_against(result, who, names) for who in others]


def short_names(tasks: Sequence[TaskKey]) -> dict[TaskKey, str]:
    """Each task by as few of its words as tell it from the others: ``decode`` for the only decode task."""
    distinct = list(dict.fromkeys(tasks))
    names = {task: task.phase if task.workload == "transformer" and task.phase else task.workload for task in distinct}
    shared = Counter(names.values())
    return {
        task: name if shared[name] == 1 else task.label.removeprefix("transformer ") for task, name in names.items()
    }


def _against(result: Result, who: str, names: dict[TaskKey, str]) -> str:
    said = []
    for metric, words in _ASPECTS:
        found = [
            one
            for one in result.comparisons
            if str(one.key[result.subject]) == who and one.metric == metric and one.role != "best"
        ]
        by_verdict: dict[str, list[Comparison]] = {}
        for one in found:
            if one.verdict != "not compared" and (one.value is not None or one.verdict == "invalid"):
                by_verdict.setdefault(one.verdict, []).append(one)
        parts = [_at(verdict, by_verdict[verdict], len(found), names) for verdict in _order(metric, by_verdict)]
        if parts:
            said.append(f"{words} {', '.join(parts)}")
    return f"{who} against {result.baseline}: {'; '.join(said) or 'no task in common'}."


def _order(metric: str, found: dict[str, list[Comparison]]) -> list[str]:
    known = [METRICS[metric].above, METRICS[metric].below, "same", "cannot tell", "invalid"]
    return sorted(found, key=lambda verdict: known.index(verdict) if verdict in known else len(known))


def _at(verdict: str, found: Sequence[Comparison], of: int, names: dict[TaskKey, str]) -> str:
    """``better at decode (1.09×) and sha256d (1.40×)``, or ``better at 7 of 9 tasks (1.1× to 1.4×)``."""
    ratios = sorted(one.ratio for one in found if one.ratio is not None)
    reasons = {one.reason for one in found} if verdict == "cannot tell" else set()
    why = f" ({reason})" if len(reasons) == 1 and (reason := reasons.pop()) and len(reason) <= SHORT_REASON else ""
    if len(found) <= MOST_SENTENCES:
        each = [
            names[one.task] + (f" ({digits(one.ratio, 3)}×)" if one.ratio is not None and not why else "")
            for one in found
        ]
        return f"{verdict} at {_listed(each)}{why}"
    span = f" ({digits(ratios[0], 3)}× to {digits(ratios[-1], 3)}×)" if ratios else ""
    count = f"all {of}" if len(found) == of else f"{len(found)} of {of}"
    return f"{verdict} at {count} tasks{span}{why}"


def _listed(items: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(items[:-1]), items[-1]]))


def _best_of(result: Result, metric: str, names: dict[TaskKey, str]) -> str:
    best: dict[TaskKey, Comparison] = {}
    for one in result.comparisons:
        if one.metric == metric and one.value is not None and one.verdict != "invalid":
            other = best.get(one.task)
            if other is None or other.value is None or one.value > other.value:
                best[one.task] = one
    if not best:
        return ""
    said = [
        f"{names[task]} {one.key[result.subject]} ({quantity(one.value, one.unit)}"
        f"{_spread(plus_minus(one.value, one.low, one.high))})"
        for task, one in best.items()
    ]
    most = "Most work per joule" if metric == "work_per_j" else "Highest rate"
    return f"{most} of {len(result.subjects)} (--by {result.by}): {'; '.join(said)}."


def _spread(text: str) -> str:
    return f" {text}" if text else ""
