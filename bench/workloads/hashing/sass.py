"""Static speed limit of a GPU kernel, counted in its machine code. Needs no GPU.

Run it with ``python -m bench.workloads.hashing.sass``. The source is compiled by NVRTC (PyPI: cuda-bindings and
nvidia-cuda-nvrtc) and disassembled by nvdisasm (PyPI: nvidia-cuda-nvdisasm).

Model, per multiprocessor and clock: 64 lanes of integer logic, shift, comparison and add; another 64 lanes of integer
multiply-add; 128 lanes issued (CUDA C++ Programming Guide, table of arithmetic throughput). A wide or high product
occupies the multiply-add lanes for two clocks. The bound counts every instruction of the kernel once, so for a kernel
of one hash a thread it is the clocks of one hash; memory is left out. sm_120 runs some integer instructions on both
halves, so its clocks are no limit: read its row as a count of instructions.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.model import EXIT_USAGE, BenchError, first_line
from bench.workloads.hashing import kernels

ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
"""Compute capabilities, times ten, that the kernels are compiled for in CI."""
SHA256D_VARIANTS = (0, 1, 2, 3, 4)
SHA256D_VERSIONS = (2, 4, 8)
SCRYPT_WIDES = (0, 1)

ALU_LANES = FMA_LANES = 64
ISSUE_LANES = 128

FMA_INSTRUCTIONS = frozenset({"IMAD", "FFMA", "FMUL", "FADD"})
OTHER_INSTRUCTIONS = frozenset(
    {"NOP", "EXIT", "BRA", "BSSY", "BSYNC", "BAR", "WARPSYNC", "S2R", "S2UR", "CS2R", "UMOV"}
    | {"LDC", "LDCU", "ULDC", "LDG", "STG", "ATOMG", "RED"}
)
"""Control, special registers, constants and memory: none of the two integer pipes."""

INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+\{?\s*(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_]*)((?:\.\w+)*)")
LABEL = re.compile(r"^\s*(\.L_\w+):")
LABEL_USE = re.compile(r"(\.L_\w+)")
SECTION = re.compile(r"^\s*\.section\s+\.text\.([^,\s]+)")


Instruction = tuple[str, str, str]
"""Name, modifiers with their dots, operands."""


@dataclass(frozen=True, slots=True)
class Bound:
    """Instructions of one kernel by pipe, and the clocks that they need at least."""

    arch: int
    alu: int
    fma: int
    wide: int
    """Of ``fma``, those that occupy the lanes for two clocks."""
    uniform: int
    other: int
    registers: int
    spill_bytes: int
    code_bytes: int
    quads: int = 0
    """Of ``other``, loads and stores of 16 bytes a lane."""

    @property
    def total(self) -> int:
        return self.alu + self.fma + self.uniform + self.other

    @property
    def pipes(self) -> tuple[float, float, float]:
        """Clocks of one pass of one thread, times the lanes of a multiprocessor: of logic, products and issue."""
        return self.alu / ALU_LANES, (self.fma + self.wide) / FMA_LANES, self.total / ISSUE_LANES

    @property
    def clocks(self) -> float:
        """Those of the fullest: clocks per hash."""
        return max(self.pipes)


@dataclass(frozen=True, slots=True)
class Cubin:
    """Machine code of one source for one architecture, with what the compiler said."""

    arch: int
    image: bytes
    log: str


def bound(cubin: Cubin, entry: str) -> Bound:
    """Count the instructions of ``entry``.

    Raises:
        BenchError: there is no such kernel in it, or it cannot be disassembled.
    """
    listed = list(instructions(disassemble(cubin.image), entry))
    if not listed:
        raise BenchError(f"there is no kernel named {entry} in the machine code", "check the entry's name")
    return _count(cubin, entry, listed)


def loop_bounds(cubin: Cubin, entry: str) -> list[Bound]:
    """The same for the body of each innermost loop of ``entry``, in the order of the code.

    Raises:
        BenchError: as :func:`bound`.
    """
    return [_count(cubin, entry, body) for body in innermost_loops(disassemble(cubin.image), entry)]


def _count(cubin: Cubin, entry: str, listed: Sequence[Instruction]) -> Bound:
    counts = {"alu": 0, "fma": 0, "wide": 0, "uniform": 0, "other": 0, "quads": 0}
    for name, modifiers, _ in listed:
        pipe = pipe_of(name)
        counts[pipe] += 1
        counts["wide"] += pipe == "fma" and (".WIDE" in modifiers or ".HI" in modifiers)
        counts["quads"] += name in ("LDG", "STG") and ".128" in modifiers
    registers, spill_bytes = resources(cubin.log, entry)
    return Bound(arch=cubin.arch, registers=registers, spill_bytes=spill_bytes, code_bytes=16 * len(listed), **counts)


def pipe_of(name: str) -> str:
    """``alu``, ``fma``, ``uniform`` or ``other``; what is not known counts as ``alu``, the fuller pipe."""
    if name in OTHER_INSTRUCTIONS:
        return "other"
    if name.startswith("U"):
        return "uniform"
    return "fma" if name in FMA_INSTRUCTIONS else "alu"


def instructions(listing: str, entry: str) -> Iterator[Instruction]:
    """Each instruction of one kernel in nvdisasm's listing."""
    return (item for item in _items(listing, entry) if not isinstance(item, str))


