"""The count of work, compared with torch's own counter and with published sizes."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bench.model import Device, Variant
from bench.workloads import load
from bench.workloads.transformer import (
    block,
    dtypes,
    flops,
    functional,
    gemm,
    phases,
    shapes,
    torch_device,
)
from tests.support.transformer import (
    CPU,
    MIXTURE,
    full_attention,
    make_block,
    make_train_block,
)


@pytest.mark.parametrize("phase", ["prefill", "decode", "train"])
@pytest.mark.parametrize("name", [*shapes.names(), "mixture"])
def test_flops_agree_with_torchs_own_counter(name, phase):
    shape = MIXTURE if name == "mixture" else shapes.load(name)
    batch, seq = 2, 8
    meta = Device("meta", 0, "meta")
    dtype = dtypes.lookup("bf16")
    rows = batch if phase == "decode" else batch * seq
    weights = block.Weights(
        **{"router": None}
        | {
            key: torch.empty(size, dtype=dtype.torch_dtype, device="meta", requires_grad=phase == "train")
            for key, size in block.weight_shapes(shape).items()
        }
    )
    x = torch.empty(rows, shape.d_model, dtype=dtype.torch_dtype, device="meta", requires_grad=phase == "train")
    positions = 1 if phase == "decode" else seq
    rope = tuple(
        torch.empty(positions, 1, shape.head_dim // 2, dtype=dtype.torch_dtype, device="meta") for _ in range(2)
    )
    routed = rows * shape.top_k
    counts = [routed // shape.experts] * shape.experts
    counts[-1] += routed - sum(counts)

    def run():
        if phase != "decode":
            return functional.forward(shape, meta, weights, x, rope, batch, counts)
        cache = tuple(
            torch.empty(batch, shape.kv_heads, seq, shape.head_dim, dtype=dtype.torch_dtype, device="meta")
            for _ in range(2)
        )
        return functional.forward(shape, meta, weights, x, rope, batch, counts, cache=cache)

    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        y = run()
        if phase == "train":
            y.backward(torch.empty_like(y))
    counted = counter.get_total_flops()
    ours = block.flops_per_run(shape, phase, batch, seq)
    causal = full_attention(shape, batch, seq, phase) - (
        ours - (3 if phase == "train" else 1) * flops.linear_flops(shape, rows)
    )
    assert counted == ours + causal
    if phase == "decode":
        assert causal == 0
    else:
        # The mask spares (s - 1)/2s of the pairs.
        assert causal == full_attention(shape, batch, seq, phase) * (seq - 1) // (2 * seq)


def test_flops_of_what_really_runs(monkeypatch):
    """The job's own code, not only the formulas' twin, does the FLOPs that it states."""
    for phase, one in (("prefill", make_block(MIXTURE)), ("decode", make_block(MIXTURE, phase="decode"))):
        with sdpa_kernel(SDPBackend.MATH), torch.no_grad(), FlopCounterMode(display=False) as counter:
            one.run()
        rows = 2 if phase == "decode" else 24
        assert counter.get_total_flops() == flops.linear_flops(MIXTURE, rows) + full_attention(MIXTURE, 2, 12, phase)
    one = make_train_block(MIXTURE)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        one.run()
    assert counter.get_total_flops() == 3 * flops.linear_flops(MIXTURE, 24) + full_attention(MIXTURE, 2, 12, "train")


@pytest.mark.parametrize("name", shapes.names())
def test_gemm_flops_agree_with_torchs_own_counter(name):
    shape = shapes.load(name)
    plan = gemm.layout(shape, dtypes.lookup("bf16"), 64, None, 32 << 20)
    with FlopCounterMode(display=False) as counter:
        for product, rows in plan.products:
            for _ in range(product.experts):
                x = torch.empty(rows, product.k, device="meta")
                torch.mm(x, torch.empty(product.n, product.k, device="meta").t())
    assert counter.get_total_flops() == plan.flops_per_iteration


def test_published_sizes():
    """Parameters of a block × layers, embeddings aside, as the models' cards round them."""
    eight = shapes.load("llama3-8b")
    assert flops.block_weights(eight) * eight.layers + 2 * eight.vocab * eight.d_model == pytest.approx(
        8.03e9, rel=2e-3
    )
    seventy = shapes.load("llama3-70b")
    total = flops.block_weights(seventy) * seventy.layers + 2 * seventy.vocab * seventy.d_model
    assert total == pytest.approx(70.6e9, rel=2e-3)
    mixtral = shapes.load("mixtral-8x7b")
    assert flops.block_weights(mixtral) * 32 + 2 * 32000 * 4096 == pytest.approx(46.7e9, rel=2e-3)
    assert flops.block_weights(mixtral, 2) * 32 + 2 * 32000 * 4096 == pytest.approx(12.9e9, rel=5e-3)


