"""How much memory a transformer job makes a fresh process grow by, beside what it announced.

Usage: python -m tests.support.peak_memory PHASE SHAPE DTYPE BATCH SEQ

Libraries are warmed first by small products and a small step of autograd, so that their own memory is in the baseline.
Then the kernel's high-water mark (VmHWM) is reset, the job is built, verified, run and audited, and the mark is read.
Prints bytes as JSON.
"""

from __future__ import annotations

import gc
import json
import sys

import torch

from bench.model import Device, Variant
from bench.workloads import load
from bench.workloads.transformer import dtypes, memory, torch_device
from bench.workloads.transformer.shapes import Shape

CPU = Device("cpu", 0, "cpu", arch="x86_64")
WARM = Shape("warm", 128, 2, heads=4, kv_heads=2, head_dim=32, ffn=256, vocab=512)


def warm(phase: str, dtype: str) -> None:
    from bench.workloads.transformer import gemm, phases

    # Buffers enough for one copy only: the fewest that still touch the same code.
    cache = torch_device.cache_bytes
    torch_device.cache_bytes = lambda device: 1
    build = gemm.build if phase == "gemm" else phases.build
    job = build(CPU, Variant("transformer", phase, "warm", dtype, 1, 16), WARM)
    torch_device.cache_bytes = cache
    job.verify()
    job.close()
    torch.mm(*(torch.randn(64, 64).to(dtypes.lookup(dtype).torch_dtype) for _ in range(2)))


def main() -> int:
    phase, shape, dtype, batch, seq = sys.argv[1:]
    warm(phase, dtype)
    gc.collect()
    memory.release(CPU)
    peak = memory.PeakMemory(CPU)
    job = load("transformer").build(CPU, Variant("transformer", phase, shape, dtype, int(batch), int(seq)))
    audits = [job.verify()]
    job.launch(3)
    audits.append(job.audit())
    grown = peak.grown_bytes()
    if not all(audit.ok for audit in audits):
        raise SystemExit("wrong output")
    json.dump({"announced": job.facts.memory_bytes, "grown": grown}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
