"""Inference blocks: right compared with a float64 reference, wrong ones caught."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from bench.model import Device
from bench.workloads.transformer import (
    attention,
    dtypes,
    phases,
    shapes,
    stack,
)
from bench.workloads.transformer.block import Block
from tests.support import transformer_reference as reference
from tests.support.transformer import (
    BLOCKS,
    CPU,
    DENSE,
    LATENT,
    MIXTURE,
    SHARED,
    WINDOWED,
    all_right,
    make_block,
    make_train_block,
)

TOLERANCE = {"fp32": 2e-5, "fp16": 2e-2, "bf16": 1e-1}


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("shape", BLOCKS, ids=lambda s: s.name)
def test_prefill_agrees_with_the_reference(shape, dtype):
    one = make_block(shape, dtype)
    x = one.buffers["x"].double().view(2, 12, -1)
    wanted = torch.cat([reference.block(shape, reference.wide(one.weights), sequence) for sequence in x])
    if shape.experts > 1 and dtype != "fp32":
        # A token whose two best experts tie in a narrow type may rightly go elsewhere than in float64.
        same = ((one.buffers["y"].double() - wanted).norm(dim=1) < 0.1 * wanted.norm(dim=1)).double().mean()
        assert same >= 0.8
    else:
        torch.testing.assert_close(one.buffers["y"].double(), wanted, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    assert all_right(one.check("cpu"))


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("shape", BLOCKS, ids=lambda s: s.name)
def test_decode_on_a_cache_equals_the_last_token_of_prefill(shape, dtype):
    whole = make_block(shape, dtype, batch=3, seq=10)
    step = make_block(shape, dtype, "decode", batch=3, seq=10)
    step.weights = whole.weights
    step._projections.clear()
    if shape.kv_lora:
        latent = torch.cat((whole.buffers["latent"], whole.buffers["rotated"][:, -1]), dim=-1).view(3, 10, -1)
        step.buffers["keys"][:, 0, :-1] = latent[:, :-1]
    else:
        fill_cache(step, whole)
    step.buffers["x"].copy_(whole.buffers["x"].view(3, 10, -1)[:, -1])
    step.poison()
    step.prepare()
    last = whole.buffers["y"].view(3, 10, -1)[:, -1]
    torch.testing.assert_close(step.buffers["y"], last, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    assert all_right(step.check("cpu"))
    # The cache was needed: with another token in it the answer is another.
    step.buffers["keys"][:, :, 0] += 1
    step.run()
    assert not torch.allclose(step.buffers["y"], last, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def fill_cache(step, whole):
    _, k, v = whole.qkv_views()
    cached = step.buffers["keys"].shape[2]
    step.buffers["keys"][:, :, :-1] = k[:, :, -cached:-1]
    step.buffers["values"][:, :, :-1] = v[:, :, -cached:-1]


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("phase", ["prefill", "decode"])
@pytest.mark.parametrize("name", ["qkv", "o", "gate_up", "down", "norm1", "norm2", "router"])
def test_a_wrong_weight_is_caught(name, phase, dtype):
    one = make_block(MIXTURE, dtype, phase)
    assert all_right(one.check("cpu"))
    weight = getattr(one.weights, name)
    before = weight.clone()
    weight.flatten()[::3] += 0.5
    one.run()
    weight.copy_(before)
    assert not all_right(one.check("cpu"))


@pytest.mark.parametrize("phase", ["prefill", "decode"])
@pytest.mark.parametrize(
    ("shape", "name"),
    [
        (WINDOWED, "sinks"),
        (SHARED, "shared_gate_up"),
        (SHARED, "shared_down"),
        (LATENT, "q_up"),
        (LATENT, "q_norm"),
        (LATENT, "kv_norm"),
        (LATENT, "kv_up"),
    ],
)
def test_a_wrong_sink_or_shared_expert_is_caught(shape, name, phase):
    one = make_block(shape, phase=phase)
    assert all_right(one.check("cpu"))
    before = one.weights.extra[name].clone()
    one.weights.extra[name].flatten()[::3] += 0.5
    one.run()
    one.weights.extra[name].copy_(before)
    assert not all_right(one.check("cpu"))


@pytest.mark.parametrize("window", [4, 6])
def test_a_wrong_window_is_caught(window):
    one = make_block(WINDOWED)
    one._mask = attention.window_mask(12, window, one.dtype, CPU)
    one.run()
    assert one.check("cpu")["attention"] > 1


def test_a_forgotten_cache_write_or_scale_of_latent_attention_is_caught():
    step = make_block(LATENT, phase="decode")
    step.buffers["keys"][:, 0, -1, -1] = 0
    assert step.check("cpu")["attention"] == math.inf
    step = make_block(LATENT, phase="decode")
    step.buffers["q_all"].mul_(1.01)
    assert step.check("cpu")["attention"] == math.inf
    for phase, name in (("prefill", "k_all"), ("prefill", "kv"), ("decode", "context"), ("decode", "absorbed")):
        one = make_block(LATENT, phase=phase)
        one.buffers[name][0] += 0.1
        assert not all_right(one.check("cpu")), name


def test_a_forgotten_shared_expert_is_caught():
    one = make_block(SHARED)
    one.buffers["y"].sub_(one.buffers["shared_down"])
    assert one.check("cpu")["residual2"] > 1


def test_a_mask_that_is_not_causal_is_caught(monkeypatch):
    right_way = attention.attend
    monkeypatch.setattr(attention, "attend", lambda q, k, v, causal, device: right_way(q, k, v, False, device))
    assert make_block(DENSE).check("cpu")["attention"] > 1
    found = make_train_block(DENSE).check("cpu")
    assert found["attention"] > 1
    assert found["attention_dx"] > 1


@pytest.mark.parametrize("shift", [1, -1])
def test_a_mask_off_by_one_is_caught(monkeypatch, shift):
    def attend(q, k, v, causal, device):
        mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril(shift)
        mask[0, 0] = True
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)

    monkeypatch.setattr(attention, "attend", attend)
    assert make_block(DENSE).check("cpu")["attention"] > 1


def test_a_skipped_expert_is_caught():
    one = make_block(MIXTURE)
    one.poison()
    one._per_expert = lambda source, stack, target: Block._per_expert(
        one, source, stack[:3] if target == "expert_out" else stack, target
    )
    kept, one.counts = one.counts, one.counts
    try:
        one.run()
    except IndexError:
        one.counts = kept[:3]
        one.run()
        one.counts = kept
    found = one.check("cpu")
    assert not found["down"] <= 1


def test_a_wrong_share_or_route_is_caught():
    one = make_block(MIXTURE)
    ids, shares, order = one._route
    one._route = (ids, torch.full_like(shares, 0.5), order)
    assert not all_right(one.check("cpu"))
    one._route = (ids.flip(0), shares, order)
    assert not all_right(one.check("cpu"))


def test_a_forgotten_residual_position_or_cache_write_is_caught(monkeypatch):
    one = make_block(DENSE)
    one.buffers["y"].copy_(one.buffers["down"])
    assert one.check("cpu")["residual2"] > 1
    one = make_block(DENSE)
    one.cos = one.cos.roll(1, 0)
    assert one.check("cpu")["rope"] > 1
    step = make_block(DENSE, phase="decode")
    step.buffers["keys"][:, :, -1] = 0
    assert step.check("cpu")["attention"] == math.inf


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_an_expert_without_tokens_is_right(dtype):
    shape = dataclasses.replace(MIXTURE, experts=8)
    for one in (
        make_block(shape, dtype, batch=1, seq=2),
        make_block(shape, dtype, "decode", 1, 5),
        make_train_block(shape, dtype, 1, 2),
    ):
        assert 0 in one.counts
        assert one.experts_used() == sum(count > 0 for count in one.counts) < 8
        found = one.check("cpu")
        assert all_right(found), found
    one.gradients[f"down.{one.counts.index(0)}"][0, 0] = 1e-3
    assert not all_right(one.check("cpu"))


def test_only_gpus_without_grouped_fused_attention_repeat_keys():
    old, new = Device("cuda", 0, "old", arch="sm_75"), Device("cuda", 0, "new", arch="sm_90")
    shape, fp32, fp16 = shapes.load("tiny"), dtypes.lookup("fp32"), dtypes.lookup("fp16")
    whole = 2 * 2 * shape.heads * 64 * shape.head_dim
    assert attention.expanded_bytes(shape, fp16, 2, 64, old) == 2 * whole
    assert attention.expanded_bytes(shape, fp16, 2, 64, new) == attention.expanded_bytes(shape, fp16, 2, 64, CPU) == 0
    assert attention.expanded_bytes(shape, fp32, 2, 64, new) == 4 * whole
    alike = dataclasses.replace(shape, kv_heads=shape.heads)
    assert attention.expanded_bytes(alike, fp32, 2, 64, new) == 0
    large = shapes.load("llama3-8b")
    sizes = [phases.memory_bytes(stack.plan(large), fp16, "prefill", 2, 1024, 3, device) for device in (new, old)]
    assert sizes[1] - sizes[0] == 3 * 2 * (2 * 2 * large.heads * 1024 * large.head_dim)
