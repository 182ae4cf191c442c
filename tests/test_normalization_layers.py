"""Normalization layers besides BatchNormalization, and those that bring data to a scale."""

from __future__ import annotations

import json

import numpy as np
import pytest
from errors import raises
from layer_checks import check_layer

from pydl import layers


def normalized(x, over, epsilon=1e-3):
    return (x - x.mean(over, keepdims=True)) / np.sqrt(x.var(over, keepdims=True) + epsilon)


@pytest.mark.parametrize(
    ("axis", "shape", "lengths"),
    [
        (-1, (3, 5), (5,)),
        (1, (3, 4, 5), (4,)),
        ([1, 2], (3, 4, 5), (4, 5)),
        ((2, 1), (2, 3, 4), (3, 4)),
    ],
)
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("scale", [True, False])
def test_layer_normalization(axis, shape, lengths, center, scale):
    names = ["gamma"] * scale + ["beta"] * center
    axes = tuple(sorted(a % len(shape) for a in np.atleast_1d(axis)))
    wide = tuple(n if i in axes else 1 for i, n in enumerate(shape))

    def expected(x, *weights):
        w = {k: v.reshape(wide) for k, v in zip(names, weights, strict=True)}
        return normalized(x, axes) * w.get("gamma", 1.0) + w.get("beta", 0.0)

    check_layer(
        layers.LayerNormalization,
        {"axis": axis, "center": center, "scale": scale},
        shape,
        output_shape=shape,
        weights=dict.fromkeys(names, lengths),
        expected=expected,
    )


@pytest.mark.parametrize(
    ("groups", "axis", "shape"),
    [
        (2, -1, (3, 6)),
        (3, -1, (2, 4, 5, 6)),
        (-1, -1, (2, 7, 3)),
        (1, -1, (2, 5, 4)),
        (2, 1, (2, 4, 3, 5)),
    ],
)
def test_group_normalization(groups, axis, shape):
    channels = shape[axis]

    def expected(x, gamma, beta):
        x = np.moveaxis(x, axis, -1)
        n = channels if groups == -1 else groups
        parts = x.reshape(*x.shape[:-1], n, channels // n)
        y = normalized(parts, (*range(1, x.ndim - 1), x.ndim)).reshape(x.shape)
        return np.moveaxis(y * gamma + beta, -1, axis)

    check_layer(
        layers.GroupNormalization,
        {"groups": groups, "axis": axis},
        shape,
        output_shape=shape,
        weights={"gamma": (channels,), "beta": (channels,)},
        expected=expected,
    )


@pytest.mark.parametrize("axis", [-1, 1, (1, 2)])
def test_rms_and_unit_normalization(axis):
    shape = (2, 3, 4)
    axes = tuple(a % 3 for a in np.atleast_1d(axis))
    wide = tuple(n if i in axes else 1 for i, n in enumerate(shape))
    check_layer(
        layers.RMSNormalization,
        {"axis": axis},
        shape,
        output_shape=shape,
        weights={"scale": tuple(shape[a] for a in axes)},
        expected=lambda x, s: (
            x / np.sqrt((x**2).mean(axes, keepdims=True) + 1e-6) * s.reshape(wide)
        ),
    )
    check_layer(
        layers.UnitNormalization,
        {"axis": axis},
        shape,
        output_shape=shape,
        expected=lambda x: x / np.sqrt((x**2).sum(axes, keepdims=True)),
    )


def test_unit_normalization_of_zeros_and_small_numbers():
    x = np.array([[0.0, 0.0], [3e-11, 4e-11]], "f4")
    np.testing.assert_allclose(
        layers.UnitNormalization()(x).numpy(), [[0, 0], [0.6, 0.8]], rtol=1e-6
    )


def test_rescaling():
    check_layer(
        layers.Rescaling,
        {"scale": 2.0, "offset": -1.0},
        (3, 4),
        output_shape=(3, 4),
        expected=lambda x: 2 * x - 1,
    )
    y = layers.Rescaling(1 / 255)(np.array([[0, 255]], "u1"))
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.numpy(), [[0, 1]])
    x = np.ones((2, 3), "f4")
    np.testing.assert_array_equal(layers.Rescaling([1.0, 2.0, 3.0])(x).numpy()[0], [1, 2, 3])


