"""Peak rates of a device: stated by its maker, or derived from what the device reports, or unknown.

Unknown is None, never a guess and never infinite. A stated peak holds at the card's rated boost clock; a card that
boosts higher can exceed it, so an MFU above 100% can be right. ``source`` says at which clock the peak holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from bench.data import cards
from bench.data.architectures import FLOP_PER_SM_CLOCK, HALF_ON_GEFORCE
from bench.model import Device


@dataclass(frozen=True, slots=True)
class Peak:
    """Peaks of one device in one type; None where unknown."""

    flops_per_s: float | None = None
    bytes_per_s: float | None = None
    source: str | None = None
    boost_mhz: float | None = None
    """The clock at which ``flops_per_s`` holds."""


def lookup(device: Device, dtype: str, properties: Any = None) -> Peak:
    """Peaks of ``device`` in ``dtype``.

    Args:
        device: matched by its name against the data file.
        dtype: ``fp32``, ``tf32``, ``fp16``, ``bf16``, ``fp8`` or ``int8``.
        properties: result of torch.cuda.get_device_properties; None to fetch it, if the device is CUDA.

    Returns:
        Stated figures; where none is stated, derived ones if the device reports its clocks; otherwise None.
    """
    if device.kind == "cpu":
        return Peak()
    card = cards.find(device.name)
    stated = card.tflops.get(dtype) if card else None
    memory = card.memory_gb_per_s if card else None
    boost = card.boost_mhz_of.get(dtype, card.boost_mhz) if card else None
    sources = []
    if card and (stated is not None or memory is not None):
        sources.append(f"stated: {card.source}" + (f", at {boost} MHz boost" if boost else ""))
    flops = stated * 1e12 if stated is not None else None
    bandwidth = memory * 1e9 if memory is not None else None
    if flops is None or bandwidth is None:
        derived = _derive(device, dtype, properties)
        if flops is None and derived.flops_per_s is not None:
            flops, boost = derived.flops_per_s, derived.boost_mhz
            sources.append(derived.source or "")
        if bandwidth is None and derived.bytes_per_s is not None:
            bandwidth = derived.bytes_per_s
            sources.append("memory derived, an upper bound: clock × 2 × bus width")
    if flops is None and bandwidth is None:
        return Peak()
    return Peak(flops, bandwidth, "; ".join(sources), boost)


def _derive(device: Device, dtype: str, properties: Any) -> Peak:
    """Clock × multiprocessors × FLOP per clock, and memory clock × 2 × bus width, as CUDA reports them."""
    if not device.is_nvidia:
        return Peak()
    if properties is None:
        if not torch.cuda.is_available():
            return Peak()
        properties = torch.cuda.get_device_properties(device.index)
    arch = (device.arch or "").rstrip("abcdefghijklmnopqrtuvwxyz")
    rate = FLOP_PER_SM_CLOCK.get(arch, {}).get(dtype)
    if rate and "geforce" in device.name.lower() and dtype in HALF_ON_GEFORCE.get(arch, set()):
        rate //= 2
    if arch == "sm_75" and "gtx 16" in device.name.lower() and dtype != "fp32":
        rate = None  # Turing without tensor cores
    clock_khz = getattr(properties, "clock_rate", 0) or 0
    cores = device.cores or getattr(properties, "multi_processor_count", 0) or 0
    flops = float(clock_khz) * 1e3 * cores * rate if rate and clock_khz and cores else None
    memory_khz = getattr(properties, "memory_clock_rate", 0) or 0
    bus_bits = getattr(properties, "memory_bus_width", 0) or 0
    bandwidth = float(memory_khz) * 1e3 * 2 * bus_bits / 8 if memory_khz and bus_bits else None
    source = f"derived, an upper bound: {cores} SM × {clock_khz / 1e3:.0f} MHz × {rate} FLOP" if flops else None
    return Peak(flops, bandwidth, source, clock_khz / 1e3 if flops else None)
