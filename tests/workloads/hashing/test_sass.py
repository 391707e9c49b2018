"""The static bound: its counting on listings with known answers, and the kernels' ceilings."""

from __future__ import annotations

import functools
import json
import subprocess
import sys

import pytest

from bench.model import BenchError
from bench.workloads.hashing import kernels, sass
from tests.support.hashing import sha256d_cubin
from tests.support.paths import DATA

CEILINGS = json.loads((DATA / "sass_ceilings.json").read_text())
LISTING = """
	.section	.text.other,"ax",@progbits
        /*0000*/                   IADD3 R0, R1, R2, RZ ;
	.section	.text.mine,"ax",@progbits
	.sectioninfo	@"SHI_REGISTERS=8"
mine:
        /*0000*/                   S2R R0, SR_CTAID.X ;
        /*0010*/                   SHF.R.W.U32 R6, R2.reuse, 0x6, R2.reuse ;
        /*0020*/              @!P0 LOP3.LUT R10, R2, UR8, R5, 0xca, !PT ;
        /*0030*/                   IMAD R2, R0, R3, UR6 ;
        /*0040*/                   IMAD.HI.U32 R2, R0, R3, RZ ;
        /*0050*/             @!UP0 UIADD3 UR4, UR4, 0x1, URZ ;
        /*0060*/                   IMAD.WIDE.U32 R14, R16, UR6, RZ ;
        /*0070*/                   NEWOP R1, R2 ;
        /*0080*/                   EXIT ;
	.section	.nv.info,"",@"SHT_CUDA_INFO"
        /*0090*/                   IADD3 R0, R1, R2, RZ ;
"""
LOOPS = """
	.section	.text.mine,"ax",@progbits
.L_x_0:
        /*0000*/                   IADD3 R0, R1, R2, RZ ;
.L_x_1:
        /*0010*/                   IMAD R2, R0, R3, UR6 ;
        /*0020*/                   STG.E.128 desc[UR10][R42.64], R36 ;
        /*0030*/               @P0 BRA `(.L_x_1) ;
        /*0040*/               @P1 BRA `(.L_x_2) ;
        /*0050*/                   SHF.R.W.U32 R6, R2, 0x6, R2 ;
        /*0060*/                   BRA `(.L_x_0) ;
.L_x_2:
        /*0070*/                   EXIT ;
.L_x_3:
        /*0080*/                   BRA `(.L_x_3);
"""
LOG = """ptxas info    : Compiling entry function 'other' for 'sm_90'
    0 bytes stack frame, 8 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 99 registers, used 0 barriers
ptxas info    : Compiling entry function 'mine' for 'sm_90'
    16 bytes stack frame, 12 bytes spill stores, 4 bytes spill loads
ptxas info    : Used 40 registers, used 0 barriers
"""


@functools.cache
def bound_of(arch: int, variant: int) -> sass.Bound:
    return sass.bound(sha256d_cubin(arch, variant), "sha256d_scan")


def check(bound: sass.Bound, ceiling: float) -> bool:
    """What CI holds a kernel to."""
    return bound.clocks <= ceiling and bound.spill_bytes == 0 and bound.registers <= CEILINGS["registers"]


def test_each_instruction_counts_on_its_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sass, "disassemble", lambda image: LISTING)
    bound = sass.bound(sass.Cubin(90, b"", LOG), "mine")
    # An instruction that nobody classified counts on the fuller pipe, so that a new one never flatters.
    assert (bound.alu, bound.fma, bound.wide, bound.uniform, bound.other) == (3, 3, 2, 1, 2)
    assert bound.total == 9
    assert (bound.registers, bound.spill_bytes) == (40, 16)
    assert bound.clocks == 5 / 64


@functools.cache
def rolled_of(arch: int, versions: int) -> tuple[float, sass.Bound]:
    return sass.rolled(arch, 3, versions)


@pytest.mark.recorded_nvrtc
@pytest.mark.parametrize("arch", [80, 90])
@pytest.mark.parametrize("versions", sass.SHA256D_VERSIONS)
def test_the_bound_of_rolled_versions_does_not_rise(arch: int, versions: int) -> None:
    clocks, whole = rolled_of(arch, versions)
    ceiling = CEILINGS["rolled"][str(arch)][str(versions)]
    assert ceiling - 0.2 < clocks <= ceiling
    # 65536 registers hold five blocks of 128 threads; the code is one loop that an instruction cache holds.
    assert whole.spill_bytes == 0
    assert whole.registers <= 96
    assert whole.code_bytes < 64_000


