"""One training step of a block: forward, then backward to the gradients of its input and of every weight.

Weight gradients are written into buffers that live as long as the block. Nothing is recomputed, so the work is three
times the forward pass. There is no optimizer: its work is elementwise and depends on no block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from bench.model import Device
from bench.workloads.transformer import freivalds, functional, reference
from bench.workloads.transformer.attention import rope_tables
from bench.workloads.transformer.block import experts_used
from bench.workloads.transformer.buffers import make_weights, weight_shapes
from bench.workloads.transformer.dtypes import Dtype
from bench.workloads.transformer.inputs import Values
from bench.workloads.transformer.shapes import Shape

SCORE_COPIES, ROW_COPIES = 3, 5
"""Float64 matrices that are alive together in the backward pass of one head's attention: of [seq, seq], and of one
group's queries, keys and values."""


def memory_bytes(shape: Shape, dtype: Dtype, batch: int, seq: int) -> int:
    """Bytes at the peak of a step: weights, their gradients, the activations that backward needs, and its gradients.

    Everything is kept until the next step, so that it can be checked.
    """
    rows = batch * seq
    routed = rows * shape.top_k
    weights = sum(math.prod(size) for size in weight_shapes(shape).values())
    d, width, qk = shape.d_model, shape.attention_width, (shape.heads + shape.kv_heads) * shape.head_dim
    # Forward: x, h1, qkv, rotated q and k, attention, o, r1, h2, gate-up, silu, product, down, y.
    forward = rows * (6 * d + shape.qkv_width + qk + width) + routed * (4 * shape.ffn) + rows * d
    # Backward: dy, d-act, d-gate-up, d-h2, d-r1, d-attention, d-qkv, d-h1, dx.
    backward = rows * (5 * d + shape.qkv_width + width) + routed * 3 * shape.ffn
    if shape.experts > 1:
        # Tokens sorted by expert and back, forward and backward.
        forward += routed * 4 * d
        backward += routed * 3 * d
    return (2 * weights + forward + backward) * dtype.itemsize


def filled_bytes(shape: Shape, dtype: Dtype, batch: int, seq: int) -> int:
    """Bytes of a block before its first step: weights, buffers for their gradients, x and dy."""
    weights = sum(math.prod(size) for size in weight_shapes(shape).values())
    return (2 * weights + 2 * batch * seq * shape.d_model) * dtype.itemsize


def expanding_bytes(shape: Shape, dtype: Dtype, batch: int, seq: int, expanded: int) -> int:
    """Bytes that keys and values repeated to all heads (``expanded`` bytes) add to the peak of a step.

    They live until attention's backward pass, then together with their own gradients; d-qkv, which follows, is counted
    by :func:`memory_bytes` but not allocated yet at that point.
    """
    later = batch * seq * shape.qkv_width * dtype.itemsize
    return max(0, 2 * expanded - later) if expanded else 0


