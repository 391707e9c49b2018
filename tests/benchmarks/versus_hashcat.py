"""SHA-256d on this CPU against hashcat -m 21400, in turns, so that both see the same clocks and the same neighbours.

Usage: python tests/benchmarks/versus_hashcat.py [--cpu-time] [--rounds 3] [--seconds 6] [--isa avx512]
       [--at-least 1.10]

Needs Debian's hashcat and pocl-opencl-icd. As it stands hashcat's rate is the one that its own benchmark states, on all
cores, and the machine should be idle. With --cpu-time both are counted in hashes per second of processor time, which
holds on a busy machine: hashcat's from the difference of a long and a short mask attack, less its start-up.
Prints one line per round and the ratio of the best and of the median rates; exits 1 below --at-least.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import time

from bench.model import Device, Variant
from bench.workloads.hashing import sha256d
from bench.workloads.hashing.options import HashingOptions

# Nothing hashes to this, so the whole mask is tried.
TARGET = "f" * 64
SHORT, LONG = 5, 6


def hashcat_rate_mhs() -> float:
    """MH/s of all devices hashcat sees (on a machine without a GPU: pocl on all cores), by its own benchmark."""
    command = ["hashcat", "-m", "21400", "-b", "--machine-readable"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rates = [float(line.split(":")[5]) for line in done.stdout.splitlines() if ":21400:" in line]
    if not rates:
        raise SystemExit(f"hashcat gave no rate: {(done.stdout + done.stderr)[-500:]}")
    return sum(rates) / 1e6


def hashcat_cpu_rate_mhs() -> float:
    """MH per second of processor time: the difference of two mask attacks."""
    seconds = [_attack_cpu_s(letters) for letters in (SHORT, LONG)]
    return (26**LONG - 26**SHORT) / (seconds[1] - seconds[0]) / 1e6


def _attack_cpu_s(letters: int) -> float:
    options = ["-a", "3", "-O", "-w", "3", "--quiet"]
    options += ["--potfile-disable", "--logfile-disable", "--self-test-disable"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = ["hashcat", "-m", "21400", *options, TARGET, "?l" * letters]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 1:  # 1: the whole mask was tried and nothing found
        raise SystemExit(f"hashcat ended with {done.returncode}: {(done.stdout + done.stderr)[-500:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def our_rate_mhs(isa: str | None, seconds: float, clock) -> tuple[float, str]:
    """MH/s of the job itself over about ``seconds`` of ``clock``, its shares audited."""
    job = sha256d.build(Device("cpu", 0, "cpu"), Variant("sha256d", options=HashingOptions(isa=isa)))
    before = job.verify()
    if not before.ok:
        raise SystemExit(f"not verified: {before.reasons}")
    iterations, started = 0, clock()
    while clock() - started < seconds:
        job.launch(8)
        job.sync()
        iterations += 8
    elapsed = clock() - started
    after = job.audit()
    job.close()
    if not after.ok:
        raise SystemExit(f"audit failed: {after.reasons}")
    return iterations * job.facts.work_per_iteration / elapsed / 1e6, job.facts.implementation


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--isa")
    parser.add_argument("--at-least", type=float, default=1.10)
    parser.add_argument("--cpu-time", action="store_true")
    asked = parser.parse_args()
    if not shutil.which("hashcat"):
        raise SystemExit("hashcat is not installed: apt-get install hashcat pocl-opencl-icd")
    clock, theirs_of = (
        (time.process_time, hashcat_cpu_rate_mhs) if asked.cpu_time else (time.perf_counter, hashcat_rate_mhs)
    )
    unit = "MH per processor second" if asked.cpu_time else "MH/s"
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(asked.rounds):
        before, name = our_rate_mhs(asked.isa, asked.seconds / 2, clock)
        rate = theirs_of()
        after, _ = our_rate_mhs(asked.isa, asked.seconds / 2, clock)
        ours += [before, after]
        theirs.append(rate)
        ratio = (before + after) / 2 / rate
        print(f"round {number + 1}: {name} {before:.1f} and {after:.1f}, hashcat {rate:.1f} {unit}, ratio {ratio:.3f}")
    best = max(ours) / max(theirs)
    median = statistics.median(ours) / statistics.median(theirs)
    print(f"ratio of the best rates {best:.3f}, of the medians {median:.3f}; wanted {asked.at_least:.2f}")
    return 0 if min(best, median) >= asked.at_least else 1


if __name__ == "__main__":
    sys.exit(main())
