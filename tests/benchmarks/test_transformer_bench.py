"""Speed of every transformer phase, beside the same torch calls in a bare loop.

Run with ``make microbench``. Each pair runs interleaved (harness, bare, bare, harness), and ``harness_over_bare`` in
the extra info is the ratio of the two rates at the lower quartile of their times, which other work on the machine
touches least. At 0.98 or more the harness costs nothing that matters.
"""

from __future__ import annotations

import statistics
import time

import pytest
import torch
import torch.nn.functional as F

from bench.model import Device, Variant
from bench.workloads import load

CPU = Device("cpu", 0, "a CPU", cores=2, arch="x86_64")
PAIR_S = 6.0


def seconds(run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def lower_quartile(times: list[float]) -> float:
    return statistics.quantiles(times, n=4)[0]


def compare(benchmark, job, bare, iterations):
    """Time the harness under the fixture, and the pair interleaved beside it."""
    assert job.verify().ok
    bare(iterations)
    harness_s, bare_s = [], []
    end = time.perf_counter() + PAIR_S
    while time.perf_counter() < end or len(harness_s) < 8:
        harness_s.append(seconds(lambda: job.launch(iterations)))
        bare_s += [seconds(lambda: bare(iterations)), seconds(lambda: bare(iterations))]
        harness_s.append(seconds(lambda: job.launch(iterations)))
    benchmark.pedantic(job.launch, args=(iterations,), rounds=5, warmup_rounds=1)
    benchmark.extra_info["harness_over_bare"] = lower_quartile(bare_s) / lower_quartile(harness_s)
    benchmark.extra_info["median_over_median"] = statistics.median(bare_s) / statistics.median(harness_s)
    benchmark.extra_info["pairs"] = len(bare_s)
    benchmark.extra_info["tflops"] = job.facts.work_per_iteration * iterations / lower_quartile(harness_s) / 1e12
    job.audit()
    job.close()


def build(phase, shape, dtype, batch, seq):
    return load("transformer").build(CPU, Variant("transformer", phase, shape, dtype, batch, seq))


@pytest.mark.parametrize(
    ("shape", "dtype", "seq", "iterations"),
    [("tiny", "fp32", 256, 2), ("tiny", "bf16", 256, 4), ("llama3-8b", "bf16", 128, 1)],
)
def test_gemm(benchmark, shape, dtype, seq, iterations):
    job = build("gemm", shape, dtype, 1, seq)
    turns = [[(call.x, call.weight.t(), call.out) for call in calls] for calls in job._turns]

    def bare(count):
        for turn in range(count):
            for x, weight_t, out in turns[turn % len(turns)]:
                torch.mm(x, weight_t, out=out)

    compare(benchmark, job, bare, iterations)


def bare_norm(x, weight, scratch, out):
    torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32, out=scratch)
    scratch.square_().mul_(1.0 / x.shape[1]).add_(1e-5).rsqrt_()
    torch.mul(x, scratch, out=out)
    out.mul_(weight)