@pytest.mark.parametrize(("axis", "shape"), [(-1, (3,)), (None, ()), ((1, 2), (4, 3)), (1, (4,))])
def test_normalization_adapts(axis, shape):
    rng = np.random.default_rng(0)
    x = rng.normal(5, 2, (50, 4, 3))
    kept = () if axis is None else tuple(a % 3 for a in np.atleast_1d(axis))
    over = tuple(i for i in range(3) if i not in kept)
    expected = (x - x.mean(over, keepdims=True)) / x.std(over, keepdims=True)
    batches = layers.Normalization(axis, dtype="float64")
    batches.adapt([x[:7], x[7:30], x[30:]])
    layer = layers.Normalization(axis, dtype="float64")
    layer.adapt(x)
    assert [w.name for w in layer.weights] == ["mean", "variance", "count"]
    assert layer.trainable_weights == []
    assert layer.weights[0].shape == shape
    for each in (layer, batches):
        np.testing.assert_allclose(each(x).numpy(), expected, rtol=1e-12, atol=1e-12)
    back = layers.Normalization(axis, invert=True, dtype="float64")
    back.adapt(x)
    np.testing.assert_allclose(back(layer(x)).numpy(), x, rtol=1e-12)
    np.testing.assert_allclose(layer.mean.numpy().ravel(), x.mean(over).ravel(), rtol=1e-12)


def test_normalization_with_given_statistics():
    x = np.random.default_rng(0).normal(size=(5, 3))
    layer = layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 9.0], dtype="float64")
    np.testing.assert_allclose(layer(x).numpy(), (x - [1, 2, 3]) / [1, 2, 3], rtol=1e-13)
    assert layer.weights == []
    copy = layers.deserialize(json.loads(json.dumps(layers.serialize(layer))))
    np.testing.assert_array_equal(copy(x).numpy(), layer(x).numpy())
    scalar = layers.Normalization(axis=None, mean=1.0, variance=4.0, dtype="float64")
    np.testing.assert_allclose(scalar(x).numpy(), (x - 1) / 2, rtol=1e-13)
    flat = layers.Normalization(mean=0.0, variance=0.0)(np.full((1, 1), 1e-7, "f4"))
    np.testing.assert_allclose(flat.numpy(), [[1.0]], rtol=1e-6)  # divided by epsilon


def test_errors():
    with raises(
        ValueError,
        "LayerNormalization 'ln': axis 0 must be a known axis other than the batch, "
        "got shape (None, 3)",
    ):
        layers.LayerNormalization(axis=0, name="ln")(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="4 groups do not divide the 6 channels"):
        layers.GroupNormalization(4)(np.zeros((2, 6)))
    with pytest.raises(ValueError, match="groups must be positive"):
        layers.GroupNormalization(0)
    with pytest.raises(ValueError, match="give both mean and variance, or neither"):
        layers.Normalization(mean=1.0)
    with pytest.raises(ValueError, match="adapt got no data"):
        layers.Normalization().adapt(np.zeros((0, 3)))
    with pytest.raises(ValueError, match="adapt is for layers made without"):
        layers.Normalization(mean=1.0, variance=1.0).adapt(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="epsilon must be at least 0"):
        layers.LayerNormalization(epsilon=-1.0)


@pytest.mark.parametrize(
    "layer",
    [
        layers.LayerNormalization,
        layers.RMSNormalization,
        layers.UnitNormalization,
        layers.Normalization,
        layers.Softmax,
    ],
)
def test_axes_are_integers(layer):
    x = np.arange(24.0).reshape(2, 3, 4)
    one, several = layer(axis=np.int64(-1)), layer(axis=[np.int64(1), 2])
    np.testing.assert_array_equal(one(x).numpy(), layer(axis=-1)(x).numpy())
    np.testing.assert_array_equal(several(x).numpy(), layer(axis=(1, 2))(x).numpy())
    with raises(TypeError, f"{layer.__name__}: axis must be an integer, got 1.5"):
        layer(axis=1.5)
    with raises(TypeError, f"{layer.__name__}: axis must be an integer, got 'x'"):
        layer(axis="x")


@pytest.mark.parametrize("layer", [layers.LayerNormalization, layers.RMSNormalization])
def test_axes_that_are_named_twice(layer):
    with raises(ValueError, f"{layer.__name__} 'n': axis (1, -2) names an axis twice"):
        layer(axis=(1, -2), name="n")(np.zeros((2, 3, 4)))
