"""Pooling: the largest or mean element of windows, or of all places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pydl import check, ops
from pydl.layers import masks
from pydl.layers.spatial import Shape, Spatial
from pydl.tensor import Tensor, constant


class Pooling(Spatial):
    """Base of the layers that reduce windows.

    Args:
        pool_size: Length of a window, an integer or one for each spatial axis.
        strides: Distance of windows; None for `pool_size`.
        padding: "valid" or "same"; what is padded never wins and does not count in a mean.
        data_format: See `Spatial`.
        **kwargs: See `Layer`.

    Input shape: (batch, spatial axes, channels). Output shape: the same with as many places as
    windows: (n - pool_size) // strides + 1 of n with "valid", ceil(n / strides) with "same".

    Raises:
        ValueError: A window does not fit into the input with "valid".
    """

    _operation: Callable[..., Tensor]

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.pool_size = self._per_axis("pool_size", pool_size)
        self.strides = self.pool_size if strides is None else self._per_axis("strides", strides)
        self.padding = self._padding(padding, "valid", "same")

    def call(self, inputs: Tensor) -> Tensor:
        self._split(inputs.shape)
        return type(self)._operation(
            inputs, self.pool_size, self.strides, self.padding, self.data_format
        )

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        lengths, channels = self._split(input_shape)
        ones = (1,) * self.rank
        counts = self._windows(
            input_shape, lengths, self.pool_size, self.strides, ones, self.padding
        )
        return self._joined(input_shape[0], counts, channels)


class MaxPooling1D(Pooling):
    """The largest element of each window of steps; see `Pooling`.

    >>> import pydl
    >>> MaxPooling1D()(pydl.tensor([[[1.0], [3.0], [2.0], [0.0]]])).tolist()
    [[[3.0], [2.0]]]
    """

    rank = 1
    _operation = staticmethod(ops.max_pool)


class MaxPooling2D(Pooling):
    """The largest element of each window of pixels; see `Pooling`.

    >>> import pydl
    >>> MaxPooling2D()(pydl.ones((1, 28, 28, 3))).shape
    (1, 14, 14, 3)
    """

    _operation = staticmethod(ops.max_pool)


class AveragePooling1D(Pooling):
    """The mean of each window of steps; see `Pooling`.

    >>> import pydl
    >>> AveragePooling1D()(pydl.tensor([[[1.0], [3.0], [2.0], [0.0]]])).tolist()
    [[[2.0], [1.0]]]
    """

    rank = 1
    _operation = staticmethod(ops.average_pool)


class AveragePooling2D(Pooling):
    """The mean of each window of pixels; see `Pooling`.

    >>> import pydl
    >>> AveragePooling2D()(pydl.ones((1, 28, 28, 3))).shape
    (1, 14, 14, 3)
    """

    _operation = staticmethod(ops.average_pool)


class GlobalPooling(Spatial):
    """Base of the layers that reduce all places of a sample to one value a channel.

    Args:
        data_format: See `Spatial`.
        keepdims: Whether the spatial axes stay, with length 1.
        **kwargs: See `Layer`.

    Input shape: (batch, spatial axes, channels). Output shape: (batch, channels).

    Source: Lin, Chen and Yan 2014, "Network in network".
    """

    _operation: Callable[..., Tensor]

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.keepdims = keepdims

    def call(self, inputs: Tensor) -> Tensor:
        self._split(inputs.shape)
        return type(self)._operation(inputs, axis=self._places, keepdims=self.keepdims)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        _, channels = self._split(input_shape)
        return self._joined(input_shape[0], (1,) * self.rank if self.keepdims else (), channels)


class GlobalMaxPooling1D(GlobalPooling):
    """The largest element of all steps; see `GlobalPooling`.

    >>> import pydl
    >>> GlobalMaxPooling1D()(pydl.tensor([[[1.0], [3.0]]])).tolist()
    [[3.0]]
    """

    rank = 1
    _operation = staticmethod(ops.max)


class GlobalMaxPooling2D(GlobalPooling):
    """The largest element of all pixels; see `GlobalPooling`.

    >>> import pydl
    >>> GlobalMaxPooling2D()(pydl.tensor([[[[1.0], [3.0]]]])).tolist()
    [[3.0]]
    """

    _operation = staticmethod(ops.max)


class GlobalAveragePooling1D(GlobalPooling):
    """The mean of all steps, with a mask of those that count; see `GlobalPooling`.

    >>> import pydl
    >>> GlobalAveragePooling1D()(pydl.tensor([[[1.0], [3.0]]])).tolist()
    [[2.0]]
    """

    rank = 1
    supports_masking = True
    _operation = staticmethod(ops.mean)

    def call(self, inputs: Tensor, mask: Any = None) -> Tensor:
        if mask is None:
            return super().call(inputs)
        self._split(inputs.shape)
        steps = self._places[0]
        wide = ops.expand_dims(mask, 3 - steps)
        counts = ops.sum(masks.as_floats(wide), axis=steps, keepdims=self.keepdims)
        total = ops.sum(ops.where(wide, inputs, 0.0), axis=steps, keepdims=self.keepdims)
        return total / ops.astype(counts, inputs.dtype)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None


class GlobalAveragePooling2D(GlobalPooling):
    """The mean of all pixels; see `GlobalPooling`.

    >>> import pydl
    >>> GlobalAveragePooling2D()(pydl.tensor([[[[1.0], [3.0]]]])).tolist()
    [[2.0]]
    """

    _operation = staticmethod(ops.mean)


class _Resized(Spatial):
    """Base of the layers that change the number of places."""

    def _resized(self, axis: int, n: int) -> int:
        """Return the new length of a spatial axis."""
        raise NotImplementedError(f"{type(self).__name__} must implement _resized(axis, n)")

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        lengths, channels = self._split(input_shape)
        found = [None if n is None else self._resized(i, n) for i, n in enumerate(lengths)]
        if any(n is not None and n < 1 for n in found):
            raise ValueError(
                f"{self.label}: nothing is left of shape {tuple(input_shape)}; the spatial axes "
                f"would get the lengths {tuple(found)}"
            )
        return self._joined(input_shape[0], found, channels)

    def _pairs(self, name: str, value: Any) -> tuple[tuple[int, int], ...]:
        """Return (before, after) for each spatial axis."""
        who = type(self).__name__
        pairs = value
        if isinstance(value, int):
            pairs = ((value, value),) * self.rank
        elif self.rank == 1 and all(isinstance(n, int) for n in value):
            pairs = (tuple(value),)
        elif all(isinstance(n, int) for n in value):
            pairs = tuple((n, n) for n in value)
        pairs = tuple(tuple(pair) for pair in pairs)
        if len(pairs) != self.rank or any(
            len(pair) != 2 or not all(isinstance(n, int) and n >= 0 for n in pair) for pair in pairs
        ):
            raise ValueError(
                f"{who}: {name} must be an integer, or (before, after) for each of {self.rank} "
                f"axes, not negative, got {value!r}"
            )
        return pairs


class UpSampling1D(_Resized):
    """Each step `size` times.

    Args:
        size: How often.
        **kwargs: See `Layer`.

    >>> import pydl
    >>> UpSampling1D(2)(pydl.tensor([[[1.0], [2.0]]])).tolist()
    [[[1.0], [1.0], [2.0], [2.0]]]
    """

    rank = 1

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__("channels_last", **kwargs)
        (self.size,) = self._per_axis("size", size)

    def _resized(self, axis: int, n: int) -> int:
        return n * self.size

    def call(self, inputs: Tensor) -> Tensor:
        return _repeated(inputs, {1: self.size})

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments as plain data, so that `from_config` makes a copy."""
        values = super()._read_config(strict=False)
        del values["data_format"]
        return values


