"""Labels to one-hot vectors, vectors to norm 1, lists of ids to multi-hot rows."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

from pydl import check


def to_categorical(
    x: npt.ArrayLike, num_classes: int | None = None, dtype: npt.DTypeLike = "float32"
) -> npt.NDArray[Any]:
    """Labels as one-hot vectors: y[..., c] = 1 where x[...] = c, and 0 elsewhere.

    Args:
        x: labels, whole numbers in [0, num_classes), of any shape; a last axis of size 1 is dropped
            first, so that (n, 1) gives the same as (n,). Floats are accepted if they are whole.
        num_classes: the size of the new last axis; None: the largest label plus 1.
        dtype: of the result.

    Returns:
        A NumPy array of the shape of `x` followed by `num_classes`.

    Raises:
        TypeError: `x` does not hold numbers, or `num_classes` is not an integer.
        ValueError: a label is negative, too large or not whole; `num_classes` is not positive; or
            it is None and there are no labels.

    Example:
        >>> from pydl.utils import to_categorical
        >>> to_categorical([0, 2, 1])
        array([[1., 0., 0.],
               [0., 0., 1.],
               [0., 1., 0.]], dtype=float32)
    """
    labels = np.asarray(x)
    if labels.dtype.kind not in "biuf":
        raise TypeError(f"to_categorical: labels must be whole numbers, got dtype {labels.dtype}")
    if num_classes is not None:
        check.positive_integer("to_categorical", "num_classes", num_classes)
    elif labels.size == 0:
        raise ValueError(f"to_categorical: x has no labels, shape {labels.shape}; pass num_classes")
    if labels.dtype.kind == "f":
        whole = (labels == np.floor(labels)) & (np.abs(labels) < 2**53)  # nan and inf are not
        _check_labels(labels, whole, "whole numbers")
    if num_classes is None:
        _check_labels(labels, labels >= 0, "at least 0")
        num_classes = int(labels.max()) + 1
    else:
        inside = (labels >= 0) & (labels < num_classes)
        _check_labels(labels, inside, f"in [0, num_classes) = [0, {num_classes})")
    shape = labels.shape[:-1] if labels.ndim > 1 and labels.shape[-1] == 1 else labels.shape
    y = np.zeros((labels.size, num_classes), dtype)
    y[np.arange(labels.size), labels.reshape(-1).astype(np.intp)] = 1
    return y.reshape(*shape, num_classes)


def normalize(x: npt.ArrayLike, axis: int = -1, order: float = 2) -> npt.NDArray[Any]:
    """Vectors along `axis` divided by their norm: y = x / (sum |x|^order)^(1/order).

    A vector of zeros stays as it is.

    Args:
        x: an array of at least one axis. Integers and booleans give float64.
        axis: the axis that the vectors lie along.
        order: of the norm, positive; infinity is the largest magnitude.

    Returns:
        A NumPy array of the shape of `x`.

    Raises:
        TypeError: `x` does not hold real numbers, `axis` is not an integer or `order` no number.
        ValueError: `order` is not positive, or `axis` is out of range.

    Example:
        >>> from pydl.utils import normalize
        >>> normalize([[3.0, 4.0], [0.0, 0.0]])
        array([[0.6, 0.8],
               [0. , 0. ]])
    """
    vectors = np.asarray(x)
    if vectors.dtype.kind not in "biuf":
        raise TypeError(f"normalize: x must hold real numbers, got dtype {vectors.dtype}")
    if isinstance(axis, bool) or not isinstance(axis, Integral):
        raise TypeError(f"normalize: axis must be an integer, got {axis!r}")
    if isinstance(order, bool) or not isinstance(order, Real):
        raise TypeError(f"normalize: order must be a positive number, got {order!r}")
    if not order > 0:
        raise ValueError(f"normalize: order must be a positive number, got {order!r}")
    if not -vectors.ndim <= axis < vectors.ndim:
        raise ValueError(f"normalize: axis {axis} is out of range for x of shape {vectors.shape}")
    dtype = vectors.dtype if vectors.dtype.kind == "f" else np.dtype(np.float64)
    wide = vectors.astype(np.promote_types(dtype, np.float64))
    largest = np.abs(wide).max(axis=axis, keepdims=True, initial=0)
    largest[largest == 0] = 1
    unit = wide / largest  # to magnitudes of at most 1, whose powers do not overflow
    if order != np.inf:
        norm = (np.abs(unit) ** order).sum(axis=axis, keepdims=True) ** (1 / order)
        norm[norm == 0] = 1
        unit /= norm
    return unit.astype(dtype)


def multi_hot(sequences: Iterable[npt.ArrayLike], dimension: int) -> npt.NDArray[np.float32]:
    """Bags of words: y[i, j] = 1 where row i of `sequences` holds the id j, and 0 elsewhere.

    Args:
        sequences: rows of ids in [0, dimension), each a list, a tuple or an array of one axis, of
            any length; an id may be repeated.
        dimension: the number of columns.

    Returns:
        A float32 NumPy array of shape (rows, dimension).

    Raises:
        TypeError: a row is not a sequence of integers, or `dimension` is not an integer.
        ValueError: an id is out of range, or `dimension` is not positive.

    Example:
        >>> from pydl.utils import multi_hot
        >>> multi_hot([[1, 3, 1], [0]], 4)
        array([[0., 1., 0., 1.],
               [1., 0., 0., 0.]], dtype=float32)
    """
    check.positive_integer("multi_hot", "dimension", dimension)
    rows = list(sequences)
    y = np.zeros((len(rows), dimension), np.float32)
    for i, (row, out) in enumerate(zip(rows, y, strict=True)):
        ids = np.asarray(row)
        if ids.ndim != 1:
            raise TypeError(f"multi_hot: row {i} must be a sequence of ids, got {row!r}")
        if ids.size == 0:
            continue
        if ids.dtype.kind not in "iu":
            raise TypeError(f"multi_hot: row {i} must hold integer ids, got dtype {ids.dtype}")
        if ids.min() < 0 or ids.max() >= dimension:
            position = np.flatnonzero((ids < 0) | (ids >= dimension))[0]
            raise ValueError(
                f"multi_hot: ids must be in [0, dimension) = [0, {dimension}), got "
                f"{ids[position]} at row {i}, position {position}"
            )
        out[ids] = 1
    return y


def _check_labels(labels: npt.NDArray[Any], good: npt.NDArray[np.bool_], must: str) -> None:
    """Raises ValueError with the first label that is not good."""
    if not good.all():
        index = tuple(int(i) for i in np.argwhere(~good)[0])
        place = "".join(f"[{i}]" for i in index)
        raise ValueError(f"to_categorical: labels must be {must}, got x{place} = {labels[index]}")
