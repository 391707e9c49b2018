"""The C scans in every instruction set that this machine runs, against pycryptodome."""

from __future__ import annotations

import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from cffi import FFI
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import workloads
from bench.model import Audit, BenchError, BuildContext, Device, Variant, usable_cores
from bench.workloads.hashing import cpu, kernels, scrypt, sha256d
from bench.workloads.hashing.engine import NONCE_SPACE, Work
from bench.workloads.hashing.job import Algorithm, HeaderRoll, reference_scan, rolled_reference
from bench.workloads.hashing.options import VERSION_COUNTS, HashingOptions
from tests.support.hashing import mined_headers

CPU = Device("cpu", 0, "x", memory_bytes=1 << 30)


@dataclass(frozen=True)
class Case:
    """One algorithm, and how many nonces of it a test can afford to hash again in Python."""

    algorithm: Algorithm
    most: int
    share_bits: int
    """For a whole job: an iteration yields tens of shares."""

    @property
    def code(self) -> cpu.HostScan:
        return cpu.host_scan(self.algorithm.name)

    def reference(self, header: bytes, bits: int, first: int, count: int) -> list[int]:
        return reference_scan(self.algorithm.digest, header, bits, first, count)

    def scan(self, isa: str, header: bytes, bits: int, first: int, count: int) -> list[int]:
        return sorted(nonce for _, nonce in self.code.once(isa, header, bits, first, count))


CASES = {
    "sha256d": Case(sha256d.ALGORITHM, most=131, share_bits=12),
    "scrypt": Case(scrypt.ALGORITHM, most=35, share_bits=2),
}
ALGORITHMS = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
EVERY_ISA = pytest.mark.parametrize(
    ("case", "isa"), [pytest.param(c, isa, id=f"{n}-{isa}") for n, c in CASES.items() for isa in c.code.supported()]
)


@ALGORITHMS
def test_this_machine_runs_at_least_the_generic_code(case):
    assert "generic" in case.code.supported()
    if platform.machine() == "x86_64":
        assert "sse2" in case.code.supported()


@pytest.mark.parametrize("isa", CASES["sha256d"].code.supported())
@settings(max_examples=8, deadline=None)
@given(
    header=st.binary(min_size=80, max_size=80),
    bits=st.integers(1, 5),
    first=st.one_of(
        st.integers(0, 70), st.integers(0, NONCE_SPACE - 1), st.integers(NONCE_SPACE - 70, NONCE_SPACE - 1)
    ),
    count=st.integers(1, 131),
)
def test_any_scan_agrees_with_the_reference(isa, header, bits, first, count):
    case, count = CASES["sha256d"], min(count, NONCE_SPACE - first)
    assert case.scan(isa, header, bits, first, count) == case.reference(header, bits, first, count)


@pytest.mark.parametrize("isa", CASES["sha256d"].code.supported())
@settings(max_examples=8, deadline=None)
@given(
    header=st.binary(min_size=80, max_size=80),
    bits=st.integers(1, 5),
    first=st.one_of(st.integers(0, 70), st.integers(NONCE_SPACE - 70, NONCE_SPACE - 1)),
    count=st.integers(1, 61),
    versions=st.sampled_from(VERSION_COUNTS[1:]),
)
def test_rolled_versions_agree_with_the_reference(isa, header, bits, first, count, versions):
    case, count = CASES["sha256d"], min(count, NONCE_SPACE - first)
    found = sorted(case.code.once(isa, header, bits, first, count, versions))
    assert found == rolled_reference(case.algorithm.digest, header, bits, first, count, versions)


