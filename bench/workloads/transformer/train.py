"""One training step of a block: forward, then backward to the gradients of its input and of every weight.

Weight gradients are written in place into buffers that live as long as the block. Nothing is recomputed, so the work
is three times the forward pass. There is no optimiser: its work is elementwise and belongs to no block.
"""

from __future__ import annotations

import math
from typing import Any

from bench.model import Device
from bench.workloads.transformer import freivalds, functional, reference, torch_device
from bench.workloads.transformer.block import make_weights, rope_tables, weight_shapes
from bench.workloads.transformer.dtypes import Dtype
from bench.workloads.transformer.shapes import Shape

SCORE_COPIES, ROW_COPIES = 3, 5
"""Float64 matrices that live at once when one head's attention is taken backwards: of [seq, seq], and of one group's
queries, keys and values."""


def memory_bytes(shape: Shape, dtype: Dtype, batch: int, seq: int) -> int:
    """Bytes at the peak of a step: weights, their gradients, the activations that backward needs, and its own.

    Everything is kept until the step after, so that it can be checked.
    """
    rows = batch * seq
    routed = rows * shape.top_k
    weights = sum(math.prod(size) for size in weight_shapes(shape).values())
    d, width, qk = shape.d_model, shape.attention_width, (shape.heads + shape.kv_heads) * shape.head_dim
    # Forward: x, h1, qkv, turned q and k, attention, o, r1, h2, gate-up, silu, product, down, y.
    forward = rows * (6 * d + shape.qkv_width + qk + width) + routed * (4 * shape.ffn) + rows * d * 1
    # Backward: dy, d-act, d-gate-up, d-h2, d-r1, d-attention, d-qkv, d-h1, dx.
    backward = rows * (5 * d + shape.qkv_width + width) + routed * 3 * shape.ffn
    if shape.experts > 1:
        # Tokens sorted by expert and back, each way.
        forward += routed * 4 * d
        backward += routed * 3 * d
    return (2 * weights + forward + backward) * dtype.bytes


def filled_bytes(shape: Shape, dtype: Dtype, batch: int, seq: int) -> int:
    """Bytes of a block before its first step: weights, room for their gradients, x and dy."""
    weights = sum(math.prod(size) for size in weight_shapes(shape).values())
    return (2 * weights + 2 * batch * seq * shape.d_model) * dtype.bytes


def expanding_bytes(shape: Shape, dtype: Dtype, batch: int, seq: int, expanded: int) -> int:
    """What keys and values repeated to all heads (``expanded`` bytes) add to the peak of a step.

    They live until attention has been taken backwards, and then beside their own gradients; d-qkv, which that step
    makes afterwards, is counted by :func:`memory_bytes` and not there yet.
    """
    later = batch * seq * shape.qkv_width * dtype.bytes
    return max(0, 2 * expanded - later) if expanded else 0


