"""Reductions: sums, extremes and their positions, moments, running sums.

`axis` is None (all axes), an axis or a tuple of axes; `keepdims` keeps the reduced axes with length
1. Sums run in fixed chunks joined by a tree: their rounding error grows with the logarithm of the
length, and their bits do not depend on the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from pydl import _core, check, config
from pydl.autograd import op
from pydl.ops.create import ones_like, zeros_like
from pydl.ops.elementwise import astype, divide, equal, exp, multiply, subtract, where
from pydl.ops.promote import FLOATS, cast
from pydl.ops.shape import (
    broadcast_to,
    concat,
    expand_dims,
    flip,
    getitem,
    permute_dims,
    reshape,
)
from pydl.tensor import Tensor, dtype_of, to_array, wrap

__all__ = [
    "all",
    "any",
    "argmax",
    "argmin",
    "count_nonzero",
    "cumulative_sum",
    "logsumexp",
    "max",
    "mean",
    "min",
    "moments",
    "prod",
    "std",
    "sum",
    "sum_squares",
    "var",
]


def _axes(who: str, x: Any, axis: Any, keepdims: Any = False) -> tuple[int, ...]:
    """The axes to reduce; checks `keepdims` too."""
    if keepdims is not True and keepdims is not False:
        check.flag(who, "keepdims", keepdims)
    return check.axes(who, axis, x.ndim, x.shape)


def _count(x: Any, axes: tuple[int, ...]) -> int:
    return math.prod(x.shape[i] for i in axes)


def _nonempty(who: str, x: np.ndarray, axes: tuple[int, ...]) -> None:
    """Whether there is something to reduce for each output of an op without identity."""
    outputs = math.prod(n for i, n in enumerate(x.shape) if i not in axes)
    if x.size == 0 and outputs > 0:
        raise ValueError(
            f"{who}: nothing to reduce over axes {axes} of shape {x.shape}; "
            f"the {who} of no elements is not defined"
        )


def _as_float(x: np.ndarray) -> np.ndarray:
    return x if x.dtype in FLOATS else cast(x, np.dtype(config.floatx()))


def _on_host(function: Callable[..., Any], x: np.ndarray, *args: Any, **options: Any) -> np.ndarray:
    """NumPy's function of integers or bool, as an array."""
    with np.errstate(over="ignore"):
        return np.asarray(function(x, *args, **options))


def _accumulate(
    name: str, host: Callable[..., Any], x: np.ndarray, axis: Any, dtype: Any, keepdims: bool
) -> np.ndarray:
    """A sum or product, in `dtype` if given; small integers widen to 64 bits otherwise."""
    axes = _axes(name, x, axis, keepdims)
    if dtype is not None:
        x = cast(x, dtype_of(dtype, name))
    y = getattr(_core, name)(x, axes, keepdims)
    if y is not None:
        return y
    if dtype is None:
        wide = np.dtype(np.uint64 if x.dtype.kind == "u" else np.int64)
    else:
        wide = x.dtype
    return _on_host(host, x, axes, dtype=wide, keepdims=bool(keepdims))


