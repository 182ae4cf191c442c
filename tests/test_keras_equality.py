"""The same numbers as Keras 3, given the same weights and data: run where Keras is installed.

KERAS_BACKEND=jax pytest tests/test_keras_equality.py. The names of both packages are the same, so a
case is a name and its arguments. "Same" is within 1e-5 of the largest value: Keras computes in
float32 as well, and its order of additions is its own.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import contextlib
import io
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pydl
import pydl.callbacks
import pydl.constraints
import pydl.initializers
import pydl.losses
import pydl.metrics
import pydl.optimizers
import pydl.regularizers

keras = pytest.importorskip("keras", reason="Keras is not installed")

TOLERANCE = 1e-5


@pytest.fixture(autouse=True)
def seeds() -> None:
    """The weights come from Keras: the same in every run."""
    keras.utils.set_random_seed(0)


def close(got: Any, want: Any, tolerance: float = TOLERANCE, scale: float = 1e-3) -> None:
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    scale = np.abs(want[np.isfinite(want)]).max(initial=scale)
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale)


def uniform(shape: Any, low: float = -2, high: float = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def ids(case: Any) -> str:
    text = "-".join(str(part) for part in case if part != {})
    return re.sub(r" at 0x\w+", "", text)[:60]


# Activations

ACTIVATIONS = [
    *((name, {}) for name in (
        "celu", "elu", "exponential", "gelu", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu",
        "linear", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "softmax",
        "softplus", "softsign", "tanh",
    )),
    ("relu", {"negative_slope": 0.1, "max_value": 1.0, "threshold": 0.2}),
    ("leaky_relu", {"negative_slope": 0.3}),
    ("gelu", {"approximate": True}),
    ("elu", {"alpha": 0.5}),
    ("softmax", {"axis": 0}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), ACTIVATIONS, ids=map(ids, ACTIVATIONS))
def test_activation(name: str, arguments: dict[str, Any]) -> None:
    x = uniform((7, 5), -8, 8)
    want = getattr(keras.activations, name)(keras.ops.convert_to_tensor(x), **arguments)
    close(getattr(pydl.activations, name)(x, **arguments), want)


# Losses and metrics

PROBABILITIES = ("binary_crossentropy", "binary_focal_crossentropy")
LOSSES = [
    ("MeanSquaredError", {}, "real"),
    ("MeanAbsoluteError", {}, "real"),
    ("MeanAbsolutePercentageError", {}, "real"),
    ("MeanSquaredLogarithmicError", {}, "positive"),
    ("Huber", {"delta": 0.7}, "real"),
    ("LogCosh", {}, "real"),
    ("CosineSimilarity", {}, "real"),
    ("Poisson", {}, "positive"),
    ("KLDivergence", {}, "classes"),
    ("Hinge", {}, "binary"),
    ("SquaredHinge", {}, "binary"),
    ("CategoricalHinge", {}, "classes"),
    ("BinaryCrossentropy", {}, "binary"),
    ("BinaryCrossentropy", {"label_smoothing": 0.2}, "binary"),
    ("BinaryCrossentropy", {"from_logits": True}, "logits"),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True}, "binary"),
    ("CategoricalCrossentropy", {}, "classes"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, "classes"),
    ("CategoricalCrossentropy", {"from_logits": True}, "class_logits"),
    ("SparseCategoricalCrossentropy", {}, "sparse"),
    ("SparseCategoricalCrossentropy", {"ignore_class": 2}, "sparse"),
]  # fmt: skip


def targets(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions of a kind."""
    rng = np.random.default_rng(3)
    scores = uniform((16, 6), seed=1)
    classes = rng.integers(0, 6, 16)
    exponentials = np.exp(scores)
    if kind == "real":
        return uniform((16, 6), seed=2), scores
    if kind == "positive":
        return np.abs(uniform((16, 6), seed=2)), np.abs(scores) + np.float32(0.1)
    if kind in ("binary", "logits"):
        t = rng.integers(0, 2, (16, 6)).astype(np.float32)
        return t, scores if kind == "logits" else 1 / (1 + np.exp(-scores))
    p = exponentials / exponentials.sum(-1, keepdims=True)
    if kind == "sparse":
        return classes, p
    t = np.eye(6, dtype=np.float32)[classes]
    return t, scores if kind == "class_logits" else p


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", None])
@pytest.mark.parametrize("case", LOSSES, ids=map(ids, LOSSES))
def test_loss(case: Any, reduction: str | None) -> None:
    name, arguments, kind = case
    t, p = targets(kind)
    for weights in (None, uniform((16,), 0, 2, 9)):
        ours, theirs = (
            getattr(package.losses, name)(**arguments, reduction=reduction)(t, p, weights)
            for package in (pydl, keras)
        )
        close(ours, theirs)


