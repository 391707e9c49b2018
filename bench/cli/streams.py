"""Where things are printed: data on stdout, everything else on stderr."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO, cast

from rich.console import Console

from bench.model import EXIT_IO, BenchError
from bench.model.text import clean, clean_lines
from bench.output import talk

if TYPE_CHECKING:
    from bench.output import Document, Format

lost: set[str] = set()
"""Which of ``stdout`` and ``stderr`` cannot be written."""


class _Talk:
    """stderr, on which nothing that fails may end a measurement."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)

    def write(self, text: str) -> int:
        try:
            return sys.stderr.write(text)
        except OSError:
            lost.add("stderr")
            return len(text)

    def flush(self) -> None:
        try:
            sys.stderr.flush()
        except OSError:
            lost.add("stderr")


def prepare() -> None:
    """Make both streams safe to write to, whatever the caller left of them.

    A closed one becomes the null device, so that no file of ours gets its number; a character that the locale cannot
    write is written as an escape.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            # the lowest free number, which is the closed stream's
            fd = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(fd, "r" if name == "stdin" else "w", encoding="utf-8"))
            lost.add(name)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def err() -> Console:
    """The console for progress, warnings and notes."""
    return Console(file=cast(TextIO, _Talk()), highlight=False, soft_wrap=True)


def say(message: str, style: str = "") -> None:
    """One sentence on stderr. Control characters in it are shown, never sent."""
    talk.say(err(), message, style)


def warn(message: str) -> None:
    """One warning on stderr."""
    say(f"warning: {message}", "yellow")


def put(*results: Any) -> None:
    """Results on stdout: text as it is, a ``rich.text.Text`` with its styles. Lines are never folded here.

    Raises:
        BenchError: stdout cannot be written.
    """
    if "stdout" in lost:
        raise BenchError("stdout is closed", "send the output elsewhere", exit_code=EXIT_IO)
    console = Console(file=sys.stdout, soft_wrap=True, highlight=False)
    try:
        for result in results:
            if isinstance(result, str):
                text = clean_lines(result)
                sys.stdout.write(text if text.endswith("\n") else text + "\n")
            else:
                console.print(result)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        drop(sys.stdout)
        raise BenchError(
            f"cannot write to stdout ({(error.strerror or str(error)).lower()})",
            "send the output elsewhere",
            exit_code=EXIT_IO,
        ) from error


def show(document: Document, format: Format = "table") -> None:  # noqa: A002 - as --format
    """A result on stdout in one format. A table's notes go to stderr, unless they are results themselves."""
    from bench import output
    from bench.output.formats import table

    width = width_of(sys.stdout)
    put(*output.render(document, format, width))
    if format != "table":
        return
    for note in document.notes:
        if document.notes_are_results:
            put("\n".join(table.wrap(clean(note), width)))
        else:
            say(note)
    if document.conclusion:
        put("\n".join(table.wrap(clean(document.conclusion), width)))


def width_of(stream: TextIO) -> int:
    """Columns of a terminal, or of a table on its way into a pipe."""
    from bench.output import PIPE_WIDTH

    return Console(file=stream).width if stream.isatty() else PIPE_WIDTH


def finish() -> None:
    """Write what is still buffered, and note which stream is lost."""
    for name, stream in (("stdout", sys.stdout), ("stderr", sys.stderr)):
        try:
            stream.flush()
        except OSError:
            drop(stream)
            lost.add(name)


def drop(stream: TextIO) -> None:
    """Nobody can read the stream any more: what is still buffered for it must not fail again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
