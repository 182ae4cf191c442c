"""Masks: bool tensors that tell which positions count; made by kernels, so that plans record them.

A mask has the first axes of the tensor that carries it, as a rule (batch, time).
"""

from __future__ import annotations

from typing import Any

from pydl import config, ops
from pydl.tensor import Tensor


def as_floats(mask: Any) -> Tensor:
    """Return 1 where a mask is True, else 0."""
    return ops.astype(mask, config.floatx())


def not_zero(x: Any) -> Tensor:
    """Return where numbers are not 0."""
    return ops.not_equal(as_floats(x), 0.0)


def any_last(mask: Tensor) -> Tensor:
    """Return whether a mask holds anywhere along its last axis."""
    return ops.not_equal(ops.max(as_floats(mask), axis=-1), 0.0)


def either(a: Tensor, b: Tensor) -> Tensor:
    """Return where one of two masks holds."""
    return ops.not_equal(ops.maximum(as_floats(a), as_floats(b)), 0.0)


def spread(mask: Tensor, x: Tensor) -> Tensor:
    """Return a mask of x's first axes with axes of 1 for the others."""
    return ops.reshape(mask, (*mask.shape, *(1,) * (x.ndim - mask.ndim)))
