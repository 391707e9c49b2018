"""The kernels through NVIDIA's own compiler, without a GPU: machine code everywhere, and PTX that is run."""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench.model import BenchError
from bench.workloads.hashing import kernels, sass, sha256d_cuda
from bench.workloads.hashing.engine import NONCE_SPACE
from bench.workloads.hashing.job import reference_scan, rolled_reference
from bench.workloads.hashing.shares import sha256d
from tests.fakes.cuda import machine, ptx
from tests.support.hashing import mined_headers, random_headers, sha256d_cubin

SOURCE = kernels.whole_source("sha256d.cu")
VARIANTS, FACTORS = sha256d_cuda.VARIANTS, sha256d_cuda.FACTORS
NONCES = 4
THREADS = 8


def defines(variant: int) -> dict[str, int]:
    return {"SHA256D_VARIANT": variant, "NONCES_PER_THREAD": NONCES, "SHA256D_THREADS": THREADS}


@pytest.mark.parametrize("arch", sass.ARCHITECTURES)
def test_every_architecture_compiles(arch: int) -> None:
    """The other variants hold no instruction that 0 and 3 do not, so two architectures tell for them."""
    variants = VARIANTS if arch in (80, 90) else (0, 3)
    # NVRTC leaves the GIL, so two compile at once.
    with ThreadPoolExecutor(2) as pool:
        for made in pool.map(sha256d_cubin, [arch] * len(variants), variants):
            assert "warning" not in made.log
            # A CUDA ELF names each kernel's code section after it.
            assert b".text.sha256d_scan\0" in made.image


def test_a_syntax_error_is_reported_with_its_line() -> None:
    with pytest.raises(BenchError, match=r"NVRTC does not compile the kernel for sm_90: kernel.cu\(\d+\): error"):
        sass.compile_cubin(SOURCE.replace("while (word != end)", "while (word !! end)"), 90)


def test_a_missing_header_is_reported() -> None:
    with pytest.raises(BenchError, match=r"sha256d\.h"):
        sass.compile_cubin(kernels.source("sha256d.cu"), 90)


def test_an_unknown_architecture_is_reported() -> None:
    with pytest.raises(BenchError, match="sm_13"):
        sass.compile_cubin(SOURCE, 13)


@pytest.mark.parametrize(
    "setting", [{"SHA256D_VARIANT": 9}, {"SHA256D_VERSIONS": 3}, {"NONCES_PER_THREAD": 3}, {"NONCES_PER_THREAD": 512}]
)
def test_a_setting_out_of_range_does_not_compile(setting: dict[str, int]) -> None:
    with pytest.raises(BenchError, match="must be"):
        sass.compile_ptx(SOURCE, 90, defines=setting)


@functools.cache
def program(variant: int, arch: int = 90, source: str = SOURCE, versions: int = 1) -> ptx.Program:
    setting = {**defines(variant), "SHA256D_VERSIONS": versions}
    return ptx.Program(sass.compile_ptx(source, arch, defines=setting), "sha256d_scan")


def run(compiled: ptx.Program, header: bytes, bits: int, first: int, count: int, capacity: int = 64) -> list[int]:
    pairs = run_rolled(compiled, header, bits, first, count, 1, capacity)
    assert all(version == 0 for version, _ in pairs)
    return [nonce for _, nonce in pairs]


