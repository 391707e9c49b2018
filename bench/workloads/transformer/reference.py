"""Float64 checks of what lies between a block's products: norms, RoPE, attention, SwiGLU, sums, routing.

Every check takes a stage's recorded inputs and its recorded output, recomputes some of its rows in float64, and
returns the largest error ÷ tolerance: at most 1 for a right stage, infinity for NaN. Together with Freivalds' check of
the products they cover a whole block at full size, each stage judged by the inputs that it really had.

Tolerances are a few roundings (``unit``, half a unit in the last place) of the terms that are added up.
"""

from __future__ import annotations

import math
from typing import Any

from bench.workloads.transformer.dtypes import Dtype

ROW_BYTES = 2 << 20
"""Float64 rows taken per tensor in one check."""
ATTENTION_SAMPLES = 24
TINY = 2.0**-24
"""Below this fp16 has no more bits to be right in; beside values of unit size it is nothing."""

UNITS = {"fp32": 2.0**-24, "tf32": 2.0**-24, "fp16": 2.0**-11, "bf16": 2.0**-8}
"""Unit roundoff of the type that a stage's output is stored in."""

ATTENTION_UNITS = {"fp32": 2.0**-20, "tf32": 2.0**-10, "fp16": 2.0**-11, "bf16": 2.0**-8}
"""The same inside attention, where probabilities are rounded to the inputs' type and exp is approximated."""


def ratio(error: Any, bound: Any) -> float:
    """Largest error ÷ bound; infinity where either is NaN."""
    largest = float((error / bound).max()) if error.numel() else 0.0
    return largest if not math.isnan(largest) else math.inf


def pick(count: int, width: int, salt: int) -> list[int]:
    """Some of ``count`` rows, the first and last always, others by ``salt``, so that audits see different rows."""
    room = max(4, ROW_BYTES // (8 * width))
    if count <= room:
        return list(range(count))
    step = count / (room - 1)
    shift = (salt * 7919) % max(1, int(step))
    return sorted({0, count - 1, *(min(count - 1, int(i * step) + shift) for i in range(room - 2))})


def wide(tensor: Any, place: str) -> Any:
    """The tensor in float64 on ``place``."""
    return tensor.detach().to(place).double()


def norm(x: Any, weight: Any, eps: float, out: Any, dtype: Dtype, place: str, salt: int = 0) -> float:
    """RMSNorm of x [t, d] by weight [d] (Zhang & Sennrich, arXiv:1910.07467)."""
    rows = pick(x.shape[0], x.shape[1], salt)
    wanted = rms_norm(wide(x[rows], place), wide(weight, place), eps)
    return ratio((wide(out[rows], place) - wanted).abs(), 8 * UNITS[dtype.name] * wanted.abs() + TINY)


def rms_norm(x: Any, weight: Any, eps: float) -> Any:
    """RMSNorm in the type of x, written out."""
    return x * (x.square().mean(-1, keepdim=True) + eps).rsqrt() * weight


def rotate(x: Any, cos: Any, sin: Any) -> Any:
    """RoPE on the halves of the last axis: x [..., hd], cos and sin [..., hd/2] (Su et al., arXiv:2104.09864)."""
    import torch

    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def rope(x: Any, cos: Any, sin: Any, out: Any, dtype: Dtype, place: str, salt: int = 0) -> float:
    """RoPE of x [t, heads, hd] with cos and sin [t, 1, hd/2]; out as x."""
    rows = pick(x.shape[0], x.shape[1] * x.shape[2], salt)
    source, c, s = (wide(t[rows], place) for t in (x, cos, sin))
    bound = 3 * UNITS[dtype.name] * rotate(source.abs(), c.abs(), -s.abs()).abs()
    terms = 3 * UNITS[dtype.name] * (source.abs().roll(source.shape[-1] // 2, -1) + source.abs())
    return ratio((wide(out[rows], place) - rotate(source, c, s)).abs(), bound.maximum(terms) + TINY)


def attention(q: Any, k: Any, v: Any, out: Any, causal: bool, dtype: Dtype, place: str, salt: int = 0) -> float:
    """Grouped-query attention at sampled (sequence, head, row): q and out [b, heads, s, hd], k and v [b, kv, t, hd].

    With ``causal``, row i sees keys 0…i; otherwise all t.
    """
    batch, heads, seq, width = q.shape
    group = heads // k.shape[1]
    worst = 0.0
    for index in range(ATTENTION_SAMPLES):
        # Odd strides walk over sequences, heads and rows; the last row and the first few are always among them.
        turn = index + salt * ATTENTION_SAMPLES
        b, h = (turn * 5) % batch, (turn * 11 + turn // heads) % heads
        row = (seq - 1, 0, seq // 2)[index] if index < 3 else (turn * 7919) % seq
        end = row + 1 if causal else k.shape[2]
        keys, values = (wide(t[b, h // group, :end], place) for t in (k, v))
        p = (keys @ wide(q[b, h, row], place) / width**0.5).softmax(0)
        wanted = p @ values
        bound = 4 * ATTENTION_UNITS[dtype.name] * (p @ values.abs()) + TINY
        worst = max(worst, ratio((wide(out[b, h, row], place) - wanted).abs(), bound))
    return worst


def swiglu(gate_up: Any, out: Any, dtype: Dtype, place: str, salt: int = 0) -> float:
    """silu(gate)·up of gate_up [t, 2f], gate first (Shazeer, arXiv:2002.05202)."""
    rows = pick(gate_up.shape[0], gate_up.shape[1], salt)
    gate, up = wide(gate_up[rows], place).chunk(2, dim=-1)
    wanted = gate * gate.sigmoid() * up
    return ratio((wide(out[rows], place) - wanted).abs(), 8 * UNITS[dtype.name] * wanted.abs() + TINY * (1 + up.abs()))


def total(parts: Any, out: Any, dtype: Dtype, place: str, salt: int = 0) -> float:
    """Sum of ``parts``, each [t, d]."""
    rows = pick(out.shape[0], out.shape[1], salt)
    terms = [wide(part[rows], place) for part in parts]
    size = sum(term.abs() for term in terms)
    return ratio((wide(out[rows], place) - sum(terms)).abs(), 2 * UNITS[dtype.name] * size + TINY)


def same(got: Any, wanted: Any) -> float:
    """0 where two tensors are equal in every element, else infinity."""
    import torch

    return 0.0 if torch.equal(got, wanted) else math.inf


def close(got: Any, wanted: Any, factor: float, dtype: Dtype, place: str) -> float:
    """Rows of ``got`` against a float64 ``wanted`` [t, d]: a row's error beside its and the mean norm."""
    error = (wide(got, place) - wanted).norm(dim=-1)
    sizes = wanted.norm(dim=-1)
    return ratio(error, factor * ATTENTION_UNITS[dtype.name] * (sizes + sizes.mean()) + TINY)


def routing(logits: Any, ids: Any, shares: Any, top_k: int, dtype: Dtype, place: str) -> float:
    """Top-k of router logits [t, experts] and the softmax over them: ids and shares [t, k]."""
    values = wide(logits, place)
    wanted = values.topk(top_k, dim=-1)
    chosen = values.gather(1, ids.to(place))
    # Equal logits may be chosen in either order: judge by their values, and that no expert is chosen twice.
    worst = same(chosen, wanted.values)
    if top_k > 1 and bool((ids.sort(dim=-1).values.diff(dim=-1) == 0).any()):
        return math.inf
    error = (wide(shares, place) - wanted.values.softmax(-1)).abs()
    return max(worst, ratio(error, 4 * UNITS[dtype.name] * wanted.values.softmax(-1) + 2.0**-20))
