"""What else used the machine during a window, measured: a slow window has an explanation, or none.

Sources: ``/proc/stat`` (proc_stat(5)), getrusage(2), ``/proc/pressure/cpu`` (pressure stall information). Other
processes include the power sampler, which takes under 1% of a core. Systems without these files give None.
"""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path

STAT = Path("/proc/stat")
PRESSURE = Path("/proc/pressure/cpu")


@dataclass(frozen=True, slots=True)
class Interference:
    """What was used between two readings. Field names are the columns of the row."""

    others_cpu_s: float | None = None
    """CPU seconds of other processes, over all cores."""
    steal_s: float | None = None
    """CPU seconds that the hypervisor gave to other machines, over all cores."""
    cpu_pressure_s: float | None = None
    """Seconds in which some task waited for a core."""
    involuntary_switches: int | None = None
    """How often this process was taken off a core."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Counters as they are now; None where the system does not have them."""

    busy_s: float | None
    steal_s: float | None
    own_s: float
    pressure_s: float | None
    switches: int


def read() -> Reading:
    """The counters of this moment."""
    busy_s, steal_s = _cpu_seconds()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return Reading(busy_s, steal_s, usage.ru_utime + usage.ru_stime, _pressure_s(), usage.ru_nivcsw)


def between(before: Reading, after: Reading) -> Interference:
    """What was used from one reading to the other.

    The kernel counts CPU time in ticks of 10 ms, so a small difference may come out below zero; it is then 0.
    """
    busy_s = _difference(before.busy_s, after.busy_s)
    others_s = None if busy_s is None else max(0.0, busy_s - (after.own_s - before.own_s))
    return Interference(
        others_cpu_s=others_s,
        steal_s=_difference(before.steal_s, after.steal_s),
        cpu_pressure_s=_difference(before.pressure_s, after.pressure_s),
        involuntary_switches=after.switches - before.switches,
    )


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else max(0.0, after - before)


def _cpu_seconds() -> tuple[float | None, float | None]:
    """Busy and stolen CPU seconds since boot, over all cores."""
    try:
        fields = STAT.read_text(encoding="ascii").splitlines()[0].split()[1:]
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
    except (OSError, ValueError, IndexError):
        return None, None
    ticks = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / ticks, steal / ticks


def _pressure_s() -> float | None:
    try:
        return int(PRESSURE.read_text(encoding="ascii").split("total=")[1].split()[0]) / 1e6
    except (OSError, ValueError, IndexError):
        return None
