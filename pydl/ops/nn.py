"""Operations of neural networks: softmax, cross-entropy, normalisation, dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pydl import _core, check, config
from pydl.autograd import op, recording
from pydl.ops.elementwise import (
    astype,
    exp,
    maximum,
    multiply,
    negative,
    rsqrt,
    sigmoid,
    square,
    subtract,
)
from pydl.ops.index import one_hot
from pydl.ops.promote import FLOATS, as_tensor
from pydl.ops.reduce import mean as mean_over
from pydl.ops.reduce import sum as sum_over
from pydl.ops.shape import expand_dims, moveaxis, reshape
from pydl.random import dropout
from pydl.tensor import Tensor, wrap

__all__ = [
    "batch_normalization",
    "batch_normalization_inference",
    "binary_crossentropy_with_logits",
    "categorical_crossentropy_with_logits",
    "dropout",
    "l2_normalize",
    "layer_normalization",
    "log_softmax",
    "softmax",
    "sparse_categorical_crossentropy_with_logits",
]


def _floats(x: Any, who: str) -> Tensor:
    """x as a tensor of floats; integers and bool become `config.floatx()`."""
    x = as_tensor(x, who)
    return x if x.dtype in FLOATS else astype(x, config.floatx())


@op(saves=("y",))
def _softmax(x: np.ndarray, /) -> np.ndarray:
    return _core.softmax(x)


@_softmax.gradient(twice=True)
def _(g: Tensor, y: Tensor, x: Tensor) -> Any:
    if recording():
        return (multiply(y, subtract(g, sum_over(multiply(g, y), axis=-1, keepdims=True))),)
    return (wrap(_core.softmax_backward(g.data, y.data)),)


@op(saves=("y",))
def _log_softmax(x: np.ndarray, /) -> np.ndarray:
    return _core.log_softmax(x)


@_log_softmax.gradient(twice=True)
def _(g: Tensor, y: Tensor, x: Tensor) -> Any:
    if recording():
        return (subtract(g, multiply(exp(y), sum_over(g, axis=-1, keepdims=True))),)
    return (wrap(_core.log_softmax_backward(g.data, y.data)),)


def _along(who: str, function: Any, x: Any, axis: int) -> Tensor:
    """`function`, which works along the last axis, along any axis."""
    x = _floats(x, who)
    axis = check.axis(who, axis, x.ndim, x.shape)
    if axis == x.ndim - 1:
        return function(x)
    return moveaxis(function(moveaxis(x, axis, -1)), -1, axis)


def softmax(x: Any, /, axis: int = -1) -> Tensor:
    """y_i = exp(x_i - m) / sum_j exp(x_j - m) along an axis, m the largest x_j.

    >>> import pydl
    >>> pydl.softmax(pydl.tensor([[0.0, 0.0], [1000.0, 0.0]]))
    Tensor([[0.5, 0.5],
            [1. , 0. ]])
    """
    return _along("softmax", _softmax, x, axis)


def log_softmax(x: Any, /, axis: int = -1) -> Tensor:
    """y_i = x_i - log sum_j exp(x_j) along an axis, without overflow.

    >>> import pydl
    >>> pydl.log_softmax(pydl.tensor([1000.0, 0.0]))
    Tensor([    0., -1000.])
    """
    return _along("log_softmax", _log_softmax, x, axis)


@op(saves=("y", "labels"))
def _sparse_crossentropy(labels: np.ndarray, logits: np.ndarray, /, who: str) -> Any:
    return _core.sparse_crossentropy(labels, logits, who)


@_sparse_crossentropy.gradient(twice=True)
def _(g: Tensor, y: Any, labels: Tensor, logits: Tensor, who: str) -> Any:
    if recording():
        rows = reshape(labels, logits.shape[:-1])
        hit = one_hot(rows, logits.shape[-1], dtype=logits.dtype)
        error = subtract(_softmax(logits), hit)
        return (None, multiply(error, expand_dims(g, -1)))
    return (None, wrap(_core.sparse_crossentropy_backward(g.data, y[1].data, labels.data)))


def sparse_categorical_crossentropy_with_logits(labels: Any, logits: Any, /) -> Tensor:
    """log sum_j exp(x_j) - x_label, one loss a row: -log softmax(x)_label without overflow.

    The gradient for the logits is softmax(x) - onehot(label), from the probabilities that the
    forward pass kept.

    Args:
      labels: integers in [0, classes), of shape (...) or (..., 1).
      logits: floats x, of shape (..., classes).

    Raises:
      TypeError: labels are not integers.
      ValueError: the shapes do not fit, or a label is out of range.

    >>> import pydl
    >>> x = pydl.tensor([[0.0, 0.0], [1000.0, 0.0]])
    >>> pydl.sparse_categorical_crossentropy_with_logits([0, 0], x)
    Tensor([0.6931472, 0.       ])
    """
    who = "sparse_categorical_crossentropy_with_logits"
    return sparse_crossentropy(who, labels, _floats(logits, who))


def sparse_crossentropy(who: str, labels: Any, logits: Tensor, *names: str) -> Tensor:
    """The crossentropy of labels and logits, called `names` in messages."""
    labels = check_labels(who, labels, logits, *names)
    return _sparse_crossentropy(labels, logits, who)[0]


def check_classes(who: str, logits: Tensor, name: str = "logits") -> None:
    """ValueError for logits without a class."""
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ValueError(
            f"{who}: {name} must have shape (..., classes) with a class or more, got {logits.shape}"
        )


def check_labels(
    who: str, labels: Any, logits: Tensor, name: str = "labels", logits_name: str = "logits"
) -> Tensor:
    """Labels as a tensor: integers, one for each row of the logits. Their range is not checked."""
    labels = as_tensor(labels, who)
    check_classes(who, logits, logits_name)
    if labels.dtype.kind not in "iu":
        raise TypeError(
            f"{who}: {name} must be integers, got {labels.dtype}; "
            "cast class numbers to int64, or use categorical_crossentropy for one-hot labels"
        )
    rows = logits.shape[:-1]
    if labels.shape != rows and labels.shape != (*rows, 1):
        raise ValueError(
            f"{who}: {name} must have shape {rows} or {(*rows, 1)} for {logits_name} of shape "
            f"{logits.shape}, got {labels.shape}"
        )
    return labels


def same_shape(
    who: str, labels: Any, logits: Any, names: str = "labels and logits"
) -> tuple[Tensor, Tensor]:
    """Both as tensors of one float dtype; ValueError if their shapes differ."""
    logits = _floats(logits, who)
    labels = as_tensor(labels, who)
    if labels.dtype != logits.dtype:
        labels = astype(labels, logits.dtype)
    if labels.shape != logits.shape:
        raise ValueError(
            f"{who}: {names} must have one shape, got {labels.shape} and {logits.shape}"
        )
    return labels, logits


@op
def _crossentropy(labels: np.ndarray, logits: np.ndarray, /) -> Any:
    return _core.crossentropy(labels, logits)


@_crossentropy.gradient(twice=True)
def _(g: Tensor, y: Any, labels: Tensor, logits: Tensor) -> Any:
    if recording():
        total = sum_over(labels, axis=-1, keepdims=True)
        error = subtract(multiply(_softmax(logits), total), labels)
        return (
            lambda: multiply(negative(_log_softmax(logits)), expand_dims(g, -1)),
            lambda: multiply(error, expand_dims(g, -1)),
        )
    return (
        lambda: multiply(negative(_log_softmax(logits)), expand_dims(g, -1)),
        lambda: wrap(_core.crossentropy_backward(g.data, y[1].data, labels.data, y[2].data)),
    )


def categorical_crossentropy_with_logits(labels: Any, logits: Any, /) -> Tensor:
    """sum_j t_j (log sum_k exp(x_k) - x_j), one loss a row: -sum t log softmax(x), no overflow.

    A class with t_j = 0 adds nothing, whatever its logit.

    Args:
      labels: weights t of the classes, usually probabilities, of the shape of the logits.
      logits: floats x, of shape (..., classes).

    Raises:
      ValueError: the shapes differ.

    >>> import pydl
    >>> x = pydl.tensor([[0.0, 0.0]])
    >>> pydl.categorical_crossentropy_with_logits([[0.5, 0.5]], x)
    Tensor([0.6931472])
    """
    who = "categorical_crossentropy_with_logits"
    labels, logits = same_shape(who, labels, logits)
    check_classes(who, logits)
    return _crossentropy(labels, logits)[0]


@op(saves=("labels", "logits"))
def _binary_crossentropy(labels: np.ndarray, logits: np.ndarray, /) -> np.ndarray:
    return _core.binary_crossentropy(labels, logits)


@_binary_crossentropy.gradient(twice=True)
def _(g: Tensor, y: Any, labels: Tensor, logits: Tensor) -> Any:
    if recording():
        return (
            lambda: negative(multiply(g, logits)),
            lambda: multiply(g, subtract(sigmoid(logits), labels)),
        )
    return (
        lambda: negative(multiply(g, logits)),
        lambda: wrap(_core.binary_crossentropy_backward(g.data, labels.data, logits.data)),
    )


def binary_crossentropy_with_logits(labels: Any, logits: Any, /) -> Tensor:
    """max(x, 0) - x t + log(1 + exp(-|x|)), element by element.

    That is -t log p - (1 - t) log(1 - p) with p = sigmoid(x), without overflow. The gradient for
    the logits is p - t.

    Args:
      labels: t, usually 0 or 1, of the shape of the logits.
      logits: floats x.

    Raises:
      ValueError: the shapes differ.

    >>> import pydl
    >>> pydl.binary_crossentropy_with_logits([1.0, 1.0], pydl.tensor([0.0, 1000.0]))
    Tensor([0.6931472, 0.       ])
    """
    return _binary_crossentropy(*same_shape("binary_crossentropy_with_logits", labels, logits))


def _parameter(who: str, name: str, value: Any, x: Tensor, shape: tuple[int, ...]) -> Any:
    """gamma, beta, mean or variance: None, or a tensor of x's dtype, checked for its shape."""
    if value is None:
        return None
    value = as_tensor(value, who)
    if value.dtype != x.dtype:
        value = astype(value, x.dtype)
    if value.shape != shape:
        raise ValueError(
            f"{who}: {name} must have shape {shape} for x of shape {x.shape}, got {value.shape}"
        )
    return value


