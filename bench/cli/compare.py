"""``bitwatt compare``: compare cards or runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from bench.cli import streams
from bench.cli.options import FormatOption, Results
from bench.model import EXIT_OK
from bench.model.options import Names

if TYPE_CHECKING:
    from bench.analysis.compare import Result

Published = str | None


def compare(
    files: Results,
    /,
    *,
    baseline: str | None = None,
    by: str = "card",
    metric: Names = (),
    published: Published = None,
    fail_if: Annotated[tuple[str, ...], Parameter(consume_multiple=False)] = (),
    allow_missing: bool = False,
    verdict: Path | None = None,
    all: bool = False,  # noqa: A002 - the flag's name
    format: FormatOption = "table",  # noqa: A002 - the flag's name
) -> int:
    """Compare cards or runs: rates, watts, work per joule, with 95% intervals and verdicts.

    Parameters
    ----------
    files
        Result CSVs, or folders of them.
    baseline
        The card (or run, driver, …) that ratios refer to.
    by
        Column to compare across: card, gpu, driver, power-limit, run, host, file, commit, …
    metric
        Metrics: rate_per_s, power_mean_w, work_per_j, tokens_per_s, tokens_per_j.
    published
        Also show published figures: 'measured' (of the cards at hand), card names, or 'all'.
    fail_if
        Exit with code 1 if this is so, beyond noise: 'sha256d.slower' or 'sha256d.work_per_j<0.95'. May be repeated.
    allow_missing
        Let --fail-if pass where a task of the baseline is missing, refused or invalid on the other side.
    verdict
        Also write the exit code, and what --fail-if found, to this file as one JSON object.
    all
        Show every card in the table, not only the best of each task where there are many.
    format
        Format of the comparison on stdout.
    """
    from bench import output, storage
    from bench.analysis import compare as comparing
    from bench.analysis import gate
    from bench.output import gate as gating

    conditions = gate.conditions(list(fail_if)) if fail_if else []
    frame = storage.read(files, comparing.COLUMNS)
    result = comparing.compare(frame, baseline=baseline, by=by, metrics=metric or None)
    judgements = [gate.judge(result, condition, allow_missing=allow_missing) for condition in conditions]
    if verdict is not None:
        storage.write_atomically(verdict, gating.gate(result, judgements))
    result = with_published(result, published)
    streams.show(output.comparison(result, every=all, frame=frame), format)
    for judgement in judgements:
        for item in judgement.failed:
            who = f"{item.key[result.subject]}, {item.task.label}, {item.metric}"
            what = f"{item.ratio:.4g} of {result.baseline}'s ({item.verdict})"
            streams.say(f"failed: {who} is {what}, and --fail-if says {judgement.condition.text}")
        for missing in judgement.missing:
            streams.say(f"failed: {missing}, and --fail-if {judgement.condition.text} needs it (or --allow-missing)")
    return max((judgement.exit_code for judgement in judgements), default=EXIT_OK)


def with_published(result: Result, published: Published) -> Result:
    """The result with published figures, where they were asked for."""
    from bench.analysis import published as figures

    if published is None:
        return result
    named = () if published == "measured" else tuple(part.strip() for part in published.split(",") if part.strip())
    return figures.with_published(result, named)
