"""Attention through torch: grouped queries, sliding windows and sinks, and RoPE's tables."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from bench.model import Device, Skip
from bench.workloads.transformer import dtypes
from bench.workloads.transformer.dtypes import Dtype
from bench.workloads.transformer.shapes import Shape


def rope_tables(shape: Shape, positions: Tensor, dtype: Dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines [positions, 1, hd/2] in the block's type, computed in float64 on the CPU."""
    half = shape.rotated_dim // 2
    rates = shape.rope_theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = positions.double().cpu()[:, None, None] * rates
    cos, sin = (table.to(dtype.torch_dtype).to(positions.device) for table in (angles.cos(), angles.sin()))
    return cos, sin


def attend(q: Tensor, k: Tensor, v: Tensor, causal: bool, device: Device) -> Tensor:
    """Attention through torch's best backend: q [b, heads, s, hd], k and v [b, kv, s, hd]."""
    group = q.shape[1] // k.shape[1]
    if group > 1 and groups_unfused(device, q.element_size()):
        # The only fused kernel left does not support groups; an unfused one would store all scores. expanded_bytes
        # counts the copies.
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        group = 1
    out: Tensor = scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=group > 1)
    return out


def attend_windowed(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    causal: bool,
    device: Device,
    window: int,
    mask: Tensor | None,
    sinks: Tensor | None,
) -> Tensor:
    """As :func:`attend`, with a sliding window or sinks.

    Sinks need no kernel of their own: a logit s that no value belongs to scales a head's output by
    e^lse / (e^lse + e^s), where lse is the logarithm of the sum over the other logits, which fused kernels return.

    A query sees ``window`` keys, of which its own is the last; 0: all. On a CPU a ``mask`` of :func:`window_mask` says
    so; without one, causality decides. ``sinks`` are logits [heads].
    """
    aten = torch.ops.aten
    if device.kind == "cpu":
        out, lse = aten._scaled_dot_product_flash_attention_for_cpu(
            q, k, v, 0.0, causal and mask is None, attn_mask=mask
        )
    else:
        left, right = (window - 1, 0) if window else (None, None)
        out, lse, *_ = aten._flash_attention_forward(
            q.transpose(1, 2),
            k.transpose(1, 2),
            v.transpose(1, 2),
            None,
            None,
            q.shape[2],
            k.shape[2],
            0.0,
            causal,
            False,
            window_size_left=left,
            window_size_right=right,
        )
        out = out.transpose(1, 2)
    if sinks is not None:
        # [heads, 1] against lse [b, heads, s], or [kv, heads ÷ kv] where the heads of a group are rows of one query.
        out.mul_(torch.sigmoid(lse - sinks.view(q.shape[1], -1)).unsqueeze(-1))
    return out  # type: ignore[no-any-return]


def window_mask(seq: int, window: int, dtype: Dtype, device: Device) -> Tensor:
    """What is added to the scores [1, 1, seq, seq]: 0 where a query sees a key, −∞ elsewhere."""
    seen = torch.ones(seq, seq, dtype=torch.bool, device=device.torch_name).tril().triu(1 - window)
    mask = torch.zeros(1, 1, seq, seq, dtype=dtype.torch_dtype, device=device.torch_name)
    return mask.masked_fill_(~seen, -torch.inf)


def mask_bytes(shape: Shape, dtype: Dtype, phase: str, seq: int, device: Device) -> int:
    """Bytes of the mask of a block, which only the CPU's kernel needs."""
    masked = device.kind == "cpu" and phase == "prefill" and 0 < shape.window < seq
    return seq * seq * dtype.itemsize if masked else 0


def require(device: Device, shape: Shape, dtype: Dtype, seq: int) -> None:
    """Refuse attention that torch has no fused kernel for here.

    Raises:
        Skip: a sequence longer than the shape describes, or windows or sinks on a GPU without flash attention.
    """
    if shape.max_seq and seq > shape.max_seq:
        raise Skip(
            f"{shape.name} is described for sequences of up to {shape.max_seq} tokens, not {seq}",
            f"use --seq {shape.max_seq} or less",
        )
    flash = device.is_nvidia and dtype.itemsize == 2 and (dtypes.capability(device) or 0.0) >= 8.0
    if (shape.window or shape.sinks) and not (device.kind == "cpu" or flash):
        raise Skip(
            f"torch has sliding windows and sinks ({shape.name}) in 16-bit flash attention of NVIDIA GPUs from sm_80, "
            f"not in {dtype.name} on {device.name}",
            "use --dtype bf16 on such a GPU, or --device cpu",
        )


def expanded_bytes(shape: Shape, dtype: Dtype, batch: int, seq: int, device: Device) -> int:
    """Bytes of keys and values repeated to all query heads, where :func:`attend` does that; else 0.

    In latent attention, of values padded to the width of keys, and of what attention returns for them.
    """
    if shape.kv_lora:
        return 2 * batch * shape.heads * seq * shape.head_dim * dtype.itemsize
    if shape.heads == shape.kv_heads or not groups_unfused(device, dtype.itemsize):
        return 0
    return 2 * batch * shape.heads * seq * shape.head_dim * dtype.itemsize


def groups_unfused(device: Device, value_bytes: int) -> bool:
    """Whether this GPU's only fused attention kernel lacks groups: for 32-bit values, and before sm_80."""
    if device.kind == "cpu":
        return False
    return value_bytes == 4 or (dtypes.capability(device) or 8.0) < 8.0
