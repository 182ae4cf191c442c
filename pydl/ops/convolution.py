"""Convolution: sums of products over windows, in 1, 2 or 3 dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pydl import _core, check
from pydl.autograd import op
from pydl.ops.elementwise import astype
from pydl.ops.linalg import activated, activation_arguments, activation_gradient, fusable
from pydl.ops.promote import as_tensor
from pydl.ops.reduce import sum as sum_over
from pydl.ops.shape import broadcast_to, expand_dims, reshape
from pydl.ops.windows import (
    Axes,
    Geometry,
    Images,
    check_kernel,
    check_padding,
    conv_paddings,
    extra_pixels,
    operands,
    spatial,
    strides_and_dilation,
    taps_of,
    transposed_walk,
    walk,
)
from pydl.tensor import Tensor

__all__ = ["conv", "conv_transpose", "depthwise_conv", "separable_conv"]


# A convolution is linear in x and in the kernel: the three products are each other's gradients.
# `lengths` is the spatial shape of the result.


def _gradients(
    forward: Callable[..., Tensor],
    of_input: Callable[..., np.ndarray],
    of_kernel: Callable[..., np.ndarray],
    channel_axes: int,
) -> tuple[Any, Any]:
    """The gradients of a convolution for its input and its kernel, as operations.

    Args:
      forward: the convolution itself, (x, kernel, lengths, geometry, groups).
      of_input, of_kernel: functions of arrays, (g, kernel, ...) and (x, g, ...).
      channel_axes: how many axes of the kernel are not spatial.
    """

    @op(saves=("g", "kernel"))
    def input_gradient(
        g: np.ndarray, kernel: np.ndarray, /, lengths: Axes, geometry: Geometry, groups: int
    ) -> np.ndarray:
        return of_input(g, kernel, lengths, geometry, groups)

    @input_gradient.gradient
    def _(
        d: Tensor, y: Any, g: Tensor, kernel: Tensor, lengths: Axes, geometry: Geometry, groups: int
    ) -> Any:
        return (
            lambda: forward(d, kernel, spatial(g.shape), geometry, groups),
            lambda: kernel_gradient(d, g, kernel.shape[:-channel_axes], geometry, groups),
        )

    @op(saves=("x", "g"))
    def kernel_gradient(
        x: np.ndarray, g: np.ndarray, /, lengths: Axes, geometry: Geometry, groups: int
    ) -> np.ndarray:
        return of_kernel(x, g, lengths, geometry, groups)

    @kernel_gradient.gradient
    def _(
        d: Tensor, y: Any, x: Tensor, g: Tensor, lengths: Axes, geometry: Geometry, groups: int
    ) -> Any:
        return (
            lambda: input_gradient(g, d, spatial(x.shape), geometry, groups),
            lambda: forward(x, d, spatial(g.shape), geometry, groups),
        )

    return input_gradient, kernel_gradient


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
    geometry: Geometry,
    activation: str | None,
) -> Any:
    g = activation_gradient(activation, g, y)
    groups = x.shape[-1] // kernel.shape[-2]
    return (
        lambda: _conv_input(g, kernel, spatial(x.shape), geometry, groups),
        lambda: _conv_kernel(x, g, kernel.shape[:-2], geometry, groups),
        lambda: sum_over(g, axis=tuple(range(g.ndim - 1))),
    )


_conv_input, _conv_kernel = _gradients(
    lambda x, kernel, lengths, geometry, groups: _conv(x, kernel, None, lengths, geometry),
    lambda g, kernel, n, geometry, groups: _core.conv_input_grad(g, kernel, n, *geometry, groups),
    lambda x, g, n, geometry, groups: _core.conv_kernel_grad(x, g, n, *geometry, groups),
    channel_axes=2,
)


@op(saves=("x", "kernel"))
def _depthwise(
    x: np.ndarray, kernel: np.ndarray, /, lengths: Axes, geometry: Geometry
) -> np.ndarray:
    return _core.depthwise_conv(x, kernel, lengths, *geometry)


@_depthwise.gradient
def _(g: Tensor, y: Any, x: Tensor, kernel: Tensor, lengths: Axes, geometry: Geometry) -> Any:
    groups = x.shape[-1]
    return (
        lambda: _depthwise_input(g, kernel, spatial(x.shape), geometry, groups),
        lambda: _depthwise_kernel(x, g, kernel.shape[:-1], geometry, groups),
    )


_depthwise_input, _depthwise_kernel = _gradients(
    lambda x, kernel, lengths, geometry, groups: _depthwise(x, kernel, lengths, geometry),
    lambda g, kernel, n, geometry, groups: _core.depthwise_conv_input_grad(g, kernel, n, *geometry),
    lambda x, g, n, geometry, groups: _core.depthwise_conv_kernel_grad(x, g, n, *geometry),
    channel_axes=1,
)


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
    inputs, kernel = operands(who, inputs, kernel)
    images = Images(who, inputs, data_format)
    taps = check_kernel(who, images, kernel, "(..., channels / groups, filters)")
    strides, dilation = strides_and_dilation(who, strides, dilation_rate, images.axes)
    padding = check_padding(who, padding, *conv_paddings(images.axes))
    channels, (inner, filters) = images.x.shape[-1], kernel.shape[-2:]
    if inner < 1 or channels < 1 or channels % inner or filters % (channels // inner):
        raise ValueError(
            f"{who}: kernel of shape {kernel.shape} does not fit {channels} channels; its "
            "last axes are (channels / groups, filters), and groups divides the filters"
        )
    lengths, geometry, met = walk(who, images.lengths, taps, strides, dilation, padding)
    kernel = taps_of(kernel, met)
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
    inputs, kernel = operands(who, inputs, kernel)
    images = Images(who, inputs, data_format)
    taps = check_kernel(who, images, kernel, "(..., channels, multiplier)")
    strides, dilation = strides_and_dilation(who, strides, dilation_rate, images.axes)
    padding = check_padding(who, padding, *conv_paddings(images.axes))
    if kernel.shape[-2] != images.x.shape[-1]:
        raise ValueError(
            f"{who}: kernel of shape {kernel.shape} does not fit {images.x.shape[-1]} channels; "
            "its last axes are (channels, multiplier)"
        )
    lengths, geometry, met = walk(who, images.lengths, taps, strides, dilation, padding)
    return images.back(_multiplied(images.x, taps_of(kernel, met), lengths, geometry))


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
    inputs, kernel = operands(who, inputs, kernel)
    images = Images(who, inputs, data_format)
    taps = check_kernel(who, images, kernel, "(..., filters, channels)")
    strides, dilation = strides_and_dilation(who, strides, dilation_rate, images.axes)
    padding = check_padding(who, padding, "valid", "same")
    if kernel.shape[-1] != images.x.shape[-1]:
        raise ValueError(
            f"{who}: kernel of shape {kernel.shape} does not fit {images.x.shape[-1]} channels; "
            "its last axes are (filters, channels)"
        )
    extra = extra_pixels(who, output_padding, strides) or (None,) * images.axes
    lengths, geometry, met = transposed_walk(
        who, images.lengths, taps, strides, dilation, padding, extra
    )
    check.shape(who, (images.x.shape[0], *lengths, kernel.shape[-2]))
    return images.back(_conv_input(images.x, taps_of(kernel, met), lengths, geometry, 1))
