"""Text from outside, made safe to write into a CSV or a sidecar and to print in a terminal."""

from __future__ import annotations


def clean(text: str) -> str:
    r"""``text`` on one line, with nothing in it that a terminal would act on.

    Line breaks, tabs and other white space become spaces; the ends are stripped. Control characters, invisible
    formatting characters and lone surrogates are shown as escapes such as ``\x1b``. Applying it twice changes nothing.
    """
    if text.isascii() and text.isprintable():
        return text.strip()
    return "".join(_shown(char) for char in text).strip()


def clean_lines(text: str) -> str:
    """``text`` of many lines, as :func:`clean` shows it, with its line ends, tabs and spaces."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(char if char in "\n\t" else _shown(char) for char in text)


def _shown(char: str) -> str:
    if char.isprintable():
        return char
    return " " if char.isspace() else char.encode("unicode_escape").decode("ascii")


def counted(count: int, noun: str) -> str:
    """``1 row``, ``2 rows``, ``0 rows``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
