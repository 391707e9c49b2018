"""``bitwatt man`` and ``bitwatt completion``: written from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from cyclopts import App

from bench.cli import streams

EXITS = (
    ("0", "good"),
    ("1", "a regression was found (--fail-if), or a fleet has cards to pull"),
    ("2", "wrong use: an option, a file or a device that is not there"),
    ("3", "an invalid measurement"),
    ("74", "output could not be written"),
    ("130", "interrupted; the rows measured so far are on disk"),
)
"""Exit codes and their meaning."""


def completion(shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print a script that completes commands and options in a shell.

    Parameters
    ----------
    shell
        The shell. For bash: bitwatt completion bash > ~/.local/share/bash-completion/completions/bitwatt
    """
    from bench.cli.app import app

    streams.put(app.generate_completion(shell=shell))


def man() -> None:
    """Print the manual page, for example into ``man -l -``."""
    from bench.cli.app import app

    streams.put(page(app))


def page(app: App) -> str:
    """The manual page of ``app`` in man(7) macros: each command with its arguments and options."""
    version = str(app.version).split()[-1]
    lines = [
        f'.TH BITWATT 1 "" "bitwatt {_plain(version)}" "User Commands"',
        *(".SH NAME", f"bitwatt \\- {_first(app)[0].lower()}{_first(app)[1:]}"),
        *(".SH SYNOPSIS", ".B bitwatt", ".I command", "[options]"),
        ".SH DESCRIPTION",
        *(_plain(part) for part in app.help.split("\n\n")[1:]),
        ".SH COMMANDS",
    ]
    for name, command in _commands(app):
        lines += [f".SS {_plain(name)}", *_command(command)]
    lines.append(".SH EXIT STATUS")
    for code, meaning in EXITS:
        lines += [".TP", f".B {code}", _plain(meaning)]
    return "\n".join(lines) + "\n"


def _commands(app: App, prefix: str = "bitwatt") -> Iterator[tuple[str, App]]:
    for name in app:
        if name.startswith("-"):
            continue
        command = app[name]
        if any(not inner.startswith("-") for inner in command):
            yield from _commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def _first(command: App) -> str:
    return _plain(command.help.strip().split("\n\n")[0].replace("\n", " ").split(". ")[0].rstrip("."))


def _command(command: App) -> Iterator[str]:
    """What a command does, then a paragraph per argument."""
    summary = command.help.split("Parameters\n")[0].strip()
    yield from (_plain(" ".join(part.split())) for part in summary.split("\n\n"))
    for argument in command.assemble_argument_collection(parse_docstring=True):
        if argument.show:
            names = [name for name in argument.names if not name.startswith("--empty-")]
            yield from (".TP", ", ".join(rf"\fB{_plain(name)}\fR" for name in names))
            choices = argument.get_choices()
            said = " ".join((argument.parameter.help or "").split())
            yield _plain(said + (f" One of: {', '.join(choices)}." if choices else ""))


def _plain(text: str) -> str:
    r"""Text as troff prints it: backslashes and hyphens escaped, no line that begins as a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text
