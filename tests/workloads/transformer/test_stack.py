"""Models whose layers differ, and several layers in place of one block."""

from __future__ import annotations

import dataclasses
import gc

import pytest
import torch

from bench.model import BenchError, Skip, Variant
from bench.workloads import load
from bench.workloads.transformer import block, dtypes, flops, gemm, phases, shapes, stack, torch_device
from bench.workloads.transformer.options import BlockSettings, TransformerOptions
from tests.support import transformer_reference as reference
from tests.support.transformer import ALTERNATING, CPU, DENSE, DENSE_FIRST, MIXES, Allocations, gpu


def build(shape, phase="prefill", batch=2, seq=12, device=CPU, dtype="fp32", **settings):
    variant = Variant("transformer", phase, shape.name, dtype, batch, seq, options=BlockSettings(**settings))
    return phases.build(device, variant, shape)


def test_a_mix_runs_each_kind_as_often_as_the_model_has_it():
    windowed, full = shapes.load("gpt-oss-120b").kinds()
    assert stack.plan(shapes.load("gpt-oss-120b")).layers == (windowed, full)
    dense, mixture = DENSE_FIRST.kinds()
    assert stack.plan(DENSE_FIRST).layers == (dense, mixture, mixture)
    assert stack.plan(DENSE_FIRST).blocks == (dense, mixture)
    assert stack.plan(DENSE).layers == (DENSE,)


def test_a_mix_is_the_mean_of_its_kinds_weighted_by_their_layers():
    dense, mixture = DENSE_FIRST.kinds()
    plan = stack.plan(DENSE_FIRST)
    assert plan.cost(lambda kind: 5.0 if kind == dense else 7.0) == 19
    assert plan.model_cost(lambda kind: 5.0 if kind == dense else 7.0) == 19
    sizes = {dense: 100, mixture: 900}
    # The mixture is read again 900 bytes later, not 1000.
    assert plan.reused_bytes(sizes) == 900
    assert stack.plan(DENSE_FIRST, 2).reused_bytes(sizes) == 1000


@pytest.mark.parametrize(("shape", "layers", "words"), [(DENSE, 5, "4 layers"), (DENSE_FIRST, 1, "1 of its 2 kinds")])
def test_layers_that_do_not_stand_for_the_model_are_refused(shape, layers, words):
    with pytest.raises(BenchError, match=words):
        stack.plan(shape, layers)


@pytest.mark.parametrize("shape", MIXES, ids=lambda shape: shape.name)
@pytest.mark.parametrize("phase", ["prefill", "decode"])
@pytest.mark.parametrize("layers", [None, 3])
def test_layers_are_verified_and_counted(phase, shape, layers, monkeypatch):
    monkeypatch.setattr(torch_device, "cache_bytes", lambda device: 1 << 19)
    job = build(shape, phase, layers=layers)
    assert job.verify().ok
    job._launched = 1
    assert not job.audit().ok
    job.launch(2)
    assert job.audit().ok
    ran = [shape.layer(index) for index in range(layers)] if layers else stack.plan(shape).layers
    assert job.facts.work_per_iteration == sum(block.flops_per_run(kind, phase, 2, 12) for kind in ran)
    assert job.facts.options.endswith(f" layers={layers}") == bool(layers)
    # One wrong stage in the first of the layers is enough.
    job.launch(1)
    job._copies[(job._next - 1) % len(job._copies)][0].buffers["h2"].add_(1)
    assert not job.audit().ok
    job.close()


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_tokens_of_layers_and_of_a_block_follow_one_convention(phase, monkeypatch):
    """At equal rates four layers and one block give the same tokens/s, and so does a mix as the mean of its kinds."""
    monkeypatch.setattr(torch_device, "cache_bytes", lambda device: 1)
    one, four = build(DENSE, phase).facts, build(DENSE, phase, layers=4).facts
    assert four.work_per_iteration == 4 * one.work_per_iteration
    assert four.tokens_per_iteration == pytest.approx(4 * one.tokens_per_iteration)
    assert four.block_tokens_per_iteration == (2 if phase == "decode" else 24)
    mix = build(ALTERNATING, phase).facts
    assert mix.block_tokens_per_iteration == pytest.approx((2 if phase == "decode" else 24) / 2)
    used = dict.fromkeys(DENSE_FIRST.kinds(), 4)
    plan = stack.plan(DENSE_FIRST)
    assert phases.model_tokens(plan, dtypes.lookup("fp32"), phase, 2, 12, used)[1] == (2 if phase == "decode" else 24)


