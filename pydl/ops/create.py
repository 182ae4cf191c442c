"""Tensors made from nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl import check, config
from pydl.ops.elementwise import where
from pydl.ops.promote import as_tensor
from pydl.tensor import Tensor, constant, dtype_of, host_read, to_array, wrap


def _dtype(who: str, dtype: Any) -> np.dtype[Any]:
    return dtype_of(config.floatx() if dtype is None else dtype, who)


def zeros(shape: Any, dtype: Any = None) -> Tensor:
    """Zeros of a shape; `config.floatx()` by default.

    >>> import pydl
    >>> pydl.zeros((2, 2))
    Tensor([[0., 0.],
            [0., 0.]])
    """
    return wrap(constant(np.zeros(check.shape("zeros", shape), _dtype("zeros", dtype))))


def ones(shape: Any, dtype: Any = None) -> Tensor:
    """Ones of a shape; `config.floatx()` by default."""
    return wrap(constant(np.ones(check.shape("ones", shape), _dtype("ones", dtype))))


def empty(shape: Any, dtype: Any = None) -> Tensor:
    """A tensor of a shape with arbitrary values; `config.floatx()` by default."""
    return wrap(constant(np.empty(check.shape("empty", shape), _dtype("empty", dtype))))


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """One value in a shape; the dtype is that of the value by default.

    >>> import pydl
    >>> pydl.full((2,), 7)
    Tensor([7, 7], dtype=int64)
    """
    value = to_array(fill_value, dtype, "full")
    if value.ndim:
        raise ValueError(f"full: fill_value must be one number, got shape {value.shape}")
    filled = np.full(check.shape("full", shape), value)
    return wrap(constant(filled) if isinstance(fill_value, (int, float)) else filled)


def zeros_like(x: Any, /, dtype: Any = None) -> Tensor:
    """Zeros of x's shape and dtype."""
    x = as_tensor(x, "zeros_like")
    return zeros(x.shape, x.dtype if dtype is None else dtype)


def ones_like(x: Any, /, dtype: Any = None) -> Tensor:
    """Ones of x's shape and dtype."""
    x = as_tensor(x, "ones_like")
    return ones(x.shape, x.dtype if dtype is None else dtype)


def empty_like(x: Any, /, dtype: Any = None) -> Tensor:
    """Arbitrary values of x's shape and dtype."""
    x = as_tensor(x, "empty_like")
    return empty(x.shape, x.dtype if dtype is None else dtype)


def full_like(x: Any, /, fill_value: Any, dtype: Any = None) -> Tensor:
    """One value in x's shape and dtype."""
    x = as_tensor(x, "full_like")
    return full(x.shape, fill_value, x.dtype if dtype is None else dtype)


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None) -> Tensor:
    """Ones on the k-th diagonal of an n_rows x n_cols matrix, zeros elsewhere."""
    shape = check.shape("eye", (n_rows, n_rows if n_cols is None else n_cols))
    rows, columns = shape
    ones = np.eye(rows, columns, k=check.integer("eye", "k", k), dtype=_dtype("eye", dtype))
    return wrap(constant(ones))


def arange(start: Any, /, stop: Any = None, step: Any = 1, dtype: Any = None) -> Tensor:
    """start, start + step, ... below stop; integers give int64, floats `config.floatx()`.

    ValueError for numbers that an integer dtype cannot hold.

    >>> import pydl
    >>> pydl.arange(3)
    Tensor([0, 1, 2], dtype=int64)
    """
    if stop is None:
        start, stop = 0, start
    if step == 0:
        raise ValueError("arange: step must not be 0")
    if dtype is None:
        floats = any(isinstance(v, (float, np.floating)) for v in (start, stop, step))
        dtype = config.floatx() if floats else np.int64
    length = int(max(0, np.ceil((stop - start) / step)))
    check.shape("arange", length)
    values, wanted = np.arange(start, stop, step), dtype_of(dtype, "arange")
    if values.dtype != wanted:
        check.fits("arange", values, wanted)
    return wrap(constant(values.astype(wanted, copy=False)))


def linspace(
    start: Any, stop: Any, /, num: int = 50, *, dtype: Any = None, endpoint: bool = True
) -> Tensor:
    """num evenly spaced numbers from start to stop, stop included if `endpoint`.

    Arrays or tensors of starts and stops give a new first axis.

    >>> import pydl
    >>> pydl.linspace(0, 1, 3)
    Tensor([0. , 0.5, 1. ])
    """
    who = "linspace"
    (n,) = check.shape(who, num)
    if isinstance(start, Tensor) or isinstance(stop, Tensor):
        host_read(who)
    first, last = (to_array(v, np.float64, who) for v in (start, stop))
    values, wanted = np.linspace(first, last, n, endpoint=endpoint), _dtype(who, dtype)
    check.fits(who, values, wanted)
    return wrap(constant(values.astype(wanted)))


def tril(x: Any, /, *, k: int = 0) -> Tensor:
    """The matrix (or stack of matrices) x, (..., m, n), with zeros above the k-th diagonal.

    Raises:
      ValueError: x has fewer than two axes.
      TypeError: k is no integer.

    >>> import pydl
    >>> pydl.tril(pydl.ones((2, 2)))
    Tensor([[1., 0.],
            [1., 1.]])
    """
    return where(_lower("tril", x, k), x, _zero(x))


def triu(x: Any, /, *, k: int = 0) -> Tensor:
    """The matrix (or stack of matrices) x, (..., m, n), with zeros below the k-th diagonal.

    Raises:
      ValueError: x has fewer than two axes.
      TypeError: k is no integer.

    >>> import pydl
    >>> pydl.triu(pydl.full((2, 2), -float("inf")), k=1)
    Tensor([[  0., -inf],
            [  0.,   0.]])
    """
    return where(_lower("triu", x, check.integer("triu", "k", k) - 1), _zero(x), x)


def _zero(x: Any) -> Tensor:
    return wrap(constant(np.zeros((), as_tensor(x).dtype)))


def _lower(who: str, x: Any, k: int) -> Tensor:
    """Whether a position of the matrix x is on or below the k-th diagonal."""
    k = max(-(2**62), min(check.integer(who, "k", k), 2**62))
    return wrap(constant(np.tri(*_matrix(who, x), k, dtype=np.bool_)))


def _matrix(who: str, x: Any) -> tuple[int, int]:
    shape = as_tensor(x, who).shape
    if len(shape) < 2:
        raise ValueError(f"{who}: needs two axes or more, got shape {shape}")
    return shape[-2], shape[-1]