@EVERY_ISA
@pytest.mark.parametrize("first", [0, 1, 0xFF, 0x00FFFFFD, 0x7FFFFFFF, NONCE_SPACE - 21, NONCE_SPACE - 1])
def test_edges_of_the_nonce_space(case, isa, first):
    header = HeaderRoll(5).header(0)
    count = min(case.most // 2, NONCE_SPACE - first)
    assert case.scan(isa, header, 1, first, count) == case.reference(header, 1, first, count)


@EVERY_ISA
def test_real_blocks_are_found_from_every_lane(case, isa):
    known = [header for _, header in case.algorithm.known]
    if case is CASES["sha256d"]:
        known += [header for header, _ in mined_headers()]
    for header in known:
        nonce = int.from_bytes(header[76:], "little")
        for offset in range(17):
            assert case.scan(isa, header, case.algorithm.known_bits, nonce - offset, 17) == [nonce]


@EVERY_ISA
def test_threads_share_a_range_without_gap_or_repeat(case, isa):
    engine = cpu.CpuScan(case.code.scan, case.code.names().index(isa), isa, threads=3, grain=7, iteration=4096)
    header, count = HeaderRoll(9).header(2), 2 * case.most
    engine.scan(Work(5, header, 2), 1001, count)
    engine.scan(Work(6, header, 2), 1001, 1)
    engine.sync()
    found = sorted(engine.drain())
    expected = case.reference(header, 2, 1001, count)
    assert [nonce for sequence, nonce in found if sequence == 5] == expected
    assert [nonce for sequence, nonce in found if sequence == 6] == [n for n in expected if n == 1001]
    assert engine.drain() == []
    engine.close()
    engine.close()


@EVERY_ISA
def test_the_whole_job(case, isa):
    whole_job(case, HashingOptions(isa=isa, threads=2, share_bits=case.share_bits), f"c-{isa}")


@pytest.mark.parametrize("versions", VERSION_COUNTS[1:])
@pytest.mark.parametrize("isa", CASES["sha256d"].code.supported())
def test_the_whole_job_with_rolled_versions(isa, versions):
    case = CASES["sha256d"]
    options = HashingOptions(isa=isa, threads=2, share_bits=case.share_bits, version_rolling=versions)
    audit = whole_job(case, options, f"c-{isa}-roll{versions}")
    assert len({share.header_hex[:8] for share in audit.shares}) == versions


def test_scrypt_rolls_no_versions():
    engine = cpu.open_engine("scrypt", HashingOptions(isa="generic", threads=1, version_rolling=4))
    assert (engine.implementation, engine.versions) == ("c-generic", 1)
    engine.close()


def whole_job(case: Case, options: HashingOptions, name: str) -> Audit:
    """Verify a job, run one iteration of it, and return what its audit says."""
    workload = workloads.load(case.algorithm.name)
    job = workload.build(CPU, Variant(case.algorithm.name, options=options), BuildContext(seed=5))
    assert job.facts.implementation == name
    assert job.facts.options == "threads=2"
    sizes = cpu.SIZES[case.algorithm.name]
    assert job.facts.work_per_iteration == 2 * sizes.per_thread
    before = job.verify()
    assert before.ok, before.reasons
    job.launch(1)
    job.sync()
    audit = job.audit()
    assert audit.ok, audit.reasons
    assert audit.shares_found
    assert audit.shares_expected == job.facts.work_per_iteration / 2**case.share_bits
    job.close()
    return audit


@ALGORITHMS
def test_the_choice_is_one_that_runs_and_is_named(case):
    engine = cpu.open_engine(case.algorithm.name, HashingOptions())
    assert engine.implementation.removeprefix("c-") in case.code.supported()
    assert engine.setting == f"threads={usable_cores()}"
    engine.close()


def test_an_overflow_is_reported_and_never_silent():
    code = CASES["sha256d"].code
    engine = cpu.CpuScan(
        code.scan, code.names().index("generic"), "x", threads=2, grain=64, iteration=4096, capacity=10
    )
    engine.scan(Work(0, bytes(80), 1), 0, 1000)
    engine.sync()
    with pytest.raises(BenchError, match="only 10 could be kept"):
        engine.drain()
    assert engine.drain() == []
    engine.close()


def test_close_stops_a_long_scan():
    code = CASES["sha256d"].code
    engine = cpu.CpuScan(code.scan, code.names().index("generic"), "x", threads=1, grain=1024, iteration=4096)
    engine.scan(Work(0, bytes(80), 32), 0, NONCE_SPACE - 1)
    span = engine._running[0][0]
    engine.close()
    assert span.next < NONCE_SPACE - 1


@pytest.mark.parametrize(("first", "count"), [(-1, 1), (0, 0), (NONCE_SPACE - 1, 2)])
def test_ranges_outside_the_space_are_refused(first, count):
    engine = cpu.open_engine("sha256d", HashingOptions(threads=1, isa="generic"))
    with pytest.raises(ValueError, match="32-bit space"):
        engine.scan(Work(0, bytes(80), 8), first, count)
    engine.close()


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [(-1, BenchError, "no memory for the scan's scratchpads"), (-2, ValueError, "the host library refuses this scan")],
)
def test_a_scan_that_does_not_run_is_an_error(status, error, says):
    engine = cpu.CpuScan(lambda *_: status, 0, "x", threads=1, grain=64, iteration=256)
    engine.scan(Work(0, bytes(80), 8), 0, 64)
    with pytest.raises(error, match=says):
        engine.sync()
    engine.close()


