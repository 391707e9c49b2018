"""A transformer block in float64, written plainly and apart from the harness: head by head, token by token."""

from __future__ import annotations

import math

import torch


def norm(x, weight, eps):
    return torch.stack([row / math.sqrt(float((row**2).mean()) + eps) for row in x]) * weight


def turn(vector, position, theta):
    """RoPE: pairs (i, i + half) turn by position · theta^(-i/half)."""
    half = len(vector) // 2
    angle = position * theta ** (-torch.arange(half, dtype=torch.float64) / half)
    a, b = vector[:half], vector[half:]
    return torch.cat((a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()))


def feed_forward(h, gate_up, down):
    gate, up = (gate_up @ h).chunk(2)
    return down @ (gate / (1 + torch.exp(-gate)) * up)


def block(shape, weights, x, causal=True):
    """y [s, d] of one sequence x [s, d]; ``weights`` maps names to float64 tensors, stacked over experts."""
    h = norm(x, weights["norm1"], shape.norm_eps)
    out = latent_attention(shape, weights, h) if shape.kv_lora else grouped_attention(shape, weights, h, causal)
    r = x + out.reshape(len(x), -1) @ weights["o"].T
    h = norm(r, weights["norm2"], shape.norm_eps)
    return feed_all(shape, weights, r, h)


def latent_attention(shape, weights, x):
    """Heads' outputs [s, heads, v] of latent attention, keys and values expanded, from the normed input x [s, d]."""
    rope, plain = shape.rope_dim, shape.head_dim - shape.rope_dim
    down = x @ weights["qkv"].T
    q = norm(down[:, : shape.q_lora], weights["q_norm"], shape.norm_eps) @ weights["q_up"].T
    latent = norm(down[:, shape.q_lora : -rope], weights["kv_norm"], shape.norm_eps)
    shared = torch.stack([turn(row, i, shape.rope_theta) for i, row in enumerate(down[:, -rope:])])
    up = weights["kv_up"].view(shape.heads, plain + shape.v_dim, -1)
    out = torch.zeros(len(x), shape.heads, shape.v_dim, dtype=torch.float64)
    for head in range(shape.heads):
        keys, values = latent @ up[head, :plain].T, latent @ up[head, plain:].T
        for i in range(len(x)):
            query = q[i].view(shape.heads, -1)[head]
            turned = turn(query[plain:], i, shape.rope_theta)
            scores = keys[: i + 1] @ query[:plain] + shared[: i + 1] @ turned
            out[i, head] = torch.softmax(scores / math.sqrt(shape.head_dim), 0) @ values[: i + 1]
    return out


def grouped_attention(shape, weights, x, causal):
    """Heads' outputs [s, heads, hd] of grouped-query attention, from the normed input x [s, d]."""
    heads, kv, width = shape.heads, shape.kv_heads, shape.head_dim
    qkv = (x @ weights["qkv"].T).view(len(x), heads + 2 * kv, width)
    out = torch.zeros(len(x), heads, width, dtype=torch.float64)
    for head in range(heads):
        group = head // (heads // kv)
        q = torch.stack([turn(row, i, shape.rope_theta) for i, row in enumerate(qkv[:, head])])
        k = torch.stack([turn(row, i, shape.rope_theta) for i, row in enumerate(qkv[:, heads + group])])
        v = qkv[:, heads + kv + group]
        for i in range(len(x)):
            end = i + 1 if causal else len(x)
            first = max(0, end - shape.window) if shape.window else 0
            weight = torch.exp(k[first:end] @ q[i] / math.sqrt(width))
            rest = torch.exp(weights["sinks"][head]) if shape.sinks else 0.0
            out[i, head] = weight @ v[first:end] / (weight.sum() + rest)
    return out


def feed_all(shape, weights, r, h):
    """The feed-forward of every token of h [s, d], added to r [s, d]."""
    rows = []
    for row in h:
        if shape.shared_ffn:
            r[len(rows)] += feed_forward(row, weights["shared_gate_up"], weights["shared_down"])
        if "router" not in weights:
            rows.append(feed_forward(row, weights["gate_up"][0], weights["down"][0]))
            continue
        scores = weights["router"] @ row
        best = scores.topk(shape.top_k)
        share = torch.softmax(best.values, 0)
        rows.append(
            sum(
                s * feed_forward(row, weights["gate_up"][e], weights["down"][e])
                for s, e in zip(share, best.indices, strict=True)
            )
        )
    return r + torch.stack(rows)


def wide(weights):
    """A harness's weights as float64 tensors by name."""
    names = ("norm1", "qkv", "o", "norm2", "gate_up", "down", "router")
    main = {name: getattr(weights, name) for name in names if getattr(weights, name) is not None}
    return {name: tensor.detach().double() for name, tensor in (main | weights.extra).items()}
