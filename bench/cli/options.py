"""How option groups and formats appear on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, ArgumentCollection, Group, Parameter, Token

from bench.measure.plan import RunPlan
from bench.model import BenchError
from bench.model.options import flag
from bench.output.formats import Format

Plan = Annotated[RunPlan, Parameter(name="*")]
OUTPUT = Group("Output", sort_key=6)

FormatOption = Annotated[Format, Parameter(name="--format", group=OUTPUT)]
Quiet = Annotated[bool, Parameter(name=["--quiet", "-q"], group=OUTPUT)]
Results = list[Path]

FORMAT_ALIASES: Mapping[str, Format] = {"--json": "json", "--csv": "csv", "--markdown": "markdown"}
"""Flags of earlier versions, still understood but not shown."""


def modern(tokens: Sequence[str]) -> list[str]:
    """The command line as Cyclopts takes it: format flags of earlier versions in today's spelling (``--csv -`` was
    ``--csv``), and ``-`` as the device that it stands for.
    """
    renamed: list[str] = []
    previous = ""
    for token in tokens:
        if token in FORMAT_ALIASES:
            renamed += ["--format", FORMAT_ALIASES[token]]
        elif token == "-":  # noqa: S105 - a dash is no password
            if previous != "--csv":
                renamed.append("/dev/stdout" if previous in ("-o", "--output") else "/dev/stdin")
        else:
            renamed.append(token)
        previous = token
    return renamed


def field_name(name: str) -> str:
    """Cyclopts's name of an option from its field's: ``window_s`` is ``--window``."""
    return flag(name).removeprefix("--")


def from_tables(tables: Mapping[str, Any], source: str) -> Callable[[App, tuple[str, ...], ArgumentCollection], None]:
    """A cyclopts configuration that fills options from a plan's tables where the command line says nothing."""
    values = {flag(name): value for table in tables.values() for name, value in table.items()}

    def fill(_app: App, _commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        for argument in arguments:
            if argument.tokens or argument.name not in values:
                continue
            for text in _texts(values[argument.name]):
                argument.append(Token(keyword=argument.name, value=text, source=source))

    return fill


def _texts(value: Any) -> Iterator[str]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            raise BenchError(f"{item!r} is not a value of an option", "see bitwatt run --help")
        yield str(item).lower() if isinstance(item, bool) else str(item)
