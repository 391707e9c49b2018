"""What a sensor's self-test found, as a document and as a file that others can use."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from bench.model import Sensor
from bench.model.sensor_test import PROPERTIES, Estimate
from bench.output.document import Document, Grid
from bench.output.format import MISSING


def sensor_test(sensor: Sensor, found: Mapping[str, Estimate]) -> Document:
    """Each property with its uncertainty, or why it was not seen."""
    rows = []
    for name, (meaning, unit) in PROPERTIES.items():
        estimate = found[name]
        value = "not seen" if estimate.value is None else " ".join((_figure(estimate), unit)).strip()
        half = _half_width(estimate)
        rows.append((meaning, value, half, estimate.note))
    title = " ".join(filter(None, (sensor.name or sensor.source, sensor.sensor_id, sensor.power_field)))
    return Document(
        grids=(Grid(("property", "value", "± (95%)", "note"), tuple(rows), frozenset({1, 2}), title=title),),
        rows=[
            {
                "property": name,
                "value": estimate.value,
                "half_width": estimate.half_width,
                "unit": estimate.unit,
                "note": estimate.note or None,
            }
            for name, estimate in found.items()
        ],
    )


def _digits_after(half_width: float | None, value: float) -> int:
    """Decimals that show two digits of the half-width; three digits of the value where there is none."""
    smallest = half_width if half_width else abs(value) / 10
    return max(0, 1 - math.floor(math.log10(smallest))) if smallest > 0 else 0


def _figure(estimate: Estimate) -> str:
    assert estimate.value is not None  # noqa: S101 (the caller checks)
    return f"{estimate.value:.{_digits_after(estimate.half_width, estimate.value)}f}"


def _half_width(estimate: Estimate) -> str:
    if estimate.value is None or not estimate.half_width:
        return MISSING
    return f"{estimate.half_width:.{_digits_after(estimate.half_width, estimate.value)}f}"


def sensor_file(sensor: Sensor, found: Mapping[str, Estimate], source: str) -> str:
    """The TOML file: what ``--sensor-calibration`` reads, with an entry for the data file of cards.

    Args:
        sensor: what was examined.
        found: by :func:`bench.power.selftest.examine`.
        source: how and when, for whoever reads the figures.
    """
    text = [
        "# The properties of one power sensor, measured by `bitwatt sensor`. Use: --sensor-calibration.",
        "# The [[sensor]] table may be copied into bench/data/cards.toml, above the families, for cards of this name.",
        "# Without the line sensor_id it serves other cards of this name.",
        *((f"sensor_id = {json.dumps(sensor.sensor_id)}",) if sensor.sensor_id else ()),
        f"source = {json.dumps(source)}",
        "",
        "[[sensor]]",
        f"family = {json.dumps(sensor.name or sensor.source)}",
        f"name = {json.dumps(sensor.name or sensor.source)}",
        f"source = {json.dumps(source)}",
        f"power_field = {json.dumps(sensor.power_field or '')}",
    ]
    entry = {
        "period_s": found["update_period_s"].value,
        "duty": found["duty"].value,
        "delay_s": _not_negative(found["delay_s"].value),
        "counter_delay_s": _not_negative(found["counter_delay_s"].value),
    }
    if found["duty"].value is not None:
        # 0: a reading covers no more than its own update period
        entry["averaging_s"] = found["averaging_s"].value or 0.0
    text += [f"{key} = {value:.6g}" for key, value in entry.items() if value is not None]
    text += ["", "[measured]", "# value, 95% half-width"]
    text += [
        f"{name} = [{estimate.value:.6g}, {estimate.half_width or 0.0:.3g}]"
        for name, estimate in found.items()
        if estimate.value is not None
    ]
    return "\n".join(text) + "\n"


def _not_negative(value: float | None) -> float | None:
    """A delay below 0 is one of 0, seen with its uncertainty."""
    return None if value is None else max(0.0, value)
