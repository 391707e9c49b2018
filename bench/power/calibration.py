"""A sensor's gain and offset from the user's own wattmeter (``--sensor-calibration my.toml``).

Either the two figures:

    gain = 1.02              # reading = gain × true watts + offset
    offset_w = -3.1
    gain_uncertainty = 0.005       # relative, 95%
    offset_uncertainty_w = 1.0     # 95%

or the points that they come from, fitted by least squares with 95% intervals:

    points = [[60.2, 58.1], [151.0, 149.5], [298.7, 301.2], [402.3, 407.9]]   # [true watts, reading]

``sensor_id`` (optional) names the only sensor that it applies to, ``source`` how it was found.

A file that ``bitwatt sensor`` wrote is one too: its ``[[sensor]]`` table gives duty cycle, averaging and delays, its
``[measured]`` table what they came from. Gain and offset may be added to it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.data.toml_file import read_toml
from bench.model import BenchError, Sensor

KEYS = {
    "gain",
    "offset_w",
    "gain_uncertainty",
    "offset_uncertainty_w",
    "points",
    "sensor_id",
    "source",
    "sensor",
    "measured",
}
TIMING_BOUNDS = {
    "period_s": (1e-4, 60.0),
    "duty": (1e-3, 1.0),
    "averaging_s": (0.0, 60.0),
    "delay_s": (0.0, 60.0),
    "counter_delay_s": (0.0, 60.0),
}
"""Figures of a ``[[sensor]]`` table."""
SENSOR_KEYS = {"family", "name", "source", "power_field", *TIMING_BOUNDS}
LEAST_POINTS = 3
FIX = "see docs/method.md, Calibration"
GAIN_BOUNDS = (1e-3, 1e3)
LARGEST_UNCERTAINTY = 1e6


def fit(points: list[tuple[float, float]]) -> tuple[float, float, float, float]:
    """Gain, offset in W, and their 95% half-widths (gain's relative) of reading = gain × true + offset.

    Args:
        points: at least three of (true watts, reading) at two or more different true powers.

    Raises:
        ValueError: too few points, all at one power, or readings that do not rise with it.
    """
    from scipy import stats

    if len(points) < LEAST_POINTS or len({true_w for true_w, _ in points}) < 2:
        raise ValueError(f"a fit needs {LEAST_POINTS} points or more, at different powers")
    line = stats.linregress([true_w for true_w, _ in points], [reading_w for _, reading_w in points])
    t = float(stats.t.ppf(0.975, len(points) - 2))
    gain, offset_w = float(line.slope), float(line.intercept)
    if not gain > 0:
        raise ValueError(f"the readings do not rise with the true power: a gain of {gain:.4g}")
    return gain, offset_w, t * float(line.stderr) / gain, t * float(line.intercept_stderr)


def _figure(table: dict[str, Any], key: str, default: float | None, path: Path) -> float | None:
    value = table.get(key, default)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BenchError(f"{path}: {key} must be a number, not {value!r}", FIX)
    return float(value)


def _list(keys: set[str]) -> str:
    return ", ".join(sorted(keys))


def _timed(sensor: Sensor, table: dict[str, Any], path: Path) -> Sensor:
    """The sensor with the duty cycle, averaging and delays of the file's ``[[sensor]]`` table."""
    entries = table.get("sensor", [])
    if not isinstance(entries, list) or len(entries) > 1 or not all(isinstance(entry, dict) for entry in entries):
        raise BenchError(f"{path}: it must have one [[sensor]] table at most", "give the file of one sensor")
    if not entries:
        return sensor
    entry = entries[0]
    unknown = sorted(set(entry) - SENSOR_KEYS)
    if unknown:
        raise BenchError(f"{path}: unknown key {unknown[0]!r} in [[sensor]]", f"the keys are {_list(SENSOR_KEYS)}")
    if entry.get("name") and sensor.name and entry["name"] != sensor.name:
        raise BenchError(f"{path} is about {entry['name']}, not {sensor.name}", "use a file of this card")
    field = entry.get("power_field")
    if field and field != sensor.power_field:
        raise BenchError(
            f"{path} is about the reading {field}, and this run uses {sensor.power_field}",
            "run bitwatt sensor again with this driver and --meter",
        )
    figures: dict[str, float] = {}
    for key, (low, high) in TIMING_BOUNDS.items():
        value = _figure(entry, key, None, path)
        if value is None:
            continue
        if not low <= value <= high:
            raise BenchError(f"{path}: {key} must be within {low:g} and {high:g}, not {value:g}", FIX)
        figures["power_period_s" if key == "period_s" else key] = value
    found: dict[str, Any] = dict(figures)
    if "averaging_s" in found:
        found["averaging_s"] = found["averaging_s"] or None
    return replace(sensor, **found)


def calibrated(sensor: Sensor, path: Path) -> Sensor:
    """The sensor with the calibration of a TOML file; energy figures are corrected by it, samples stay raw.

    Raises:
        BenchError: the file cannot be read, has an unknown key or a wrong value, or is for another sensor.
    """
    table = read_toml(path, "calibration", FIX)
    unknown = sorted(set(table) - KEYS)
    if unknown:
        raise BenchError(f"{path}: unknown key {unknown[0]!r}", f"the keys are {_list(KEYS)}")
    wanted = table.get("sensor_id")
    if wanted is not None and wanted != sensor.sensor_id:
        raise BenchError(f"{path} is for the sensor {wanted}, not {sensor.sensor_id}", "use this sensor's own file")
    if "points" in table:
        try:
            points = [(float(true_w), float(reading_w)) for true_w, reading_w in table["points"]]
            gain, offset_w, gain_share, offset_half_w = fit(points)
        except (TypeError, ValueError) as error:
            raise BenchError(f"{path}: points cannot be fitted ({error})", FIX) from None
        found: tuple[float | None, float | None] = (gain_share, offset_half_w)
    else:
        gain = _figure(table, "gain", 1.0, path) or 0.0
        offset_w = _figure(table, "offset_w", 0.0, path) or 0.0
        found = (
            _figure(table, "gain_uncertainty", sensor.gain_uncertainty, path),
            _figure(table, "offset_uncertainty_w", sensor.offset_uncertainty_w, path),
        )
    low, high = GAIN_BOUNDS
    if not low <= gain <= high:
        raise BenchError(f"{path}: gain must be within {low:g} and {high:g}, not {gain:g}", FIX)
    if any(half is not None and not 0 <= half <= LARGEST_UNCERTAINTY for half in found):
        raise BenchError(f"{path}: an uncertainty must be within 0 and {LARGEST_UNCERTAINTY:g}", FIX)
    return replace(
        _timed(sensor, table, path),
        calibration_gain=gain,
        calibration_offset_w=offset_w,
        gain_uncertainty=found[0],
        offset_uncertainty_w=found[1],
        uncertainty_source=str(table.get("source", f"calibration {path.name}"))
        if table.keys() & {"gain", "offset_w", "points"}
        else sensor.uncertainty_source,
    )
