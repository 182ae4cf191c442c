"""Operations that look up, order and count by position."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pydl import _core, check
from pydl.autograd import op
from pydl.ops.create import _dtype
from pydl.ops.promote import FLOATS, as_tensor
from pydl.ops.shape import _index, contiguous, moveaxis, reshape
from pydl.tensor import Tensor, constant, host_read, to_array, wrap


def _integers(who: str, indices: Any, name: str = "indices") -> np.ndarray:
    array = to_array(indices, None, who)
    if array.dtype.kind not in "iu":
        if array.size:
            raise TypeError(f"{who}: {name} must be integers, got {array.dtype}")
        array = array.astype(np.int64)
    return array


def _positions(who: str, indices: Any, n: int) -> np.ndarray:
    array = _integers(who, indices)
    if array.size:
        low, high = int(array.min()), int(array.max())
        if low < -n or high >= n:
            raise IndexError(
                f"{who}: index {low if low < -n else high} is out of range "
                f"for an axis of length {n}"
            )
    return array


def _indices(who: str, indices: Any, n: int) -> np.ndarray:
    """Positions on an axis of length n, as kernels take them and check them; negative ones stay."""
    array = _integers(who, indices)
    return _as_index(_positions(who, array, n) if array.dtype == np.uint64 else array)


def _as_index(array: np.ndarray) -> np.ndarray:
    return contiguous(array if array.dtype in (np.int32, np.int64) else array.astype(np.int64))


@op(saves=())
def _take(x: np.ndarray, /, index: np.ndarray, axis: int) -> np.ndarray:
    return _core.take(x, index, axis)


@_take.gradient
def _(g: Tensor, y: Any, x: Tensor, index: np.ndarray, axis: int) -> Any:
    return (_untake(g, index, axis, x.shape[axis]),)


@op(saves=())
def _untake(g: np.ndarray, /, index: np.ndarray, axis: int, n: int) -> np.ndarray:
    # the indexed axes first
    rows = np.moveaxis(g, range(axis, axis + index.ndim), range(index.ndim))
    return np.moveaxis(_core.scatter_add(index, contiguous(rows), n), 0, axis)


@_untake.gradient
def _(d: Tensor, y: Any, g: Tensor, index: np.ndarray, axis: int, n: int) -> Any:
    return (_take(d, index, axis),)


def take(x: Any, indices: Any, /, axis: int | None = None) -> Tensor:
    """The parts of x at positions along an axis; None flattens first. IndexError out of range.

    The gradient adds up, in the order of the indices.

    >>> import pydl
    >>> pydl.take(pydl.tensor([1.0, 2.0, 3.0]), [2, 0])
    Tensor([3., 1.])
    """
    x = as_tensor(x, "take")
    if axis is None:
        x, axis = reshape(x, (x.size,)), 0
    axis = check.axis("take", axis, x.ndim, x.shape)
    n = x.shape[axis]
    return _take(x, _indices("take", indices, n), axis)


def lookup(table: Tensor, ids: Any, who: str) -> Tensor:
    """The rows of a matrix that ids name; ValueError for ids out of range, also in a plan."""
    array = to_array(ids, None, who)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{who}: ids must be integers, got {array.dtype}")
    _core.check_ids(array, table.shape[0], who)
    return _take(table, _as_index(array), 0)


def take_along_axis(x: Any, indices: Any, /, axis: int = -1) -> Tensor:
    """x at the positions that `indices` holds for each place along an axis, as in NumPy."""
    x = as_tensor(x, "take_along_axis")
    axis = check.axis("take_along_axis", axis, x.ndim, x.shape)
    positions = _positions("take_along_axis", indices, x.shape[axis])
    if positions.ndim != x.ndim:
        raise ValueError(
            f"take_along_axis: indices of shape {positions.shape} for x of shape {x.shape}"
        )
    grids = [np.arange(n).reshape((-1,) + (1,) * (x.ndim - i - 1)) for i, n in enumerate(x.shape)]
    grids[axis] = positions
    return _index(x, tuple(grids))


@op(saves=())
def _scatter_add(x: np.ndarray, updates: np.ndarray, /, index: np.ndarray) -> np.ndarray:
    if x.dtype not in FLOATS:
        y = x.copy()
        np.add.at(y, _positions("scatter_add", index, x.shape[0]), updates)
        return y
    return _core.add(x, _core.scatter_add(index, contiguous(updates), x.shape[0]))


@_scatter_add.gradient
def _(g: Tensor, y: Any, x: Tensor, updates: Tensor, index: np.ndarray) -> Any:
    return (g, lambda: _take(g, index, 0))


def scatter_add(x: Any, indices: Any, updates: Any, /) -> Tensor:
    """A copy of x with updates[i] added to row indices[i]; repeated rows add up, in order.

    >>> import pydl
    >>> pydl.scatter_add(pydl.zeros(3), [0, 0, 2], pydl.tensor([1.0, 2.0, 3.0]))
    Tensor([3., 0., 3.])
    """
    x, updates = as_tensor(x, "scatter_add"), as_tensor(updates, "scatter_add")
    n = x.shape[0] if x.ndim else 0
    positions = _indices("scatter_add", indices, n)
    if updates.shape != positions.shape + x.shape[1:]:
        raise ValueError(
            f"scatter_add: updates must have shape {positions.shape + x.shape[1:]}, "
            f"got {updates.shape}"
        )
    return _scatter_add(x, updates.astype(x.dtype), positions)


def scatter(indices: Any, values: Any, shape: Any) -> Tensor:
    """Zeros of `shape` with values[i] added at the position indices[i]; repeated ones add up.

    Args:
      indices: integers (..., depth): a position on each of the first `depth` axes of `shape`.
      values: of shape indices.shape[:-1] + shape[depth:].
      shape: of the result.

    Raises:
      TypeError: indices are not integers.
      IndexError: an index is out of range.
      ValueError: the shapes do not fit.

    >>> import pydl
    >>> pydl.scatter([[0, 1], [1, 0]], pydl.tensor([1.0, 2.0]), (2, 2))
    Tensor([[0., 1.],
            [2., 0.]])
    """
    who = "scatter"
    values, sizes = as_tensor(values, who), check.shape(who, shape)
    index = to_array(indices, None, who)
    depth = index.shape[-1] if index.ndim else 0
    if not 1 <= depth <= len(sizes):
        raise ValueError(
            f"{who}: indices must have shape (..., depth) with 1 <= depth <= {len(sizes)} for "
            f"shape {sizes}, got {index.shape}"
        )
    rest = sizes[depth:]
    if values.shape != index.shape[:-1] + rest:
        raise ValueError(
            f"{who}: values must have shape {index.shape[:-1] + rest} for indices of shape "
            f"{index.shape} and shape {sizes}, got {values.shape}"
        )
    positions = [_positions(who, index[..., i], n) for i, n in enumerate(sizes[:depth])]
    flat = positions[0]
    if depth > 1:
        host_read("scatter by more than one axis")
        wrapped = [np.where(p < 0, p + n, p) for p, n in zip(positions, sizes, strict=False)]
        flat = np.asarray(np.ravel_multi_index(tuple(wrapped), sizes[:depth]))
    zeros = wrap(constant(np.zeros((math.prod(sizes[:depth]), *rest), values.dtype)))
    return reshape(scatter_add(zeros, flat, values), sizes)


def segment_sum(data: Any, segment_ids: Any, /, num_segments: int | None = None) -> Tensor:
    """y[s] = sum of the rows of data whose segment id is s.

    Args:
      data: of shape ids.shape + rest.
      segment_ids: integers.
      num_segments: default: the largest id + 1.

    Raises:
      TypeError: ids are not integers.
      IndexError: an id is num_segments or more.
      ValueError: an id is negative, or the shapes do not fit.

    >>> import pydl
    >>> pydl.segment_sum(pydl.tensor([1.0, 2.0, 3.0]), [0, 0, 1])
    Tensor([3., 3.])
    """
    who = "segment_sum"
    data, ids = as_tensor(data, who), _integers(who, segment_ids, "ids")
    if data.shape[: ids.ndim] != ids.shape:
        raise ValueError(
            f"{who}: ids of shape {ids.shape} do not fit data of shape {data.shape}, whose first "
            "axes they must have"
        )
    host_read(who)  # looks at the ids
    low, high = (int(ids.min()), int(ids.max())) if ids.size else (0, -1)
    n = high + 1 if num_segments is None else check.integer(who, "num_segments", num_segments)
    if low < 0:
        raise ValueError(f"{who}: ids must not be negative, got {low}")
    if n < 0:
        raise ValueError(f"{who}: num_segments must not be negative, got {n}")
    if high >= n:
        raise IndexError(f"{who}: id {high} is out of range for {n} segments")
    sizes = check.shape(who, (n, *data.shape[ids.ndim :]))
    return scatter_add(wrap(constant(np.zeros(sizes, data.dtype))), ids, data)


def one_hot(x: Any, num_classes: int, /, axis: int = -1, dtype: Any = None) -> Tensor:
    """1 at the position that each integer names along a new axis, 0 elsewhere; all 0 out of range.

    >>> import pydl
    >>> pydl.one_hot([1, 0], 3)
    Tensor([[0., 1., 0.],
            [1., 0., 0.]])
    """
    labels = to_array(x, None, "one_hot")
    if labels.dtype.kind not in "iub":
        raise TypeError(f"one_hot: needs integers, got {labels.dtype}")
    (n,) = check.shape("one_hot", num_classes)
    axis = check.axis("one_hot", axis, labels.ndim + 1)
    wanted = _dtype("one_hot", dtype)
    y = _core.one_hot(_as_index(labels), n, constant(np.empty(0, wanted)))
    return wrap(contiguous(np.moveaxis(y, -1, axis)))


def sequence_mask(lengths: Any, maxlen: int | None = None) -> Tensor:
    """Bool (..., maxlen): whether the position is below the length.

    >>> import pydl
    >>> pydl.sequence_mask([1, 3])
    Tensor([[ True, False, False],
            [ True,  True,  True]], dtype=bool)
    """
    array = _positions("sequence_mask", lengths, 2**62)
    if maxlen is None:
        host_read("sequence_mask without maxlen")
        maxlen = max(int(array.max()), 0) if array.size else 0
    maxlen = check.integer("sequence_mask", "maxlen", maxlen)
    check.shape("sequence_mask", (*array.shape, maxlen))
    return wrap(np.arange(maxlen) < array[..., None])


def argsort(x: Any, /, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The positions that would order x along an axis; equal elements keep their order."""
    x = as_tensor(x, "argsort")
    axis = check.axis("argsort", axis, x.ndim, x.shape)
    data = x.data
    if descending:
        flipped = np.argsort(np.flip(data, axis), axis=axis, kind="stable")
        return wrap(np.flip(data.shape[axis] - 1 - flipped, axis))
    return wrap(np.argsort(data, axis=axis, kind="stable"))


