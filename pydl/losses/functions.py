"""Losses as functions of (y_true, y_pred): one value per sample, the mean over the last axis.

Targets of a rank that differs by one from the predictions' are aligned: (N,) against (N, 1) is
(N, 1) against (N, 1), never (N, N). Every other difference in shape is an error.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from pydl import config, ops
from pydl.tensor import Tensor, host_read
from pydl.warn import warn


def as_tensor(value: Any, dtype: Any = None) -> Tensor:
    """Return `value` as a Tensor, cast to `dtype` if that is given."""
    tensor = value if isinstance(value, Tensor) else Tensor(value)
    return tensor if dtype is None or tensor.dtype == dtype else tensor.astype(dtype)


def as_floats(y_pred: Any) -> Tensor:
    """Return predictions as a Tensor of floats."""
    tensor = as_tensor(y_pred)
    return tensor if tensor.dtype.kind == "f" else tensor.astype(config.floatx())


def align(a: Any, b: Any) -> tuple[Any, Any]:
    """Return `a` and `b` with equal ranks, if their ranks differ by one and the extra axis is 1.

    A vector gets the extra axis, anything larger loses it: (N,) and (N, 1) become (N, 1) both,
    (N, T) and (N, T, 1) become (N, T).
    """
    if a.ndim == b.ndim + 1 and a.shape[-1] == 1:
        return (a, b.reshape((*b.shape, 1))) if b.ndim == 1 else (a.reshape(a.shape[:-1]), b)
    if b.ndim == a.ndim + 1 and b.shape[-1] == 1:
        b, a = align(b, a)
    return a, b


def _pair(who: str, y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Return targets and predictions as Tensors of one float dtype and one shape."""
    y_pred = as_floats(y_pred)
    y_true = as_tensor(y_true, y_pred.dtype)
    if y_true.shape == y_pred.shape:
        return y_true, y_pred
    true_shape, pred_shape = y_true.shape, y_pred.shape
    y_true, y_pred = align(y_true, y_pred)
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"{who}: y_true has shape {true_shape}, y_pred has shape {pred_shape}; "
            "they must be equal"
        )
    return y_true, y_pred


@functools.cache
def _warn_once(message: str) -> None:
    """Warn, unless this message was given before."""
    warn(message)


# Regression


def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """Return mean((y_true - y_pred)^2) over the last axis.

    >>> mean_squared_error([[0.0, 2.0]], [[0.0, 0.0]]).numpy()
    array([2.], dtype=float32)
    """
    y_true, y_pred = _pair("mean_squared_error", y_true, y_pred)
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """Return mean(|y_true - y_pred|) over the last axis."""
    y_true, y_pred = _pair("mean_absolute_error", y_true, y_pred)
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Tensor:
    """Return 100 mean(|y_true - y_pred| / max(|y_true|, epsilon)) over the last axis."""
    y_true, y_pred = _pair("mean_absolute_percentage_error", y_true, y_pred)
    scale = ops.maximum(ops.abs(y_true), config.epsilon())
    return 100.0 * ops.mean(ops.abs((y_true - y_pred) / scale), axis=-1)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Tensor:
    """Return mean((log(max(y_pred, eps) + 1) - log(max(y_true, eps) + 1))^2), eps = epsilon."""
    y_true, y_pred = _pair("mean_squared_logarithmic_error", y_true, y_pred)
    log_pred = ops.log(ops.maximum(y_pred, config.epsilon()) + 1.0)
    log_true = ops.log(ops.maximum(y_true, config.epsilon()) + 1.0)
    return ops.mean(ops.square(log_pred - log_true), axis=-1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    """Return the mean of d^2/2 where |d| <= delta, else delta (|d| - delta/2); d = true - pred.

    Source: Huber 1964, "Robust estimation of a location parameter".
    """
    y_true, y_pred = _pair("huber", y_true, y_pred)
    distance = ops.abs(y_true - y_pred)
    linear = delta * distance - 0.5 * delta * delta
    loss = ops.where(distance <= delta, 0.5 * ops.square(distance), linear)
    return ops.mean(loss, axis=-1)


def log_cosh(y_true: Any, y_pred: Any) -> Tensor:
    """Return mean(log(cosh(d))) = mean(d + softplus(-2 d) - log 2), d = y_pred - y_true."""
    y_true, y_pred = _pair("log_cosh", y_true, y_pred)
    d = y_pred - y_true
    return ops.mean(d + ops.softplus(-2.0 * d) - math.log(2.0), axis=-1)


def poisson(y_true: Any, y_pred: Any) -> Tensor:
    """Return mean(y_pred - y_true log(y_pred + epsilon)) over the last axis."""
    y_true, y_pred = _pair("poisson", y_true, y_pred)
    return ops.mean(y_pred - y_true * ops.log(y_pred + config.epsilon()), axis=-1)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """Return -sum(t p) for t and p scaled to length 1; a vector of zeros gives 0."""
    y_true, y_pred = _pair("cosine_similarity", y_true, y_pred)
    return -ops.sum(_unit(y_true, axis) * _unit(y_pred, axis), axis=axis)


def _unit(x: Tensor, axis: int) -> Tensor:
    """Return x / max(|x|, epsilon)."""
    square = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(square, config.epsilon() ** 2))


