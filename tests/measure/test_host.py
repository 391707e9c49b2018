"""Settings of the machine and interference, read from made-up trees."""

from __future__ import annotations

import pytest

from bench.measure import host, interference

STAT = "cpu  {user} 5 200 9000 30 7 8 {steal} 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "SYS", tmp_path / "sys")
    monkeypatch.setattr(host, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(host, "HUGE_PAGES", tmp_path / "huge")
    monkeypatch.setattr(host, "HYPERVISOR", tmp_path / "vendor")
    monkeypatch.setattr(host, "CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(host, "DOCKER", tmp_path / "dockerenv")
    monkeypatch.delenv("container", raising=False)

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return write


def test_an_empty_machine_leaves_the_cells_empty(tree):
    found = host.state()
    assert (found.cpu_governor, found.cpu_boost, found.smt, found.microcode) == (None, None, None, None)
    assert (found.numa_nodes, found.huge_pages, found.container, found.hypervisor) == (None, None, None, None)


def test_settings_are_read(tree):
    tree("sys/cpu/cpu0/cpufreq/scaling_governor", "performance\n")
    tree("sys/cpu/intel_pstate/no_turbo", "1\n")
    tree("sys/cpu/smt/active", "0\n")
    tree("sys/node/node0/cpulist", "0-3")
    tree("sys/node/node1/cpulist", "4-7")
    tree("cpuinfo", "processor : 0\nmicrocode\t: 0xa101148\nflags\t: fpu hypervisor sse\n")
    tree("huge", "always [madvise] never\n")
    tree("vendor", "QEMU\n")
    tree("cgroup", "0::/kubepods/pod1/x\n")
    found = host.state()
    assert (found.cpu_governor, found.cpu_boost, found.smt) == ("performance", False, False)
    assert (found.microcode, found.numa_nodes, found.huge_pages) == ("0xa101148", 2, "madvise")
    assert (found.container, found.hypervisor) == ("kubepods", "QEMU")


def test_boost_of_amd(tree):
    tree("sys/cpu/cpufreq/boost", "1")
    assert host.state().cpu_boost is True


def test_what_others_used_is_the_difference_less_our_own():
    before = interference.Reading(busy_s=100.0, steal_s=1.0, own_s=10.0, pressure_s=5.0, switches=3)
    after = interference.Reading(busy_s=104.0, steal_s=1.5, own_s=12.5, pressure_s=5.25, switches=7)
    assert interference.between(before, after) == interference.Interference(1.5, 0.5, 0.25, 4)
    less = interference.Reading(busy_s=100.4, steal_s=None, own_s=10.5, pressure_s=None, switches=3)
    assert interference.between(before, less) == interference.Interference(0.0, None, None, 0)


def test_counters_are_read_and_a_strange_file_gives_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(interference, "STAT", tmp_path / "stat")
    monkeypatch.setattr(interference, "PRESSURE", tmp_path / "pressure")
    assert interference.read().busy_s is None
    (tmp_path / "stat").write_text(STAT.format(user=100, steal=40))
    (tmp_path / "pressure").write_text("some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\nfull total=1\n")
    found = interference.read()
    assert (found.busy_s, found.steal_s, found.pressure_s) == (3.2, 0.4, 2.5)
    (tmp_path / "stat").write_text("cpu many\n")
    assert interference.read().steal_s is None
