"""Runs PTX: what NVIDIA's own front end made of a kernel, turned into Python instruction by instruction.

Covers the instructions that this project's kernels compile to (PTX ISA 9); any other is an error. With it the code
that a GPU's assembler gets is executed, inline assembly included; only the last step, ptxas, is taken on trust.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

U32, U64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
LOGIC = {"and": "&", "or": "|", "xor": "^"}
SPECIAL = {"%tid.x": "tid", "%ctaid.x": "ctaid", "%laneid": "(tid & 31)", "%ntid.x": "ntid", "%nctaid.x": "nctaid"}


class Memory:
    """Global memory: arrays at made-up addresses. An access outside of them is an error."""

    def __init__(self) -> None:
        self._arrays: list[tuple[int, bytearray]] = []

    def add(self, size: int) -> tuple[int, bytearray]:
        address = (len(self._arrays) + 1) << 32
        self.attach(address, bytes(size))
        return self._arrays[-1]

    def attach(self, address: int, data: bytes) -> None:
        self._arrays.append((address, bytearray(data)))

    def _at(self, address: int, size: int) -> tuple[bytearray, int]:
        for start, array in self._arrays:
            if start <= address and address + size <= start + len(array):
                assert address % size == 0, "a misaligned address"
                return array, address - start
        raise IndexError(f"illegal address {address:#x}")

    def load(self, address: int, size: int) -> int:
        array, at = self._at(address, size)
        return int.from_bytes(array[at : at + size], "little")

    def store(self, address: int, size: int, value: int) -> None:
        array, at = self._at(address, size)
        array[at : at + size] = value.to_bytes(size, "little")


class Program:
    """One kernel of a PTX text."""

    def __init__(self, text: str, entry: str) -> None:
        text = re.sub(r"//[^\n]*", "", text)
        self._constants = {
            name: ((index + 1) << 60, bytes(int(value) for value in values.split(",")))
            for index, (name, values) in enumerate(re.findall(r"\.const[^;=]*\s(\w+)\[\d+\] = \{([^}]*)\}", text))
        }
        start = re.search(rf"\.entry\s+{entry}\s*\(", text)
        assert start, f"no kernel named {entry}"
        end = text.find(".visible", start.end())
        body = text[start.end() : end if end > 0 else None]
        declared, _, body = body.partition(")")
        self.parameters = list(re.findall(r"\.param[^,]*?(\w+_param_\d+)", declared))
        self.instructions = 0
        self._run = self._translate(body)

    def run(self, blocks: int, threads: int, parameters: Sequence[bytes], memory: Memory) -> None:
        """Run every thread in turn. ``parameters`` hold each parameter's bytes."""
        assert len(parameters) == len(self.parameters)
        given = dict(zip(self.parameters, parameters, strict=True))
        for address, data in self._constants.values():
            memory.attach(address, data)
        for name, address in self._parameter_addresses().items():
            memory.attach(address, given[name])
        for ctaid in range(blocks):
            for tid in range(threads):
                self._run(tid, ctaid, threads, blocks, given, memory)

    def _parameter_addresses(self) -> dict[str, int]:
        """Where each parameter lies for a load whose address is computed, apart from global memory and constants."""
        return {name: (index + 1) << 52 for index, name in enumerate(self.parameters)}

    def _translate(self, body: str) -> Callable[..., None]:
        blocks: list[tuple[str, list[str]]] = [("", [])]
        for line in re.split(r"[;\n]", re.sub(r"[{}]\s*(?=[\n.])", "\n", body)):
            statement = line.strip()
            label = re.match(r"(\$?\w+):$", statement)
            if label:
                blocks.append((label[1], []))
            elif statement and statement[0] not in ".{}":
                blocks[-1][1].append(statement)
        number = {name: index for index, (name, _) in enumerate(blocks)}
        code = ["def kernel(tid, ctaid, ntid, nctaid, given, memory):", " at = 0", " while True:"]
        for index, (_, statements) in enumerate(blocks):
            code.append(f"  if at == {index}:")
            code += [f"   {line}" for statement in statements for line in self._statement(statement, number)]
            code.append(f"   at = {index + 1}")
        namespace: dict[str, Any] = {"lop3": _lop3, "prmt": _prmt, "parameter": _parameter}
        namespace |= {name: address for name, (address, _) in self._constants.items()}
        namespace |= self._parameter_addresses()
        exec("\n".join([*code, "  else:", "   return"]), namespace)
        return namespace["kernel"]

    def _statement(self, statement: str, number: dict[str, int]) -> list[str]:
        self.instructions += 1
        guarded = re.match(r"@(!?)(%p\d+)\s+(.*)", statement)
        if guarded:
            condition = f"if {'not ' if guarded[1] else ''}{_name(guarded[2])}:"
            return [condition, *(f" {line}" for line in self._statement(guarded[3], number))]
        opcode, _, rest = statement.partition(" ")
        if opcode in ("bra", "bra.uni"):
            return [f"at = {number[rest.strip()]}", "continue"]
        if opcode == "ret":
            return ["return"]
        operands = [part.strip() for part in re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^,\s][^,]*", rest)]
        return _instruction(opcode.split("."), operands, statement)


