"""Layers like those of Keras: the output, three steps of training (gradients), the output again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras_helpers import (
    TOLERANCE,
    close,
    ids,
    keras,
    seeds,  # noqa: F401 (a fixture of every test here)
    uniform,
)

import pydl

IMAGES = (6, 7, 8, 4)  # odd against even, so that padding shows
SERIES = (6, 9, 4)
LAYERS = [
    ("Dense", {"units": 5, "activation": "tanh"}, (6, 4)),
    ("Dense", {"units": 5, "use_bias": False, "kernel_regularizer": "l2"}, (6, 3, 4)),
    ("Dense", {"units": 5, "kernel_constraint": "unit_norm", "activity_regularizer": "l2"}, (6, 4)),
    ("Activation", {"activation": "softplus"}, (6, 4)),
    ("ReLU", {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.2}, (6, 4)),
    ("LeakyReLU", {}, (6, 4)),
    ("ELU", {"alpha": 0.5}, (6, 4)),
    ("PReLU", {}, (6, 4)),
    ("PReLU", {"shared_axes": [1]}, (6, 3, 4)),
    ("Softmax", {"axis": 1}, (6, 3, 4)),
    ("Flatten", {}, (6, 3, 4)),
    ("Reshape", {"target_shape": (2, -1)}, (6, 3, 4)),
    ("Permute", {"dims": (2, 1)}, (6, 3, 4)),
    ("RepeatVector", {"n": 3}, (6, 4)),
    ("Identity", {}, (6, 4)),
    ("ActivityRegularization", {"l1": 0.01, "l2": 0.02}, (6, 4)),
    ("Lambda", {"function": lambda x: x * x + 1}, (6, 4)),
    ("Dropout", {"rate": 0.0}, (6, 4)),
    ("BatchNormalization", {"momentum": 0.8}, (6, 4)),
    ("BatchNormalization", {"axis": 1, "scale": False}, (6, 3, 4)),
    ("LayerNormalization", {}, (6, 3, 4)),
    ("LayerNormalization", {"axis": [1, 2], "center": False}, (6, 3, 4)),
    ("GroupNormalization", {"groups": 2}, (6, 3, 4)),
    ("UnitNormalization", {}, (6, 4)),
    ("RMSNormalization", {}, (6, 4)),
    ("Rescaling", {"scale": 0.5, "offset": 1.0}, (6, 4)),
    ("Conv1D", {"filters": 3, "kernel_size": 3}, SERIES),
    ("Conv1D", {"filters": 3, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}, SERIES),
    ("Conv2D", {"filters": 3, "kernel_size": 3, "activation": "relu"}, IMAGES),
    ("Conv2D", {"filters": 4, "kernel_size": (2, 3), "strides": 2, "padding": "same"}, IMAGES),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "groups": 2, "use_bias": False}, IMAGES),
    ("Conv2D", {"filters": 3, "kernel_size": 2, "dilation_rate": 2}, IMAGES),
    ("Conv2DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}, IMAGES),
    ("Conv2DTranspose", {"filters": 3, "kernel_size": 2, "strides": 3}, IMAGES),
    ("DepthwiseConv1D", {"kernel_size": 3, "padding": "same"}, SERIES),
    ("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2}, IMAGES),
    ("SeparableConv1D", {"filters": 3, "kernel_size": 3}, SERIES),
    ("SeparableConv2D", {"filters": 3, "kernel_size": 3, "padding": "same"}, IMAGES),
    ("MaxPooling1D", {"pool_size": 2, "padding": "same"}, SERIES),
    ("MaxPooling2D", {"pool_size": (3, 2), "strides": 2, "padding": "same"}, IMAGES),
    ("AveragePooling1D", {"pool_size": 2}, SERIES),
    ("AveragePooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}, IMAGES),
    ("GlobalMaxPooling1D", {}, SERIES),
    ("GlobalMaxPooling2D", {}, IMAGES),
    ("GlobalAveragePooling1D", {}, SERIES),
    ("GlobalAveragePooling2D", {"keepdims": True}, IMAGES),
    ("UpSampling1D", {"size": 2}, SERIES),
    ("UpSampling2D", {"size": (2, 3)}, IMAGES),
    ("UpSampling2D", {"size": 2, "interpolation": "bilinear"}, IMAGES),
    ("ZeroPadding1D", {"padding": (1, 2)}, SERIES),
    ("ZeroPadding2D", {"padding": ((1, 2), (0, 3))}, IMAGES),
    ("Cropping1D", {"cropping": (1, 2)}, SERIES),
    ("Cropping2D", {"cropping": ((1, 0), (2, 1))}, IMAGES),
]  # fmt: skip


def model_with(package: Any, layer: Any, shape: Any) -> Any:
    """The layer between others that have weights, so that every gradient is used."""
    layers = package.layers
    model = package.Sequential(
        [layers.Input(shape[1:]), layers.Dense(shape[-1]), layer, layers.Flatten(), layers.Dense(2)]
    )
    model.compile(package.optimizers.SGD(0.05), "mse")
    return model


def same_training(ours: Any, theirs: Any, x: Any, y: np.ndarray) -> None:
    """Weights of `theirs` go to `ours`; then both must give the same all the way."""
    ours.set_weights(theirs.get_weights())
    close(ours.predict(x, verbose=0), theirs.predict(x, verbose=0))
    for _ in range(3):
        close(ours.train_on_batch(x, y), theirs.train_on_batch(x, y))
    scale = max(np.abs(w).max(initial=0) for w in theirs.get_weights())
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        close(a, b, 3 * TOLERANCE, scale)  # after three steps; a bias is a sum of what may cancel
    close(ours.evaluate(x, y, verbose=0), theirs.evaluate(x, y, verbose=0), 3 * TOLERANCE)


@pytest.mark.parametrize("case", LAYERS, ids=map(ids, LAYERS))
def test_layer(case: Any) -> None:
    name, arguments, shape = case
    ours, theirs = (
        model_with(package, getattr(package.layers, name)(**arguments), shape)
        for package in (pydl, keras)
    )
    assert ours.layers[1].count_params() == theirs.layers[1].count_params()
    assert tuple(ours.layers[1].output_shape) == tuple(theirs.layers[1].output.shape)
    same_training(ours, theirs, uniform(shape), uniform((shape[0], 2), seed=5))


RANDOM_LAYERS = [
    ("Dropout", {"rate": 0.3}),
    ("GaussianNoise", {"stddev": 0.3}),
    ("GaussianDropout", {"rate": 0.3}),
    ("SpatialDropout1D", {"rate": 0.3}),
]


@pytest.mark.parametrize(("name", "arguments"), RANDOM_LAYERS, ids=map(ids, RANDOM_LAYERS))
def test_random_layer(name: str, arguments: dict[str, Any]) -> None:
    """The random numbers are each package's own: same mean and variance, and inference."""
    x = np.full((400, 50, 20), 2, np.float32)
    ours, theirs = (getattr(package.layers, name)(**arguments) for package in (pydl, keras))
    np.testing.assert_array_equal(np.asarray(ours(x, training=False)), x)
    a, b = (np.asarray(layer(x, training=True), np.float64) for layer in (ours, theirs))
    # 8,000 independent values at least (spatial masks), so 5 sigma of the mean and of the variance
    assert abs(a.mean() - b.mean()) < 5 * 2 * b.std() / np.sqrt(8000)
    assert abs(a.var() - b.var()) < 5 * 2 * 2 * b.var() / np.sqrt(8000)


