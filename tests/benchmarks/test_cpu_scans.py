"""Hashes per second of one thread, by instruction set. Run with: pytest --benchmark-only tests/benchmarks."""

from __future__ import annotations

import pytest

from bench.workloads.hashing.cpu import HostScan, host_scan

CASES = [
    pytest.param(code, isa, nonces, id=f"{code.algorithm}-{isa}")
    for code, nonces in ((host_scan("sha256d"), 1 << 18), (host_scan("scrypt"), 1 << 9))
    for isa in code.supported()
]


@pytest.mark.parametrize(("code", "isa", "nonces"), CASES)
def test_scan_of_one_thread(benchmark, code: HostScan, isa: str, nonces: int):
    ffi, index = code.ffi, code.names().index(isa)
    shares = ffi.new("struct bw_shares *", {"capacity": 0, "entries": ffi.NULL})

    def scan():
        span = ffi.new("struct bw_range *", {"next": 0, "end": nonces, "grain": 1 << 15, "stop": 0})
        code.scan(index, bytes(80), 0, 32, span, shares)

    benchmark.extra_info["hashes"] = nonces
    benchmark(scan)
    benchmark.extra_info["hash_per_s"] = nonces / benchmark.stats["min"]
