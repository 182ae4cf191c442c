"""The losses by name: each is its function, reduced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydl import ops
from pydl.losses import functions
from pydl.losses.base import Loss, registry
from pydl.tensor import Tensor


class NamedLoss(Loss):
    """A loss whose per-sample values are `fn(y_true, y_pred, **options)`.

    Args:
        reduction, name, dtype: See `Loss`.
    """

    fn: Callable[..., Any]
    # Names of the attributes passed to `fn`.
    options: tuple[str, ...] = ()

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name or type(self).fn.__name__, reduction, dtype)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        return self._values(y_true, y_pred)

    def _values(self, y_true: Any, y_pred: Any, **changed: Any) -> Tensor:
        """Return the per-sample values, with some options changed."""
        options = {option: getattr(self, option) for option in self.options}
        return type(self).fn(y_true, y_pred, **{**options, **changed})

    def _prepare(self, y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
        y_true, y_pred = super()._prepare(y_true, y_pred)
        return functions.as_samples(type(self).fn, y_true, y_pred)


class _Crossentropy(NamedLoss):
    """A loss that knows its form for logits."""

    activation: str
    from_logits: bool
    axis: int

    @property
    def logits_activation(self) -> str | None:
        replaced = type(self).call is not NamedLoss.call
        return None if self.from_logits or self.axis != -1 or replaced else self.activation

    def call_with_logits(
        self, y_true: Any, logits: Any, sample_weight: Any = None, *, mask: Any = None
    ) -> Tensor:
        y_true, logits = self._prepare(y_true, logits)
        values = self._values(y_true, logits, from_logits=True)
        return self._reduce(values, y_true, sample_weight, mask)


@registry.add("mean_squared_error", "mse", "MSE")
class MeanSquaredError(NamedLoss):
    """Mean of (y_true - y_pred)^2.

    >>> MeanSquaredError()([[0.0], [2.0]], [[0.0], [0.0]]).item()
    2.0
    """

    fn = staticmethod(functions.mean_squared_error)


@registry.add("mean_absolute_error", "mae", "MAE")
class MeanAbsoluteError(NamedLoss):
    """Mean of |y_true - y_pred|."""

    fn = staticmethod(functions.mean_absolute_error)


@registry.add("mean_absolute_percentage_error", "mape", "MAPE")
class MeanAbsolutePercentageError(NamedLoss):
    """Mean of 100 |y_true - y_pred| / max(|y_true|, epsilon)."""

    fn = staticmethod(functions.mean_absolute_percentage_error)


@registry.add("mean_squared_logarithmic_error", "msle", "MSLE")
class MeanSquaredLogarithmicError(NamedLoss):
    """Mean of (log(y_pred + 1) - log(y_true + 1))^2, both at least epsilon."""

    fn = staticmethod(functions.mean_squared_logarithmic_error)


@registry.add("huber", "huber_loss")
class Huber(NamedLoss):
    """Mean of d^2/2 where |d| <= delta, else delta (|d| - delta/2), d = y_true - y_pred.

    Args:
        delta: Where the parabola becomes a line.
        reduction, name, dtype: See `Loss`.

    Source: Huber 1964, "Robust estimation of a location parameter".
    """

    fn = staticmethod(functions.huber)
    options = ("delta",)

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.delta = delta


@registry.add("log_cosh", "logcosh")
class LogCosh(NamedLoss):
    """Mean of log(cosh(y_pred - y_true))."""

    fn = staticmethod(functions.log_cosh)


@registry.add("poisson")
class Poisson(NamedLoss):
    """Mean of y_pred - y_true log(y_pred + epsilon)."""

    fn = staticmethod(functions.poisson)


@registry.add("hinge")
class Hinge(NamedLoss):
    """Mean of max(1 - y_true y_pred, 0); labels are -1 and 1, or 0 and 1."""

    fn = staticmethod(functions.hinge)


@registry.add("squared_hinge")
class SquaredHinge(NamedLoss):
    """Mean of max(1 - y_true y_pred, 0)^2; labels are -1 and 1, or 0 and 1."""

    fn = staticmethod(functions.squared_hinge)


@registry.add("categorical_hinge")
class CategoricalHinge(NamedLoss):
    """max(max((1 - t) p) - sum(t p) + 1, 0) for each sample."""

    fn = staticmethod(functions.categorical_hinge)


@registry.add("kl_divergence", "kullback_leibler_divergence", "kld", "KLD")
class KLDivergence(NamedLoss):
    """sum(t log(t / p)) for each sample, t and p clipped to [epsilon, 1]."""

    fn = staticmethod(functions.kl_divergence)


@registry.add("cosine_similarity")
class CosineSimilarity(NamedLoss):
    """-cos of the angle between y_true and y_pred: -1 where they point the same way.

    Args:
        axis: Axis of the vectors.
        reduction, name, dtype: See `Loss`.
    """

    fn = staticmethod(functions.cosine_similarity)
    options = ("axis",)

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.axis = axis


@registry.add("binary_crossentropy", "bce", "BCE")
class BinaryCrossentropy(_Crossentropy):
    """Mean of -(t log p + (1 - t) log(1 - p)).

    Args:
        from_logits: Whether `y_pred` holds logits rather than probabilities.
        label_smoothing: s in [0, 1]: t becomes t (1 - s) + s / 2.
        axis: Axis of the mean.
        reduction, name, dtype: See `Loss`.

    >>> round(BinaryCrossentropy(from_logits=True)([[1.0]], [[0.0]]).item(), 4)
    0.6931
    """

    fn = staticmethod(functions.binary_crossentropy)
    options = ("from_logits", "label_smoothing", "axis")
    activation = "sigmoid"

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.from_logits = from_logits
        self.label_smoothing = functions.check_smoothing(type(self).__name__, label_smoothing)
        self.axis = axis


@registry.add("binary_focal_crossentropy")
class BinaryFocalCrossentropy(NamedLoss):
    """Mean of (1 - q)^gamma ce; q = t p + (1 - t)(1 - p), ce the binary crossentropy.

    Args:
        apply_class_balancing: Whether to weight by alpha t + (1 - alpha)(1 - t).
        alpha: Weight of class 1.
        gamma: How much well-classified samples count less.
        from_logits: Whether `y_pred` holds logits rather than probabilities.
        label_smoothing: s in [0, 1]: t becomes t (1 - s) + s / 2.
        axis: Axis of the mean.
        reduction, name, dtype: See `Loss`.

    Source: Lin et al. 2017, "Focal loss for dense object detection".
    """

    fn = staticmethod(functions.binary_focal_crossentropy)
    options = ("apply_class_balancing", "alpha", "gamma", "from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.apply_class_balancing = apply_class_balancing
        self.alpha = alpha
        self.gamma = gamma
        self.from_logits = from_logits
        self.label_smoothing = functions.check_smoothing(type(self).__name__, label_smoothing)
        self.axis = axis


@registry.add("categorical_crossentropy")
class CategoricalCrossentropy(_Crossentropy):
    """-sum(t log p) for each sample; y_true is one-hot.

    Args:
        from_logits: Whether `y_pred` holds logits rather than probabilities.
        label_smoothing: s in [0, 1]: t becomes t (1 - s) + s / classes.
        axis: Axis of the classes.
        reduction, name, dtype: See `Loss`.

    >>> loss = CategoricalCrossentropy(from_logits=True)
    >>> round(loss([[1.0, 0.0]], [[2.0, 2.0]]).item(), 4)
    0.6931
    """

    fn = staticmethod(functions.categorical_crossentropy)
    options = ("from_logits", "label_smoothing", "axis")
    activation = "softmax"

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.from_logits = from_logits
        self.label_smoothing = functions.check_smoothing(type(self).__name__, label_smoothing)
        self.axis = axis


@registry.add("sparse_categorical_crossentropy")
class SparseCategoricalCrossentropy(_Crossentropy):
    """-log p[t] for each sample; y_true holds integer labels t.

    Args:
        from_logits: Whether `y_pred` holds logits rather than probabilities.
        ignore_class: Label whose entries do not count.
        reduction, name, dtype: See `Loss`.
        axis: Axis of the classes.

    >>> loss = SparseCategoricalCrossentropy(from_logits=True)
    >>> round(loss([0, 1], [[2.0, 2.0], [2.0, 2.0]]).item(), 4)
    0.6931
    """

    fn = staticmethod(functions.sparse_categorical_crossentropy)
    options = ("from_logits", "ignore_class", "axis")
    activation = "softmax"

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis

    def _counted(self, y_true: Tensor, mask: Any) -> Tensor | None:
        counted = super()._counted(y_true, mask)
        if self.ignore_class is None:
            return counted
        kept = Tensor(y_true.numpy() != self.ignore_class)
        return kept if counted is None else ops.logical_and(kept.reshape(counted.shape), counted)
