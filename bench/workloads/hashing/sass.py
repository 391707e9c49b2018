"""Static speed limit of a GPU kernel, read off its machine code. Needs no GPU.

Run it with ``python -m bench.workloads.hashing.sass``.

The source is compiled by NVRTC (PyPI: nvidia-cuda-nvrtc) and disassembled by nvdisasm (PyPI: nvidia-cuda-nvdisasm).

Model, per multiprocessor and clock: 64 lanes of integer logic, shift, comparison and add; 64 lanes of integer
multiply-add beside them; 128 lanes issued (CUDA C++ Programming Guide, table of arithmetic throughput). A wide or high
product takes two turns of the multiply-add lanes. The bound counts every instruction of the kernel once, so it is the
clocks of one hash where a thread does one; memory is left out. sm_120 runs some integer instructions on both halves:
its row is a count.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.model import EXIT_USAGE, BenchError
from bench.workloads.hashing import kernels

ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
"""Compute capabilities, times ten, that the kernels are compiled for in CI."""
SHA256D_VARIANTS = (0, 1, 2, 3, 4)
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
    """Of ``fma``, those that take two turns."""
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
    def clocks(self) -> float:
        """Clocks of one multiprocessor for one pass of one thread, times the lanes it has: clocks per hash."""
        return max(self.alu / ALU_LANES, (self.fma + self.wide) / FMA_LANES, self.total / ISSUE_LANES)


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
    return (item for item in _lines(listing, entry) if not isinstance(item, str))


def innermost_loops(listing: str, entry: str) -> list[list[Instruction]]:
    """Bodies of the loops that hold no other loop: from a label to a branch back to it."""
    listed: list[Instruction] = []
    labels: dict[str, int] = {}
    for item in _lines(listing, entry):
        if isinstance(item, str):
            labels[item] = len(listed)
        else:
            listed.append(item)
    spans = [
        (labels[target[1]], place + 1)
        for place, (name, _, operands) in enumerate(listed)
        if name == "BRA" and (target := LABEL_USE.search(operands)) and labels.get(target[1], place + 1) <= place
    ]
    inner = [a for a in spans if not any(b != a and a[0] <= b[0] and b[1] <= a[1] for b in spans)]
    return [listed[first:end] for first, end in inner]


def _lines(listing: str, entry: str) -> Iterator[Instruction | str]:
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
    """Registers a thread and bytes spilled, from what ``ptxas -v`` says of ``entry``.

    Raises:
        BenchError: the log does not tell.
    """
    part = log.split(f"'{entry}'", 1)[-1].split("Compiling entry function", 1)[0]
    registers = re.search(r"Used (\d+) registers", part)
    if registers is None:
        raise BenchError(f"the compiler's log does not tell the registers of {entry}", "compile with ptxas -v")
    return int(registers.group(1)), sum(int(count) for count in re.findall(r"(\d+) bytes spill", part))


# ---------------------------------------------------------------------------------------------------------------------
# NVRTC


def compile_cubin(
    source: str, arch: int, *, defines: Mapping[str, int] | None = None, headers: Mapping[str, str] | None = None
) -> Cubin:
    """Compile CUDA C++ to machine code for one architecture, without a GPU.

    Args:
        source: the text of a ``.cu`` file.
        arch: compute capability times ten.
        defines: macros.
        headers: name → text of what it includes.

    Raises:
        BenchError: NVRTC is not installed, or it rejects the source; the message holds its first error.
    """
    return Cubin(arch, *_compile("CUBIN", f"sm_{arch}", source, defines or {}, headers or {}))


def compile_ptx(
    source: str, arch: int, *, defines: Mapping[str, int] | None = None, headers: Mapping[str, str] | None = None
) -> str:
    """The same as :func:`compile_cubin`, only as far as PTX, the text that NVIDIA's assembler takes."""
    image, _ = _compile("PTX", f"compute_{arch}", source, defines or {}, headers or {})
    return image.rstrip(b"\0").decode()


