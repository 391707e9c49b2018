"""Exit codes, and the one error that a user sees."""

from __future__ import annotations

EXIT_OK, EXIT_REGRESSION, EXIT_USAGE, EXIT_INVALID = 0, 1, 2, 3
"""0 good, 1 a regression found, 2 wrong use, 3 an invalid measurement."""


class BenchError(Exception):
    """What happened in one sentence, and what to do next in another.

    Raised for everything a user can cause or mend. The command line prints it without a traceback
    and exits with ``exit_code``.
    """

    def __init__(self, message: str, fix: str, *, exit_code: int = EXIT_USAGE) -> None:
        super().__init__(f"{message}. To fix: {fix}." if fix else f"{message}.")
        self.message = message
        self.fix = fix
        self.exit_code = exit_code


class Skip(BenchError):  # noqa: N818 - a state of affairs, not a fault
    """A variant that this device cannot run (too little memory, a type it lacks). The run goes on without it."""
