"""The CSV row: what one window becomes."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from bench.measure.host import HostState
from bench.measure.interference import Interference
from bench.model import (
    METHOD_VERSION,
    SCHEMA_VERSION,
    Audit,
    CardState,
    Device,
    Energy,
    Facts,
    Idle,
    Record,
    Sensor,
    Variant,
    Window,
)
from bench.power import energy

GIB = 1 << 30
COLUMNS = frozenset(field.name for field in fields(Record))
IDLE_DRIFT = 0.05
"""Relative difference of the idle baselines before and after, above which rows carry a warning."""


@dataclass(frozen=True, slots=True)
class Context:
    """What every row of a run says of itself: the identity columns and the library versions."""

    run_id: str
    harness_version: str
    commit: str | None = None
    dirty: bool | None = None
    host: str | None = None
    torch: str | None = None
    cupy: str | None = None
    device_choice: str | None = None
    neighbours: str | None = None
    host_state: HostState = field(default_factory=HostState)


def record(
    device: Device,
    sensor: Sensor,
    context: Context,
    mode: str,
    variant: Variant,
    facts: Facts,
    window: Window,
    joules: Energy,
    audit: Audit,
    state: CardState,
    repeat: int,
    steady: bool | None,
    idle: Idle | None,
    started: datetime,
    others: Interference,
) -> Record:
    """The CSV row of one window."""
    rate = window.work / window.seconds
    iterations_per_s = rate / facts.work_per_iteration
    tokens_per_s = _scaled(facts.tokens_per_iteration, iterations_per_s)
    bytes_per_s = _scaled(facts.bytes_per_iteration, iterations_per_s)
    invalid = (*joules.invalid_reasons, *(() if audit.ok else audit.reasons))
    row = Record(
        schema_version=SCHEMA_VERSION,
        method_version=METHOD_VERSION,
        started_utc=started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        **_shared(context),
        **_shared(context.host_state),
        **_shared(others),
        **_device_columns(device),
        **_shared(state),
        **_shared(variant, without={"options"}),
        **_shared(facts),
        **_shared(audit),
        **_shared(joules, without={"throttle_reasons", "warnings", "invalid_reasons"}),
        repeat=repeat,
        mode=mode,
        window_s=window.seconds,
        launches=window.launches,
        work=window.work,
        rate_per_s=rate,
        tokens_per_s=tokens_per_s,
        block_tokens_per_s=_scaled(facts.block_tokens_per_iteration, iterations_per_s),
        meter=None if sensor.source == "none" else sensor.source,
        meter_id=sensor.sensor_id,
        energy_j=joules.joules,
        energy_method=joules.method,
        energy_scope=joules.scope,
        energy_uncertainty_j=joules.uncertainty_j,
        idle_power_w=None if idle is None else idle.power_w,
        work_per_j=_ratio(window.work, joules.joules),
        tokens_per_j=_ratio(_scaled(tokens_per_s, window.seconds), joules.joules),
        peak_per_s=facts.peak_work_per_s,
        mfu=_ratio(rate, facts.peak_work_per_s),
        mbu=_ratio(bytes_per_s, facts.peak_bytes_per_s),
        intensity_flop_per_byte=_ratio(facts.work_per_iteration, facts.bytes_per_iteration)
        if facts.work_unit == "FLOP"
        else None,
        memory_announced_gib=_scaled(facts.memory_bytes, 1 / GIB),
        throttle_reasons=_joined(joules.throttle_reasons),
        steady=steady,
        verified=audit.ok,
        valid=not invalid,
        invalid_reasons=_joined(invalid),
        warnings=_joined(joules.warnings),
    )
    if row.idle_power_w is None:
        return row
    return replace(row, net_work_per_j=_net_work_per_j(row, row.idle_power_w))


def _shared(item: Any, without: Collection[str] = ()) -> dict[str, Any]:
    """The columns that have the same name in a boundary type as in the row."""
    names = {field.name for field in fields(item)} & COLUMNS - set(without)
    return {name: getattr(item, name) for name in names}


def _device_columns(device: Device) -> dict[str, Any]:
    return {
        "device_kind": device.kind,
        "device_name": device.name,
        "device_uuid": device.uuid,
        "device_index": device.index,
        "device_cores": device.cores,
        "device_memory_gib": _scaled(device.memory_bytes, 1 / GIB),
        "device_arch": device.arch,
        "driver": device.driver,
        "runtime": device.runtime,
    }


def _net_work_per_j(row: Record, idle_power_w: float) -> float | None:
    joules = Energy(row.energy_j, None, None, uncertainty_j=row.energy_uncertainty_j)
    return energy.net_work_per_j(row.work, joules, row.window_s, idle_power_w, power_smoothing=row.power_smoothing)


def _ratio(above: float | None, below: float | None) -> float | None:
    return None if above is None or not below else above / below


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _joined(texts: Sequence[str]) -> str | None:
    return ";".join(text.replace(";", ",") for text in texts) or None


def settle(records: Sequence[Record], before: Idle | None, after: Idle | None) -> list[Record]:
    """Settle what is known only at the end: idle power as the mean of both baselines, and net work per joule.

    A difference above 5% between the baselines adds a warning to every row.
    """
    watts = [idle.power_w for idle in (before, after) if idle is not None and idle.power_w is not None]
    if not watts:
        return list(records)
    mean = statistics.fmean(watts)
    drifted = len(watts) == 2 and abs(watts[1] - watts[0]) > IDLE_DRIFT * mean
    done = []
    for record in records:
        warnings = record.warnings
        if drifted:
            text = f"idle power moved from {watts[0]:.1f} W to {watts[1]:.1f} W"
            warnings = f"{warnings};{text}" if warnings else text
        done.append(replace(record, idle_power_w=mean, net_work_per_j=_net_work_per_j(record, mean), warnings=warnings))
    return done
