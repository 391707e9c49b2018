"""``bitwatt doctor``: what works on this machine, and how to fix what does not."""

from __future__ import annotations

from typing import Literal

from bench.cli import streams
from bench.model import EXIT_INVALID, EXIT_OK


def doctor(
    *,
    format: Literal["table", "json", "csv", "markdown"] = "table",  # noqa: A002 - the flag's name
    budget: float = 90.0,
) -> int:
    """Check drivers, packages, sensors and every path of every device.

    Exit code 0: all that applies here works; 3: something failed. Ends within two minutes.

    Parameters
    ----------
    format
        How the list appears on stdout; json is what an issue report needs.
    budget
        Seconds within which runs of single paths may start.
    """
    from bench.doctor import examine
    from bench.doctor.document import document

    results = []
    for result in examine(budget):
        results.append(result)
        where = f"{result.device}: " if result.device else ""
        streams.say(f"{where}{result.name}: {result.state}", "" if result.state != "failed" else "red")
    streams.show(document(results), format)
    return EXIT_INVALID if any(result.state == "failed" for result in results) else EXIT_OK
