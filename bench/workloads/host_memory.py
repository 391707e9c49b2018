"""Memory of the host that this process may still take: what is free, within its cgroups and its resource limits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

CGROUP = Path("/proc/self/cgroup")
CGROUP_ROOT = Path("/sys/fs/cgroup")
STATUS = Path("/proc/self/status")


def free_bytes() -> int:
    """Bytes that this process can still allocate; the least of what the machine, its cgroups and ulimit leave."""
    import psutil

    return max(0, min([int(psutil.virtual_memory().available), *_cgroups(), *_limits()]))


def _cgroups() -> Iterator[int]:
    """What each cgroup from the process's own up to the root leaves (cgroup-v2 and cgroup-v1/memory of the kernel).

    Pages of files that were not used of late are given up before anything is refused, so they count as free.
    """
    for line in _lines(CGROUP):
        controllers, _, path = line.partition(":")[2].partition(":")
        if controllers == "":
            root, names = CGROUP_ROOT, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root = CGROUP_ROOT / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        folder = root / path.lstrip("/")
        for each in (folder, *folder.parents):
            if each.is_relative_to(root):
                yield from _left(each, *names)


def _left(folder: Path, limit: str, usage: str, reclaimable: str) -> Iterator[int]:
    try:
        most, used = (int((folder / name).read_text(encoding="ascii")) for name in (limit, usage))
    except (OSError, ValueError):
        # no such file, or "max": no limit here
        return
    given_up = next(
        (int(line.split()[1]) for line in _lines(folder / "memory.stat") if line.split()[:1] == [reclaimable]), 0
    )
    yield most - used + given_up


def _limits() -> Iterator[int]:
    """What ``ulimit -v`` and ``ulimit -d`` leave."""
    if os.name != "posix":
        return
    import resource

    for limit, field in ((resource.RLIMIT_AS, "VmSize:"), (resource.RLIMIT_DATA, "VmData:")):
        most = resource.getrlimit(limit)[0]
        if most == resource.RLIM_INFINITY:
            continue
        used_kib = next((int(line.split()[1]) for line in _lines(STATUS) if line.startswith(field)), 0)
        yield most - (used_kib << 10)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
