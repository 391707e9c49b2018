"""Power sources: one file each, one protocol (:class:`~bench.model.Meter`), chosen apart from the device.

The vendor libraries are imported in the sampler's process, and only for the source that was chosen.
"""

from __future__ import annotations

import os

from bench.meters.none import AssumedMeter, NullMeter
from bench.meters.sampler import POLL_S, SampledMeter
from bench.model import BenchError, Device, Meter

INDEX_DIGITS = 3
"""More digits than this are the beginning of a UUID."""
SPECS = "auto, nvml, nvml:<UUID or index>, rapl, none, assume:<watts>"


def open_meter(spec: str, device: Device, *, poll_s: float = POLL_S) -> Meter:
    """Open the power source that ``spec`` names.

    Args:
        spec: ``auto`` (what fits the device), ``nvml`` (the device's own card, or the only one), ``nvml:<UUID or
            index>`` (any card; the index is NVML's, as in nvidia-smi), ``rapl``, ``none``, ``assume:<watts>``.
        device: what computes; ``auto`` and ``nvml`` find its sensor by UUID.
        poll_s: poll interval of the sampler in seconds.

    Raises:
        BenchError: an explicit spec is unknown or cannot be opened. ``auto`` never raises: without a readable
            sensor its meter has ``sensor.source == "none"`` and the reason in ``sensor.reason``.
    """
    source, _, detail = spec.partition(":")
    match source:
        case "auto":
            try:
                return _automatic(device, poll_s)
            except BenchError as error:
                return NullMeter(f"{error.message}; to get watts: {error.fix}")
        case "none":
            return NullMeter("no power was measured: --meter none was asked for")
        case "nvml":
            return _nvml(detail, device, poll_s)
        case "rapl":
            return SampledMeter("rapl", {}, poll_s)
        case "assume":
            return _assumed(detail)
    raise BenchError(f"there is no power source named {spec!r}", f"choose from {SPECS}")


def _automatic(device: Device, poll_s: float) -> Meter:
    if device.kind == "cuda":
        return _nvml("", device, poll_s)
    if device.kind == "cpu":
        return SampledMeter("rapl", {}, poll_s)
    raise BenchError(f"no power source is known for {device.kind} devices", f"choose one with --meter from {SPECS}")


def _nvml(detail: str, device: Device, poll_s: float) -> Meter:
    arguments: dict[str, object] = {"own_pid": os.getpid()}
    if detail.isdecimal() and len(detail) <= INDEX_DIGITS:
        arguments["index"] = int(detail)
    elif detail:
        arguments["uuid"] = detail
    elif device.kind == "cuda":
        arguments |= {"uuid": device.uuid, "pci_bus_id": device.pci_bus_id}
    return SampledMeter("nvml", arguments, poll_s)


def _assumed(detail: str) -> Meter:
    try:
        watts = float(detail)
    except ValueError:
        watts = 0.0
    if not 0 < watts < float("inf"):
        raise BenchError(f"{detail!r} is not a number of watts", "give for example --meter assume:250")
    return AssumedMeter(watts)
