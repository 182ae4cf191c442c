"""Undoes broadcasting and promotion in a gradient; the only place that does."""

from __future__ import annotations

from pydl import _core
from pydl.autograd import recording
from pydl.tensor import Tensor, wrap


def unbroadcast(g: Tensor, x: Tensor) -> Tensor:
    """Sums g over the axes along which x was stretched, and gives it x's dtype."""
    if recording() and g._node is not None:
        return _recorded(g, x)
    data = g.data
    if data.shape != x.data.shape:
        data = _core.sum(data, _stretched(g, x), False).reshape(x.data.shape)
    if data.dtype != x.data.dtype:
        data = _core.cast(data, x.data.dtype == "float64")
    return g if data is g.data else wrap(data)


def _stretched(g: Tensor, x: Tensor) -> tuple[int, ...]:
    """The axes along which x was stretched."""
    added = g.ndim - x.ndim
    return tuple(
        i for i in range(g.ndim) if i < added or (x.shape[i - added] == 1 and g.shape[i] != 1)
    )


def _recorded(g: Tensor, x: Tensor) -> Tensor:
    """The same made of operations, where the gradient is to have a gradient."""
    from pydl.ops import elementwise, reduce, shape

    if g.shape != x.shape:
        g = shape.reshape(reduce.sum(g, _stretched(g, x)), x.shape)
    return elementwise.astype(g, x.dtype)
