"""Convolution and pooling. Kernels work on (batch, spatial axes, channels) throughout."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from pydl import _core, check, config
from pydl.autograd import op
from pydl.ops.elementwise import astype
from pydl.ops.linalg import activated, activation_arguments, activation_gradient, fusable
from pydl.ops.promote import FLOATS, as_tensor, result_type
from pydl.ops.reduce import sum as sum_over
from pydl.ops.shape import broadcast_to, expand_dims, getitem, moveaxis, reshape
from pydl.tensor import Tensor, wrap

__all__ = [
    "average_pool",
    "conv",
    "conv_transpose",
    "depthwise_conv",
    "max_pool",
    "separable_conv",
]

Axes = tuple[int, ...]  # a number for each spatial axis
Geometry = tuple[Axes, Axes, Axes]  # strides, dilation, zeros before
Key = tuple[slice, ...]  # what of a kernel

# Of strides, distances of taps and windows, so that no product of kernels leaves 64 bits.
_LONGEST = 2**31 - 1


def _lengths(shape: Sequence[int]) -> Axes:
    return tuple(shape[1:-1])


# A convolution is linear in x and in the kernel: the three products are each other's gradients.
# `lengths` is the spatial shape of the result.


@op(saves=("x", "kernel", "y"))
def _conv(
    x: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray | None = None,
    /,
    lengths: Axes = (),
    geometry: Geometry = ((), (), ()),
    activation: str | None = None,
) -> np.ndarray:
    return _core.conv(x, kernel, bias, lengths, *geometry, *activation_arguments(activation))


@_conv.gradient
def _(
    g: Tensor,
    y: Tensor,
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    lengths: Axes,
    geometry: Any,
    activation: str | None,
) -> Any:
    g = activation_gradient(activation, g, y)
    groups = x.shape[-1] // kernel.shape[-2]
    return (
        lambda: _conv_input(g, kernel, _lengths(x.shape), geometry, groups),
        lambda: _conv_kernel(x, g, kernel.shape[:-2], geometry, groups),
        lambda: sum_over(g, axis=tuple(range(g.ndim - 1))),
    )


@op(saves=("g", "kernel"))
def _conv_input(
    g: np.ndarray, kernel: np.ndarray, /, lengths: Axes, geometry: Any, groups: int
) -> np.ndarray:
    return _core.conv_input_grad(g, kernel, lengths, *geometry, groups)


@_conv_input.gradient
def _(
    d: Tensor, y: Any, g: Tensor, kernel: Tensor, lengths: Axes, geometry: Any, groups: int
) -> Any:
    return (
        lambda: _conv(d, kernel, None, _lengths(g.shape), geometry),
        lambda: _conv_kernel(d, g, kernel.shape[:-2], geometry, groups),
    )


@op(saves=("x", "g"))
def _conv_kernel(
    x: np.ndarray, g: np.ndarray, /, lengths: Axes, geometry: Any, groups: int
) -> np.ndarray:
    return _core.conv_kernel_grad(x, g, lengths, *geometry, groups)


@_conv_kernel.gradient
def _(d: Tensor, y: Any, x: Tensor, g: Tensor, lengths: Axes, geometry: Any, groups: int) -> Any:
    return (
        lambda: _conv_input(g, d, _lengths(x.shape), geometry, groups),
        lambda: _conv(x, d, None, _lengths(g.shape), geometry),
    )


@op(saves=("x", "kernel"))
def _depthwise(x: np.ndarray, kernel: np.ndarray, /, lengths: Axes, geometry: Any) -> np.ndarray:
    return _core.depthwise_conv(x, kernel, lengths, *geometry)


@_depthwise.gradient
def _(g: Tensor, y: Any, x: Tensor, kernel: Tensor, lengths: Axes, geometry: Any) -> Any:
    return (
        lambda: _depthwise_input(g, kernel, _lengths(x.shape), geometry),
        lambda: _depthwise_kernel(x, g, kernel.shape[:-1], geometry),
    )


@op(saves=("g", "kernel"))
def _depthwise_input(
    g: np.ndarray, kernel: np.ndarray, /, lengths: Axes, geometry: Any
) -> np.ndarray:
    return _core.depthwise_conv_input_grad(g, kernel, lengths, *geometry)


@_depthwise_input.gradient
def _(d: Tensor, y: Any, g: Tensor, kernel: Tensor, lengths: Axes, geometry: Any) -> Any:
    return (
        lambda: _depthwise(d, kernel, _lengths(g.shape), geometry),
        lambda: _depthwise_kernel(d, g, kernel.shape[:-1], geometry),
    )


@op(saves=("x", "g"))
def _depthwise_kernel(x: np.ndarray, g: np.ndarray, /, lengths: Axes, geometry: Any) -> np.ndarray:
    return _core.depthwise_conv_kernel_grad(x, g, lengths, *geometry)


@_depthwise_kernel.gradient
def _(d: Tensor, y: Any, x: Tensor, g: Tensor, lengths: Axes, geometry: Any) -> Any:
    return (
        lambda: _depthwise_input(g, d, _lengths(x.shape), geometry),
        lambda: _depthwise(x, d, _lengths(g.shape), geometry),
    )


@op(saves=("x", "y"))
def _max_pool(x: np.ndarray, /, lengths: Axes, geometry: Any) -> np.ndarray:
    return _core.max_pool(x, lengths, *geometry)


@_max_pool.gradient
def _(g: Tensor, y: Tensor, x: Tensor, lengths: Axes, geometry: Any) -> Any:
    return (wrap(_core.max_pool_backward(g.data, x.data, y.data, *geometry)),)


@op(saves=())
def _average_pool(x: np.ndarray, /, lengths: Axes, geometry: Any) -> np.ndarray:
    return _core.average_pool(x, lengths, *geometry)


@_average_pool.gradient
def _(g: Tensor, y: Any, x: Tensor, lengths: Axes, geometry: Any) -> Any:
    return (lambda: _average_pool_input(g, _lengths(x.shape), geometry),)


@op(saves=())
def _average_pool_input(g: np.ndarray, /, lengths: Axes, geometry: Any) -> np.ndarray:
    return _core.average_pool_backward(g, lengths, *geometry)


@_average_pool_input.gradient
def _(d: Tensor, y: Any, g: Tensor, lengths: Axes, geometry: Any) -> Any:
    return (lambda: _average_pool(d, _lengths(g.shape), geometry),)


# ---- arguments ---------------------------------------------------------------------------------


def per_axis(who: str, name: str, value: Any, axes: int, least: int = 1) -> Axes:
    """An integer, or one for each spatial axis, as a tuple; `least` is the smallest allowed."""
    if type(value) is int and least <= value <= _LONGEST:
        return (value,) * axes
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes
    numbers = tuple(check.integer(who, name, v) for v in values)
    if len(numbers) != axes:
        raise ValueError(
            f"{who}: {name} must be an integer or {axes} of them, one for each spatial axis, "
            f"got {value!r}"
        )
    if any(n < least for n in numbers):
        raise ValueError(f"{who}: {name} must be {least} or more, got {value!r}")
    if any(n > _LONGEST for n in numbers):
        raise ValueError(f"{who}: {name} must be at most {_LONGEST}, got {value!r}")
    return numbers


def _padding(who: str, value: Any, *known: str) -> str:
    name = value.lower() if isinstance(value, str) else value
    if name not in known:
        raise ValueError(
            f"{who}: padding must be one of {', '.join(map(repr, known))}, got {value!r}"
        )
    return name


class _Images:
    """The input of an operation with its channels last, and the way back."""

    def __init__(self, who: str, x: Tensor, data_format: Any):
        name = config.image_data_format() if data_format is None else data_format
        if name not in ("channels_last", "channels_first"):
            raise ValueError(
                f"{who}: data_format must be 'channels_last' or 'channels_first', got {name!r}"
            )
        if not 3 <= x.ndim <= 5:
            raise ValueError(
                f"{who}: inputs must have a batch, one to three spatial axes and channels, "
                f"got shape {x.shape}"
            )
        if x.dtype not in FLOATS:
            raise TypeError(
                f"{who}: needs float32 or float64, got {x.dtype}; cast the inputs to a float dtype"
            )
        self.first = name == "channels_first"
        self.x = moveaxis(x, 1, -1) if self.first else x
        self.axes = x.ndim - 2
        self.lengths = _lengths(self.x.shape)

    def back(self, y: Tensor) -> Tensor:
        return moveaxis(y, -1, 1) if self.first else y


def _operands(who: str, *values: Any) -> list[Tensor]:
    """Tensors of the one float dtype that they promote to."""
    tensors = [as_tensor(v, who) for v in values]
    for t in tensors:
        if t.dtype not in FLOATS:
            raise TypeError(
                f"{who}: needs float32 or float64, got {t.dtype}; cast it to a float dtype"
            )
    dtype = tensors[0].dtype
    if all(t.dtype == dtype for t in tensors):
        return tensors
    dtype = result_type(*(t.data for t in tensors))
    return [t if t.dtype == dtype else astype(t, dtype) for t in tensors]


def _check_kernel(who: str, images: _Images, kernel: Tensor, shape: str) -> Axes:
    if kernel.ndim != images.axes + 2:
        raise ValueError(
            f"{who}: kernel must have {images.axes + 2} axes, {shape}, for inputs of shape "
            f"{images.x.shape}, got shape {kernel.shape}"
        )
    if 0 in kernel.shape[:-2]:
        raise ValueError(f"{who}: kernel has an empty spatial axis, shape {kernel.shape}")
    return kernel.shape[:-2]


def _spans(who: str, taps: Axes, dilation: Axes) -> Axes:
    """The pixels from the first tap to the last, both included."""
    spans = tuple(d * (k - 1) + 1 for k, d in zip(taps, dilation, strict=True))
    if max(spans) > _LONGEST:
        raise ValueError(
            f"{who}: a window must have at most {_LONGEST} pixels on an axis, got {spans} from "
            f"{taps} taps with dilation_rate {dilation}"
        )
    return spans


def _met(
    n: int, taps: int, count: int, stride: int, dilation: int, before: int
) -> tuple[int, int, slice]:
    """The taps that meet a pixel in some window, and dilation and zeros before for these alone.

    Tap t of window o reads pixel o stride + t dilation - before.
    """
    first = max(0, -(((count - 1) * stride - before) // dilation))
    last = min(taps, (n - 1 + before) // dilation + 1)
    if first >= last:  # one tap stays, which reads zeros
        return 1, max(1, count) * stride, slice(0, 1)
    return (
        dilation if last - first > 1 else 1,
        before - first * dilation,
        slice(first, last),
    )


def _of_taps_that_meet(
    images: Axes, taps: Axes, counts: Axes, strides: Axes, dilation: Axes, before: Axes
) -> tuple[Geometry, Key | None]:
    """The geometry of the taps that meet a pixel, and which of the kernel's they are; None: all.

    So zeros around the images cost what the images do, however far the taps lie apart.
    """
    met = [
        _met(*axis) for axis in zip(images, taps, counts, strides, dilation, before, strict=True)
    ]
    if all(key == slice(0, k) for k, (_, _, key) in zip(taps, met, strict=True)):
        return (strides, dilation, before), None
    return (strides, tuple(m[0] for m in met), tuple(m[1] for m in met)), tuple(m[2] for m in met)


def _part(kernel: Tensor, met: Key | None) -> Tensor:
    return kernel if met is None else getitem(kernel, met)


@functools.lru_cache(maxsize=1024)  # of integers only
def _windows(
    who: str, lengths: Axes, kernel: Axes, strides: Axes, dilation: Axes, padding: str
) -> tuple[Axes, Axes]:
    """How many windows there are on each axis, and how many zeros before the first pixel."""
    spans = _spans(who, kernel, dilation)
    if padding == "valid":
        counts = tuple((n - w) // s + 1 for n, w, s in zip(lengths, spans, strides, strict=True))
        if any(n < w for n, w in zip(lengths, spans, strict=True)):
            raise ValueError(
                f"{who}: a window of {spans} pixels does not fit into {lengths} with "
                "padding 'valid'; use padding='same', or larger inputs"
            )
        return counts, (0,) * len(lengths)
    counts = tuple(-(-n // s) for n, s in zip(lengths, strides, strict=True))
    if padding == "causal":
        return counts, tuple(w - 1 for w in spans)
    before = tuple(
        max((c - 1) * s + w - n, 0) // 2
        for c, s, w, n in zip(counts, strides, spans, lengths, strict=True)
    )
    return counts, before


@functools.lru_cache(maxsize=1024)
def _walk(
    who: str, lengths: Axes, taps: Axes, strides: Axes, dilation: Axes, padding: str
) -> tuple[Axes, Geometry, Key | None]:
    """Lengths of a convolution, its geometry, and the taps that this is for; None: all."""
    counts, before = _windows(who, lengths, taps, strides, dilation, padding)
    return counts, *_of_taps_that_meet(lengths, taps, counts, strides, dilation, before)


def _strides_and_dilation(
    who: str, strides: Any, dilation_rate: Any, axes: int
) -> tuple[Axes, Axes]:
    strides = per_axis(who, "strides", strides, axes)
    dilation = per_axis(who, "dilation_rate", dilation_rate, axes)
    if max(strides) > 1 and max(dilation) > 1:
        raise ValueError(
            f"{who}: strides above 1 and dilation_rate above 1 exclude each other, got "
            f"{strides} and {dilation}"
        )
    return strides, dilation


# ---- the operations ----------------------------------------------------------------------------


def convolve(
    who: str,
    inputs: Any,
    kernel: Any,
    bias: Any,
    strides: Any,
    padding: str,
    data_format: str | None,
    dilation_rate: Any,
    activation: Any = None,
) -> Tensor:
    """act(conv(inputs, kernel) + bias) in one pass over the result; see `conv` and `dense`."""
    inputs, kernel = _operands(who, inputs, kernel)
    images = _Images(who, inputs, data_format)
    taps = _check_kernel(who, images, kernel, "(..., channels / groups, filters)")
    strides, dilation = _strides_and_dilation(who, strides, dilation_rate, images.axes)
    known = ("valid", "same", "causal") if images.axes == 1 else ("valid", "same")
    padding = _padding(who, padding, *known)
    channels, (inner, filters) = images.x.shape[-1], kernel.shape[-2:]
    if inner < 1 or channels < 1 or channels % inner or filters % (channels // inner):
        raise ValueError(
            f"{who}: kernel of shape {kernel.shape} does not fit {channels} channels; its "
            "last axes are (channels / groups, filters), and groups divides the filters"
        )
    lengths, geometry, met = _walk(who, images.lengths, taps, strides, dilation, padding)
    kernel = _part(kernel, met)
    if bias is not None:
        bias = astype(as_tensor(bias, who), inputs.dtype)
        if bias.shape != (filters,):
            raise ValueError(f"{who}: bias must have shape {(filters,)}, got {bias.shape}")
    if inner == 1 and channels > 1:  # each channel by itself
        kernel = reshape(kernel, (*kernel.shape[:-2], channels, filters // channels))
        y = _multiplied(images.x, kernel, lengths, geometry)
        return images.back(activated(y if bias is None else y + bias, activation, None))
    fused = fusable(activation, who)
    y = _conv(images.x, kernel, bias, lengths, geometry, fused)
    return images.back(activated(y, activation, fused))


def _multiplied(x: Tensor, kernel: Tensor, lengths: Axes, geometry: Any) -> Tensor:
    """Depthwise convolution with a kernel (..., channels, multiplier)."""
    channels, multiplier = kernel.shape[-2:]
    if multiplier != 1:
        wide = broadcast_to(expand_dims(x, -1), (*x.shape, multiplier))
        x = reshape(wide, (*x.shape[:-1], channels * multiplier))
    kernel = reshape(kernel, (*kernel.shape[:-2], channels * multiplier))
    return _depthwise(x, kernel, lengths, geometry)


def conv(
    inputs: Any,
    kernel: Any,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """y[n, o, f] = sum_t sum_c x[n, o strides + t dilation_rate - before, c] kernel[t, c, f].

    In 1, 2 or 3 dimensions, o and t being positions there; x counts as 0 outside of the inputs. The
    kernel is not flipped. Each element is one chain of fused multiply-adds over t and c in order.

    Args:
      inputs: floats (batch, ..., channels), or (batch, channels, ...) with "channels_first".
      kernel: (..., channels / groups, filters); the number of groups follows from its channels.
      strides: an integer, or one for each spatial axis.
      padding: "valid": no zeros, (n - k) // strides + 1 windows, k = dilation_rate (taps - 1) + 1;
        "same": ceil(n / strides) windows, as many zeros before as after, or one less;
        "causal" (1 dimension): all zeros before.
      data_format: "channels_last" (default) or "channels_first".
      dilation_rate: the distance of neighbouring taps; not together with strides.

    Raises:
      TypeError: inputs or kernel are not floats.
      ValueError: shapes that do not fit, or a kernel larger than the inputs with "valid".

    >>> import pydl
    >>> x = pydl.reshape(pydl.tensor([1.0, 2.0, 3.0, 4.0]), (1, 4, 1))
    >>> pydl.conv(x, pydl.ones((2, 1, 1))).tolist()
    [[[3.0], [5.0], [7.0]]]
    >>> pydl.conv(pydl.ones((8, 28, 28, 3)), pydl.ones((3, 3, 3, 16)), 2, "same").shape
    (8, 14, 14, 16)
    """
    return convolve("conv", inputs, kernel, None, strides, padding, data_format, dilation_rate)


def depthwise_conv(
    inputs: Any,
    kernel: Any,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """A convolution of each channel with filters of its own: kernel (..., channels, multiplier).

    Channel c and filter j make channel c multiplier + j of the result. Arguments and errors are
    those of `conv`.

    >>> import pydl
    >>> pydl.depthwise_conv(pydl.ones((1, 3, 3, 2)), pydl.ones((2, 2, 2, 1)))[0, 0, 0].tolist()
    [4.0, 4.0]
    """
    who = "depthwise_conv"
    inputs, kernel = _operands(who, inputs, kernel)
    images = _Images(who, inputs, data_format)
    taps = _check_kernel(who, images, kernel, "(..., channels, multiplier)")
    strides, dilation = _strides_and_dilation(who, strides, dilation_rate, images.axes)
    known = ("valid", "same", "causal") if images.axes == 1 else ("valid", "same")
    padding = _padding(who, padding, *known)
    if kernel.shape[-2] != images.x.shape[-1]:
        raise ValueError(
            f"{who}: kernel of shape {kernel.shape} does not fit {images.x.shape[-1]} channels; "
            "its last axes are (channels, multiplier)"
        )
    lengths, geometry, met = _walk(who, images.lengths, taps, strides, dilation, padding)
    return images.back(_multiplied(images.x, _part(kernel, met), lengths, geometry))


def separable_conv(
    inputs: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """`depthwise_conv`, then `conv` with a kernel (1, ..., channels multiplier, filters).

    Arguments and errors are those of `conv`.

    >>> import pydl
    >>> x, depthwise = pydl.ones((1, 5, 5, 2)), pydl.ones((3, 3, 2, 2))
    >>> pydl.separable_conv(x, depthwise, pydl.ones((1, 1, 4, 7)), padding="same").shape
    (1, 5, 5, 7)
    """
    y = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(y, pointwise_kernel, 1, "valid", data_format)


@functools.lru_cache(maxsize=1024)
def _transposed_walk(
    who: str,
    lengths: Axes,
    taps: Axes,
    strides: Axes,
    dilation: Axes,
    padding: str,
    extra: tuple[int | None, ...],
) -> tuple[Axes, Geometry, Key | None]:
    """Lengths of a transposed convolution; geometry and taps of the convolution."""
    spans = _spans(who, taps, dilation)
    out, before = [], []
    for n, k, span, stride, more in zip(lengths, taps, spans, strides, extra, strict=True):
        if padding == "valid":
            length = (n - 1) * stride + (max(span, stride) if more is None else span + more)
            before.append(0)
        else:
            # Keras's rule: so many zeros around the spread inputs, the larger half before
            total = stride + span - 2 if more is None else span + span % 2 - 2 + more
            length = (n - 1) * stride + 2 + total - span
            before.append(span - 1 - min(total - total // 2, span - 1))
        if length < min(n, 1):  # an empty axis may stay empty
            raise ValueError(f"{who}: nothing is left of an axis of length {n} with {k} taps")
        out.append(length)
    found = tuple(out)
    return found, *_of_taps_that_meet(found, taps, lengths, strides, dilation, tuple(before))


def conv_transpose(
    inputs: Any,
    kernel: Any,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    output_padding: int | Sequence[int] | None = None,
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """The gradient of `conv` for its inputs: each pixel spreads the kernel over the result.

    Args:
      inputs: floats (batch, ..., channels), or (batch, channels, ...) with "channels_first".
      kernel: (..., filters, channels).
      strides: the distance of the pixels' copies, an integer, or one for each spatial axis.
      padding: "valid": (n - 1) strides + max(k, strides) pixels, k = dilation_rate (taps - 1) + 1;
        "same": n strides pixels.
      output_padding: extra pixels after the last: (n - 1) strides + k + output_padding for "valid",
        (n - 1) strides + k % 2 + output_padding for "same"; None for the lengths above.
      data_format: "channels_last" (default) or "channels_first".
      dilation_rate: the distance of neighbouring taps; not together with strides.

    Raises:
      TypeError: inputs or kernel are not floats.
      ValueError: shapes that do not fit, or output_padding not below strides.

    >>> import pydl
    >>> x = pydl.reshape(pydl.tensor([1.0, 2.0]), (1, 2, 1))
    >>> pydl.conv_transpose(x, pydl.ones((3, 1, 1)), strides=2).tolist()
    [[[1.0], [1.0], [3.0], [2.0], [2.0]]]
    """
    who = "conv_transpose"
    inputs, kernel = _operands(who, inputs, kernel)
    images = _Images(who, inputs, data_format)
    taps = _check_kernel(who, images, kernel, "(..., filters, channels)")
    strides, dilation = _strides_and_dilation(who, strides, dilation_rate, images.axes)
    padding = _padding(who, padding, "valid", "same")
    if kernel.shape[-1] != images.x.shape[-1]:
        raise ValueError(
            f"{who}: kernel of shape {kernel.shape} does not fit {images.x.shape[-1]} channels; "
            "its last axes are (filters, channels)"
        )
    extra: tuple[int | None, ...] = (None,) * images.axes
    if output_padding is not None:
        extra = per_axis(who, "output_padding", output_padding, images.axes, 0)
        if any(e >= s for e, s in zip(extra, strides, strict=True)):
            raise ValueError(
                f"{who}: output_padding must be below strides, got {output_padding!r} and {strides}"
            )
    lengths, geometry, met = _transposed_walk(
        who, images.lengths, taps, strides, dilation, padding, extra
    )
    check.shape(who, (images.x.shape[0], *lengths, kernel.shape[-2]))
    return images.back(_conv_input(images.x, _part(kernel, met), lengths, geometry, 1))


def _pool(
    who: str, pool: Any, inputs: Any, pool_size: Any, strides: Any, padding: str, data_format: Any
) -> Tensor:
    images = _Images(who, as_tensor(inputs, who), data_format)
    window = per_axis(who, "pool_size", pool_size, images.axes)
    steps = window if strides is None else per_axis(who, "strides", strides, images.axes)
    padding = _padding(who, padding, "valid", "same")
    if 0 in images.lengths:
        raise ValueError(f"{who}: there is no pixel in inputs of shape {images.x.shape}")
    lengths, before = _windows(who, images.lengths, window, steps, (1,) * images.axes, padding)
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
