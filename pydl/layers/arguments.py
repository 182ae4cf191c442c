"""Arguments that all layers take: the float type, and the shape of a first layer's input."""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl import check, config
from pydl.registry import did_you_mean, init_arguments


def float_dtype(cls: type, dtype: Any) -> np.dtype[Any]:
    """Return the dtype of a layer's weights, or raise unless it is float32 or float64."""
    found = np.dtype(config.floatx() if dtype is None else dtype)
    if found not in (np.dtype("float32"), np.dtype("float64")):
        raise ValueError(f"{cls.__name__}: dtype must be float32 or float64, got {found.name}")
    return found


def axis_or_axes(who: str, value: Any) -> int | tuple[int, ...]:
    """Return an axis as an integer, several as a tuple."""
    if isinstance(value, (list, tuple)):
        return tuple(check.integer(who, "axis", a) for a in value)
    return check.integer(who, "axis", value)


def declared_shape(cls: type, kwargs: dict[str, Any]) -> tuple[int | None, ...] | None:
    """Return the input shape that keywords declare, batch axis first, and refuse other keywords."""
    known = ("input_shape", "input_dim", "input_length", "batch_input_shape", "batch_size")
    for name in kwargs:
        if name not in known:
            choices = dict.fromkeys((*init_arguments(cls), *known))
            raise TypeError(
                f"{cls.__name__}: unknown argument {name!r}; {did_you_mean(name, choices)}"
            )
    if kwargs.get("batch_input_shape") is not None:
        shape = tuple(kwargs["batch_input_shape"])
    elif kwargs.get("input_shape") is not None:
        shape = kwargs["input_shape"]
        shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        shape = (kwargs.get("batch_size"), *shape)
    elif kwargs.get("input_dim") is not None:
        steps = (kwargs["input_length"],) if kwargs.get("input_length") is not None else ()
        shape = (kwargs.get("batch_size"), *steps, kwargs["input_dim"])
    else:
        return None
    for n in shape:
        if n is not None and (isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1):
            raise ValueError(
                f"{cls.__name__}: an input shape holds positive integers, or None for a "
                f"free axis, got {shape}"
            )
    return tuple(shape)
