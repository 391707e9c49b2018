"""scrypt (N = 1024, r = 1, p = 1) on the CPU: the C scan of ``kernels/scrypt_cpu.c``."""

from __future__ import annotations

from bench.model import Device, usable_cores
from bench.workloads.hashing import kernels
from bench.workloads.hashing.cpu import CpuScan, HostScan
from bench.workloads.hashing.engine import power_of_two_from
from bench.workloads.hashing.options import HashingOptions

GRAIN = 64
"""A whole number of any vector's lanes: 1 to 10 ms of one thread."""
NONCES_PER_THREAD = 256


def host_scan() -> HostScan:
    """Scrypt in the host library.

    Raises:
        BenchError: the library cannot be built or loaded.
    """
    return HostScan("scrypt", *kernels.host(), self_test_count=19, trial_nonces=64)


def open_engine(device: Device, options: HashingOptions) -> CpuScan:  # noqa: ARG001
    """The C engine on all usable cores (or ``options.threads``); ``options.isa`` as for SHA-256d.

    Raises:
        BenchError: an unknown or unsupported instruction set, or one that fails its self-test.
    """
    code = host_scan()
    threads = options.threads or usable_cores()
    isa = code.choose(options.isa, threads)
    iteration = NONCES_PER_THREAD * power_of_two_from(threads)
    return CpuScan(code.scan, code.names().index(isa), isa, threads=threads, grain=GRAIN, iteration=iteration)
