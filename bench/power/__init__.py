"""Power sources: one file each, one protocol (:class:`~bench.model.Meter`), chosen independently of the device.

To add one, write a module with ``open_reader(**arguments) -> Reader`` (:class:`bench.power.sampler.Reader`) and add a
line to :data:`SOURCES`. Vendor libraries are imported in the sampler's process only, and only for the chosen source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.model import BenchError, Device, Meter
from bench.power import source
from bench.power.group import GroupMeter
from bench.power.jetson import is_jetson
from bench.power.none import NullMeter
from bench.power.replay import ReplayMeter
from bench.power.sampler import POLL_S
from bench.power.source import Source, card, sampled

SOURCES: Mapping[str, Source] = {
    "jetson": Source("jetson", sampled("bench.power.jetson", source.nothing), "cuda", is_jetson),
    "nvml": Source("nvml[:<UUID or index>]", sampled("bench.power.nvml", card("cuda")), "cuda"),
    "amd": Source("amd[:<UUID or index>]", sampled("bench.power.amd", card("rocm")), "rocm"),
    "mthreads": Source("mthreads[:<UUID or index>]", sampled("bench.power.mthreads", card("musa")), "musa"),
    "rapl": Source("rapl", sampled("bench.power.rapl", source.nothing), "cpu"),
    "command": Source("command:<a command that prints watts>", sampled("bench.power.command", source.command)),
    "replay": Source("replay:<sidecar>", lambda detail, _device, _poll_s: ReplayMeter(Path(detail))),
    "assume": Source("assume:<watts>", source.assumed),
    "none": Source("none", source.absent),
}
"""Every power source, by the name that ``--meter`` gives it."""
SPECS = ", ".join(["auto", *(entry.syntax for entry in SOURCES.values())])
"""What ``--meter`` accepts."""


def open_meter(spec: str, device: Device, *, poll_s: float = POLL_S, calibration: Path | None = None) -> Meter:
    """Open the power source that ``spec`` names.

    Args:
        spec: ``auto`` (what fits the device), or a name from :data:`SOURCES`, with ``:`` and what it takes. A vendor's
            name alone means the device's own card, or the only one.
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
            meter = _automatic(device).open("", device, poll_s)
        except BenchError as error:
            meter = NullMeter(f"{error.message}; to get watts: {error.fix}")
    else:
        name, colon, detail = spec.partition(":")
        found = SOURCES.get(name)
        if found is None or (colon and not found.takes_detail):
            raise BenchError(f"there is no power source named {spec!r}", f"choose from {SPECS}")
        meter = found.open(detail, device, poll_s)
    if calibration is not None:
        from bench.power.calibration import calibrated

        try:
            meter.sensor = calibrated(meter.sensor, calibration)
        except BenchError:
            meter.close()
            raise
    return meter


def open_group(spec: str, devices: Sequence[Device], *, calibration: Path | None = None) -> Meter:
    """Open the power source of devices that work together: one meter for each card, read as one.

    What is read by no card of its own (a wattmeter's command, an assumed power, a replay) covers all devices already.

    Args:
        spec: as :func:`open_meter` takes it, without naming a card.
        devices: what computes.
        calibration: a calibration file, which must fit every card's sensor.

    Raises:
        BenchError: as :func:`open_meter`; ``spec`` names a single card; or the cards' sensors are of different kinds.
    """
    name, colon, _ = spec.partition(":")
    vendors = [name for name, source in SOURCES.items() if source.device_kind == devices[0].kind]
    if len(devices) == 1 or name not in ("auto", *vendors):
        return open_meter(spec, devices[0], calibration=calibration)
    if colon:
        raise BenchError(f"--meter {spec} reads one card, and {len(devices)} work together", f"use --meter {name}")
    members: list[Meter] = []
    try:
        members.extend(open_meter(spec, device, calibration=calibration) for device in devices)
    except BenchError:
        for member in members:
            member.close()
        raise
    if unread := next((member.sensor.reason for member in members if member.sensor.source == "none"), None):
        for member in members:
            member.close()
        return NullMeter(unread)
    return GroupMeter(members)


def _automatic(device: Device) -> Source:
    if device.maker:
        raise BenchError(
            f"no power source is known for {device.maker}'s cards", "run its own tool with --meter 'command:<program>'"
        )
    for entry in SOURCES.values():
        if entry.device_kind == device.kind and entry.present():
            return entry
    raise BenchError(f"no power source is known for {device.kind} devices", f"choose one with --meter from {SPECS}")
