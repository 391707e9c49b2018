"""SHA-256d on the CPU: the C scan of ``kernels/sha256d_cpu.c`` in the instruction set that this machine runs best."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from bench import kernels_io, proof
from bench.model import BenchError, Device
from bench.workloads.cpu_scan import CpuScan, power_of_two_from, thread_count
from bench.workloads.engine import NONCE_SPACE
from bench.workloads.scan import HeaderRoll, reference_scan

GRAIN = 1 << 15
NONCES_PER_THREAD = 1 << 18
"""Of a quantum: 5 to 100 ms of one thread's work, long against the cost of handing it over."""
SELF_TEST_COUNT = 259
SELF_TEST_BITS = 2
TRIAL_NONCES = 1 << 17
TRIAL_BOUND_S = 0.01
CLEARLY_FASTER = 1.03
"""A later instruction set wins the trial only by this factor, so that noise does not change the choice."""


def open_engine(device: Device, options: Mapping[str, Any]) -> CpuScan:  # noqa: ARG001
    """The C engine on all usable cores (or ``options["threads"]``).

    ``options["isa"]`` names the instruction set; else every one that this machine has is self-tested, and a short trial
    on one thread picks the fastest.

    Raises:
        BenchError: an unknown or unsupported instruction set, or one that fails its self-test.
    """
    ffi, lib = kernels_io.host()
    names = isa_names(ffi, lib)
    asked = options.get("isa")
    isa = _best(ffi, lib, names) if asked in (None, "auto") else _asked(ffi, lib, names, str(asked))
    threads = thread_count(options)
    return CpuScan(
        lib.bw_sha256d_scan,
        names.index(isa),
        isa,
        threads=threads,
        grain=GRAIN,
        quantum=NONCES_PER_THREAD * power_of_two_from(threads),
    )


def isa_names(ffi: Any, lib: Any) -> list[str]:
    """Instruction sets that the library holds, best first as a rule."""
    names: list[str] = []
    while (name := lib.bw_sha256d_isa(len(names))) != ffi.NULL:
        names.append(ffi.string(name).decode())
    return names


def supported_isas() -> list[str]:
    """Instruction sets of the library that this machine runs."""
    ffi, lib = kernels_io.host()
    return [name for index, name in enumerate(isa_names(ffi, lib)) if lib.bw_sha256d_supported(index)]


def scan_once(ffi: Any, lib: Any, index: int, header: bytes, bits: int, first: int, count: int) -> list[int]:
    """One scan on this thread: the shares' nonces in the order found. For self-tests and trials."""
    span = ffi.new("struct bw_range *", {"next": first, "end": first + count, "grain": GRAIN, "stop": 0})
    entries = ffi.new("uint64_t[]", count)
    shares = ffi.new("struct bw_shares *", {"capacity": count, "entries": entries})
    lib.bw_sha256d_scan(index, header, 0, bits, span, shares)
    return [entry & 0xFFFFFFFF for entry in ffi.unpack(entries, shares.count)]


def self_test(ffi: Any, lib: Any, index: int) -> str | None:
    """Compare one instruction set with pycryptodome over every lane; what is wrong, or None."""
    for seed, first in enumerate((0, 0x7FFFFFFF - 100, NONCE_SPACE - SELF_TEST_COUNT)):
        header = HeaderRoll(seed).header(seed)
        found = sorted(scan_once(ffi, lib, index, header, SELF_TEST_BITS, first, SELF_TEST_COUNT))
        if found != reference_scan(proof.sha256d, header, SELF_TEST_BITS, first, SELF_TEST_COUNT):
            return f"it disagrees with the reference on nonces from {first}"
    return None


def _asked(ffi: Any, lib: Any, names: list[str], isa: str) -> str:
    if isa not in names:
        raise BenchError(f"there is no instruction set {isa!r} in the host library", f"choose from {', '.join(names)}")
    index = names.index(isa)
    if not lib.bw_sha256d_supported(index):
        usable = [name for number, name in enumerate(names) if lib.bw_sha256d_supported(number)]
        raise BenchError(f"this CPU does not run {isa}", f"choose from {', '.join(usable)}")
    wrong = self_test(ffi, lib, index)
    if wrong:
        raise BenchError(f"the {isa} code fails its self-test: {wrong}", "leave --isa out, and report this as a defect")
    return isa


def _best(ffi: Any, lib: Any, names: list[str]) -> str:
    """The fastest instruction set that passes its self-test."""
    best: tuple[float, str] | None = None
    failures: list[str] = []
    for index, name in enumerate(names):
        if not lib.bw_sha256d_supported(index):
            continue
        wrong = self_test(ffi, lib, index)
        if wrong:
            failures.append(f"{name}: {wrong}")
            continue
        rate = _trial(ffi, lib, index)
        if best is None or rate > best[0] * CLEARLY_FASTER:
            best = (rate, name)
    if best is None:
        raise BenchError(
            f"no SHA-256d code passes its self-test ({'; '.join(failures) or 'none runs on this CPU'})",
            "delete bench/_native and run again, with another compiler in CC",
        )
    return best[1]


def _trial(ffi: Any, lib: Any, index: int) -> float:
    """Hashes per second of one thread: the best of a few short scans."""
    header = HeaderRoll(0).header(0)
    best, spent, count = 0.0, 0.0, 1 << 12
    while spent < TRIAL_BOUND_S and count <= TRIAL_NONCES:
        started = time.perf_counter()
        scan_once(ffi, lib, index, header, 32, 0, count)
        seconds = time.perf_counter() - started
        best, spent, count = max(best, count / seconds), spent + seconds, count * 2
    return best
