"""SHA-256d on the CPU: the C scan of ``kernels/sha256d_cpu.c`` in the instruction set that this machine runs best."""

from __future__ import annotations

from bench.model import Device, usable_cores
from bench.workloads.hashing import kernels
from bench.workloads.hashing.cpu import CpuScan, HostScan
from bench.workloads.hashing.engine import power_of_two_from
from bench.workloads.hashing.options import HashingOptions

GRAIN = 1 << 15
NONCES_PER_THREAD = 1 << 18
"""Of an iteration: 5 to 100 ms of one thread's work, long against the cost of handing it over."""


def host_scan() -> HostScan:
    """SHA-256d in the host library.

    Raises:
        BenchError: the library cannot be built or loaded.
    """
    return HostScan("sha256d", *kernels.host(), self_test_count=259, trial_nonces=1 << 16)


def open_engine(device: Device, options: HashingOptions) -> CpuScan:  # noqa: ARG001
    """The C engine on all usable cores (or ``options.threads``).

    ``options.isa`` names the instruction set; else every one that this machine has is self-tested, and a short trial
    on one thread picks the fastest.

    Raises:
        BenchError: an unknown or unsupported instruction set, or one that fails its self-test.
    """
    code = host_scan()
    threads = options.threads or usable_cores()
    isa = code.choose(options.isa, threads)
    iteration = NONCES_PER_THREAD * power_of_two_from(threads)
    return CpuScan(code.scan, code.names().index(isa), isa, threads=threads, grain=GRAIN, iteration=iteration)
