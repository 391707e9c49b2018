"""The one table of settings that move rate or joules. Groups, pairs and the sentence about what differs read it.

A new setting is a column of :class:`~bench.model.Record` and a line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """One column that describes how a device was set up, or the conditions it ran under."""

    column: str
    heading: str
    tolerance: float | None = None
    """None for a setting: rows that differ in it are never pooled. For a condition, which varies by itself from window
    to window, the difference of means above which two sides differ."""
    of_the_card: bool = False
    """A trait of the card itself: that two cards differ in it is no news."""


_TABLE = (
    Setting("device_kind", "kind of device", of_the_card=True),
    Setting("device_arch", "architecture", of_the_card=True),
    Setting("device_cores", "cores", of_the_card=True),
    Setting("power_limit_w", "power limit (W)"),
    Setting("default_power_limit_w", "default power limit (W)", of_the_card=True),
    Setting("sm_clock_lock_mhz", "SM clock lock (MHz)"),
    Setting("app_sm_clock_mhz", "applications clock of the SMs (MHz)"),
    Setting("app_mem_clock_mhz", "applications clock of the memory (MHz)"),
    Setting("power_profiles", "workload power profiles"),
    Setting("power_smoothing", "power smoothing"),
    Setting("edpp_percent", "EDPp multiplier (%)"),
    Setting("power_limit_by", "power limit set by"),
    Setting("power_mizer", "PowerMizer mode"),
    Setting("adaptive_tgp", "adaptive TGP"),
    Setting("persistence", "persistence mode"),
    Setting("compute_mode", "compute mode"),
    Setting("mig", "MIG"),
    Setting("ecc", "ECC"),
    Setting("driver", "driver"),
    Setting("vbios", "VBIOS"),
    Setting("bar1_mib", "BAR1 (MiB)"),
    Setting("runtime", "runtime"),
    Setting("torch", "torch"),
    Setting("cupy", "CuPy"),
    Setting("implementation", "implementation"),
    Setting("harness_version", "bitwatt"),
    Setting("cpu_governor", "CPU governor"),
    Setting("cpu_boost", "CPU boost"),
    Setting("smt", "SMT"),
    Setting("microcode", "microcode"),
    Setting("numa_nodes", "NUMA nodes"),
    Setting("huge_pages", "huge pages"),
    Setting("container", "container"),
    Setting("hypervisor", "hypervisor"),
    Setting("co_tenants", "other processes on the card", tolerance=0.0),
    # The link slows down while a card idles, so it may differ from window to window.
    Setting("pcie_gen", "PCIe generation", tolerance=0.5),
    Setting("pcie_width", "PCIe lanes", tolerance=0.5),
    Setting("load_average_start", "load average at start", tolerance=0.5),
    Setting("temperature_start_c", "temperature at start (°C)", tolerance=5.0),
)

SETTINGS: Mapping[str, Setting] = {item.column: item for item in _TABLE}
"""By column."""

POOLED_ONLY_IF_EQUAL: tuple[str, ...] = tuple(item.column for item in SETTINGS.values() if item.tolerance is None)
CONDITIONS: tuple[str, ...] = tuple(item.column for item in SETTINGS.values() if item.tolerance is not None)
