"""Pooling: the largest element, or the mean, of windows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from pydl import _core
from pydl.autograd import op
from pydl.ops.elementwise import equal, isnan, logical_or, where
from pydl.ops.promote import as_tensor
from pydl.ops.shape import getitem, pad
from pydl.ops.windows import (
    Axes,
    Images,
    Pooling,
    check_padding,
    count_windows,
    per_axis,
    spatial,
    taps_in_images,
)
from pydl.tensor import Tensor

__all__ = ["average_pool", "max_pool"]


@op(saves=("x", "y"))
def _max_pool(x: np.ndarray, /, lengths: Axes, windows: Pooling) -> np.ndarray:
    return _core.max_pool(x, lengths, *windows)


@_max_pool.gradient
def _(g: Tensor, y: Tensor, x: Tensor, lengths: Axes, windows: Pooling) -> Any:
    return (lambda: _max_pool_input(g, x, y, windows),)


@op(saves=("x", "most"))
def _max_pool_input(
    g: np.ndarray, x: np.ndarray, most: np.ndarray, /, windows: Pooling
) -> np.ndarray:
    return _core.max_pool_backward(g, x, most, *windows)


@_max_pool_input.gradient
def _(d: Tensor, y: Any, g: Tensor, x: Tensor, most: Tensor, windows: Pooling) -> Any:
    return lambda: _at_maxima(d, x, most, windows), None, None


def _at_maxima(d: Tensor, x: Tensor, most: Tensor, windows: Pooling) -> Tensor:
    """What d holds at the pixel of each window to which the gradient of the largest goes."""
    lengths, counts = spatial(x.shape), spatial(most.shape)
    strides, before, taps = taps_in_images(lengths, counts, windows)
    after = [
        max((c - 1) * s + k - b - n, 0)
        for n, c, k, s, b in zip(lengths, counts, taps, strides, before, strict=True)
    ]
    widths = ((0, 0), *zip(before, after, strict=True), (0, 0))
    # the padding equals no maximum, and is not among the pixels that are nan
    nans, x, d = pad(isnan(x), widths), pad(x, widths, constant_values=np.nan), pad(d, widths)
    found: Any = 0.0
    for tap in reversed(list(itertools.product(*map(range, taps)))):  # the first comes to stay
        at: Any = (
            slice(None),
            *(
                slice(t, t + (c - 1) * s + 1, s)
                for t, c, s in zip(tap, counts, strides, strict=True)
            ),
        )
        hit = logical_or(equal(getitem(x, at), most), getitem(nans, at))
        found = where(hit, getitem(d, at), found)
    return found


@op(saves=())
def _average_pool(x: np.ndarray, /, lengths: Axes, windows: Pooling) -> np.ndarray:
    return _core.average_pool(x, lengths, *windows)


@_average_pool.gradient
def _(g: Tensor, y: Any, x: Tensor, lengths: Axes, windows: Pooling) -> Any:
    return (lambda: _average_pool_input(g, spatial(x.shape), windows),)


@op(saves=())
def _average_pool_input(g: np.ndarray, /, lengths: Axes, windows: Pooling) -> np.ndarray:
    return _core.average_pool_backward(g, lengths, *windows)


@_average_pool_input.gradient
def _(d: Tensor, y: Any, g: Tensor, lengths: Axes, windows: Pooling) -> Any:
    return (lambda: _average_pool(d, spatial(g.shape), windows),)


def _pool(
    who: str, pool: Any, inputs: Any, pool_size: Any, strides: Any, padding: str, data_format: Any
) -> Tensor:
    images = Images(who, as_tensor(inputs, who), data_format)
    window = per_axis(who, "pool_size", pool_size, images.axes)
    steps = window if strides is None else per_axis(who, "strides", strides, images.axes)
    padding = check_padding(who, padding, "valid", "same")
    if 0 in images.lengths:
        raise ValueError(f"{who}: there is no pixel in inputs of shape {images.x.shape}")
    lengths, before = count_windows(who, images.lengths, window, steps, (1,) * images.axes, padding)
    return images.back(pool(images.x, lengths, (window, steps, before)))


def max_pool(
    inputs: Any,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The largest element of each window of `pool_size` pixels, channel by channel; nan wins.

    The gradient goes to the first of several largest elements.

    Args:
      inputs: floats (batch, ..., channels), or (batch, channels, ...) with "channels_first"; one to
        three spatial axes.
      pool_size: an integer, or one for each spatial axis.
      strides: the distance of windows; None for `pool_size`.
      padding: "valid" or "same", as in `conv`; padding never wins.
      data_format: "channels_last" (default) or "channels_first".

    Raises:
      TypeError: inputs are not floats.
      ValueError: a window does not fit into the inputs with "valid".

    >>> import pydl
    >>> x = pydl.reshape(pydl.arange(16.0), (1, 4, 4, 1))
    >>> pydl.max_pool(x, 2)[0, ..., 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
    """
    return _pool("max_pool", _max_pool, inputs, pool_size, strides, padding, data_format)


def average_pool(
    inputs: Any,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The mean of each window of `pool_size` pixels, channel by channel.

    Pixels of the padding count neither in the sum nor in the divisor. Arguments and errors are
    those of `max_pool`.

    >>> import pydl
    >>> x = pydl.reshape(pydl.arange(16.0), (1, 4, 4, 1))
    >>> pydl.average_pool(x, 2)[0, ..., 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """
    return _pool("average_pool", _average_pool, inputs, pool_size, strides, padding, data_format)