# Margins


def hinge(y_true: Any, y_pred: Any) -> Tensor:
    """Return mean(max(1 - t p, 0)); labels are -1 and 1, or 0 and 1."""
    y_true, y_pred = _pair("hinge", y_true, y_pred)
    return ops.mean(ops.relu(1.0 - _signs(y_true) * y_pred), axis=-1)


def squared_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """Return mean(max(1 - t p, 0)^2); labels are -1 and 1, or 0 and 1."""
    y_true, y_pred = _pair("squared_hinge", y_true, y_pred)
    return ops.mean(ops.square(ops.relu(1.0 - _signs(y_true) * y_pred)), axis=-1)


def _signs(y_true: Tensor) -> Tensor:
    """Return labels 0 and 1 as -1 and 1; other labels stay."""
    zero_or_one = ops.where(ops.equal(y_true, 0), 1.0, ops.where(ops.equal(y_true, 1), 1.0, 0.0))
    if not y_true.size:
        return y_true
    all_are = ops.min(
        ops.astype(zero_or_one, y_true.dtype)
    )  # 1 or 0, so that what follows is exact
    return y_true * (1.0 + all_are) - all_are


def categorical_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """Return max(neg - pos + 1, 0), pos = sum(t p), neg = max((1 - t) p) over the last axis."""
    y_true, y_pred = _pair("categorical_hinge", y_true, y_pred)
    positive = ops.sum(y_true * y_pred, axis=-1)
    negative = ops.max((1.0 - y_true) * y_pred, axis=-1)
    return ops.relu(negative - positive + 1.0)


# Distributions


def check_smoothing(who: str, value: float) -> float:
    """Return the label smoothing, or raise unless it is in [0, 1]."""
    if not 0 <= value <= 1:
        raise ValueError(f"{who}: label_smoothing must be between 0 and 1, got {value!r}")
    return value


def kl_divergence(y_true: Any, y_pred: Any) -> Tensor:
    """Return sum(t log(t / p)) over the last axis, t and p clipped to [epsilon, 1]."""
    y_true, y_pred = _pair("kl_divergence", y_true, y_pred)
    y_true = ops.clip(y_true, config.epsilon(), 1.0)
    y_pred = ops.clip(y_pred, config.epsilon(), 1.0)
    return ops.sum(y_true * ops.log(y_true / y_pred), axis=-1)


def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Return mean(-(t log p + (1 - t) log(1 - p))) over `axis`.

    Args:
        y_true: Targets t in [0, 1].
        y_pred: Probabilities p, clipped to [epsilon, 1 - epsilon]; or logits x, for which the value
            is max(x, 0) - x t + log1p(exp(-|x|)).
        from_logits: Whether `y_pred` holds logits.
        label_smoothing: s in [0, 1]: t becomes t (1 - s) + s / 2.
        axis: Axis of the mean.

    >>> binary_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).numpy()
    array([0.6931472], dtype=float32)
    """
    y_true, y_pred = _pair("binary_crossentropy", y_true, y_pred)
    if check_smoothing("binary_crossentropy", label_smoothing):
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    return ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits), axis=axis)


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Return mean((1 - q)^gamma ce) over `axis`; q = t p + (1 - t)(1 - p), ce the crossentropy.

    With `apply_class_balancing` each entry is also weighted by alpha t + (1 - alpha)(1 - t).

    Source: Lin et al. 2017, "Focal loss for dense object detection".
    """
    y_true, y_pred = _pair("binary_focal_crossentropy", y_true, y_pred)
    if check_smoothing("binary_focal_crossentropy", label_smoothing):
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    p = ops.sigmoid(y_pred) if from_logits else y_pred
    cross = ops.binary_crossentropy(y_true, p)
    q = y_true * p + (1.0 - y_true) * (1.0 - p)
    loss = ops.power(1.0 - q, gamma) * cross
    if apply_class_balancing:
        loss = (y_true * alpha + (1.0 - y_true) * (1.0 - alpha)) * loss
    return ops.mean(loss, axis=axis)


