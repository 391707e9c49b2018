"""How near the CPU's SHA-256d code runs to what its own instructions allow.

Usage: python tests/benchmarks/port_limit.py [--isa shanivl] [--versions 4] [--rounds 60] [--at-least 0.9]

Two limits, each for the straight blocks of instructions that hash, taken from the compiler's own assembly:

- measured on this core: the same instructions with their registers renamed so that none waits for another, run in
  turns with the kernel. It counts ports, front end, loads and stores, and leaves latency out. Two renamings are run, as
  reading idle registers costs more than forwarding on some cores: sources that never change, and results of twelve
  instructions before. The faster is the limit.
- counted by llvm-mca, where it is installed, for the processors whose ports it knows: predicted clocks over the clocks
  of the busiest port.

With several versions (BIP 320) there are two blocks: one that runs once a nonce and one that runs for each version. The
count takes both. The measured limit leaves the first out, whose stores to the stand-in's memory are slower than the
kernel's: no code can be faster, and the share reached is a lower bound, far off with two versions. The ratio to the
plain scan is the median over rounds.

x86-64 and gcc only. One thread, by its processor time. Exits 1 where the measured share is below --at-least.
"""

from __future__ import annotations

import argparse
import ctypes
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.workloads.hashing import cpu, kernels
from bench.workloads.hashing.options import VERSION_COUNTS

LANES = {"avx512": 16, "avx2": 8, "sse2": 4, "shani": 4, "shanivl": 4}
PROCESSORS = {"avx2": ("znver3", "haswell", "icelake-server"), "avx512": ("icelake-server",)}
SHA_PROCESSORS = ("znver3",)
NONCES = 1 << 17
ROTATION = 13
"""Registers that take results in turn; 0 is what SHA instructions read unasked, 14 and 15 never change."""

VECTOR = re.compile(r"\b([xyz])mm(\d+)\b")
SCALAR = re.compile(r"^(?:[re](?:ax|bx|cx|dx|si|di|bp)|r(?:[89]|1[0-5])d?)$")
SCAN_SIZE = re.compile(r"(\w+ PTR )?")
BROADCAST = re.compile(r"\{1to\d+\}")


def assembly(isa: str, folder: Path) -> str:
    """gcc's assembly of one instruction set's unit, with the flags of the product."""
    unit = next(u for u in kernels.units(platform.machine()) if (u.source, u.isa) == ("sha256d_cpu.c", isa))
    flags = [*kernels.COMMON_FLAGS, *kernels.IN_ORDER, *unit.flags]
    made = folder / f"{isa}.s"
    source = str(kernels.kernel_dir() / unit.source)
    subprocess.run(["gcc", *flags, "-masm=intel", "-S", "-o", str(made), source], check=True)
    return made.read_text()


def block_of(text: str, function: str) -> list[str]:
    """Instructions of a function's longest run between two labels: the rounds of one vector, or of all streams."""
    start = re.search(rf"^{function}[.\w]*:", text, re.MULTILINE)
    if start is None:
        raise SystemExit(f"no function {function} in the assembly")
    blocks: list[list[str]] = [[]]
    for line in text[start.end() : text.index("\t.size", start.end())].splitlines():
        if re.match(r"\.?\w\S*:", line):
            blocks.append([])
        elif re.match(r"\t[a-z]", line):
            blocks[-1].append(line.strip())
    return max(blocks, key=len)


def blocks_of(text: str, isa: str, versions: int) -> list[tuple[list[str], int]]:
    """Blocks that hash one vector of nonces in every version, and how often each runs for it."""
    streams = "sha" in isa
    # With SHA instructions the second compression is a function that the others call.
    second = block_of(text, "hash_digests") if streams else []
    if versions == 1:
        return [(block_of(text, "hash_streams" if streams else "hash_lanes") + second, 1)]
    # SHA instructions hash the first version while they expand the schedule.
    once = block_of(text, "hash_keeping" if streams else "expand_lanes")
    return [(once + second * streams, 1), (block_of(text, "hash_expanded") + second, versions - streams)]


def operands(rest: str) -> list[str]:
    return [part.strip() for part in re.split(r",(?![^\[]*\])", rest)]


def independent(block: list[str], forwarded: bool) -> list[str]:
    """The vector instructions of ``block``, each free of the others (``forwarded``: fed by one long done)."""
    made: list[str] = []
    turn = memory = 0
    for instruction in block:
        name, _, rest = instruction.partition("\t")
        if "mm" not in rest:
            continue
        turn = turn % ROTATION + 1
        parts = operands(rest)
        for at, part in enumerate(parts):
            register = VECTOR.search(part)
            if "PTR" in part or "[" in part:
                memory += 64
                base = "rdi" if at == 0 else "rsi"
                size, wide = SCAN_SIZE.match(part), BROADCAST.search(part)
                parts[at] = f"{size and size.group(0)}[{base}+{memory % 2048}]{wide.group(0) if wide else ''}"
            elif register:
                number = turn if at == 0 else (turn + at - 1) % ROTATION + 1 if forwarded else 14 + at % 2
                if name == "sha256rnds2" and at == 2:
                    number = 0
                # A register from 16 on asks for another encoding, which counts too.
                number += 16 if int(register.group(2)) >= 16 else 0
                parts[at] = f"{register.group(1)}mm{number}"
            elif SCALAR.match(part):
                parts[at] = "eax"
        made.append(f"{name}\t{', '.join(parts)}")
    return made