def test_intensity_of_decode_grows_with_the_batch():
    shape, dtype = shapes.load("llama3-8b"), dtypes.lookup("bf16")

    def intensity(batch):
        work = block.flops_per_run(shape, "decode", batch, 2048)
        return work / phases.least_bytes(shape, dtype, "decode", batch, 2048, 1)

    assert intensity(1) == pytest.approx(1, rel=0.1)
    assert intensity(1) < intensity(16) < intensity(64) < 64


@pytest.mark.parametrize("phase", ["gemm", "prefill", "decode", "train"])
def test_modelled_tokens_follow_one_convention(phase, monkeypatch):
    """With the head: the device's rate ÷ the cost of a token of the whole model, head included; without: a block's."""
    monkeypatch.setattr(torch_device, "cache_bytes", lambda device: 1 << 16)
    shape, dtype, batch, seq = shapes.load("tiny"), dtypes.lookup("fp32"), 2, 16
    job = load("transformer").build(CPU, Variant("transformer", phase, "tiny", "fp32", batch, seq))
    facts = job.facts
    job.close()
    tokens = batch * (1 if phase == "decode" else seq)
    if phase == "decode":
        block_cost = phases.least_bytes(shape, dtype, phase, batch, seq, 1)
        head_cost = 4 * (shape.vocab * shape.d_model + batch * (shape.vocab + shape.d_model))
        done = block_cost
    else:
        block_cost = (
            flops.linear_flops(shape, tokens) if phase == "gemm" else block.flops_per_run(shape, phase, batch, seq)
        )
        head_cost = (3 if phase == "train" else 1) * 2 * tokens * shape.vocab * shape.d_model
        done = facts.work_per_iteration
    whole_model = (shape.layers * block_cost + head_cost) / tokens
    assert facts.tokens_per_iteration == pytest.approx(done / whole_model, rel=1e-3)
    assert facts.block_tokens_per_iteration == pytest.approx(done / (shape.layers * block_cost / tokens), rel=1e-6)
    assert facts.tokens_per_iteration < facts.block_tokens_per_iteration


def test_gemm_and_prefill_of_a_model_differ_by_attention_alone():
    """At equal rates their tokens/s are as their costs: the LM head is in both."""
    shape, dtype = shapes.load("llama3-8b"), dtypes.lookup("bf16")
    tokens, rate = 2048, 1e12
    plan = gemm.layout(shape, dtype, tokens, None, 1)
    by_gemm = rate / plan.flops_per_iteration * tokens / shape.layers
    prefill = flops.prefill_flops(shape, 1, tokens)
    by_prefill = rate / prefill * phases.model_tokens(shape, dtype, "prefill", 1, tokens, 1)
    attention = flops.attention_flops(shape, 1, flops.causal_pairs(tokens))
    head = flops.head_flops(shape, tokens) / shape.layers
    assert by_prefill / by_gemm == pytest.approx((prefill - attention + head) / (prefill + head), rel=1e-3)