def run_rolled(
    compiled: ptx.Program, header: bytes, bits: int, first: int, count: int, versions: int, capacity: int = 64
) -> list[tuple[int, int]]:
    """``(version, nonce)`` that one launch reports, sorted."""
    memory = ptx.Memory()
    count_at, counter = memory.add(8)
    found_at, found = memory.add(8 * capacity)
    job = sha256d_cuda.prepare(header, bits, versions).tobytes()
    factors = b"".join(factor.to_bytes(4, "little") for factor in FACTORS)
    words = [word.to_bytes(4, "little") for word in (7, first, count - 1)]
    pointers = [address.to_bytes(8, "little") for address in (count_at, found_at)]
    blocks = -(-(first % NONCES + count) // NONCES // THREADS) + 1
    compiled.run(blocks, THREADS, [job, factors, *words, *pointers, capacity.to_bytes(4, "little")], memory)
    hits = int.from_bytes(counter, "little")
    pairs = [found[8 * i : 8 * i + 8] for i in range(min(hits, capacity))]
    assert hits <= capacity
    return sorted((int.from_bytes(pair[:4], "little") - 7, int.from_bytes(pair[4:], "little")) for pair in pairs)


@pytest.mark.recorded_nvrtc
@pytest.mark.parametrize(("variant", "arch"), [(0, 90), (3, 90), (4, 90), (3, 100)])
def test_ptx_agrees_with_the_reference(variant: int, arch: int) -> None:
    compiled = program(variant, arch)
    for number, (first, count) in enumerate([(0, 21), (NONCE_SPACE - 19, 19), (0x12FE, 23)]):
        header = random_headers(number, 1)[0]
        assert run(compiled, header, 2, first, count) == reference_scan(sha256d, header, 2, first, count)


@pytest.mark.recorded_nvrtc
@pytest.mark.parametrize("variant", [0, 3])
def test_ptx_finds_mined_headers(variant: int) -> None:
    for header, nonce in mined_headers():
        assert run(program(variant), header, 32, nonce - 1, 3) == [nonce]


@pytest.mark.recorded_nvrtc
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("mad.lo.u32 %0, %1, %2, %3", "mad.lo.u32 %0, %1, %2, %1"),
        ("mul.hi.u32 %0, %1, %2", "mul.lo.u32 %0, %1, %2"),
        ("mov.b64 {low, high}, product", "mov.b64 {high, low}, product"),
        ("gpu_logic<0xca>", "gpu_logic<0xac>"),
        ("__byte_perm(x, 0, 0x0123)", "__byte_perm(x, 0, 0x0132)"),
    ],
)
def test_a_fault_in_what_only_a_gpu_compiles_is_caught(right: str, wrong: str) -> None:
    """Inline assembly is not in the host build; here it runs."""
    assert right in SOURCE
    header = random_headers(4, 1)[0]
    due = reference_scan(sha256d, header, 1, 0, 24)
    assert run(program(3), header, 1, 0, 24) == due
    same = run(program(3, 90, SOURCE.replace(right, wrong)), header, 1, 0, 24) == due
    # Both halves of a rotation are added, so their order alone changes nothing.
    assert same == ("high" in right)


@pytest.mark.recorded_nvrtc
@pytest.mark.parametrize(("variant", "versions"), [(0, 2), (3, 4), (4, 8)])
def test_ptx_of_rolled_versions_agrees_with_the_reference(variant: int, versions: int) -> None:
    compiled = program(variant, versions=versions)
    for number, (first, count) in enumerate([(0, 9), (NONCE_SPACE - 7, 7)]):
        header = random_headers(number, 1)[0]
        due = rolled_reference(sha256d, header, 1, first, count, versions)
        assert run_rolled(compiled, header, 1, first, count, versions) == due
        assert len({version for version, _ in due}) > 1


@functools.cache
def listing(arch: int, variant: int, versions: int = 1) -> str:
    return sass.disassemble(sha256d_cubin(arch, variant, versions).image)


def block_of(arch: int, header: bytes, bits: int, first: int, threads: int = 256, versions: int = 1) -> machine.Machine:
    """A block at the start of the kernel, of one nonce a thread."""
    jobs = sha256d_cuda.prepare(header, bits, versions).tobytes()
    factors = b"".join(factor.to_bytes(4, "little") for factor in FACTORS)
    scalars = b"".join(word.to_bytes(4, "little") for word in (7, first, threads - 1))
    return machine.Machine(arch, jobs + factors + scalars, threads)


def survivors(arch: int, code: str, header: bytes, bits: int, first: int, threads: int = 256) -> list[int]:
    """Nonces whose thread does not leave at the first exit: those that go on to report a share."""
    block = block_of(arch, header, bits, first, threads)
    leaves = block.run(code, "sha256d_scan")
    assert block.executed > 2000
    return [first + int(thread) for thread in (~leaves).nonzero()[0]]


@pytest.mark.recorded_nvrtc
@pytest.mark.parametrize(
    ("arch", "variant"),
    # Every variant once, and on every architecture what differs most in the instructions used.
    [
        *((arch, 3) for arch in sass.ARCHITECTURES),
        *((90, variant) for variant in (1, 2, 4)),
        *((a, 0) for a in (80, 120)),
    ],
)
def test_machine_code_agrees_with_the_reference(arch: int, variant: int) -> None:
    """The bits that a card would run, run here, for each card that the project compiles for."""
    code = listing(arch, variant)
    # A mined header: around its nonce lie some 32 shares of 3 bits, and the mined one.
    header, nonce = mined_headers()[variant % 3]
    first = nonce - 100
    assert survivors(arch, code, header, 3, first) == reference_scan(sha256d, header, 3, first, 256)


