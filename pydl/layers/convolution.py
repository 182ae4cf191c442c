"""Convolution layers for sequences (1D) and images (2D)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydl import activations, check, ops
from pydl.layers.core import _activation
from pydl.layers.spatial import Shape, Spatial
from pydl.ops.convolution import convolve
from pydl.ops.windows import conv_paddings, extra_pixels, strides_and_dilation, transposed_walk
from pydl.tensor import Tensor

_Numbers = int | Sequence[int]


class BaseConv(Spatial):
    """Base of the convolution layers, which declare their weights and the bias themselves.

    Args:
        kernel_size: Length of the window, an integer or one for each spatial axis.
        strides: Distance of windows, likewise.
        padding: "valid", "same", or in one dimension "causal".
        data_format: See `Spatial`.
        dilation_rate: Distance of the taps of a window; not together with strides.
        activation: Name or callable; None is linear.
        use_bias: Whether to add a bias.
        **kwargs: See `Layer`.
    """

    def __init__(
        self,
        kernel_size: _Numbers,
        strides: _Numbers,
        padding: str,
        data_format: str | None,
        dilation_rate: _Numbers,
        activation: Any,
        use_bias: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        who = type(self).__name__
        self.kernel_size = self._per_axis("kernel_size", kernel_size)
        self.strides, self.dilation_rate = strides_and_dilation(
            who, strides, dilation_rate, self.rank
        )
        self.padding = self._padding(padding, *conv_paddings(self.rank))
        self.activation = _activation(activation)
        self.use_bias = use_bias

    def _channels_of(self, input_shape: Sequence[int | None]) -> int:
        """Return the number of channels, which must be known."""
        _, channels = self._split(input_shape)
        if channels is None:
            raise ValueError(
                f"{self.label}: the number of channels must be known, got {tuple(input_shape)}"
            )
        return channels

    def _check_channels(self, inputs: Tensor) -> None:
        """Raise unless an input has the channels that the layer was built for."""
        _, channels = self._split(inputs.shape)
        _, built_for = self._split(self.input_shape)
        if channels != built_for:
            raise ValueError(
                f"{self.label}: expected {built_for} channels, got shape {inputs.shape}; the layer "
                f"was built for {built_for}"
            )

    def _build_bias(self, filters: int) -> None:
        """Make the bias if there is one."""
        self.bias = self._declared("bias", (filters,)) if self.use_bias else None

    @property
    def _act(self) -> Any:
        """The activation, None where it is linear."""
        return None if self.activation is activations.linear else self.activation

    def _finished(self, y: Tensor) -> Tensor:
        """Return y with the bias and after the activation."""
        if self.bias is not None:
            first = self.data_format == "channels_first"
            shape = (-1, *(1,) * self.rank) if first else (-1,)
            y = y + ops.reshape(self.bias, shape)
        return y if self._act is None else self._act(y)

    def _walked(self, input_shape: Sequence[int | None], filters: int) -> Shape:
        """Return the shape of the output with some number of channels."""
        lengths, _ = self._split(input_shape)
        counts = self._windows(
            input_shape, lengths, self.kernel_size, self.strides, self.dilation_rate, self.padding
        )
        return self._joined(input_shape[0], counts, filters)


class _Conv(BaseConv):
    """Base of `Conv1D` and `Conv2D`."""

    def __init__(
        self,
        filters: int,
        kernel_size: _Numbers,
        strides: _Numbers = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: _Numbers = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        who = type(self).__name__
        self.filters = check.positive_integer(who, "filters", filters)
        self.groups = check.positive_integer(who, "groups", groups)
        if self.filters % self.groups:
            raise ValueError(f"{who}: {groups} groups do not divide {filters} filters")
        self._declare("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self._declare("bias", bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: Sequence[int | None]) -> None:
        channels = self._channels_of(input_shape)
        self.compute_output_shape(input_shape)
        if channels % self.groups:
            raise ValueError(
                f"{self.label}: {self.groups} groups do not divide the {channels} channels of "
                f"shape {tuple(input_shape)}"
            )
        self.kernel = self._declared(
            "kernel", (*self.kernel_size, channels // self.groups, self.filters)
        )
        self._build_bias(self.filters)

    def call(self, inputs: Tensor) -> Tensor:
        self._check_channels(inputs)
        return convolve(
            self.label,
            inputs,
            self.kernel,
            self.bias,
            self.strides,
            self.padding,
            self.data_format,
            self.dilation_rate,
            self._act,
        )

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        return self._walked(input_shape, self.filters)


class Conv1D(_Conv):
    """Convolution along time: y = activation(sum_t sum_c x[o s + t d - p, c] kernel[t, c] + bias).

    o is the window, s the stride, d the dilation rate, p the number of zeros before the first step.

    Args:
        filters: Number of output channels.
        kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias: See
            `BaseConv`.
        groups: Parts of the channels that are convolved apart.
        kernel_initializer, ..., bias_constraint: Of the weights.
        **kwargs: See `Layer`.

    Input shape: (batch, steps, channels). Output shape: (batch, windows, filters).
    Weights: kernel (kernel_size, channels / groups, filters), bias (filters,).

    Raises:
        ValueError: `groups` does not divide the filters or the channels, strides come with a
            dilation rate, or a window does not fit into the input with "valid".

    Source: Waibel et al. 1989, "Phoneme recognition using time-delay neural networks".

    >>> import pydl
    >>> Conv1D(4, 3)(pydl.ones((2, 10, 5))).shape
    (2, 8, 4)
    """

    rank = 1


class Conv2D(_Conv):
    """Convolution of images; see `Conv1D` for the formula.

    Args: As for `Conv1D`, numbers being integers or (height, width).

    Input shape: (batch, height, width, channels). Output shape: (batch, rows, columns, filters).
    Weights: kernel (height, width, channels / groups, filters), bias (filters,).

    Source: LeCun et al. 1989, "Backpropagation applied to handwritten zip code recognition".

    >>> import pydl
    >>> Conv2D(32, 3, activation="relu")(pydl.ones((2, 28, 28, 1))).shape
    (2, 26, 26, 32)
    """


class Conv2DTranspose(BaseConv):
    """The transpose of a convolution: each pixel spreads the kernel over a larger image.

    Args:
        filters: Number of output channels.
        output_padding: Extra pixels after the last, below strides; None for the usual size.
        kernel_size, strides, ...: As for `Conv2D`.

    Input shape: (batch, height, width, channels). Output shape: (batch, rows, columns, filters); n
    pixels become n strides with "same", (n - 1) strides + max(kernel_size, strides) with "valid".
    Weights: kernel (height, width, filters, channels), bias (filters,).

    Raises:
        ValueError: `output_padding` is not below `strides`, or strides come with a dilation rate.

    Source: Dumoulin and Visin 2016, "A guide to convolution arithmetic for deep learning".

    >>> import pydl
    >>> Conv2DTranspose(3, 2, strides=2)(pydl.ones((1, 7, 7, 4))).shape
    (1, 14, 14, 3)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: _Numbers,
        strides: _Numbers = 1,
        padding: str = "valid",
        output_padding: _Numbers | None = None,
        data_format: str | None = None,
        dilation_rate: _Numbers = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.filters = check.positive_integer(type(self).__name__, "filters", filters)
        self.output_padding = extra_pixels(type(self).__name__, output_padding, self.strides)
        self._declare("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self._declare("bias", bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: Sequence[int | None]) -> None:
        channels = self._channels_of(input_shape)
        self.compute_output_shape(input_shape)
        self.kernel = self._declared("kernel", (*self.kernel_size, self.filters, channels))
        self._build_bias(self.filters)

    def call(self, inputs: Tensor) -> Tensor:
        self._check_channels(inputs)
        y = ops.conv_transpose(
            inputs,
            self.kernel,
            self.strides,
            self.padding,
            self.output_padding,
            self.data_format,
            self.dilation_rate,
        )
        return self._finished(y)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        lengths, _ = self._split(input_shape)
        extra: Any = (None,) * self.rank if self.output_padding is None else self.output_padding
        found: list[int | None] = []
        for n, *rest in zip(
            lengths, self.kernel_size, self.strides, self.dilation_rate, extra, strict=True
        ):
            if n is None:
                found.append(None)
                continue
            taps, strides, dilation, more = ((value,) for value in rest)
            length, _, _ = transposed_walk(
                self.label, (n,), taps, strides, dilation, self.padding, more
            )
            found.append(length[0])
        return self._joined(input_shape[0], found, self.filters)


class _DepthwiseConv(BaseConv):
    """Base of the depthwise convolutions."""

    def __init__(
        self,
        kernel_size: _Numbers,
        strides: _Numbers = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: _Numbers = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.depth_multiplier = check.positive_integer(
            type(self).__name__, "depth_multiplier", depth_multiplier
        )
        self._declare(
            "depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint
        )
        self._declare("bias", bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: Sequence[int | None]) -> None:
        channels = self._channels_of(input_shape)
        self.compute_output_shape(input_shape)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = self._declared("depthwise", shape, "kernel")
        self._build_bias(channels * self.depth_multiplier)

    def call(self, inputs: Tensor) -> Tensor:
        self._check_channels(inputs)
        y = ops.depthwise_conv(
            inputs, self.kernel, self.strides, self.padding, self.data_format, self.dilation_rate
        )
        return self._finished(y)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        return self._walked(input_shape, self._channels_of(input_shape) * self.depth_multiplier)


class DepthwiseConv1D(_DepthwiseConv):
    """A convolution of each channel with filters of its own, along time.

    Args:
        depth_multiplier: Filters a channel; channel c and filter j give channel
            c depth_multiplier + j.
        kernel_size, strides, ...: See `BaseConv`.
        depthwise_initializer, ..., bias_constraint: Of the weights.

    Input shape: (batch, steps, channels).
    Output shape: (batch, windows, channels depth_multiplier).
    Weights: kernel (kernel_size, channels, depth_multiplier), bias (channels depth_multiplier,).

    Source: Howard et al. 2017, "MobileNets".

    >>> import pydl
    >>> DepthwiseConv1D(3)(pydl.ones((2, 10, 5))).shape
    (2, 8, 5)
    """

    rank = 1


class DepthwiseConv2D(_DepthwiseConv):
    """A convolution of each channel of images with filters of its own; see `DepthwiseConv1D`.

    Weights: kernel (height, width, channels, depth_multiplier), bias (channels depth_multiplier,).

    >>> import pydl
    >>> DepthwiseConv2D(3, depth_multiplier=2)(pydl.ones((2, 10, 10, 5))).shape
    (2, 8, 8, 10)
    """


class _SeparableConv(BaseConv):
    """Base of the separable convolutions."""

    def __init__(
        self,
        filters: int,
        kernel_size: _Numbers,
        strides: _Numbers = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: _Numbers = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.filters = check.positive_integer(type(self).__name__, "filters", filters)
        self.depth_multiplier = check.positive_integer(
            type(self).__name__, "depth_multiplier", depth_multiplier
        )
        self._declare(
            "depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint
        )
        self._declare(
            "pointwise", pointwise_initializer, pointwise_regularizer, pointwise_constraint
        )
        self._declare("bias", bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: Sequence[int | None]) -> None:
        channels = self._channels_of(input_shape)
        self.compute_output_shape(input_shape)
        self.depthwise_kernel = self._declared(
            "depthwise", (*self.kernel_size, channels, self.depth_multiplier), "depthwise_kernel"
        )
        inner = channels * self.depth_multiplier
        self.pointwise_kernel = self._declared(
            "pointwise", (*(1,) * self.rank, inner, self.filters), "pointwise_kernel"
        )
        self._build_bias(self.filters)

    def call(self, inputs: Tensor) -> Tensor:
        self._check_channels(inputs)
        y = ops.depthwise_conv(
            inputs,
            self.depthwise_kernel,
            self.strides,
            self.padding,
            self.data_format,
            self.dilation_rate,
        )
        kernel, form = self.pointwise_kernel, self.data_format
        return convolve(self.label, y, kernel, self.bias, 1, "valid", form, 1, self._act)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        return self._walked(input_shape, self.filters)


class SeparableConv1D(_SeparableConv):
    """A depthwise convolution along time, then one of size 1 that mixes the channels.

    Args:
        filters: Number of output channels.
        depth_multiplier: Filters a channel in the first step.
        kernel_size, strides, ...: See `BaseConv`.
        depthwise_initializer, ..., bias_constraint: Of the weights.

    Input shape: (batch, steps, channels). Output shape: (batch, windows, filters).
    Weights: depthwise_kernel (kernel_size, channels, depth_multiplier), pointwise_kernel
    (1, channels depth_multiplier, filters), bias (filters,).

    >>> import pydl
    >>> SeparableConv1D(4, 3)(pydl.ones((2, 10, 5))).shape
    (2, 8, 4)
    """

    rank = 1


class SeparableConv2D(_SeparableConv):
    """A depthwise convolution of images, then one of size 1; see `SeparableConv1D`.

    Source: Chollet 2017, "Xception: deep learning with depthwise separable convolutions".

    >>> import pydl
    >>> SeparableConv2D(4, 3)(pydl.ones((2, 10, 10, 5))).shape
    (2, 8, 8, 4)
    """


Convolution1D, Convolution2D = Conv1D, Conv2D