def bare_block(blocks, decode):
    """The block's torch calls in one straight function, on the harness's own tensors."""
    one = blocks[0]
    shape, batch = one.shape, one.batch
    heads, kv, width, half = shape.heads, shape.kv_heads, shape.head_dim, shape.head_dim // 2

    def step(each):
        b, w, cos, sin, scratch = each.buffers, each.weights, each.cos, each.sin, each._norm_scratch
        bare_norm(b["x"], w.norm1, scratch, b["h1"])
        torch.mm(b["h1"], w.qkv.t(), out=b["qkv"])
        qkv = b["qkv"].view(batch, -1, heads + 2 * kv, width)
        source, turned = qkv[:, :, : heads + kv], b["turned"].view(batch, -1, heads + kv, width)
        first, second = source[..., :half], source[..., half:]
        torch.mul(first, cos, out=turned[..., :half]).addcmul_(second, sin, value=-1)
        torch.mul(second, cos, out=turned[..., half:]).addcmul_(first, sin)
        q, k, v = turned[:, :, :heads], turned[:, :, heads:], qkv[:, :, heads + kv :]
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        if decode:
            b["keys"][:, :, -1:].copy_(k)
            b["values"][:, :, -1:].copy_(v)
            grouped = q.reshape(batch, kv, heads // kv, width)
            a = F.scaled_dot_product_attention(grouped, b["keys"], b["values"]).reshape(batch, heads * width)
        else:
            a = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
            a = a.transpose(1, 2).reshape(-1, heads * width)
        torch.mm(a, w.o.t(), out=b["o"])
        torch.add(b["x"], b["o"], out=b["r1"])
        bare_norm(b["r1"], w.norm2, scratch, b["h2"])
        torch.mm(b["h2"], w.gate_up[0].t(), out=b["gate_up"])
        torch.ops.aten.silu.out(b["gate_up"][:, : shape.ffn], out=b["act"])
        b["act"].mul_(b["gate_up"][:, shape.ffn :])
        torch.mm(b["act"], w.down[0].t(), out=b["down"])
        torch.add(b["r1"], b["down"], out=b["y"])

    @torch.no_grad()
    def bare(count):
        for turn in range(count):
            step(blocks[turn % len(blocks)])

    return bare


@pytest.mark.parametrize(
    ("phase", "shape", "dtype", "batch", "seq", "iterations"),
    [
        ("prefill", "tiny", "fp32", 1, 256, 2),
        ("prefill", "llama3-8b", "bf16", 1, 128, 1),
        ("decode", "tiny", "fp32", 4, 256, 16),
        ("decode", "llama3-8b", "bf16", 1, 1024, 2),
    ],
)
def test_block(benchmark, phase, shape, dtype, batch, seq, iterations):
    job = build(phase, shape, dtype, batch, seq)
    compare(benchmark, job, bare_block(job._blocks, phase == "decode"), iterations)


class Product(torch.autograd.Function):
    """A product that writes its weight gradient in place, as the harness's does, and records nothing."""

    @staticmethod
    def forward(ctx, x, weight, gradient):
        ctx.save_for_backward(x, weight)
        ctx.gradient = gradient
        return torch.mm(x, weight.t())

    @staticmethod
    def backward(ctx, dy):
        x, weight = ctx.saved_tensors
        torch.mm(dy.t(), x, out=ctx.gradient)
        return torch.mm(dy, weight), None, None


def test_train(benchmark):
    job = build("train", "tiny", "fp32", 1, 256)
    blocks = job._blocks

    def turn(x, cos, sin):
        a, b = x.chunk(2, dim=-1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)

    def step(each):
        s, w, g = each.shape, each.weights, each.gradients
        h = F.rms_norm(each.x, (s.d_model,), w.norm1, s.norm_eps)
        qkv = Product.apply(h, w.qkv, g["qkv"]).view(each.batch, -1, s.heads + 2 * s.kv_heads, s.head_dim)
        q, k, v = qkv.split([s.heads, s.kv_heads, s.kv_heads], dim=2)
        q, k = turn(q, *each.rope), turn(k, *each.rope)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        r = each.x + Product.apply(a.transpose(1, 2).reshape(len(each.x), -1), w.o, g["o"])
        h = F.rms_norm(r, (s.d_model,), w.norm2, s.norm_eps)
        gate, up = Product.apply(h, w.gate_up[0], g["gate_up.0"]).chunk(2, dim=-1)
        y = r + Product.apply(F.silu(gate) * up, w.down[0], g["down.0"])
        return torch.autograd.grad(y, [each.x, w.norm1, w.norm2], grad_outputs=each.dy)

    def bare(count):
        for turn_index in range(count):
            step(blocks[turn_index % len(blocks)])

    compare(benchmark, job, bare, 1)