METRICS = [
    *((name, {}, kind) for name, kind in (
        ("MeanSquaredError", "real"), ("RootMeanSquaredError", "real"), ("MeanAbsoluteError", "real"),
        ("MeanAbsolutePercentageError", "real"), ("MeanSquaredLogarithmicError", "positive"),
        ("CosineSimilarity", "real"), ("R2Score", "real"), ("LogCoshError", "real"),
        ("Poisson", "positive"), ("KLDivergence", "classes"), ("Hinge", "binary"),
        ("SquaredHinge", "binary"), ("CategoricalHinge", "classes"), ("BinaryAccuracy", "binary"),
        ("BinaryCrossentropy", "binary"), ("CategoricalAccuracy", "classes"),
        ("CategoricalCrossentropy", "classes"), ("SparseCategoricalAccuracy", "sparse"),
        ("SparseCategoricalCrossentropy", "sparse"), ("TruePositives", "binary"),
        ("TrueNegatives", "binary"), ("FalsePositives", "binary"), ("FalseNegatives", "binary"),
        ("Precision", "binary"), ("Recall", "binary"), ("AUC", "binary"),
    )),
    ("BinaryAccuracy", {"threshold": 0.3}, "binary"),
    ("Precision", {"thresholds": [0.2, 0.7]}, "binary"),
    ("Precision", {"top_k": 2}, "classes"),
    ("Recall", {"class_id": 1}, "classes"),
    ("AUC", {"num_thresholds": 50, "curve": "PR"}, "binary"),
    ("TopKCategoricalAccuracy", {"k": 2}, "classes"),
    ("SparseTopKCategoricalAccuracy", {"k": 3}, "sparse"),
    ("F1Score", {"average": "macro"}, "classes"),
    ("F1Score", {"average": None, "threshold": 0.4}, "classes"),
]  # fmt: skip


@pytest.mark.parametrize("case", METRICS, ids=map(ids, METRICS))
def test_metric(case: Any) -> None:
    name, arguments, kind = case
    t, p = targets(kind)
    weights = uniform((16,), 0.1, 2, 9)
    weighted = name not in ("R2Score", "F1Score") or "average" not in arguments
    ours, theirs = (getattr(package.metrics, name)(**arguments) for package in (pydl, keras))
    for metric in (ours, theirs):
        metric.update_state(t[:9], p[:9])
        metric.update_state(t[9:], p[9:], weights[9:] if weighted else None)
    close(ours.result(), theirs.result())


def test_mean_iou() -> None:
    t, p = np.random.default_rng(0).integers(0, 4, (2, 50))
    ours, theirs = (package.metrics.MeanIoU(num_classes=4) for package in (pydl, keras))
    for metric in (ours, theirs):
        metric.update_state(t, p)
    close(ours.result(), theirs.result())


@pytest.mark.parametrize("name", ["Mean", "Sum"])
def test_metric_of_values(name: str) -> None:
    ours, theirs = (getattr(package.metrics, name)() for package in (pydl, keras))
    for metric in (ours, theirs):
        metric.update_state(uniform((9,)))
        metric.update_state(uniform((16,), seed=1), uniform((16,), 0, 2, 2))
    close(ours.result(), theirs.result())