def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Return -sum(t log p) over `axis`.

    Args:
        y_true: Targets t: one-hot, or probabilities.
        y_pred: Probabilities p, divided by their sum and clipped to [epsilon, 1 - epsilon]; or
            logits, for which log p is their log-softmax.
        from_logits: Whether `y_pred` holds logits.
        label_smoothing: s in [0, 1]: t becomes t (1 - s) + s / classes.
        axis: Axis of the classes.

    Raises:
        ValueError: The shapes differ.

    >>> categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).numpy()
    array([0.6931472], dtype=float32)
    """
    y_pred = as_floats(y_pred)
    y_true = as_tensor(y_true, y_pred.dtype)
    _check_one_hot(y_true.shape, y_pred.shape, axis)
    y_true, y_pred = _pair("categorical_crossentropy", y_true, y_pred)
    if check_smoothing("categorical_crossentropy", label_smoothing):
        y_true = y_true * (1.0 - label_smoothing) + label_smoothing / y_pred.shape[axis]
    return ops.categorical_crossentropy(y_true, y_pred, from_logits, axis)


def _check_one_hot(true_shape: tuple[int, ...], pred_shape: tuple[int, ...], axis: int) -> None:
    """Raise unless one-hot targets are as wide as the predictions."""
    if true_shape == pred_shape or (0 in true_shape and 0 in pred_shape):
        return
    if len(true_shape) == len(pred_shape) and true_shape[axis] != 1:
        if true_shape[axis] != pred_shape[axis]:
            raise ValueError(
                f"categorical_crossentropy: y_true has {true_shape[axis]} classes on axis {axis}, "
                f"y_pred has {pred_shape[axis]}; shapes {true_shape} and {pred_shape}"
            )
    elif pred_shape[axis] > 1:
        raise ValueError(
            f"categorical_crossentropy: y_true of shape {true_shape} is not one-hot for y_pred of "
            f"shape {pred_shape}; use sparse_categorical_crossentropy for integer labels, or "
            "utils.to_categorical"
        )


def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """Return -log p[t]: the categorical crossentropy for integer labels.

    Args:
        y_true: Labels t in [0, classes), of the shape of `y_pred` without `axis`, or with size 1
            there.
        y_pred: Probabilities p, divided by their sum and clipped to [epsilon, 1 - epsilon]; or
            logits, for which log p is their log-softmax.
        from_logits: Whether `y_pred` holds logits.
        ignore_class: Label whose entries are 0 and do not count in the mean of the class form.
        axis: Axis of the classes.

    Raises:
        ValueError: A label is out of range, or the shapes do not fit.

    >>> sparse_categorical_crossentropy([1], [[0.5, 0.5]]).numpy()
    array([0.6931472], dtype=float32)
    """
    y_pred = as_floats(y_pred)
    shape = ops.moveaxis(y_pred, axis, -1).shape
    labels, ignored = _check_labels(as_tensor(y_true).data, shape, ignore_class, axis)
    loss = ops.sparse_categorical_crossentropy(labels, y_pred, from_logits, axis)
    return loss if ignored is None else ops.where(ignored, 0.0, loss)


def _check_labels(
    labels: np.ndarray, pred_shape: tuple[int, ...], ignore_class: int | None, axis: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return integer labels of the predictions' shape without the classes, and what to ignore."""
    who = "sparse_categorical_crossentropy"
    if labels.shape != pred_shape[:-1]:
        squeezed = labels.shape
        if labels.ndim == len(pred_shape) and labels.shape[axis] == 1:
            squeezed = tuple(np.delete(labels.shape, axis))
        if squeezed != pred_shape[:-1]:
            hint = (
                "; use categorical_crossentropy for one-hot labels"
                if labels.shape == pred_shape
                else ""
            )
            raise ValueError(
                f"{who}: y_true must hold one label for each of {pred_shape[:-1]}, "
                f"got shape {labels.shape}{hint}"
            )
        labels = labels.reshape(squeezed)
    if labels.dtype.kind == "f":
        host_read("labels that are floats")
        if not np.isfinite(labels).all():
            raise ValueError(f"{who}: labels must be integers, got nan or inf")
        _warn_once(f"{who}: labels are floats; they are cut to integers, pass an integer array")
    if labels.dtype.kind not in "iu":
        labels = labels.astype(np.int64)
    ignored = None
    if ignore_class is not None:
        ignored = labels == ignore_class
        labels = np.where(ignored, np.zeros((), labels.dtype), labels)
    return labels, ignored


# Losses that are means over entries: two vectors hold one sample per entry, as two columns do.
ENTRYWISE = frozenset(
    {
        mean_squared_error,
        mean_absolute_error,
        mean_absolute_percentage_error,
        mean_squared_logarithmic_error,
        huber,
        log_cosh,
        poisson,
        hinge,
        squared_hinge,
        binary_crossentropy,
        binary_focal_crossentropy,
    }
)


def as_samples(fn: Any, y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Return Tensors for `fn`, two vectors as columns if their entries are samples of their own."""
    y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
    if y_true.ndim == y_pred.ndim == 1 and fn in ENTRYWISE:
        return y_true.reshape((-1, 1)), y_pred.reshape((-1, 1))
    return y_true, y_pred
