"""Accuracies: shares of correct predictions, and the choice among them by the shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl import _core, config
from pydl.losses.functions import align
from pydl.metrics.base import Metric, NamedMetric, registry, to_array
from pydl.tensor import Tensor, wrap


def _matches(matches: np.ndarray) -> Tensor:
    """Return True and False as 1 and 0."""
    return Tensor(matches.astype(config.floatx()))


def _equal(a: np.ndarray, b: np.ndarray) -> Tensor:
    """Return 1 where a equals b, else 0."""
    y = _core.matches(a, b, config.floatx() == "float64")
    return _matches(a == b) if y is None else wrap(y)


def _largest(x: np.ndarray) -> np.ndarray:
    """Return the index of the first largest entry on the last axis."""
    floats = x if x.dtype.kind == "f" else _core.cast(x, True)
    return _core.argmax(floats, (floats.ndim - 1,))


def _array(value: Any) -> np.ndarray:
    """Return a Tensor, array or number as an array."""
    return value.data if isinstance(value, Tensor) else np.asarray(value)


def _aligned(who: str, y_true: Any, y_pred: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return both as arrays of one shape, or raise."""
    true, pred = _array(y_true), _array(y_pred)
    shapes = true.shape, pred.shape
    if true.shape != pred.shape:
        true, pred = align(true, pred)
    if true.shape != pred.shape:
        raise ValueError(
            f"{who}: y_true has shape {shapes[0]}, y_pred has shape {shapes[1]}; they must be equal"
        )
    return true, pred


def _labels(who: str, y_true: Any, pred_shape: tuple[int, ...]) -> np.ndarray:
    """Return integer labels of the predictions' shape without the classes, or raise."""
    labels = _array(y_true)
    if labels.ndim == len(pred_shape) and labels.shape[-1:] == (1,):
        labels = labels[..., 0]
    if labels.shape != pred_shape[:-1]:
        raise ValueError(
            f"{who}: y_true must hold one label for each of {pred_shape[:-1]}, got shape "
            f"{np.shape(y_true)}"
        )
    return labels


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Tensor:
    """Return 1 where (y_pred > threshold) equals y_true, else 0.

    >>> binary_accuracy([[1], [1]], [[0.5], [0.6]]).numpy()
    array([[0.],
           [1.]], dtype=float32)
    """
    true, pred = _aligned("binary_accuracy", y_true, y_pred)
    above = _core.greater(pred, float(threshold))
    return _equal(true, pred > threshold if above is None else above)


def categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """Return 1 where the largest entries on the last axis agree, else 0; the first one counts.

    >>> categorical_accuracy([[0, 1]], [[0.2, 0.8]]).numpy()
    array([1.], dtype=float32)
    """
    true, pred = _aligned("categorical_accuracy", y_true, y_pred)
    return _equal(_largest(true), _largest(pred))


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """Return 1 where the label is the index of the largest entry, else 0; the first one counts.

    >>> sparse_categorical_accuracy([1, 0], [[0.2, 0.8], [0.4, 0.6]]).numpy()
    array([1., 0.], dtype=float32)
    """
    pred = _array(y_pred)
    return _equal(_labels("sparse_categorical_accuracy", y_true, pred.shape), _largest(pred))


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """Return 1 where fewer than k entries are larger than that of the one-hot class, else 0."""
    true, pred = _aligned("top_k_categorical_accuracy", y_true, y_pred)
    return _matches(_in_top_k(true.argmax(axis=-1), pred, k))


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """Return 1 where fewer than k entries are larger than that of the label, else 0.

    >>> sparse_top_k_categorical_accuracy([2, 0], [[0.1, 0.5, 0.4], [0.1, 0.5, 0.4]], k=2).numpy()
    array([1., 0.], dtype=float32)
    """
    pred = to_array(y_pred)
    labels = _labels("sparse_top_k_categorical_accuracy", y_true, pred.shape).astype(np.int64)
    return _matches(_in_top_k(labels, pred, k))


def _in_top_k(labels: np.ndarray, pred: np.ndarray, k: int) -> np.ndarray:
    """Return whether fewer than `k` entries of each row are larger than the label's."""
    inside = (labels >= 0) & (labels < pred.shape[-1])
    chosen = np.where(inside, labels, 0)[..., np.newaxis]
    return inside & ((pred > np.take_along_axis(pred, chosen, axis=-1)).sum(axis=-1) < k)


def exact_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """Return 1 where y_pred equals y_true, else 0."""
    true, pred = _aligned("Accuracy", y_true, y_pred)
    return _equal(true, pred)


@registry.add("Accuracy")
class Accuracy(NamedMetric):
    """Share of entries of y_pred that equal y_true.

    >>> Accuracy()([[1], [2]], [[1], [3]])
    0.5
    """

    function = staticmethod(exact_accuracy)

    def __init__(self, name: str | None = "accuracy", dtype: Any = None) -> None:
        super().__init__(name, dtype)


@registry.add("binary_accuracy")
class BinaryAccuracy(NamedMetric):
    """Share of entries with (y_pred > threshold) equal to y_true.

    Args:
        name, dtype: See `Metric`.
        threshold: Predictions strictly above it count as 1.

    >>> BinaryAccuracy()([[1], [1]], [[0.5], [0.6]])
    0.5
    """

    function = staticmethod(binary_accuracy)

    def __init__(
        self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5
    ) -> None:
        super().__init__(name, dtype, threshold=threshold)


@registry.add("categorical_accuracy")
class CategoricalAccuracy(NamedMetric):
    """Share of samples whose largest prediction is at the largest entry of the one-hot target.

    >>> CategoricalAccuracy()([[0, 1], [1, 0]], [[0.2, 0.8], [0.4, 0.6]])
    0.5
    """

    function = staticmethod(categorical_accuracy)

    def __init__(self, name: str | None = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(name, dtype)


@registry.add("sparse_categorical_accuracy")
class SparseCategoricalAccuracy(NamedMetric):
    """Share of samples whose largest prediction is at the integer label.

    >>> SparseCategoricalAccuracy()([1, 0], [[0.2, 0.8], [0.4, 0.6]])
    0.5
    """

    function = staticmethod(sparse_categorical_accuracy)

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(name, dtype)


@registry.add("top_k_categorical_accuracy")
class TopKCategoricalAccuracy(NamedMetric):
    """Share of samples whose one-hot class is among the k largest predictions."""

    function = staticmethod(top_k_categorical_accuracy)

    def __init__(
        self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(name, dtype, k=k)


@registry.add("sparse_top_k_categorical_accuracy")
class SparseTopKCategoricalAccuracy(NamedMetric):
    """Share of samples whose integer label is among the k largest predictions."""

    function = staticmethod(sparse_top_k_categorical_accuracy)

    def __init__(
        self, k: int = 5, name: str | None = "sparse_top_k_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(name, dtype, k=k)


def resolve_accuracy(
    true_shape: tuple[int, ...], pred_shape: tuple[int, ...], name: str = "accuracy"
) -> Metric:
    """Return the accuracy that "accuracy" and "acc" mean for these shapes.

    One output: binary. Labels of a lower rank or with a last axis of 1: sparse categorical. Else
    categorical.

    >>> type(resolve_accuracy((32,), (32, 10))).__name__
    'SparseCategoricalAccuracy'
    """
    if pred_shape[-1:] == (1,):
        return BinaryAccuracy(name)
    if len(true_shape) < len(pred_shape) or true_shape[-1:] == (1,):
        return SparseCategoricalAccuracy(name)
    return CategoricalAccuracy(name)
