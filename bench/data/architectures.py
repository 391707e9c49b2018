"""What a multiprocessor of each NVIDIA architecture does in a clock."""

from __future__ import annotations

FLOP_PER_SM_CLOCK: dict[str, dict[str, int]] = {
    "sm_70": {"fp32": 128, "fp16": 1024},
    "sm_75": {"fp32": 128, "fp16": 1024, "int8": 2048},
    "sm_80": {"fp32": 128, "tf32": 1024, "fp16": 2048, "bf16": 2048, "int8": 4096},
    "sm_86": {"fp32": 256, "tf32": 512, "fp16": 1024, "bf16": 1024, "int8": 2048},
    "sm_89": {"fp32": 256, "tf32": 512, "fp16": 1024, "bf16": 1024, "fp8": 2048, "int8": 2048},
    "sm_90": {"fp32": 256, "tf32": 2048, "fp16": 4096, "bf16": 4096, "fp8": 8192, "int8": 8192},
    "sm_100": {"fp32": 256, "tf32": 4096, "fp16": 8192, "bf16": 8192, "fp8": 16384, "int8": 16384},
    "sm_120": {"fp32": 256, "tf32": 512, "fp16": 1024, "bf16": 1024, "fp8": 2048, "int8": 2048},
}
"""Dense FLOP per multiprocessor and clock, sums in 32 bits: each architecture's whitepaper, peak ÷ (SMs × boost)."""

HALF_ON_GEFORCE = {
    "sm_75": {"fp16"},
    "sm_86": {"tf32", "fp16", "bf16"},
    "sm_89": {"tf32", "fp16", "bf16", "fp8"},
    "sm_120": {"tf32", "fp16", "bf16", "fp8"},
}
"""Types whose 32-bit sums run at half rate on a GeForce of this architecture (the same whitepapers, by card)."""

HASH_CLOCKS: dict[str, float] = dict.fromkeys(("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100"), 25.0)
"""Clocks of one SHA-256d per multiprocessor in the fastest kernel variant, counted in machine code (``make sass``)."""
