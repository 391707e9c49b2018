"""``bitwatt run``: measure the devices of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from bench.cli import options, streams
from bench.measure.plan import RunPlan
from bench.model import EXIT_INVALID, EXIT_OK, EXIT_USAGE, BenchError, Record
from bench.output.formats import Format

_FILE = Parameter(group=Group("Plan", sort_key=0))


def run(
    run_plan: options.Plan = RunPlan(),
    *,
    plan: Annotated[Path | None, _FILE] = None,  # noqa: ARG001 - read before the command line is (plan_defaults)
    again: Annotated[Path | None, _FILE] = None,  # noqa: ARG001
    format: options.FormatOption = "table",  # noqa: A002 - the flag's name
    quiet: options.Quiet = False,
) -> int:
    """Measure hashing and matrix work on each device with its power meter; one CSV row per window.

    Parameters
    ----------
    plan
        A TOML file with options, by group; options given here override it.
    again
        A result CSV whose run is repeated with the same options.
    format
        Format of the rows on stdout.
    quiet
        Show no progress on stderr.
    """
    from bench.measure import session
    from bench.output.progress import TerminalObserver

    with TerminalObserver(streams.err(), quiet=quiet) as observer:
        result = session.run(run_plan, observer)
    show_rows(result.records, format)
    if not result.records:
        code = EXIT_INVALID if result.wrong or result.errors else EXIT_USAGE
        raise BenchError("nothing was measured", "see the reasons above", exit_code=code)
    return EXIT_OK if result.sound else EXIT_INVALID


def show_rows(records: Sequence[Record], layout: Format) -> None:
    """The rows on stdout, and on stderr the notes that belong to them."""
    from bench import output, storage

    match layout:
        case "json":
            streams.put(storage.to_json(records))
        case "csv":
            streams.put(storage.to_csv(records))
        case _ if records:
            streams.show(output.run(records), layout)


def plan_defaults(tokens: Sequence[str]) -> list[Any]:
    """Defaults for the command line, from ``--plan FILE`` or ``--again CSV`` where one is given.

    Raises:
        BenchError: the file cannot be read, or both are given.
    """
    from bench.measure import plan

    named = {name: _value(tokens, name) for name in ("--plan", "--again")}
    if all(named.values()):
        raise BenchError("--plan and --again exclude each other", "give one of them")
    if named["--plan"]:
        return [options.from_tables(plan.read(Path(named["--plan"])), named["--plan"])]
    if named["--again"]:
        return [options.from_tables(recorded_plan(Path(named["--again"])), named["--again"])]
    return []


def _value(tokens: Sequence[str], name: str) -> str | None:
    for token, following in zip(tokens, [*tokens[1:], ""], strict=True):
        if token == name:
            return following or None
        if token.startswith(f"{name}="):
            return token.removeprefix(f"{name}=")
    return None


def recorded_plan(path: Path) -> dict[str, Any]:
    """The plan in the sidecar of a result CSV.

    Raises:
        BenchError: there is no sidecar, or it holds no plan.
    """
    from bench import storage
    from bench.measure import plan

    sidecar = storage.read_sidecar(storage.sidecar_path(path))
    tables = sidecar.plan
    if tables is None:
        raise BenchError(f"{path} was measured before plans were recorded", "give the options on the command line")
    plan.from_dict(tables, str(path))
    return dict(tables)
