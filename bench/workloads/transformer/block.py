"""One transformer block in torch, for inference: prefill over fresh sequences, or one decode step on a KV cache.

RMSNorm → QKV → RoPE → grouped-query attention → O → residual → RMSNorm → SwiGLU (or a mixture of experts) → residual,
as in Llama 3 (arXiv:2407.21783) and Mixtral (arXiv:2401.04088); where the shape says so, with a sliding window and
sinks (gpt-oss, arXiv:2508.10925) and with a shared expert (DeepSeekMoE, arXiv:2401.06066). Weights are stored [n, k].
Every stage writes into a buffer of its own that outlives the run, so that each can be checked afterwards. Attention
returns a new tensor (torch gives it no ``out``), which the allocator serves from its cache each time. So do norms
outside the CPU, where torch's fused kernel is one launch instead of seven.

Routing to experts needs no host round trip inside a window: inputs are fixed, so :meth:`Block.prepare` counts the
tokens of each expert once, and the check compares every later run with those counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from bench.model import Device
from bench.workloads.transformer import attention, flops, freivalds, reference
from bench.workloads.transformer.buffers import FILLED, buffer_shapes, make_weights
from bench.workloads.transformer.dtypes import Dtype
from bench.workloads.transformer.inputs import Values
from bench.workloads.transformer.shapes import Shape


def experts_used(counts: Sequence[int]) -> int:
    """Experts with at least one token, given the tokens of each; 1 for a dense block, which has no counts."""
    return sum(count > 0 for count in counts) if counts else 1


class Block:
    """One block with its weights and buffers.

    Args:
        phase: ``prefill``: ``batch`` sequences of ``seq`` fresh tokens. ``decode``: one new token for each of ``batch``
            sequences, the last of ``seq``; the ``seq`` − 1 before it are in the cache.
        values: the source of inputs. Cached keys and values have unit size, as projections of normed inputs do.
    """

    def __init__(
        self, device: Device, shape: Shape, dtype: Dtype, phase: str, batch: int, seq: int, values: Values
    ) -> None:
        self.device, self.shape, self.dtype, self.phase = device, shape, dtype, phase
        self.batch, self.seq = batch, seq
        self.weights = make_weights(shape, dtype, device, values)
        self.buffers = {
            name: values.fill(torch.empty(size, dtype=dtype.torch_dtype, device=device.torch_name))
            for name, size in buffer_shapes(shape, batch, seq, phase).items()
            if name in FILLED
        }
        positions = torch.arange(0 if phase == "prefill" else seq - 1, seq, device=device.torch_name)
        self.cos, self.sin = attention.rope_tables(shape, positions, dtype)
        self._norm_scratch = torch.empty(self.buffers["x"].shape[0], 1, device=device.torch_name)
        self.attended: Tensor
        """Output of attention [rows, heads · hd], from the last run."""
        self.counts: list[int] = []
        """Tokens of each expert, counted by :meth:`prepare`."""
        self._window = shape.window if shape.window < seq else 0
        self._mask: Tensor | None = None
        if phase == "prefill" and self._window and device.kind == "cpu":
            self._mask = attention.window_mask(seq, self._window, dtype, device)
        self._route: tuple[Tensor, Tensor, Tensor] | None = None
        self._projections: dict[str, freivalds.Projection] = {}

    def _set_views(self) -> None:
        """Create views of the buffers once: in every run they would cost a small decode step a few percent."""
        b = self.buffers
        swiglus = [("gate_up", "act"), *([("shared_gate_up", "shared_act")] if self.shape.shared_ffn else [])]
        self._gates = {act: (*b[source].chunk(2, dim=-1), b[act]) for source, act in swiglus}
        self._set_attention_views()

    def _set_attention_views(self) -> None:
        shape, half, b = self.shape, self.shape.head_dim // 2, self.buffers
        heads, kv, width = shape.heads, shape.kv_heads, shape.head_dim
        rotated = b["rotated"].view(self.batch, -1, heads + kv, width)
        qkv = b["qkv"].view(self.batch, -1, heads + 2 * kv, width)
        source = qkv[:, :, : heads + kv]
        self._halves = source[..., :half], source[..., half:], rotated[..., :half], rotated[..., half:]
        self._qkv = tuple(
            part.transpose(1, 2) for part in (rotated[:, :, :heads], rotated[:, :, heads:], qkv[:, :, heads + kv :])
        )
        if self.phase == "decode":
            self._grouped = self._qkv[0].view(self.batch, kv, heads // kv, width)
            self._newest = b["keys"][:, :, -1:], b["values"][:, :, -1:]

    def prepare(self) -> None:
        """Allocate the buffers that are only written, count the tokens of each expert on the host, and run once."""
        for name, size in buffer_shapes(self.shape, self.batch, self.seq, self.phase).items():
            if name not in FILLED:
                self.buffers[name] = torch.empty(size, dtype=self.dtype.torch_dtype, device=self.device.torch_name)
        self._set_views()
        if self.shape.experts > 1:
            self._until_router()
            ids = self.buffers["logits"].topk(self.shape.top_k, dim=-1).indices
            self.counts = torch.bincount(ids.flatten(), minlength=self.shape.experts).cpu().tolist()
        self.run()

    def experts_used(self) -> int:
        """Experts that at least one token visits; 1 for a dense block."""
        return experts_used(self.counts)

    # -- the forward pass ---------------------------------------------------------------------------------------------

    def run(self) -> Tensor:
        """One iteration: the whole block, into its buffers. Returns y [rows, d]."""
        b = self.buffers
        if self.shape.experts > 1:
            self._until_router()
            self._experts()
        else:
            self._until_norm2()
            torch.mm(b["h2"], self.weights.gate_up[0].t(), out=b["gate_up"])
            self._swiglu("act")
            torch.mm(b["act"], self.weights.down[0].t(), out=b["down"])
        y = torch.add(b["r1"], b["down"], out=b["y"])
        if self.shape.shared_ffn:
            extra = self.weights.extra
            torch.mm(b["h2"], extra["shared_gate_up"].t(), out=b["shared_gate_up"])
            self._swiglu("shared_act")
            torch.mm(b["shared_act"], extra["shared_down"].t(), out=b["shared_down"])
            y.add_(b["shared_down"])
        return y

    def _until_norm2(self) -> None:
        b, w = self.buffers, self.weights
        self._norm(b["x"], w.norm1, "h1")
        torch.mm(b["h1"], w.qkv.t(), out=b["qkv"])
        self.attended = self._attention()
        torch.mm(self.attended, w.o.t(), out=b["o"])
        torch.add(b["x"], b["o"], out=b["r1"])
        self._norm(b["r1"], w.norm2, "h2")

    def _until_router(self) -> None:
        self._until_norm2()
        if self.weights.router is not None:
            torch.mm(self.buffers["h2"], self.weights.router.t(), out=self.buffers["logits"])

    def _norm(self, x: Tensor, weight: Tensor, target: str) -> None:
        eps = self.shape.norm_eps
        if self.device.kind != "cpu":
            self.buffers[target] = torch.nn.functional.rms_norm(x, (x.shape[1],), weight, eps)
            return
        out, scratch = self.buffers[target], self._norm_scratch
        torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32, out=scratch)
        scratch.square_().mul_(1.0 / x.shape[1]).add_(eps).rsqrt_()
        torch.mul(x, scratch, out=out)
        out.mul_(weight)

    def _attention(self) -> Tensor:
        """From the joined projection to the heads' outputs [rows, attention width]."""
        self._rope()
        return self._prefill_attention() if self.phase == "prefill" else self._decode_attention()

    def _rope(self) -> None:
        """Rotate queries and keys together: they are adjacent in the buffer."""
        first, second, rotated_first, rotated_second = self._halves
        torch.mul(first, self.cos, out=rotated_first).addcmul_(second, self.sin, value=-1)
        torch.mul(second, self.cos, out=rotated_second).addcmul_(first, self.sin)

    def qkv_views(self) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries and keys, and values, as views [b, heads, s, hd]."""
        q, k, v = self._qkv
        return q, k, v

    def _prefill_attention(self) -> Tensor:
        out = self._attend(*self.qkv_views(), causal=True, window=self._window)
        return out.transpose(1, 2).reshape(-1, self.shape.attention_width)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, causal: bool, window: int = 0) -> Tensor:
        sinks = self.weights.extra.get("sinks")
        if sinks is None and not window:
            return attention.attend(q, k, v, causal=causal, device=self.device)
        return attention.attend_windowed(q, k, v, causal, self.device, window, self._mask, sinks)

    def _decode_attention(self) -> Tensor:
        """One query per head over the cache. Heads that share keys become rows of one query: the cache is read once."""
        _, k, v = self._qkv
        newest_key, newest_value = self._newest
        newest_key.copy_(k)
        newest_value.copy_(v)
        out = self._attend(self._grouped, self.buffers["keys"], self.buffers["values"], causal=False)
        return out.reshape(self.batch, self.shape.attention_width)

    def _swiglu(self, name: str) -> None:
        gate, up, act = self._gates[name]
        torch.ops.aten.silu.out(gate, out=act)
        act.mul_(up)

    def _experts(self) -> None:
        """Sort tokens by expert, multiply each expert's tokens, and add up the results by the router's weights."""
        b, top_k = self.buffers, self.shape.top_k
        best, ids = b["logits"].topk(top_k, dim=-1)
        shares = best.float().softmax(-1).to(self.dtype.torch_dtype)
        order = ids.flatten().argsort(stable=True)
        self._route = (ids, shares, order)
        torch.index_select(b["h2"], 0, order // top_k, out=b["sent"])
        self._per_expert("sent", self.weights.gate_up, "gate_up")
        self._swiglu("act")
        self._per_expert("act", self.weights.down, "expert_out")
        torch.index_select(b["expert_out"], 0, order.argsort(), out=b["back"])
        back = b["back"].view(-1, top_k, self.shape.d_model)
        back.mul_(shares.unsqueeze(-1))
        torch.sum(back, dim=1, out=b["down"])

    def _per_expert(self, source: str, stack: Tensor, target: str) -> None:
        first = 0
        for expert, count in enumerate(self.counts):
            if count:
                rows = slice(first, first + count)
                torch.mm(self.buffers[source][rows], stack[expert].t(), out=self.buffers[target][rows])
            first += count

    # -- the check ----------------------------------------------------------------------------------------------------

    def check(self, device: str, salt: int = 0) -> dict[str, float]:
        """Error ÷ tolerance of every stage of the last run, in float64 on ``device``; all ≤ 1 when right.

        ``salt`` selects the rows that are sampled.
        """
        b, w, dtype, eps = self.buffers, self.weights, self.dtype, self.shape.norm_eps
        shape = self.shape
        errors = {
            "norm1": reference.norm(b["x"], w.norm1, eps, b["h1"], dtype, device, salt),
            "qkv": self._product("qkv", b["h1"], b["qkv"], device),
            **self._check_attention_part(device, salt),
            "o": self._product("o", self.attended, b["o"], device),
            "residual1": reference.total((b["x"], b["o"]), b["r1"], dtype, device, salt),
            "norm2": reference.norm(b["r1"], w.norm2, eps, b["h2"], dtype, device, salt),
            "swiglu": reference.swiglu(b["gate_up"], b["act"], dtype, device, salt),
            "residual2": reference.total(self._summands(), b["y"], dtype, device, salt),
        }
        if shape.shared_ffn:
            errors |= {
                "shared_gate_up": self._product("shared_gate_up", b["h2"], b["shared_gate_up"], device),
                "shared_swiglu": reference.swiglu(b["shared_gate_up"], b["shared_act"], dtype, device, salt),
                "shared_down": self._product("shared_down", b["shared_act"], b["shared_down"], device),
            }
        if shape.experts == 1:
            errors["gate_up"] = self._product("gate_up.0", b["h2"], b["gate_up"], device)
            errors["down"] = self._product("down.0", b["act"], b["down"], device)
        else:
            errors |= self._check_experts(device, salt)
        return errors

    def _summands(self) -> tuple[Tensor, ...]:
        b = self.buffers
        return (b["r1"], b["down"], *((b["shared_down"],) if self.shape.shared_ffn else ()))

    def poison(self) -> None:
        """Overwrite what a run writes, so that the next check sees only later work."""
        self.attended.fill_(math.nan)
        for name, buffer in self.buffers.items():
            if name in ("keys", "values"):
                buffer[:, :, -1].fill_(math.nan)
            elif name != "x":
                buffer.fill_(math.nan)

    def _product(self, name: str, x: Tensor, out: Tensor, device: str) -> float:
        if name not in self._projections:
            weight = self.weights.products()[name]
            self._projections[name] = freivalds.project(weight, len(self._projections), device)
        return freivalds.excess(x, out, self._projections[name], self.dtype)

    def _check_attention_part(self, device: str, salt: int) -> dict[str, float]:
        return {"rope": self._check_rope(device, salt), "attention": self._check_attention(device, salt)}

    def _angles(self) -> tuple[Tensor, Tensor]:
        """Cosines and sines of every row."""
        if self.phase == "prefill":
            return self.cos.repeat(self.batch, 1, 1), self.sin.repeat(self.batch, 1, 1)
        return self.cos.expand(self.batch, -1, -1), self.sin.expand(self.batch, -1, -1)

    def _check_rope(self, device: str, salt: int) -> float:
        shape = self.shape
        heads = shape.heads + shape.kv_heads
        source = self.buffers["qkv"][:, : heads * shape.head_dim].view(-1, heads, shape.head_dim)
        cos, sin = self._angles()
        return reference.rope(source, cos, sin, self.buffers["rotated"], self.dtype, device, salt)

    def _check_attention(self, device: str, salt: int) -> float:
        q, k, v = self.qkv_views()
        shape, b = self.shape, self.buffers
        sinks = self.weights.extra.get("sinks")
        out = self.attended.view(self.batch, -1, shape.heads, shape.head_dim).transpose(1, 2)
        if self.phase == "prefill":
            return reference.attention(q, k, v, out, True, self.dtype, device, salt, self._window, sinks)
        written = max(reference.same(b["keys"][:, :, -1:], k), reference.same(b["values"][:, :, -1:], v))
        found = reference.attention(q, b["keys"], b["values"], out, False, self.dtype, device, salt, sinks=sinks)
        return max(written, found)

    def _check_experts(self, device: str, salt: int) -> dict[str, float]:
        b, top_k = self.buffers, self.shape.top_k
        if self._route is None:
            return {"routing": math.inf}
        ids, shares, order = self._route
        routed = reference.routing(b["logits"], ids, shares, top_k, self.dtype, device)
        expected = torch.repeat_interleave(
            torch.arange(self.shape.experts), torch.tensor(self.counts), output_size=order.numel()
        )
        errors = {
            "router": self._product("router", b["h2"], b["logits"], device),
            # Each expert's rows are its own tokens, as many as were counted.
            "routing": max(routed, reference.same(ids.flatten()[order].cpu(), expected)),
            "sent": reference.same(b["sent"], b["h2"][order // top_k]),
        }
        first = 0
        for expert, count in enumerate(self.counts):
            rows = slice(first, first + count)
            if count:
                for name, source, target in (("gate_up", "sent", "gate_up"), ("down", "act", "expert_out")):
                    excess = self._product(f"{name}.{expert}", b[source][rows], b[target][rows], device)
                    errors[name] = max(errors.get(name, 0.0), excess)
            first += count
        sampled = reference.pick(b["down"].shape[0], self.shape.d_model, salt)
        back = b["expert_out"][order.argsort().view(-1, top_k)[sampled]]
        parts = [
            reference.wide(back[:, i], device) * reference.wide(shares[sampled, i : i + 1], device)
            for i in range(top_k)
        ]
        # Two more roundings than a plain sum of two: of each weighted part and of its weight.
        errors["combine"] = reference.total(parts, b["down"][sampled], self.dtype, device, salt) / 2
        return errors


def flops_per_run(shape: Shape, phase: str, batch: int, seq: int) -> int:
    """FLOPs of one iteration of a phase."""
    count = {"prefill": flops.prefill_flops, "decode": flops.decode_flops, "train": flops.train_flops}[phase]
    return count(shape, batch, seq)
