"""``bitwatt devices``: what can be measured here."""

from __future__ import annotations

from typing import Literal

from bench.cli import streams


def devices(*, meter: str = "auto", format: Literal["table", "json"] = "table") -> None:  # noqa: A002 - the flag's name
    """List the devices that can be measured and their power sensors.

    Parameters
    ----------
    meter
        Power source to try on each device.
    format
        Format of the list on stdout.
    """
    from bench import output, power
    from bench.measure import devices

    listed = []
    for device in [*devices.accelerators(), devices.cpu()]:
        source = power.open_meter(meter, device)
        try:
            listed.append((device, source.sensor))
        finally:
            source.close()
    streams.show(output.devices(listed), format)
