"""The command ``bitwatt``: its commands, how errors are shown, and exit codes.

Nothing heavy is imported at the top of a command's module: ``--help`` and ``compare`` never load a GPU stack.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from cyclopts import App, CycloptsError, Parameter

from bench import __version__
from bench.cli import (
    calibrate,
    devices,
    dispatch,
    doctor,
    economics,
    fleet,
    manual,
    options,
    outliers,
    rank,
    reference,
    report,
    results,
    sensor,
    site,
    streams,
    verify,
)
from bench.cli import compare as comparing
from bench.cli import merge as merging
from bench.cli import run as running
from bench.cli import sweep as sweeping
from bench.cli import worker as working
from bench.model import EXIT_IO, EXIT_OK, EXIT_USAGE, BenchError

EXIT_INTERRUPTED = 130
EXIT_INTERNAL = 70

app = App(
    name="bitwatt",
    help="What one card does at mining and at AI, from one run and one power meter.\n\n"
    "Results go to stdout, progress and warnings to stderr. "
    "Exit codes: 0 good, 1 a regression found, 2 wrong use, 3 an invalid measurement, 74 output not written, "
    "130 interrupted.",
    help_flags=["--help", "-h"],
    version=f"bitwatt {__version__}",
    help_format="plaintext",
    default_parameter=Parameter(negative=(), show_default=False, name_transform=options.field_name),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
for command, name in (
    (running.run, "run"),
    (comparing.compare, "compare"),
    (report.report, "report"),
    (site.site, "site"),
    (economics.economics, "economics"),
    (dispatch.dispatch, "dispatch"),
    (sweeping.sweep, "sweep"),
    (devices.devices, "devices"),
    (doctor.doctor, "doctor"),
    (working.worker, "worker"),
    (merging.merge, "merge"),
    (outliers.outliers, "outliers"),
    (rank.rank, "rank"),
    (sensor.sensor, "sensor"),
    (calibrate.calibrate, "calibrate"),
    (verify.verify, "verify"),
    (verify.recompute, "recompute"),
    (manual.completion, "completion"),
    (manual.man, "man"),
):
    app.command(command, name=name)
app.command(fleet.app)
app.command(reference.app)
app.command(results.app)


def main() -> NoReturn:
    """Entry point. Every error a user can cause is one sentence with the way out; no traceback reaches a user."""
    _listen(_Interrupt())
    streams.prepare()
    code: int | None = EXIT_OK
    try:
        code = call(sys.argv[1:])
    except BenchError as error:
        streams.say(f"bitwatt: {error}", "bold red")
        code = error.exit_code
    except KeyboardInterrupt:
        streams.say("bitwatt: interrupted.")
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our stdout has gone (`| head`): nothing more to say to anyone.
        streams.drop(sys.stdout)
        code = EXIT_IO
    except Exception as error:
        if os.environ.get("BITWATT_TRACEBACK"):
            raise
        streams.say(
            f"bitwatt: internal error ({type(error).__name__}: {error}). "
            "To fix: run again with BITWATT_TRACEBACK=1 and report what it prints.",
            "bold red",
        )
        code = EXIT_INTERNAL
    # Nothing is left that could be interrupted.
    _listen(signal.SIG_IGN)
    streams.finish()
    if code == EXIT_OK and streams.lost & {"stdout", "stderr"}:
        code = EXIT_IO
    sys.exit(code)


def call(tokens: list[str]) -> int:
    """Run one command line and return its exit code.

    Raises:
        BenchError: wrong use, or what the command raises.
    """
    tokens = options.modern(tokens)
    app.config = running.plan_defaults(tokens)
    try:
        code = app(tokens, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        command = " ".join(("bitwatt", *(error.command_chain or ())))
        message, meant = _parts(str(error))
        fix = f"use {meant}, or see {command} --help" if meant else f"see {command} --help"
        raise BenchError(message, fix, exit_code=EXIT_USAGE) from None
    return code if isinstance(code, int) else EXIT_OK


def _parts(text: str) -> tuple[str, str]:
    """A library's message as the beginning of ours (one line, no full stop), and what it thinks was meant."""
    line = " ".join(text.split()).partition(" Available commands:")[0]
    line, _, meant = line.partition(" Did you mean ")
    line = line.rstrip(".")
    return line[:1].lower() + line[1:], meant.rstrip("?").strip('"')


class _Interrupt:
    """Ctrl-C and SIGTERM end a run alike: meters closed, rows kept. A second one does not disturb the closing, since it
    would leave half-written files behind; a third one ends the process at once.
    """

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, _number: int, _frame: object) -> None:
        self._count += 1
        if self._count == 1:
            raise KeyboardInterrupt
        if self._count > 2:
            os._exit(EXIT_INTERRUPTED)
        with contextlib.suppress(OSError):
            # Not through Rich, which may hold a lock at this moment.
            os.write(2, b"\r\x1b[K" * os.isatty(2) + b"bitwatt: closing; a third time ends it at once.\n")


def _listen(action: Callable[[int, Any], Any] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        # A shell starts background commands with Ctrl-C ignored, and so it stays.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, action)


if __name__ == "__main__":
    main()
