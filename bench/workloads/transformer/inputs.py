"""Seeded input values for every buffer of a job."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.model import BenchError, Device

POOL_VALUES = 4_194_301
"""A prime, so that the tiled pool never aligns with a tensor's rows and neighbouring rows differ."""

INPUT_KINDS = ("normal", "zeros", "ones", "structured")


class Values:
    """A pool of values, drawn once and tiled over each tensor, so that filling is as fast as copying.

    ``normal`` is N(0, 1); ``structured`` is a ramp in steps of 1/8 over [-1, 1), smooth as pixels are, so that
    neighbours toggle few bits. A card draws up to 40% less power on zeros than on normal values, so zeros are never a
    default.

    Raises:
        BenchError: an unknown kind.
    """

    def __init__(self, device: Device, kind: str, seed: int) -> None:
        if kind not in INPUT_KINDS:
            raise BenchError(f"there are no inputs named {kind!r}", f"choose from {', '.join(INPUT_KINDS)}")
        self.kind = kind
        self._offset = 0
        if kind == "normal":
            # Drawn on the CPU, so that every device multiplies the same numbers.
            generator = torch.Generator().manual_seed(seed)
            pool = torch.randn(POOL_VALUES, generator=generator)
        elif kind == "structured":
            pool = (torch.arange(POOL_VALUES) // 64 % 16 - 8) / 8
        else:
            pool = torch.full((POOL_VALUES,), float(kind == "ones"))
        self._pool = pool.to(device.torch_name)

    @staticmethod
    def pool_bytes(value_bytes: int) -> int:
        """Bytes at the peak of filling: the pool, its scaled copy, and that copy in the tensor's type."""
        return POOL_VALUES * (8 + (value_bytes if value_bytes < 4 else 0))

    def fill(self, tensor: Tensor, scale: float = 1.0) -> Tensor:
        """Fill ``tensor`` in place with values times ``scale`` and return it; integers are rounded to [-127, 127]."""
        if tensor.dtype == torch.int8:
            size = 1.0 if self.kind == "ones" else 32.0
            pool = (self._pool * (size * scale)).round_().clamp_(-127, 127).to(torch.int8)
        else:
            pool = (self._pool * scale).to(tensor.dtype)
        flat = tensor.view(-1)
        done = 0
        while done < flat.numel():
            count = min(POOL_VALUES - self._offset, flat.numel() - done)
            flat[done : done + count].copy_(pool[self._offset : self._offset + count])
            done += count
            self._offset = (self._offset + count) % POOL_VALUES
        return tensor
