"""``--fail-if``: a small condition on ratios, for a CI job. Pure; the exit code is the caller's.

for condition in gate.conditions("sha256d.work_per_j<0.95"):
judgement = gate.judge(result, condition)
if judgement.failed: ...                             # exit code 1
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.analysis.compare import Result
from bench.analysis.groups import text
from bench.analysis.metrics import METRICS
from bench.model import EXIT_INVALID, EXIT_USAGE, BenchError, Comparison


@dataclass(frozen=True, slots=True)
class Condition:
    """``sha256d.work_per_j<0.95``: a bound on ratios to the baseline."""

    text: str
    selector: tuple[str, ...]
    metric: str
    operator: str
    bound: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a condition did: the lines it caught, those it could not judge, and how many it judged."""

    condition: Condition
    failed: tuple[Comparison, ...]
    unjudged: tuple[Comparison, ...]
    judged: int


_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": lambda ratio, bound: ratio < bound,
    "<=": lambda ratio, bound: ratio <= bound,
    ">": lambda ratio, bound: ratio > bound,
    ">=": lambda ratio, bound: ratio >= bound,
}
_CONDITION = re.compile(
    r"\s*(?P<name>[^<>=\s]+)\s*(?P<operator><=|>=|<|>)\s*(?P<bound>[0-9]*\.?[0-9]+)\s*(?P<unit>%?)\s*"
)


def conditions(texts: Sequence[str] | str) -> list[Condition]:
    """Parse ``--fail-if``: ``[workload[.phase[.shape[.dtype …]]].]metric OP number``, several joined by commas.

    ``OP`` is ``<``, ``<=``, ``>`` or ``>=``; the number is a ratio to the baseline, or a percentage of it.

    Raises:
        BenchError: not of this form, or an unknown metric.
    """
    parts = [part for text in ([texts] if isinstance(texts, str) else texts) for part in text.split(",")]
    return [_condition(part.strip()) for part in parts]


def _condition(text: str) -> Condition:
    match = _CONDITION.fullmatch(text)
    if not match:
        raise BenchError(
            f"--fail-if {text!r} is not a condition", "write it as 'sha256d.work_per_j<0.95': a metric, < or >, a ratio"
        )
    *selector, metric = match["name"].split(".")
    if metric not in METRICS:
        raise BenchError(f"--fail-if {text!r}: there is no metric {metric!r}", f"choose from {', '.join(METRICS)}")
    bound = float(match["bound"]) / (100 if match["unit"] else 1)
    if bound <= 0:
        raise BenchError(f"--fail-if {text!r} compares a ratio with 0", "give the ratio to the baseline, such as 0.95")
    return Condition(text, tuple(selector), metric, match["operator"], bound)


def judge(result: Result, condition: Condition) -> Judgement:
    """Test a condition on every result but the baseline's. The ratio itself counts, not its interval.

    Raises:
        BenchError: an unknown name in the condition, or (exit code 3) no result it names has a ratio: a gate that
            judges nothing must not pass. Neither must one that names an invalid result.
    """
    if result.baseline is None:
        raise BenchError(
            f"--fail-if {condition.text!r} needs a baseline, but there is only one {result.by}",
            "give CSVs of two, or another --by",
        )
    known: dict[str, None] = {}
    for line in result.comparisons:
        known.update(dict.fromkeys(line.task.words))
    # a shape's name may itself hold dots
    wanted = _consume(".".join(condition.selector), tuple(known))
    if wanted is None:
        raise BenchError(
            f"--fail-if {condition.text!r} names something that these CSVs do not contain",
            f"choose from {', '.join(known)}",
        )
    spoken = [
        line
        for line in result.comparisons
        if line.metric == condition.metric and wanted <= set(line.task.words) and _counts(line, result)
    ]
    judged = [line for line in spoken if line.ratio is not None]
    unjudged = tuple(line for line in spoken if line.ratio is None)
    broken = [line for line in unjudged if line.verdict == "invalid"]
    if not judged or broken:
        why = (broken or unjudged)[0].reason if unjudged else "only the baseline has such a result"
        raise BenchError(
            f"--fail-if {condition.text!r} cannot be judged ({why})",
            "compare runs that both contain it, valid, and with watts if it is an energy figure",
            exit_code=EXIT_INVALID if broken else EXIT_USAGE,
        )
    holds = _OPERATORS[condition.operator]
    return Judgement(
        condition,
        tuple(line for line in judged if line.ratio is not None and holds(line.ratio, condition.bound)),
        unjudged,
        len(judged),
    )


def _counts(line: Comparison, result: Result) -> bool:
    """Lines of the baseline are not judged, but an invalid one leaves nothing to judge by."""
    return text(line.key[result.subject]) != result.baseline or line.verdict == "invalid"


def _consume(text: str, known: Sequence[str]) -> frozenset[str] | None:
    """Split ``text`` at dots into known names, or None."""
    if not text:
        return frozenset()
    for name in known:
        if text == name:
            return frozenset({name})
        if text.startswith(f"{name}."):
            rest = _consume(text[len(name) + 1 :], known)
            if rest is not None:
                return rest | {name}
    return None