def innermost_loops(listing: str, entry: str) -> list[list[Instruction]]:
    """Bodies of the loops that hold no other loop: from a label to a branch back to it."""
    listed: list[Instruction] = []
    labels: dict[str, int] = {}
    for item in _items(listing, entry):
        if isinstance(item, str):
            labels[item] = len(listed)
        else:
            listed.append(item)
    spans = [
        (labels[target[1]], index + 1)
        for index, (name, _, operands) in enumerate(listed)
        if name == "BRA" and (target := LABEL_USE.search(operands)) and labels.get(target[1], index + 1) <= index
    ]
    inner = [a for a in spans if not any(b != a and a[0] <= b[0] and b[1] <= a[1] for b in spans)]
    return [listed[first:end] for first, end in inner]


def _items(listing: str, entry: str) -> Iterator[Instruction | str]:
    """Instructions and labels of one kernel, in order."""
    inside = False
    for line in listing.splitlines():
        section = SECTION.match(line)
        if section:
            inside = section.group(1) == entry
        elif line.split()[:1] == [".section"]:
            inside = False
        elif inside and (found := INSTRUCTION.match(line)):
            yield found.group(1), found.group(2), line[found.end() :]
        elif inside and (label := LABEL.match(line)):
            yield label.group(1)


def resources(log: str, entry: str) -> tuple[int, int]:
    """Registers a thread and bytes spilled, from the log of ``ptxas -v`` on ``entry``.

    Raises:
        BenchError: the log does not say.
    """
    part = log.split(f"'{entry}'", 1)[-1].split("Compiling entry function", 1)[0]
    registers = re.search(r"Used (\d+) registers", part)
    if registers is None:
        raise BenchError(f"the compiler's log does not give the registers of {entry}", "compile with ptxas -v")
    return int(registers.group(1)), sum(int(count) for count in re.findall(r"(\d+) bytes spill", part))


# ---------------------------------------------------------------------------------------------------------------------
# NVRTC


def compile_cubin(source: str, arch: int, *, defines: Mapping[str, int] | None = None) -> Cubin:
    """Compile CUDA C++ to machine code for one architecture, without a GPU.

    Args:
        source: CUDA C++ that includes no file.
        arch: compute capability times ten.
        defines: macros.

    Raises:
        BenchError: NVRTC is not installed, or it rejects the source; the message holds its first error.
    """
    return Cubin(arch, *_compile("CUBIN", f"sm_{arch}", source, defines or {}))


