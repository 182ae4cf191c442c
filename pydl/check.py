"""Checks of arguments, made before any kernel runs. `who` names the caller in the message."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np


def integer(who: str, name: str, value: Any) -> int:
    """`value` as an int; TypeError for anything that is no integer."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{who}: {name} must be an integer, got {value!r}") from None


def integers(who: str, name: str, value: Any) -> tuple[int, ...]:
    """An integer or a sequence of integers as a tuple; TypeError for anything else."""
    if not isinstance(value, (tuple, list)):
        try:
            return (operator.index(value),)
        except TypeError:
            try:
                value = tuple(value)
            except TypeError:
                raise TypeError(
                    f"{who}: {name} must be an integer or a sequence of integers, got {value!r}"
                ) from None
    return tuple(integer(who, name, v) for v in value)


def axis(who: str, value: Any, ndim: int, shape: Sequence[int | None] | None = None) -> int:
    """An axis in [-ndim, ndim) as one in [0, ndim)."""
    number = integer(who, "axis", value)
    if not -ndim <= number < ndim:
        what = f"shape {tuple(shape)}" if shape is not None else f"{ndim} axes"
        raise ValueError(f"{who}: axis {number} is out of range for {what}")
    return number % ndim


def axes(
    who: str, value: Any, ndim: int, shape: Sequence[int | None] | None = None
) -> tuple[int, ...]:
    """None (all), an axis or several, as a sorted tuple of axes in [0, ndim)."""
    if value is None:
        return tuple(range(ndim))
    values = value if isinstance(value, (tuple, list)) else (value,)
    found = tuple(sorted(axis(who, v, ndim, shape) for v in values))
    if len(set(found)) != len(found):
        raise ValueError(f"{who}: axis {tuple(values)} names an axis twice")
    return found


def shape(who: str, value: Any) -> tuple[int, ...]:
    """A shape given as int or sequence; ValueError for negative or overflowing sizes."""
    values = value if isinstance(value, (tuple, list)) else (value,)
    sizes = tuple(integer(who, "shape", v) for v in values)
    if any(n < 0 for n in sizes):
        raise ValueError(f"{who}: sizes must not be negative, got shape {sizes}")
    total = 8
    for n in sizes:
        total *= max(n, 1)
    if total >= 2**63:
        raise ValueError(f"{who}: shape {sizes} has too many elements for memory")
    if len(sizes) > 32:
        raise ValueError(f"{who}: at most 32 dimensions, got {len(sizes)}")
    return sizes


def broadcast(who: str, shapes: Sequence[tuple[int, ...]]) -> None:
    """ValueError for shapes that do not broadcast, with the text of kernels."""
    for axis in range(1, max(map(len, shapes)) + 1):
        sizes = {s[-axis]: None for s in shapes if len(s) >= axis and s[-axis] != 1}
        if len(sizes) > 1:
            first, second, *_ = sizes
            *some, last = map(str, shapes)
            raise ValueError(
                f"{who}: shapes {', '.join(some)} and {last} do not broadcast: axis -{axis} is "
                f"{first} against {second}"
            )


def flag(who: str, name: str, value: Any) -> None:
    """TypeError for what is neither a bool nor an integer."""
    if not isinstance(value, (int, np.bool_)):
        raise TypeError(f"{who}: {name} must be True or False, got {value!r}")


def number(who: str, name: str, value: Any) -> float:
    """`value` as a float; TypeError for what is no number."""
    try:
        if not isinstance(value, str):
            return float(value)
    except (TypeError, ValueError):
        pass
    raise TypeError(f"{who}: {name} must be a number, got {value!r}")


def fits(who: str, value: Any, dtype: np.dtype[Any]) -> None:
    """ValueError for a number, or one in an array, beyond an integer dtype; fractions fall off."""
    if dtype.kind not in "iu":
        return
    numbers: tuple[Any, ...] = (value,)
    if isinstance(value, np.ndarray):
        if value.dtype == object:  # Python integers beyond 64 bits among them
            numbers = tuple(x for x in value.flat if isinstance(x, Real))
        else:
            numbers = (value.min().item(), value.max().item()) if value.size else ()
    info = np.iinfo(dtype)
    low, high = int(info.min), int(info.max)
    for x in numbers:
        if not low - 1 < x < high + 1:
            long = isinstance(x, int) and x.bit_length() > 128
            shown = f"of {x.bit_length()} bits" if long else x
            raise ValueError(
                f"{who}: the number {shown} does not fit {dtype}, which holds [{low}, {high}]"
            )


def choice(who: str, name: str, value: Any, known: Sequence[str]) -> None:
    """ValueError for a value that is none of the known strings."""
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{who}: {name} must be {' or '.join(map(repr, known))}, got {value!r}")


def positive_integer(who: str, name: str, value: Any) -> int:
    """`value` as an int of at least 1; TypeError for no integer, ValueError for one below."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{who}: {name} must be a positive integer, got {value!r}")
    if value < 1:
        raise ValueError(f"{who}: {name} must be a positive integer, got {value!r}")
    return int(value)