# Initializers: the laws, since the random numbers are each package's own.

LAWS = [
    ("RandomNormal", {"mean": 0.3, "stddev": 0.2}),
    ("RandomUniform", {"minval": -0.3, "maxval": 0.1}),
    ("TruncatedNormal", {"stddev": 0.3}),
    ("VarianceScaling", {"scale": 2.0, "mode": "fan_out", "distribution": "untruncated_normal"}),
    *((name, {}) for name in (
        "GlorotUniform", "GlorotNormal", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform",
    )),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), LAWS, ids=map(ids, LAWS))
def test_initializer_law(name: str, arguments: dict[str, Any]) -> None:
    shape = (3, 3, 120, 100)
    ours, theirs = (
        np.sort(np.asarray(getattr(package.initializers, name)(**arguments, seed=1)(shape)).ravel())
        for package in (pydl, keras)
    )
    # Two samples of n from one law differ by at most 1.95 sqrt(2 / n) in distribution, 999 of
    # 1,000 times (Kolmogorov and Smirnov).
    n = ours.size
    ranks = np.searchsorted(theirs, ours, side="right") / n
    assert np.abs(ranks - np.arange(1, n + 1) / n).max() < 1.95 * np.sqrt(2 / n)


EXACT = [("Zeros", {}), ("Ones", {}), ("Constant", {"value": 0.7}), ("Identity", {"gain": 2.0})]


@pytest.mark.parametrize(("name", "arguments"), EXACT, ids=map(ids, EXACT))
def test_initializer(name: str, arguments: dict[str, Any]) -> None:
    ours, theirs = (getattr(p.initializers, name)(**arguments)((4, 4)) for p in (pydl, keras))
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


def test_orthogonal() -> None:
    for package in (pydl, keras):
        w = np.asarray(package.initializers.Orthogonal(gain=2.0, seed=0)((40, 20)), np.float64)
        close(w.T @ w, 4 * np.eye(20))


# Regularizers and constraints

REGULARIZERS = [("L1", {"l1": 0.1}), ("L2", {"l2": 0.2}), ("L1L2", {"l1": 0.1, "l2": 0.3})]


@pytest.mark.parametrize(("name", "arguments"), REGULARIZERS, ids=map(ids, REGULARIZERS))
def test_regularizer(name: str, arguments: dict[str, Any]) -> None:
    w = uniform((7, 5))
    ours, theirs = (getattr(p.regularizers, name)(**arguments)(w) for p in (pydl, keras))
    close(ours, theirs)


CONSTRAINTS = [
    ("MaxNorm", {"max_value": 1.5, "axis": 0}),
    ("NonNeg", {}),
    ("UnitNorm", {"axis": 1}),
    ("MinMaxNorm", {"min_value": 0.5, "max_value": 1.0, "rate": 0.7, "axis": 0}),
]


@pytest.mark.parametrize(("name", "arguments"), CONSTRAINTS, ids=map(ids, CONSTRAINTS))
def test_constraint(name: str, arguments: dict[str, Any]) -> None:
    w = uniform((7, 5))
    ours, theirs = (getattr(p.constraints, name)(**arguments)(w) for p in (pydl, keras))
    close(ours, theirs)


# Optimizers and schedules

