"""Seeded input values for every buffer of a job."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.model import BenchError, Device

POOL_VALUES = 4_194_301
"""A prime, so that the tiled pool never aligns with a tensor's rows and neighbouring rows differ."""

PART_VALUES = 1 << 18

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
        self._part = torch.empty(PART_VALUES, device=device.torch_name)

    @staticmethod
    def pool_bytes(value_bytes: int) -> int:
        """Bytes at the peak of filling: the pool, a scaled part of it, and that part in the tensor's type."""
        return POOL_VALUES * 4 + PART_VALUES * (4 + (value_bytes if value_bytes < 4 else 0))

    def fill(self, tensor: Tensor, scale: float = 1.0) -> Tensor:
        """Fill ``tensor`` in place with values times ``scale`` and return it; integers are rounded to [-127, 127]."""
        integers = tensor.dtype == torch.int8
        if integers:
            scale *= 1.0 if self.kind == "ones" else 32.0
        flat = tensor.view(-1)
        done = 0
        while done < flat.numel():
            # In parts that stay in a cache, and no more of the pool than the tensor takes.
            count = min(POOL_VALUES - self._offset, flat.numel() - done, PART_VALUES)
            part = torch.mul(self._pool[self._offset : self._offset + count], scale, out=self._part[:count])
            flat[done : done + count].copy_(part.round_().clamp_(-127, 127) if integers else part)
            done += count
            self._offset = (self._offset + count) % POOL_VALUES
        return tensor