def _channels_last(who: str, x: Any, axis: int) -> tuple[Tensor, int]:
    x = _floats(x, who)
    if x.ndim == 0:
        raise ValueError(f"{who}: x must have an axis of channels, got a scalar")
    axis = check.axis(who, axis, x.ndim, x.shape)
    return (x if axis == x.ndim - 1 else moveaxis(x, axis, -1)), axis


def _back(y: Tensor, axis: int) -> Tensor:
    return y if axis == y.ndim - 1 else moveaxis(y, -1, axis)


@op(saves=("y", "x", "gamma"))
def _batch_normalization(
    x: np.ndarray, gamma: np.ndarray | None, beta: np.ndarray | None, /, epsilon: float
) -> Any:
    return _core.batch_normalization(x, gamma, beta, epsilon)


def _normalization_gradients(
    g: Tensor, x: Tensor, gamma: Any, beta: Any, over: Any, rows: Any, epsilon: float
) -> Any:
    """The gradients of a normalization over the axes `over`, made of operations.

    `rows` are the axes along which gamma and beta are stretched.
    """
    centred = subtract(x, mean_over(x, over, keepdims=True))
    rstd = rsqrt(mean_over(square(centred), over, keepdims=True) + epsilon)
    unit = multiply(centred, rstd)
    inner = g if gamma is None else multiply(g, gamma)
    through = multiply(unit, mean_over(multiply(inner, unit), over, keepdims=True))
    dx = multiply(rstd, inner - mean_over(inner, over, keepdims=True) - through)
    return (
        dx,
        lambda: sum_over(multiply(g, unit), axis=rows),
        lambda: sum_over(g, axis=rows),
    )


