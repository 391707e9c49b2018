"""Types: where they are native, the sizes they need, the flags they set."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch

from bench.model import Device, Skip, Variant
from bench.workloads.transformer import (
    dtypes,
    gemm,
    shapes,
)
from bench.workloads.transformer.options import BlockSettings
from tests.support.transformer import (
    CPU,
)

TOKENS = 16


def variant(dtype: str = "fp32", product: str | None = None, **settings: Any) -> Variant:
    return Variant("transformer", "gemm", "tiny", dtype, 1, TOKENS, product, BlockSettings(**settings))


def test_tf32_and_fp8_are_refused_where_they_are_not_native() -> None:
    with pytest.raises(Skip, match="no native tf32"):
        gemm.build(CPU, variant("tf32"), shapes.load("tiny"))
    volta = Device("cuda", 0, "Tesla V100-SXM2-16GB", arch="sm_70")
    assert not dtypes.native(volta, dtypes.lookup("bf16"))
    assert dtypes.native(volta, dtypes.lookup("fp16"))
    with pytest.raises(Skip):
        dtypes.require(volta, dtypes.lookup("fp8"))
    hopper = Device("cuda", 0, "NVIDIA H100 80GB HBM3", arch="sm_90")
    assert all(dtypes.native(hopper, dtype) for dtype in dtypes.DTYPES.values())


@pytest.mark.parametrize(
    ("dtype", "sizes", "fits"),
    [
        ("int8", (17, 64, 64), True),
        ("int8", (16, 64, 64), False),
        ("int8", (17, 60, 64), False),
        ("fp8", (1, 64, 64), True),
        ("fp8", (17, 64, 40), False),
        ("bf16", (1, 3, 5), True),
    ],
)
def test_sizes_that_a_gpu_cannot_multiply_in_one_byte_are_skipped(dtype, sizes, fits) -> None:  # type: ignore[no-untyped-def]
    card = Device("cuda", 0, "Example GPU", arch="sm_90")
    with nullcontext() if fits else pytest.raises(Skip, match="multiples of"):
        dtypes.require_product(card, dtypes.lookup(dtype), *sizes)
    dtypes.require_product(CPU, dtypes.lookup(dtype), *sizes)


def test_flags_follow_the_type() -> None:
    assert "fp32_matmul=tf32" in dtypes.set_flags(dtypes.lookup("tf32"))
    assert torch.backends.cuda.matmul.fp32_precision == "tf32"
    assert "fp32_matmul=ieee" in dtypes.set_flags(dtypes.lookup("fp32"))
    assert torch.backends.cuda.matmul.fp32_precision == "ieee"
    assert torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction is False
