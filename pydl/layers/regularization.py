"""Layers that act in training only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydl import random
from pydl.layers.core import Elementwise
from pydl.tensor import Tensor


class Dropout(Elementwise):
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
        if isinstance(rate, (bool, str)) or not 0 <= rate <= 1:
            raise ValueError(f"Dropout: rate must be between 0 and 1, got {rate!r}")
        self.rate = rate
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed) if rate > 0 else None

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.seed_generator is None:
            return inputs
        return random.dropout(
            inputs, self.rate, noise_shape=self.noise_shape, seed=self.seed_generator
        )