@_batch_normalization.gradient(twice=True)
def _(g: Tensor, y: Any, x: Tensor, gamma: Any, beta: Any, epsilon: float) -> Any:
    if recording():
        rows = tuple(range(x.ndim - 1))
        return _normalization_gradients(g, x, gamma, beta, rows, rows, epsilon)
    scale = None if gamma is None else gamma.data
    gradients = _core.batch_normalization_backward(
        g.data, x.data, y[1].data, y[2].data, scale, epsilon
    )
    return tuple(wrap(d) for d in gradients)


def batch_normalization(
    x: Any, /, gamma: Any = None, beta: Any = None, *, epsilon: float = 1e-3, axis: int = -1
) -> tuple[Tensor, Tensor, Tensor]:
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta with the statistics of the batch.

    Args:
      x: floats; the mean and the biased variance run over all axes but `axis`.
      gamma: (channels,), None for 1.
      beta: (channels,), None for 0.
      epsilon: keeps the divisor away from 0.
      axis: the axis of channels.

    Returns:
      y; mean and variance, (channels,), which carry no gradient.

    Raises:
      ValueError: x is empty, or gamma or beta do not have one value a channel.

    Source: Ioffe and Szegedy 2015, "Batch normalization: accelerating deep network training by
    reducing internal covariate shift".

    >>> import pydl
    >>> y, mean, variance = pydl.batch_normalization(pydl.tensor([[1.0], [3.0]]), epsilon=0.0)
    >>> y.tolist(), mean.tolist(), variance.tolist()
    ([[-1.0], [1.0]], [2.0], [1.0])
    """
    who = "batch_normalization"
    x, axis = _channels_last(who, x, axis)
    if x.size == 0:
        raise ValueError(f"{who}: an empty batch has no mean, got shape {x.shape}")
    channels = x.shape[-1:]
    gamma = _parameter(who, "gamma", gamma, x, channels)
    beta = _parameter(who, "beta", beta, x, channels)
    y, mean, variance = _batch_normalization(x, gamma, beta, float(epsilon))
    return _back(y, axis), mean, variance


@op(saves=("x", "mean", "variance", "gamma"))
def _normalize(
    x: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    gamma: np.ndarray | None,
    beta: np.ndarray | None,
    /,
    epsilon: float,
) -> np.ndarray:
    return _core.normalize(x, mean, variance, gamma, beta, epsilon)


@_normalize.gradient
def _(
    g: Tensor,
    y: Any,
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Any,
    beta: Any,
    epsilon: float,
) -> Any:
    rows = tuple(range(x.ndim - 1))
    rstd = rsqrt(variance + epsilon)
    scale = rstd if gamma is None else multiply(gamma, rstd)

    def sum_of_products() -> Tensor:
        return sum_over(multiply(g, subtract(x, mean)), axis=rows)

    return (
        lambda: multiply(g, scale),
        lambda: negative(multiply(sum_over(g, axis=rows), scale)),
        lambda: multiply(multiply(sum_of_products(), scale), square(rstd) * -0.5),
        lambda: multiply(sum_of_products(), rstd),
        lambda: sum_over(g, axis=rows),
    )


def batch_normalization_inference(
    x: Any,
    mean: Any,
    variance: Any,
    /,
    gamma: Any = None,
    beta: Any = None,
    *,
    epsilon: float = 1e-3,
    axis: int = -1,
) -> Tensor:
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta with given statistics.

    Args:
      x: floats.
      mean: (channels,).
      variance: (channels,), not negative.
      gamma: (channels,), None for 1.
      beta: (channels,), None for 0.
      epsilon: keeps the divisor away from 0.
      axis: the axis of channels.

    Raises:
      ValueError: a parameter does not have one value a channel.

    >>> import pydl
    >>> x = pydl.tensor([[1.0], [3.0]])
    >>> pydl.batch_normalization_inference(x, [1.0], [4.0], epsilon=0.0).tolist()
    [[0.0], [1.0]]
    """
    who = "batch_normalization"
    x, axis = _channels_last(who, x, axis)
    channels = x.shape[-1:]
    names = ("mean", "variance", "gamma", "beta")
    values = (mean, variance, gamma, beta)
    checked = [_parameter(who, n, v, x, channels) for n, v in zip(names, values, strict=True)]
    return _back(_normalize(x, *checked, float(epsilon)), axis)