def _compile(
    kind: str, target: str, source: str, defines: Mapping[str, int], headers: Mapping[str, str]
) -> tuple[bytes, str]:
    """``(code, log)`` of one run of NVRTC."""
    options = [f"--gpu-architecture={target}", "--std=c++14", "--ptxas-options=-v"]
    options += [f"-D{name}={value}" for name, value in defines.items()]
    nvrtc = _nvrtc()
    program = ctypes.c_void_p()
    texts, names = ([part.encode() for part in parts] for parts in (headers.values(), headers))
    made = nvrtc.nvrtcCreateProgram(
        ctypes.byref(program), source.encode(), b"kernel.cu", len(texts), _strings(texts), _strings(names)
    )
    _check(nvrtc, made)
    try:
        status = nvrtc.nvrtcCompileProgram(program, len(options), _strings([option.encode() for option in options]))
        log = _blob(nvrtc, program, "ProgramLog").rstrip(b"\0").decode(errors="replace")
        if status:
            errors = [line.strip() for line in log.splitlines() if "error" in line]
            raise BenchError(
                f"NVRTC does not compile the kernel for {target}: {errors[0] if errors else log.strip() or status}",
                "use an NVRTC that knows this architecture, or report this as a defect",
            )
        return _blob(nvrtc, program, kind), log
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _blob(nvrtc: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    _check(nvrtc, getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(nvrtc, getattr(nvrtc, f"nvrtcGet{what}")(program, buffer))
    return buffer.raw


def _strings(items: Sequence[bytes]) -> ctypes.Array[ctypes.c_char_p]:
    return (ctypes.c_char_p * len(items))(*items)


def _check(nvrtc: ctypes.CDLL, status: int) -> None:
    if status:
        nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
        text = nvrtc.nvrtcGetErrorString(status).decode()
        raise BenchError(f"NVRTC failed ({text})", "install nvidia-cuda-nvrtc again")


def _nvrtc() -> ctypes.CDLL:
    for path in _find("lib", "libnvrtc.so.*"):
        if ".alt." not in path.name:
            return ctypes.CDLL(str(path))
    for name in ("libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise BenchError("NVRTC was not found", "run: pip install nvidia-cuda-nvrtc")


def _find(folder: str, pattern: str) -> Iterator[Path]:
    """Files of NVIDIA's wheels, newest CUDA first."""
    roots = dict.fromkeys([sysconfig.get_paths()["purelib"], *filter(None, sys.path)])
    for root in roots:
        found = Path(root).glob(f"nvidia/*/{folder}/{pattern}")
        yield from sorted(found, key=lambda path: (path.name, str(path)), reverse=True)


# ---------------------------------------------------------------------------------------------------------------------
# nvdisasm


def disassemble(image: bytes) -> str:
    """List a cubin's machine code with nvdisasm.

    Raises:
        BenchError: nvdisasm is not installed, or it does not know this machine code.
    """
    tool = next(_find("bin", "nvdisasm"), None) or shutil.which("nvdisasm")
    if tool is None:
        raise BenchError("nvdisasm was not found", "run: pip install nvidia-cuda-nvdisasm")
    with tempfile.TemporaryDirectory(prefix="bitwatt-sass-") as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(image)
        run = subprocess.run([str(tool), "-c", str(path)], capture_output=True, text=True, check=False)  # noqa: S603
    if run.returncode:
        message = (run.stderr or run.stdout).strip().splitlines()
        raise BenchError(f"nvdisasm failed: {message[0] if message else run.returncode}", "install a newer one")
    return run.stdout


# ---------------------------------------------------------------------------------------------------------------------
# The project's kernels


def sha256d(arch: int, variant: int, *, nonces_per_thread: int = 1) -> Bound:
    """The bound of ``sha256d.cu``; with one nonce a thread it is the clocks of one hash."""
    cubin = compile_cubin(
        kernels.source("sha256d.cu"),
        arch,
        defines={"NONCES_PER_THREAD": nonces_per_thread, "SHA256D_VARIANT": variant},
        headers={"sha256d.h": kernels.source("sha256d.h")},
    )
    return bound(cubin, "sha256d_scan")


def scrypt(arch: int, wide: int) -> tuple[Bound, Bound]:
    """The two loops of ``scrypt.cu`` that make up its work, of 1024 steps each: filling the scratchpad and mixing.

    Args:
        arch: compute capability times ten.
        wide: SCRYPT_WIDE of the kernel's text. Every row is stored (SCRYPT_GAP = 1).

    Raises:
        BenchError: as :func:`bound`, or the machine code does not have the two loops.
    """
    cubin = compile_cubin(
        kernels.source("scrypt.cu"),
        arch,
        defines={"SCRYPT_GAP": 1, "SCRYPT_WIDE": wide},
        headers={"sha256d.h": kernels.source("sha256d.h")},
    )
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


def _row(arch: int, name: int | str, b: Bound) -> str:
    return (
        f"sm_{arch:<5}{name:>7}{b.clocks:>8.2f}{b.alu:>6}{b.fma:>6}{b.wide:>6}{b.total:>7}"
        f"{b.registers:>11}{b.spill_bytes:>8}"
    )


if __name__ == "__main__":
    sys.exit(main())
