"""The outcome of ``--fail-if`` as one JSON object, for a CI job. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.model import EXIT_INVALID, EXIT_OK, EXIT_REGRESSION
from bench.output.verdict import verdicts

if TYPE_CHECKING:
    from bench.analysis.compare import Result
    from bench.analysis.gate import Judgement

OUTCOMES = {EXIT_OK: "pass", EXIT_REGRESSION: "regression", EXIT_INVALID: "invalid"}
"""Exit code → its name."""


def gate(result: Result, judgements: Sequence[Judgement]) -> str:
    """Exit code, the verdict in sentences, and what each condition caught; ``outcome`` is one of :data:`OUTCOMES`."""
    code = max((judgement.exit_code for judgement in judgements), default=EXIT_OK)
    said = {
        "exit_code": code,
        "outcome": OUTCOMES[code],
        "by": result.by,
        "baseline": result.baseline,
        "subjects": list(result.subjects),
        "verdict": verdicts(result),
        "conditions": [
            {
                "condition": judgement.condition.text,
                "exit_code": judgement.exit_code,
                "judged": judgement.judged,
                "failed": [
                    {
                        "subject": str(item.key[result.subject]),
                        "task": item.task.label,
                        "metric": item.metric,
                        "ratio": item.ratio,
                        "ratio_low": item.ratio_low,
                        "ratio_high": item.ratio_high,
                        "verdict": item.verdict,
                    }
                    for item in judgement.failed
                ],
                "missing": list(judgement.missing),
            }
            for judgement in judgements
        ],
    }
    return json.dumps(said, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
