"""Sentences on stderr. Apart from progress, so that a command that shows none does not load it."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from bench.model.text import clean
from bench.output.formats.table import wrap


def say(console: Console, message: str, style: str = "") -> None:
    """A sentence: on a terminal broken between words and nowhere else, in a log one line.

    Control characters in it are shown, never sent.
    """
    text = clean(message)
    lines = wrap(text, console.width) if console.is_terminal else [text]
    console.print(Text("\n".join(lines), style=style), soft_wrap=True)
