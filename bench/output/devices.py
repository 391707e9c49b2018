"""What can be measured: devices with their power sensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from bench.model import Device, Sensor
from bench.output.document import Document, Grid
from bench.output.format import MISSING


def devices(found: Sequence[tuple[Device, Sensor]]) -> Document:
    """Devices with their power sensors; the notes say why a device has no watts, and what to do."""
    return Document(
        grids=(_grid(found),),
        rows=[
            {"device": {"label": device.label, **asdict(device)}, "sensor": asdict(sensor)} for device, sensor in found
        ],
        notes=tuple(f"{device.label}: {sensor.reason}" for device, sensor in found if sensor.reason),
        notes_are_results=True,
    )


def _grid(found: Sequence[tuple[Device, Sensor]]) -> Grid:
    rows = []
    for device, sensor in found:
        memory = MISSING if device.memory_bytes is None else f"{device.memory_bytes / 2**30:.1f} GiB"
        power = "none (see below)" if sensor.reason else "none"
        if sensor.source != "none":
            how = "counter" if sensor.counter else (sensor.power_field or "sampled")
            power = ", ".join(part for part in (sensor.source, sensor.scope, how) if part)
        detail = ", ".join(part for part in (device.arch, device.driver, device.runtime) if part)
        cores = MISSING if device.cores is None else str(device.cores)
        rows.append((device.label, device.name, cores, memory, detail or MISSING, power))
    return Grid(
        ("device", "name", "cores", "memory", "arch, driver, runtime", "power"),
        tuple(rows),
        frozenset({2, 3}),
        drop=(3, 2),
    )