MERGING = [
    *((name, {}) for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")),
    ("Concatenate", {}),
    ("Concatenate", {"axis": 1}),
    ("Dot", {"axes": 1}),
    ("Dot", {"axes": (1, 2)}),
    ("Dot", {"axes": 2, "normalize": True}),
]


@pytest.mark.parametrize(("name", "arguments"), MERGING, ids=map(ids, MERGING))
def test_merging_layer(name: str, arguments: dict[str, Any]) -> None:
    """In a functional model with two inputs, two outputs and a shared layer."""

    def make(package: Any) -> Any:
        layers = package.layers
        a, b = layers.Input((4, 4)), layers.Input((4, 4))
        shared = layers.Dense(4, activation="tanh")
        merged = getattr(layers, name)(**arguments)([shared(a), shared(b)])
        flat = layers.Flatten()(merged)
        outputs = [layers.Dense(2, name="left")(flat), layers.Dense(2, name="right")(flat)]
        model = package.Model([a, b], outputs)
        model.compile(package.optimizers.SGD(0.05), ["mse", "mae"], loss_weights=[1.0, 0.5])
        return model

    ours, theirs = make(pydl), make(keras)
    ours.set_weights(theirs.get_weights())
    x = [uniform((6, 4, 4)), uniform((6, 4, 4), seed=1)]
    y = [uniform((6, 2), seed=2), uniform((6, 2), seed=3)]
    for p, q in zip(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), strict=True):
        close(p, q)
    for _ in range(3):
        close(ours.train_on_batch(x, y), theirs.train_on_batch(x, y))
    for p, q in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        close(p, q, 3 * TOLERANCE)


@pytest.mark.parametrize("mask_zero", [False, True])
def test_embedding(mask_zero: bool) -> None:
    x = np.random.default_rng(0).integers(0, 9, (6, 5))

    def make(package: Any) -> Any:
        layers = package.layers
        model = package.Sequential(
            [
                layers.Input((5,), dtype="int32"),
                layers.Embedding(9, 4, mask_zero=mask_zero),
                layers.GlobalAveragePooling1D(),
                layers.Dense(2),
            ]
        )
        model.compile(package.optimizers.SGD(0.05), "mse")
        return model

    same_training(make(pydl), make(keras), x, uniform((6, 2), seed=5))


def test_masking() -> None:
    x = uniform((6, 5, 4))
    x[:, 3:] = 0

    def make(package: Any) -> Any:
        layers = package.layers
        model = package.Sequential(
            [
                layers.Input((5, 4)),
                layers.Masking(),
                layers.GlobalAveragePooling1D(),
                layers.Dense(2),
            ]
        )
        model.compile(package.optimizers.SGD(0.05), "mse")
        return model

    same_training(make(pydl), make(keras), x, uniform((6, 2), seed=5))


def test_normalization_adapt() -> None:
    x = uniform((50, 4))
    ours, theirs = (package.layers.Normalization() for package in (pydl, keras))
    ours.adapt(x)
    theirs.adapt(x)
    close(ours(x), theirs(x))
