"""Activations: strings, their values against NumPy, and gradients at the kinks."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

import pydl
import pydl.testing
from pydl import activations

_erf = np.vectorize(math.erf, otypes=[np.float64])


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
EXPECTED = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "relu6": lambda x: np.clip(x, 0, 6),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "softmax": softmax,
    "log_softmax": lambda x: np.log(softmax(x)),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "selu": lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0))),
    "celu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "softplus": lambda x: np.logaddexp(x, 0),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "swish": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2))),
    "mish": lambda x: x * np.tanh(np.logaddexp(x, 0)),
    "exponential": np.exp,
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard_silu": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "hard_swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_values(name):
    x = np.random.default_rng(0).normal(0, 3, (8, 9)).astype(np.float32)
    y = activations.get(name)(pydl.tensor(x)).numpy()
    expected = EXPECTED[name](x.astype(np.float64))
    assert y.dtype == np.float32
    # a few units in the last place of the value, and of 1 where a sum cancels
    np.testing.assert_allclose(y, expected, rtol=16 * 2**-24, atol=16 * 2**-24)
    assert getattr(activations, name) is activations.get(name)


def test_every_name_has_a_case():
    assert set(activations._registry.names()) <= set(EXPECTED)


@pytest.mark.parametrize("name", ["leaky_relu", "relu6", "linear"])
def test_gradients(name):
    x = np.random.default_rng(1).uniform(0.1, 5.9, (3, 4)) * np.array([1, -1, 1, -1])
    pydl.testing.check_gradients(activations.get(name), x)


def test_options():
    x = pydl.tensor([[-2.0, 0.25, 3.0]])
    assert activations.leaky_relu(x, negative_slope=0.5).numpy().tolist() == [[-1.0, 0.25, 3.0]]
    relu = activations.relu(x, negative_slope=0.5, max_value=1.0, threshold=0.5)
    np.testing.assert_allclose(relu.numpy(), [[-1.25, -0.125, 1.0]])
    np.testing.assert_allclose(
        activations.elu(x, alpha=2.0).numpy(), [[2 * np.expm1(-2), 0.25, 3.0]], rtol=1e-6
    )
    column = activations.softmax(pydl.tensor([[0.0], [0.0]]), axis=0)
    assert column.numpy().tolist() == [[0.5], [0.5]]


def test_get():
    assert activations.get(None) is activations.linear
    assert activations.get(np.tanh) is np.tanh
    x = pydl.tensor([1.0])
    assert activations.linear(x) is x
    with pytest.raises(
        ValueError,
        match=re.escape("unknown activation 'sigmod'; did you mean 'sigmoid'"),
    ):
        activations.get("sigmod")
    with pytest.raises(
        TypeError, match="activation: expected a name, an instance or a callable, got int 3"
    ):
        activations.get(3)
