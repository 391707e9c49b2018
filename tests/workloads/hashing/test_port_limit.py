"""The measured port limit: its instructions wait for nothing, and code that does wait falls short of it."""

from __future__ import annotations

import platform
import re
import shutil

import pytest

from tests.benchmarks import port_limit

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64" or not shutil.which("gcc"), reason="x86-64 with gcc only"
)

BLOCK = [
    "vpaddd\txmm3, xmm2, XMMWORD PTR -80[rbp+rax]",
    "vpxor\txmm4, xmm3, xmm3",
    "sha256rnds2\txmm4, xmm3, xmm0",
    "vmovdqa32\txmm20, xmm4",
    "vmovd\tebp, xmm4",
    "vpaddd\tzmm5, zmm5, DWORD PTR [rdx+8]{1to16}",
    "add\trax, 4",
    "movaps\tXMMWORD PTR [rsp+16], xmm4",
]


def written_and_read(line: str) -> tuple[set[str], set[str]]:
    parts = port_limit.operands(line.partition("\t")[2])
    registers = [re.findall(r"[xyz]mm\d+", part) for part in parts]
    return set(registers[0]), {name for names in registers[1:] for name in names}


def test_no_instruction_reads_what_another_writes():
    lines = port_limit.independent(BLOCK * 10, forwarded=False)
    written = set().union(*(written_and_read(line)[0] for line in lines))
    read = set().union(*(written_and_read(line)[1] for line in lines))
    assert not written & read
    dependent = [line for line in BLOCK if "mm" in line]
    assert set().union(*(written_and_read(line)[0] for line in dependent)) & set().union(
        *(written_and_read(line)[1] for line in dependent)
    )


def test_forwarded_sources_are_results_of_long_before():
    lines = port_limit.independent(["vpxor\txmm1, xmm2, xmm3"] * 40, forwarded=True)
    last: dict[str, int] = {}
    for at, line in enumerate(lines):
        written, read = written_and_read(line)
        assert all(at - last[name] >= 10 for name in read if name in last)
        last.update(dict.fromkeys(written, at))


def test_kinds_of_operands_are_kept():
    lines = port_limit.independent(BLOCK, forwarded=False)
    assert len(lines) == len(BLOCK) - 1  # the scalar addition is gone
    assert lines[0].endswith("XMMWORD PTR [rsi+64]")
    assert "xmm0" in lines[2]
    assert re.search(r"xmm(1[6-9]|2\d)", lines[3])
    assert "eax" in lines[4]
    assert lines[5].endswith("]{1to16}")
    assert "[rdi+" in lines[6]


def test_longest_block_is_found_between_labels():
    text = (
        "b:\n\tmov\teax, 1\n\t.size\tb\na:\n\tnop\n\tret\n.L2:\n\tvpxor\txmm1, xmm1, xmm1\n\tvpxor\txmm2, xmm2, xmm2\n"
    )
    text += "\tjmp\t.L2\n.L3:\n\tnop\n\t.size\ta\n"
    assert port_limit.block_of(text, "b") == ["mov\teax, 1"]
    assert port_limit.block_of(text, "a") == ["vpxor\txmm1, xmm1, xmm1", "vpxor\txmm2, xmm2, xmm2", "jmp\t.L2"]


@pytest.mark.parametrize("versions", [1, 4])
@pytest.mark.parametrize("isa", ["avx2", "shani"])
def test_the_products_own_block_assembles(isa, versions, tmp_path):
    *_, (block, times) = port_limit.blocks_of(port_limit.assembly(isa, tmp_path), isa, versions)
    assert times == (3 if (isa, versions) == ("shani", 4) else versions)
    assert len(block) > 1000
    for forwarded in (False, True):
        port_limit.callable_loop(port_limit.independent(block, forwarded), tmp_path, f"{isa}{forwarded:d}")
