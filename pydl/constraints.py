"""What a weight must satisfy; applied to it after each update by the optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydl import config, ops
from pydl.registry import Configurable, Registry
from pydl.tensor import Tensor

_registry: Registry[Any] = Registry("constraint")


class Constraint(Configurable):
    """Base of the constraints: subclasses implement `__call__(w)`, returning the new value."""

    def __call__(self, w: Tensor) -> Tensor:
        """Return the value that replaces `w`."""
        raise NotImplementedError(f"{type(self).__name__} must implement __call__(w)")


def _norm(w: Tensor, axis: Any) -> Tensor:
    """Return the l2 norm over `axis`, which stays with size 1."""
    axis = tuple(axis) if isinstance(axis, list) else axis
    return ops.sqrt(ops.sum(ops.square(w), axis=axis, keepdims=True))


@_registry.add("max_norm")
class MaxNorm(Constraint):
    """w * clip(n, 0, max_value) / (n + epsilon), n = norm of w over `axis`.

    Args:
        max_value: Largest norm.
        axis: Axis or axes of the norm: 0 for the weights into each unit of a Dense kernel,
            (0, 1, 2) for those of a Conv2D kernel.

    Source: Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from
    overfitting", section 5.1.
    """

    def __init__(self, max_value: float = 2, axis: Any = 0) -> None:
        self.max_value = max_value
        self.axis = axis

    def __call__(self, w: Tensor) -> Tensor:
        norm = _norm(w, self.axis)
        return w * (ops.clip(norm, 0, self.max_value) / (norm + config.epsilon()))


@_registry.add("non_neg")
class NonNeg(Constraint):
    """max(w, 0)."""

    def __call__(self, w: Tensor) -> Tensor:
        return ops.maximum(w, 0)


@_registry.add("unit_norm")
class UnitNorm(Constraint):
    """w / (n + epsilon), n = norm of w over `axis`."""

    def __init__(self, axis: Any = 0) -> None:
        self.axis = axis

    def __call__(self, w: Tensor) -> Tensor:
        return w / (_norm(w, self.axis) + config.epsilon())


@_registry.add("min_max_norm")
class MinMaxNorm(Constraint):
    """w * (rate * clip(n, min_value, max_value) + (1 - rate) * n) / (n + epsilon).

    Args:
        min_value: Smallest norm.
        max_value: Largest norm.
        rate: 1.0 enforces the bounds at once, less moves towards them.
        axis: Axis or axes of the norm n.
    """

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = 0
    ) -> None:
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def __call__(self, w: Tensor) -> Tensor:
        norm = _norm(w, self.axis)
        wanted = self.rate * ops.clip(norm, self.min_value, self.max_value)
        return w * ((wanted + (1 - self.rate) * norm) / (norm + config.epsilon()))


def get(identifier: Any) -> Callable[[Tensor], Any] | None:
    """Return the constraint for a string, configuration, class or callable; None stays None.

    Raises:
        ValueError: Unknown string, with close matches.
        TypeError: Something else.

    >>> get("max_norm")
    MaxNorm(max_value=2, axis=0)
    """
    return None if identifier is None else _registry.get(identifier)


# Keras also writes the classes as functions: `constraints.max_norm(3)`.
max_norm = MaxNorm
non_neg = NonNeg
unit_norm = UnitNorm
min_max_norm = MinMaxNorm
