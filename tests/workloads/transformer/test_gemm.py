"""Phase gemm: right products pass, wrong ones are caught, names are checked, work is counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import pytest
import torch

from bench.model import BenchError, Device, Job, Skip, Variant
from bench.workloads import Request, load
from bench.workloads.transformer import dtypes, flops, freivalds, gemm, memory, shapes, torch_device
from bench.workloads.transformer.inputs import INPUT_KINDS, Values

CPU = Device("cpu", 0, "a CPU", cores=2, arch="x86_64")
TOKENS = 16


def variant(dtype: str = "fp32", product: str | None = None, **options: object) -> Variant:
    return Variant("transformer", "gemm", "tiny", dtype, 1, TOKENS, product, options)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads on busy cores wait for each other at every small operation."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """A last-level cache of 2 MiB, so that copies are few and tests are quick."""
    monkeypatch.setattr(torch_device, "cache_bytes", lambda device: 2 << 20)


@pytest.mark.usefixtures("small_cache")
@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16", "int8"])
def test_products_are_right_before_and_after_a_window(dtype: str) -> None:
    if dtype == "int8" and not dtypes.native(CPU, dtypes.lookup("int8")):
        pytest.skip("this CPU has no int8 dot product")
    job = load("transformer").build(CPU, variant(dtype))
    assert isinstance(job, Job)
    assert job.verify().ok
    job.launch(3)
    job.sync()
    audit = job.audit()
    assert audit.ok
    assert set(audit.details) == {f"freivalds_{name}" for name in shapes.PRODUCTS}
    assert all(value <= 1 for value in audit.details.values())
    assert job.facts.native == dtypes.native(CPU, dtypes.lookup(dtype))
    job.close()
    job.close()


@pytest.mark.usefixtures("small_cache")
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("product", shapes.PRODUCTS)
def test_one_wrong_element_is_caught(dtype: str, product: str) -> None:
    job = gemm.build(CPU, variant(dtype), shapes.load("tiny"))
    job.launch(1)
    call = next(call for call in job._turns[0] if call.name == product)
    call.out[TOKENS // 2, 3] += 0.5
    audit = job.audit()
    assert not audit.ok
    assert any(product in reason for reason in audit.reasons)


@pytest.mark.usefixtures("small_cache")
def test_wrong_weights_are_caught() -> None:
    job = gemm.build(CPU, variant("bf16"), shapes.load("tiny"))
    assert job.verify().ok
    job._turns[job._next][0].weight[5, 7] += 1.0
    job.launch(1)
    assert not job.audit().ok


@pytest.mark.usefixtures("small_cache")
def test_output_of_an_earlier_window_is_no_proof() -> None:
    job = gemm.build(CPU, variant(), shapes.load("tiny"))
    assert job.verify().ok
    job._launched = 1
    assert not job.audit().ok


@pytest.mark.usefixtures("small_cache")
def test_int8_allows_no_error_at_all() -> None:
    if not dtypes.native(CPU, dtypes.lookup("int8")):
        pytest.skip("this CPU has no int8 dot product")
    job = gemm.build(CPU, variant("int8"), shapes.load("tiny"))
    job.launch(1)
    job._turns[0][0].out[0, 0] += 1
    assert not job.audit().ok


@pytest.mark.parametrize("name", list(dtypes.DTYPES))
def test_tolerance_takes_the_types_error_and_not_twice_a_coarser_ones(name: str) -> None:
    dtype = dtypes.lookup(name)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(64, 512, generator=generator)
    w = torch.randn(256, 512, generator=generator) / 512**0.5
    if name == "int8":
        x, w = (x * 32).round(), (w * 700).round()
    elif name == "tf32":
        # Truncate to 10 stored bits, as tensor cores may: the worst that the hardware does.
        x, w = ((t.view(torch.int32) & ~0x1FFF).view(torch.float32) for t in (x, w))
    else:
        x, w = (t.to(dtype.torch_dtype).float() for t in (x, w))
    right = x.double() @ w.double().T
    c = right.to(dtype.out_dtype)
    assert freivalds.excess(x, c, freivalds.project(w, 3, "cpu"), dtype) <= 1
    noise = torch.randn(right.shape, generator=generator).double()
    coarse = max(dtype.epsilon_out + dtype.epsilon_in, dtype.epsilon_sum(512), 1e-9)
    wrong = right * (1 + 8 * coarse * noise) if name != "int8" else right + noise.round()
    assert freivalds.excess(x, wrong, freivalds.project(w, 3, "cpu"), dtype) > 1


def test_nan_zero_and_misshapen_outputs_fail() -> None:
    x, w = torch.randn(4, 64), torch.randn(100, 64)
    dtype = dtypes.lookup("fp32")
    projection = freivalds.project(w, 0, "cpu")
    c = x @ w.T
    assert freivalds.excess(x, c, projection, dtype) <= 1
    assert freivalds.excess(x, torch.zeros_like(c), projection, dtype) > 1
    assert freivalds.excess(x, c[:, :99], projection, dtype) == float("inf")
    c[3, 99] = float("nan")
    assert freivalds.excess(x, c, projection, dtype) == float("inf")


def test_a_set_counts_each_product_once_and_the_head_by_its_share() -> None:
    shape = shapes.load("llama3-8b")
    plan = gemm.layout(shape, dtypes.lookup("bf16"), 128, None, 32 << 20)
    block = 2 * 128 * (6144 * 4096 + 4096 * 4096 + 28672 * 4096 + 4096 * 14336)
    exact = block + 2 * 128 * 128256 * 4096 / 32
    assert plan.flops_per_iteration == pytest.approx(exact, rel=1e-3)
    assert plan.flops_per_iteration >= exact
    head = gemm.layout(shape, dtypes.lookup("bf16"), 128, "lm_head", 32 << 20)
    assert head.flops_per_iteration == 2 * 128 * 128256 * 4096


def test_every_row_of_the_vocabulary_is_read_in_turn(small_cache: None) -> None:
    job = gemm.build(CPU, variant(), shapes.load("tiny"))
    rows: set[int] = set()
    head = job._turns[0][-1].weight
    for calls in job._turns:
        start = (calls[-1].weight.data_ptr() - head.data_ptr()) // (4 * 512)
        rows |= set(range(start, start + calls[-1].weight.shape[0]))
    assert rows == set(range(4096))


def test_copies_exceed_the_cache() -> None:
    plan = gemm.layout(shapes.load("tiny"), dtypes.lookup("bf16"), 16, None, 32 << 20)
    assert plan.copies * plan.bytes_per_iteration >= 2 * (32 << 20)
    assert gemm.layout(shapes.load("llama3-8b"), dtypes.lookup("bf16"), 16, None, 32 << 20).copies == 1


def test_mixture_spreads_its_tokens() -> None:
    shape = shapes.load("mixtral-8x7b")
    plan = gemm.layout(shape, dtypes.lookup("bf16"), 64, None, 32 << 20)
    rows = {product.name: (each, product.experts) for product, each in plan.products}
    assert rows["gate_up"] == (16, 8)
    assert rows["qkv"] == (64, 1)
    with pytest.raises(BenchError, match="do not spread"):
        gemm.layout(shape, dtypes.lookup("bf16"), 3, None, 32 << 20)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"shapes": ("gpt9",)}, "llama3-8b"),
        ({"dtypes": ("fp12",)}, "bf16"),
        ({"phases": ("dream",)}, "gemm"),
        ({"options": {"inputs": "sevens"}}, "structured"),
        ({"seqs": (0,)}, "1 or more"),
    ],
)
def test_an_unknown_name_is_refused_with_the_choices(changes: dict[str, object], names: str) -> None:
    with pytest.raises(BenchError, match=names):
        load("transformer").plan(CPU, Request(**changes))  # type: ignore[arg-type]


def test_what_does_not_fit_is_skipped_with_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1 << 20)
    with pytest.raises(Skip, match=r"needs \d+ bytes"):
        gemm.build(CPU, variant(), shapes.load("tiny"))


def test_tf32_and_fp8_are_refused_where_they_are_not_native() -> None:
    with pytest.raises(Skip, match="no native tf32"):
        gemm.build(CPU, variant("tf32"), shapes.load("tiny"))
    volta = Device("cuda", 0, "Tesla V100-SXM2-16GB", arch="sm_70")
    assert not dtypes.native(volta, dtypes.lookup("bf16"))
    assert dtypes.native(volta, dtypes.lookup("fp16"))
    with pytest.raises(Skip):
        dtypes.require(volta, dtypes.lookup("fp8"))
    hopper = Device("cuda", 0, "NVIDIA H100 80GB HBM3", arch="sm_90")
    assert all(dtypes.native(hopper, dtype) for dtype in dtypes.DTYPES.values())


@pytest.mark.usefixtures("small_cache")
def test_the_fp8_call_is_right_where_it_can_be_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU emulates fp8 and is refused; allowed for once, it walks the call that a GPU makes."""
    monkeypatch.setattr(dtypes, "native", lambda device, dtype: True)
    job = gemm.build(CPU, variant("fp8"), shapes.load("tiny"))
    audit = job.verify()
    assert audit.ok, audit.reasons
    assert "fast_accum=off" in (job.facts.precision or "")
    job.launch(1)
    # outputs are of size √k here: one step of a unit is one rounding, a whole output is not
    job._turns[job._next - 1][0].out[0, 0] *= -3
    assert not job.audit().ok


