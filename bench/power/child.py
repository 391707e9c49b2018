"""Start one of our own functions in a process of its own, with this very interpreter and this very package."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from bench.data import PACKAGE


def spawn(function: Callable[[str], int], argument: str, **options: Any) -> subprocess.Popen[Any]:
    """Run ``function(argument)`` in a new process; what it returns is the exit code.

    Args:
        function: a module-level function of this package.
        argument: its only argument, such as JSON.
        options: further options of :class:`subprocess.Popen`, such as ``text`` or ``stderr``.

    Returns:
        The process, with pipes to its stdin and from its stdout.
    """
    program = (
        f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); "
        f"from {function.__module__} import {function.__name__}; sys.exit({function.__name__}(sys.argv[1]))"
    )
    command = [sys.executable, "-c", program, argument]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)  # noqa: S603 (our own)
