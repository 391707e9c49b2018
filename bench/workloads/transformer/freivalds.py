"""Freivalds' check of a product against its inputs, at a small part of the product's cost.

For C = X·Wᵀ (X [m, k], W [n, k], C [m, n]) and a vector r of signs, C·r must equal X·(Wᵀ·r). One r over the whole
width would hide a single wrong element in the rounding of n right ones, so r is cut into groups of ``GROUP`` columns
and each (row, group) is judged on its own. All sums here are float64.

Tolerance. An element of C is off by a relative rounding of its output (``epsilon_out``), of its inputs
(``epsilon_in``) and of the k-term sum (``epsilon_sum``). With random signs these add up over a group as independent
errors do, so the residual of a row and group is about normal with standard deviation

    (e_out + e_in + e_sum)·‖C_group‖ + (e_in + e_sum)·‖x‖·‖W_group‖/√k

of which :data:`SIGMAS` are allowed: with 10⁷ groups, a right product fails less than once in 10⁸ checks.
Source: R. Freivalds, "Probabilistic machines can use less running time", IFIP 1977.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.workloads.transformer.dtypes import Dtype

GROUP = 64
SIGMAS = 8.0
WORKSPACE_BYTES = 16 << 20
"""Scratch of one step of a check, of which about three are alive together. Small, so that a CPU keeps it in cache."""


@dataclass(frozen=True, slots=True)
class Projection:
    """What a check keeps of W: ``sums`` [groups, k] is Wᵀ·r by group, ``norms`` [groups] the Frobenius norms."""

    signs: Tensor
    sums: Tensor
    norms: Tensor
    n: int


def projection_bytes(n: int, k: int) -> int:
    """Bytes that a :class:`Projection` of an [n, k] weight holds."""
    groups = -(-n // GROUP)
    return 8 * (groups * k + groups + groups * GROUP)


def workspace_bytes(m: int, n: int, k: int, value_bytes: int) -> int:
    """Scratch at the peak of projecting [n, k] weights or of judging an [m, n] product, whichever is larger."""
    groups = -(-n // GROUP)
    projecting = min(groups, max(1, WORKSPACE_BYTES // (8 * k * GROUP))) * GROUP * k * (8 if value_bytes == 4 else 4)
    rows = min(m, max(1, WORKSPACE_BYTES // (8 * max(k, n))))
    # Rows of x and c in float64, c's intermediate copy, and four figures per group.
    return max(projecting, rows * (8 * k + (8 if value_bytes == 4 else 12) * n + 32 * groups))


def _grouped(rows: Tensor, signs: Tensor) -> tuple[Tensor, Tensor]:
    """Signed sums and norms over groups of the last axis of ``rows`` [m, n], float64: two tensors [m, groups]."""
    width = signs.numel()
    if rows.shape[1] < width:
        rows = torch.nn.functional.pad(rows, (0, width - rows.shape[1]))
    norms = rows.view(rows.shape[0], -1, GROUP).norm(dim=-1)
    rows = rows.mul_(signs) if rows.is_contiguous() else rows * signs
    return rows.view(rows.shape[0], -1, GROUP).sum(-1), norms


def project(weight: Tensor, seed: int, device: str) -> Projection:
    """Project W [n, k] on seeded signs, in float64 on the torch device ``device``."""
    n, k = weight.shape
    groups = -(-n // GROUP)
    generator = torch.Generator().manual_seed(seed)
    signs = (torch.randint(0, 2, (groups * GROUP,), generator=generator).double() * 2 - 1).to(device)
    sums = torch.empty(groups, k, dtype=torch.float64, device=device)
    norms = torch.empty(groups, dtype=torch.float64, device=device)
    # In float32 a sum of 64 narrow values is off by 2^-22, far below their own 2^-12 or more; int8 sums are exact.
    exact = torch.float64 if weight.dtype == torch.float32 else torch.float32
    step = max(1, WORKSPACE_BYTES // (8 * k * GROUP))
    for first in range(0, groups, step):
        last = min(groups, first + step)
        part = weight[first * GROUP : last * GROUP].to(device).to(exact)
        if missing := (last - first) * GROUP - part.shape[0]:
            part = torch.nn.functional.pad(part, (0, 0, 0, missing))
        part = part.view(last - first, GROUP, k)
        norms[first:last] = torch.linalg.vector_norm(part, dim=(1, 2))
        signed = signs[first * GROUP : last * GROUP].to(exact).view(-1, 1, GROUP)
        sums[first:last] = torch.bmm(signed, part).squeeze(1)
        # Otherwise this step's would be alive together with the next step's.
        del part, signed
    return Projection(signs, sums, norms, n)


def excess(x: Tensor, c: Tensor, projection: Projection, dtype: Dtype) -> float:
    """Largest |C·r − X·(Wᵀ·r)| ÷ tolerance over all rows and groups: at most 1 for a right product.

    Args:
        x: [m, k] activations.
        c: [m, n] the product to judge.
        projection: of the weights [n, k].
        dtype: the type whose errors are allowed. With ``int8`` none are.

    Returns:
        0 for no error at all, infinity for NaN or for any error where none is allowed.
    """
    m, k = x.shape
    if c.shape != (m, projection.n):
        return float("inf")
    device = projection.sums.device
    e_in, e_sum = dtype.epsilon_in, dtype.epsilon_sum(k)
    worst = 0.0
    step = max(1, WORKSPACE_BYTES // (8 * max(k, projection.n)))
    for first in range(0, m, step):
        rows = x[first : first + step].to(device).float().double()
        expected = rows @ projection.sums.T
        c_rows = c[first : first + step].to(device)
        # int32 beyond 2²⁴ would lose digits in float32.
        c_rows = c_rows.double() if c_rows.dtype in (torch.int32, torch.float32) else c_rows.float().double()
        got, c_norms = _grouped(c_rows, projection.signs)
        bound = (dtype.epsilon_out + e_in + e_sum) * c_norms
        bound += (e_in + e_sum) / k**0.5 * rows.norm(dim=1, keepdim=True) * projection.norms
        # Float64's own errors are far below any type's; int8's sums are exact in it.
        bound *= SIGMAS
        residual = (got - expected).abs_()
        ratio = torch.where(residual == 0, torch.zeros_like(residual), residual / bound)
        largest = float(ratio.max())
        if not largest <= worst:
            worst = largest if largest == largest else float("inf")  # noqa: PLR0124 - NaN ≠ NaN
        # Otherwise these would be alive together with the next rows'.
        del rows, c_rows, expected, got, c_norms, bound, residual, ratio
    return worst
