"""The C scan in every instruction set that this machine runs, against pycryptodome."""

from __future__ import annotations

import csv
import platform
import shutil
import subprocess

import pytest
from cffi import FFI
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.model import BenchError, BuildContext, Device, Variant, usable_cores
from bench.workloads.hashing import cpu as cpu_scan
from bench.workloads.hashing import kernels, sha256d, sha256d_cpu
from bench.workloads.hashing import shares as proof
from bench.workloads.hashing.engine import NONCE_SPACE, Work
from bench.workloads.hashing.job import HeaderRoll, reference_scan
from bench.workloads.hashing.options import HashingOptions
from tests.support.paths import DATA

CPU = Device("cpu", 0, "x", memory_bytes=1 << 30)
CODE = sha256d_cpu.host_scan()
ISAS = CODE.supported()


def scan(isa, header, bits, first, count):
    return sorted(CODE.once(isa, header, bits, first, count))


def test_this_machine_runs_at_least_the_generic_code():
    assert "generic" in ISAS
    if platform.machine() == "x86_64":
        assert "sse2" in ISAS


@pytest.mark.parametrize("isa", ISAS)
@settings(max_examples=8, deadline=None)
@given(
    header=st.binary(min_size=80, max_size=80),
    bits=st.integers(1, 5),
    first=st.one_of(
        st.integers(0, 70), st.integers(0, NONCE_SPACE - 1), st.integers(NONCE_SPACE - 70, NONCE_SPACE - 1)
    ),
    count=st.integers(1, 131),
)
def test_every_hash_agrees_with_the_reference(isa, header, bits, first, count):
    count = min(count, NONCE_SPACE - first)
    assert scan(isa, header, bits, first, count) == reference_scan(proof.sha256d, header, bits, first, count)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("first", [0, 1, 0xFF, 0x00FFFFFD, 0x7FFFFFFF, NONCE_SPACE - 67, NONCE_SPACE - 1])
def test_edges(isa, first):
    header = HeaderRoll(5).header(0)
    count = min(67, NONCE_SPACE - first)
    assert scan(isa, header, 1, first, count) == reference_scan(proof.sha256d, header, 1, first, count)


