"""A block with latent attention (DeepSeek-V2, arXiv:2405.04434): keys and values come from one latent vector.

A token's latent vector and one rotated key that all heads share are what decode caches. Prefill expands the latent
vectors to keys and values of every head. Decode does not: the up-projection of keys is applied to the query and that of
values to the result, so that a step reads the cache as it is, compressed, and every head attends to the same vectors.

torch has no fused kernel for heads as wide as a latent vector, so a decode step is two batched products with a softmax
between them. In prefill, values are padded to the width of keys, which the fused kernels need; the padding counts no
FLOPs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from bench.workloads.transformer import attention, reference
from bench.workloads.transformer.block import Block

HEADS_CHECKED = 4


class LatentBlock(Block):
    """As :class:`~bench.workloads.transformer.block.Block`, for shapes with ``kv_lora``."""

    def _set_attention_views(self) -> None:
        shape, b, w = self.shape, self.buffers, self.weights.extra
        heads, half = shape.heads, shape.rope_dim // 2
        up = w["kv_up"].view(heads, shape.nope_dim + shape.value_dim, shape.kv_lora)
        self._key_up, self._value_up = up[:, : shape.nope_dim], up[:, shape.nope_dim :].transpose(1, 2)
        self._down = b["qkv"].split_with_sizes([shape.q_lora, shape.kv_lora, shape.rope_dim], dim=1)
        query = b["q"].view(-1, heads, shape.head_dim)
        self._query = query[..., : shape.nope_dim]
        self._sources = query[..., shape.nope_dim :], self._down[2].unsqueeze(1)
        self._turned = b["rotated"][:, :heads], b["rotated"][:, heads:]
        self._pairs = []
        for source, out in zip(self._sources, self._turned, strict=True):
            s, o = (t.view(self.batch, -1, *t.shape[1:]) for t in (source, out))
            self._pairs.append((s[..., :half], s[..., half:], o[..., :half], o[..., half:]))

    def _attention(self) -> Tensor:
        b, w = self.buffers, self.weights.extra
        self._norm(self._down[0], w["q_norm"], "q_normed")
        self._norm(self._down[1], w["kv_norm"], "latent")
        torch.mm(b["q_normed"], w["q_up"].t(), out=b["q"])
        for first, second, out_first, out_second in self._pairs:
            torch.mul(first, self.cos, out=out_first).addcmul_(second, self.sin, value=-1)
            torch.mul(second, self.cos, out=out_second).addcmul_(first, self.sin)
        return self._expanded_attention() if self.phase == "prefill" else self._compressed_attention()

    def _expanded_attention(self) -> Tensor:
        shape, b = self.shape, self.buffers
        torch.mm(b["latent"], self.weights.extra["kv_up"].t(), out=b["kv"])
        key, _ = self._keys_and_values()
        torch.cat((self._query, self._turned[0]), dim=-1, out=b["q_all"])
        torch.cat((key, self._turned[1].expand(-1, shape.heads, -1)), dim=-1, out=b["k_all"])
        q, k, v = self._expanded()
        padded = pad(v, (0, shape.head_dim - shape.value_dim))
        out = attention.attend(q, k, padded, causal=True, device=self.device)[..., : shape.value_dim]
        return out.transpose(1, 2).reshape(-1, shape.attention_width)

    def _compressed_attention(self) -> Tensor:
        shape, b = self.shape, self.buffers
        newest = b["keys"][:, 0, -1]
        newest[:, : shape.kv_lora].copy_(b["latent"])
        newest[:, shape.kv_lora :].copy_(self._turned[1][:, 0])
        torch.bmm(self._query.transpose(0, 1), self._key_up, out=b["absorbed"])
        torch.cat((b["absorbed"].transpose(0, 1), self._turned[0]), dim=-1, out=b["q_all"])
        b["q_all"].mul_(shape.head_dim**-0.5)
        cached = b["keys"][:, 0]
        torch.bmm(b["q_all"], cached.transpose(1, 2), out=b["scores"])
        torch.bmm(b["scores"].softmax(-1), cached[..., : shape.kv_lora], out=b["context"])
        torch.bmm(b["context"].transpose(0, 1), self._value_up, out=b["headed"])
        return b["headed"].transpose(0, 1).reshape(-1, shape.attention_width)

    def _keys_and_values(self) -> tuple[Tensor, Tensor]:
        """Keys without their rotated part, and values, of a prefill [rows, heads, width]."""
        shape = self.shape
        kv = self.buffers["kv"].view(-1, shape.heads, shape.nope_dim + shape.value_dim)
        return kv[..., : shape.nope_dim], kv[..., shape.nope_dim :]

    def _expanded(self) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of a prefill as views [b, heads, s, width]."""
        q, k, v = (
            t.view(self.batch, -1, *t.shape[1:]).transpose(1, 2)
            for t in (self.buffers["q_all"], self.buffers["k_all"], self._keys_and_values()[1])
        )
        return q, k, v

    # -- the check ----------------------------------------------------------------------------------------------------

    def _check_attention_part(self, device: str, salt: int) -> dict[str, float]:
        shape, b, w, dtype, eps = self.shape, self.buffers, self.weights.extra, self.dtype, self.shape.norm_eps
        cos, sin = self._angles()
        errors = {
            "q_norm": reference.norm(self._down[0], w["q_norm"], eps, b["q_normed"], dtype, device, salt),
            "kv_norm": reference.norm(self._down[1], w["kv_norm"], eps, b["latent"], dtype, device, salt),
            "q_up": self._product("q_up", b["q_normed"], b["q"], device),
            "rope": max(
                reference.rope(source, cos, sin, out, dtype, device, salt)
                for source, out in zip(self._sources, self._turned, strict=True)
            ),
        }
        if self.phase == "prefill":
            q, k, v = self._expanded()
            key, _ = self._keys_and_values()
            shared = self._turned[1].expand(-1, shape.heads, -1)
            joined = max(
                reference.same(b["q_all"], torch.cat((self._query, self._turned[0]), dim=-1)),
                reference.same(b["k_all"], torch.cat((key, shared), dim=-1)),
            )
            out = self.attended.view(self.batch, -1, shape.heads, shape.value_dim).transpose(1, 2)
            errors["kv_up"] = self._product("kv_up", b["latent"], b["kv"], device)
            errors["attention"] = max(joined, reference.attention(q, k, v, out, True, dtype, device, salt))
            return errors
        return errors | self._check_compressed(device, salt)

    def _check_compressed(self, device: str, salt: int) -> dict[str, float]:
        shape, b = self.shape, self.buffers
        scale = shape.head_dim**-0.5
        query = torch.cat((b["absorbed"].transpose(0, 1), self._turned[0]), dim=-1).mul_(scale)
        newest = torch.cat((b["latent"], self._turned[1][:, 0]), dim=-1)
        written = max(reference.same(b["q_all"], query), reference.same(b["keys"][:, 0, -1], newest))
        # The reference divides by the root of the query's width, which here is that of the cache.
        wide_query = b["q_all"].double().unsqueeze(2) * math.sqrt(b["q_all"].shape[-1])
        keys, context = b["keys"], b["context"].unsqueeze(2)
        found = reference.attention(
            wide_query, keys, keys[..., : shape.kv_lora], context, False, self.dtype, device, salt
        )
        headed = b["headed"].transpose(0, 1).reshape(-1, shape.attention_width)
        return {
            "absorb": self._check_heads(self._query, self._key_up, b["absorbed"], device, salt),
            "attention": max(written, found),
            "v_up": max(
                self._check_heads(b["context"], self._value_up, b["headed"], device, salt),
                reference.same(self.attended, headed),
            ),
        }

    def _check_heads(self, x: Tensor, weight: Tensor, out: Tensor, device: str, salt: int) -> float:
        """Product x [b, heads, k] · weight [heads, k, n] = out [heads, b, n] at some heads, all its rows."""
        heads = self.shape.heads
        chosen = {(salt * HEADS_CHECKED + i * max(1, heads // HEADS_CHECKED)) % heads for i in range(HEADS_CHECKED)}
        return max(
            reference.close(
                out[h], reference.wide(x[:, h], device) @ reference.wide(weight[h], device), 4, self.dtype, device
            )
            for h in chosen
        )
