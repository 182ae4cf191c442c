"""Penalties on weights and outputs: l1 * sum|w| + l2 * sum(w^2), added to the loss.

There is no factor 1/2 and no division by the batch size. Any callable that takes a weight and
returns a scalar Tensor is a regularizer too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pydl import ops
from pydl.registry import Configurable, Registry
from pydl.tensor import Tensor

_registry: Registry[Any] = Registry("regularizer")


def _factor(owner: Regularizer, name: str, value: Any) -> float:
    """Return a penalty factor as a float, or raise unless it is finite and at least 0."""
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise TypeError(f"{type(owner).__name__}: {name} must be a number, got {value!r}")
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(
            f"{type(owner).__name__}: {name} must be finite and at least 0, got {value!r}"
        )
    return float(value)


class Regularizer(Configurable):
    """Base of the regularizers: subclasses implement `__call__(w)`, returning a scalar Tensor."""

    def __call__(self, w: Tensor) -> Tensor:
        """Return the penalty of `w`."""
        raise NotImplementedError(f"{type(self).__name__} must implement __call__(w)")


@_registry.add("L1L2", "l1l2")
class L1L2(Regularizer):
    """l1 * sum|w| + l2 * sum(w^2).

    >>> import pydl
    >>> L1L2(l1=0.5, l2=0.25)(pydl.tensor([1.0, -2.0])).item()
    2.75
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = _factor(self, "l1", l1)
        self.l2 = _factor(self, "l2", l2)

    def __call__(self, w: Tensor) -> Tensor:
        if not self.l1:
            return self.l2 * ops.sum(ops.square(w))
        penalty = self.l1 * ops.sum(ops.abs(w))
        return penalty + self.l2 * ops.sum(ops.square(w)) if self.l2 else penalty


@_registry.add("l1")
class L1(Regularizer):
    """l1 * sum|w|."""

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = _factor(self, "l1", l1)

    def __call__(self, w: Tensor) -> Tensor:
        return self.l1 * ops.sum(ops.abs(w))


@_registry.add("l2")
class L2(Regularizer):
    """l2 * sum(w^2)."""

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = _factor(self, "l2", l2)

    def __call__(self, w: Tensor) -> Tensor:
        return self.l2 * ops.sum(ops.square(w))


def l1_l2(l1: float = 0.01, l2: float = 0.01) -> L1L2:
    """Return L1L2(l1, l2), with other defaults."""
    return L1L2(l1=l1, l2=l2)


l1 = L1
l2 = L2


def get(identifier: Any) -> Callable[[Tensor], Any] | None:
    """Return the regularizer for a string, configuration, class or callable; None stays None.

    Raises:
        ValueError: Unknown string, with close matches.
        TypeError: Something else.

    >>> get("l2").l2
    0.01
    """
    if identifier == "l1_l2":
        return l1_l2()
    return None if identifier is None else _registry.get(identifier)