class UpSampling2D(_Resized):
    """Each pixel as a block of `size` pixels.

    Args:
        size: Height and width of a block, or one integer for both.
        data_format: See `Spatial`.
        interpolation: "nearest" repeats pixels; "bilinear" goes on a line between their centres.
        **kwargs: See `Layer`.

    >>> import pydl
    >>> UpSampling2D((1, 2))(pydl.tensor([[[[1.0], [2.0]]]])).tolist()
    [[[[1.0], [1.0], [2.0], [2.0]]]]
    """

    def __init__(
        self,
        size: int | Sequence[int] = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.size = self._per_axis("size", size)
        known = ("nearest", "bilinear")
        check.choice("UpSampling2D", "interpolation", interpolation, known)
        self.interpolation = interpolation

    def _resized(self, axis: int, n: int) -> int:
        return n * self.size[axis]

    def call(self, inputs: Tensor) -> Tensor:
        self._split(inputs.shape)
        times = dict(zip(self._places, self.size, strict=True))
        if self.interpolation == "nearest":
            return _repeated(inputs, times)
        for axis, n in times.items():
            weights = _between(inputs.shape[axis], n, self._dtype)
            inputs = ops.moveaxis(ops.matmul(ops.moveaxis(inputs, axis, -1), weights), -1, axis)
        return inputs


def _repeated(x: Tensor, times: dict[int, int]) -> Tensor:
    """Return x with each part along some axes repeated."""
    narrow: list[int] = []
    wide: list[int] = []
    shape: list[int] = []
    for axis, n in enumerate(x.shape):
        count = times.get(axis, 1)
        shape.append(n * count)
        narrow += [n, 1] if axis in times else [n]
        wide += [n, count] if axis in times else [n]
    return ops.reshape(ops.broadcast_to(ops.reshape(x, narrow), wide), shape)


def _between(n: int, times: int, dtype: Any) -> Any:
    """Return the matrix (n, n times) of linear interpolation between the centres of pixels."""
    place = np.clip((np.arange(n * times) + 0.5) / times - 0.5, 0, n - 1)
    low = np.minimum(place.astype(np.int64), max(n - 2, 0))
    share = place - low
    weights = np.zeros((n, n * times))
    columns = np.arange(n * times)
    weights[low, columns] = 1 - share
    if n > 1:
        weights[low + 1, columns] += share
    return constant(weights.astype(dtype))


class _Padded(_Resized):
    """Base of zero padding."""

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.padding = self._pairs("padding", padding)

    def _resized(self, axis: int, n: int) -> int:
        return n + sum(self.padding[axis])

    def call(self, inputs: Tensor) -> Tensor:
        self._split(inputs.shape)
        return ops.pad(inputs, self._joined((0, 0), self.padding, (0, 0)))  # type: ignore[arg-type]


class ZeroPadding1D(_Padded):
    """Zeros before the first step and after the last.

    Args:
        padding: How many at both ends, or (before, after).
        data_format: See `Spatial`.
        **kwargs: See `Layer`.

    >>> import pydl
    >>> ZeroPadding1D((1, 0))(pydl.ones((1, 1, 1))).tolist()
    [[[0.0], [1.0]]]
    """

    rank = 1


class ZeroPadding2D(_Padded):
    """Zeros around images.

    Args:
        padding: How many on all sides, (height, width), or ((top, bottom), (left, right)).
        data_format: See `Spatial`.
        **kwargs: See `Layer`.

    >>> import pydl
    >>> ZeroPadding2D()(pydl.ones((1, 3, 4, 2))).shape
    (1, 5, 6, 2)
    """


class _Cropped(_Resized):
    """Base of cropping."""

    def __init__(self, cropping: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.cropping = self._pairs("cropping", cropping)

    def _resized(self, axis: int, n: int) -> int:
        return n - sum(self.cropping[axis])

    def call(self, inputs: Tensor) -> Tensor:
        self.compute_output_shape(inputs.shape)
        lengths, _ = self._split(inputs.shape)
        inside = [
            slice(before, n - after)  # type: ignore[operator]
            for (before, after), n in zip(self.cropping, lengths, strict=True)
        ]
        every = slice(None)
        return inputs[self._joined(every, inside, every)]  # type: ignore[arg-type]


class Cropping1D(_Cropped):
    """Without the first and the last steps.

    Args:
        cropping: How many at both ends, or (before, after).
        data_format: See `Spatial`.
        **kwargs: See `Layer`.

    >>> import pydl
    >>> Cropping1D((1, 0))(pydl.tensor([[[1.0], [2.0]]])).tolist()
    [[[2.0]]]
    """

    rank = 1


class Cropping2D(_Cropped):
    """Without the borders of images.

    Args:
        cropping: How many on all sides, (height, width), or ((top, bottom), (left, right)).
        data_format: See `Spatial`.
        **kwargs: See `Layer`.

    >>> import pydl
    >>> Cropping2D()(pydl.ones((1, 5, 6, 2))).shape
    (1, 3, 4, 2)
    """


MaxPool1D, MaxPool2D = MaxPooling1D, MaxPooling2D
AvgPool1D, AvgPool2D = AveragePooling1D, AveragePooling2D
GlobalMaxPool1D, GlobalMaxPool2D = GlobalMaxPooling1D, GlobalMaxPooling2D
GlobalAvgPool1D, GlobalAvgPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D