def checking_bytes(shape: Shape, dtype: Dtype, batch: int, seq: int) -> int:
    """Scratch at the peak of a check: of one product, or of one head's float64 scores and their gradient."""
    rows = batch * seq
    sizes = [(rows * p.top_k // p.experts, p.n, p.k) for p in shape.products() if p.name != "lm_head"]
    sizes += [(r, k, n) for r, n, k in sizes] + [(n, k, r) for r, n, k in sizes]
    products = [freivalds.workspace_bytes(*s, dtype.bytes) + freivalds.projection_bytes(*s[1:]) for s in sizes]
    group_width = (shape.heads // shape.kv_heads + 2) * shape.head_dim
    # The mask has a byte for each score.
    return max(*products, (8 * SCORE_COPIES + 1) * seq * seq + 8 * ROW_COPIES * seq * group_width)


def _linear_class() -> Any:
    import torch

    class Linear(torch.autograd.Function):
        """A product whose weight gradient goes into a given buffer, and which notes what it saw."""

        @staticmethod
        def forward(ctx: Any, x: Any, weight: Any, gradient: Any, tape: dict[str, Any], name: str) -> Any:
            ctx.save_for_backward(x, weight)
            ctx.rest = (gradient, tape, name)
            y = torch.mm(x, weight.t())
            tape[name] = (x.detach(), y.detach())
            return y

        @staticmethod
        def backward(ctx: Any, *dys: Any) -> Any:
            x, weight = ctx.saved_tensors
            gradient, tape, name = ctx.rest
            dy = dys[0]
            torch.mm(dy.t(), x, out=gradient)
            dx = torch.mm(dy, weight)
            tape[f"{name}.grad"] = (dy, dx)
            return dx, None, None, None, None

    return Linear


class TrainBlock:
    """A block with its weights, their gradients, and the tape of its last step."""

    def __init__(
        self, device: Device, shape: Shape, dtype: Dtype, batch: int, seq: int, values: torch_device.Values
    ) -> None:
        import torch

        self.device, self.shape, self.dtype = device, shape, dtype
        self.batch, self.seq = batch, seq
        place = device.torch_name
        self.weights = make_weights(shape, dtype, place, values)
        self.gradients = {name: torch.empty_like(weight) for name, weight in self.weights.products().items()}
        for name in ("norm1", "norm2"):
            getattr(self.weights, name).requires_grad_()
        rows = batch * seq
        self.x, self.dy = (
            values.fill(torch.empty(rows, shape.d_model, dtype=dtype.torch, device=place)) for _ in range(2)
        )
        self.x.requires_grad_()
        self.rope = rope_tables(shape, torch.arange(seq, device=place), dtype)
        self.counts: list[int] = []
        self.tape: dict[str, Any] = {}
        self._linear = _linear_class()

    def prepare(self) -> None:
        """Learn how many tokens each expert gets, with a turn through the host, and run one step."""
        import torch

        if self.shape.experts > 1:
            # Any split that adds up serves to reach the router; what it routes does not depend on the experts.
            routed = self.batch * self.seq * self.shape.top_k
            self.counts = [routed] + [0] * (self.shape.experts - 1)
            with torch.no_grad():
                self._forward()
            self.counts = torch.bincount(self.tape["ids"].flatten(), minlength=self.shape.experts).tolist()
        self.run()

    def experts_used(self) -> int:
        """Experts that at least one token visits; 1 for a dense block."""
        return sum(count > 0 for count in self.counts) if self.counts else 1

    def _forward(self) -> Any:
        tape = self.tape
        tape.clear()

        def linear(name: str, x: Any, weight: Any) -> Any:
            return self._linear.apply(x, weight, self.gradients[name], tape, name)

        def note(name: str, value: Any) -> Any:
            tape[name] = value.detach()
            if name == "h2" and value.requires_grad:
                value.register_hook(lambda gradient: tape.__setitem__("h2.grad", gradient))
            return value

        return functional.forward(
            self.shape, self.device, self.weights, self.x, self.rope, self.batch, self.counts, linear, note
        )

    def run(self) -> Any:
        """One iteration: forward and backward. Returns dx [rows, d]; weight gradients are in ``gradients``."""
        import torch

        inputs = [self.x, self.weights.norm1, self.weights.norm2]
        with torch.enable_grad():
            y = self._forward()
            dx, dnorm1, dnorm2 = torch.autograd.grad(y, inputs, grad_outputs=self.dy)
        self.tape |= {"dx": dx, "dnorm1": dnorm1, "dnorm2": dnorm2}
        return dx

    def spoil(self) -> None:
        """Forget the last step: drop its tape and overwrite the weight gradients."""
        self.tape.clear()
        for gradient in self.gradients.values():
            gradient.fill_(math.nan)

    # -- the check ----------------------------------------------------------------------------------------------------

    def check(self, place: str, salt: int = 0) -> dict[str, float]:
        """Error ÷ tolerance of every stage of the last step, forward and backward; all ≤ 1 when right."""
        import torch

        if "dx" not in self.tape:
            return {"step": math.inf}
        found = self._check_products(place)
        found |= self._check_forward(place, salt)
        with torch.enable_grad():
            found |= self._check_backward(place, salt)
        if self.shape.experts > 1:
            found |= self._check_routing(place)
        return found

    def _check_products(self, place: str) -> dict[str, float]:
        """Freivalds' check on Y = X·Wᵀ, dX = dY·W and dW = dYᵀ·X of every product."""
        found: dict[str, float] = {}
        for seed, (name, weight) in enumerate(self.weights.products().items()):
            x, y = self.tape[name]
            dy, dx = self.tape[f"{name}.grad"]
            kind = name.split(".")[0]
            if x.shape[0] == 0:
                excess = {"": 0.0, "_dx": 0.0, "_dw": reference.same(self.gradients[name], weight * 0)}
            else:
                dw = self.gradients[name]
                excess = {
                    "": freivalds.excess(x, y, freivalds.project(weight, seed, place), self.dtype),
                    "_dx": freivalds.excess(dy, dx, freivalds.project(weight.t(), seed, place), self.dtype),
                    "_dw": freivalds.excess(dy.t(), dw, freivalds.project(x.t(), seed, place), self.dtype),
                }
            for part, value in excess.items():
                found[kind + part] = max(found.get(kind + part, 0.0), value)
        return found

    def _check_forward(self, place: str, salt: int) -> dict[str, float]:
        tape, w, shape, dtype, eps = self.tape, self.weights, self.shape, self.dtype, self.shape.norm_eps
        heads, kv = shape.heads, shape.kv_heads
        qkv = tape["qkv"][1].view(self.batch, -1, heads + 2 * kv, shape.head_dim)
        q, k = tape["q"], tape["k"]
        cos, sin = (table.repeat(self.batch, 1, 1) for table in self.rope)
        turned = max(
            reference.rope(source.flatten(0, 1), cos, sin, out.flatten(0, 1), dtype, place, salt)
            for source, out in ((qkv[:, :, :heads], q), (qkv[:, :, heads : heads + kv], k))
        )
        a = tape["o"][0].view(self.batch, -1, heads, shape.head_dim).transpose(1, 2)
        q, k, v = (t.transpose(1, 2) for t in (q, k, qkv[:, :, heads + kv :]))
        found = {
            "norm1": reference.norm(self.x.detach(), w.norm1, eps, tape["qkv"][0], dtype, place, salt),
            "rope": turned,
            "attention": reference.attention(q, k, v, a, True, dtype, place, salt),
            "residual1": reference.total((self.x.detach(), tape["o"][1]), tape["r1"], dtype, place, salt),
            "norm2": reference.norm(tape["r1"], w.norm2, eps, tape["h2"], dtype, place, salt),
            "swiglu": max(
                reference.swiglu(tape[f"gate_up.{e}"][1], tape[f"down.{e}"][0], dtype, place, salt)
                for e in range(shape.experts)
                if tape[f"down.{e}"][0].shape[0]
            ),
        }
        ffn = tape["ffn"] if shape.experts > 1 else tape["down.0"][1]
        found["residual2"] = reference.total((tape["r1"], ffn), tape["y"], dtype, place, salt)
        return found

    def _check_backward(self, place: str, salt: int) -> dict[str, float]:
        """Gradients between products, recomputed by float64 autograd on sampled rows, heads and whole norm weights."""
        import torch

        tape, w, shape, eps = self.tape, self.weights, self.shape, self.shape.norm_eps
        wide = reference.wide
        d_r1, d_h1 = tape["o.grad"][0], tape["qkv.grad"][1]
        d_h2 = tape["h2.grad"]
        found = {}
        parts = (
            ("norm1", self.x, w.norm1, d_h1, d_r1, tape["dx"]),
            ("norm2", tape["r1"], w.norm2, d_h2, self.dy, d_r1),
        )
        for name, x, weight, dh, skip, dx in parts:
            rows = reference.pick(x.shape[0], x.shape[1], salt)
            source = wide(x[rows], place).requires_grad_()
            h = reference.rms_norm(source, wide(weight, place), eps)
            (through,) = torch.autograd.grad(h, source, wide(dh[rows], place))
            found[f"{name}_dx"] = reference.close(dx[rows], through + wide(skip[rows], place), 8, self.dtype, place)
            total = torch.zeros(x.shape[1], dtype=torch.float64, device=place)
            size = torch.zeros_like(total)
            for part, gradient in zip(x.split(len(rows)), dh.split(len(rows)), strict=True):
                terms = reference.rms_norm(wide(part, place), 1.0, eps) * wide(gradient, place)
                total, size = total + terms.sum(0), size + terms.abs().sum(0)
            bound = reference.UNITS[self.dtype.name] * (4 * total.abs() + 8 * size) + reference.TINY
            found[f"{name}_dw"] = reference.ratio((wide(tape[f"d{name}"], place) - total).abs(), bound)
        for expert in range(shape.experts):
            if not self.counts or self.counts[expert]:
                gate_up, d_act = tape[f"gate_up.{expert}"][1], tape[f"down.{expert}.grad"][1]
                rows = reference.pick(gate_up.shape[0], gate_up.shape[1], salt)
                source = wide(gate_up[rows], place).requires_grad_()
                gate, up = source.chunk(2, dim=-1)
                (wanted,) = torch.autograd.grad(gate * gate.sigmoid() * up, source, wide(d_act[rows], place))
                excess = reference.close(tape[f"gate_up.{expert}.grad"][0][rows], wanted, 8, self.dtype, place)
                found["swiglu_dx"] = max(found.get("swiglu_dx", 0.0), excess)
        found["attention_dx"] = self._check_attention_gradient(place, salt)
        return found

    def _check_attention_gradient(self, place: str, salt: int) -> float:
        """RoPE and attention backwards for one sequence and one group of heads, all its rows."""
        import torch

        shape, tape, wide = self.shape, self.tape, reference.wide
        heads, kv, width = shape.heads, shape.kv_heads, shape.head_dim
        group = heads // kv
        b, g = salt % self.batch, salt % kv
        columns = [*range(g * group, (g + 1) * group), heads + g, heads + kv + g]

        def part(tensor: Any) -> Any:
            return wide(tensor.view(self.batch, self.seq, -1, width)[b][:, columns], place)

        source = part(tape["qkv"][1]).requires_grad_()
        cos, sin = (wide(table, place) for table in self.rope)
        d_out = wide(tape["o.grad"][1].view(self.batch, self.seq, heads, width)[b][:, columns[:group]], place)
        mask = torch.ones(self.seq, self.seq, dtype=torch.bool, device=place).triu(1)
        wanted = torch.zeros_like(source)
        # Head by head: the scores of all at once would outgrow the block at long sequences.
        for head in range(group):
            q, k = (reference.rotate(source[:, i : i + 1], cos, sin).squeeze(1) for i in (head, group))
            p = (q @ k.T / width**0.5).masked_fill(mask, -math.inf).softmax(-1)
            (part_of,) = torch.autograd.grad(p @ source[:, group + 1], source, d_out[:, head])
            wanted += part_of
        got = part(tape["qkv.grad"][0])
        # Queries, keys and values have gradients of different sizes: each is judged beside its own.
        slices = (slice(0, group), slice(group, group + 1), slice(group + 1, group + 2))
        return max(
            reference.close(got[:, s].flatten(1), wanted[:, s].flatten(1), 12, self.dtype, place) for s in slices
        )

    def _check_routing(self, place: str) -> dict[str, float]:
        """The way to the experts and back, and the gradients along it."""
        import torch

        tape, top_k, wide, d = self.tape, self.shape.top_k, reference.wide, self.shape.d_model
        ids, shares, order = tape["ids"], tape["shares"], tape["order"]
        inverse = order.argsort()
        logits = tape["router"][1]
        wanted_ids = torch.repeat_interleave(torch.arange(self.shape.experts), torch.tensor(self.counts))
        routed = max(
            reference.routing(logits, ids, shares, top_k, self.dtype, place),
            reference.same(ids.flatten()[order].cpu(), wanted_ids),
            reference.same(tape["sent"], tape["h2"][order // top_k]),
        )

        def gathered(name: str, kind: str, index: int) -> Any:
            parts = [tape[f"{name}.{expert}{kind}"][index] for expert in range(self.shape.experts)]
            return wide(torch.cat(parts)[inverse], place).view(-1, top_k, d)

        outs, d_outs = gathered("down", "", 1), gathered("down", ".grad", 0)
        d_sent = gathered("gate_up", ".grad", 1)
        weights = wide(shares, place).unsqueeze(-1)
        dy = wide(self.dy, place).unsqueeze(1)
        d_shares = (outs * dy).sum(-1)
        soft = wide(logits, place).gather(1, ids.to(place)).softmax(-1)
        d_best = soft * (d_shares - (soft * d_shares).sum(-1, keepdim=True))
        d_logits = torch.zeros_like(wide(logits, place)).scatter(1, ids.to(place), d_best)
        d_h2 = d_sent.sum(1) + wide(tape["router.grad"][1], place)
        return {
            "routing": routed,
            "combine": reference.close(tape["ffn"], (outs * weights).sum(1), 4, self.dtype, place),
            "combine_dx": reference.close(d_outs.flatten(1), (weights * dy).flatten(1), 4, self.dtype, place),
            "router_dy": reference.close(tape["router.grad"][0], d_logits, 64, self.dtype, place),
            "sent_dx": reference.close(tape["h2.grad"], d_h2, 4, self.dtype, place),
        }