OPTIMIZERS = [
    *((name, {}) for name in (
        "SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "AdamW", "Adamax", "Nadam", "Lion",
    )),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SGD", {"weight_decay": 0.01}),
    ("RMSprop", {"momentum": 0.5, "centered": True}),
    ("Adam", {"amsgrad": True}),
    ("Adam", {"clipnorm": 0.5}),
    ("Adam", {"clipvalue": 0.1}),
    ("Adam", {"global_clipnorm": 0.5}),
    ("Adam", {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 3}),
    ("Adam", {"gradient_accumulation_steps": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), OPTIMIZERS, ids=map(ids, OPTIMIZERS))
def test_optimizer_ten_steps(name: str, arguments: dict[str, Any]) -> None:
    starts = [uniform((5, 4)), uniform((4,), seed=1)]
    ours, theirs = (
        getattr(package.optimizers, name)(learning_rate=0.05, **arguments)
        for package in (pydl, keras)
    )
    w, v = [pydl.Variable(a) for a in starts], [keras.Variable(a) for a in starts]
    theirs.build(v)
    for step in range(10):
        gradients = [uniform(a.shape, seed=10 * step + i) for i, a in enumerate(starts)]
        ours.apply_gradients(zip(gradients, w, strict=True))
        theirs.apply_gradients(
            zip([keras.ops.convert_to_tensor(g) for g in gradients], v, strict=True)
        )
        for a, b in zip(w, v, strict=True):
            close(a.numpy(), b.numpy())


SCHEDULES = [
    ("ExponentialDecay", (0.1, 7, 0.5), {}),
    ("ExponentialDecay", (0.1, 7, 0.5), {"staircase": True}),
    ("PiecewiseConstantDecay", ([3, 8], [0.1, 0.05, 0.01]), {}),
    ("PolynomialDecay", (0.1, 10), {"power": 2.0}),
    ("PolynomialDecay", (0.1, 4), {"cycle": True}),
    ("InverseTimeDecay", (0.1, 4, 0.5), {"staircase": True}),
    ("CosineDecay", (0.1, 10), {"alpha": 0.1}),
    ("CosineDecay", (0.01, 10), {"warmup_target": 0.1, "warmup_steps": 4}),
    ("CosineDecayRestarts", (0.1, 4), {"t_mul": 2.0, "m_mul": 0.5, "alpha": 0.1}),
]  # fmt: skip


@pytest.mark.parametrize("case", SCHEDULES, ids=map(ids, SCHEDULES))
def test_schedule(case: Any) -> None:
    name, positional, arguments = case
    ours, theirs = (
        getattr(package.optimizers.schedules, name)(*positional, **arguments)
        for package in (pydl, keras)
    )
    for step in range(25):
        close(ours(step), theirs(step))


# Layers: the output, three steps of training (gradients), the output again.

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


# Training: fit without shuffling, callbacks, history


def both_models(optimizer: Any = "rmsprop") -> tuple[Any, Any]:
    def make(package: Any) -> Any:
        layers = package.layers
        model = package.Sequential(
            [
                layers.Input((6,)),
                layers.Dense(8, activation="relu"),
                layers.BatchNormalization(),
                layers.Dense(3, activation="softmax"),
            ]
        )
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    ours, theirs = make(pydl), make(keras)
    ours.set_weights(theirs.get_weights())
    return ours, theirs


def rows() -> tuple[np.ndarray, np.ndarray]:
    x = uniform((90, 6))
    return x, (x[:, :3].argmax(1)).astype(np.int32)


def same_history(ours: Any, theirs: Any, tolerance: float = 1e-4) -> None:
    """Within 1e-4: an epoch feeds the rounding of one step to the next."""
    assert set(ours.history) == set(theirs.history)
    for key, values in theirs.history.items():
        close(ours.history[key], values, tolerance)


@pytest.mark.parametrize("weights", ["none", "class", "sample"])
def test_fit(weights: str) -> None:
    x, y = rows()
    arguments: dict[str, Any] = {"batch_size": 16, "epochs": 4, "shuffle": False, "verbose": 0}
    if weights == "class":
        arguments["class_weight"] = {0: 1.0, 1: 2.0, 2: 0.5}
    if weights == "sample":
        arguments["sample_weight"] = uniform((90,), 0, 2, 4)
    if weights == "none":
        arguments["validation_split"] = 0.2
    ours, theirs = both_models()
    same_history(ours.fit(x, y, **arguments), theirs.fit(x, y, **arguments))


CALLBACKS = [
    ("EarlyStopping", {"monitor": "val_loss", "patience": 1, "min_delta": 0.02}),
    ("EarlyStopping", {"monitor": "loss", "patience": 0, "baseline": 0.1, "restore_best_weights": True}),
    ("ReduceLROnPlateau", {"monitor": "val_loss", "patience": 1, "factor": 0.3, "min_delta": 0.05}),
    ("LearningRateScheduler", {"schedule": lambda epoch, lr: lr * 0.7}),
]  # fmt: skip


@pytest.mark.parametrize("case", CALLBACKS, ids=lambda c: c[0])
def test_callback(case: Any) -> None:
    name, arguments = case
    x, y = rows()
    ours, theirs = both_models()
    histories = [
        model.fit(
            x, y, batch_size=16, epochs=8, shuffle=False, validation_split=0.2, verbose=0,
            callbacks=[getattr(package.callbacks, name)(**arguments)],
        )
        for package, model in ((pydl, ours), (keras, theirs))
    ]  # fmt: skip
    same_history(*histories)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        close(a, b, 1e-3)  # eight epochs


def test_csv_logger(tmp_path: Path) -> None:
    """With validation; without, Keras adds columns of "NA" for it, and pydl does not."""
    x, y = rows()
    files = []
    for package, model in zip((pydl, keras), both_models(), strict=True):
        files.append(tmp_path / f"{package.__name__}.csv")
        callback = package.callbacks.CSVLogger(str(files[-1]))
        model.fit(
            x, y, batch_size=16, epochs=3, shuffle=False, validation_split=0.2, verbose=0,
            callbacks=[callback],
        )  # fmt: skip
    ours, theirs = ([row.split(",") for row in f.read_text().split()] for f in files)
    assert ours[0] == theirs[0]
    close(np.array(ours[1:], float), np.array(theirs[1:], float), 1e-4)


def test_model_checkpoint_keeps_the_same_epochs(tmp_path: Path) -> None:
    x, y = rows()
    kept = []
    for package, model, ending in zip(
        (pydl, keras), both_models(), ("safetensors", "keras"), strict=True
    ):
        folder = tmp_path / package.__name__
        folder.mkdir()
        callback = package.callbacks.ModelCheckpoint(
            str(folder / ("{epoch:02d}." + ending)), monitor="val_loss", save_best_only=True
        )
        model.fit(
            x, y, batch_size=16, epochs=6, shuffle=False, validation_split=0.2, verbose=0,
            callbacks=[callback],
        )  # fmt: skip
        kept.append(sorted(path.stem for path in folder.iterdir()))
    assert kept[0] == kept[1]


def test_terminate_on_nan_stops_at_the_same_batch() -> None:
    x, y = rows()
    x[40, 0] = np.nan
    batches = []
    for package, model in zip((pydl, keras), both_models(), strict=True):
        seen: list[int] = []
        callbacks = [
            package.callbacks.TerminateOnNaN(),
            package.callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs, s=seen: s.append(batch)
            ),
        ]
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0, callbacks=callbacks)
        batches.append(seen)
    assert batches[0] == batches[1]


def test_hooks_run_in_the_same_order() -> None:
    x, y = rows()
    hooks = [
        f"on_{what}_{when}"
        for what in (
            "train",
            "epoch",
            "train_batch",
            "test",
            "test_batch",
            "predict",
            "predict_batch",
        )
        for when in ("begin", "end")
    ]
    calls = []
    for package, model in zip((pydl, keras), both_models(), strict=True):
        seen: list[Any] = []

        def hook(name: str, seen: list[Any] = seen) -> Any:
            return lambda self, *arguments, **logs: seen.append(
                (name, *(a for a in arguments if isinstance(a, int)))
            )

        recorder = type("Recorder", (package.callbacks.Callback,), {h: hook(h) for h in hooks})()
        model.fit(
            x, y, batch_size=16, epochs=2, validation_split=0.2, verbose=0, callbacks=[recorder]
        )
        model.evaluate(x, y, verbose=0, callbacks=[recorder])
        model.predict(x, verbose=0, callbacks=[recorder])
        calls.append(seen)
    assert calls[0] == calls[1]
