"""Free memory is what the process may take: machine, cgroups of both versions, ulimit."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from bench.workloads import host_memory

GIB = 1 << 30


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(host_memory, "CGROUP", tmp_path / "self")
    monkeypatch.setattr(host_memory, "CGROUP_ROOT", tmp_path / "fs")
    monkeypatch.setattr(host_memory, "_limits", lambda: iter(()))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 64 * GIB}))
    return tmp_path


def group(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name.replace("__", ".")).write_text(f"{value}\n")


def test_without_limits_it_is_what_the_machine_has(cgroups: Path) -> None:
    assert host_memory.free_bytes() == 64 * GIB


def test_the_tightest_group_of_version_2_decides(cgroups: Path) -> None:
    (cgroups / "self").write_text("0::/pod/box\n")
    group(cgroups / "fs")
    group(cgroups / "fs/pod", memory__max=8 * GIB, memory__current=7 * GIB, memory__stat=f"inactive_file {2 * GIB}")
    group(cgroups / "fs/pod/box", memory__max="max", memory__current=6 * GIB)
    assert host_memory.free_bytes() == 3 * GIB


def test_version_1_and_its_controller_of_memory(cgroups: Path) -> None:
    (cgroups / "self").write_text("9:name=systemd:/other\n4:cpu,memory:/box\n")
    group(
        cgroups / "fs/memory/box",
        memory__limit_in_bytes=4 * GIB,
        memory__usage_in_bytes=3 * GIB,
        memory__stat=f"cache 1\ntotal_inactive_file {GIB // 2}",
    )
    assert host_memory.free_bytes() == GIB + GIB // 2


def test_a_group_above_its_limit_leaves_nothing(cgroups: Path) -> None:
    (cgroups / "self").write_text("0::/\n")
    group(cgroups / "fs", memory__max=GIB, memory__current=2 * GIB)
    assert host_memory.free_bytes() == 0


@pytest.mark.parametrize("name", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_ulimit_counts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    plain = resource.getrlimit
    wanted = getattr(resource, name)
    monkeypatch.setattr(resource, "getrlimit", lambda each: (1 << 44, 1 << 44) if each == wanted else plain(each))
    (left,) = [each for each in host_memory._limits() if each > 1 << 43]
    assert (1 << 44) - (1 << 40) < left < 1 << 44