@pytest.mark.parametrize("isa", ISAS)
def test_real_blocks_are_found_from_every_lane(isa):
    with (DATA / "headers.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            nonce = int(row["nonce"])
            for offset in range(17):
                assert scan(isa, bytes.fromhex(row["header_hex"]), 32, nonce - offset, 100) == [nonce]


@pytest.mark.parametrize("isa", ISAS)
def test_threads_share_a_range_without_gap_or_repeat(isa):
    engine = cpu_scan.CpuScan(CODE.scan, CODE.names().index(isa), isa, threads=3, grain=61, iteration=4096)
    header = HeaderRoll(9).header(2)
    engine.scan(Work(5, header, 3), 1001, 1500)
    engine.scan(Work(6, header, 3), 1001, 1)
    engine.sync()
    found = sorted(engine.drain())
    due = reference_scan(proof.sha256d, header, 3, 1001, 1500)
    assert [nonce for sequence, nonce in found if sequence == 5] == due
    assert [nonce for sequence, nonce in found if sequence == 6] == [n for n in due if n == 1001]
    assert engine.drain() == []
    engine.close()
    engine.close()


def test_an_overflow_is_reported_and_never_silent():
    engine = cpu_scan.CpuScan(
        CODE.scan, CODE.names().index("generic"), "x", threads=2, grain=64, iteration=4096, capacity=10
    )
    engine.scan(Work(0, bytes(80), 1), 0, 1000)
    engine.sync()
    with pytest.raises(BenchError, match="only 10 could be kept"):
        engine.drain()
    assert engine.drain() == []
    engine.close()


def test_close_stops_a_long_scan():
    generic = CODE.names().index("generic")
    engine = cpu_scan.CpuScan(CODE.scan, generic, "x", threads=1, grain=1024, iteration=4096)
    engine.scan(Work(0, bytes(80), 32), 0, NONCE_SPACE - 1)
    span = engine._running[0][0]
    engine.close()
    assert span.next < NONCE_SPACE - 1


@pytest.mark.parametrize(("first", "count"), [(-1, 1), (0, 0), (NONCE_SPACE - 1, 2)])
def test_ranges_outside_the_space_are_refused(first, count):
    engine = sha256d_cpu.open_engine(CPU, HashingOptions(threads=1, isa="generic"))
    with pytest.raises(ValueError, match="32-bit space"):
        engine.scan(Work(0, bytes(80), 8), first, count)
    engine.close()


@pytest.mark.parametrize("isa", ISAS)
def test_the_whole_job_in_every_instruction_set(isa):
    job = sha256d.build(
        CPU, Variant("sha256d", options=HashingOptions(isa=isa, threads=2, share_bits=12)), BuildContext(seed=5)
    )
    assert job.facts.implementation == f"c-{isa}"
    assert job.facts.options == "threads=2"
    assert job.verify().ok
    job.launch(1)
    job.sync()
    audit = job.audit()
    assert audit.ok, audit.reasons
    assert audit.shares_found
    job.close()


def test_the_choice_is_one_that_runs_and_is_named():
    engine = sha256d_cpu.open_engine(CPU, HashingOptions())
    assert engine.implementation.removeprefix("c-") in ISAS
    assert engine.setting == f"threads={usable_cores()}"
    engine.close()


def test_unknown_and_unsupported_instruction_sets_are_refused(monkeypatch):
    with pytest.raises(BenchError, match="no sha256d code for 'mmx'"):
        sha256d_cpu.open_engine(CPU, HashingOptions(isa="mmx"))
    with pytest.raises(BenchError, match="number of threads"):
        sha256d_cpu.open_engine(CPU, HashingOptions(threads=0))
    ffi, lib = kernels.host()

    class NothingRuns:
        BW_SHA256D = lib.BW_SHA256D
        bw_isa = lib.bw_isa

        def bw_supported(self, algorithm, index):
            return 0

    monkeypatch.setattr(kernels, "host", lambda: (ffi, NothingRuns()))
    with pytest.raises(BenchError, match="does not run generic"):
        sha256d_cpu.open_engine(CPU, HashingOptions(isa="generic"))
    with pytest.raises(BenchError, match="none runs on this CPU"):
        sha256d_cpu.open_engine(CPU, HashingOptions())


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Libraries built from the same text with one constant of the rounds changed."""
    folder = tmp_path_factory.mktemp("planted")
    shutil.copytree(kernels.kernel_dir(), folder / "kernels")
    text = (folder / "kernels" / "sha256d.h").read_text()
    assert text.count("0x682e6ff3u") == 1
    (folder / "kernels" / "sha256d.h").write_text(text.replace("0x682e6ff3u", "0x682e6ff2u"))
    kernels.build_library(folder / "kernels", folder / "lib.so", defines=("-O0",))
    ffi = FFI()
    ffi.cdef(kernels.declarations(kernels.source("host.h")))
    return ffi, ffi.dlopen(str(folder / "lib.so"))


def test_a_planted_wrong_constant_fails_every_self_test(planted, monkeypatch):
    monkeypatch.setattr(kernels, "host", lambda: planted)
    broken = sha256d_cpu.host_scan()
    for isa in ISAS:
        assert "disagrees with the reference" in (broken.self_test(isa) or "")
        assert CODE.self_test(isa) is None
    with pytest.raises(BenchError, match="no sha256d code passes its self-test"):
        sha256d_cpu.open_engine(CPU, HashingOptions())
    with pytest.raises(BenchError, match="fails its self-test"):
        sha256d_cpu.open_engine(CPU, HashingOptions(isa="generic"))


ARM_DRIVER = """
#include <stdio.h>
#include <stdlib.h>
#include "host.h"
int main(int argc, char **argv) { /* isa header-hex bits first count */
    uint8_t header[80];
    static uint64_t entries[1 << 16];
    struct bw_shares shares = {0, 1 << 16, entries};
    struct bw_range range = {strtoull(argv[4], 0, 10), 0, 57, 0};
    if (argc != 6) return 2;
    range.end = range.next + strtoull(argv[5], 0, 10);
    for (int i = 0; i < 80; i++) sscanf(argv[2] + 2 * i, "%2hhx", &header[i]);
    bw_scan(BW_SHA256D, atoi(argv[1]), header, 3, (uint32_t)atoi(argv[3]), &range, &shares);
    for (uint64_t i = 0; i < shares.count; i++) printf("%llu\\n", (unsigned long long)(entries[i] & 0xffffffff));
    return bw_supported(BW_SHA256D, atoi(argv[1])) ? 0 : 3;
}
"""
CROSS = "aarch64-linux-gnu-gcc"
QEMU = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")


@pytest.fixture(scope="module")
def arm_program(tmp_path_factory):
    if not shutil.which(CROSS):
        pytest.skip(f"{CROSS} is not installed (Debian: gcc-aarch64-linux-gnu)")
    if not QEMU:
        pytest.skip("qemu-aarch64 is not installed (Debian: qemu-user)")
    folder = tmp_path_factory.mktemp("arm")
    (folder / "driver.c").write_text(ARM_DRIVER)
    sources = kernels.kernel_dir()
    objects = []
    for unit in kernels.units("aarch64"):
        objects.append(str(folder / f"{unit.name}.o"))
        flags = [*kernels.COMMON_FLAGS, "-Werror", *unit.flags]
        subprocess.run([CROSS, *flags, "-c", str(sources / unit.source), "-o", objects[-1]], check=True)
    program = folder / "driver"
    command = [CROSS, "-O1", "-static", "-I", str(sources), str(folder / "driver.c"), *objects, "-o", str(program)]
    subprocess.run(command, check=True)
    return program


@pytest.mark.parametrize(("index", "isa"), list(enumerate(["armv8", "neon", "generic"])))
def test_arm_code_under_qemu(arm_program, index, isa):
    header = HeaderRoll(index).header(0)
    for bits, first, count in [
        (1, 0, 515),
        (4, NONCE_SPACE - 1003, 1003),
        (2, 0x7FFFFFF1, 99),
        (1, NONCE_SPACE - 1, 1),
    ]:
        command = [QEMU, str(arm_program), str(index), header.hex(), str(bits), str(first), str(count)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found = sorted(int(line) for line in done.stdout.split())
        assert found == reference_scan(proof.sha256d, header, bits, first, count), isa


def test_a_cold_first_scan_does_not_end_a_trial(monkeypatch):
    """A thread's first scan pays for fresh memory; the fastest code must not be dropped for that."""
    seen: dict[str, int] = {}

    def trial(_self, isa: str, _pool, _threads: int) -> float:
        seen[isa] = seen.get(isa, 0) + 1
        if isa == "fast":
            return 1.0 if seen[isa] == 1 else 30.0
        return 18.0

    monkeypatch.setattr(cpu_scan.HostScan, "self_test", lambda _self, _isa: None)
    monkeypatch.setattr(cpu_scan.HostScan, "_trial", trial)
    assert sha256d_cpu.host_scan()._fastest(["fast", "slow"], 2) == "fast"
    seen.clear()
    assert sha256d_cpu.host_scan()._fastest(["slow", "fast"], 2) == "fast"
