"""Runs machine code: what NVIDIA's assembler made of a kernel, up to its exit, all threads of a block at once.

Covers the instructions of the straight line that a hash is, and a loop of hashes; any other is an error. So the last
tool between the text and the card is tested too. NVIDIA's CUDA Binary Utilities name the instructions; how their
operands combine was worked out from the PTX that each stands for.
"""

from __future__ import annotations

import re

import numpy as np

U32 = np.uint64(0xFFFFFFFF)
PARAMETERS_AT = {75: 0x160, 80: 0x160, 86: 0x160, 89: 0x160, 90: 0x210, 100: 0x380, 120: 0x380}
"""Where a kernel's parameters begin in constant bank 0."""
SECTION = re.compile(r"^\s*\.section\s+\.text\.([^,\s]+)")
LABEL = re.compile(r"^\s*(\.L_\w+):")
LINE = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@(!?)(\w+)\s+)?([A-Z][A-Z0-9_]*)([.\w]*)\s*([^;]*);")

COMPARISONS = {
    "NE": np.not_equal,
    "EQ": np.equal,
    "GT": np.greater,
    "GE": np.greater_equal,
    "LT": np.less,
    "LE": np.less_equal,
}
"""Unsigned; the signed ones that occur are of small positive numbers."""

Word = np.ndarray
"""One register of every thread: uint64, of which the low 32 bits count."""


class Machine:
    """A block of threads at the start of a kernel."""

    def __init__(self, arch: int, parameters: bytes, threads: int, block: int = 0) -> None:
        self._constants = bytes(PARAMETERS_AT[arch]) + parameters
        self._zero = np.zeros(threads, np.uint64)
        self._special = {
            "SR_TID.X": np.arange(threads, dtype=np.uint64),
            "SR_CTAID.X": self._zero + np.uint64(block),
            "SR_LANEID": np.arange(threads, dtype=np.uint64) % np.uint64(32),
        }
        self._registers: dict[str, Word] = {}
        self._predicates: dict[str, np.ndarray] = {"PT": self._zero == 0, "UPT": self._zero == 0}
        self.executed = 0

    def run(self, listing: str, entry: str) -> np.ndarray:
        """Execute until the first exit. Returns for each thread whether it leaves there."""
        inside = False
        for line in listing.splitlines():
            section = SECTION.match(line)
            if section:
                inside = section[1] == entry
            found = LINE.match(line) if inside else None
            if not found:
                continue
            negated, predicate, name, modifiers, operands = found.groups()
            if name == "EXIT":
                left = self._predicates[predicate or "PT"]
                return ~left if negated else left
            assert predicate is None, f"a guarded instruction that nobody taught: {line.strip()}"
            self._execute(name, modifiers, [part.strip() for part in operands.split(",")], line.strip())
            self.executed += 1
        raise AssertionError(f"{entry} has no exit")

    def decisions(self, listing: str, entry: str) -> list[np.ndarray]:
        """Execute a loop of hashes until all threads exit. Returns, for each branch forward, which threads stay.

        Such a branch leaves out the report of a share, and every thread is made to take it.
        """
        lines, labels = _section(listing, entry)
        stayed: list[np.ndarray] = []
        at = 0
        while True:
            found = LINE.match(lines[at])
            assert found, lines[at]
            negated, predicate, name, modifiers, operands = found.groups()
            at += 1
            if name == "BRA" and modifiers == ".U":
                predicate, _, operands = operands.partition(",")
            # A call without a return address is a branch to code that ends in an exit.
            if name in ("EXIT", "BRA", "CALL"):
                taken = self._predicates[predicate or "PT"]
                taken = ~taken if negated else taken
                forward = name == "BRA" and labels[_target(operands)] > at
                if forward:
                    stayed.append(~taken)
                assert forward or taken.all() or not taken.any(), f"threads part ways: {lines[at - 1].strip()}"
                if name == "EXIT" and taken.all():
                    return stayed
                if name != "EXIT" and (forward or taken.all()):
                    at = labels[_target(operands)]
                continue
            assert predicate is None, f"a guarded instruction that nobody taught: {lines[at - 1].strip()}"
            if name not in ("BSSY", "BSYNC", "NOP"):
                self._execute(name, modifiers, [part.strip() for part in operands.split(",")], lines[at - 1].strip())
            self.executed += 1

    def _execute(self, name: str, modifiers: str, x: list[str], line: str) -> None:
        kind = name + modifiers
        if name in ("LDC", "ULDC", "LDCU"):
            words = int(modifiers[1:] or 32) // 32
            for index in range(words):
                self._set(x[0], self._constant(x[1], 4 * index), index)
            return
        if kind in ("S2R", "S2UR"):
            self._set(x[0], self._special[x[1]])
            return
        if name in ("ISETP", "UISETP"):
            _, how, *_, combine = modifiers.split(".")
            assert combine in ("AND", "OR"), line
            result = COMPARISONS[how](self._get(x[2]), self._get(x[3]))
            also = self._predicates[x[4]]
            self._predicates[x[0]] = result & also if combine == "AND" else result | also
            return
        if kind == "HFMA2":
            # -0 * 0 + a pair of halves: how sm_120 loads a constant.
            assert x[1:3] == ["-RZ", "RZ"], line
            high, low = (int(np.float16(text).view(np.uint16)) for text in x[3:])
            self._set(x[0], self._zero + np.uint64(high << 16 | low))
            return
        if kind == "LOP3.LUT":
            result = _lop3(*(self._get(operand) for operand in x[-5:-2]), int(x[-2], 16))
            assert x[-1] == "!PT", line
            if x[0].startswith("P"):
                self._predicates[x[0]] = result != 0
                x = x[1:]
            self._set(x[0], result)
            return
        if kind in ("IADD3", "UIADD3"):
            # Two carries that go nowhere.
            x = [part for part in x if part not in ("PT", "UPT")]
        v = [self._get(operand) for operand in x[1:]]
        if kind == "IMAD.WIDE.U32":
            assert x[3] == "RZ", line
            self._set(x[0], v[0] * v[1] & U32)
            self._set(x[0], v[0] * v[1] >> np.uint64(32), 1)
            return
        match kind, len(v):
            case (("IMAD" | "IMAD.IADD" | "IMAD.MOV.U32" | "IMAD.U32" | "IMAD.SHL.U32"), 3):
                result = v[0] * v[1] + v[2]
            case "IMAD.HI.U32", 3:
                assert x[3] == "RZ", line
                result = v[0] * v[1] >> np.uint64(32)
            case (("IADD3" | "UIADD3" | "IADD" | "VIADD"), (2 | 3)):
                result = sum(v, self._zero)
            case (("MOV" | "UMOV"), 1):
                result = v[0]
            case "SHF.R.W.U32", 3:
                result = (v[2] << np.uint64(32) | v[0]) >> (v[1] & np.uint64(31))
            case "SHF.R.U32.HI", 3:
                assert x[1] == "RZ", line
                result = v[2] >> v[1]
            case "USHF.L.U32", 3:
                assert x[3] == "URZ", line
                result = v[0] << v[1]
            case "LEA.HI", 4:
                result = ((v[2] << np.uint64(32) | v[0]) >> (np.uint64(32) - v[3])) + v[1]
            case "PRMT", 3:
                result = _prmt(v[0], v[2], int(x[2], 16))
            case _:
                raise AssertionError(f"machine code that nobody taught: {line}")
        self._set(x[0], result)

    def _get(self, operand: str) -> Word:
        operand = operand.removesuffix(".reuse")
        if operand in ("RZ", "URZ"):
            return self._zero
        if operand.startswith("c["):
            return self._constant(operand)
        if re.fullmatch(r"-?0x[0-9a-f]+", operand):
            return self._zero + np.uint64(int(operand, 16) & int(U32))
        if operand.startswith("-"):
            return (~self._get(operand[1:]) + np.uint64(1)) & U32
        return self._registers[operand]

    def _set(self, register: str, value: Word, offset: int = 0) -> None:
        if register not in ("RZ", "URZ"):
            prefix, number = re.fullmatch(r"(U?R)(\d+)", register).groups()  # type: ignore[union-attr]
            self._registers[f"{prefix}{int(number) + offset}"] = value & U32

    def _constant(self, operand: str, offset: int = 0) -> Word:
        register, fixed = re.fullmatch(r"c\[0x0\]\[(?:(U?R\d+)\+)?(0x[0-9a-f]+)\]", operand).groups()  # type: ignore[union-attr]
        at = int(fixed, 16) + offset
        if register:
            index = self._registers[register]
            assert (index == index[0]).all(), "threads read different constants"
            at += int(index[0])
        # A word past the parameters may be loaded along with one that is used; it is read as zero.
        return self._zero + np.uint64(int.from_bytes(self._constants[at : at + 4], "little"))