def _stretch(g: Tensor, x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    """What flows into a reduction, repeated along the reduced axes; of x's shape and dtype."""
    if not keepdims:
        axes = _axes("sum", x, axis)
        g = reshape(g, tuple(1 if i in axes else n for i, n in enumerate(x.shape)))
    return broadcast_to(astype(g, x.dtype), x.shape)


def _expand(y: Tensor, x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    """A result of a reduction of x with the reduced axes put back, as length 1."""
    return y if keepdims else expand_dims(y, _axes("sum", x, axis))


@op(saves=())
def sum(x: Any, /, axis: Any = None, *, dtype: Any = None, keepdims: bool = False) -> Any:
    """Sum of the elements over the axes; 0 over none.

    Args:
      x: tensor of any dtype. Small integers and bool are summed in 64 bits.
      axis: the axes to sum over, all by default.
      dtype: sums in this dtype.
      keepdims: whether the axes stay, with length 1.

    Raises:
      ValueError: an axis is out of range or named twice.

    >>> import pydl
    >>> pydl.sum(pydl.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor([4., 6.])
    """
    return _accumulate("sum", np.sum, x, axis, dtype, keepdims)


@sum.gradient
def _(g: Tensor, y: Any, x: Tensor, axis: Any, dtype: Any, keepdims: bool) -> Any:
    return (_stretch(g, x, axis, keepdims),)


@op(saves=("x",))
def sum_squares(x: Any, /, axis: Any = None, *, keepdims: bool = False) -> Any:
    """Sum of x^2 over the axes, in one pass; 0 over none. Integers become floats.

    >>> import pydl
    >>> pydl.sum_squares(pydl.tensor([3.0, 4.0]))
    Tensor(25.)
    """
    x = _as_float(x)
    return _core.sum_squares(x, _axes("sum_squares", x, axis, keepdims), keepdims)


@sum_squares.gradient
def _(g: Tensor, y: Any, x: Tensor, axis: Any, keepdims: bool) -> Any:
    return (multiply(_expand(multiply(g, 2.0), x, axis, keepdims), x),)


@op(saves=())
def mean(x: Any, /, axis: Any = None, *, keepdims: bool = False) -> Any:
    """Arithmetic mean over the axes; nan over none. Integers give `config.floatx()`.

    >>> import pydl
    >>> pydl.mean(pydl.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    Tensor([1.5, 3.5])
    """
    x = _as_float(x)
    return _core.mean(x, _axes("mean", x, axis, keepdims), keepdims)


@mean.gradient
def _(g: Tensor, y: Any, x: Tensor, axis: Any, keepdims: bool) -> Any:
    n = _count(x, _axes("mean", x, axis))
    return (_stretch(divide(g, float(n)), x, axis, keepdims),)


@op(saves=("x",))
def prod(x: Any, /, axis: Any = None, *, dtype: Any = None, keepdims: bool = False) -> Any:
    """Product of the elements over the axes; 1 over none. See sum for the arguments.

    The gradient is right where elements are 0: it multiplies the others, it does not divide.

    >>> import pydl
    >>> pydl.prod(pydl.tensor([2.0, 3.0, 4.0]))
    Tensor(24.)
    """
    return _accumulate("prod", np.prod, x, axis, dtype, keepdims)


@prod.gradient
def _(g: Tensor, y: Any, x: Tensor, axis: Any, dtype: Any, keepdims: bool) -> Any:
    rows, back = _as_rows("prod", x, axis)
    others = back(_product_of_others(astype(rows, g.dtype)))
    return (astype(multiply(_expand(g, x, axis, keepdims), others), x.dtype),)


def _as_rows(who: str, x: Tensor, axis: Any) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """x as a matrix with the reduced axes, in C order, as its last; and the way back."""
    axes = _axes(who, x, axis)
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    order = kept + axes
    moved = permute_dims(x, order)
    rows = reshape(moved, (math.prod(x.shape[i] for i in kept), _count(x, axes)))
    inverse = [order.index(i) for i in range(x.ndim)]
    return rows, lambda dx: permute_dims(reshape(dx, moved.shape), inverse)


def _product_of_others(x: Tensor) -> Tensor:
    """For each element of a row, the product of all others, by a binary tree of pairs."""
    n = x.shape[1]
    if n < 2:
        return ones_like(x)
    if n % 2:
        x = concat([x, ones_like(getitem(x, (slice(None), slice(1))))], axis=1)
    left, right = (getitem(x, (slice(None), slice(i, None, 2))) for i in (0, 1))
    outside = _product_of_others(multiply(left, right))
    pairs = concat([expand_dims(multiply(outside, side), 2) for side in (right, left)], axis=2)
    return getitem(reshape(pairs, x.shape), (slice(None), slice(n)))


def _extreme(name: str, host: Any, x: np.ndarray, axis: Any, keepdims: bool) -> np.ndarray:
    axes = _axes(name, x, axis, keepdims)
    _nonempty(name, x, axes)
    y = getattr(_core, name)(x, axes, keepdims)
    return _on_host(host, x, axes, keepdims=bool(keepdims)) if y is None else y


def _to_first(position: Any, g: Tensor, x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    """g where `position` (argmax, argmin) finds the extreme, 0 elsewhere."""
    if x.size == 0:
        return zeros_like(x)
    rows, back = _as_rows("max", x, axis)
    n = rows.shape[1]
    hit = equal(wrap(_core.one_hot(position(rows, axis=1).data, n, rows.data)), 1)
    return back(where(hit, reshape(g, (rows.shape[0], 1)), 0.0))


@op(saves=("x",))
def max(x: Any, /, axis: Any = None, *, keepdims: bool = False) -> Any:
    """Largest element over the axes; nan if there is one.

    The gradient flows to the first of equal elements, in C order over the axes.

    Raises:
      ValueError: there is nothing to reduce over, or an axis is out of range or named twice.

    >>> import pydl
    >>> pydl.max(pydl.tensor([[1.0, 5.0], [3.0, 4.0]]), axis=1)
    Tensor([5., 4.])
    """
    return _extreme("max", np.max, x, axis, keepdims)


@max.gradient
def _(g: Tensor, y: Any, x: Tensor, axis: Any, keepdims: bool) -> Any:
    return (_to_first(argmax, g, x, axis, keepdims),)


@op(saves=("x",))
def min(x: Any, /, axis: Any = None, *, keepdims: bool = False) -> Any:
    """Smallest element over the axes; nan if there is one. See max.

    >>> import pydl
    >>> pydl.min(pydl.tensor([[1.0, 5.0], [3.0, 4.0]]), axis=1)
    Tensor([1., 3.])
    """
    return _extreme("min", np.min, x, axis, keepdims)


@min.gradient
def _(g: Tensor, y: Any, x: Tensor, axis: Any, keepdims: bool) -> Any:
    return (_to_first(argmin, g, x, axis, keepdims),)


def _position(name: str, host: Any, x: Any, axis: int | None, keepdims: bool) -> Tensor:
    data = to_array(x, None, name)
    one = None if axis is None else check.integer(name, "axis", axis)
    axes = _axes(name, data, one, keepdims)
    _nonempty(name, data, axes)
    y = getattr(_core, name)(data, axes, keepdims)
    if y is None:
        y = _on_host(host, data, axis, keepdims=bool(keepdims))
    return wrap(y)


def argmax(x: Any, /, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """Position of the largest element, the first of equal ones; of the first nan if there is one.

    Args:
      x: tensor of any dtype.
      axis: the axis to search along; by default all of x, in C order.
      keepdims: whether the axis stays, with length 1.

    Returns:
      An int64 tensor.

    Raises:
      ValueError: there is nothing to search, or axis is out of range.

    >>> import pydl
    >>> pydl.argmax(pydl.tensor([[1.0, 5.0], [4.0, 4.0]]), axis=1)
    Tensor([1, 0], dtype=int64)
    """
    return _position("argmax", np.argmax, x, axis, keepdims)


def argmin(x: Any, /, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """Position of the smallest element, the first of equal ones. See argmax.

    >>> import pydl
    >>> pydl.argmin(pydl.tensor([[1.0, 5.0], [4.0, 4.0]]), axis=1)
    Tensor([0, 0], dtype=int64)
    """
    return _position("argmin", np.argmin, x, axis, keepdims)


def _variance(name: str, x: np.ndarray, axis: Any, correction: float, keepdims: bool) -> np.ndarray:
    x = _as_float(x)
    axes = _axes(name, x, axis, keepdims)
    return _core.var(x, axes, keepdims, check.number(name, "correction", correction))


def _deviation(
    name: str, g: Tensor, x: Tensor, axis: Any, correction: float, keepdims: bool
) -> Tensor:
    """g (x - mean) / max(n - correction, 0), with g as wide as the result."""
    divisor = float(np.maximum(_count(x, _axes(name, x, axis)) - correction, 0))
    centred = subtract(x, mean(x, axis, keepdims=True))
    return multiply(_expand(divide(g, divisor), x, axis, keepdims), centred)


@op(saves=("x",))
def var(x: Any, /, axis: Any = None, *, correction: float = 0.0, keepdims: bool = False) -> Any:
    """Variance over the axes: sum (x - mean)^2 / max(n - correction, 0), in two passes.

    Args:
      x: tensor; integers give `config.floatx()`.
      axis: the axes to reduce, all by default.
      correction: 0 for the variance of the data, 1 for an unbiased estimate from a sample.
      keepdims: whether the axes stay, with length 1.

    Raises:
      ValueError: an axis is out of range or named twice.

    >>> import pydl
    >>> pydl.var(pydl.tensor([1.0, 2.0, 3.0, 4.0]))
    Tensor(1.25)
    """
    return _variance("var", x, axis, correction, keepdims)


@var.gradient
def _(g: Tensor, y: Any, x: Tensor, axis: Any, correction: float, keepdims: bool) -> Any:
    return (_deviation("var", multiply(g, 2.0), x, axis, correction, keepdims),)


@op(saves=("x", "y"))
def std(x: Any, /, axis: Any = None, *, correction: float = 0.0, keepdims: bool = False) -> Any:
    """Standard deviation over the axes: the square root of var. Its gradient is 0 where it is 0.

    >>> import pydl
    >>> pydl.std(pydl.tensor([1.0, 1.0, 3.0, 3.0]))
    Tensor(1.)
    """
    return _core.sqrt(_variance("std", x, axis, correction, keepdims))


@std.gradient
def _(g: Tensor, y: Tensor, x: Tensor, axis: Any, correction: float, keepdims: bool) -> Any:
    slope = where(equal(y, 0.0), 0.0, divide(g, y))
    return (_deviation("std", slope, x, axis, correction, keepdims),)


def moments(x: Any, /, axes: Any, *, keepdims: bool = False) -> tuple[Tensor, Tensor]:
    """Mean and variance over the axes.

    >>> import pydl
    >>> pydl.moments(pydl.tensor([1.0, 3.0]), axes=0)
    (Tensor(2.), Tensor(1.))
    """
    return mean(x, axes, keepdims=keepdims), var(x, axes, keepdims=keepdims)


@op(saves=("x", "y"))
def logsumexp(x: Any, /, axis: Any = None, *, keepdims: bool = False) -> Any:
    """log of the sum of e^x over the axes, without overflow; -inf over none.

    Computed as m + log sum e^(x - m), m the largest element. Integers give `config.floatx()`.

    >>> import pydl
    >>> pydl.logsumexp(pydl.tensor([1000.0, 1000.0]))
    Tensor(1000.6932)
    """
    x = _as_float(x)
    return _core.logsumexp(x, _axes("logsumexp", x, axis, keepdims), keepdims)


@logsumexp.gradient
def _(g: Tensor, y: Tensor, x: Tensor, axis: Any, keepdims: bool) -> Any:
    finite = where(equal(y, -math.inf), 0.0, y)  # of rows that are -inf all over, the gradient is 0
    weights = exp(subtract(x, _expand(finite, x, axis, keepdims)))
    return (multiply(_expand(g, x, axis, keepdims), weights),)


@op(saves=())
def cumulative_sum(
    x: Any, /, axis: int | None = None, *, dtype: Any = None, include_initial: bool = False
) -> Any:
    """Running sum along an axis: y[i] = x[0] + ... + x[i].

    Args:
      x: tensor of any dtype. Small integers and bool are summed in 64 bits.
      axis: the axis to sum along; None takes x as one axis, in C order.
      dtype: sums in this dtype.
      include_initial: whether the result starts with a 0, and is longer by one.

    Raises:
      ValueError: axis is out of range.

    >>> import pydl
    >>> pydl.cumulative_sum(pydl.tensor([1.0, 2.0, 3.0]))
    Tensor([1., 3., 6.])
    """
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = check.axis("cumulative_sum", axis, x.ndim, x.shape)
    if dtype is not None:
        x = cast(x, dtype_of(dtype, "cumulative_sum"))
    y = _core.cumulative_sum(x, axis)
    if y is None:
        wide = np.uint64 if x.dtype.kind == "u" else np.int64
        y = _on_host(np.cumsum, x, axis, dtype=x.dtype if dtype is not None else wide)
    if include_initial:
        start = (*y.shape[:axis], 1, *y.shape[axis + 1 :])
        y = np.concatenate([np.zeros(start, y.dtype), y], axis)
    return y


@cumulative_sum.gradient
def _(g: Tensor, y: Any, x: Tensor, axis: Any, dtype: Any, include_initial: bool) -> Any:
    along = 0 if axis is None else axis % x.ndim
    if include_initial:
        g = getitem(g, (slice(None),) * along + (slice(1, None),))
    dx = flip(cumulative_sum(flip(g, along), along), along)
    return (astype(reshape(dx, x.shape), x.dtype),)


def _truth(name: str, host: Any, x: Any, axis: Any, keepdims: bool) -> Tensor:
    data = to_array(x, None, name)
    axes = _axes(name, data, axis, keepdims)
    return wrap(_on_host(host, data, axes, keepdims=bool(keepdims)))


def any(x: Any, /, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    """Whether some element over the axes is nonzero (nan counts as nonzero); a bool tensor.

    >>> import pydl
    >>> pydl.any(pydl.tensor([[0, 1], [0, 0]]), axis=1)
    Tensor([ True, False], dtype=bool)
    """
    return _truth("any", np.any, x, axis, keepdims)


def all(x: Any, /, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    """Whether every element over the axes is nonzero (nan counts as nonzero); a bool tensor.

    >>> import pydl
    >>> pydl.all(pydl.tensor([[1, 1], [0, 1]]), axis=1)
    Tensor([ True, False], dtype=bool)
    """
    return _truth("all", np.all, x, axis, keepdims)


def count_nonzero(x: Any, /, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    """The number of nonzero elements over the axes; an int64 tensor.

    >>> import pydl
    >>> pydl.count_nonzero(pydl.tensor([0.0, 2.0, 3.0]))
    Tensor(2, dtype=int64)
    """
    return _truth("count_nonzero", np.count_nonzero, x, axis, keepdims)
