"""SHA-256d in torch integer operations, for devices without a native kernel (``musa``, ``mlu``, ``xpu``, ``mps``).

Always reported as ``torch-portable``: every operation goes through memory, so its rate is far below the device's best.
Words are Python integers while they are the same for all nonces, and int32 tensors from there on, so that what a header
fixes is computed once, by the same code.
"""

from __future__ import annotations

import re
from typing import Any

from bench.model import BenchError, Device, first_line
from bench.workloads.hashing import kernels
from bench.workloads.hashing.engine import Work, check_range

MASK = 0xFFFFFFFF
LIVE_TENSORS = 64
"""Bound on chunk-sized int32 tensors alive at once: 16 schedule words, 8 state words and the parts of one round."""
CHUNK_CPU = 1 << 15
CHUNK_DEVICE = 1 << 22
MEMORY_SHARE = 8
"""At most one part in so many of a device's memory."""


K, IV = (
    [int(value, 16) for value in re.findall(rf"#define SHA256D_{name}\d+ 0x(\w+)u", kernels.source("sha256d.h"))]
    for name in ("K", "IV")
)
"""FIPS 180-4, sections 4.2.2 and 5.3.3."""

Number = Any
"""A Python integer below 2³², or an int32 tensor."""


def signed(value: int) -> int:
    """The int32 with the bits of ``value``."""
    return value - (1 << 32) if value & 0x80000000 else value


def add(*terms: Number) -> Number:
    """Sum modulo 2³²; the integers among the terms are summed first."""
    constant = sum(term for term in terms if isinstance(term, int)) & MASK
    tensors = [term for term in terms if not isinstance(term, int)]
    if not tensors:
        return constant
    total = tensors[0] + (tensors[1] if len(tensors) > 1 else signed(constant))
    for term in tensors[2:]:
        total += term
    if len(tensors) > 1 and constant:
        total += signed(constant)
    return total


def shift(x: Number, n: int) -> Number:
    """Logical shift right."""
    return x >> n if isinstance(x, int) else (x >> n).bitwise_and_((1 << (32 - n)) - 1)


def rotate(x: Number, n: int) -> Number:
    """Rotate right."""
    if isinstance(x, int):
        return (x >> n | x << (32 - n)) & MASK
    return shift(x, n).bitwise_or_(x << (32 - n))


def _int(x: Number) -> Number:
    return signed(x) if isinstance(x, int) else x


def _tensors(*values: Number) -> tuple[Number, ...]:
    """The values as operands of one bitwise operation: all integers, or tensors and signed integers."""
    return values if all(isinstance(value, int) for value in values) else tuple(_int(value) for value in values)


def choose(e: Number, f: Number, g: Number) -> Number:
    """Ch of FIPS 180-4."""
    e, f, g = _tensors(e, f, g)
    return g ^ (e & (f ^ g))


def majority(a: Number, b: Number, c: Number) -> Number:
    """Maj of FIPS 180-4."""
    a, b, c = _tensors(a, b, c)
    return (a & b) | (c & (a | b))


def compress(state: list[Number], words: list[Number]) -> list[Number]:
    """One compression: 8 state words and 16 message words → 8 state words."""
    w = list(words)
    a, b, c, d, e, f, g, h = state
    for i in range(64):
        if i >= 16:
            s0 = rotate(w[1], 7) ^ rotate(w[1], 18) ^ shift(w[1], 3)
            s1 = rotate(w[14], 17) ^ rotate(w[14], 19) ^ shift(w[14], 10)
            w.append(add(w[0], s0, w[9], s1))
            del w[0]
        word = w[-1] if i >= 16 else w[i]
        t1 = add(h, rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25), choose(e, f, g), K[i], word)
        t2 = add(rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22), majority(a, b, c))
        a, b, c, d, e, f, g, h = add(t1, t2), a, b, c, add(d, t1), e, f, g
    return [add(x, y) for x, y in zip(state, (a, b, c, d, e, f, g, h), strict=True)]


class PortableEngine:
    """An :class:`~bench.workloads.hashing.engine.Engine` on any torch device."""

    implementation = "torch-portable"
    versions = 1

    def __init__(self, device: Device, chunk: int) -> None:
        import torch

        self._torch = torch
        self._device = torch.device(device.torch_name)
        self.iteration = chunk
        self.setting: str | None = None
        self.memory_bytes: int | None = None
        self._lanes = torch.arange(chunk, dtype=torch.int32, device=self._device)
        self._found: list[tuple[int, int]] = []
        self._prepared: tuple[bytes, list[int], list[int]] | None = None

    def _prepare(self, header: bytes) -> tuple[list[int], list[int]]:
        """Midstate and the three fixed words of the second block."""
        if self._prepared is None or self._prepared[0] != header[:76]:
            words = [int.from_bytes(header[i : i + 4], "big") for i in range(0, 76, 4)]
            self._prepared = (header[:76], compress(list(IV), words[:16]), words[16:])
        return self._prepared[1], self._prepared[2]

    def scan(self, work: Work, first_nonce: int, count: int) -> None:
        """Hash chunk by chunk; memory does not grow with ``count``."""
        check_range(first_nonce, count)
        midstate, tail = self._prepare(work.header)
        # The number's top bits are the low byte of the last word, and so on upwards.
        top = (MASK << (32 - work.share_bits)) & MASK
        mask = signed(int.from_bytes(top.to_bytes(4, "little"), "big"))
        try:
            for begin in range(first_nonce, first_nonce + count, self.iteration):
                lanes = self._lanes[: min(self.iteration, first_nonce + count - begin)]
                last = self._last_word(midstate, tail, lanes + signed(begin))
                hits = (last.bitwise_and_(mask) == 0).nonzero().flatten().cpu().tolist()
                self._found += [(work.sequence, begin + lane) for lane in hits]
        except RuntimeError as error:
            raise BenchError(
                f"torch's integer operations failed on {self._device} ({first_line(error)})",
                "try another device, or a newer torch",
            ) from error

    def _last_word(self, midstate: list[int], tail: list[int], nonces: Any) -> Any:
        """Last word of the double hash of every nonce."""
        swapped = (nonces << 24) | ((nonces & 0xFF00) << 8) | (shift(nonces, 8) & 0xFF00) | shift(nonces, 24)
        first = compress(list(midstate), [*tail, swapped, 0x80000000, *[0] * 10, 640])
        return compress(list(IV), [*first, 0x80000000, *[0] * 6, 256])[7]

    def sync(self) -> None:
        """Wait for the device. Reading the hits of each chunk has waited already."""
        if self._device.type != "cpu":
            getattr(self._torch, self._device.type).synchronize(self._device)

    def drain(self) -> list[tuple[int, int]]:
        """Shares gather in a list, so none can be lost."""
        found, self._found = self._found, []
        return found

    def close(self) -> None:
        """Free the lane numbers."""
        self._lanes = self._lanes[:0]


def open_engine(device: Device, chunk: int | None = None) -> PortableEngine:
    """The portable engine, with a chunk that fits the device's memory.

    Raises:
        BenchError: torch cannot reach the device.
    """
    chunk = chunk or (CHUNK_CPU if device.kind == "cpu" else CHUNK_DEVICE)
    if device.memory_bytes:
        while chunk > 1024 and chunk * 4 * LIVE_TENSORS * MEMORY_SHARE > device.memory_bytes:
            chunk //= 2
    try:
        return PortableEngine(device, chunk)
    except (RuntimeError, AttributeError, AssertionError) as error:
        raise BenchError(
            f"torch cannot use {device.torch_name} ({first_line(error)})",
            "install the torch build of this device's vendor, or choose another with --device",
        ) from error
