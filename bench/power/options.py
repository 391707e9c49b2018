"""Options of the power meter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.model import BenchError
from bench.model.options import option_group

LEAST_W, MOST_W = 0.001, 1e7
"""Bounds of an assumed power."""


@option_group("Power", 4)
@dataclass(frozen=True, kw_only=True)
class PowerOptions:
    """Which power source is read.

    Raises:
        BenchError: two power sources at once, or an assumed power that is not a positive number.
    """

    meter: str = "auto"
    """auto, nvml[:UUID or index], jetson, rapl, amd, mthreads, 'command:…', replay:FILE, assume:WATTS or none."""
    assume_watts: float | None = None
    """Assume this constant power where there is no sensor; the rows are labelled assumed."""
    sensor_calibration: Path | None = None
    """A TOML file with the gain and offset of the sensor, from a wattmeter of your own."""
    zeus: bool = False
    """Also measure with Zeus, for comparison (pip install 'bitwatt[zeus]')."""

    def __post_init__(self) -> None:
        if self.assume_watts is None:
            return
        if self.meter != "auto":
            raise BenchError("--assume-watts and --meter exclude each other", "give one of them")
        if not LEAST_W <= self.assume_watts <= MOST_W:
            raise BenchError(
                f"a device cannot draw {self.assume_watts:g} W",
                f"give watts from {LEAST_W:g} to {MOST_W:g}, such as --assume-watts 250",
            )

    @property
    def source(self) -> str:
        """The power source as :func:`bench.power.open_meter` takes it."""
        return self.meter if self.assume_watts is None else f"assume:{self.assume_watts}"
