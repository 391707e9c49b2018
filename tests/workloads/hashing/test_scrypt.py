"""scrypt: the reference against RFC 7914, the C scan against the reference, the job over it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cffi import FFI
from Crypto.Protocol.KDF import scrypt as reference_kdf

from bench.model import BenchError, BuildContext, Device, Skip, Variant
from bench.workloads import load
from bench.workloads.hashing import kernels, scrypt, scrypt_cpu
from bench.workloads.hashing import shares as proof
from bench.workloads.hashing.cpu import CpuScan
from bench.workloads.hashing.engine import NONCE_SPACE, Work
from bench.workloads.hashing.job import HeaderRoll, reference_scan
from bench.workloads.hashing.options import HashingOptions

CPU = Device("cpu", 0, "x", memory_bytes=1 << 30)
CODE = scrypt_cpu.host_scan()
ISAS = CODE.supported()
CROSS = "aarch64-linux-gnu-gcc"
QEMU = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")


def test_the_reference_agrees_with_rfc_7914():
    # RFC 7914, section 12: the first vector.
    assert reference_kdf(b"", b"", 64, N=16, r=1, p=1).hex() == (
        "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
        "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"
    )


@pytest.mark.parametrize(("name", "header"), scrypt.ALGORITHM.known)
def test_known_headers_meet_the_target_that_they_state(name, header):
    digest = proof.scrypt(header)
    bits = int.from_bytes(header[72:76], "little")
    target = (bits & 0xFFFFFF) << 8 * ((bits >> 24) - 3)
    assert int.from_bytes(digest, "little") <= target, name
    assert proof.leading_zero_bits(digest) >= scrypt.ALGORITHM.known_bits


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    ("seed", "bits", "first", "count"), [(0, 1, 0, 35), (1, 2, NONCE_SPACE - 21, 21), (2, 1, 77, 1)]
)
def test_every_hash_agrees_with_the_reference(isa, seed, bits, first, count):
    header = HeaderRoll(seed).header(seed)
    found = sorted(CODE.once(isa, header, bits, first, count))
    assert found == reference_scan(proof.scrypt, header, bits, first, count)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("name", "header"), scrypt.ALGORITHM.known)
def test_real_blocks_are_found_from_every_lane(isa, name, header):
    nonce = int.from_bytes(header[76:], "little")
    for offset in (0, 1, 6, 11, 15):
        assert CODE.once(isa, header, 20, nonce - offset, 16) == [nonce], name


@pytest.mark.parametrize("isa", ISAS)
def test_the_whole_job(isa):
    job = scrypt.build(
        CPU, Variant("scrypt", options=HashingOptions(isa=isa, threads=1, share_bits=2)), BuildContext(seed=5)
    )
    assert job.facts.implementation == f"c-{isa}"
    before = job.verify()
    assert before.ok, before.reasons
    job.launch(1)
    job.sync()
    audit = job.audit()
    assert audit.ok, audit.reasons
    assert audit.shares_found
    job.close()


def test_the_choice_is_one_that_runs():
    engine = scrypt_cpu.open_engine(CPU, HashingOptions(threads=1))
    assert engine.implementation.removeprefix("c-") in ISAS
    engine.close()
    with pytest.raises(BenchError, match="no scrypt code for 'shani'"):
        scrypt_cpu.open_engine(CPU, HashingOptions(isa="shani"))


def test_no_memory_for_scratchpads_is_one_sentence():
    engine = CpuScan(lambda *_: -1, 0, "x", threads=1, grain=64, iteration=256)
    engine.scan(Work(0, bytes(80), 8), 0, 64)
    with pytest.raises(BenchError, match="no memory for the scan's scratchpads"):
        engine.sync()
    engine.close()


def test_plan_and_devices():
    assert load("scrypt") is scrypt
    options = HashingOptions(isa="avx2")
    assert scrypt.plan(CPU, options) == [Variant("scrypt", options=options)]
    with pytest.raises(Skip, match="mps:0 is left out"):
        scrypt.build(Device("mps", 0, "x"), Variant("scrypt"))
    with pytest.raises(Skip, match="no torch-portable version"):
        scrypt.build(CPU, Variant("scrypt", options=HashingOptions(engine="portable")))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("b[s] ^= ROTL(c[s] + d[s], 13)", "b[s] ^= ROTL(c[s] + d[s], 12)"),  # one rotation of Salsa20
        ("& (ROWS - 1)) * ROW_WORDS", "& (ROWS - 2)) * ROW_WORDS"),  # only even rows are read
        ("(64 + 80 + 4) * 8", "(64 + 80) * 8"),  # PBKDF2's length
    ],
)
def test_a_planted_fault_fails_the_self_test(tmp_path, monkeypatch, right, wrong):
    shutil.copytree(kernels.kernel_dir(), tmp_path / "kernels")
    file = tmp_path / "kernels" / "scrypt_cpu.c"
    text = file.read_text()
    assert text.count(right) == 1
    file.write_text(text.replace(right, wrong))
    kernels.build_library(tmp_path / "kernels", tmp_path / "lib.so", defines=("-O0",))
    ffi = FFI()
    ffi.cdef(kernels.declarations(kernels.source("host.h")))
    loaded = ffi.dlopen(str(tmp_path / "lib.so"))
    monkeypatch.setattr(kernels, "host", lambda: (ffi, loaded))
    broken = scrypt_cpu.host_scan()
    for isa in ISAS:
        assert "disagrees with the reference" in (broken.self_test(isa) or "")


ARM_DRIVER = """
#include <stdio.h>
#include <stdlib.h>
#include "host.h"
int main(int argc, char **argv) { /* isa header-hex first count */
    uint8_t header[80];
    static uint64_t entries[256];
    struct bw_shares shares = {0, 256, entries};
    struct bw_range range = {strtoull(argv[3], 0, 10), 0, 5, 0};
    if (argc != 5) return 2;
    range.end = range.next + strtoull(argv[4], 0, 10);
    for (int i = 0; i < 80; i++) sscanf(argv[2] + 2 * i, "%2hhx", &header[i]);
    if (bw_scan(BW_SCRYPT, atoi(argv[1]), header, 3, 1, &range, &shares)) return 3;
    for (uint64_t i = 0; i < shares.count; i++) printf("%llu\\n", (unsigned long long)(entries[i] & 0xffffffff));
    return 0;
}
"""


def test_arm_code_under_qemu(tmp_path):
    if not shutil.which(CROSS):
        pytest.skip(f"{CROSS} is not installed (Debian: gcc-aarch64-linux-gnu)")
    if not QEMU:
        pytest.skip("qemu-aarch64 is not installed (Debian: qemu-user)")
    (tmp_path / "driver.c").write_text(ARM_DRIVER)
    sources = Path(kernels.kernel_dir())
    objects = []
    for unit in kernels.units("aarch64"):
        objects.append(str(tmp_path / f"{unit.name}.o"))
        flags = [*kernels.COMMON_FLAGS, "-Werror", *unit.flags]
        subprocess.run([CROSS, *flags, "-c", str(sources / unit.source), "-o", objects[-1]], check=True)
    program = tmp_path / "driver"
    command = [CROSS, "-O1", "-static", "-I", str(sources), str(tmp_path / "driver.c"), *objects, "-o", str(program)]
    subprocess.run(command, check=True)
    header = HeaderRoll(8).header(8)
    for index in range(2):
        command = [QEMU, str(program), str(index), header.hex(), "41", "13"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        assert sorted(map(int, done.stdout.split())) == reference_scan(proof.scrypt, header, 1, 41, 13)
