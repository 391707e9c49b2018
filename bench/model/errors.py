"""Exit codes, and the one error that a user sees."""

from __future__ import annotations

EXIT_OK, EXIT_REGRESSION, EXIT_USAGE, EXIT_INVALID, EXIT_IO = 0, 1, 2, 3, 74
"""0 good, 1 a regression found, 2 wrong use, 3 an invalid measurement, 74 (as in sysexits.h) output that could not be
written: a full disk, a closed pipe."""


class BenchError(Exception):
    """What happened in one sentence, and what to do next in another.

    Raised for everything that a user can cause or fix. The command line prints it without a traceback
    and exits with ``exit_code``.
    """

    def __init__(self, message: str, fix: str, *, exit_code: int = EXIT_USAGE) -> None:
        super().__init__(f"{message}. To fix: {fix}." if fix else f"{message}.")
        self.message = message
        self.fix = fix
        self.exit_code = exit_code


class Skip(BenchError):  # noqa: N818 - a state of affairs, not a fault
    """A variant that this device cannot run (too little memory, a type it lacks). The run goes on without it."""


def first_line(error: BaseException) -> str:
    """The first line of an error's text without its final period, or the name of its type where it has no text."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
