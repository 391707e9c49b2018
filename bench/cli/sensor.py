"""``bitwatt sensor``: what a card's power sensor does, found under a square load."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bench.cli import options, streams


def sensor(
    *,
    device: str = "auto",
    meter: str = "auto",
    workload: str = "sha256d",
    seconds: float = 40.0,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    format: options.FormatOption = "table",  # noqa: A002 - the flag's name
    quiet: options.Quiet = False,
) -> None:
    """Examine a power sensor: update period, averaging, duty cycle, delay, rise time, noise and last digit.

    The device works and rests in a pattern of known times while its sensor is polled every 5 ms.

    Parameters
    ----------
    device
        The device that works.
    meter
        Power source to examine; auto takes the device's own.
    workload
        The work: sha256d, scrypt or transformer.
    seconds
        About how long, 15 or more; a longer test gives smaller uncertainties.
    output
        Write the result to this TOML file, for --sensor-calibration and for others with the same card.
    format
        Format of the result on stdout.
    quiet
        Show no progress on stderr.
    """
    from bench import output as show
    from bench.measure import square_load
    from bench.storage import write_atomically

    chosen = square_load.one_device(device)
    if not quiet:
        streams.say(f"{chosen.label}: a square load of {workload} for about {seconds:g} s")
    examined, found = square_load.examine_sensor(chosen, meter, workload, seconds, lambda _: None)
    streams.show(show.sensor_test(examined, found), format)
    if output is not None:
        driver = f", driver {chosen.driver}" if chosen.kind == "cuda" and chosen.driver else ""
        source = f"bitwatt sensor, {workload} for {seconds:g} s{driver}, {datetime.now(UTC):%Y-%m-%d}"
        write_atomically(output, show.sensor_file(examined, found, source))
        streams.say(f"written: {output}; use it with --sensor-calibration {output}")
