"""Layers that merge several inputs: values, shapes, gradients, function forms, errors."""

from __future__ import annotations

import json

import numpy as np
import pytest
from errors import raises

import pydl
from pydl import layers
from pydl.testing import check_gradients

RNG = np.random.default_rng(0)
CASES = {
    "Add": lambda a, b, c: a + b + c,
    "Multiply": lambda a, b, c: a * b * c,
    "Average": lambda a, b, c: (a + b + c) / 3,
    "Maximum": lambda a, b, c: np.maximum(np.maximum(a, b), c),
    "Minimum": lambda a, b, c: np.minimum(np.minimum(a, b), c),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "shapes", [((4, 3),) * 3, ((4, 2, 3), (4, 1, 3), (4, 2, 1)), ((4, 2, 3), (4, 3), (4, 1))]
)
def test_elementwise(name, shapes):
    values = [RNG.normal(size=shape) for shape in shapes]
    layer = getattr(layers, name)(dtype="float64")
    wide = max(map(len, shapes))
    padded = [v.reshape(4, *(1,) * (wide - v.ndim), *v.shape[1:]) for v in values]
    expected = CASES[name](*padded)
    y = layer(values)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-14, atol=1e-14)
    assert layer.compute_output_shape([(None, *s[1:]) for s in shapes]) == (
        None,
        *expected.shape[1:],
    )
    assert layer.output_shape == (None, *expected.shape[1:])
    check_gradients(lambda *xs: layer(list(xs)), *values)
    function = getattr(layers, name.lower())
    np.testing.assert_array_equal(function(values, dtype="float64").numpy(), y.numpy())
    copy = layers.deserialize(json.loads(json.dumps(layers.serialize(layer))))
    np.testing.assert_array_equal(copy(values).numpy(), y.numpy())


def test_subtract():
    a, b = RNG.normal(size=(2, 3, 4))
    np.testing.assert_array_equal(layers.subtract([a, b], dtype="float64").numpy(), a - b)
    check_gradients(lambda a, b: layers.Subtract(dtype="float64")([a, b]), a, b)
    with raises(ValueError, "Subtract 'subtract': expected a list of 2 inputs, got 3"):
        layers.Subtract(name="subtract")([a, b, a])


@pytest.mark.parametrize(("axis", "sizes"), [(-1, (1, 4, 2)), (1, (2, 2, 3)), (2, (1, 1, 1))])
def test_concatenate(axis, sizes):
    values = []
    for n in sizes:
        shape = [4, 3, 5]
        shape[axis] = n
        values.append(RNG.normal(size=shape))
    layer = layers.Concatenate(axis, dtype="float64")
    expected = np.concatenate(values, axis)
    np.testing.assert_array_equal(layer(values).numpy(), expected)
    assert layer.output_shape == (None, *expected.shape[1:])
    check_gradients(lambda *xs: layer(list(xs)), *values)
    np.testing.assert_array_equal(
        layers.concatenate(values, axis=axis, dtype="float64").numpy(), expected
    )
    assert layers.Concatenate(1).compute_output_shape([(None, None, 5), (None, 3, 5)]) == (
        None, None, 5,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("axes", "shapes", "subscripts"),
    [
        (1, ((4, 3), (4, 3)), "bi,bi->b"),
        (-1, ((4, 2, 3), (4, 5, 3)), "bij,bkj->bik"),
        ((1, 2), ((4, 3, 5), (4, 6, 3)), "bij,bki->bjk"),
        ((2, 1), ((4, 3, 5), (4, 5)), "bij,bj->bi"),
        ((1, 2), ((4, 3), (4, 6, 3)), "bj,bkj->bk"),
        ((2, 1), ((4, 2, 3, 5), (4, 3, 2, 6)), "bijk,bjlm->biklm"),
    ],
)
@pytest.mark.parametrize("normalize", [False, True])
def test_dot(axes, shapes, subscripts, normalize):
    values = [RNG.normal(size=shape) for shape in shapes]
    layer = layers.Dot(axes, normalize=normalize, dtype="float64")
    pair = axes if isinstance(axes, tuple) else (axes, axes)
    scaled = [
        v / np.linalg.norm(v, axis=a, keepdims=True) if normalize else v
        for v, a in zip(values, pair, strict=True)
    ]
    expected = np.einsum(subscripts, *scaled)
    expected = expected[:, None] if expected.ndim == 1 else expected
    np.testing.assert_allclose(layer(values).numpy(), expected, rtol=1e-13, atol=1e-13)
    assert layer.output_shape == (None, *expected.shape[1:])
    check_gradients(lambda *xs: layer(list(xs)), *values)


@pytest.mark.parametrize(("batch", "n"), [(2, 0), (0, 5)])
def test_dot_without_elements(batch, n):
    values = [np.ones((batch, 3, n)), np.ones((batch, 4, n))]
    np.testing.assert_array_equal(layers.Dot(2)(values).numpy(), np.zeros((batch, 3, 4)))


def test_errors():
    a = np.zeros((2, 3), "f4")
    with raises(
        ValueError, "Add 'add': expected a list of 2 or more inputs, got one of shape (None, 3)"
    ):
        layers.Add(name="add")(a)
    with raises(ValueError, "Add 'add': expected a list of 2 or more inputs, got 1"):
        layers.Add(name="add")([a])
    text = "Add 'add': shapes (None, 3), (None, 2) do not fit together on axis 1"
    with raises(ValueError, text):
        layers.Add(name="add")([a, a[:, :2]])
    text = "Concatenate 'cat': shapes (None, 3), (None, 3, 1) differ on another axis than 1"
    with raises(ValueError, text):
        layers.Concatenate(name="cat")([a, a[..., None]])
    with raises(ValueError, "Dot 'dot': axes 0 name the batch axis"):
        layers.Dot(0, name="dot")([a, a])
    text = "Dot 'dot': shapes (None, 3) and (None, 2) have 3 elements on axis 1 and 2 on axis 1"
    with raises(ValueError, text):
        layers.Dot(1, name="dot")([a, a[:, :2]])
    with raises(ValueError, "Dot: axes must be an axis, or one for each input, got (1, 2, 3)"):
        layers.Dot((1, 2, 3))


def test_batches_that_differ_are_refused_after_building():
    layer = layers.Add(name="add")
    layer([pydl.ones((2, 3)), pydl.ones((2, 3))])
    with raises(ValueError, "Add 'add': shapes (2, 3), (1, 3) do not fit together on axis 0"):
        layer([pydl.ones((2, 3)), pydl.ones((1, 3))])
