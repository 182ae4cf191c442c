"""Metrics: values over all batches of an epoch, accumulated in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl.losses import Loss, resolve_crossentropy
from pydl.losses.functions import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_hinge,
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
from pydl.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    resolve_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from pydl.metrics.base import Mean, MeanMetricWrapper, Metric, Sum
from pydl.metrics.base import registry as _registry
from pydl.metrics.confusion import (
    AUC,
    F1Score,
    FalseNegatives,
    FalsePositives,
    MeanIoU,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
    confusion_matrix,
)
from pydl.metrics.regression import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    Huber,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    R2Score,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from pydl.registry import serialize

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "F1Score",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanIoU",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "MetricByShape",
    "Poisson",
    "Precision",
    "R2Score",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "binary_accuracy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "categorical_hinge",
    "confusion_matrix",
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
    "resolve_accuracy",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "squared_hinge",
    "top_k_categorical_accuracy",
]

_BY_SHAPE = {"accuracy": "accuracy", "acc": "accuracy", "crossentropy": "loss", "ce": "loss"}


class MetricByShape(Metric):
    """The accuracy or crossentropy that the shapes of the first batch ask for.

    Args:
        name: "accuracy", "acc", "crossentropy" or "ce"; it stays the metric's name.
        dtype: See `Metric`.

    >>> metric = MetricByShape("acc")
    >>> metric([1, 0], [[0.2, 0.8], [0.4, 0.6]]), metric.name, type(metric.metric).__name__
    (0.5, 'acc', 'SparseCategoricalAccuracy')
    """

    in_plans = True
    _unrecorded = Metric._unrecorded | {"metric"}  # the first batch settles it

    def __init__(self, name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(name, dtype)
        if name not in _BY_SHAPE:
            raise ValueError(f"MetricByShape: name must be one of {list(_BY_SHAPE)}, got {name!r}")
        self.metric: Metric | None = None

    def get_state(self) -> dict[str, Any]:
        """Return what the batches left, and which metric the shapes asked for."""
        inner = self.metric
        if inner is None:
            return super().get_state()
        config = {**serialize(inner), "state": inner.get_state()}
        return {**super().get_state(), "metric": config}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` returned."""
        config = state.get("metric")
        if config is None:
            self.metric = None
            return
        made = _registry.get(config)
        if type(made) is not type(self.metric):  # recorded steps know the one that is there
            self.metric = made
        self.metric.set_state(config["state"])  # type: ignore[union-attr]

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if self.metric is None:
            shapes = np.shape(y_true), np.shape(y_pred)
            if _BY_SHAPE[self.name] == "accuracy":
                self.metric = resolve_accuracy(*shapes, name=self.name)
            else:
                self.metric = _registry[resolve_crossentropy(*shapes).name](name=self.name)
        self.metric.update_state(y_true, y_pred, sample_weight)

    def result(self) -> float:
        return 0.0 if self.metric is None else self.metric.result()

    def reset_state(self) -> None:
        if self.metric is not None:
            self.metric.reset_state()


_registry.register(MetricByShape, *_BY_SHAPE, "MetricByShape")


def get(identifier: Any) -> Metric:
    """Return the metric for a string, configuration, class, instance, loss or function.

    A string also becomes the metric's name. A function (y_true, y_pred) -> values per sample is
    averaged under its own name.

    Raises:
        ValueError: Unknown string, with close matches.
        TypeError: Something else.

    >>> get("mae").name, get("acc").name, get("cosine_similarity").name
    ('mae', 'acc', 'cosine_similarity')
    >>> get("recal")
    Traceback (most recent call last):
    ValueError: unknown metric 'recal'; did you mean 'recall'?
    """
    if isinstance(identifier, str) and identifier in _BY_SHAPE:
        return MetricByShape(identifier)
    found = _registry.get(identifier)
    if isinstance(found, Loss):
        return MeanMetricWrapper(found.call, name=found.name)
    if not isinstance(found, Metric):
        return MeanMetricWrapper(found)
    if isinstance(identifier, str):
        found.name = identifier
    return found
