"""Float64 checks of the stages between a block's products: norms, RoPE, attention, SwiGLU, sums, routing.

Every check takes a stage's recorded inputs and output, recomputes some of its rows in float64 on the torch device
``device``, and returns the largest error ÷ tolerance: at most 1 for a right stage, infinity for NaN. Together with
Freivalds' check of the products they cover a whole block at full size, each stage with the inputs that it really had.

Tolerances are a few roundings (:data:`UNITS`, half a unit in the last place) of the terms that are summed. ``salt``
selects the rows that are sampled, so that successive audits see different ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from bench.workloads.transformer.dtypes import Dtype

ROW_BYTES = 2 << 20
"""Float64 rows taken per tensor in one check."""
ATTENTION_SAMPLES = 24
TINY = 2.0**-24
"""Fp16 has no precision left below this, and it is negligible for values of unit size."""

UNITS = {"fp32": 2.0**-24, "tf32": 2.0**-24, "fp16": 2.0**-11, "bf16": 2.0**-8}
"""Unit roundoff of the type that a stage's output is stored in."""

ATTENTION_UNITS = {"fp32": 2.0**-20, "tf32": 2.0**-10, "fp16": 2.0**-11, "bf16": 2.0**-8}
"""The same inside attention, where probabilities are rounded to the inputs' type and exp is approximated."""


def ratio(error: Tensor, bound: Tensor) -> float:
    """Largest error ÷ bound; infinity where either is NaN."""
    largest = float((error / bound).max()) if error.numel() else 0.0
    return largest if not math.isnan(largest) else math.inf