def rolled_survivors(
    arch: int, code: str, header: bytes, bits: int, first: int, versions: int
) -> list[tuple[int, int]]:
    """``(version, nonce)`` whose thread goes on to report a share."""
    block = block_of(arch, header, bits, first, versions=versions)
    stayed = block.decisions(code, "sha256d_scan")
    assert len(stayed) == versions
    assert block.executed > 2000 * versions
    return [(version, first + int(thread)) for version, mask in enumerate(stayed) for thread in mask.nonzero()[0]]


@pytest.mark.recorded_nvrtc
@pytest.mark.parametrize(
    ("arch", "variant", "versions"), [(80, 3, 8), (90, 3, 4), (90, 1, 2), (90, 4, 8), (100, 3, 4), (86, 3, 2)]
)
def test_machine_code_of_rolled_versions_agrees_with_the_reference(arch: int, variant: int, versions: int) -> None:
    code = listing(arch, variant, versions)
    header, nonce = mined_headers()[0]
    first = nonce - 100
    due = rolled_reference(sha256d, header, 3, first, 256, versions)
    assert rolled_survivors(arch, code, header, 3, first, versions) == due
    assert len({version for version, _ in due}) == versions
    found = rolled_survivors(arch, code, header, 32, first, versions)
    assert (0, nonce) in found


@pytest.mark.recorded_nvrtc
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("0x96, !PT", "0x69, !PT"),  # in what the versions share
        ("c[0x0][R14+0x248]", "c[0x0][0x248]"),  # every version reads the first one's job
        ("ISETP.NE.AND P0, PT, R10, 0x4, PT", "ISETP.NE.AND P0, PT, R10, 0x3, PT"),  # one version left out
    ],
)
def test_a_fault_in_machine_code_of_rolled_versions_is_caught(right: str, wrong: str) -> None:
    code = listing(90, 3, 4)
    at = code.index(right, code.index(".text.sha256d_scan"))
    faulty = code[:at] + wrong + code[at + len(right) :]
    header, first = random_headers(1, 1)[0], 0x01020300
    due = rolled_reference(sha256d, header, 3, first, 256, 4)
    assert rolled_survivors(90, code, header, 3, first, 4) == due
    block = block_of(90, header, 3, first, versions=4)
    stayed = block.decisions(faulty, "sha256d_scan")
    assert [(v, first + int(thread)) for v, mask in enumerate(stayed) for thread in mask.nonzero()[0]] != due


@pytest.mark.recorded_nvrtc
@pytest.mark.parametrize("variant", [0, 3])
def test_machine_code_finds_mined_headers(variant: int) -> None:
    for header, nonce in mined_headers():
        assert survivors(90, listing(90, variant), header, 32, nonce - 8, threads=32) == [nonce]


@pytest.mark.recorded_nvrtc
@pytest.mark.parametrize("first", [0, NONCE_SPACE - 256])
def test_machine_code_at_the_edges(first: int) -> None:
    header = random_headers(first, 1)[0]
    due = reference_scan(sha256d, header, 3, first, 256)
    assert survivors(90, listing(90, 3), header, 3, first) == due


@pytest.mark.recorded_nvrtc
@pytest.mark.parametrize(
    ("right", "wrong"),
    [("IMAD.HI.U32", "IMAD.WIDE.U32"), ("0x96, !PT", "0x69, !PT"), ("IMAD.HI.U32", "IMAD"), ("0x123", "0x132")],
)
def test_one_wrong_instruction_in_machine_code_is_caught(right: str, wrong: str) -> None:
    code = listing(90, 2)
    at = code.index(right, code.index(".text.sha256d_scan"))
    faulty = code[:at] + wrong + code[at + len(right) :]
    header, first = random_headers(1, 1)[0], 0x01020300
    due = reference_scan(sha256d, header, 3, first, 256)
    assert survivors(90, code, header, 3, first) == due
    assert survivors(90, faulty, header, 3, first) != due


@pytest.mark.recorded_nvrtc
def test_machine_code_that_nobody_taught_is_an_error() -> None:
    code = listing(90, 2).replace("PRMT", "BMSK", 1)
    with pytest.raises(AssertionError, match=r"nobody taught: .*BMSK"):
        survivors(90, code, bytes(80), 3, 0)


def test_the_interpreter_rejects_what_it_was_not_taught() -> None:
    text = sass.compile_ptx('extern "C" __global__ void f(float *x) { x[0] = x[0] * 2.5f; }', 90)
    with pytest.raises(AssertionError, match="nobody taught"):
        ptx.Program(text, "f")
