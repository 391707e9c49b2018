"""Hashes per second of one thread, by instruction set. Run with: pytest --benchmark-only tests/benchmarks."""

from __future__ import annotations

import pytest

from bench import kernels_io
from bench.workloads import sha256d_cpu

NONCES = 1 << 18


@pytest.mark.parametrize("isa", sha256d_cpu.supported_isas())
def test_scan_of_one_thread(benchmark, isa):
    ffi, lib = kernels_io.host()
    index = sha256d_cpu.isa_names(ffi, lib).index(isa)
    shares = ffi.new("struct bw_shares *", {"capacity": 0, "entries": ffi.NULL})

    def scan():
        span = ffi.new("struct bw_range *", {"next": 0, "end": NONCES, "grain": 1 << 15, "stop": 0})
        lib.bw_sha256d_scan(index, bytes(80), 0, 32, span, shares)

    benchmark.extra_info["hashes"] = NONCES
    benchmark(scan)
    benchmark.extra_info["mhash_per_s"] = NONCES / benchmark.stats["min"] / 1e6
