"""Values nested in lists, tuples and dictionaries: tensors, shapes, layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from pydl.tensor import Tensor


def held(value: Any, kind: type) -> Iterator[Any]:
    """Yield the instances of `kind` in a value or in lists, tuples and dictionaries of it."""
    if isinstance(value, kind):
        yield value
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from held(entry, kind)
    elif isinstance(value, dict):
        for entry in value.values():
            yield from held(entry, kind)


def map_tensors(f: Callable[[Tensor], Any], value: Any) -> Any:
    """Apply `f` to a Tensor, or to each in a list, tuple or dictionary."""
    if isinstance(value, Mapping):
        return {key: map_tensors(f, entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [map_tensors(f, entry) for entry in value]
    return f(value)


def is_shape(value: Any) -> bool:
    """Tell whether `value` is one shape rather than a list or dictionary of shapes."""
    return not isinstance(value, Mapping) and all(
        n is None or isinstance(n, (int, np.integer)) for n in value
    )


def map_shapes(f: Callable[[Any], Any], value: Any) -> Any:
    """Apply `f` to a shape, or to each in a list, tuple or dictionary."""
    if is_shape(value):
        return f(tuple(value))
    if isinstance(value, Mapping):
        return {key: map_shapes(f, entry) for key, entry in value.items()}
    return [map_shapes(f, entry) for entry in value]


def merge_shapes(a: Any, b: Any) -> Any:
    """Return a shape (or nested shapes) with None where `a` and `b` differ."""
    if is_shape(a):
        return tuple(m if m == n else None for m, n in zip(a, b, strict=True))
    if isinstance(a, Mapping):
        return {key: merge_shapes(a[key], b[key]) for key in a}
    return [merge_shapes(m, n) for m, n in zip(a, b, strict=True)]


def batch_free_shape(inputs: Any) -> Any:
    """Return the shape of a Tensor (or nested Tensors) with None for the batch axis."""
    return map_tensors(lambda t: (None, *t.shape[1:]) if t.ndim else (), inputs)
