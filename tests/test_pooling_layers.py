"""Pooling, up-sampling, padding and cropping layers."""

from __future__ import annotations

import numpy as np
import pytest
from conv_oracles import geometry, meetings
from errors import raises
from layer_checks import check_layer

import pydl
from pydl import layers


def pooled(x, size, strides, padding, kind):
    axes = x.ndim - 2
    ones = [1] * axes
    counts, before = geometry(x.shape[1:-1], size, strides, ones, padding)
    windows = {}
    for _, o, p in meetings(x.shape[1:-1], size, counts, strides, ones, before):
        windows.setdefault(o, []).append(x[(slice(None), *p)])
    y = np.zeros((len(x), *counts, x.shape[-1]))
    for o, values in windows.items():
        y[(slice(None), *o)] = np.max(values, 0) if kind == "Max" else np.mean(values, 0)
    return y


@pytest.mark.parametrize("kind", ["Max", "Average"])
@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize(
    "kwargs",
    [{}, {"pool_size": 3}, {"pool_size": 3, "strides": 2, "padding": "same"}, {"strides": 1}],
)
def test_pooling(kind, rank, first, kwargs):
    places = (7, 6)[:rank]
    size = [kwargs.get("pool_size", 2)] * rank
    strides = [kwargs.get("strides", size[0])] * rank
    padding = kwargs.get("padding", "valid")
    counts, _ = geometry(places, size, strides, [1] * rank, padding)

    def expected(x):
        x = np.moveaxis(x, 1, -1) if first else x
        y = pooled(x, size, strides, padding, kind)
        return np.moveaxis(y, -1, 1) if first else y

    check_layer(
        getattr(layers, f"{kind}Pooling{rank}D"),
        {**kwargs, "data_format": "channels_first" if first else None},
        (2, 3, *places) if first else (2, *places, 3),
        output_shape=(2, 3, *counts) if first else (2, *counts, 3),
        expected=expected,
    )


@pytest.mark.parametrize("kind", ["Max", "Average"])
@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_global_pooling(kind, rank, keepdims, first):
    axes = tuple(range(2, 2 + rank) if first else range(1, 1 + rank))
    shape = (2, 3, 5, 4)[: rank + 2]
    reduce = np.max if kind == "Max" else np.mean
    check_layer(
        getattr(layers, f"Global{kind}Pooling{rank}D"),
        {"keepdims": keepdims, "data_format": "channels_first" if first else "channels_last"},
        shape,
        output_shape=reduce(np.zeros(shape), axes, keepdims=keepdims).shape,
        expected=lambda x: reduce(x, axes, keepdims=keepdims),
    )


def test_aliases():
    assert layers.MaxPool2D is layers.MaxPooling2D
    assert layers.AvgPool1D is layers.AveragePooling1D
    assert layers.GlobalAvgPool2D is layers.GlobalAveragePooling2D


def test_up_sampling():
    check_layer(
        layers.UpSampling1D, {"size": 3}, (2, 4, 3), output_shape=(2, 12, 3),
        expected=lambda x: x.repeat(3, 1),
    )  # fmt: skip
    check_layer(
        layers.UpSampling2D, {"size": (2, 3)}, (2, 3, 4, 2), output_shape=(2, 6, 12, 2),
        expected=lambda x: x.repeat(2, 1).repeat(3, 2),
    )  # fmt: skip
    check_layer(
        layers.UpSampling2D, {"data_format": "channels_first"}, (2, 3, 4, 2),
        output_shape=(2, 3, 8, 4), expected=lambda x: x.repeat(2, 2).repeat(2, 3),
    )  # fmt: skip


def test_bilinear_up_sampling():
    def along(x, axis, times):
        n = x.shape[axis]
        place = np.clip((np.arange(n * times) + 0.5) / times - 0.5, 0, n - 1)
        interpolate = lambda v: np.interp(place, np.arange(n), v)  # noqa: E731
        return np.apply_along_axis(interpolate, axis, x)

    for places in ((3, 4), (1, 2)):
        check_layer(
            layers.UpSampling2D, {"size": (2, 3), "interpolation": "bilinear"}, (2, *places, 2),
            output_shape=(2, places[0] * 2, places[1] * 3, 2),
            expected=lambda x: along(along(x, 1, 2), 2, 3),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("padding", "pairs"),
    [(1, ((1, 1), (1, 1))), ((1, 2), ((1, 1), (2, 2))), (((0, 1), (2, 0)), ((0, 1), (2, 0)))],
)
def test_padding_and_cropping_2d(padding, pairs):
    (a, b), (c, d) = pairs
    check_layer(
        layers.ZeroPadding2D, {"padding": padding}, (2, 5, 6, 3),
        output_shape=(2, 5 + a + b, 6 + c + d, 3),
        expected=lambda x: np.pad(x, ((0, 0), *pairs, (0, 0))),
    )  # fmt: skip
    check_layer(
        layers.Cropping2D, {"cropping": padding, "data_format": "channels_first"}, (2, 3, 5, 6),
        output_shape=(2, 3, 5 - a - b, 6 - c - d),
        expected=lambda x: x[:, :, a : 5 - b, c : 6 - d],
    )  # fmt: skip


def test_padding_and_cropping_1d():
    check_layer(
        layers.ZeroPadding1D, {"padding": (2, 1)}, (2, 5, 3), output_shape=(2, 8, 3),
        expected=lambda x: np.pad(x, ((0, 0), (2, 1), (0, 0))),
    )  # fmt: skip
    check_layer(
        layers.Cropping1D, {}, (2, 5, 3), output_shape=(2, 3, 3), expected=lambda x: x[:, 1:-1]
    )


def test_errors():
    with raises(
        ValueError,
        "MaxPooling2D 'p': expected 4 axes (batch, height, width, channels), got shape "
        "(None, 28, 28); add an axis of channels with numpy.expand_dims(x, -1)",
    ):
        layers.MaxPooling2D(name="p")(np.zeros((1, 28, 28)))
    with pytest.raises(ValueError, match="does not fit into"):
        layers.MaxPooling1D(5)(np.zeros((1, 3, 1)))
    with pytest.raises(ValueError, match="nothing is left of shape"):
        layers.Cropping1D(2)(np.zeros((1, 4, 1)))
    with raises(
        ValueError,
        "Cropping2D 'c': nothing is left of shape (None, 4, 3, 1); the spatial axes would get the "
        "lengths (0, -1)",
    ):
        layers.Cropping2D(2, name="c")(np.zeros((1, 4, 3, 1)))
    with pytest.raises(ValueError, match="padding must be an integer, or"):
        layers.ZeroPadding2D((1, 2, 3))
    with pytest.raises(ValueError, match="interpolation must be"):
        layers.UpSampling2D(interpolation="cubic")
    assert layers.MaxPooling1D().compute_output_shape((None, None, 3)) == (None, None, 3)
    assert layers.UpSampling1D()(pydl.ones((0, 3, 2))).shape == (0, 6, 2)
