"""Settings of the machine that decide its speed and power: what two runs must share to be comparable."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

SYS = Path("/sys/devices/system")
CPUINFO = Path("/proc/cpuinfo")
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
HYPERVISOR = Path("/sys/class/dmi/id/sys_vendor")
CGROUP = Path("/proc/1/cgroup")
DOCKER = Path("/.dockerenv")


@dataclass(frozen=True, slots=True)
class HostState:
    """Field names are the columns of the row; None where the system does not say."""

    cpu_governor: str | None = None
    cpu_boost: bool | None = None
    smt: bool | None = None
    microcode: str | None = None
    numa_nodes: int | None = None
    huge_pages: str | None = None
    load_average_start: float | None = None
    container: str | None = None
    hypervisor: str | None = None


def state() -> HostState:
    """The machine's settings as they are now."""
    return HostState(
        cpu_governor=_text(SYS / "cpu/cpu0/cpufreq/scaling_governor"),
        cpu_boost=_boost(),
        smt=_flag(_text(SYS / "cpu/smt/active")),
        microcode=_cpuinfo("microcode"),
        numa_nodes=len(list((SYS / "node").glob("node[0-9]*"))) or None,
        huge_pages=_chosen(_text(HUGE_PAGES)),
        load_average_start=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        container=_container(),
        hypervisor=_hypervisor(),
    )


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None


def _flag(text: str | None) -> bool | None:
    return {"1": True, "0": False}.get(text or "")


def _boost() -> bool | None:
    """AMD and acpi-cpufreq say whether boost is on, Intel's driver whether turbo is off."""
    boost = _flag(_text(SYS / "cpu/cpufreq/boost"))
    no_turbo = _flag(_text(SYS / "cpu/intel_pstate/no_turbo"))
    return boost if boost is not None or no_turbo is None else not no_turbo


def _chosen(text: str | None) -> str | None:
    """``always [madvise] never`` → ``madvise``."""
    found = re.search(r"\[(\w+)\]", text or "")
    return found[1] if found else None


def _cpuinfo(key: str) -> str | None:
    found = re.search(rf"^{key}\s*:\s*(\S+)", _text(CPUINFO) or "", re.MULTILINE)
    return found[1] if found else None


def _container() -> str | None:
    """The engine that a container runs under, by the marks that it leaves."""
    if DOCKER.exists():
        return "docker"
    named = os.environ.get("container")  # noqa: SIM112 - podman and systemd-nspawn spell it so
    if "APPTAINER_NAME" in os.environ:
        named = "apptainer"
    found = re.search(r"docker|kubepods|lxc|podman", _text(CGROUP) or "")
    return named or (found[0] if found else None)


def _hypervisor() -> str | None:
    """Whose virtual machine this is; None on bare metal, or where nothing says."""
    if " hypervisor" not in (_text(CPUINFO) or ""):
        return None
    return _text(HYPERVISOR) or "unknown"
