"""Pseudonyms for the host and the cards of a result that is to be shared.

A pseudonym is a keyed hash (HMAC-SHA-256) of a name with a salt that never leaves this machine: nobody else can try
names against it, and the results of one machine still carry the same pseudonyms and so compare with one another.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.model import BenchError, Device, Record, Sensor
from bench.storage.files import cannot_read, cannot_write, write_all

SALT_BYTES = 32
PLAIN_SENSORS = frozenset({"rapl", "command", "assumed", "none"})
"""Power sources whose ``sensor_id`` names a kind of sensor rather than one card."""

_UUID = re.compile(r"(GPU|MIG|[A-Za-z]+)-[0-9a-fA-F]{8}(-[0-9a-fA-F]{2,12})+")


def salt_path() -> Path:
    """Where the salt is kept: ``bitwatt/salt`` in the user's state folder."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "bitwatt" / "salt"


def local_salt(path: Path | None = None) -> bytes:
    """The salt of this machine, made on first use and readable by its owner alone.

    Raises:
        BenchError: it can be neither read nor made, or is cut off.
    """
    path = path or salt_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        pass
    except OSError as error:
        raise cannot_write(path, error) from error
    else:
        try:
            write_all(fd, secrets.token_bytes(SALT_BYTES))
        finally:
            os.close(fd)
    try:
        salt = path.read_bytes()
    except OSError as error:
        raise cannot_read(path, error) from error
    if len(salt) < SALT_BYTES:
        # a short one could be guessed
        raise BenchError(f"the salt in {path} is cut off", "remove the file; new results then get new pseudonyms")
    return salt


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Replaces what identifies a host or a card in everything that a store writes."""

    salt: bytes

    def of(self, text: str | None) -> str | None:
        """The pseudonym of a name; missing stays missing, and a pseudonym is its own."""
        from Crypto.Hash import HMAC, SHA256

        if not text or text.startswith("anon-"):
            return text
        return f"anon-{HMAC.new(self.salt, text.encode(), SHA256).hexdigest()[:16]}"

    def record(self, record: Record) -> Record:
        """A row without the names of its host and card."""
        meter_id = record.meter_id if record.meter in PLAIN_SENSORS else self.of(record.meter_id)
        return replace(record, host=self.of(record.host), device_uuid=self.of(record.device_uuid), meter_id=meter_id)

    def sensor(self, sensor: Sensor) -> Sensor:
        """A sensor without the name of its card."""
        if sensor.source in PLAIN_SENSORS:
            return sensor
        members = tuple(self.sensor(member) for member in sensor.members)
        return replace(sensor, sensor_id=self.of(sensor.sensor_id), members=members)

    def device(self, device: Device | None) -> Device | None:
        """A device without its UUID and its slot."""
        return device and replace(device, uuid=self.of(device.uuid), pci_bus_id=None)

    def plan(self, plan: Any) -> Any:
        """A plan (JSON values) without UUIDs and host label."""
        if isinstance(plan, Mapping):
            return {
                key: self.of(value) if key == "host_label" and isinstance(value, str) else self.plan(value)
                for key, value in plan.items()
            }
        if isinstance(plan, list | tuple):
            return [self.plan(value) for value in plan]
        return _UUID.sub(lambda found: self.of(found[0]) or "", plan) if isinstance(plan, str) else plan
