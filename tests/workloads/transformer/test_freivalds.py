"""Freivalds' check: tolerances by type, outputs that must fail."""

from __future__ import annotations

import pytest
import torch

from bench.workloads.transformer import (
    dtypes,
    freivalds,
)


@pytest.mark.parametrize("name", list(dtypes.DTYPES))
def test_tolerance_takes_the_types_error_and_not_twice_a_coarser_ones(name: str) -> None:
    dtype = dtypes.lookup(name)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(64, 512, generator=generator)
    w = torch.randn(256, 512, generator=generator) / 512**0.5
    if name == "int8":
        x, w = (x * 32).round(), (w * 700).round()
    elif name == "tf32":
        # Truncate to 10 stored bits, as tensor cores may: the worst that the hardware does.
        x, w = ((t.view(torch.int32) & ~0x1FFF).view(torch.float32) for t in (x, w))
    else:
        x, w = (t.to(dtype.torch_dtype).float() for t in (x, w))
    right = x.double() @ w.double().T
    c = right.to(dtype.out_dtype)
    assert freivalds.excess(x, c, freivalds.project(w, 3, "cpu"), dtype) <= 1
    noise = torch.randn(right.shape, generator=generator).double()
    coarse = max(dtype.epsilon_out + dtype.epsilon_in, dtype.epsilon_sum(512), 1e-9)
    wrong = right * (1 + 8 * coarse * noise) if name != "int8" else right + noise.round()
    assert freivalds.excess(x, wrong, freivalds.project(w, 3, "cpu"), dtype) > 1


def test_nan_zero_and_misshapen_outputs_fail() -> None:
    x, w = torch.randn(4, 64), torch.randn(100, 64)
    dtype = dtypes.lookup("fp32")
    projection = freivalds.project(w, 0, "cpu")
    c = x @ w.T
    assert freivalds.excess(x, c, projection, dtype) <= 1
    assert freivalds.excess(x, torch.zeros_like(c), projection, dtype) > 1
    assert freivalds.excess(x, c[:, :99], projection, dtype) == float("inf")
    c[3, 99] = float("nan")
    assert freivalds.excess(x, c, projection, dtype) == float("inf")
