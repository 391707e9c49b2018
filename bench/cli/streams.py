"""Where things are printed: data on stdout, everything else on stderr."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from bench.model import BenchError

if TYPE_CHECKING:
    from bench.output import Document, Format

PIPE_WIDTH = 240
"""Columns of a table on its way into a file: a pipe has no width, and 80 would fold it."""


def err() -> Console:
    """The console for progress, warnings and notes."""
    return Console(file=sys.stderr, stderr=True, highlight=False, soft_wrap=True)


def say(message: str, style: str = "") -> None:
    """One line on stderr."""
    err().print(Text(message, style=style))


def warn(message: str) -> None:
    """One warning on stderr."""
    say(f"warning: {message}", "yellow")


def put(*results: Any) -> None:
    """Results on stdout: text as it is, anything else drawn by Rich.

    Raises:
        BenchError: stdout cannot be written.
    """
    terminal = sys.stdout.isatty()
    console = Console(file=sys.stdout, soft_wrap=not terminal, width=None if terminal else PIPE_WIDTH)
    try:
        for result in results:
            if isinstance(result, str):
                sys.stdout.write(result if result.endswith("\n") else result + "\n")
            else:
                console.print(result)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_stdout()
        raise BenchError(
            f"cannot write to stdout ({(error.strerror or str(error)).lower()})", "send the output elsewhere"
        ) from error


def show(document: Document, format: Format = "table") -> None:  # noqa: A002 - as --format
    """A result on stdout in one format. A table's notes go to stderr, unless they are results themselves."""
    from bench import output

    put(*output.render(document, format))
    for note in document.notes if format == "table" else ():
        if document.notes_are_results:
            put(note)
        else:
            say(note)


def drop_stdout() -> None:
    """Nobody can read stdout any more: what is still buffered for it must not fail again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
