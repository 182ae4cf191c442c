"""Losses: functions that return one value per sample, and classes that reduce them to a scalar.

`mean_squared_error(y_true, y_pred)` is the mean over the last axis of each sample;
`MeanSquaredError(reduction="sum_over_batch_size")(y_true, y_pred, sample_weight=None)` reduces it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydl.losses.base import FunctionLoss, Loss
from pydl.losses.classes import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    NamedLoss,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from pydl.losses.classes import registry as _registry
from pydl.losses.functions import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_hinge,
    cosine_similarity,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "FunctionLoss",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "resolve_crossentropy",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]

# The class of each function.
_CLASSES: dict[Callable[..., Any], type[NamedLoss]] = {
    cls.fn: cls for cls in map(_registry.__getitem__, _registry.names())
}


def get(identifier: Any) -> Loss:
    """Return the loss for a string, configuration, class, instance or function.

    A function (y_true, y_pred) -> one value per sample, or a scalar, is wrapped in `FunctionLoss`.

    Raises:
        ValueError: Unknown string, with close matches.
        TypeError: Something else.

    >>> get("mse").name
    'mean_squared_error'
    >>> get("categorical_crossentropi")
    Traceback (most recent call last):
    ValueError: unknown loss 'categorical_crossentropi'; did you mean 'categorical_crossentropy' \
or 'sparse_categorical_crossentropy'?
    """
    found = _registry.get(identifier)
    if isinstance(found, Loss):
        return found
    return _CLASSES[found]() if found in _CLASSES else FunctionLoss(found)


def resolve_crossentropy(true_shape: tuple[int, ...], pred_shape: tuple[int, ...]) -> Loss:
    """Return the crossentropy that "crossentropy" and "ce" mean for these shapes.

    One output: binary. Labels of a lower rank or with a last axis of 1: sparse categorical. Else
    categorical.

    >>> resolve_crossentropy((32,), (32, 10)).name
    'sparse_categorical_crossentropy'
    """
    if pred_shape[-1:] == (1,):
        return BinaryCrossentropy()
    if len(true_shape) < len(pred_shape) or true_shape[-1:] == (1,):
        return SparseCategoricalCrossentropy()
    return CategoricalCrossentropy()