def test_chained_layers_agree_with_the_reference(monkeypatch):
    monkeypatch.setattr(torch_device, "cache_bytes", lambda device: 1)
    job = build(ALTERNATING, layers=3)
    (layers,) = job._copies
    values = layers[0].buffers["x"].double().view(2, 12, -1)
    for layer, each in enumerate(layers):
        weights = reference.wide(each.weights)
        values = torch.stack([reference.block(ALTERNATING.layer(layer), weights, sequence) for sequence in values])
    torch.testing.assert_close(layers[-1].buffers["y"].double(), values.view(24, -1), rtol=1e-4, atol=1e-4)
    job.close()


@pytest.mark.parametrize(("phase", "batch", "seq"), [("prefill", 1, 512), ("decode", 16, 512)])
@pytest.mark.parametrize("layers", [None, 4])
@pytest.mark.parametrize("latent", [False, True])
def test_peak_memory_is_as_announced(phase, batch, seq, layers, latent, monkeypatch):
    monkeypatch.setattr(torch_device, "cache_bytes", lambda device: 1 << 22)
    tiny = dataclasses.replace(
        shapes.load("tiny"), experts=4, top_k=2, window=128, full_every=2, sinks=True, shared_ffn=512
    )
    if latent:
        parts = {"kv_heads": 8, "head_dim": 96, "rope_dim": 32, "v_dim": 64, "q_lora": 192, "kv_lora": 128}
        tiny = dataclasses.replace(tiny, window=0, full_every=0, sinks=False, dense_layers=2, dense_ffn=768, **parts)
    gc.collect()
    with Allocations() as allocations:
        job = build(tiny, phase, batch, seq, layers=layers)
        assert job.verify().ok
        job.launch(2)
        assert job.audit().ok
    assert job.facts.memory_bytes == pytest.approx(allocations.peak, rel=0.05)
    job.close()


@pytest.mark.usefixtures("gpu_on_cpu")
def test_on_cuda_each_block_is_captured_once_however_often_it_runs(gpu_on_cpu):
    job = build(DENSE_FIRST, device=gpu(), dtype="bf16")
    assert len(gpu_on_cpu) == 2 * len(job._copies)
    assert job.verify().ok
    job.close()


def test_what_a_model_cannot_do_is_refused_by_name():
    for phase, shape, settings, words in (
        ("train", ALTERNATING, {}, "alike"),
        ("train", DENSE, {"layers": 2}, "--layers 2"),
        ("prefill", DENSE, {"layers": 2, "compile": True}, "one dense block"),
    ):
        with pytest.raises(Skip, match=words):
            build(shape, phase, **settings)
    with pytest.raises(Skip, match="up to 8192 tokens"):
        build(shapes.load("llama4-scout"), seq=8193)
    with pytest.raises(Skip, match="16-bit flash attention"):
        build(ALTERNATING, device=gpu("sm_90"), dtype="fp32")
    with pytest.raises(Skip, match="16-bit flash attention"):
        build(ALTERNATING, device=gpu("sm_75"), dtype="fp16")
    with pytest.raises(Skip, match="different ones"):
        gemm.build(CPU, Variant("transformer", "gemm", "mix", "fp32", 1, 64), DENSE_FIRST)


def test_layers_are_planned_for_the_phases_that_have_them():
    options = TransformerOptions(shape=("tiny",), phase=("gemm", "decode"), layers=(1, 4))
    planned = [(variant.phase, variant.options.layers) for variant in load("transformer").plan(CPU, options)]
    assert planned == [("gemm", None), ("decode", 1), ("decode", 4)]
    with pytest.raises(BenchError, match="--layers applies only"):
        TransformerOptions(phase=("train",), layers=(2,))
    with pytest.raises(BenchError, match="below 1"):
        TransformerOptions(phase=("decode",), layers=(0,))


def test_bytes_of_a_mix_count_the_experts_each_kind_uses():
    dense, mixture = DENSE_FIRST.kinds()
    fp32 = dtypes.lookup("fp32")
    used = {dense: 1, mixture: 2}
    found = phases.stack_bytes(stack.plan(DENSE_FIRST), fp32, "decode", 2, 12, used)
    values = flops.block_weights(dense) + 2 * flops.block_weights(mixture, 2)
    values += 3 * (2 * 2 * 64 + 13 * 2 * (48 + 8))
    assert found == 4 * values
