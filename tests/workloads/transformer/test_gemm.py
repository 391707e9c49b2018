"""Phase gemm: right products pass, wrong ones are caught, work is counted."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bench.model import BenchError, Job, Skip, Variant
from bench.workloads import load
from bench.workloads.transformer import (
    dtypes,
    gemm,
    memory,
    shapes,
    torch_device,
)
from bench.workloads.transformer.inputs import INPUT_KINDS
from bench.workloads.transformer.options import BlockSettings
from tests.support.transformer import (
    CPU,
    DENSE,
    PRODUCTS,
    gpu,
)

TOKENS = 16


def variant(dtype: str = "fp32", product: str | None = None, **settings: Any) -> Variant:
    return Variant("transformer", "gemm", "tiny", dtype, 1, TOKENS, product, BlockSettings(**settings))


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
    assert set(audit.details) == {f"freivalds_{name}" for name in PRODUCTS}
    assert all(value <= 1 for value in audit.details.values())
    assert job.facts.native == dtypes.native(CPU, dtypes.lookup(dtype))
    job.close()
    job.close()


@pytest.mark.usefixtures("small_cache")
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("product", PRODUCTS)
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
    plan = gemm.layout(shapes.load("tiny"), dtypes.lookup("bf16"), 16, None, 64 << 20)
    assert plan.rotating_bytes >= 64 << 20
    assert plan.copies * plan.bytes_per_iteration >= 64 << 20
    assert gemm.layout(shapes.load("llama3-8b"), dtypes.lookup("bf16"), 16, None, 32 << 20).copies == 1


@pytest.mark.parametrize(("cache", "bound"), [(1 << 20, 0.5), (1 << 40, 1.0)])
def test_a_row_says_how_much_the_cache_may_have_served(
    cache: int, bound: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_device, "cache_bytes", lambda device: cache)
    monkeypatch.setattr(torch_device, "rotation_bytes", lambda device: 2 << 20)
    shares = []
    for phase in ("gemm", "decode"):
        one = Variant("transformer", phase, "tiny", "fp32", 1, TOKENS)
        job = load("transformer").build(CPU, one)
        shares.append(job.facts.cache_share_bound)
        job.close()
    assert all(0 < share <= bound for share in shares)
    assert bound < 1 or shares == [1.0, 1.0]


def test_mixture_spreads_its_tokens() -> None:
    shape = shapes.load("mixtral-8x7b")
    plan = gemm.layout(shape, dtypes.lookup("bf16"), 64, None, 32 << 20)
    rows = {product.name: (each, product.experts) for product, each in plan.products}
    assert rows["gate_up"] == (16, 8)
    assert rows["qkv"] == (64, 1)
    with pytest.raises(BenchError, match="do not spread"):
        gemm.layout(shape, dtypes.lookup("bf16"), 3, None, 32 << 20)


def test_what_does_not_fit_is_skipped_with_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1 << 20)
    with pytest.raises(Skip, match=r"needs \d+ bytes"):
        gemm.build(CPU, variant(), shapes.load("tiny"))


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


@pytest.mark.parametrize("kind", INPUT_KINDS)
def test_every_kind_of_input_is_verified(small_cache: None, kind: str) -> None:
    job = gemm.build(CPU, variant("bf16", inputs=kind), shapes.load("tiny"))
    assert job.verify().ok
    assert job.facts.options == f"inputs={kind} threads={torch.get_num_threads()}"
    x = job._turns[0][0].x
    assert bool(x.any()) == (kind != "zeros")


@pytest.mark.parametrize("captures", [True, False])
def test_small_products_are_captured_on_cuda(captures, gpu_on_cpu, monkeypatch):
    """The CUDA path of the bare products, with tensors on the CPU and a stand-in for the graph."""
    if not captures:
        monkeypatch.setattr(gemm, "GRAPH_FLOPS", 1.0)
    job = gemm.build(gpu(), Variant("transformer", "gemm", "dense", "fp32", 1, 8), DENSE)
    assert job.facts.implementation.endswith("-graph") == captures
    assert len(gpu_on_cpu) == (len(job._turns) if captures else 0)
    assert job.verify().ok
    job.launch(3)
    assert job.audit().ok
    job._turns[job._next - 1][0].out.fill_(0.5)
    job._launched = 1
    assert not job.audit().ok
    job.close()