def test_the_library_refuses_what_is_out_of_range():
    ffi, lib = kernels.host()
    shares, span = ffi.new("struct bw_shares *"), ffi.new("struct bw_range *", {"end": 1, "grain": 1})
    for algorithm, index, bits in [(2, 0, 8), (-1, 0, 8), (lib.BW_SCRYPT, 99, 8), (lib.BW_SHA256D, -1, 8)]:
        assert lib.bw_scan(algorithm, index, bytes(80), 1, 0, bits, span, shares) == cpu.BW_WRONG_USE
    for versions in (0, 3, 16):
        assert lib.bw_scan(lib.BW_SHA256D, 0, bytes(80 * 16), versions, 0, 8, span, shares) == lib.BW_WRONG_USE
    assert lib.bw_scan(lib.BW_SCRYPT, 0, bytes(160), 2, 0, 8, span, shares) == lib.BW_WRONG_USE
    for bits in (0, 33):
        generic = CASES["scrypt"].code.names().index("generic")
        assert lib.bw_scan(lib.BW_SCRYPT, generic, bytes(80), 1, 0, bits, span, shares) == lib.BW_WRONG_USE
    assert span.next == 0


@ALGORITHMS
def test_unknown_and_unsupported_instruction_sets_are_refused(case, monkeypatch):
    name = case.algorithm.name
    with pytest.raises(BenchError, match=f"no {name} code for 'mmx'"):
        cpu.open_engine(name, HashingOptions(isa="mmx"))
    ffi, lib = kernels.host()

    class NothingRuns:
        BW_SHA256D, BW_SCRYPT = lib.BW_SHA256D, lib.BW_SCRYPT
        bw_isa = lib.bw_isa

        def bw_supported(self, algorithm, index):
            return 0

    monkeypatch.setattr(kernels, "host", lambda: (ffi, NothingRuns()))
    with pytest.raises(BenchError, match="does not run generic"):
        cpu.open_engine(name, HashingOptions(isa="generic"))
    with pytest.raises(BenchError, match="none runs on this CPU"):
        cpu.open_engine(name, HashingOptions())


def test_an_algorithm_has_only_the_instruction_sets_it_is_compiled_for():
    with pytest.raises(BenchError, match="no scrypt code for 'shani'"):
        cpu.open_engine("scrypt", HashingOptions(isa="shani"))


# -- planted faults ---------------------------------------------------------------------------------------------------


def library_with(folder: Path, file: str, right: str, wrong: str) -> tuple[FFI, object]:
    """The host library with ``right`` replaced by ``wrong`` in one file, as ``kernels.host()`` returns it."""
    shutil.copytree(kernels.kernel_dir(), folder / "kernels")
    text = (folder / "kernels" / file).read_text()
    assert right in text
    (folder / "kernels" / file).write_text(text.replace(right, wrong))
    kernels.build_library(folder / "kernels", folder / "lib.so", defines=("-O0",))
    ffi = FFI()
    ffi.cdef(kernels.declarations(kernels.source("host.h")))
    return ffi, ffi.dlopen(str(folder / "lib.so"))


@pytest.mark.parametrize(
    ("name", "file", "right", "wrong"),
    [
        ("sha256d", "sha256d.h", "0x682e6ff3u", "0x682e6ff2u"),  # one constant of the rounds
        ("scrypt", "scrypt_cpu.c", "b[s] ^= ROTL(c[s] + d[s], 13)", "b[s] ^= ROTL(c[s] + d[s], 12)"),  # a rotation
        ("scrypt", "scrypt_cpu.c", "& (ROWS - 1)) * ROW_WORDS", "& (ROWS - 2)) * ROW_WORDS"),  # only even rows are read
        ("scrypt", "scrypt_cpu.c", "(64 + 80 + 4) * 8", "(64 + 80) * 8"),  # PBKDF2's length
    ],
)
def test_a_planted_fault_fails_every_self_test(tmp_path, monkeypatch, name, file, right, wrong):
    case = CASES[name]
    assert all(case.code.self_test(isa) is None for isa in case.code.supported())
    faulty = library_with(tmp_path, file, right, wrong)
    monkeypatch.setattr(kernels, "host", lambda: faulty)
    for isa in case.code.supported():
        assert "disagrees with the reference" in (case.code.self_test(isa) or "")
    with pytest.raises(BenchError, match=f"no {name} code passes its self-test"):
        cpu.open_engine(name, HashingOptions())
    with pytest.raises(BenchError, match="fails its self-test"):
        cpu.open_engine(name, HashingOptions(isa="generic"))


