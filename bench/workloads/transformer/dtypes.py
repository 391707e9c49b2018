"""The numeric types: what a device does natively, the flags that are set, and the error that each may have."""

from __future__ import annotations

import functools
import platform
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.model import BenchError, Device, Skip


@dataclass(frozen=True, slots=True)
class Dtype:
    """A type by its name on the command line.

    ``epsilon_in`` and ``epsilon_out`` are root-mean-square relative errors of rounding the inputs inside the product
    and its output. A significand of p bits rounds with an error uniform within half a unit in the last place; over a
    spread of values its root mean square is about 2^-(p+1).
    """

    name: str
    torch_dtype: torch.dtype
    """Type of activations and weights."""
    out_dtype: torch.dtype
    """Type of products."""
    epsilon_out: float
    epsilon_in: float = 0.0

    @property
    def itemsize(self) -> int:
        """Bytes of an activation or weight."""
        return self.torch_dtype.itemsize

    def epsilon_sum(self, k: int) -> float:
        """Relative error of summing k products in 32-bit floating point: roundings add up as a random walk."""
        if self.name == "int8":
            return 0.0
        if self.name == "fp8":
            # Hopper's FP8 tensor cores keep about 14 bits in their sums (DeepSeek-V3, arXiv:2412.19437, 3.3.2).
            return float(2.0**-14 * k**0.5)
        return float(2.0**-24 * k**0.5)


DTYPES: dict[str, Dtype] = {
    "fp32": Dtype("fp32", torch.float32, torch.float32, 2.0**-25),
    # Both inputs keep 11 bits; hardware may truncate them, which costs a bit more than rounding.
    "tf32": Dtype("tf32", torch.float32, torch.float32, 2.0**-25, 2.0**-10),
    "fp16": Dtype("fp16", torch.float16, torch.float16, 2.0**-12),
    "bf16": Dtype("bf16", torch.bfloat16, torch.bfloat16, 2.0**-9),
    # The inputs are float8 already: only the bf16 output is rounded.
    "fp8": Dtype("fp8", torch.float8_e4m3fn, torch.bfloat16, 2.0**-9),
    # Sums of int8 products are exact in int32 up to k = 133,144.
    "int8": Dtype("int8", torch.int8, torch.int32, 0.0),
}


def lookup(name: str | None) -> Dtype:
    """A type by name.

    Raises:
        BenchError: no type has this name.
    """
    if name is None or name not in DTYPES:
        raise BenchError(f"there is no type named {name!r}", f"choose from {', '.join(DTYPES)}")
    return DTYPES[name]


CPU_FLAGS: dict[str, frozenset[str]] = {
    "bf16": frozenset({"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"}),
    "fp16": frozenset({"avx512_fp16", "amx_fp16", "asimdhp"}),
    "int8": frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"}),
    "fp8": frozenset({"amx_fp8"}),
}
"""Instruction sets that multiply in the type, as /proc/cpuinfo names them (x86, then Arm)."""

CUDA_SINCE: dict[str, float] = {"fp32": 0, "tf32": 8.0, "fp16": 7.0, "bf16": 8.0, "fp8": 8.9, "int8": 7.5}
"""First compute capability whose matrix units multiply the type (CUDA C++ Programming Guide, arithmetic throughput)."""

ROCM_NATIVE: dict[str, tuple[str, ...]] = {
    "fp16": ("gfx908", "gfx90a", "gfx94", "gfx95", "gfx11", "gfx12"),
    "bf16": ("gfx908", "gfx90a", "gfx94", "gfx95", "gfx11", "gfx12"),
    "tf32": ("gfx94",),
    "int8": ("gfx908", "gfx90a", "gfx94", "gfx95", "gfx11", "gfx12"),
    "fp8": ("gfx95", "gfx12"),
}
"""Architectures with matrix instructions for the type (AMD's ISA guides). MI300 (gfx94) has e4m3fnuz only."""


@functools.cache
def cpu_flags() -> frozenset[str]:
    """Instruction sets of this machine's CPU; empty where the system lists none."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset({"asimdhp", "asimddp"}) if platform.machine() == "arm64" else frozenset()
    match = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", text, re.MULTILINE)
    return frozenset(match[1].split()) if match else frozenset()


def capability(device: Device) -> float | None:
    """Compute capability of an NVIDIA card as a number (``sm_90`` is 9.0), None where it is unknown."""
    match = re.fullmatch(r"sm_(\d+)(\d)[a-z]?", device.arch or "")
    return float(f"{match[1]}.{match[2]}") if match else None


def native(device: Device, dtype: Dtype) -> bool:
    """Whether the device's own matrix or vector units multiply in this type."""
    if dtype.name == "fp32":
        return True
    if device.kind == "cpu":
        return bool(CPU_FLAGS.get(dtype.name, frozenset()) & cpu_flags())
    if device.is_nvidia:
        version = capability(device)
        return version is not None and version >= CUDA_SINCE[dtype.name]
    if device.kind == "rocm":
        return (device.arch or "").startswith(ROCM_NATIVE[dtype.name])
    return dtype.name in ("fp16", "bf16")


def require(device: Device, dtype: Dtype) -> bool:
    """Refuse a type that the device cannot run as such; otherwise return :func:`native`.

    Raises:
        Skip: TF32, fp8 or int8 where the device lacks them: torch would run fp32 or a slow emulation in their name.
    """
    is_native = native(device, dtype)
    if is_native or dtype.name in ("fp16", "bf16"):
        return is_native
    raise Skip(
        f"{device.name} has no native {dtype.name}" + (f" ({device.arch})" if device.arch else ""),
        "choose fp32, fp16 or bf16",
    )


def set_flags(dtype: Dtype) -> str:
    """Set torch's global precision flags for the type and describe them. Cheap: called before every launch.

    Every floating type sums in 32 bits. TF32 is used only where the type is ``tf32``.
    """
    matmul = torch.backends.cuda.matmul
    fp32 = "tf32" if dtype.name == "tf32" else "ieee"
    if matmul.fp32_precision != fp32:
        matmul.fp32_precision = fp32
    onednn = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    if onednn.fp32_precision != "ieee":
        onednn.fp32_precision = "ieee"
    matmul.allow_bf16_reduced_precision_reduction = False
    matmul.allow_fp16_reduced_precision_reduction = False
    matmul.allow_fp16_accumulation = False
    return (
        f"fp32_matmul={fp32} reduced_precision_reduction=off fp16_accumulation=off"
        + (" fast_accum=off" if dtype.name == "fp8" else "")
        + (" accumulate=int32" if dtype.name == "int8" else "")
    )


def require_product(device: Device, dtype: Dtype, m: int, n: int, k: int) -> None:
    """Refuse sizes that torch cannot multiply in a one-byte type.

    On CUDA ``_int_mm`` needs more than 16 rows, and n and k in multiples of 8; ``_scaled_mm`` needs multiples of 16.

    Raises:
        Skip: torch refuses these sizes.
    """
    if not device.is_cuda_like or dtype.itemsize != 1:
        return
    step = 8 if dtype.name == "int8" else 16
    if (dtype.name == "int8" and m <= 16) or n % step or k % step:
        rows = "more than 16 rows and " if dtype.name == "int8" else ""
        raise Skip(
            f"torch multiplies {dtype.name} on {device.kind} only with {rows}n and k in multiples of {step}, "
            f"not {m} × {n} × {k}",
            "give more tokens with --seq, or another type",
        )
