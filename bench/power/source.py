"""The type of an entry in the table of power sources, and how each entry opens its meter."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from bench.model import BenchError, Device, Meter
from bench.power.none import AssumedMeter, NullMeter
from bench.power.options import LEAST_W, MOST_W
from bench.power.sampler import SampledMeter

INDEX_DIGITS = 3
"""More digits than this are the beginning of a UUID."""

Arguments = dict[str, object]


@dataclass(frozen=True, slots=True)
class Source:
    """One power source."""

    syntax: str
    """What ``--meter`` accepts, for messages."""
    open: Callable[[str, Device, float], Meter]
    """Takes what follows the colon of ``--meter`` ('' if nothing does), the device, and the poll interval in s."""
    device_kind: str | None = None
    """The kind of device for which ``--meter auto`` chooses this source."""
    present: Callable[[], bool] = lambda: True
    """Whether ``--meter auto`` may choose this source on this machine."""

    @property
    def takes_detail(self) -> bool:
        return ":" in self.syntax


def sampled(module: str, arguments: Callable[[str, Device], Arguments]) -> Callable[[str, Device, float], Meter]:
    """Open a source through the sampler's process, which loads ``module`` and calls its ``open_reader``.

    Args:
        module: the module's full name; it is never imported here, so vendor libraries stay out of the run's process.
        arguments: from what follows the colon, and the device, to the arguments of ``open_reader``.
    """
    return lambda detail, device, poll_s: SampledMeter(module, arguments(detail, device), poll_s)


def nothing(detail: str, device: Device) -> Arguments:  # noqa: ARG001 (one signature for all)
    """The source finds its sensor by itself."""
    return {}


def card(kind: str) -> Callable[[str, Device], Arguments]:
    """How a vendor's module finds its card: as the user named it, else the device's own, else the only one.

    Args:
        kind: the kind of device whose cards the vendor's library knows.
    """

    def arguments(detail: str, device: Device) -> Arguments:
        found: Arguments = {"own_pid": os.getpid()}
        if detail.isdecimal() and len(detail) <= INDEX_DIGITS:
            found["index"] = int(detail)
        elif detail:
            found["uuid"] = detail
        elif device.kind == kind:
            found |= {"uuid": device.uuid, "pci_bus_id": device.pci_bus_id, "device_index": device.index}
        return found

    return arguments


def command(detail: str, device: Device) -> Arguments:  # noqa: ARG001
    """The user's command line."""
    if not detail.strip():
        raise BenchError("--meter command: has no command", "give one, such as --meter 'command:my-wattmeter'")
    return {"command": detail}


def assumed(detail: str, device: Device, poll_s: float) -> Meter:  # noqa: ARG001
    """A constant power from the user."""
    try:
        watts = float(detail)
    except ValueError:
        watts = 0.0
    if not LEAST_W <= watts <= MOST_W:
        raise BenchError(
            f"{detail!r} is not a number of watts from {LEAST_W:g} to {MOST_W:g}",
            "give one, such as --assume-watts 250",
        )
    return AssumedMeter(watts)


def absent(detail: str, device: Device, poll_s: float) -> Meter:  # noqa: ARG001
    """No power source, on request."""
    return NullMeter("no power was measured, because of --meter none")
