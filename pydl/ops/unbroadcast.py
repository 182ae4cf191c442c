"""Undoes broadcasting and promotion in a gradient; the only place that does."""

from __future__ import annotations

from pydl import _core
from pydl.tensor import Tensor, wrap


def unbroadcast(g: Tensor, x: Tensor) -> Tensor:
    """Sums g over the axes along which x was stretched, and gives it x's dtype."""
    data = g.data
    if data.shape != x.data.shape:
        added = data.ndim - x.data.ndim
        stretched = [
            i
            for i in range(data.ndim)
            if i < added or (x.data.shape[i - added] == 1 and data.shape[i] != 1)
        ]
        data = _core.sum(data, tuple(stretched), False).reshape(x.data.shape)
    if data.dtype != x.data.dtype:
        data = _core.cast(data, x.data.dtype == "float64")
    return g if data is g.data else wrap(data)
