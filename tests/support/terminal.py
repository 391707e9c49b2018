"""A real terminal of a given width for a command: what it is sent, and what is left on the screen."""

from __future__ import annotations

import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from fcntl import ioctl

from tests.support.paths import ROOT


def screen(module: str, arguments: Sequence[str], width: int) -> str:
    """All that ``python -m module`` sends to a terminal, stdout and stderr on it as a user has them."""
    leader, follower = pty.openpty()
    ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        cwd=ROOT,
        env={**environment, "TERM": "xterm-256color"},
    ) as process:
        os.close(follower)
        parts = []
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            parts.append(part)
        assert process.wait(60) == 0, b"".join(parts).decode()
    os.close(leader)
    return b"".join(parts).decode()


_ERASE_LINE, _UP = "\x1b[2K", "\x1b[1A"


def drawn(sent: str) -> list[str]:
    """The lines that are left: an erased one is empty, and after a step up the line above goes on."""
    lines = [""]
    for piece in re.split(r"(\r\n|\r|\n|\x1b\[[0-9;?]*[A-Za-z])", sent):
        if piece in ("\r\n", "\n"):
            lines.append("")
        elif piece == _ERASE_LINE:
            lines[-1] = ""
        elif piece == _UP:
            lines = lines[:-1] or [""]
        elif piece != "\r" and not piece.startswith("\x1b"):
            lines[-1] += piece
    return lines