def checking_bytes(shape: Shape, dtype: Dtype, batch: int, seq: int) -> int:
    """Scratch at the peak of a check: of one product, or of one head's float64 scores and their gradient."""
    rows = batch * seq
    sizes = [(rows * p.top_k // p.experts, p.n, p.k) for p in shape.products() if p.name != "lm_head"]
    sizes += [(r, k, n) for r, n, k in sizes] + [(n, k, r) for r, n, k in sizes]
    products = [freivalds.workspace_bytes(*s, dtype.itemsize) + freivalds.projection_bytes(*s[1:]) for s in sizes]
    group_width = (shape.heads // shape.kv_heads + 2) * shape.head_dim
    # The mask has a byte for each score.
    return max(*products, (8 * SCORE_COPIES + 1) * seq * seq + 8 * ROW_COPIES * seq * group_width)


class RecordedLinear(torch.autograd.Function):
    """A product that records what it saw and writes its weight gradient into a given buffer."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, gradient: Tensor, tape: Tape, name: str) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.recording = (gradient, tape, name)
        y = torch.mm(x, weight.t())
        tape.products[name] = (x.detach(), y.detach())
        return y

    @staticmethod
    def backward(ctx: Any, *dys: Tensor) -> tuple[Tensor, None, None, None, None]:
        x, weight = ctx.saved_tensors
        gradient, tape, name = ctx.recording
        dy = dys[0]
        torch.mm(dy.t(), x, out=gradient)
        dx = torch.mm(dy, weight)
        tape.gradients[name] = (dy, dx)
        return dx, None, None, None, None


@dataclass
class Tape:
    """What one step recorded, for the check."""

    products: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """Product → its x and y."""
    gradients: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """Product → dy and dx."""
    stages: dict[str, Tensor] = field(default_factory=dict)
    """Every other stage, and the gradients ``dx``, ``dnorm1``, ``dnorm2`` and ``d_h2``."""

    def clear(self) -> None:
        """Forget the step."""
        for recorded in (self.products, self.gradients, self.stages):
            recorded.clear()


class TrainBlock:
    """A block with its weights, their gradients, and the tape of its last step."""

    def __init__(self, device: Device, shape: Shape, dtype: Dtype, batch: int, seq: int, values: Values) -> None:
        self.device, self.shape, self.dtype = device, shape, dtype
        self.batch, self.seq = batch, seq
        self.weights = make_weights(shape, dtype, device, values)
        self.gradients = {name: torch.empty_like(weight) for name, weight in self.weights.products().items()}
        for name in ("norm1", "norm2"):
            getattr(self.weights, name).requires_grad_()
        rows = batch * seq
        self.x, self.dy = (
            values.fill(torch.empty(rows, shape.d_model, dtype=dtype.torch_dtype, device=device.torch_name))
            for _ in range(2)
        )
        self.x.requires_grad_()
        self.rope = rope_tables(shape, torch.arange(seq, device=device.torch_name), dtype)
        self.counts: list[int] = []
        self.tape = Tape()

    def prepare(self) -> None:
        """Count the tokens of each expert on the host, and run one step."""
        if self.shape.experts > 1:
            # Any split with the right sum reaches the router, whose choice does not depend on the experts.
            routed = self.batch * self.seq * self.shape.top_k
            self.counts = [routed] + [0] * (self.shape.experts - 1)
            with torch.no_grad():
                self._forward()
            self.counts = torch.bincount(self.tape.stages["ids"].flatten(), minlength=self.shape.experts).cpu().tolist()
        self.run()

    def experts_used(self) -> int:
        """Experts that at least one token visits; 1 for a dense block."""
        return experts_used(self.counts)

    def _forward(self) -> Tensor:
        tape = self.tape
        tape.clear()

        def linear(name: str, x: Tensor, weight: Tensor) -> Tensor:
            y: Tensor = RecordedLinear.apply(x, weight, self.gradients[name], tape, name)  # type: ignore[no-untyped-call]
            return y

        def note(name: str, value: Tensor) -> Tensor:
            tape.stages[name] = value.detach()
            if name == "h2" and value.requires_grad:
                value.register_hook(lambda gradient: tape.stages.update(d_h2=gradient))  # type: ignore[no-untyped-call]
            return value

        return functional.forward(
            self.shape, self.device, self.weights, self.x, self.rope, self.batch, self.counts, linear, note
        )

    def run(self) -> Tensor:
        """One iteration: forward and backward. Returns dx [rows, d]; weight gradients are in ``gradients``."""
        inputs = [self.x, self.weights.norm1, self.weights.norm2]
        with torch.enable_grad():
            y = self._forward()
            dx, dnorm1, dnorm2 = torch.autograd.grad(y, inputs, grad_outputs=self.dy)
        self.tape.stages |= {"dx": dx, "dnorm1": dnorm1, "dnorm2": dnorm2}
        return dx

    def poison(self) -> None:
        """Forget the last step: clear its tape and overwrite the weight gradients."""
        self.tape.clear()
        for gradient in self.gradients.values():
            gradient.fill_(math.nan)

    # -- the check ----------------------------------------------------------------------------------------------------

    def check(self, device: str, salt: int = 0) -> dict[str, float]:
        """Error ÷ tolerance of every stage of the last step, forward and backward; all ≤ 1 when right.

        Recomputed in float64 on ``device``; ``salt`` selects the rows that are sampled.
        """
        if "dx" not in self.tape.stages:
            return {"step": math.inf}
        errors = self._check_products(device)
        errors |= self._check_forward(device, salt)
        with torch.enable_grad():
            errors |= self._check_backward(device, salt)
        if self.shape.experts > 1:
            errors |= self._check_routing(device)
        return errors

    def _check_products(self, device: str) -> dict[str, float]:
        """Freivalds' check on Y = X·Wᵀ, dX = dY·W and dW = dYᵀ·X of every product."""
        errors: dict[str, float] = {}
        for seed, (name, weight) in enumerate(self.weights.products().items()):
            x, y = self.tape.products[name]
            dy, dx = self.tape.gradients[name]
            kind = name.split(".")[0]
            if x.shape[0] == 0:
                excess = {"": 0.0, "_dx": 0.0, "_dw": reference.same(self.gradients[name], weight * 0)}
            else:
                dw = self.gradients[name]
                excess = {
                    "": freivalds.excess(x, y, freivalds.project(weight, seed, device), self.dtype),
                    "_dx": freivalds.excess(dy, dx, freivalds.project(weight.t(), seed, device), self.dtype),
                    "_dw": freivalds.excess(dy.t(), dw, freivalds.project(x.t(), seed, device), self.dtype),
                }
            for part, value in excess.items():
                errors[kind + part] = max(errors.get(kind + part, 0.0), value)
        return errors

    def _check_forward(self, device: str, salt: int) -> dict[str, float]:
        tape, w, shape, dtype, eps = self.tape, self.weights, self.shape, self.dtype, self.shape.norm_eps
        heads, kv = shape.heads, shape.kv_heads
        qkv = tape.products["qkv"][1].view(self.batch, -1, heads + 2 * kv, shape.head_dim)
        q, k = tape.stages["q"], tape.stages["k"]
        cos, sin = (table.repeat(self.batch, 1, 1) for table in self.rope)
        rope_error = max(
            reference.rope(source.flatten(0, 1), cos, sin, out.flatten(0, 1), dtype, device, salt)
            for source, out in ((qkv[:, :, :heads], q), (qkv[:, :, heads : heads + kv], k))
        )
        a = tape.products["o"][0].view(self.batch, -1, heads, shape.head_dim).transpose(1, 2)
        q, k, v = (t.transpose(1, 2) for t in (q, k, qkv[:, :, heads + kv :]))
        errors = {
            "norm1": reference.norm(self.x.detach(), w.norm1, eps, tape.products["qkv"][0], dtype, device, salt),
            "rope": rope_error,
            "attention": reference.attention(q, k, v, a, True, dtype, device, salt),
            "residual1": reference.total(
                (self.x.detach(), tape.products["o"][1]), tape.stages["r1"], dtype, device, salt
            ),
            "norm2": reference.norm(tape.stages["r1"], w.norm2, eps, tape.stages["h2"], dtype, device, salt),
            "swiglu": max(
                reference.swiglu(tape.products[f"gate_up.{e}"][1], tape.products[f"down.{e}"][0], dtype, device, salt)
                for e in range(shape.experts)
                if tape.products[f"down.{e}"][0].shape[0]
            ),
        }
        ffn = tape.stages["ffn"] if shape.experts > 1 else tape.products["down.0"][1]
        errors["residual2"] = reference.total((tape.stages["r1"], ffn), tape.stages["y"], dtype, device, salt)
        return errors

    def _check_backward(self, device: str, salt: int) -> dict[str, float]:
        """Gradients between products, recomputed by float64 autograd on sampled rows, heads and whole norm weights."""
        tape, w, shape, eps = self.tape, self.weights, self.shape, self.shape.norm_eps
        wide = reference.wide
        d_r1, d_h1 = tape.gradients["o"][0], tape.gradients["qkv"][1]
        d_h2 = tape.stages["d_h2"]
        errors = {}
        parts = (
            ("norm1", self.x, w.norm1, d_h1, d_r1, tape.stages["dx"]),
            ("norm2", tape.stages["r1"], w.norm2, d_h2, self.dy, d_r1),
        )
        for name, x, weight, dh, skip, dx in parts:
            rows = reference.pick(x.shape[0], x.shape[1], salt)
            source = wide(x[rows], device).requires_grad_()
            h = reference.rms_norm(source, wide(weight, device), eps)
            (through,) = torch.autograd.grad(h, source, wide(dh[rows], device))
            errors[f"{name}_dx"] = reference.close(dx[rows], through + wide(skip[rows], device), 8, self.dtype, device)
            total = torch.zeros(x.shape[1], dtype=torch.float64, device=device)
            size = torch.zeros_like(total)
            for part, gradient in zip(torch.split(x, len(rows)), torch.split(dh, len(rows)), strict=True):
                terms = reference.rms_norm(wide(part, device), 1.0, eps) * wide(gradient, device)
                total, size = total + terms.sum(0), size + terms.abs().sum(0)
            bound = reference.UNITS[self.dtype.name] * (4 * total.abs() + 8 * size) + reference.TINY
            errors[f"{name}_dw"] = reference.ratio((wide(tape.stages[f"d{name}"], device) - total).abs(), bound)
        for expert in range(shape.experts):
            if not self.counts or self.counts[expert]:
                gate_up, d_act = tape.products[f"gate_up.{expert}"][1], tape.gradients[f"down.{expert}"][1]
                rows = reference.pick(gate_up.shape[0], gate_up.shape[1], salt)
                source = wide(gate_up[rows], device).requires_grad_()
                gate, up = source.chunk(2, dim=-1)
                (expected,) = torch.autograd.grad(gate * gate.sigmoid() * up, source, wide(d_act[rows], device))
                excess = reference.close(tape.gradients[f"gate_up.{expert}"][0][rows], expected, 8, self.dtype, device)
                errors["swiglu_dx"] = max(errors.get("swiglu_dx", 0.0), excess)
        errors["attention_dx"] = self._check_attention_gradient(device, salt)
        return errors

    def _check_attention_gradient(self, device: str, salt: int) -> float:
        """The backward pass of RoPE and attention for one sequence and one group of heads, all its rows."""
        shape, tape, wide = self.shape, self.tape, reference.wide
        heads, kv, width = shape.heads, shape.kv_heads, shape.head_dim
        group = heads // kv
        b, g = salt % self.batch, salt % kv
        columns = [*range(g * group, (g + 1) * group), heads + g, heads + kv + g]

        def part(tensor: Tensor) -> Tensor:
            return wide(tensor.view(self.batch, self.seq, -1, width)[b][:, columns], device)

        source = part(tape.products["qkv"][1]).requires_grad_()
        cos, sin = (wide(table, device) for table in self.rope)
        d_out = wide(tape.gradients["o"][1].view(self.batch, self.seq, heads, width)[b][:, columns[:group]], device)
        mask = torch.ones(self.seq, self.seq, dtype=torch.bool, device=device).triu(1)
        expected = torch.zeros_like(source)
        # Head by head: at long sequences the scores of all heads together would be larger than the block.
        for head in range(group):
            q, k = (reference.rotate(source[:, i : i + 1], cos, sin).squeeze(1) for i in (head, group))
            p = (q @ k.T / width**0.5).masked_fill(mask, -math.inf).softmax(-1)
            (part_of,) = torch.autograd.grad(p @ source[:, group + 1], source, d_out[:, head])
            expected += part_of
        got = part(tape.gradients["qkv"][0])
        # Queries, keys and values have gradients of different sizes: each is compared with its own.
        slices = (slice(0, group), slice(group, group + 1), slice(group + 1, group + 2))
        return max(
            reference.close(got[:, s].flatten(1), expected[:, s].flatten(1), 12, self.dtype, device) for s in slices
        )

    def _check_routing(self, device: str) -> dict[str, float]:
        """Routing to the experts and back, and the gradients along the way."""
        tape, top_k, wide, d = self.tape, self.shape.top_k, reference.wide, self.shape.d_model
        ids, shares, order = tape.stages["ids"], tape.stages["shares"], tape.stages["order"]
        inverse = order.argsort()
        logits = tape.products["router"][1]
        expected_ids = torch.repeat_interleave(torch.arange(self.shape.experts), torch.tensor(self.counts))
        routed = max(
            reference.routing(logits, ids, shares, top_k, self.dtype, device),
            reference.same(ids.flatten()[order].cpu(), expected_ids),
            reference.same(tape.stages["sent"], tape.stages["h2"][order // top_k]),
        )

        def gathered(recorded: dict[str, tuple[Tensor, Tensor]], name: str, index: int) -> Tensor:
            parts = [recorded[f"{name}.{expert}"][index] for expert in range(self.shape.experts)]
            return wide(torch.cat(parts)[inverse], device).view(-1, top_k, d)

        outs, d_outs = gathered(tape.products, "down", 1), gathered(tape.gradients, "down", 0)
        d_sent = gathered(tape.gradients, "gate_up", 1)
        weights = wide(shares, device).unsqueeze(-1)
        dy = wide(self.dy, device).unsqueeze(1)
        d_shares = (outs * dy).sum(-1)
        soft = wide(logits, device).gather(1, ids.to(device)).softmax(-1)
        d_best = soft * (d_shares - (soft * d_shares).sum(-1, keepdim=True))
        d_logits = torch.zeros_like(wide(logits, device)).scatter(1, ids.to(device), d_best)
        d_h2 = d_sent.sum(1) + wide(tape.gradients["router"][1], device)
        return {
            "routing": routed,
            "combine": reference.close(tape.stages["ffn"], (outs * weights).sum(1), 4, self.dtype, device),
            "combine_dx": reference.close(d_outs.flatten(1), (weights * dy).flatten(1), 4, self.dtype, device),
            "router_dy": reference.close(tape.gradients["router"][0], d_logits, 64, self.dtype, device),
            "sent_dx": reference.close(tape.stages["d_h2"], d_h2, 4, self.dtype, device),
        }
