"""``bitwatt outliers``: which cards of a fleet to pull."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bench.cli import options, streams
from bench.model import EXIT_INVALID, EXIT_OK, EXIT_REGRESSION, BenchError


def outliers(
    files: options.Results,
    /,
    *,
    racks: Path | None = None,
    false_discovery_rate: Annotated[float, Parameter(name="--fdr")] = 0.05,
    deviations: float = 3.0,
    node: str | None = None,
    verdicts: Path | None = None,
    prometheus: Path | None = None,
    format: options.FormatOption = "table",  # noqa: A002 - the flag's name
) -> int:
    """List the cards that are slow, hot, thirsty, throttled or unstable compared with cards like them, with reasons.

    Exit codes: 0 none, 1 some. With --node: 0 healthy, 1 degraded, 2 failed, 3 not known.

    Parameters
    ----------
    files
        What `bitwatt merge -o` wrote, or result CSVs.
    racks
        CSV of node and rack without a header: names racks that are at fault as a whole.
    false_discovery_rate
        Expected share of wrong ones among the flagged cards.
    deviations
        Robust standard deviations from the median that a flag needs at least.
    node
        Print one JSON verdict for this node, for a Slurm prolog or a health checker, and exit with it.
    verdicts
        Also write one JSON verdict per node to this file, one per line.
    prometheus
        Also write metrics for the node exporter's textfile collector to this file (*.prom).
    format
        Format of the list on stdout.
    """
    from bench import output, storage
    from bench.analysis import outliers as judging
    from bench.output.outliers import prometheus as metrics
    from bench.output.outliers import verdict
    from bench.storage.fleet import read_missing
    from bench.storage.fleet_rows import read_rows

    try:
        missing = [each for path in files if path.suffix == ".parquet" for each in read_missing(path)]
        found = judging.find(
            read_rows(files, judging.COLUMNS, note=streams.say),
            racks=None if racks is None else _racks(racks),
            missing=missing,
            false_discovery_rate=false_discovery_rate,
            deviations=deviations,
        )
        nodes = [each for each in found.nodes if node in (None, each.node)]
        if not nodes:
            raise BenchError(f"there is no node {node} in the fleet", "give its name as the worker's --node had it")
    except BenchError as error:
        # 2 would say that the node has failed
        raise BenchError(error.message, error.fix, exit_code=EXIT_INVALID if node else error.exit_code) from error
    if verdicts is not None:
        storage.write_atomically(verdicts, "".join(f"{verdict(each)}\n" for each in nodes))
    if prometheus is not None:
        storage.write_atomically(prometheus, metrics(found, nodes))
    if node is not None:
        streams.put(verdict(nodes[0]))
        return nodes[0].code
    streams.show(output.outliers(found), format)
    return EXIT_REGRESSION if any(each.code for each in found.nodes) or found.suspects else EXIT_OK


def _racks(path: Path) -> dict[str, str]:
    """Node → rack."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = [[cell.strip() for cell in row] for row in csv.reader(stream) if row]
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"cannot read {path} ({error})", "give a CSV with a node and its rack in each line") from error
    if any(len(row) != 2 for row in rows):
        raise BenchError(f"{path} has a line that is not a node and a rack", "write one 'node,rack' per line")
    return dict(rows)