def compile_ptx(source: str, arch: int, *, defines: Mapping[str, int] | None = None) -> str:
    """As :func:`compile_cubin`, but only to PTX, the text that NVIDIA's assembler takes."""
    return _compile("PTX", f"compute_{arch}", source, defines or {})[0].rstrip(b"\0").decode()


def _compile(kind: str, target: str, source: str, defines: Mapping[str, int]) -> tuple[bytes, str]:
    """``(code, log)`` of one run of NVRTC."""
    try:
        from cuda.bindings import nvrtc

        program = _checked(nvrtc, nvrtc.nvrtcCreateProgram(source.encode(), b"kernel.cu", 0, [], []))
    except (ImportError, RuntimeError) as error:
        raise BenchError(
            f"NVRTC was not found ({first_line(error)})", "run: pip install cuda-bindings nvidia-cuda-nvrtc"
        ) from error
    options = [f"--gpu-architecture={target}", "--std=c++14", "--ptxas-options=-v"]
    options += [f"-D{name}={value}" for name, value in defines.items()]
    try:
        (status,) = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
        log = _output(nvrtc, program, "ProgramLog").rstrip(b"\0").decode(errors="replace")
        if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            errors = [line.strip() for line in log.splitlines() if "error" in line]
            raise BenchError(
                f"NVRTC does not compile the kernel for {target}: {errors[0] if errors else log.strip() or status}",
                "use an NVRTC that knows this architecture, or report this as a defect",
            )
        return _output(nvrtc, program, kind), log
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _output(nvrtc: Any, program: Any, what: str) -> bytes:
    buffer = bytes(_checked(nvrtc, getattr(nvrtc, f"nvrtcGet{what}Size")(program)))
    _checked(nvrtc, getattr(nvrtc, f"nvrtcGet{what}")(program, buffer))
    return buffer


def _checked(nvrtc: Any, result: tuple[Any, ...]) -> Any:
    """The value of ``(status, value)`` or ``(status,)``."""
    if result[0] != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise BenchError(f"NVRTC failed ({result[0].name})", "install nvidia-cuda-nvrtc again")
    return result[1] if len(result) > 1 else None


# ---------------------------------------------------------------------------------------------------------------------
# nvdisasm


def disassemble(image: bytes) -> str:
    """List a cubin's machine code with nvdisasm.

    Raises:
        BenchError: nvdisasm is not installed, or it does not know this machine code.
    """
    try:
        from cuda.pathfinder import find_nvidia_binary_utility

        tool = find_nvidia_binary_utility("nvdisasm")
    except ImportError:
        tool = None
    if tool is None:
        raise BenchError("nvdisasm was not found", "run: pip install cuda-bindings nvidia-cuda-nvdisasm")
    with tempfile.TemporaryDirectory(prefix="bitwatt-sass-") as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(image)
        run = subprocess.run([tool, "-c", str(path)], capture_output=True, text=True, check=False)  # noqa: S603
    if run.returncode:
        message = (run.stderr or run.stdout).strip().splitlines()
        raise BenchError(f"nvdisasm failed: {message[0] if message else run.returncode}", "install a newer one")
    return run.stdout


# ---------------------------------------------------------------------------------------------------------------------
# The project's kernels


def sha256d(arch: int, variant: int, *, nonces_per_thread: int = 1) -> Bound:
    """The bound of ``sha256d.cu``; with one nonce a thread it is the clocks of one hash."""
    cubin = compile_cubin(
        kernels.whole_source("sha256d.cu"),
        arch,
        defines={"NONCES_PER_THREAD": nonces_per_thread, "SHA256D_VARIANT": variant},
    )
    return bound(cubin, "sha256d_scan")


