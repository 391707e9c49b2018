"""CPU packages through Linux's powercap (RAPL). Tests supply a tree of their own through an environment variable."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bench.model import BenchError, CardState, Sample, Sensor

ROOT_VARIABLE = "BITWATT_POWERCAP_ROOT"
ROOT = "/sys/class/powercap"
PROBE_S = 0.05
MIRROR_READS = 3
MIRROR_TOLERANCE_UJ = 2_000_000
"""Zones of one package whose counters stay this close are one meter under two names."""
GRANT = "sudo chmod a+r /sys/class/powercap/*/energy_uj, or run as root, or run with --meter none"


@dataclass(slots=True)
class _Zone:
    """One package's counter, unwrapped as it is read."""

    name: str
    path: Path
    range_uj: int
    last_uj: int
    total_uj: int = 0

    def read_uj(self) -> int:
        now_uj = _read_int(self.path / "energy_uj")
        step_uj = now_uj - self.last_uj
        if step_uj < 0:  # wrapped: the counter restarts after its range
            step_uj += self.range_uj
        self.last_uj = now_uj
        self.total_uj += step_uj
        return self.total_uj


def _read_int(path: Path) -> int:
    return int(path.read_text(encoding="ascii").strip())


def find_packages(root: Path) -> list[_Zone]:
    """Package zones below ``root``, without mirrors.

    Zones ``intel-rapl:N`` named ``package-…`` count; their children (core, dram) are parts of them, and ``psys``
    contains them. The mmio mirror of a package and a second die with the same counter are left out.

    Raises:
        BenchError: there is no package zone, or it cannot be read.
    """
    zones: dict[str, _Zone] = {}
    denied: Path | None = None
    for path in sorted(root.glob("*:*")):
        name_file = path / "name"
        if path.name.count(":") != 1 or not name_file.is_file():
            continue
        name = name_file.read_text(encoding="ascii").strip()
        if not name.startswith("package") or name in zones:
            continue
        try:
            energy_uj = _read_int(path / "energy_uj")
            range_uj = _read_int(path / "max_energy_range_uj")
        except PermissionError:
            denied = path
            continue
        zones[name] = _Zone(name, path, range_uj, energy_uj)
    if denied is not None:
        raise BenchError(f"CPU power is not readable: {denied / 'energy_uj'} can be read by root only", GRANT)
    if not zones:
        raise BenchError(
            f"CPU power is not readable: {root} has no package zone (a virtual machine, or no intel_rapl driver)",
            "run on bare metal with the intel_rapl_msr module loaded, or supply a value with --assume-watts",
        )
    return _without_mirrors(list(zones.values()))


def _socket(name: str) -> str:
    """``package-0-die-1`` belongs to ``package-0``."""
    return name.partition("-die-")[0]


def _without_mirrors(zones: list[_Zone]) -> list[_Zone]:
    """Of the dies of one package, keep one where all show the same counter throughout."""
    kept: list[_Zone] = []
    for zone in zones:
        twins = [other for other in kept if _socket(other.name) == _socket(zone.name)]
        if not any(_mirrors(zone, other) for other in twins):
            kept.append(zone)
    return kept


def _mirrors(one: _Zone, other: _Zone) -> bool:
    if one.range_uj != other.range_uj:
        return False
    for attempt in range(MIRROR_READS):
        if attempt:
            time.sleep(0.01)
        apart_uj = abs(_read_int(one.path / "energy_uj") - _read_int(other.path / "energy_uj"))
        if min(apart_uj, one.range_uj - apart_uj) > MIRROR_TOLERANCE_UJ:
            return False
    return True


class RaplReader:
    """The sum of a machine's CPU packages. Its watts are differences of the counter, so they are no cross-check."""

    sensor: Sensor

    def __init__(self, root: Path) -> None:
        self._zones = find_packages(root)
        self._last: tuple[int, float] | None = None
        self.sensor = Sensor(
            source="rapl",
            scope="package",
            sensor_id=" ".join(zone.name for zone in self._zones),
            counter=True,
            counter_period_s=self._probe(),
            counter_resolution_j=1e-6 * len(self._zones),
            duty=1.0,
            uncertainty_source="no gain or offset is published for package zones",
            name="CPU packages",
        )

    def _probe(self) -> float | None:
        seen: list[float] = []
        last: int | None = None
        deadline_s = time.monotonic() + PROBE_S
        while (now_s := time.monotonic()) < deadline_s:
            now_uj = _read_int(self._zones[0].path / "energy_uj")
            if last is not None and now_uj != last:
                seen.append(now_s)
            last = now_uj
        steps = sorted(later - earlier for earlier, later in pairwise(seen))
        return steps[len(steps) // 2] if len(steps) >= 2 else None

    def read(self) -> Sample:
        before_ns = time.monotonic_ns()
        try:
            counter_j = sum(zone.read_uj() for zone in self._zones) / 1e6
        except (OSError, ValueError) as error:
            return Sample.failed(before_ns, f"reading energy_uj failed: {error}")
        t_ns = (before_ns + time.monotonic_ns()) // 2
        power_w = None
        if self._last is not None and t_ns > self._last[0]:
            power_w = (counter_j - self._last[1]) / ((t_ns - self._last[0]) / 1e9)
        self._last = (t_ns, counter_j)
        return Sample(t_ns, power_w, counter_j)

    def card_state(self) -> CardState:
        return CardState()

    def close(self) -> None:
        """Nothing is held open."""


def powercap_root() -> Path:
    """The powercap tree, or the one that the environment names."""
    return Path(os.environ.get(ROOT_VARIABLE, ROOT))


def open_reader(root: str | None = None) -> RaplReader:
    """Open every CPU package of the machine.

    Raises:
        BenchError: there is none, or it is not readable; the fix says how to grant access.
    """
    return RaplReader(Path(root) if root is not None else powercap_root())
