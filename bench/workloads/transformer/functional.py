"""The block as a pure function of its input and weights, for autograd and for torch.compile.

The same computation as :class:`bench.workloads.transformer.block.Block`, without its buffers, for shapes that are
:attr:`~bench.workloads.transformer.shapes.Shape.is_plain`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import rms_norm, silu

from bench.model import Device
from bench.workloads.transformer import attention
from bench.workloads.transformer.buffers import Weights
from bench.workloads.transformer.reference import rotate
from bench.workloads.transformer.shapes import Shape

Linear = Callable[[str, Tensor, Tensor], Tensor]
"""(name, x [t, k], weight [n, k]) → [t, n]."""

Note = Callable[[str, Tensor], Tensor]
"""(name, value) → the value."""


def plain(name: str, x: Tensor, weight: Tensor) -> Tensor:  # noqa: ARG001 - a recording Linear uses the name
    """A product, with nothing recorded."""
    return x @ weight.t()


def forward(
    shape: Shape,
    device: Device,
    weights: Weights,
    x: Tensor,
    rope: tuple[Tensor, Tensor],
    batch: int,
    counts: Sequence[int] = (),
    linear: Linear = plain,
    note: Note = lambda name, value: value,  # noqa: ARG005
    cache: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Run the block on x [t, d], t = batch × seq tokens that attend causally. Returns y [t, d].

    Args:
        shape: the block's dimensions.
        device: decides which attention kernel fits.
        weights: the block's parameters.
        x: input.
        batch: sequences in x, one after the other.
        rope: cosines and sines [seq, 1, hd/2].
        counts: tokens of each expert, in a mixture.
        linear: how products are run.
        note: called with (name, value) at the stages between products; returns the value.
        cache: keys and values [b, kv, seq, hd] of a decode step, at whose last position the one token of x is written.
    """
    tokens, d = x.shape
    heads, kv, width = shape.heads, shape.kv_heads, shape.head_dim
    h1 = rms_norm(x, (d,), weights.norm1, shape.norm_eps)
    qkv = linear("qkv", h1, weights.qkv)
    q, k, v = qkv.view(batch, -1, heads + 2 * kv, width).split_with_sizes([heads, kv, kv], dim=2)
    q, k = note("q", rotate(q, *rope)), note("k", rotate(k, *rope))
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))
    if cache is None:
        a = attention.attend(q, k, v, causal=True, device=device).transpose(1, 2)
    else:
        keys, values = cache
        keys[:, :, -1:] = k
        values[:, :, -1:] = v
        a = attention.attend(q.reshape(batch, kv, heads // kv, width), keys, values, causal=False, device=device)
    r1 = note("r1", x + linear("o", a.reshape(tokens, heads * width), weights.o))
    h2 = note("h2", rms_norm(r1, (d,), weights.norm2, shape.norm_eps))
    if weights.router is None:
        gate, up = linear("gate_up.0", h2, weights.gate_up[0]).chunk(2, dim=-1)
        return note("y", r1 + linear("down.0", silu(gate) * up, weights.down[0]))
    best, ids = linear("router", h2, weights.router).topk(shape.top_k, dim=-1)
    shares = note("shares", best.float().softmax(-1).to(x.dtype))
    order = note("order", ids.flatten().argsort(stable=True))
    note("ids", ids)
    sent = note("sent", h2.index_select(0, order // shape.top_k))
    outs = []
    for expert, part in enumerate(sent.split_with_sizes(list(counts))):
        gate, up = linear(f"gate_up.{expert}", part, weights.gate_up[expert]).chunk(2, dim=-1)
        outs.append(linear(f"down.{expert}", silu(gate) * up, weights.down[expert]))
    back = torch.cat(outs).index_select(0, order.argsort()).view(tokens, shape.top_k, d)
    return note("y", r1 + note("ffn", (back * shares.unsqueeze(-1)).sum(1)))
