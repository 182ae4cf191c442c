"""Data of the user as arrays and Tensors: nests, rows, weights, zeros left out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from pydl import _core, config
from pydl.layers.nest import map_tensors
from pydl.sparse import ManyZeros, SparseTensor, csr, is_sparse
from pydl.tensor import Tensor, to_array, wrap


def flatten(nest: Any) -> list[Any]:
    """Return the leaves of nested lists, tuples and dictionaries, in order; [] for None."""
    if nest is None:
        return []
    if isinstance(nest, Mapping):
        return [leaf for value in nest.values() for leaf in flatten(value)]
    if isinstance(nest, (list, tuple)):
        return [leaf for value in nest for leaf in flatten(value)]
    return [nest]


def map_leaves(f: Callable[[Any], Any], nest: Any) -> Any:
    """Return the same nest with `f` applied to its leaves; None stays, inside it too."""
    return map_tensors(lambda leaf: None if leaf is None else f(leaf), nest)


def _named(nest: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield (name, leaf) for each leaf: "x", or "x[0]", "x['age']"."""
    if isinstance(nest, Mapping):
        for key, value in nest.items():
            yield from _named(value, f"{name}[{key!r}]")
    elif isinstance(nest, (list, tuple)):
        for i, value in enumerate(nest):
            yield from _named(value, f"{name}[{i}]")
    elif nest is not None:
        yield name, nest


def as_arrays(value: Any, who: str, name: str) -> Any:
    """Return data of the user as arrays that kernels can read, in the nest they came in.

    A list or tuple is several inputs if it holds arrays, and one array otherwise. Nothing is
    copied where it can be helped.

    Raises:
        TypeError: Not numbers.
        ValueError: Ragged lists, or no batch axis.
    """
    if value is None or (type(value) is np.ndarray and value.ndim and _core.readable(value)):
        return value  # the usual case
    if isinstance(value, Mapping):
        return {key: as_arrays(v, who, f"{name}[{key!r}]") for key, v in value.items()}
    if isinstance(value, (list, tuple)) and any(np.ndim(v) for v in value if is_array(v)):
        return [as_arrays(v, who, f"{name}[{i}]") for i, v in enumerate(value)]
    if is_sparse(value):
        if not name.startswith("x"):
            dense = "to_dense" if isinstance(value, SparseTensor) else "toarray"
            raise TypeError(f"{who}: {name} is a sparse matrix; pass {name}.{dense}()")
        return csr(value)
    if isinstance(value, np.ndarray) and value.dtype == np.float16:
        value = value.astype(config.floatx())
    array = to_array(value, None, f"{who}: {name}")
    if array.ndim == 0:
        raise ValueError(f"{who}: {name} needs a batch axis, got the single value {array}")
    return array


def is_array(value: Any) -> bool:
    """Tell whether a value is an array of some library rather than plain Python data."""
    return hasattr(value, "__array__")


def holds_sparse(nest: Any) -> bool:
    """Tell whether any leaf is a sparse matrix."""
    if isinstance(nest, Tensor):  # the usual case
        return False
    return any(isinstance(leaf, SparseTensor) for leaf in flatten(nest))


# A matrix has so many columns, and at most this share of elements that are not zero, where sparse
# products are clearly faster than dense ones.
_SPARSE_COLUMNS = 256
_SPARSE_SHARE = 0.05
# Where there are so many units, products that leave out runs of zeros are faster than dense ones
# up to this share of runs that stay, on average of both directions.
_RUN_UNITS = 128
_RUN_SHARE = 0.6
_RUN = 6
_SAMPLED_ROWS = 64


