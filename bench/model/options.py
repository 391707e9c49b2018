"""How an option group writes a list: as a tuple in Python, as an array in TOML, comma-separated on the command line.

A flag is its field's name without the unit: ``window_s`` is ``--window``. See :func:`flag`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, get_args

from cyclopts import Group, Parameter, Token, convert


def _split(hint: Any, tokens: Sequence[Token]) -> tuple[Any, ...]:
    """``--batch 1,16`` and ``--batch 1 --batch 16`` are the same."""
    (item, _) = get_args(hint)
    parts = [token.evolve(value=part.strip()) for token in tokens for part in token.value.split(",") if part.strip()]
    return tuple(convert(item, [part]) for part in parts)


Names = Annotated[tuple[str, ...], Parameter(converter=_split, n_tokens=1)]
Numbers = Annotated[tuple[int, ...], Parameter(converter=_split, n_tokens=1)]


def described(text: str) -> Parameter:
    """The help of one option where it is computed, from a registry for example; otherwise its docstring is its help."""
    return Parameter(help=text)


def option_group(heading: str, order: int) -> Parameter:
    """Decorates the dataclass of an option group: each field is a flag, listed under ``heading`` in ``--help``."""
    return Parameter(name="*", group=Group(heading, sort_key=order))


def flag(field: str) -> str:
    """The command-line flag of an option's field: ``warmup_s`` → ``--warmup``."""
    return f"--{field.removesuffix('_s').replace('_', '-')}"
