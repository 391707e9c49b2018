"""Power sources: one file each, one protocol (:class:`~bench.model.Meter`), chosen apart from the device.

The vendor libraries are imported in the sampler's process, and only for the source that was chosen.
"""

from __future__ import annotations

import os
from pathlib import Path

from bench.model import BenchError, Device, Meter
from bench.power.none import AssumedMeter, NullMeter
from bench.power.replay import ReplayMeter
from bench.power.sampler import POLL_S, SampledMeter

INDEX_DIGITS = 3
"""More digits than this are the beginning of a UUID."""
SPECS = (
    "auto, nvml, nvml:<UUID or index>, amd, amd:<UUID or index>, mthreads, mthreads:<UUID or index>, rapl, "
    "command:<a command that prints watts>, replay:<sidecar>, assume:<watts>, none"
)
SOURCE_OF_KIND = {"cuda": "nvml", "rocm": "amd", "musa": "mthreads", "cpu": "rapl"}
"""What ``auto`` reads for each kind of device."""


def open_meter(spec: str, device: Device, *, poll_s: float = POLL_S, calibration: Path | None = None) -> Meter:
    """Open the power source that ``spec`` names.

    Args:
        spec: ``auto`` (what fits the device), ``nvml``, ``amd``, ``mthreads`` (the device's own card, or the only
            one; with ``:<UUID or index>`` any card, the index being the vendor tool's), ``rapl``,
            ``command:<command>``, ``replay:<sidecar>``, ``assume:<watts>``, ``none``.
        device: what computes; ``auto`` and a vendor's name alone find its sensor by UUID or PCI bus.
        poll_s: poll interval of the sampler in seconds.
        calibration: TOML file with gain and offset (:mod:`bench.power.calibration`).

    Raises:
        BenchError: an explicit spec is unknown or cannot be opened, or the calibration is wrong. ``auto`` never
            raises for its sensor: without a readable one the meter has ``sensor.source == "none"`` and the reason in
            ``sensor.reason``.
    """
    if spec == "auto":
        try:
            meter = _open(SOURCE_OF_KIND.get(device.kind, ""), "", device, poll_s)
        except BenchError as error:
            meter = NullMeter(f"{error.message}; to get watts: {error.fix}")
    else:
        source, _, detail = spec.partition(":")
        meter = _open(source, detail, device, poll_s, spec)
    if calibration is not None:
        from bench.power.calibration import calibrated

        try:
            meter.sensor = calibrated(meter.sensor, calibration)
        except BenchError:
            meter.close()
            raise
    return meter


def _open(source: str, detail: str, device: Device, poll_s: float, spec: str | None = None) -> Meter:
    match source:
        case "nvml" | "amd" | "mthreads":
            return SampledMeter(source, card_arguments(source, detail, device), poll_s)
        case "rapl" if not detail:
            return SampledMeter("rapl", {}, poll_s)
        case "command":
            if not detail.strip():
                raise BenchError("--meter command: names no command", "give for example --meter 'command:my-wattmeter'")
            return SampledMeter("command", {"command": detail}, poll_s)
        case "replay":
            return ReplayMeter(Path(detail))
        case "assume":
            return _assumed(detail)
        case "none" if not detail:
            return NullMeter("no power was measured: --meter none was asked for")
    if spec is None:
        raise BenchError(f"no power source is known for {device.kind} devices", f"choose one with --meter from {SPECS}")
    raise BenchError(f"there is no power source named {spec!r}", f"choose from {SPECS}")


def card_arguments(source: str, detail: str, device: Device) -> dict[str, object]:
    """How a child process finds its card: as ``detail`` names it, else the device's own, else the only one."""
    arguments: dict[str, object] = {} if source == "mthreads" else {"own_pid": os.getpid()}
    if detail.isdecimal() and len(detail) <= INDEX_DIGITS:
        arguments["index"] = int(detail)
    elif detail:
        arguments["uuid"] = detail
    elif SOURCE_OF_KIND.get(device.kind) == source:
        arguments["uuid"] = device.uuid
        if source == "mthreads":
            arguments["index"] = device.index
        else:
            arguments["pci_bus_id"] = device.pci_bus_id
    return arguments


def _assumed(detail: str) -> Meter:
    try:
        watts = float(detail)
    except ValueError:
        watts = 0.0
    if not 0 < watts < float("inf"):
        raise BenchError(f"{detail!r} is not a number of watts above 0", "give for example --assume-watts 250")
    return AssumedMeter(watts)