def callable_loop(block: list[str], folder: Path, name: str) -> ctypes._CFuncPtr:
    """``(stores, loads, times)``: runs ``block`` so often. All vector registers belong to the callee."""
    text = [".intel_syntax noprefix", ".text", ".globl run", "run:", ".p2align 6", "1:", *block]
    text += ["dec rdx", "jnz 1b", "ret", '.section .note.GNU-stack,"",@progbits', ""]
    source, library = folder / f"{name}.s", folder / f"{name}.so"
    source.write_text("\n".join(text))
    subprocess.run(["gcc", "-shared", "-o", str(library), str(source)], check=True)
    run = ctypes.CDLL(str(library)).run
    run.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64]
    run.restype = None
    return run


def measured_share(
    isa: str, block: list[str], versions: int, folder: Path, rounds: int
) -> tuple[float, float, float, float]:
    """Seconds a hash of the kernel, of the limit, and the share of it that is reached (best turn against best).

    Last: hashes per second over the plain scan's, the median of each round's two.
    """
    room = ctypes.create_string_buffer(16384)
    # Loads and stores lie half a page apart: equal low address bits would make a load wait for a store.
    loads = (ctypes.addressof(room) + 63) & ~63
    stores = loads + 6144
    loops = [callable_loop(independent(block, fed), folder, f"{isa}{versions}{fed:d}") for fed in (False, True)]
    code = cpu.host_scan("sha256d")
    shares = code.ffi.new("struct bw_shares *", {"capacity": 0, "entries": code.ffi.NULL})
    index = code.names().index(isa)

    def kernel(rolled: int) -> None:
        span = code.ffi.new("struct bw_range *", {"next": 0, "end": NONCES // rolled, "grain": 1 << 12, "stop": 0})
        code.scan(index, cpu.rolled_headers(bytes(80), rolled), rolled, 0, 32, span, shares)

    limits = (lambda run=run: run(stores, loads, NONCES // LANES[isa]) for run in loops)
    calls = [lambda: kernel(versions), lambda: kernel(1), *limits]
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for at, call in enumerate(calls):
            started = time.process_time()
            call()
            taken[at].append(time.process_time() - started)
    rolled, plain, *renamed = taken
    best, limit = min(rolled), min(map(min, renamed))
    ratio = statistics.median(one / other for one, other in zip(plain, rolled, strict=True))
    return best / NONCES, limit / NONCES, limit / best, ratio


def counted_shares(isa: str, block: list[str], folder: Path) -> dict[str, tuple[float, float]]:
    """Clocks a hash by llvm-mca, and those of its busiest port, by processor; empty without llvm-mca."""
    if not shutil.which("llvm-mca"):
        return {}
    plain = [re.sub(r"\.LC\d+(\[rip\])?", "[rsi]", line) for line in block if not re.match(r"j|ret|call|lock", line)]
    plain = [re.sub(r"(\w+ PTR )[^\[,]+\[(\w+)\]", r"\1[\2]", line) for line in plain]
    source = folder / f"{isa}.mca.s"
    source.write_text("\n".join([".intel_syntax noprefix", *plain, ""]))
    told: dict[str, tuple[float, float]] = {}
    for processor in PROCESSORS.get(isa, SHA_PROCESSORS if "sha" in isa else ()):
        command = ["llvm-mca", f"-mcpu={processor}", "-iterations=50", str(source)]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        total = re.search(r"Total Cycles:\s+(\d+)", output)
        pressure = re.search(r"Resource pressure per iteration:\n.*\n(.*)\n", output)
        if not total or not pressure:
            raise SystemExit(f"llvm-mca told nothing of {isa} on {processor}")
        busiest = max(float(clocks) for clocks in pressure.group(1).split() if clocks != "-")
        cycles, ports = float(total.group(1)), busiest
        told[processor] = cycles / 50 / LANES[isa], ports / LANES[isa]
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isa", action="append", choices=sorted(LANES))
    parser.add_argument("--versions", type=int, action="append", choices=VERSION_COUNTS)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--at-least", type=float, default=0.9)
    asked = parser.parse_args()
    runs = cpu.host_scan("sha256d").supported()
    worst = 1.0
    with tempfile.TemporaryDirectory(prefix="bitwatt-limit-") as made:
        folder = Path(made)
        for isa in asked.isa or [isa for isa in ("shanivl", "shani", "avx512", "avx2") if isa in runs]:
            text = assembly(isa, folder)
            for versions in asked.versions or [1]:
                blocks = blocks_of(text, isa, versions)
                name = f"{isa}, {versions} version{'s' * (versions > 1)}"
                counted = [counted_shares(isa, block, folder) for block, _ in blocks]
                for processor in counted[0]:
                    weighted = [(shares[processor], times) for shares, (_, times) in zip(counted, blocks, strict=True)]
                    cycles, ports = (sum(pair[at] * times for pair, times in weighted) / versions for at in (0, 1))
                    count = f"{cycles:.1f} clocks a hash, ports {ports:.1f}: {ports / cycles:.3f}"
                    print(f"{name}: llvm-mca, {processor}: {count}")
                if isa in runs:
                    kernel, limit, share, ratio = measured_share(isa, blocks[-1][0], versions, folder, asked.rounds)
                    print(
                        f"{name}: measured {kernel * 1e9:.2f} ns a hash, limit {limit * 1e9:.2f}: {share:.3f};"
                        f" {ratio:.3f} times the plain scan"
                    )
                    worst = min(worst, share)
    return 0 if worst >= asked.at_least else 1


if __name__ == "__main__":
    sys.exit(main())