@pytest.mark.parametrize(
    ("dtype", "sizes", "fits"),
    [
        ("int8", (17, 64, 64), True),
        ("int8", (16, 64, 64), False),
        ("int8", (17, 60, 64), False),
        ("fp8", (1, 64, 64), True),
        ("fp8", (17, 64, 40), False),
        ("bf16", (1, 3, 5), True),
    ],
)
def test_sizes_that_a_gpu_cannot_multiply_in_one_byte_are_skipped(dtype, sizes, fits) -> None:  # type: ignore[no-untyped-def]
    card = Device("cuda", 0, "Example GPU", arch="sm_90")
    with nullcontext() if fits else pytest.raises(Skip, match="multiples of"):
        dtypes.require_product(card, dtypes.lookup(dtype), *sizes)
    dtypes.require_product(CPU, dtypes.lookup(dtype), *sizes)


def test_flags_follow_the_type() -> None:
    assert "fp32_matmul=tf32" in dtypes.set_flags(dtypes.lookup("tf32"))
    assert torch.backends.cuda.matmul.fp32_precision == "tf32"
    assert "fp32_matmul=ieee" in dtypes.set_flags(dtypes.lookup("fp32"))
    assert torch.backends.cuda.matmul.fp32_precision == "ieee"
    assert torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction is False


@pytest.mark.parametrize("kind", INPUT_KINDS)
def test_every_kind_of_input_is_verified(small_cache: None, kind: str) -> None:
    job = gemm.build(CPU, variant("bf16", inputs=kind), shapes.load("tiny"))
    assert job.verify().ok
    assert job.facts.options == f"inputs={kind} threads={torch.get_num_threads()}"
    x = job._turns[0][0].x
    assert bool(x.any()) == (kind != "zeros")


def test_inputs_are_seeded_normal() -> None:
    first, again, other = (Values(CPU, "normal", seed) for seed in (1, 1, 2))
    a, b, c = (values.fill(torch.empty(1000, 1000)) for values in (first, again, other))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert abs(float(a.mean())) < 0.01
    assert abs(float(a.std()) - 1) < 0.01
    assert not torch.equal(first.fill(torch.empty(1000, 1000)), a)


def test_detail_adds_a_variant_per_product() -> None:
    planned = load("transformer").plan(CPU, Request(shapes=("tiny",), dtypes=("fp32",), detail=True))
    assert [v.product for v in planned] == [None, *shapes.PRODUCTS]
    assert flops.product_flops(shapes.load("tiny").products()[0], 10) == 2 * 10 * 768 * 512