@op(saves=("y", "x", "gamma"))
def _layer_normalization(
    x: np.ndarray, gamma: np.ndarray | None, beta: np.ndarray | None, /, n: int, epsilon: float
) -> Any:
    return _core.layer_normalization(x, n, gamma, beta, epsilon)


@_layer_normalization.gradient(twice=True)
def _(g: Tensor, y: Any, x: Tensor, gamma: Any, beta: Any, n: int, epsilon: float) -> Any:
    if recording():
        one = beta if gamma is None else gamma
        axes = _last_axes(x.shape, n) if one is None else x.ndim - one.ndim
        over, rows = tuple(range(axes, x.ndim)), tuple(range(axes))
        return _normalization_gradients(g, x, gamma, beta, over, rows, epsilon)
    scale = None if gamma is None else gamma.data
    wanted = any(p is not None and p.requires_grad for p in (gamma, beta))
    dx, dgamma, dbeta = _core.layer_normalization_backward(
        g.data, x.data, n, y[1].data, y[2].data, scale, wanted
    )
    return (
        wrap(dx),
        None if gamma is None or not wanted else wrap(dgamma.reshape(gamma.shape)),
        None if beta is None or not wanted else wrap(dbeta.reshape(beta.shape)),
    )


def _last_axes(shape: tuple[int, ...], n: int) -> int:
    """Where the last axes begin that have n elements together, as many of them as may be."""
    first, size = len(shape), 1
    while first > 0 and size * shape[first - 1] <= n:
        first -= 1
        size *= shape[first]
    return first