def leaving_out_zeros(x: Any, units: int) -> Any:
    """Return a matrix of floats in a form whose products leave out zeros, where that pays.

    Args:
        x: Data; what is no matrix of floats is returned as it is.
        units: Columns of the products.
    """
    if not isinstance(x, np.ndarray) or x.ndim != 2 or x.dtype.kind != "f":
        return x
    if x.shape[1] < _SPARSE_COLUMNS or not x.flags.c_contiguous:
        return x
    sample = x[:: max(1, len(x) // _SAMPLED_ROWS)][:_SAMPLED_ROWS] != 0
    if sample.mean() <= _SPARSE_SHARE:
        found = csr(x)
        return found if found.nnz <= _SPARSE_SHARE * x.size else x
    if units < _RUN_UNITS:
        return x
    shares = [
        np.logical_or.reduceat(sample, range(0, sample.shape[axis], _RUN), axis).mean()
        for axis in (0, 1)
    ]
    return ManyZeros(x) if sum(shares) <= 2 * _RUN_SHARE else x


def as_floats(array: Any) -> Any:
    """Return floats in the default float type; integers and bools as they are."""
    if isinstance(array, SparseTensor):
        return array.astype(config.floatx())
    if array.dtype.kind != "f" or array.dtype == config.floatx():
        return array
    return _core.cast(array, config.floatx() == "float64")


def tensors(nest: Any) -> Any:
    """Return arrays as Tensors, floats in the default float type."""
    if nest is None:
        return None
    if type(nest) is np.ndarray:  # the usual case
        return wrap(as_floats(nest))
    return map_leaves(
        lambda x: as_floats(x) if isinstance(x, SparseTensor) else wrap(as_floats(x)), nest
    )


def check_rows(who: str, **nests: Any) -> int:
    """Return the number of rows of all arrays, or raise ValueError that names two that differ."""
    first_name, rows = "", -1
    for argument, nest in nests.items():
        leaves = ((argument, nest),) if type(nest) is np.ndarray else _named(nest, argument)
        for name, array in leaves:
            if rows < 0:
                first_name, rows = name, len(array)
            elif len(array) != rows:
                raise ValueError(f"{who}: {first_name} has {rows} rows, {name} has {len(array)}")
    return max(rows, 0)


def split(
    who: str, x: Any, y: Any, sample_weight: Any, fraction: float
) -> tuple[tuple[Any, Any, Any], tuple[Any, Any, Any]]:
    """Return the first floor(n (1 - fraction)) rows and the rest, as views."""
    if not 0 <= fraction < 1:
        raise ValueError(f"{who}: validation_split must be in [0, 1), got {fraction}")
    n = check_rows(who, x=x, y=y, sample_weight=sample_weight)
    at = math.floor(n * (1 - fraction))
    if at == 0 or at == n:
        raise ValueError(
            f"{who}: validation_split={fraction} of {n} rows leaves no rows "
            f"{'to train on' if at == 0 else 'to validate on'}"
        )
    nests = (x, y, sample_weight)
    head = tuple(map_leaves(lambda a: a[:at], nest) for nest in nests)
    tail = tuple(map_leaves(lambda a: a[at:], nest) for nest in nests)
    return head, tail


def sorted_by_class(y: Any) -> bool:
    """Tell whether labels (integers, or one-hot rows) come class by class."""
    if not isinstance(y, np.ndarray) or len(y) < 3:
        return False
    labels = _class_of(y)
    if labels is None:
        return False
    return bool(np.all(labels[1:] >= labels[:-1]) and labels[0] != labels[-1])


def _class_of(y: np.ndarray) -> np.ndarray | None:
    """Return the class of each row, None if `y` does not hold classes."""
    if y.ndim == 2 and y.shape[1] > 1:
        return y.argmax(axis=1)
    if y.size != len(y):
        return None
    flat = y.reshape(-1)
    if flat.dtype.kind == "f" and not np.all(flat == np.floor(flat)):
        return None
    return flat


def combine_weights(
    who: str, y: Any, sample_weight: Any, class_weight: Mapping[int, float] | None
) -> Any:
    """Return the weights of the samples times those of their classes.

    Raises:
        ValueError: The classes of `y` cannot be told.
    """
    if class_weight is None:
        return sample_weight
    if not isinstance(class_weight, Mapping):
        raise TypeError(f"{who}: class_weight must be a dictionary, got {class_weight!r}")
    if not isinstance(y, np.ndarray):
        raise ValueError(f"{who}: class_weight needs one array of labels y")
    labels = _class_of(y)
    if labels is None:
        raise ValueError(
            f"{who}: class_weight needs one class for each row of y, "
            f"got y of shape {y.shape} and dtype {y.dtype}; use sample_weight"
        )
    weights = np.ones(len(labels), config.floatx())
    for label, weight in class_weight.items():
        weights[labels == int(label)] = weight
    if sample_weight is None:
        return weights
    given = as_floats(sample_weight)
    return given * weights.reshape((-1,) + (1,) * (given.ndim - 1))
