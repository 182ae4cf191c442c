"""Cross-entropies of probabilities or logits, one value an entry or a row, as in keras.ops."""

from __future__ import annotations

from typing import Any

from pydl import _core, check, config
from pydl.ops.elementwise import clip, divide, equal, log, multiply, negative, subtract, where
from pydl.ops.index import one_hot
from pydl.ops.nn import (
    _floats,
    binary_crossentropy_with_logits,
    categorical_crossentropy_with_logits,
    check_classes,
    check_labels,
    same_shape,
    sparse_crossentropy,
)
from pydl.ops.reduce import sum as sum_over
from pydl.ops.shape import moveaxis, reshape
from pydl.tensor import Tensor

__all__ = ["binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"]

_NAMES = "target and output"


def clip_probabilities(p: Tensor) -> Tensor:
    """p clipped to [epsilon, 1 - epsilon]; the gradient is 0 where it is clipped."""
    return clip(p, config.epsilon(), 1.0 - config.epsilon())


def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Tensor:
    """-(t log p + (1 - t) log(1 - p)), element by element.

    Args:
      target: t in [0, 1].
      output: probabilities p of the same shape, clipped to [epsilon, 1 - epsilon]; or logits x,
        p = 1 / (1 + e^-x), for which nothing overflows.
      from_logits: whether `output` holds logits.

    Raises:
      ValueError: the shapes differ.

    >>> import pydl
    >>> pydl.binary_crossentropy([0.0, 1.0], [0.5, 0.5])
    Tensor([0.6931472, 0.6931472])
    """
    t, p = same_shape("binary_crossentropy", target, output, _NAMES)
    if from_logits:
        return binary_crossentropy_with_logits(t, p)
    p = clip_probabilities(p)
    hit, miss = multiply(t, log(p)), multiply(subtract(1.0, t), log(subtract(1.0, p)))
    return negative(hit + miss)


def _classes_last(who: str, x: Tensor, axis: int) -> Tensor:
    axis = check.axis(who, axis, x.ndim, x.shape)
    return x if axis == x.ndim - 1 else moveaxis(x, axis, -1)


def categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """-sum_j t_j log p_j over the classes j along `axis`.

    Args:
      target: t, one-hot or probabilities.
      output: probabilities p of the same shape, divided by their sum and clipped to
        [epsilon, 1 - epsilon]; or logits, log p being their log-softmax.
      from_logits: whether `output` holds logits.
      axis: of the classes.

    Raises:
      ValueError: the shapes differ, or there is no such axis, or no class along it.

    >>> import pydl
    >>> pydl.categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]])
    Tensor([0.6931472])
    """
    who = "categorical_crossentropy"
    t, x = same_shape(who, target, output, _NAMES)
    axis = check.axis(who, axis, x.ndim, x.shape)
    check_classes(who, x if axis == x.ndim - 1 else moveaxis(x, axis, -1), "output")
    if from_logits:
        t, x = _classes_last(who, t, axis), _classes_last(who, x, axis)
        return categorical_crossentropy_with_logits(t, x)
    p = clip_probabilities(divide(x, sum_over(x, axis=axis, keepdims=True)))
    return negative(sum_over(multiply(t, log(p)), axis=axis))


def sparse_categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """-log p_t: the categorical cross-entropy for integer labels t.

    Args:
      target: labels in [0, classes), of the shape of `output` without `axis`, or with a last axis
        of length 1 besides.
      output: probabilities p, divided by their sum and clipped to [epsilon, 1 - epsilon]; or
        logits, log p being their log-softmax.
      from_logits: whether `output` holds logits.
      axis: of the classes.

    Raises:
      TypeError: labels are not integers.
      ValueError: the shapes do not fit, or a label is out of range.

    >>> import pydl
    >>> pydl.sparse_categorical_crossentropy([1], [[0.5, 0.5]])
    Tensor([0.6931472])
    """
    who = "sparse_categorical_crossentropy"
    x = _classes_last(who, _floats(output, who), axis)
    if from_logits:
        return sparse_crossentropy(who, target, x, "target", "output")
    classes = x.shape[-1]
    labels = reshape(check_labels(who, target, x, "target", "output"), x.shape[:-1]).data
    _core.check_labels(labels, classes, who)
    chosen = equal(one_hot(labels, classes, dtype=x.dtype), 1)
    picked = sum_over(where(chosen, x, 0.0), axis=-1)
    return negative(log(clip_probabilities(divide(picked, sum_over(x, axis=-1)))))