def layer_normalization(
    x: Any,
    /,
    gamma: Any = None,
    beta: Any = None,
    *,
    axis: int | Sequence[int] = -1,
    epsilon: float = 1e-3,
) -> Tensor:
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta with the statistics of each sample.

    Args:
      x: floats.
      gamma: of the lengths of `axis`, None for 1.
      beta: of the lengths of `axis`, None for 0.
      axis: one axis or several, over which the mean and the biased variance run.
      epsilon: keeps the divisor away from 0.

    Raises:
      ValueError: no axis is given, or gamma or beta do not have the lengths of `axis`.

    Source: Ba, Kiros and Hinton 2016, "Layer normalization".

    >>> import pydl
    >>> pydl.layer_normalization(pydl.tensor([[1.0, 3.0]]), epsilon=0.0)
    Tensor([[-1.,  1.]])
    """
    who = "layer_normalization"
    x = _floats(x, who)
    axes = check.axes(who, axis, x.ndim, x.shape)
    if not axes:
        raise ValueError(f"{who}: needs at least one axis, got {axis} for shape {x.shape}")
    lengths = tuple(x.shape[a] for a in axes)
    gamma = _parameter(who, "gamma", gamma, x, lengths)
    beta = _parameter(who, "beta", beta, x, lengths)
    if x.size == 0:
        return reshape(x, x.shape)
    last = tuple(range(x.ndim - len(axes), x.ndim))
    moved = x if axes == last else moveaxis(x, axes, last)
    y = _layer_normalization(moved, gamma, beta, int(np.prod(lengths)), float(epsilon))[0]
    return y if axes == last else moveaxis(y, last, axes)


def l2_normalize(
    x: Any, /, axis: int | Sequence[int] | None = -1, epsilon: float = 1e-12
) -> Tensor:
    """x / sqrt(max(sum x^2, epsilon)) with the sum over `axis`, None for all axes.

    >>> import pydl
    >>> pydl.l2_normalize(pydl.tensor([3.0, 4.0]))
    Tensor([0.6, 0.8])
    """
    x = _floats(x, "l2_normalize")
    sums = sum_over(square(x), axis=axis, keepdims=True)
    return multiply(x, rsqrt(maximum(sums, float(epsilon))))
