"""``bitwatt calibrate``: gain and offset of a power sensor, from a reference meter on the same device."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bench.cli import options, streams


def calibrate(
    *,
    reference_meter: str,
    meter: str = "auto",
    device: str = "auto",
    workload: str = "sha256d",
    seconds: float = 96.0,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    format: options.FormatOption = "table",  # noqa: A002 - the flag's name
    quiet: options.Quiet = False,
) -> None:
    """Find a power sensor's gain and offset with a reference meter that measures the same device.

    The device works for none, a third, two thirds and all of the time, twice each, while both meters are read.

    Parameters
    ----------
    reference_meter
        The meter that is believed, as --meter names it: 'command:…' for any wattmeter that prints watts.
    meter
        Power source to calibrate; auto takes the device's own.
    device
        The device that works.
    workload
        The work: sha256d, scrypt or transformer.
    seconds
        About how long, 48 or more; a longer run gives smaller uncertainties.
    output
        Write the calibration to this TOML file, for --sensor-calibration.
    format
        Format of the result on stdout.
    quiet
        Show no progress on stderr.
    """
    from bench import output as show
    from bench.measure import calibrating, square_load
    from bench.power.reference import fit_levels
    from bench.storage import write_atomically

    def note(line: str) -> None:
        if not quiet:
            streams.say(line)

    chosen = square_load.one_device(device)
    note(f"{chosen.label}: {workload} at {len(calibrating.SHARES)} power levels for about {seconds:g} s")
    sensor, reference, levels = calibrating.measure_levels(chosen, meter, reference_meter, workload, seconds, note)
    line = fit_levels(
        levels, reference_gain=reference.gain_uncertainty, reference_offset_w=reference.offset_uncertainty_w
    )
    streams.show(show.calibration(sensor, reference, levels, line), format)
    if output is not None:
        name = " ".join(filter(None, (reference.name or reference.source, reference.sensor_id)))
        source = f"bitwatt calibrate against {name}, {datetime.now(UTC):%Y-%m-%d}"
        write_atomically(output, show.calibration_file(sensor, levels, line, source))
        streams.say(f"written: {output}; use it with --sensor-calibration {output}")
