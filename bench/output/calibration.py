"""Gain and offset of a sensor against a reference meter, as a document and as a calibration file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from bench.model import Sensor
from bench.model.sensor_test import Level, Line
from bench.output.document import Document, Grid


def calibration(sensor: Sensor, reference: Sensor, levels: Sequence[Level], line: Line) -> Document:
    """The levels by both meters, and the line through them."""
    rows = []
    for level in sorted(levels, key=lambda level: level.true_w):
        left_w = level.reading_w - line.gain * level.true_w - line.offset_w
        cells = (level.true_w, level.true_half_w, level.reading_w, level.reading_half_w, left_w)
        rows.append(tuple(f"{value:.2f}" for value in cells))
    notes = [
        f"reading = {line.gain:.4f} × true {line.offset_w:+.2f} W;"
        f" gain ± {100 * line.gain_uncertainty:.2f}%, offset ± {line.offset_uncertainty_w:.2f} W (95%)"
    ]
    if reference.gain_uncertainty is None:
        notes.append("the reference's own gain and offset are not in these uncertainties: they are not known")
    if line.scatter > 2:
        notes.append(f"the windows scatter {line.scatter:.1f} times as much as their half-widths say")
    title = " ".join(filter(None, (sensor.name or sensor.source, sensor.sensor_id)))
    return Document(
        grids=(Grid(("reference W", "±", "reading W", "±", "left W"), tuple(rows), frozenset(range(5)), title=title),),
        rows=[{**asdict(line), "levels": [asdict(level) for level in levels]}],
        notes=tuple(notes),
        notes_are_results=True,
    )


def calibration_file(sensor: Sensor, levels: Sequence[Level], line: Line, source: str) -> str:
    """The TOML file that ``--sensor-calibration`` reads.

    Args:
        sensor: what was calibrated.
        levels: the windows.
        line: fitted to them.
        source: how and when, for whoever reads the figures.
    """
    text = [
        "# From `bitwatt calibrate`: reading = gain × true watts + offset_w.",
        f"sensor_id = {json.dumps(sensor.sensor_id)}"
        if sensor.sensor_id
        else "# the sensor has no identity of its own",
        f"source = {json.dumps(source)}",
        f"gain = {line.gain:.6g}",
        f"offset_w = {line.offset_w:.6g}",
        f"gain_uncertainty = {line.gain_uncertainty:.3g}  # relative, 95%",
        f"offset_uncertainty_w = {line.offset_uncertainty_w:.3g}  # 95%",
        "",
        "[measured]",
        "# reference watts, 95% half-width, reading in watts, 95% half-width",
        "levels = [",
        *(
            f"  [{level.true_w:.6g}, {level.true_half_w:.3g}, {level.reading_w:.6g}, {level.reading_half_w:.3g}],"
            for level in levels
        ),
        "]",
    ]
    return "\n".join(text) + "\n"