def _instruction(op: list[str], x: list[str], statement: str) -> list[str]:
    bits = next((int(part[1:]) for part in reversed(op) if re.fullmatch(r"[usb]\d+", part)), 32)
    mask = (1 << bits) - 1
    v = [_value(operand, mask) for operand in x]
    match op:
        case ["mov", "b64"] if x[0].startswith("{"):
            low, high = (_name(part) for part in x[0].strip("{}").split(","))
            return [f"{low} = {v[1]} & {U32}", f"{high} = {v[1]} >> 32"]
        case ["mov", "b64"] if x[1].startswith("{"):
            low, high = (_value(part, U32) for part in x[1].strip("{}").split(","))
            return [f"{_name(x[0])} = {low} | {high} << 32"]
        case ["ld", "param", *_] if x[1].startswith("[%"):
            return _memory("ld", x, bits // 8)
        case ["ld", "param", *_]:
            name, _, offset = x[1].strip("[]").partition("+")
            return [f"{_name(x[0])} = parameter(given, {name!r}, {offset or 0}, {bits // 8})"]
        case ["ld" | "st", "global" | "const", *_]:
            return _memory(op[0], x, bits // 8)
        case ["atom", *_, "global", "add", "u64"]:
            address = _address(x[1])
            return [
                f"{_name(x[0])} = memory.load({address}, 8)",
                f"memory.store({address}, 8, ({_name(x[0])} + {v[2]}) & {U64})",
            ]
        case ["mov", "pred"]:
            return [f"{_name(x[0])} = bool({v[1]})"]
        case ["not", "pred"]:
            return [f"{_name(x[0])} = not {v[1]}"]
        case ["and" | "or" | "xor" as how, "pred"]:
            return [f"{_name(x[0])} = {v[1]} {LOGIC[how]} {v[2]}"]
        case ["setp", how, kind]:
            left, right = (
                _signed(value, bits) if kind[0] == "s" and how not in ("eq", "ne") else value for value in v[1:]
            )
            return [f"{_name(x[0])} = {left} {COMPARISONS[how]} {right}"]
    expression = {
        ("add",): "{1} + {2}",
        ("sub",): "{1} - {2}",
        ("mul", "lo"): "{1} * {2}",
        ("mad", "lo"): "{1} * {2} + {3}",
        ("mul", "hi"): "({1} * {2}) >> 32",
        ("and",): "{1} & {2}",
        ("or",): "{1} | {2}",
        ("xor",): "{1} ^ {2}",
        ("not",): "~{1}",
        ("shl",): "{1} << min({2}, 64)",
        ("shr",): "{1} >> min({2}, 64)",
        ("lop3",): "lop3({1}, {2}, {3}, {4})",
        ("prmt",): "prmt({1}, {2}, {3})",
        ("shf", "r", "wrap"): "({2} << 32 | {1}) >> ({3} & 31)",
        ("shf", "l", "wrap"): "({2} << 32 | {1}) << ({3} & 31) >> 32",
        ("mov",): "{1}",
        ("cvt", "u64"): "{1}",
        ("cvt", "u32"): "{1}",
        ("cvta", "to", "global"): "{1}",
    }
    if op[:2] == ["mul", "wide"]:
        left, right = (_signed(value, 32) if op[2] == "s32" else value for value in v[1:])
        return [f"{_name(x[0])} = ({left} * {right}) & {U64}"]
    if op[:2] == ["mad", "wide"]:
        return [f"{_name(x[0])} = ({v[1]} * {v[2]} + {_value(x[3], U64)}) & {U64}"]
    if op[0] == "cvt":
        mask = U64 if op[1] == "u64" else U32
    form = expression.get(tuple(op[:-1]))
    assert form, f"PTX that nobody taught: {statement}"
    assert op[-1][0] in "ub" or op[0] in ("add", "sub", "mul", "mad"), f"signed PTX that nobody taught: {statement}"
    return [f"{_name(x[0])} = ({form.format(*v)}) & {mask}"]


def _memory(op: str, x: list[str], size: int) -> list[str]:
    values, address = (x[0], _address(x[1])) if op == "ld" else (x[1], _address(x[0]))
    lines = []
    for index, value in enumerate(part.strip() for part in values.strip("{}").split(",")):
        where = f"{address} + {index * size}"
        lines.append(
            f"{_name(value)} = memory.load({where}, {size})"
            if op == "ld"
            else f"memory.store({where}, {size}, {_value(value, U64)})"
        )
    return lines


def _address(operand: str) -> str:
    base, _, offset = operand.strip("[]").partition("+")
    return f"({_name(base)} + {offset or 0})"


def _name(register: str) -> str:
    return re.sub(r"\W", "_", register.strip())


def _value(operand: str, mask: int) -> str:
    operand = operand.strip()
    if operand in SPECIAL:
        return SPECIAL[operand]
    if re.fullmatch(r"-?(0x[0-9a-fA-F]+|\d+)U?", operand):
        return str(int(operand.rstrip("U"), 0) & mask)
    return _name(operand) if re.fullmatch(r"%?\w+", operand) else operand


def _signed(value: str, bits: int) -> str:
    return f"({value} - (({value} >> {bits - 1}) << {bits}))"


def _parameter(given: dict[str, bytes], name: str, offset: int, size: int) -> int:
    data = given[name][offset : offset + size]
    assert len(data) == size, f"{name} is shorter than what the kernel reads"
    return int.from_bytes(data, "little")


def _lop3(a: int, b: int, c: int, table: int) -> int:
    result = 0
    for row in range(8):
        if table >> row & 1:
            result |= (a if row & 4 else ~a) & (b if row & 2 else ~b) & (c if row & 1 else ~c)
    return result


def _prmt(a: int, b: int, selector: int) -> int:
    both = b << 32 | a
    result = 0
    for place in range(4):
        choice = selector >> 4 * place & 15
        assert choice < 8, "prmt's sign mode is not taught"
        result |= (both >> 8 * choice & 255) << 8 * place
    return result
