"""Layers for sequences of tokens or vectors: Embedding, Masking, Permute, RepeatVector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pydl import check, ops
from pydl.layers import masks
from pydl.layers.base import Layer
from pydl.layers.core import Elementwise
from pydl.ops.index import lookup
from pydl.tensor import Tensor

Shape = tuple[int | None, ...]


class Embedding(Layer):
    """A trained vector for each integer id: y[i, j] = embeddings[x[i, j]].

    Args:
        input_dim: Number of ids; they are in [0, input_dim).
        output_dim: Length of a vector.
        embeddings_initializer: Start of the vectors.
        embeddings_regularizer, embeddings_constraint: Of the weight.
        mask_zero: Whether id 0 is padding: later layers, losses and metrics leave it out.
        weights: Array (input_dim, output_dim) to start with.
        **kwargs: See `Layer`; `input_length` is accepted and ignored.

    Input: integers of any shape. Output: that shape with output_dim as a new last axis.
    Weights: embeddings (input_dim, output_dim).

    Raises:
        ValueError: An id out of range; the text names its position.

    >>> layer = Embedding(3, 2, embeddings_initializer="ones")
    >>> layer(np.array([[0, 2]])).shape
    (1, 2, 2)
    """

    takes_integers = True

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, n in (("input_dim", input_dim), ("output_dim", output_dim)):
            if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
                raise ValueError(f"Embedding: {name} must be a positive integer, got {n!r}")
        self.input_dim = int(input_dim)
        self.output_dim = int(output_dim)
        self._declare(
            "embeddings", embeddings_initializer, embeddings_regularizer, embeddings_constraint
        )
        self.mask_zero = mask_zero
        self._makes_mask = self.supports_masking = bool(mask_zero)
        if weights is not None:
            self.build()
            single = isinstance(weights, (list, tuple)) and len(weights) == 1
            self.set_weights(weights if single else [weights])

    def build(self, input_shape: Any = None) -> None:
        self.embeddings = self._declared("embeddings", (self.input_dim, self.output_dim))

    def call(self, inputs: Tensor) -> Tensor:
        ids = inputs if inputs.dtype.kind in "iu" else ops.astype(inputs, np.int64)
        return lookup(self.embeddings, ids, self.label)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return masks.not_zero(inputs) if self.mask_zero else None

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        return (*input_shape, self.output_dim)

    def _output_dtype(self, dtype: str) -> str:
        return self.dtype

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments as plain data, without the weights."""
        values = super()._read_config(strict=False)
        del values["weights"]
        return values


class Masking(Elementwise):
    """Leaves out the steps of a sequence whose features all are `mask_value`.

    They become 0, and layers, losses and metrics that take masks skip them.

    Args:
        mask_value: The number that marks a step.
        **kwargs: See `Layer`.

    >>> import pydl
    >>> Masking(-1.0)(pydl.tensor([[[1.0, -1.0], [-1.0, -1.0]]])).tolist()
    [[[1.0, -1.0], [0.0, 0.0]]]
    """

    _makes_mask = True

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value

    def call(self, inputs: Tensor) -> Tensor:
        return ops.where(masks.spread(self.compute_mask(inputs), inputs), inputs, 0.0)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return masks.any_last(ops.not_equal(inputs, float(self.mask_value)))


class Permute(Layer):
    """The axes of each sample in another order.

    Args:
        dims: The order; the first axis after the batch is 1.
        **kwargs: See `Layer`.

    >>> import pydl
    >>> Permute((2, 1))(pydl.zeros((5, 3, 4))).shape
    (5, 4, 3)
    """

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(check.integer("Permute", "dims", d) for d in dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                f"Permute: dims must hold 1 to {len(self.dims)} once each, got {dims!r}"
            )

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.compute_output_shape(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        return ops.permute_dims(inputs, (0, *self.dims))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        if len(input_shape) != len(self.dims) + 1:
            raise ValueError(
                f"{self.label}: dims {self.dims} are for {len(self.dims) + 1} axes, got shape "
                f"{tuple(input_shape)}"
            )
        return (input_shape[0], *(input_shape[d] for d in self.dims))


class RepeatVector(Layer):
    """Each vector n times, as the steps of a sequence: (batch, features) to (batch, n, features).

    Args:
        n: How often.
        **kwargs: See `Layer`.

    >>> import pydl
    >>> RepeatVector(3)(pydl.zeros((5, 4))).shape
    (5, 3, 4)
    """

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = check.positive_integer("RepeatVector", "n", n)

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.compute_output_shape(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        rows = ops.reshape(inputs, (inputs.shape[0], 1, inputs.shape[1]))
        return ops.broadcast_to(rows, (inputs.shape[0], self.n, inputs.shape[1]))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        if len(input_shape) != 2:
            raise ValueError(
                f"{self.label}: expected 2 axes (batch, features), got shape {tuple(input_shape)}"
            )
        return (input_shape[0], self.n, input_shape[1])