def sort(x: Any, /, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """x in order along an axis, nan last.

    >>> import pydl
    >>> pydl.sort(pydl.tensor([3.0, 1.0, 2.0]))
    Tensor([1., 2., 3.])
    """
    return take_along_axis(x, argsort(x, axis, descending), axis)


def top_k(x: Any, k: int, /, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """The k largest along the last axis and their positions, the largest first; first ties win."""
    x = as_tensor(x, "top_k")
    check.axis("top_k", -1, x.ndim, x.shape)
    if not 0 <= check.integer("top_k", "k", k) <= x.shape[-1]:
        raise ValueError(f"top_k: k={k} for a last axis of length {x.shape[-1]}")
    negated = -x.data if x.data.dtype.kind == "f" else -x.data.astype(np.int64)
    order = np.argsort(negated, axis=-1, kind="stable")[..., :k]
    return take_along_axis(x, order, -1), wrap(np.ascontiguousarray(order))


def in_top_k(targets: Any, predictions: Any, k: int) -> Tensor:
    """Whether fewer than k of a row's predictions are larger than that of its target.

    >>> import pydl
    >>> pydl.in_top_k([2, 0], [[0.1, 0.2, 0.7], [0.1, 0.2, 0.7]], 2)
    Tensor([ True, False], dtype=bool)
    """
    values = as_tensor(predictions, "in_top_k").data
    if values.ndim != 2:
        raise ValueError(f"in_top_k: predictions must have two axes, got shape {values.shape}")
    labels = _positions("in_top_k", targets, values.shape[1])
    if labels.shape != values.shape[:1]:
        raise ValueError(f"in_top_k: targets {labels.shape} for predictions {values.shape}")
    chosen = np.take_along_axis(values, labels[:, None].astype(np.int64), 1)
    larger = np.sum(~(values <= chosen), axis=1)
    return wrap((larger < check.integer("in_top_k", "k", k)) & np.isfinite(chosen[:, 0]))


def nonzero(x: Any, /) -> tuple[Tensor, ...]:
    """The positions of the elements that are not zero, one tensor an axis."""
    return tuple(wrap(i) for i in np.nonzero(to_array(x, None, "nonzero")))


def searchsorted(x: Any, values: Any, /, side: str = "left") -> Tensor:
    """Where each value would go in the ordered vector x, before its equals or `side="right"`."""
    who = "searchsorted"
    check.choice(who, "side", side, ("left", "right"))
    order = to_array(x, None, who)
    if order.ndim != 1:
        raise ValueError(f"{who}: x must be a vector, got shape {order.shape}")
    return wrap(np.asarray(np.searchsorted(order, to_array(values, None, who), side=side)))  # type: ignore[call-overload]


def unique_values(x: Any, /) -> Tensor:
    """The distinct elements of x, in order."""
    return wrap(np.unique(to_array(x, None, "unique_values")))


def diagonal(x: Any, /) -> Tensor:
    """x[..., i, i] of the last two axes."""
    x = as_tensor(x, "diagonal")
    if x.ndim < 2:
        raise ValueError(f"diagonal: needs two axes or more, got shape {x.shape}")
    n = np.arange(min(x.shape[-2:]))
    return moveaxis(_index(moveaxis(x, (-2, -1), (0, 1)), (n, n)), 0, -1)
