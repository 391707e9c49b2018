"""The count of work, compared with torch's own counter and with published sizes."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import flop_counter
from torch.utils.flop_counter import FlopCounterMode

from bench.model import Device, Variant
from bench.workloads import load
from bench.workloads.transformer import (
    block,
    buffers,
    dtypes,
    flops,
    functional,
    gemm,
    phases,
    shapes,
    stack,
    torch_device,
)
from tests.support.transformer import (
    BLOCKS,
    CPU,
    MIXTURE,
    full_attention,
    make_block,
    make_train_block,
)


@pytest.mark.parametrize("phase", ["prefill", "decode", "train"])
@pytest.mark.parametrize("name", [*(name for name in shapes.names() if shapes.load(name).is_plain), "mixture"])
def test_flops_agree_with_torchs_own_counter(name, phase):
    shape = MIXTURE if name == "mixture" else shapes.load(name)
    batch, seq = 2, 8
    meta = Device("meta", 0, "meta")
    dtype = dtypes.lookup("bf16")
    rows = batch if phase == "decode" else batch * seq
    weights = buffers.Weights.of(
        {
            key: torch.empty(size, dtype=dtype.torch_dtype, device="meta", requires_grad=phase == "train")
            for key, size in buffers.weight_shapes(shape).items()
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


def cpu_attention(query, key, value, *args, out_shape=None, **kwargs):
    """torch's counter knows the GPU's kernel of the same sizes, not the CPU's."""
    return flop_counter.sdpa_flop_count(query, (key[0], query[1], *key[2:]), (value[0], query[1], *value[2:]))


OWN_KERNEL = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: cpu_attention}


@pytest.mark.parametrize("shape", BLOCKS, ids=lambda shape: shape.name)
@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_flops_of_what_really_runs(phase, shape):
    """The job's own code, not only the formulas' twin, does the FLOPs that it states."""
    one = make_block(shape, phase=phase)
    counter = FlopCounterMode(display=False, custom_mapping=OWN_KERNEL)
    with sdpa_kernel(SDPBackend.MATH), torch.no_grad(), counter:
        one.run()
    rows = 2 if phase == "decode" else 24
    # Values padded to the width of keys are multiplied, but are no work that was asked for.
    padding = 2 * 2 * 4 * (shape.head_dim - shape.value_dim) * 12 * 12 if phase == "prefill" else 0
    expected = flops.linear_flops(shape, rows) + full_attention(shape, 2, 12, phase) + padding
    assert counter.get_total_flops() == expected


def test_flops_of_a_training_step():
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


@pytest.mark.parametrize(
    ("name", "total", "active"),
    [
        ("qwen3-32b", 32.8e9, 32.8e9),
        ("qwen3-30b-a3b", 30.5e9, 3.3e9),
        ("qwen3-235b-a22b", 235e9, 22e9),
        ("gpt-oss-20b", 20.9e9, 3.6e9),
        ("gpt-oss-120b", 116.8e9, 5.1e9),
        ("llama4-scout", 109e9, 17e9),
        ("deepseek-v3", 671e9, 37e9),
    ],
)
def test_published_sizes_of_models_of_today(name, total, active):
    """Total and active parameters as the models' cards give them; gpt-oss counts no embedding among the active."""
    shape = shapes.load(name)
    vocabulary = shape.vocab * shape.d_model
    parameters = sum(count * flops.block_weights(kind) for kind, count in shape.kinds().items())
    visited = sum(
        count * flops.block_weights(kind, min(kind.top_k, kind.experts)) for kind, count in shape.kinds().items()
    )
    assert parameters + 2 * vocabulary == pytest.approx(total, rel=0.02)
    assert visited + (1 if name.startswith("gpt-oss") else 2) * vocabulary == pytest.approx(active, rel=0.04)


def test_work_of_a_window_by_hand():
    """gpt-oss-20b, 2048 tokens: a windowed layer sees 128·129/2 + 1920·128 pairs, a full one 2048·2049/2."""
    windowed, full = shapes.load("gpt-oss-20b").kinds()
    assert flops.prefill_flops(full, 1, 2048) - flops.prefill_flops(windowed, 1, 2048) == 4 * 64 * 64 * (
        2_098_176 - 254_016
    )
    assert flops.decode_flops(full, 8, 2048) - flops.decode_flops(windowed, 8, 2048) == 4 * 8 * 64 * 64 * 1920
    assert flops.cache_values(windowed, 8, 2048) == 2 * 8 * 128 * 8 * 64
    assert flops.cache_values(full, 8, 2048) == 2 * 8 * 2048 * 8 * 64


def test_work_of_a_shared_expert_by_hand():
    """Llama 4 Scout: a token visits one of 16 experts and the shared one, each of 3 · 5120 · 8192 weights."""
    scout = shapes.load("llama4-scout")
    attention = 5120 * (40 + 16) * 128 + 40 * 128 * 5120
    assert flops.linear_flops(scout, 7) == 2 * 7 * (attention + 2 * 3 * 5120 * 8192 + 16 * 5120)
    assert flops.block_weights(scout) == attention + 17 * 3 * 5120 * 8192 + 16 * 5120 + 2 * 5120


def test_work_of_latent_attention_by_hand():
    """DeepSeek-V3: 576 values cached for a token; decode attends with 576 wide keys and 512 wide values."""
    dense, mixture = shapes.load("deepseek-v3").kinds()
    assert flops.cache_values(mixture, 3, 1000) == 3 * 1000 * 576
    attention = 7168 * (1536 + 576) + 1536 * 128 * 192 + 512 * 128 * 256 + 128 * 128 * 7168
    assert flops.linear_flops(dense, 5) == 2 * 5 * (attention + 3 * 7168 * 18432)
    assert flops.linear_flops(mixture, 5) == 2 * 5 * (attention + 9 * 3 * 7168 * 2048 + 256 * 7168)
    assert flops.decode_flops(dense, 5, 1000) - flops.linear_flops(dense, 5) == 2 * 5 * 128 * (576 + 512) * 1000
    pairs = 1000 * 1001 // 2
    assert flops.prefill_flops(dense, 5, 1000) - flops.linear_flops(dense, 5000) == 2 * 5 * 128 * (192 + 128) * pairs
    bf16 = dtypes.lookup("bf16")
    cached = phases.least_bytes(mixture, bf16, "decode", 1, 1001, 8) - phases.least_bytes(
        mixture, bf16, "decode", 1, 1, 8
    )
    assert cached == 2 * 1000 * 576


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
    by_prefill = rate / prefill * phases.model_tokens(stack.plan(shape), dtype, "prefill", 1, tokens, {shape: 1})[0]
    attention = flops.attention_flops(shape, 1, flops.causal_pairs(tokens))
    head = flops.head_flops(shape, tokens) / shape.layers
    assert by_prefill / by_gemm == pytest.approx((prefill - attention + head) / (prefill + head), rel=1e-3)