def rolled(arch: int, variant: int, versions: int) -> tuple[float, Bound]:
    """Clocks per hash of ``sha256d.cu`` where ``versions`` headers share a schedule, and what the kernel takes in all.

    The loop over the versions runs ``versions`` times a nonce, everything else once.

    Raises:
        BenchError: as :func:`bound`, or the machine code is not one loop over the versions.
    """
    defines = {"NONCES_PER_THREAD": 1, "SHA256D_VARIANT": variant, "SHA256D_VERSIONS": versions, "SHA256D_THREADS": 128}
    cubin = compile_cubin(kernels.whole_source("sha256d.cu"), arch, defines=defines)
    whole = bound(cubin, "sha256d_scan")
    loops = [loop for loop in loop_bounds(cubin, "sha256d_scan") if loop.total > whole.total / 2]
    if len(loops) != 1:
        raise BenchError(f"{len(loops)} loops hash, not 1", "read the listing: the kernel changed")
    pipes = zip(whole.pipes, loops[0].pipes, strict=True)
    return max((all_once - loop) / versions + loop for all_once, loop in pipes), whole


def scrypt(arch: int, wide: int) -> tuple[Bound, Bound]:
    """The two loops of ``scrypt.cu`` that do its work, 1024 steps each: filling the scratchpad, and mixing.

    Args:
        arch: compute capability times ten.
        wide: SCRYPT_WIDE of the kernel's text. Every row is stored (SCRYPT_GAP = 1).

    Raises:
        BenchError: as :func:`bound`, or the machine code does not have the two loops.
    """
    cubin = compile_cubin(kernels.whole_source("scrypt.cu"), arch, defines={"SCRYPT_GAP": 1, "SCRYPT_WIDE": wide})
    # A row is eight quads; no other loop of the kernel moves one.
    found = [loop for loop in loop_bounds(cubin, "scrypt_scan") if loop.quads == 8]
    if len(found) != 2:
        raise BenchError(
            f"{len(found)} loops move a row of the scratchpad, not 2", "read the listing: the kernel changed"
        )
    return found[0], found[1]


def main() -> int:
    """Print the table of every architecture and variant."""
    try:
        arches = tuple(int(word) for word in sys.argv[1:]) or ARCHITECTURES
    except ValueError:
        print("usage: python -m bench.workloads.hashing.sass [75 80 86 …]", file=sys.stderr)
        return EXIT_USAGE
    try:
        print("sha256d_scan, one nonce a thread: clocks per hash and multiprocessor, from the machine code alone")
        print("arch    variant  clocks   alu   fma  wide  total  registers  spills")
        for arch in arches:
            for variant in SHA256D_VARIANTS:
                print(_row(arch, variant, sha256d(arch, variant)), flush=True)
        print("\nsha256d_scan with 2, 4 and 8 versions (variant 3): clocks per hash; counts of the whole kernel")
        print("arch   versions  clocks   alu   fma  wide  total  registers  spills")
        for arch in arches:
            for versions in SHA256D_VERSIONS:
                clocks, whole = rolled(arch, 3, versions)
                print(_row(arch, versions, whole, clocks), flush=True)
        print("\nscrypt_scan, its two loops: clocks per step and multiprocessor; a hash is 1024 of each, and 256 KiB")
        print("arch       loop  clocks   alu   fma  wide  total  registers  spills")
        for arch in arches:
            for wide in SCRYPT_WIDES:
                for name, loop in zip(("fill", "mix"), scrypt(arch, wide), strict=True):
                    print(_row(arch, f"{name}/{wide}", loop), flush=True)
    except BenchError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    return 0


def _row(arch: int, name: int | str, b: Bound, clocks: float | None = None) -> str:
    return (
        f"sm_{arch:<5}{name:>7}{clocks or b.clocks:>8.2f}{b.alu:>6}{b.fma:>6}{b.wide:>6}{b.total:>7}"
        f"{b.registers:>11}{b.spill_bytes:>8}"
    )


if __name__ == "__main__":
    sys.exit(main())
