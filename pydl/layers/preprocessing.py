"""Layers that bring data to a common scale: Normalization, Rescaling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pydl import check, config, ops
from pydl.layers.arguments import axis_or_axes
from pydl.layers.core import Elementwise
from pydl.tensor import Tensor, to_array


class Normalization(Elementwise):
    """y = (x - mean) / max(sqrt(variance), epsilon), with the statistics that `adapt` finds.

    Args:
        axis: Axis, or axes, that have a mean and variance each; None for one of all.
        mean, variance: The statistics, where they are known.
        invert: Whether to compute x sqrt(variance) + mean instead.
        **kwargs: See `Layer`.

    Weights, unless the statistics are given: mean, variance, count; not trained.

    >>> import numpy as np
    >>> layer = Normalization()
    >>> layer.adapt(np.array([[1.0], [3.0]]))
    >>> layer(np.array([[1.0], [3.0]])).tolist()
    [[-1.0], [1.0]]
    """

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        axes = () if axis is None else axis_or_axes("Normalization", axis)
        self.axis: tuple[int, ...] = (axes,) if isinstance(axes, int) else axes
        if (mean is None) != (variance is None):
            raise ValueError("Normalization: give both mean and variance, or neither")
        if np.shape(mean) != np.shape(variance):
            raise ValueError(
                f"Normalization: mean of shape {np.shape(mean)} and variance of shape "
                f"{np.shape(variance)} must have one shape"
            )
        self.input_mean = None if mean is None else to_array(mean, self.dtype)
        self.input_variance = None if variance is None else to_array(variance, self.dtype)
        self.invert = invert

    def build(self, input_shape: Sequence[int | None]) -> None:
        self._kept = check.axes(self.label, self.axis, len(input_shape), input_shape)
        shape: Any = [input_shape[a] for a in self._kept]
        if None in shape:
            raise ValueError(
                f"{self.label}: the length of axis {self.axis} must be known, "
                f"got shape {tuple(input_shape)}"
            )
        self._broadcast = tuple(n if i in self._kept else 1 for i, n in enumerate(input_shape))
        if self.input_mean is None:
            self.adapt_mean = self.add_weight(shape, "zeros", trainable=False, name="mean")
            self.adapt_variance = self.add_weight(shape, "ones", trainable=False, name="variance")
            self.count = self.add_weight((), "zeros", dtype="int32", trainable=False, name="count")

    @property
    def mean(self) -> Tensor:
        """The means, with axes of length 1 where one serves all places."""
        return self._statistic("mean")

    @property
    def variance(self) -> Tensor:
        """The variances, as `mean`."""
        return self._statistic("variance")

    def _statistic(self, name: str) -> Tensor:
        """Return the means or variances in a shape that broadcasts to the input."""
        given = getattr(self, f"input_{name}")
        if given is None:
            return ops.reshape(getattr(self, f"adapt_{name}"), self._broadcast)
        if given.ndim == 0:
            return ops.broadcast_to(given, self._broadcast)
        shape = [1] * len(self._broadcast)
        for i in range(1, given.ndim + 1):
            shape[self._kept[-i]] = given.shape[-i]
        return ops.reshape(given, shape)

    def adapt(self, data: Any) -> None:
        """Set mean and variance to those of `data`, an array or an iterable of batches.

        Raises:
            ValueError: There are no data, or the statistics were given to the constructor.
        """
        if self.input_mean is not None:
            raise ValueError(f"{self.label}: adapt is for layers made without mean and variance")
        count, mean, square = 0, np.float64(0), np.float64(0)
        for batch in [data] if hasattr(data, "shape") else data:
            x = np.asarray(batch, np.float64)
            if not self.built:
                self.build((None, *x.shape[1:]))
            over = tuple(i for i in range(x.ndim) if i not in self._kept)
            n = math.prod(x.shape[i] for i in over)
            if n:  # Chan et al. 1983
                shift = x.mean(over) - mean
                square = square + x.var(over) * n + shift**2 * (count * n / (count + n))
                mean = mean + shift * (n / (count + n))
                count += n
        if count == 0:
            raise ValueError(f"{self.label}: adapt got no data")
        self.adapt_mean.assign(mean.astype(self.dtype))
        self.adapt_variance.assign((square / count).astype(self.dtype))

    def call(self, inputs: Tensor) -> Tensor:
        deviation = ops.maximum(ops.sqrt(self.variance), config.epsilon())
        if self.invert:
            return inputs * deviation + self.mean
        return (inputs - self.mean) / deviation

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments as plain data, so that `from_config` makes a copy."""
        values = super()._read_config(strict=False)
        for name in ("mean", "variance"):
            given = getattr(self, f"input_{name}")
            values[name] = None if given is None else given.tolist()
        return values


class Rescaling(Elementwise):
    """y = x scale + offset.

    Args:
        scale, offset: Numbers, or arrays that broadcast to the input.
        **kwargs: See `Layer`.

    >>> import pydl
    >>> Rescaling(1 / 255)(pydl.tensor([[0, 255]])).numpy()
    array([[0., 1.]], dtype=float32)
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale
        self.offset = offset

        self._factors = [  # made once, so that plans take them for constants
            value if isinstance(value, (int, float)) else to_array(value, self.dtype)
            for value in (scale, offset)
        ]

    def call(self, inputs: Tensor) -> Tensor:
        scale, offset = self._factors
        return inputs * scale + offset
