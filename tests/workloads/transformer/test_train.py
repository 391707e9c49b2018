"""Training blocks: right compared with a float64 reference, wrong gradients caught."""

from __future__ import annotations

import pytest
import torch

from tests.support import transformer_reference as reference
from tests.support.transformer import (
    MIXTURE,
    SHAPES,
    all_right,
    make_train_block,
)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.name)
def test_training_agrees_with_the_reference(shape):
    one = make_train_block(shape, batch=1, seq=8)
    weights = {name: tensor.requires_grad_() for name, tensor in reference.wide(one.weights).items()}
    x = one.x.detach().double().requires_grad_()
    # The plain reference takes a float out of its norm, so gradients come from the same formulas without that step.
    y = reference_with_gradients(shape, weights, x)
    torch.testing.assert_close(y, reference.block(shape, reference.wide(one.weights), x.detach()))
    gradients = torch.autograd.grad(y, [x, *weights.values()], one.dy.double())
    wanted = dict(zip(["x", *weights], gradients, strict=True))
    torch.testing.assert_close(one.tape.stages["dx"].double(), wanted["x"], rtol=1e-4, atol=1e-4)
    for name in ("norm1", "norm2"):
        torch.testing.assert_close(one.tape.stages[f"d{name}"].double(), wanted[name], rtol=1e-4, atol=1e-4)
    for name, gradient in one.gradients.items():
        stack, _, expert = name.partition(".")
        target = wanted[stack][int(expert)] if expert else wanted[stack]
        torch.testing.assert_close(gradient.double(), target, rtol=1e-4, atol=1e-4)


def reference_with_gradients(shape, weights, x):
    original = reference.norm
    reference.norm = lambda x, w, eps: x * (x.square().mean(-1, keepdim=True) + eps).rsqrt() * w
    try:
        return reference.block(shape, weights, x)
    finally:
        reference.norm = original


@pytest.mark.parametrize("name", ["qkv", "o", "router", "gate_up.0", "down.2"])
def test_a_wrong_weight_gradient_is_caught(name):
    one = make_train_block(MIXTURE)
    assert all_right(one.check("cpu"))
    one.gradients[name][1, 2] += 1.0
    assert not all_right(one.check("cpu"))


@pytest.mark.parametrize("name", ["dx", "dnorm1", "dnorm2", "d_h2"])
def test_a_wrong_input_gradient_is_caught(name):
    one = make_train_block(MIXTURE)
    one.tape.stages[name] = one.tape.stages[name] * 1.01
    assert not all_right(one.check("cpu"))
