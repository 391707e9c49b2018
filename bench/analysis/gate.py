"""``--fail-if``: a small condition on a comparison, for a CI job. Pure; the exit code is the caller's.

    for condition in gate.conditions("sha256d.slower, work_per_j<0.95"):
        judgement = gate.judge(result, condition)
        if judgement.exit_code: ...

A gate judges intervals, so that noise does not raise an alarm: ``slower`` fails where the verdict is *slower*, and
``rate_per_s<0.95`` where the ratio is below 0.95 and its interval lies below 1. With two equal sides the chance of
even one false alarm in a whole comparison is at most 5% for verdicts (Holm's allowance), and 2.5% per ratio for bounds;
on the ratios alone it would be 26% at 10% noise and three windows.

A gate fails closed: a task of the baseline that the other side lacks, that is invalid, or that cannot be compared fails
it, unless ``allow_missing``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.analysis.compare import Result
from bench.analysis.groups import text
from bench.analysis.metrics import METRICS
from bench.model import EXIT_INVALID, EXIT_OK, EXIT_REGRESSION, BenchError, Comparison

VERDICTS: Mapping[str, str] = {
    word: metric.name for metric in METRICS.values() if not metric.multiple_of for word in (metric.above, metric.below)
}
"""A verdict that a condition may name → the metric it is about."""


@dataclass(frozen=True, slots=True)
class Condition:
    """``sha256d.work_per_j<0.95``, a bound on ratios to the baseline, or ``sha256d.slower``, a verdict."""

    text: str
    selector: tuple[str, ...]
    metric: str
    operator: str | None = None
    bound: float = 1.0
    verdict: str | None = None

    def holds(self, item: Comparison) -> bool:
        """Whether a comparison with a ratio and an interval meets the condition."""
        if self.verdict is not None:
            return item.verdict == self.verdict
        ratio, low, high = item.ratio or 0.0, item.ratio_low or 0.0, item.ratio_high or 0.0
        if self.operator in ("<", "<="):
            beyond = ratio < self.bound or (self.operator == "<=" and ratio == self.bound)
            return beyond and (self.bound > 1 or high < 1)
        beyond = ratio > self.bound or (self.operator == ">=" and ratio == self.bound)
        return beyond and (self.bound < 1 or low > 1)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a condition did: the comparisons it caught, the tasks it could not judge, and how many it judged."""

    condition: Condition
    failed: tuple[Comparison, ...]
    missing: tuple[str, ...]
    """Tasks of the baseline without a comparison, each with the reason."""
    judged: int
    exit_code: int
    """0, 1 (a regression, or a task is missing) or 3 (a task is invalid)."""


_CONDITION = re.compile(
    r"\s*(?P<name>[^<>=\s]+)\s*((?P<operator><=|>=|<|>)\s*(?P<bound>[0-9]*\.?[0-9]+)\s*(?P<unit>%?)\s*)?"
)


def conditions(texts: Sequence[str] | str) -> list[Condition]:
    """Parse ``--fail-if``: ``[task.]metric OP number`` or ``[task.]verdict``, several joined by commas.

    ``task`` is words of a task joined by dots, such as ``transformer.gemm.bf16``; ``OP`` is ``<``, ``<=``, ``>`` or
    ``>=``; the number is a ratio to the baseline, or a percentage of it; the verdict is one of :data:`VERDICTS`.

    Raises:
        BenchError: not of this form, or an unknown metric.
    """
    parts = [part for text in ([texts] if isinstance(texts, str) else texts) for part in text.split(",")]
    return [_condition(part.strip()) for part in parts]


def _condition(text: str) -> Condition:
    match = _CONDITION.fullmatch(text)
    example = "write it as 'sha256d.work_per_j<0.95' (a metric, < or >, a ratio) or 'sha256d.slower' (a verdict)"
    if not match:
        raise BenchError(f"--fail-if {text!r} is not a condition", example)
    *selector, name = match["name"].split(".")
    if match["operator"] is None:
        if name not in VERDICTS:
            raise BenchError(f"--fail-if {text!r} is not a condition: {name!r} is not a verdict", example)
        return Condition(text, tuple(selector), VERDICTS[name], verdict=name)
    if name not in METRICS:
        raise BenchError(f"--fail-if {text!r}: there is no metric {name!r}", f"choose from {', '.join(METRICS)}")
    bound = float(match["bound"]) / (100 if match["unit"] else 1)
    if bound <= 0:
        raise BenchError(f"--fail-if {text!r} compares a ratio with 0", "give the ratio to the baseline, such as 0.95")
    return Condition(text, tuple(selector), name, match["operator"], bound)


def judge(result: Result, condition: Condition, *, allow_missing: bool = False) -> Judgement:
    """Apply a condition to every task of the baseline, on every other subject.

    Raises:
        BenchError: no baseline, an unknown name in the condition, or nothing that it could judge: a gate that judges
            nothing must not pass.
    """
    if result.baseline is None:
        raise BenchError(
            f"--fail-if {condition.text!r} needs a baseline, but there is only one {result.by}",
            "give CSVs of two, or another --by",
        )
    known = dict.fromkeys(word for item in result.comparisons for word in item.task.words)
    # a shape's name may itself hold dots
    wanted = _consume(".".join(condition.selector), tuple(known))
    if wanted is None:
        raise BenchError(
            f"--fail-if {condition.text!r} names something that these CSVs do not contain",
            f"choose from {', '.join(known)}",
        )
    selected = [
        item for item in result.comparisons if item.metric == condition.metric and wanted <= set(item.task.words)
    ]
    judged = [item for item in selected if item.ratio_low is not None]
    missing, invalid = _missing(selected, judged, result)
    if not judged and (allow_missing or not missing):
        why = missing[0] if missing else "no watts were read, or there is no such task"
        raise BenchError(
            f"--fail-if {condition.text!r} cannot be judged ({why})",
            "compare runs that both contain it, valid, and with watts if it is an energy figure",
        )
    failed = tuple(item for item in judged if condition.holds(item))
    if allow_missing:
        missing = []
    code = EXIT_OK if not failed and not missing else EXIT_REGRESSION
    if missing and invalid and not failed:
        code = EXIT_INVALID
    return Judgement(condition, failed, tuple(missing), len(judged), code)


def _missing(selected: Sequence[Comparison], judged: Sequence[Comparison], result: Result) -> tuple[list[str], bool]:
    """Tasks of the baseline that have no ratio on another subject, each with the reason; and whether one is invalid."""
    done = {(text(item.key[result.subject]), item.task) for item in judged}
    found: dict[str, None] = {}
    invalid = False
    for base in selected:
        if text(base.key[result.subject]) != result.baseline or (base.value is None and base.verdict != "invalid"):
            continue
        for subject in result.subjects:
            if subject == result.baseline or (subject, base.task) in done:
                continue
            theirs = [item for item in selected if item.task == base.task and text(item.key[result.subject]) == subject]
            invalid |= any(item.verdict == "invalid" for item in (base, *theirs))
            reason = next((item.reason for item in theirs if item.reason), "not measured")
            if base.verdict == "invalid":
                reason = f"the baseline is invalid ({base.reason})"
            found[f"{subject}, {base.task.label}: {reason}"] = None
    return list(found), invalid


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
