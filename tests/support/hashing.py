"""What several tests of the hash loops need: headers to hash, and the machine code of the CUDA kernel."""

from __future__ import annotations

import csv
import functools
import random

from bench.workloads.hashing import kernels, sass
from tests.support.paths import DATA


def random_headers(seed: int, count: int) -> list[bytes]:
    """``count`` headers of 80 random bytes."""
    rng = random.Random(seed)
    return [rng.randbytes(80) for _ in range(count)]


def mined_headers() -> list[tuple[bytes, int]]:
    """``(header, nonce)`` of real Bitcoin blocks."""
    with (DATA / "headers.csv").open(newline="") as file:
        return [(bytes.fromhex(row["header_hex"]), int(row["nonce"])) for row in csv.DictReader(file)]


@functools.cache
def sha256d_cubin(arch: int, variant: int, versions: int = 1) -> sass.Cubin:
    """Machine code of one nonce a thread, from the text that CuPy is handed."""
    defines = {"SHA256D_VARIANT": variant, "NONCES_PER_THREAD": 1, "SHA256D_VERSIONS": versions}
    return sass.compile_cubin(kernels.whole_source("sha256d.cu"), arch, defines=defines)
