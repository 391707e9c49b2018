"""Seeded inputs."""

from __future__ import annotations

import torch

from bench.workloads.transformer.inputs import Values
from tests.support.transformer import (
    CPU,
)


def test_inputs_are_seeded_normal() -> None:
    first, again, other = (Values(CPU, "normal", seed) for seed in (1, 1, 2))
    a, b, c = (values.fill(torch.empty(1000, 1000)) for values in (first, again, other))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert abs(float(a.mean())) < 0.01
    assert abs(float(a.std()) - 1) < 0.01
    assert not torch.equal(first.fill(torch.empty(1000, 1000)), a)