def _section(listing: str, entry: str) -> tuple[list[str], dict[str, int]]:
    """Instructions of one kernel, and the number of the one that each label stands before."""
    inside = False
    lines: list[str] = []
    labels: dict[str, int] = {}
    for line in listing.splitlines():
        if section := SECTION.match(line):
            inside = section[1] == entry
        elif inside and (label := LABEL.match(line)):
            labels[label[1]] = len(lines)
        elif inside and LINE.match(line):
            lines.append(line)
    return lines, labels


def _target(operands: str) -> str:
    return re.search(r"\.L_\w+", operands)[0]  # type: ignore[index]


def _lop3(a: Word, b: Word, c: Word, table: int) -> Word:
    """Bit 4·a + 2·b + c of the table, for each place."""
    # Where a is set the upper half of the table decides, then b, then c.
    pairs = [_choose(c, table >> row & 2, table >> row & 1) for row in (0, 2, 4, 6)]
    low, high = (pairs[at] ^ b & (pairs[at] ^ pairs[at + 1]) for at in (0, 2))
    return low ^ a & (low ^ high)


def _choose(c: Word, one: int, zero: int) -> Word | np.uint64:
    if one and zero:
        return U32
    return c if one else c ^ U32 if zero else np.uint64(0)


def _prmt(a: Word, b: Word, selector: int) -> Word:
    both = b << np.uint64(32) | a
    result = np.zeros_like(a)
    for place in range(4):
        choice = selector >> 4 * place & 15
        assert choice < 8, "PRMT's sign mode is not taught"
        result |= (both >> np.uint64(8 * choice) & np.uint64(255)) << np.uint64(8 * place)
    return result
