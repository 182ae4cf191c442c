"""Loss: per-sample values, weighted and reduced to a scalar."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pydl import ops
from pydl.losses.functions import as_tensor
from pydl.registry import Configurable, Registry, snake_case
from pydl.tensor import Tensor

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none")


class Loss(Configurable):
    """Base of the losses: subclasses implement `call(y_true, y_pred)`, one value per sample.

    Args:
        name: Name; None makes one from the class.
        reduction: "sum_over_batch_size" (also "mean"): sum over all entries of the per-sample loss
            divided by their number; "sum"; "mean_with_sample_weight": divided by the sum of the
            weights; "none" or None: no reduction.
        dtype: Float type of the computation; None takes that of the predictions.

    Sample weights multiply the per-sample losses and are not normalised.

    >>> class Largest(Loss):
    ...     def call(self, y_true, y_pred):
    ...         return ops.max(ops.abs(y_true - y_pred), axis=-1)
    >>> Largest()([[1.0, 2.0]], [[0.0, 0.0]]).item()
    2.0
    """

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        reduction = "none" if reduction is None else reduction
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"{type(self).__name__}: reduction must be one of {REDUCTIONS} or None, "
                f"got {reduction!r}"
            )
        self.name = name or snake_case(type(self).__name__)
        self.reduction = reduction
        self.dtype = dtype

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return one value per sample."""
        raise NotImplementedError(f"{type(self).__name__} must implement call(y_true, y_pred)")

    def __call__(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, *, mask: Any = None
    ) -> Tensor:
        """Return the reduced loss.

        Args:
            y_true: Targets.
            y_pred: Predictions.
            sample_weight: One weight per sample, or per entry of the per-sample loss.
            mask: True for the entries of the per-sample loss that count; the mean is over them.
        """
        y_true, y_pred = self._prepare(y_true, y_pred)
        return self._reduce(self.call(y_true, y_pred), y_true, sample_weight, mask)

    @property
    def logits_activation(self) -> str | None:
        """The activation that `call_with_logits` includes: "softmax", "sigmoid", or None."""
        return None

    def call_with_logits(
        self, y_true: Any, logits: Any, sample_weight: Any = None, *, mask: Any = None
    ) -> Tensor:
        """Return the reduced loss of activation(logits), computed from the logits themselves."""
        raise NotImplementedError(f"{type(self).__name__} has no form for logits")

    def _prepare(self, y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
        """Return targets and predictions as Tensors."""
        return as_tensor(y_true), as_tensor(y_pred, self.dtype)

    def _counted(self, y_true: Tensor, mask: Any) -> Tensor | None:
        """Return True for the entries that count, None where all do."""
        return None if mask is None else as_tensor(mask)

    def _reduce(self, values: Any, y_true: Tensor, sample_weight: Any, mask: Any) -> Tensor:
        """Return the weighted and reduced per-sample losses."""
        values = as_tensor(values)
        counted = self._counted(y_true, mask)
        weights = None
        if sample_weight is not None:
            weights = fit_weights(as_tensor(sample_weight, values.dtype), values.shape)
        if counted is not None:
            kept = ops.astype(counted, values.dtype)
            if counted.dtype != bool:
                kept = ops.astype(ops.not_equal(kept, 0.0), values.dtype)
            if self.reduction in ("mean", "sum_over_batch_size"):
                kept = kept * (kept.size / ops.maximum(ops.sum(kept), 1.0))
            kept = fit_weights(kept, values.shape)
            values = ops.where(ops.equal(kept, 0), 0.0, values)
            weights = kept if weights is None else weights * kept
        if weights is not None:
            values = values * weights
        if self.reduction == "none" or values.ndim == 0:
            return values
        if self.reduction == "sum" or not values.size:
            return ops.sum(values)
        if self.reduction == "mean_with_sample_weight" and weights is not None:
            total = float(np.broadcast_to(weights.numpy(), values.shape).sum(dtype=np.float64))
            return ops.sum(values) / total if total else ops.sum(values) * 0.0
        return ops.mean(values)


registry: Registry[Any] = Registry("loss", base=Loss)


def fit_weights(weights: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return weights that broadcast to per-sample losses of `shape`.

    One weight per sample is spread over the sample's entries; a trailing axis of 1 is dropped.

    Raises:
        ValueError: The shapes do not fit.
    """
    given = weights.shape
    if weights.ndim == len(shape) + 1 and given[-1] == 1:
        weights = weights.reshape(given[:-1])
    elif 0 < weights.ndim < len(shape):
        weights = weights.reshape((*given, *(1,) * (len(shape) - weights.ndim)))
    same_rank = weights.ndim == len(shape)
    fits = same_rank and all(m in (1, n) for m, n in zip(weights.shape, shape, strict=True))
    if weights.ndim and not fits:
        raise ValueError(
            f"sample_weight: shape {given} does not fit per-sample values of shape {shape}; "
            "pass one weight per sample"
        )
    return weights


class FunctionLoss(Loss):
    """The reduced form of a function (y_true, y_pred) -> one value per sample, or a scalar.

    >>> FunctionLoss(lambda t, p: ops.abs(t - p), name="distance")([1.0], [3.0]).item()
    2.0
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", type(fn).__name__), reduction, dtype)
        self.fn = fn

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.fn(y_true, y_pred)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FunctionLoss:
        """Return a new object made with the arguments in `config`."""
        return cls(**{**config, "fn": registry.function(config["fn"])})


registry.register(FunctionLoss, "FunctionLoss", listed=False)
