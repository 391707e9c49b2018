"""The result of one check, and how a piece of work becomes one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from bench.model import BenchError, Skip, first_line

REPORT_FIX = "fix the failed checks above first; if that does not help, report this with --format json"

State = Literal["works", "failed", "skipped"]
"""``skipped``: does not apply here, or there was no time for it."""


@dataclass(frozen=True, slots=True)
class Result:
    """One check."""

    name: str
    state: State
    detail: str
    """What was found, or what is wrong."""
    fix: str | None = None
    """What to do; a command where there is one."""
    device: str | None = None
    """For example ``cuda:0``; None for the machine."""


def attempt(
    name: str,
    work: Callable[[], str],
    *,
    device: str | None = None,
    fix: str = "fix the failed checks above first; else report this with --format json",
) -> Iterator[Result]:
    """Do ``work``, which returns what it found; whatever it raises becomes the result.

    Args:
        name: of the check.
        work: raises :class:`BenchError` with its own fix, :class:`Skip` where the check does not apply, or anything.
        device: what it concerns.
        fix: what to do about an error that does not say it itself.
    """
    try:
        yield Result(name, "works", work(), device=device)
    except Skip as error:
        yield Result(name, "skipped", error.message, device=device)
    except BenchError as error:
        yield Result(name, "failed", error.message, error.fix, device)
    except Exception as error:  # noqa: BLE001 - an examination goes on whatever one of its checks meets
        yield Result(name, "failed", f"{type(error).__name__}: {first_line(error)}", fix, device)