@pytest.mark.parametrize(
    ("right", "wrong", "caught"),
    [
        ("const sha256d_job *job = &work->jobs[version];", "const sha256d_job *job = work->jobs;", "avx2"),
        ("hash_digests(&fixed->of[version]", "hash_digests(&fixed->of[0]", "shani"),
        ("work->sequence + version, nonce", "work->sequence, nonce", "generic"),
    ],
)
def test_a_fault_in_version_rolling_alone_fails_its_self_test(tmp_path, monkeypatch, right, wrong, caught):
    code = CASES["sha256d"].code
    if caught not in code.supported():
        pytest.skip(f"this CPU does not run {caught}")
    faulty = library_with(tmp_path, "sha256d_cpu.c", right, wrong)
    monkeypatch.setattr(kernels, "host", lambda: faulty)
    code = CASES["sha256d"].code
    assert code.self_test(caught) is None
    assert all("disagrees with the reference" in (code.self_test(caught, v) or "") for v in VERSION_COUNTS[1:])


def test_a_cold_first_scan_does_not_end_a_trial(monkeypatch):
    """A thread's first scan pays for fresh memory; the fastest code must not be dropped for that."""
    seen: dict[str, int] = {}

    def trial(_self, isa: str, _pool, _threads: int, _versions: int) -> float:
        seen[isa] = seen.get(isa, 0) + 1
        if isa == "fast":
            return 1.0 if seen[isa] == 1 else 30.0
        return 18.0

    monkeypatch.setattr(cpu.HostScan, "self_test", lambda _self, _isa, _versions: None)
    monkeypatch.setattr(cpu.HostScan, "_trial", trial)
    assert cpu.host_scan("sha256d")._fastest(["fast", "slow"], 2) == "fast"
    seen.clear()
    assert cpu.host_scan("sha256d")._fastest(["slow", "fast"], 2) == "fast"


# -- ARM, under an emulator -------------------------------------------------------------------------------------------

ARM_DRIVER = """
#include <stdio.h>
#include <stdlib.h>
#include "host.h"
int main(int argc, char **argv) { /* algorithm isa headers-hex bits first count versions */
    uint8_t headers[8 * 80];
    static uint64_t entries[1 << 16];
    struct bw_shares shares = {0, 1 << 16, entries};
    struct bw_range range = {strtoull(argv[5], 0, 10), 0, 57, 0};
    if (argc != 8) return 2;
    const int versions = atoi(argv[7]);
    range.end = range.next + strtoull(argv[6], 0, 10);
    for (int i = 0; i < 80 * versions; i++) sscanf(argv[3] + 2 * i, "%2hhx", &headers[i]);
    if (bw_scan(atoi(argv[1]), atoi(argv[2]), headers, versions, 3, (uint32_t)atoi(argv[4]), &range, &shares)) return 3;
    for (uint64_t i = 0; i < shares.count; i++) printf("%llu\\n", (unsigned long long)entries[i]);
    return 0;
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


@pytest.mark.parametrize(
    ("name", "index", "versions"),
    [*(("sha256d", index, versions) for index in range(3) for versions in (1, 8)), ("scrypt", 0, 1), ("scrypt", 1, 1)],
)
def test_arm_code_under_qemu(arm_program, name, index, versions):
    case = CASES[name]
    header = HeaderRoll(index).header(0)
    number = {"sha256d": 0, "scrypt": 1}[name]
    for bits, first, count in [
        (1, 0, 4 * case.most),
        (4, NONCE_SPACE - 8 * case.most, 8 * case.most),
        (2, 0x7FFFFFF1, case.most),
        (1, NONCE_SPACE - 1, 1),
    ][: None if name == "sha256d" else 1]:
        headers = cpu.rolled_headers(header, versions).hex()
        command = [QEMU, str(arm_program), *map(str, (number, index, headers, bits, first, count, versions))]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found = sorted(((entry >> 32) - 3, entry & 0xFFFFFFFF) for entry in map(int, done.stdout.split()))
        assert found == rolled_reference(case.algorithm.digest, header, bits, first, count, versions)
