"""NVIDIA Jetson modules through the INA3221 power monitors on their boards, read from sysfs.

NVML answers no power call there. Each monitor has up to three rails with a name, a voltage and a current:

    /sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/{in1_label, in1_input, curr1_input}        mV, mA  (JetPack 5, 6)
    /sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/{rail_name_0, in_power0_input}             mW      (JetPack 4)

Which rails make up the module is in NVIDIA's Jetson Linux Developer Guide, Software-Based Power Consumption Modeling.
Tests supply a tree of their own through an environment variable.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.model import BenchError, CardState, Sample, Sensor
from bench.power.probe import period_s, watch

ROOT_VARIABLE = "BITWATT_I2C_ROOT"
ROOT = "/sys/bus/i2c/drivers"
PROBE_S = 0.6
RAILS_PER_MONITOR = 3
"""Further channels of the kernel's driver are sums, not rails."""
WHOLE: tuple[frozenset[str], ...] = (
    frozenset({"VDD_IN"}),  # TX2, Xavier NX, Orin NX, Orin Nano: the module's input
    frozenset({"POM_5V_IN"}),  # Nano
    frozenset({"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"}),  # AGX Orin; VDDQ_VDD2_1V8AO is part of VIN_SYS_5V0
    frozenset({"GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"}),  # AGX Xavier
)
"""Sets of rails whose sum is the module's power; the first that is complete is used."""
FIX = "use --meter 'command:…' with a wattmeter at the board's input, or run with --meter none"


@dataclass(frozen=True, slots=True)
class Rail:
    """One supply rail; ``read`` gives its watts."""

    name: str
    read: Callable[[], float]


def _number(path: Path) -> float:
    return float(path.read_text(encoding="ascii").strip())


def _rail_of_hwmon(folder: Path, channel: int) -> Rail | None:
    label = folder / f"in{channel}_label"
    if not label.is_file():
        return None
    voltage, current = folder / f"in{channel}_input", folder / f"curr{channel}_input"
    return Rail(_name(label), lambda: _number(voltage) * _number(current) / 1e6)


def _rail_of_iio(folder: Path, channel: int) -> Rail | None:
    label = folder / f"rail_name_{channel - 1}"
    if not label.is_file():
        return None
    power = folder / f"in_power{channel - 1}_input"
    return Rail(_name(label), lambda: _number(power) / 1000)


def _name(path: Path) -> str:
    return re.sub(r"\s+", "_", path.read_text(encoding="ascii").strip().upper())


def find_rails(root: Path) -> dict[str, Rail]:
    """Every rail of every INA3221 below ``root``, by name."""
    rails: dict[str, Rail] = {}
    for pattern, read in (("ina3221/*/hwmon/hwmon*", _rail_of_hwmon), ("ina3221x/*/iio:device*", _rail_of_iio)):
        for folder in sorted(root.glob(pattern)):
            for channel in range(1, RAILS_PER_MONITOR + 1):
                rail = read(folder, channel)
                if rail is not None:
                    rails.setdefault(rail.name, rail)
    return rails


def i2c_root() -> Path:
    """The tree of I²C drivers, or the one that the environment names."""
    return Path(os.environ.get(ROOT_VARIABLE, ROOT))


def is_jetson() -> bool:
    """Whether this machine's power monitors are those of a Jetson module."""
    rails = find_rails(i2c_root())
    return any(names <= rails.keys() for names in WHOLE)


class JetsonReader:
    """The rails that make up the module, summed.

    Raises:
        BenchError: there is no power monitor, its rails are not a known module's, or they cannot be read.
    """

    sensor: Sensor

    def __init__(self, rails: Mapping[str, Rail]) -> None:
        if not rails:
            raise BenchError("this machine has no INA3221 power monitor, so it is no Jetson that can be read", FIX)
        whole = next((names for names in WHOLE if names <= rails.keys()), None)
        if whole is None:
            raise BenchError(f"it is not known which of the rails {', '.join(sorted(rails))} make up the module", FIX)
        self._rails = [rails[name] for name in sorted(whole)]
        try:
            self._read_w()
        except PermissionError as error:
            raise BenchError(
                f"{error.filename} cannot be read by this user",
                "run as root, or grant it: sudo chmod a+r /sys/bus/i2c/drivers/ina3221*/*/hwmon/hwmon*/*_input",
            ) from None
        except (OSError, ValueError) as error:
            raise BenchError(f"the power monitor cannot be read ({error})", FIX) from None
        changes = watch({"power": self._read_w}, PROBE_S, (OSError, ValueError))
        self.sensor = Sensor(
            source="jetson",
            scope="module",
            sensor_id=" ".join(sorted(whole)),
            power_field="ina3221",
            power_period_s=period_s(changes["power"]),
            uncertainty_source="no gain or offset is published for Jetson's power monitors",
            name="Jetson module",
        )

    def _read_w(self) -> float:
        return sum(rail.read() for rail in self._rails)

    def read(self) -> Sample:
        before_ns = time.monotonic_ns()
        error = "the power reading was 0"
        power_w = 0.0
        try:
            power_w = self._read_w()
        except (OSError, ValueError) as failure:
            error = f"reading the power monitor failed: {failure}"
        t_ns = (before_ns + time.monotonic_ns()) // 2
        return Sample(t_ns, power_w=power_w) if power_w > 0 else Sample.failed(t_ns, error)

    def card_state(self) -> CardState:
        return CardState()

    def close(self) -> None:
        """Nothing is held open."""


def open_reader(root: str | None = None) -> JetsonReader:
    """Open the module's power monitors.

    Raises:
        BenchError: there is none that can be read, or its rails are not known.
    """
    return JetsonReader(find_rails(Path(root) if root is not None else i2c_root()))
