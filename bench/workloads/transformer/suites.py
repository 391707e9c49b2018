"""What a run measures by default: suites of settings, and sizes that suit the device."""

from __future__ import annotations

from bench.model import Device
from bench.workloads.transformer import dtypes

MODEL_PHASES = ("gemm", "prefill", "decode", "train")

Setting = tuple[str, str | None, str, int | None, int | None]
"""Phase, shape, type, batch and tokens per sequence; None for the device's default."""


def default_suite(device: Device) -> list[Setting]:
    """What a run measures when nothing is named, in the order of running.

    On a CPU: every phase of ``tiny``, and of 8B in bf16 the phases that two cores can run. On a GPU: every phase of 8B
    in bf16 (fp16 where bf16 would be emulated), its products in each native floating type, and the products of 70B.
    """
    if device.kind == "cpu":
        tiny: list[Setting] = [(phase, "tiny", "fp32", None, None) for phase in MODEL_PHASES]
        return tiny + [(phase, "llama3-8b", "bf16", None, None) for phase in ("gemm", "prefill", "decode")]
    native = [name for name in ("bf16", "fp16", "tf32", "fp8") if dtypes.native(device, dtypes.lookup(name))]
    main = native[0] if native else "fp32"
    return [
        *(("gemm", "llama3-8b", name, None, None) for name in native or [main]),
        ("prefill", "llama3-8b", main, 1, 2048),
        ("decode", "llama3-8b", main, 1, 2048),
        ("decode", "llama3-8b", main, 64, 2048),
        ("train", "llama3-8b", main, 1, 2048),
        ("gemm", "llama3-70b", main, None, None),
    ]


def smoke_suite() -> list[Setting]:
    """The smallest useful set: products in two types, one inference step and one training step of a whole block."""
    return [
        ("gemm", "tiny", "fp32", None, None),
        ("gemm", "tiny", "bf16", None, None),
        ("decode", "tiny", "fp32", None, None),
        ("train", "tiny", "fp32", None, None),
    ]


def default_size(device: Device, phase: str, shape: str, dtype: str) -> tuple[int, int]:
    """Batch and tokens per sequence of an iteration: efficient, and at most half a second on a slow device.

    A GPU takes 4096 tokens in ``gemm``, where published matmul rates level off, and 2048 in a block. Two CPU cores
    multiply the products of 8B at 128 tokens in native bf16 in 0.15 s, and at 64 tokens in fp32 in 0.25 s; an emulated
    type is ten times as slow. In ``decode`` the tokens are those already in the cache.
    """
    if device.kind != "cpu":
        return 1, 4096 if phase == "gemm" else 2048
    if phase == "decode":
        return (4, 256) if shape == "tiny" else (1, 1024)
    if shape == "tiny":
        return 1, 256
    numeric = dtypes.lookup(dtype)
    tokens = (64 if numeric.itemsize == 4 else 128) if dtypes.native(device, numeric) else 8
    return 1, max(8, tokens // 2) if phase == "train" else tokens
