"""Like Keras: activations, losses, metrics, initializers, regularizers, constraints, optimizers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras_helpers import (
    close,
    ids,
    keras,
    seeds,  # noqa: F401 (a fixture of every test here)
    uniform,
)

import pydl
import pydl.constraints
import pydl.initializers
import pydl.losses
import pydl.metrics
import pydl.optimizers
import pydl.regularizers

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