def test_the_fullest_pipe_sets_the_bound() -> None:
    def clocks(alu: int, fma: int, wide: int, other: int) -> float:
        return sass.Bound(90, alu, fma, wide, 0, other, 32, 0, 0).clocks

    assert clocks(128, 64, 0, 0) == 2
    assert clocks(64, 100, 28, 0) == 2
    assert clocks(64, 64, 0, 128) == 2


def test_an_absent_kernel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sass, "disassemble", lambda image: LISTING)
    with pytest.raises(BenchError, match="no kernel named yours"):
        sass.bound(sass.Cubin(90, b"", LOG), "yours")
    with pytest.raises(BenchError, match="does not give the registers"):
        sass.bound(sass.Cubin(90, b"", ""), "mine")


@pytest.mark.recorded_nvrtc
@pytest.mark.parametrize("arch", [int(arch) for arch in CEILINGS["clocks"]])
def test_the_bound_does_not_rise(arch: int) -> None:
    for variant, ceiling in CEILINGS["clocks"][str(arch)].items():
        bound = bound_of(arch, int(variant))
        assert check(bound, ceiling), (variant, bound.clocks, bound)
        # A ceiling far above the kernel would let it rise unseen.
        assert bound.clocks > ceiling - 0.2
        # Instructions are 16 bytes; the whole loop fits the 128 KiB instruction cache of Volta and later.
        assert 40_000 < bound.code_bytes < 64_000


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("GPU_ROTR(x, n) __funnelshift_r(x, x, n)", "GPU_ROTR(x, n) ((x << (32 - n)) + __funnelshift_r(x, 0u, n))"),
        ("gpu_multiply_add(x, by.one, y)", "((x) + (y))"),
        ("#pragma unroll 1", "#pragma unroll 2"),
    ],
)
def test_a_worse_kernel_is_rejected(right: str, wrong: str) -> None:
    text = kernels.whole_source("sha256d.cu")
    assert right in text
    setting = {"SHA256D_VARIANT": 1, "NONCES_PER_THREAD": 2 if "unroll" in right else 1}
    worse = sass.bound(sass.compile_cubin(text.replace(right, wrong), 90, defines=setting), "sha256d_scan")
    assert not check(worse, CEILINGS["clocks"]["90"]["1"]), worse


def test_a_loop_is_what_a_branch_returns_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """The outer loop is left out, and so is the branch to itself that ends each kernel's code."""
    monkeypatch.setattr(sass, "disassemble", lambda image: LOOPS)
    inner, trap = sass.loop_bounds(sass.Cubin(90, b"", LOG), "mine")
    assert (inner.total, inner.fma, inner.quads, inner.alu) == (3, 1, 1, 0)
    assert (trap.total, trap.quads) == (1, 0)


@functools.cache
def loops_of(arch: int, wide: int) -> tuple[sass.Bound, sass.Bound]:
    return sass.scrypt(arch, wide)


@pytest.mark.recorded_nvrtc
def test_the_loops_of_scrypt_do_not_rise() -> None:
    for loop, ceiling in zip(loops_of(90, 1), CEILINGS["scrypt_90"]["1"], strict=True):
        assert loop.spill_bytes == 0
        assert ceiling - 0.2 < loop.clocks <= ceiling


def test_a_changed_scratchpad_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows stored four bytes at a time leave no loop of eight quads."""
    read = kernels.source
    slow = "*(volatile u32 *)&row[i].x = quad.x;"
    monkeypatch.setattr(kernels, "source", lambda name: read(name).replace("row[i] = quad;", slow))
    with pytest.raises(BenchError, match="loops move a row"):
        sass.scrypt(90, 0)


def test_command_prints_a_row_for_each_variant(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench.workloads.hashing.sass", "90"])
    loops = loops_of(90, 1)
    monkeypatch.setattr(sass, "scrypt", lambda arch, wide: loops)
    monkeypatch.setattr(sass, "rolled", lambda arch, variant, versions: rolled_of(90, 8))
    assert sass.main() == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("sm_")]
    labels = [*map(str, sass.SHA256D_VARIANTS), *map(str, sass.SHA256D_VERSIONS), "fill/0", "mix/0", "fill/1", "mix/1"]
    assert [(row[0], row[1]) for row in rows] == [("sm_90", label) for label in labels]
    assert float(rows[1][2]) == pytest.approx(bound_of(90, 1).clocks, abs=0.01)


def test_the_table_is_of_one_hash_a_thread() -> None:
    assert sass.sha256d(90, 3) == bound_of(90, 3)


@pytest.mark.parametrize(("word", "said"), [("13", "sm_13"), ("hopper", "usage")])
def test_command_refuses_an_unknown_architecture(word: str, said: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "bench.workloads.hashing.sass", word], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert said in run.stderr
    assert "Traceback" not in run.stderr
