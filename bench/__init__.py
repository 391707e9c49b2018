"""bitwatt: what one card does at mining and at AI, from one run under one power meter.

For notebooks and scripts; everything loads when it is first used:

    from bench import RunPlan, run, read, compare

    records = run(RunPlan())                   # measure as the command line does
    frame = read(["results/"])                 # result files as one DataFrame
    result = compare(frame)                    # ratios with intervals and verdicts
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from bench.analysis.compare import Result
    from bench.measure.plan import RunPlan
    from bench.model import Record

    __version__: str

__all__ = ["RunPlan", "__version__", "compare", "read", "run"]


def run(plan: RunPlan) -> list[Record]:
    """Measure what ``plan`` names on each of its devices; rows also go to ``plan.output.out``.

    Returns:
        The settled rows of all devices, one per window.

    Raises:
        BenchError: no device fits the plan, or the only device failed.
    """
    from bench.measure import session

    return list(session.run(plan).records)


def read(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Result CSVs, or folders of them, as one frame with a row per window.

    Raises:
        BenchError: a file is missing, or not a result of this schema.
    """
    from bench import storage

    return storage.read([Path(path) for path in paths])


def compare(frame: pd.DataFrame, *, baseline: str | None = None, by: str = "card") -> Result:
    """Each card (or run, driver, …) of ``frame`` against a baseline, with 95% intervals and verdicts.

    Args:
        frame: rows as :func:`read` gives them.
        baseline: what ratios refer to; None: the first one.
        by: column to compare across, as ``bitwatt compare --by``.

    Raises:
        BenchError: the baseline is not among the rows, or ``by`` is not a column to compare across.
    """
    from bench.analysis.compare import compare as comparing

    return comparing(frame, baseline=baseline, by=by)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        # As of the installation, from the git tag; unknown in a copy of the source that is not installed.
        from importlib import metadata

        try:
            return metadata.version("bitwatt")
        except metadata.PackageNotFoundError:
            return "0+unknown"
    if name == "RunPlan":
        from bench.measure.plan import RunPlan

        return RunPlan
    raise AttributeError(f"module 'bench' has no attribute {name!r}")
