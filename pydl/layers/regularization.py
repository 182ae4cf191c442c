"""Layers that act in training only: noise, and penalties on what passes through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydl import ops, random, regularizers
from pydl.layers.core import Elementwise
from pydl.ops.windows import image_format
from pydl.tensor import Tensor


def _fraction(who: str, name: str, value: Any) -> float:
    """Return a number between 0 and 1, or raise."""
    if isinstance(value, (bool, str)) or not 0 <= value <= 1:
        raise ValueError(f"{who}: {name} must be between 0 and 1, got {value!r}")
    return value


class _Random(Elementwise):
    """Base of the layers that change their input at random in training, and not in inference."""

    seed_generator: random.SeedGenerator | None

    def _draws_from(self, seed: int | None, active: bool) -> None:
        """Keep the seed, and make the generator of a layer that changes anything."""
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed) if active else None

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.seed_generator is None:
            return inputs
        return self._with_noise(inputs, self.seed_generator)

    def _with_noise(self, inputs: Tensor, seed: random.SeedGenerator) -> Tensor:
        """Return the output in training; its random numbers come from `seed`."""
        raise NotImplementedError(f"{type(self).__name__} must implement _with_noise(inputs, seed)")


class Dropout(_Random):
    """Training: y = x * m / (1 - rate), where m is 1 with probability 1 - rate, else 0.

    In inference, and for rate 0, y = x.

    Args:
        rate: Probability that an entry is dropped, in [0, 1].
        noise_shape: Shape of m, which broadcasts to the input; None where it takes the input's
            size. (None, 1, None) drops whole features of a (batch, time, features) input.
        seed: Integer that makes the masks of this layer repeatable on their own.
        **kwargs: See `Layer`.

    Source: Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from
    overfitting".

    >>> import pydl
    >>> x = pydl.ones((2, 3))
    >>> Dropout(0.5)(x) is x
    True
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rate = _fraction(type(self).__name__, "rate", rate)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self._draws_from(seed, rate > 0)

    def _with_noise(self, inputs: Tensor, seed: random.SeedGenerator) -> Tensor:
        return random.dropout(inputs, self.rate, noise_shape=self.noise_shape, seed=seed)


class SpatialDropout1D(_Random):
    """Dropout of whole features: each is kept or dropped for all steps of a sample.

    Args:
        rate: Probability that a feature is dropped, in [0, 1].
        seed: Integer that makes the masks of this layer repeatable on their own.
        **kwargs: See `Layer`.

    Input shape: (batch, steps, features), as that of the output.

    Source: Tompson et al. 2015, "Efficient object localization using convolutional networks".

    >>> import pydl
    >>> y = SpatialDropout1D(0.5)(pydl.ones((1, 4, 8)), training=True).numpy()
    >>> bool((y == y[:, :1]).all())
    True
    """

    _axes = 1  # of space or time

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = _fraction(type(self).__name__, "rate", rate)
        self._draws_from(seed, rate > 0)

    def _noise_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the mask."""
        return (shape[0], *(1,) * self._axes, shape[-1])

    def build(self, input_shape: Sequence[int | None]) -> None:
        if len(input_shape) != self._axes + 2:
            raise ValueError(
                f"{self.label}: expected {self._axes + 2} axes, got shape {tuple(input_shape)}"
            )

    def _with_noise(self, inputs: Tensor, seed: random.SeedGenerator) -> Tensor:
        shape = self._noise_shape(inputs.shape)
        return random.dropout(inputs, self.rate, noise_shape=shape, seed=seed)


class SpatialDropout2D(SpatialDropout1D):
    """Dropout of whole channels of images; see `SpatialDropout1D`.

    Args:
        rate, seed: As for `SpatialDropout1D`.
        data_format: "channels_last" or "channels_first"; None takes `config.image_data_format()`.
        **kwargs: See `Layer`.

    >>> import pydl
    >>> y = SpatialDropout2D(0.5)(pydl.ones((1, 4, 4, 8)), training=True).numpy()
    >>> bool((y == y[:, :1, :1]).all())
    True
    """

    _axes = 2

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(rate, seed, **kwargs)
        self.data_format = image_format(type(self).__name__, data_format)

    def _noise_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if self.data_format == "channels_first":
            return (*shape[:2], 1, 1)
        return super()._noise_shape(shape)


class GaussianNoise(_Random):
    """Training: y = x + e, e normal with mean 0.

    Args:
        stddev: Standard deviation of the noise, in [0, 1].
        seed: Integer that makes the noise of this layer repeatable on its own.
        **kwargs: See `Layer`.

    >>> import pydl
    >>> x = pydl.ones((2, 3))
    >>> GaussianNoise(0.1)(x) is x, GaussianNoise(0.1)(x, training=True).shape
    (True, (2, 3))
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev = _fraction("GaussianNoise", "stddev", stddev)
        self._draws_from(seed, stddev > 0)

    def _with_noise(self, inputs: Tensor, seed: random.SeedGenerator) -> Tensor:
        return inputs + random.normal(inputs.shape, 0.0, self.stddev, dtype=self.dtype, seed=seed)


class GaussianDropout(_Random):
    """Training: y = x e, e normal with mean 1 and variance rate / (1 - rate).

    Args:
        rate: As for `Dropout`, in [0, 1).
        seed: Integer that makes the noise of this layer repeatable on its own.
        **kwargs: See `Layer`.

    Source: Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from
    overfitting".

    >>> import pydl
    >>> x = pydl.ones((2, 3))
    >>> GaussianDropout(0.5)(x) is x, GaussianDropout(0.5)(x, training=True).shape
    (True, (2, 3))
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = _fraction("GaussianDropout", "rate", rate)
        if rate == 1:
            raise ValueError("GaussianDropout: rate must be below 1, for a finite variance")
        self._draws_from(seed, rate > 0)

    def _with_noise(self, inputs: Tensor, seed: random.SeedGenerator) -> Tensor:
        stddev = (self.rate / (1.0 - self.rate)) ** 0.5
        noise = random.normal(inputs.shape, 1.0, stddev, dtype=self.dtype, seed=seed)
        return ops.multiply(inputs, noise)


class ActivityRegularization(Elementwise):
    """y = x, with the penalty l1 sum |x| + l2 sum x^2, divided by the batch size, in the loss.

    Args:
        l1, l2: Factors of the penalty.
        **kwargs: See `Layer`.

    >>> import pydl
    >>> layer = ActivityRegularization(l1=0.5)
    >>> y = layer(pydl.tensor([[1.0, -2.0]]))
    >>> layer.losses[0].item()
    1.5
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **kwargs)
        self.l1 = l1
        self.l2 = l2

    def call(self, inputs: Tensor) -> Tensor:
        return inputs

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments as plain data, so that `from_config` makes a copy."""
        values = super()._read_config(strict=False)
        values.pop("activity_regularizer", None)
        return values
