"""Devices and their power sensors: does each card have one, the right one, and does it read."""

from __future__ import annotations

from collections.abc import Iterator

from bench.doctor.check import Result, attempt
from bench.model import BenchError, Device


def find_devices(found: list[Device]) -> str:
    """Fill ``found`` with what torch can compute on, the CPU last.

    Raises:
        BenchError: torch is missing, or a card is broken; ``found`` then holds the CPU alone.
    """
    from bench.measure import devices

    try:
        found.extend(devices.accelerators())
    except ImportError as error:
        raise BenchError(f"torch does not load ({error})", "see the check of torch above") from error
    finally:
        found.append(devices.cpu())
    return ", ".join(f"{device.label} ({device.name})" for device in found)


def checks(device: Device) -> Iterator[Result]:
    """The sensor that a run would use."""
    if device.kind == "cuda":
        yield from attempt("UUID matches a card of NVML", lambda: _match(device), device=device.label)
    yield from attempt("power sensor", lambda: _probe(device), device=device.label)


def _match(device: Device) -> str:
    from bench.power import nvml

    if device.uuid is None and device.pci_bus_id is None:
        raise BenchError("torch reports neither UUID nor PCI bus id", "upgrade torch")
    nvml.initialise()
    return str(nvml.find(device.uuid, device.pci_bus_id, None)[1])


def _probe(device: Device) -> str:
    from bench import power

    meter = power.open_meter("auto", device)
    try:
        sensor = meter.sensor
        if sensor.source == "none":
            raise BenchError(f"no watts for {device.label}: {sensor.reason}", "see `bitwatt run --help` for --meter")
        how = "energy counter" if sensor.counter else sensor.power_field or "sampled power"
        return ", ".join(part for part in (sensor.source, sensor.scope, how) if part)
    finally:
        meter.close()