def pick(count: int, width: int, salt: int) -> list[int]:
    """Indices of sampled rows: the first and last of ``count`` always, the others by ``salt``."""
    room = max(4, ROW_BYTES // (8 * width))
    if count <= room:
        return list(range(count))
    step = count / (room - 1)
    shift = (salt * 7919) % max(1, int(step))
    return sorted({0, count - 1, *(min(count - 1, int(i * step) + shift) for i in range(room - 2))})


def wide(tensor: Tensor, device: str) -> Tensor:
    """The tensor in float64 on ``device``."""
    return tensor.detach().to(device).double()


def norm(x: Tensor, weight: Tensor, eps: float, out: Tensor, dtype: Dtype, device: str, salt: int = 0) -> float:
    """RMSNorm of x [t, d] by weight [d] (Zhang & Sennrich, arXiv:1910.07467)."""
    rows = pick(x.shape[0], x.shape[1], salt)
    expected = rms_norm(wide(x[rows], device), wide(weight, device), eps)
    return ratio((wide(out[rows], device) - expected).abs(), 8 * UNITS[dtype.name] * expected.abs() + TINY)


def rms_norm(x: Tensor, weight: Tensor | float, eps: float) -> Tensor:
    """RMSNorm, written out, in the type of x."""
    return x * (x.square().mean(-1, keepdim=True) + eps).rsqrt() * weight


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE on the halves of the last axis: x [..., hd], cos and sin [..., hd/2] (Su et al., arXiv:2104.09864)."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def rope(x: Tensor, cos: Tensor, sin: Tensor, out: Tensor, dtype: Dtype, device: str, salt: int = 0) -> float:
    """RoPE of x [t, heads, hd] with cos and sin [t, 1, hd/2]; out as x."""
    rows = pick(x.shape[0], x.shape[1] * x.shape[2], salt)
    source, c, s = (wide(t[rows], device) for t in (x, cos, sin))
    bound = 3 * UNITS[dtype.name] * rotate(source.abs(), c.abs(), -s.abs()).abs()
    terms = 3 * UNITS[dtype.name] * (source.abs().roll(source.shape[-1] // 2, -1) + source.abs())
    return ratio((wide(out[rows], device) - rotate(source, c, s)).abs(), bound.maximum(terms) + TINY)


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    causal: bool,
    dtype: Dtype,
    device: str,
    salt: int = 0,
    window: int = 0,
    sinks: Tensor | None = None,
) -> float:
    """Grouped-query attention at sampled (sequence, head, row): q and out [b, heads, s, hd], k and v [b, kv, t, hd].

    With ``causal``, row i sees keys 0…i, or with a ``window`` the last ``window`` of these; otherwise all t. ``sinks``
    [heads] are logits that no value belongs to.
    """
    batch, heads, seq, width = q.shape
    group = heads // k.shape[1]
    worst = 0.0
    for index in range(ATTENTION_SAMPLES):
        # Prime strides walk over sequences, heads and rows; the last, first and middle row are always among them.
        step = index + salt * ATTENTION_SAMPLES
        b, h = (step * 5) % batch, (step * 11 + step // heads) % heads
        row = (seq - 1, 0, seq // 2)[index] if index < 3 else (step * 7919) % seq
        end = row + 1 if causal else k.shape[2]
        first = max(0, end - window) if window else 0
        keys, values = (wide(t[b, h // group, first:end], device) for t in (k, v))
        scores = keys @ wide(q[b, h, row], device) / width**0.5
        if sinks is not None:
            scores = torch.cat((scores, wide(sinks[h : h + 1], device)))
        p = scores.softmax(0)[: end - first]
        expected = p @ values
        bound = 4 * ATTENTION_UNITS[dtype.name] * (p @ values.abs()) + TINY
        worst = max(worst, ratio((wide(out[b, h, row], device) - expected).abs(), bound))
    return worst


def swiglu(gate_up: Tensor, out: Tensor, dtype: Dtype, device: str, salt: int = 0) -> float:
    """silu(gate)·up of gate_up [t, 2f], gate first (Shazeer, arXiv:2002.05202)."""
    rows = pick(gate_up.shape[0], gate_up.shape[1], salt)
    gate, up = wide(gate_up[rows], device).chunk(2, dim=-1)
    expected = gate * gate.sigmoid() * up
    return ratio(
        (wide(out[rows], device) - expected).abs(), 8 * UNITS[dtype.name] * expected.abs() + TINY * (1 + up.abs())
    )


def total(parts: Sequence[Tensor], out: Tensor, dtype: Dtype, device: str, salt: int = 0) -> float:
    """Sum of ``parts``, each [t, d]."""
    rows = pick(out.shape[0], out.shape[1], salt)
    terms = [wide(part[rows], device) for part in parts]
    zero = torch.zeros_like(terms[0])
    size, expected = sum((term.abs() for term in terms), zero), sum(terms, zero)
    return ratio((wide(out[rows], device) - expected).abs(), 2 * UNITS[dtype.name] * size + TINY)


def total_bytes(parts: int, rows: int, width: int) -> int:
    """Bytes at the peak of :func:`total` of this many ``parts``, given in float64."""
    return (2 * parts + 8) * 8 * width * min(rows, max(4, ROW_BYTES // (8 * width)))


def same(got: Tensor, expected: Tensor) -> float:
    """0 where two tensors are equal in every element, else infinity."""
    return 0.0 if torch.equal(got, expected) else math.inf


def close(got: Tensor, expected: Tensor, factor: float, dtype: Dtype, device: str) -> float:
    """Rows of ``got`` compared with a float64 ``expected`` [t, d]: each row's error ÷ (its norm + the mean norm)."""
    error = (wide(got, device) - expected).norm(dim=-1)
    sizes = expected.norm(dim=-1)
    return ratio(error, factor * ATTENTION_UNITS[dtype.name] * (sizes + sizes.mean()) + TINY)


def routing(logits: Tensor, ids: Tensor, shares: Tensor, top_k: int, dtype: Dtype, device: str) -> float:
    """Top-k of router logits [t, experts] and the softmax over them: ids and shares [t, k]."""
    values = wide(logits, device)
    expected = values.topk(top_k, dim=-1)
    chosen = values.gather(1, ids.to(device))
    # Equal logits may be chosen in either order: compare values, and see that no expert is chosen twice.
    worst = same(chosen, expected.values)
    if top_k > 1 and bool((ids.sort(dim=-1).values.diff(dim=-1) == 0).any()):
        return math.inf
    error = (wide(shares, device) - expected.values.softmax(-1)).abs()
    return max(worst, ratio(error, 4 * UNITS[dtype.name] * expected.values.softmax(-1) + 2.0**-20))
