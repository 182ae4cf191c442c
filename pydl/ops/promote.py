"""Dtype promotion: the array API's rules where it speaks, NumPy's elsewhere.

Python numbers are weak: they take the dtype of the arrays they meet, and only a float that meets
integers makes a float, of dtype `config.floatx()`. So does a float function of integers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl import _core, check, config
from pydl.tensor import Tensor, constant, to_array

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def is_weak(x: Any) -> bool:
    """Whether x is a Python number, which takes the dtype of its partners."""
    return isinstance(x, (bool, int, float)) and not isinstance(x, np.generic)


def cast(array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """The array as `dtype`; floats by pydl's kernel, the rest by NumPy (truncating)."""
    if array.dtype == dtype:
        return array
    if dtype in FLOATS:
        return _core.cast(array, dtype == FLOATS[1])
    with np.errstate(invalid="ignore"):
        return array.astype(dtype)


def result_type(*operands: Any) -> np.dtype[Any]:
    """The dtype that these operands (arrays, tensors, dtypes, Python numbers) promote to."""
    strong = [np.dtype(getattr(x, "dtype", x)) for x in operands if not is_weak(x)]
    weak = [x for x in operands if is_weak(x)]
    if not strong:
        if any(isinstance(x, float) for x in weak):
            return np.dtype(config.floatx())
        return np.dtype(np.int64 if any(not isinstance(x, bool) for x in weak) else np.bool_)
    dtype = strong[0]
    for other in strong[1:]:
        dtype = np.promote_types(dtype, other)
    for x in weak:
        if isinstance(x, float) and dtype.kind in "biu":
            dtype = np.dtype(config.floatx())
        elif isinstance(x, int) and not isinstance(x, bool) and dtype.kind == "b":
            dtype = np.dtype(np.int64)
    return dtype


def number(who: str, x: Any, dtype: np.dtype[Any]) -> np.ndarray:
    """A Python number as a constant without axes; ValueError where it does not fit the dtype."""
    check.fits(who, x, dtype)
    try:
        return constant(np.asarray(x, dtype))
    except OverflowError:
        raise ValueError(
            f"{who}: an integer of {x.bit_length()} bits does not fit {dtype}"
        ) from None


def _sides(values: list[Any]) -> list[np.ndarray]:
    """Arrays that compare as the operands do, one of which is a number beyond the other's dtype."""
    if all(is_weak(x) for x in values):
        return [np.asarray(x, object) for x in values]
    return [
        np.asarray(1 if x > 0 else -1, np.int8)
        if is_weak(x)
        else np.broadcast_to(np.int8(0), x.shape)
        for x in values
    ]


def promote(
    who: str, operands: tuple[Any, ...], to_float: bool = False, compares: bool = False
) -> list[np.ndarray]:
    """The operands as arrays of one dtype; `to_float` turns integers into `config.floatx()`.

    `compares`: a number beyond that dtype will do; the arrays compare as the operands do.
    """
    values = [x if is_weak(x) else to_array(x, None, who) for x in operands]
    dtype = result_type(*values)
    if to_float and dtype.kind in "biu":
        dtype = np.dtype(config.floatx())
    arrays = []
    for x in values:
        if not is_weak(x):
            arrays.append(cast(x, dtype))
            continue
        try:
            arrays.append(number(who, x, dtype))
        except ValueError:
            if not compares or dtype.kind == "f":
                raise
            return _sides(values)
    if dtype.kind != "f":  # NumPy computes, which does not know who
        for x in arrays:
            if x.shape != arrays[0].shape:
                check.broadcast(who, [y.shape for y in arrays])
                break
    return arrays


def as_tensor(x: Any, who: str = "tensor") -> Tensor:
    """x itself if it is a Tensor, else a Tensor of it."""
    return x if isinstance(x, Tensor) else Tensor(to_array(x, None, who))
