"""Who else uses the machine before a run: another bitwatt, or processes that keep cores busy."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.measure import interference
from bench.measure.observer import Observer
from bench.model import EXIT_INVALID, BenchError, usable_cores
from bench.model.text import clean

SAMPLE_S = 0.3
BUSY_SHARE, BUSY_CORES = 0.1, 0.5
"""Others are a heavy load from this share of the cores on, and from this many cores."""
NAMED_CORES = 0.1
"""A process that keeps less than this busy is not named."""

_BITWATT = re.compile(r"(?:^|[/\\.])(?:bitwatt|bench\.cli\.app)(?:\.exe)?$")
_MEASURES = frozenset({"run", "sweep", "fleet", "worker"})


@dataclass(frozen=True, slots=True)
class Process:
    """One process: its name, the CPU seconds it has used, and whether it is a bitwatt that measures."""

    name: str
    cpu_s: float
    measures: bool


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What others do. Empty text: nothing worth naming."""

    runs: tuple[int, ...] = ()
    """Process ids of other bitwatts that measure."""
    busy_cores: float = 0.0
    names: tuple[str, ...] = ()
    """The busiest processes, with the cores they use."""

    @property
    def column(self) -> str | None:
        """For the row: names of processes are left out, since results are shared."""
        parts = ["another bitwatt"] if self.runs else []
        if self.heavy:
            parts.append(f"{self.busy_cores:.1f} cores busy")
        return ", ".join(parts) or None

    @property
    def heavy(self) -> bool:
        """Whether others keep enough cores busy to slow a run down."""
        return self.busy_cores >= max(BUSY_CORES, BUSY_SHARE * usable_cores())

    def __str__(self) -> str:
        parts = [f"another bitwatt is measuring (process {', '.join(map(str, self.runs))})"] if self.runs else []
        if self.heavy:
            names = f" ({', '.join(self.names)})" if self.names else ""
            parts.append(f"other processes keep {self.busy_cores:.1f} of {usable_cores()} cores busy{names}")
        return " and ".join(parts)


def processes() -> dict[int, Process]:
    """Every process that can be seen, without this one, those that started it and those that it started."""
    import psutil

    own = psutil.Process()
    related = {own.pid, *(each.pid for each in (*own.parents(), *own.children(recursive=True)))}
    found = {}
    for each in psutil.process_iter():
        if each.pid in related:
            continue
        try:
            with each.oneshot():
                cpu, command = each.cpu_times(), each.cmdline()
                found[each.pid] = Process(clean(each.name()), cpu.user + cpu.system, _measures(command))
        except psutil.Error:
            continue
    return found


def _measures(command: list[str]) -> bool:
    """Whether a command line is that of a bitwatt that measures."""
    for position, word in enumerate(command[:4]):
        if _BITWATT.search(word):
            return bool(_MEASURES.intersection(command[position + 1 : position + 2]))
    return False


def look(sample_s: float = SAMPLE_S, seen: Callable[[], Mapping[int, Process]] = processes) -> Neighbours:
    """What others do at this moment; takes ``sample_s`` seconds."""
    counters, before, start = interference.read(), seen(), time.monotonic()
    threading.Event().wait(sample_s)
    others, after = interference.between(counters, interference.read()), seen()
    seconds = time.monotonic() - start
    used = {pid: (process.cpu_s - before[pid].cpu_s) / seconds for pid, process in after.items() if pid in before}
    busiest = sorted((pid for pid, cores in used.items() if cores >= NAMED_CORES), key=used.__getitem__, reverse=True)
    return Neighbours(
        tuple(sorted(pid for pid, process in after.items() if process.measures)),
        sum(used.values()) if others.others_cpu_s is None else others.others_cpu_s / seconds,
        tuple(f"{after[pid].name} {used[pid]:.1f}" for pid in busiest[:3]),
    )


def wait(limit_s: float, observer: Observer, seen: Callable[[], Neighbours] = look) -> None:
    """Return once nobody else is at work.

    Raises:
        BenchError: somebody still was after ``limit_s`` seconds.
    """
    start = time.monotonic()
    observer.stage(None, "wait for an idle machine", limit_s)
    while str(found := seen()):
        passed_s = time.monotonic() - start
        if passed_s >= limit_s:
            raise BenchError(
                f"the machine was not idle within {limit_s:g} s: {found}",
                "end what runs there, wait longer, or leave out --wait-idle",
                exit_code=EXIT_INVALID,
            )
        observer.progress(passed_s, None, None, None)
        time.sleep(min(1.0, max(0.0, limit_s - passed_s)))
