"""Convolution layers: values against the ops, which have oracles of their own; shapes, errors."""

from __future__ import annotations

import numpy as np
import pytest
from conv_oracles import Oracle, geometry
from errors import raises
from layer_checks import check_layer

import pydl
from pydl import layers


def convolved(strides, padding, dilation=1, act=lambda y: y):
    def expected(x, w, b):
        axes = w.ndim - 2
        s, d = (np.broadcast_to(v, axes).tolist() for v in (strides, dilation))
        counts, before = geometry(x.shape[1:-1], w.shape[:-2], s, d, padding)
        return act(Oracle(x, w, counts, s, d, before).forward(x, w) + b)

    return expected


@pytest.mark.parametrize(
    ("kwargs", "steps"),
    [
        ({}, 7),
        ({"padding": "SAME"}, 9),
        ({"padding": "causal"}, 9),
        ({"strides": 2}, 4),
        ({"strides": 2, "padding": "same"}, 5),
        ({"dilation_rate": 2}, 5),
        ({"groups": 2}, 7),
        ({"activation": "relu"}, 7),
    ],
)
def test_conv1d(kwargs, steps):
    groups = kwargs.get("groups", 1)
    act = (lambda y: np.maximum(y, 0)) if "activation" in kwargs else (lambda y: y)
    padding = kwargs.get("padding", "valid").lower()
    check_layer(
        layers.Conv1D,
        {"filters": 4, "kernel_size": 3, **kwargs},
        (2, 9, 6),
        output_shape=(2, steps, 4),
        weights={"kernel": (3, 6 // groups, 4), "bias": (4,)},
        expected=convolved(kwargs.get("strides", 1), padding, kwargs.get("dilation_rate", 1), act),
    )


@pytest.mark.parametrize(
    ("kwargs", "places"),
    [
        ({}, (5, 4)),
        ({"padding": "same"}, (6, 5)),
        ({"strides": (2, 1)}, (3, 4)),
        ({"dilation_rate": (1, 3)}, (5, 2)),
        ({"groups": 3}, (5, 4)),
    ],
)
def test_conv2d(kwargs, places):
    groups = kwargs.get("groups", 1)
    check_layer(
        layers.Conv2D,
        {"filters": 6, "kernel_size": (2, 2), **kwargs},
        (2, 6, 5, 3),
        output_shape=(2, *places, 6),
        weights={"kernel": (2, 2, 3 // groups, 6), "bias": (6,)},
        expected=convolved(
            kwargs.get("strides", 1), kwargs.get("padding", "valid"), kwargs.get("dilation_rate", 1)
        ),
    )


def test_conv2d_without_bias_and_channels_first():
    check_layer(
        layers.Conv2D,
        {"filters": 4, "kernel_size": 3, "use_bias": False, "data_format": "channels_first"},
        (2, 3, 6, 5),
        output_shape=(2, 4, 4, 3),
        weights={"kernel": (3, 3, 3, 4)},
        expected=lambda x, w: np.moveaxis(
            convolved(1, "valid")(np.moveaxis(x, 1, -1), w, 0.0), -1, 1
        ),
    )


@pytest.mark.parametrize(
    ("kwargs", "places"),
    [
        ({"kernel_size": 2}, (5, 6)),
        ({"strides": 2}, (9, 11)),
        ({"strides": 2, "padding": "same"}, (8, 10)),
        ({"strides": 3, "output_padding": 1}, (13, 16)),
        ({"activation": "tanh", "strides": (2, 1), "kernel_size": (1, 2)}, (8, 6)),
    ],
)
@pytest.mark.parametrize("first", [False, True])
def test_conv2d_transpose(kwargs, places, first):
    kwargs = {"kernel_size": 3, **kwargs}
    options = {k: v for k, v in kwargs.items() if k in ("strides", "padding", "output_padding")}

    def expected(x, w, b):
        y = pydl.conv_transpose(np.moveaxis(x, 1, -1) if first else x, w, **options).numpy() + b
        y = np.tanh(y) if "activation" in kwargs else y
        return np.moveaxis(y, -1, 1) if first else y

    check_layer(
        layers.Conv2DTranspose,
        {"filters": 3, "data_format": "channels_first" if first else None, **kwargs},
        (2, 5, 4, 5) if first else (2, 4, 5, 5),
        output_shape=(2, 3, *places) if first else (2, *places, 3),
        weights={
            "kernel": (*np.broadcast_to(kwargs["kernel_size"], 2).tolist(), 3, 5),
            "bias": (3,),
        },
        expected=expected,
    )


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("first", [False, True])
def test_depthwise_and_separable(rank, first):
    places = (7, 6)[:rank]
    shape = (2, 3, *places) if first else (2, *places, 3)
    out = tuple(n - 1 for n in places)
    form = "channels_first" if first else "channels_last"

    def last(a):
        return np.moveaxis(a, 1, -1) if first else a

    def back(a):
        return np.moveaxis(a, -1, 1) if first else a

    def depthwise(x, w):
        parts = [
            convolved(1, "valid")(x[..., c : c + 1], w[..., c : c + 1, :], 0.0) for c in range(3)
        ]
        return np.concatenate(parts, -1)

    check_layer(
        getattr(layers, f"DepthwiseConv{rank}D"),
        {"kernel_size": 2, "depth_multiplier": 2, "data_format": form},
        shape,
        output_shape=(2, 6, *out) if first else (2, *out, 6),
        weights={"kernel": (*(2,) * rank, 3, 2), "bias": (6,)},
        expected=lambda x, w, b: back(depthwise(last(x), w) + b),
    )
    check_layer(
        getattr(layers, f"SeparableConv{rank}D"),
        {"filters": 4, "kernel_size": 2, "depth_multiplier": 2, "data_format": form},
        shape,
        output_shape=(2, 4, *out) if first else (2, *out, 4),
        weights={
            "depthwise_kernel": (*(2,) * rank, 3, 2),
            "pointwise_kernel": (*(1,) * rank, 6, 4),
            "bias": (4,),
        },
        expected=lambda x, d, p, b: back(depthwise(last(x), d) @ p.reshape(6, 4) + b),
    )


def test_free_lengths_and_names():
    assert layers.Conv2D(8, 3).compute_output_shape((None, None, 10, 3)) == (None, None, 8, 8)
    shape = layers.Conv2DTranspose(8, 3, 2).compute_output_shape((None, None, 10, 3))
    assert shape == (None, None, 21, 8)
    x = layers.Input((None, 4))
    assert layers.Conv1D(2, 3)(x).shape == (None, None, 2)
    pydl.backend.clear_session()
    names = [layers.Conv2D(1, 1).name, layers.Conv2DTranspose(1, 1).name]
    assert names == ["conv2d", "conv2d_transpose"]
    assert layers.DepthwiseConv2D(1).name == "depthwise_conv2d"


def test_a_network_trains_recorded_as_eager():
    from plan_helpers import assert_same

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((48, 8, 8, 1), np.float32), rng.integers(0, 5, 48)

    def make():
        return pydl.Sequential(
            [
                layers.Conv2D(4, 3, activation="relu"),
                layers.MaxPooling2D(),
                layers.SeparableConv2D(4, 2),
                layers.GlobalAveragePooling2D(),
                layers.Dense(5, activation="softmax"),
            ]
        )

    assert_same(make, lambda m: m.fit(x, y, epochs=3, batch_size=16, verbose=0))


def test_errors():
    with raises(
        ValueError,
        "Conv2D 'c': expected 4 axes (batch, height, width, channels), got shape (None, 28, 28); "
        "add an axis of channels with numpy.expand_dims(x, -1)",
    ):
        layers.Conv2D(2, 3, name="c")(np.zeros((5, 28, 28)))
    with raises(
        ValueError,
        "Conv1D 'c': expected 3 axes (batch, channels, steps), got shape (None, 28); add an axis "
        "of channels with numpy.expand_dims(x, 1)",
    ):
        layers.Conv1D(2, 3, data_format="channels_first", name="c")(np.zeros((5, 28)))
    with raises(
        ValueError,
        "Conv2D 'c': a window of (3,) pixels does not fit into (2,) with padding 'valid'; use "
        "padding='same', or larger inputs; the input has shape (None, 2, 5, 1)",
    ):
        layers.Conv2D(2, 3, name="c")(np.zeros((1, 2, 5, 1)))
    layer = layers.Conv2D(2, 3, name="c")
    layer(np.zeros((1, 5, 5, 3)))
    with raises(
        ValueError,
        "Conv2D 'c': expected 3 channels, got shape (1, 5, 5, 1); the layer was built for 3",
    ):
        layer(np.zeros((1, 5, 5, 1)))
    for bad in (
        lambda: layers.Conv2D(0, 3),
        lambda: layers.Conv2D(4, 0),
        lambda: layers.Conv2D(4, (1, 2, 3)),
        lambda: layers.Conv2D(4, 3, strides=2, dilation_rate=2),
        lambda: layers.Conv2D(4, 3, padding="causal"),
        lambda: layers.Conv2D(4, 3, groups=3),
        lambda: layers.Conv2D(4, 3, data_format="nhwc"),
        lambda: layers.Conv2DTranspose(4, 3, strides=2, output_padding=2),
        lambda: layers.Conv2D(4, 3, groups=2)(np.zeros((1, 5, 5, 3))),
    ):
        with pytest.raises(ValueError, match="Conv2D"):
            bad()
