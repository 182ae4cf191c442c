"""The losses as metrics, and other measures of how far predictions are from targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl.losses import functions
from pydl.metrics.base import Metric, NamedMetric, registry, to_array, weights_for
from pydl.tensor import Tensor, host_read


@registry.add("mean_squared_error", "mse", "MSE")
class MeanSquaredError(NamedMetric):
    """Mean of (y_true - y_pred)^2.

    >>> MeanSquaredError()([[0.0], [2.0]], [[0.0], [0.0]])
    2.0
    """

    function = staticmethod(functions.mean_squared_error)

    def __init__(self, name: str | None = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)


@registry.add("mean_absolute_error", "mae", "MAE")
class MeanAbsoluteError(NamedMetric):
    """Mean of |y_true - y_pred|."""

    function = staticmethod(functions.mean_absolute_error)

    def __init__(self, name: str | None = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)


@registry.add("mean_absolute_percentage_error", "mape", "MAPE")
class MeanAbsolutePercentageError(NamedMetric):
    """Mean of 100 |y_true - y_pred| / max(|y_true|, epsilon)."""

    function = staticmethod(functions.mean_absolute_percentage_error)

    def __init__(
        self, name: str | None = "mean_absolute_percentage_error", dtype: Any = None
    ) -> None:
        super().__init__(name, dtype)


@registry.add("mean_squared_logarithmic_error", "msle", "MSLE")
class MeanSquaredLogarithmicError(NamedMetric):
    """Mean of (log(y_pred + 1) - log(y_true + 1))^2, both at least epsilon."""

    function = staticmethod(functions.mean_squared_logarithmic_error)

    def __init__(
        self, name: str | None = "mean_squared_logarithmic_error", dtype: Any = None
    ) -> None:
        super().__init__(name, dtype)


@registry.add("log_cosh", "logcosh", "log_cosh_error")
class LogCoshError(NamedMetric):
    """Mean of log(cosh(y_pred - y_true))."""

    function = staticmethod(functions.log_cosh)

    def __init__(self, name: str | None = "logcosh", dtype: Any = None) -> None:
        super().__init__(name, dtype)


@registry.add("poisson")
class Poisson(NamedMetric):
    """Mean of y_pred - y_true log(y_pred + epsilon)."""

    function = staticmethod(functions.poisson)

    def __init__(self, name: str | None = "poisson", dtype: Any = None) -> None:
        super().__init__(name, dtype)


@registry.add("kl_divergence", "kullback_leibler_divergence", "kld", "KLD")
class KLDivergence(NamedMetric):
    """Mean over the samples of sum(t log(t / p))."""

    function = staticmethod(functions.kl_divergence)

    def __init__(self, name: str | None = "kl_divergence", dtype: Any = None) -> None:
        super().__init__(name, dtype)


@registry.add("hinge")
class Hinge(NamedMetric):
    """Mean of max(1 - y_true y_pred, 0); labels are -1 and 1, or 0 and 1."""

    function = staticmethod(functions.hinge)

    def __init__(self, name: str | None = "hinge", dtype: Any = None) -> None:
        super().__init__(name, dtype)


@registry.add("squared_hinge")
class SquaredHinge(NamedMetric):
    """Mean of max(1 - y_true y_pred, 0)^2; labels are -1 and 1, or 0 and 1."""

    function = staticmethod(functions.squared_hinge)

    def __init__(self, name: str | None = "squared_hinge", dtype: Any = None) -> None:
        super().__init__(name, dtype)


@registry.add("categorical_hinge")
class CategoricalHinge(NamedMetric):
    """Mean over the samples of max(max((1 - t) p) - sum(t p) + 1, 0)."""

    function = staticmethod(functions.categorical_hinge)

    def __init__(self, name: str | None = "categorical_hinge", dtype: Any = None) -> None:
        super().__init__(name, dtype)


@registry.add("huber", "huber_loss")
class Huber(NamedMetric):
    """Mean of d^2/2 where |d| <= delta, else delta (|d| - delta/2), d = y_true - y_pred."""

    function = staticmethod(functions.huber)

    def __init__(self, name: str | None = "huber", dtype: Any = None, delta: float = 1.0) -> None:
        super().__init__(name, dtype, delta=delta)


@registry.add("binary_crossentropy", "bce", "BCE")
class BinaryCrossentropy(NamedMetric):
    """Mean of -(t log p + (1 - t) log(1 - p)); see the loss of this name."""

    function = staticmethod(functions.binary_crossentropy)

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(name, dtype, from_logits=from_logits, label_smoothing=label_smoothing)


@registry.add("binary_focal_crossentropy")
class BinaryFocalCrossentropy(NamedMetric):
    """Mean of (1 - q)^gamma ce; see the loss of this name."""

    function = staticmethod(functions.binary_focal_crossentropy)

    def __init__(
        self,
        name: str | None = "binary_focal_crossentropy",
        dtype: Any = None,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name, dtype, alpha=alpha, gamma=gamma, from_logits=from_logits)


@registry.add("categorical_crossentropy")
class CategoricalCrossentropy(NamedMetric):
    """Mean over the samples of -sum(t log p); see the loss of this name."""

    function = staticmethod(functions.categorical_crossentropy)

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
    ) -> None:
        super().__init__(
            name, dtype, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis
        )


@registry.add("sparse_categorical_crossentropy")
class SparseCategoricalCrossentropy(NamedMetric):
    """Mean over the samples of -log p[t] for integer labels t; see the loss of this name."""

    function = staticmethod(functions.sparse_categorical_crossentropy)

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype, from_logits=from_logits, axis=axis)


def _cosine(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """Return the cosine of the angle between y_true and y_pred."""
    return -functions.cosine_similarity(y_true, y_pred, axis=axis)


@registry.add("cosine_similarity")
class CosineSimilarity(NamedMetric):
    """Mean cosine of the angle between y_true and y_pred: 1 where they point the same way.

    >>> CosineSimilarity()([[0.0, 2.0]], [[0.0, 1.0]])
    1.0
    """

    function = staticmethod(_cosine)

    def __init__(
        self, name: str | None = "cosine_similarity", dtype: Any = None, axis: int = -1
    ) -> None:
        super().__init__(name, dtype, axis=axis)


@registry.add("root_mean_squared_error", "rmse", "RMSE")
class RootMeanSquaredError(NamedMetric):
    """sqrt of the mean of (y_true - y_pred)^2 over all batches.

    >>> RootMeanSquaredError()([[0.0], [2.0]], [[0.0], [0.0]]) == 2.0**0.5
    True
    """

    function = staticmethod(functions.mean_squared_error)

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def result(self) -> float:
        return super().result() ** 0.5


@registry.add("r2_score")
class R2Score(Metric):
    """1 - sum (t - p)^2 / sum (t - mean t)^2 for each output.

    Args:
        class_aggregation: "uniform_average" (mean over the outputs), "variance_weighted_average",
            or None for one value per output.
        num_regressors: n adjusts the result: 1 - (1 - r2)(N - 1) / (N - n - 1) for N samples.
        name, dtype: See `Metric`.

    >>> R2Score()([[1.0], [2.0], [3.0]], [[1.0], [2.0], [2.0]])
    0.5
    """

    _origin: np.ndarray | None  # subtracted from the targets, so that their squares do not cancel
    _sum: Any
    _squares: Any
    _residual: Any
    _weight: Any
    _samples: int

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype)
        choices = (None, "uniform_average", "variance_weighted_average")
        if class_aggregation not in choices:
            raise ValueError(
                f"R2Score: class_aggregation must be one of {choices}, got {class_aggregation!r}"
            )
        if num_regressors < 0:
            raise ValueError(f"R2Score: num_regressors must be at least 0, got {num_regressors}")
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors
        self.reset_state()

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        true = to_array(y_true).astype(np.float64)
        pred = to_array(y_pred).astype(np.float64)
        true = true[:, np.newaxis] if true.ndim == 1 else true
        pred = pred[:, np.newaxis] if pred.ndim == 1 else pred
        if true.ndim != 2 or true.shape != pred.shape:
            raise ValueError(
                f"R2Score: y_true and y_pred must have one shape (samples, outputs), got "
                f"{true.shape} and {pred.shape}"
            )
        weights = np.ones(true.shape)
        if sample_weight is not None:
            weights = weights_for(sample_weight, true.shape)
        if self._origin is None:
            self._origin = true[0] if len(true) else np.zeros(true.shape[1])
        shifted = true - self._origin
        self._sum = self._sum + (weights * shifted).sum(axis=0)
        self._squares = self._squares + (weights * shifted**2).sum(axis=0)
        self._residual = self._residual + (weights * (true - pred) ** 2).sum(axis=0)
        self._weight = self._weight + weights.sum(axis=0)
        self._samples += len(true)

    def result(self) -> Any:
        host_read("Metric.result")
        if not self._samples:
            return 0.0
        total = self._squares - self._sum**2 / self._weight
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = 1.0 - self._residual / total
        scores = np.where(np.isinf(scores), 0.0, scores)
        score: Any = scores
        if self.class_aggregation == "uniform_average":
            score = float(scores.mean())
        elif self.class_aggregation == "variance_weighted_average":
            score = float((scores * total).sum() / total.sum())
        free = self._samples - self.num_regressors - 1
        if self.num_regressors and free > 0:
            score = 1.0 - (1.0 - score) * (self._samples - 1) / free
        return score

    def reset_state(self) -> None:
        self._origin = None
        self._sum = self._squares = self._residual = self._weight = 0.0
        self._samples = 0
