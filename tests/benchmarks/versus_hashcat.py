"""SHA-256d on this CPU against hashcat -m 21400, in turns, so that both see the same clocks and the same neighbours.

Usage: python tests/benchmarks/versus_hashcat.py [--rounds 3] [--seconds 6] [--isa avx512] [--at-least 1.10]

Needs Debian's hashcat and pocl-opencl-icd. hashcat's rate is the one that it measures itself. Prints one line per round
and the ratio of the best and of the median rates; exits 1 below --at-least.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import time

from bench.model import Device, Variant
from bench.workloads import sha256d


def hashcat_rate_mhs() -> float:
    """MH/s of all devices hashcat sees (on a machine without a GPU: pocl on all cores)."""
    command = ["hashcat", "-m", "21400", "-b", "--machine-readable"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rates = [float(line.split(":")[5]) for line in done.stdout.splitlines() if ":21400:" in line]
    if not rates:
        raise SystemExit(f"hashcat gave no rate: {(done.stdout + done.stderr)[-500:]}")
    return sum(rates) / 1e6


def our_rate_mhs(isa: str | None, seconds: float) -> tuple[float, str]:
    """MH/s of the job itself over about ``seconds``, its shares audited."""
    job = sha256d.build(Device("cpu", 0, "cpu"), Variant("sha256d", options={"isa": isa}))
    before = job.verify()
    if not before.ok:
        raise SystemExit(f"not verified: {before.reasons}")
    quanta, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        job.launch(8)
        job.sync()
        quanta += 8
    elapsed = time.perf_counter() - started
    after = job.audit()
    job.close()
    if not after.ok:
        raise SystemExit(f"audit failed: {after.reasons}")
    return quanta * job.facts.work_per_quantum / elapsed / 1e6, job.facts.implementation


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--isa")
    parser.add_argument("--at-least", type=float, default=1.10)
    asked = parser.parse_args()
    if not shutil.which("hashcat"):
        raise SystemExit("hashcat is not installed: apt-get install hashcat pocl-opencl-icd")
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(asked.rounds):
        before, name = our_rate_mhs(asked.isa, asked.seconds / 2)
        rate = hashcat_rate_mhs()
        after, _ = our_rate_mhs(asked.isa, asked.seconds / 2)
        ours += [before, after]
        theirs.append(rate)
        ratio = (before + after) / 2 / rate
        print(
            f"round {number + 1}: {name} {before:.1f} and {after:.1f} MH/s, hashcat {rate:.1f} MH/s, ratio {ratio:.3f}"
        )
    best = max(ours) / max(theirs)
    median = statistics.median(ours) / statistics.median(theirs)
    print(f"ratio of the best rates {best:.3f}, of the medians {median:.3f}; wanted {asked.at_least:.2f}")
    return 0 if min(best, median) >= asked.at_least else 1


if __name__ == "__main__":
    sys.exit(main())
