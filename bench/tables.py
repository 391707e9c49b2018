"""What ``run`` and ``devices`` show: a line per variant with its mean and spread, and the notes below. Pure."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial

from rich.table import Table

from bench.model import Device, Record, Sensor
from bench.units import figures, scaled, symbol

GIB = 1 << 30


def rows_table(records: Sequence[Record]) -> Table:
    """One line per device, workload and setting, over its valid windows."""
    header, lines, caption = _lines(records)
    table = Table(
        title=caption, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="bold"
    )
    for place, name in enumerate(header):
        table.add_column(name, justify="left" if place < 2 else "right", no_wrap=place >= 2)
    for line in lines:
        table.add_row(*line)
    return table


def rows_markdown(records: Sequence[Record]) -> str:
    """The same as a Markdown table."""
    header, lines, caption = _lines(records)
    rule = ["---" if place < 2 else "---:" for place in range(len(header))]
    body = [header, rule, *lines]
    return f"**{caption}**\n\n" + "\n".join("| " + " | ".join(_escaped(line)) + " |" for line in body) + "\n"


def row_notes(records: Sequence[Record]) -> list[str]:
    """What a reader of the table must know: invalid windows with their reasons, unsteady ones, missing watts."""
    notes = [
        f"invalid: {_what(record)}, repeat {record.repeat}: {record.invalid_reasons}"
        for record in records
        if not record.valid
    ]
    unsteady = sum(record.steady is False for record in records)
    if unsteady:
        notes.append(
            f"{unsteady} of {len(records)} windows began before rate, power and temperature stood still (steady=false)"
        )
    # Without a meter the only warning is why there are no watts, and that was said before the run.
    warned = [record.warnings for record in records if record.warnings and record.meter]
    notes += [f"note: {text}" for text in dict.fromkeys(";".join(warned).split(";")) if text]
    return notes


def devices_table(lines: Iterable[tuple[Device, Sensor]]) -> Table:
    """What can be measured, and the power sensor of each."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("device", "name", "cores", "memory", "driver", "power sensor"):
        table.add_column(name, overflow="fold")
    for device, sensor in lines:
        table.add_row(
            device.label,
            device.name,
            "" if device.cores is None else str(device.cores),
            "" if device.memory_bytes is None else f"{device.memory_bytes / GIB:.1f} GiB",
            device.driver or "",
            _sensor_text(sensor),
        )
    return table


def devices_json(lines: Iterable[tuple[Device, Sensor]]) -> str:
    """The same as a JSON list of objects."""
    found = [{"device": device.label, **asdict(device), "sensor": asdict(sensor)} for device, sensor in lines]
    return json.dumps(found, indent=1) + "\n"


def _sensor_text(sensor: Sensor) -> str:
    if sensor.reason:
        return f"none: {sensor.reason}"
    ways = [name for name, on in (("counter", sensor.counter), (sensor.power_field, sensor.power_field)) if on]
    return f"{sensor.source} {sensor.sensor_id or ''} ({', '.join(map(str, ways))}; scope {sensor.scope})"


def _lines(records: Sequence[Record]) -> tuple[list[str], list[list[str]], str]:
    """Header, body and caption; a column that would be empty everywhere is left out."""
    groups: dict[tuple[object, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(_key(record), []).append(record)
    # identical cards of one box are told apart by their index, other devices by their name
    cards = dict.fromkeys((record.device_kind, record.device_index, record.device_name) for record in records)
    many = len(cards) > 1

    cells: list[list[str]] = []
    header = ["workload", "implementation", "rate", "±95%", "watts", "work per joule", "tokens/s", "MFU", "windows"]
    for group in groups.values():
        first = group[0]
        good = [record for record in group if record.valid and record.verified]
        unit = symbol(first.work_unit)
        rates = [record.rate_per_s for record in good]
        name = f"{first.device_kind}:{first.device_index} {_what(first)}" if many else _what(first)
        mark = "" if first.native else " (emulated)"
        cells.append(
            [
                name,
                first.implementation + mark,
                scaled(statistics.fmean(rates), f"{unit}/s") if rates else "invalid",
                _half_width(rates),
                _mean(good, "power_mean_w", lambda value: f"{figures(value)} W"),
                _mean(good, "work_per_j", partial(scaled, unit=f"{unit}/J")),
                _mean(good, "tokens_per_s", figures),
                _mean(good, "mfu", lambda value: f"{value:.1%}"),
                f"{len(good)}/{len(group)}",
            ]
        )
    kept = [place for place in range(len(header)) if place < 3 or any(line[place] for line in cells)]
    caption = ", ".join(f"{name} ({kind}:{index})" if kind != "cpu" else name for kind, index, name in cards)
    modes = "/".join(dict.fromkeys(record.mode for record in records))
    seconds = _range([record.window_s for record in records])
    caption += f": {len(records)} windows of {seconds} s ({modes})"
    return [header[place] for place in kept], [[line[place] for place in kept] for line in cells], caption


def _key(record: Record) -> tuple[object, ...]:
    return (
        record.device_kind,
        record.device_index,
        record.workload,
        record.phase,
        record.shape,
        record.dtype,
        record.batch,
        record.seq,
        record.product,
        record.implementation,
        record.options,
    )


def _what(record: Record) -> str:
    parts = [record.workload, record.phase, record.shape, record.product, record.dtype]
    parts += [f"batch {record.batch}" if record.batch is not None else None]
    parts += [f"seq {record.seq}" if record.seq is not None else None]
    return " ".join(part for part in parts if part)


def _half_width(values: Sequence[float]) -> str:
    """Relative 95% half-width (Student's t); empty for one window, which tells no spread."""
    if len(values) < 2:
        return ""
    from scipy.stats import t

    half = t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return f"{half / statistics.fmean(values):.1%}"


def _mean(records: Sequence[Record], column: str, write: Callable[[float], str]) -> str:
    values = [value for record in records if (value := getattr(record, column)) is not None]
    return write(statistics.fmean(values)) if values else ""


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return low if low == high else f"{low} to {high}"


def _escaped(line: Sequence[str]) -> list[str]:
    return [cell.replace("|", "\\|") for cell in line]
