"""Normalization layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydl import check, initializers, ops
from pydl.autograd import no_grad
from pydl.layers.arguments import axis_or_axes
from pydl.layers.core import Elementwise
from pydl.tensor import Tensor


class ScaledAndShifted(Elementwise):
    """Base of the normalizations whose result is multiplied by gamma and moved by beta."""

    def __init__(self, epsilon: float, center: bool, scale: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not epsilon >= 0:
            raise ValueError(f"{self.label}: epsilon must be at least 0, got {epsilon!r}")
        self.epsilon = epsilon
        self.center = center
        self.scale = scale

    def _build_for(self, shape: Any) -> None:
        """Make the weights gamma and beta that are asked for."""
        self.gamma = self._declared("gamma", shape) if self.scale else None
        self.beta = self._declared("beta", shape) if self.center else None

    def _lengths(self, input_shape: Sequence[int | None], axis: Any) -> tuple[int, ...]:
        """Return the lengths of axes, which must be known and leave out the batch."""
        rank = len(input_shape)
        axes = axis if isinstance(axis, (list, tuple)) else (axis,)
        inside = all(-rank <= a < rank and a % rank for a in axes)
        found = [input_shape[a] for a in axes] if inside else [None]
        if None in found:
            raise ValueError(
                f"{self.label}: axis {axis} must be a known axis other than the batch, "
                f"got shape {tuple(input_shape)}"
            )
        return tuple(n for n in found if n is not None)


class BatchNormalization(ScaledAndShifted):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, for each index of `axis`.

    In training, mean and biased variance are those of the batch, over all axes but `axis`, and
    move the stored ones: moving = momentum * moving + (1 - momentum) * batch. In inference, and
    while the layer is frozen, the stored ones are used.

    Args:
        axis: Axis of the features.
        momentum: Share of the stored statistics that a batch leaves, in [0, 1].
        epsilon: Added to the variance.
        center: Whether to add beta.
        scale: Whether to multiply by gamma.
        beta_initializer, ..., moving_variance_initializer: Start of each weight.
        beta_regularizer, gamma_regularizer: Penalties on the trained weights.
        beta_constraint, gamma_constraint: Applied to them after each update.
        **kwargs: See `Layer`.

    Weights: gamma, beta, moving_mean, moving_variance, each (features,); the last two are not
    trained.

    Source: Ioffe and Szegedy 2015, "Batch normalization".

    >>> import pydl
    >>> layer = BatchNormalization(epsilon=0.0)
    >>> layer(pydl.tensor([[1.0], [3.0]]), training=True).numpy()
    array([[-1.],
           [ 1.]], dtype=float32)
    >>> layer.moving_mean.numpy()
    array([0.02], dtype=float32)
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(epsilon, center, scale, **kwargs)
        self._declare("beta", beta_initializer, beta_regularizer, beta_constraint)
        self._declare("gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        if not 0 <= momentum <= 1:
            raise ValueError(f"{self.label}: momentum must be between 0 and 1, got {momentum!r}")
        self.axis = check.integer("BatchNormalization", "axis", axis)
        self.momentum = momentum
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def build(self, input_shape: Sequence[int | None]) -> None:
        shape = self._lengths(input_shape, self.axis)
        self._build_for(shape)
        self.moving_mean = self.add_weight(
            shape, self.moving_mean_initializer, trainable=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, trainable=False, name="moving_variance"
        )

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        features = self.moving_mean.shape[0]
        if len(inputs.shape) != len(self.input_shape) or inputs.shape[self.axis] != features:
            raise ValueError(
                f"{self.label}: expected {features} features on axis {self.axis}, got shape "
                f"{inputs.shape}; the layer was built for {features}"
            )
        if training and self.trainable:
            outputs, mean, variance = ops.batch_normalization(
                inputs, self.gamma, self.beta, epsilon=self.epsilon, axis=self.axis
            )
            with no_grad():
                for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                    moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
            return outputs
        return ops.batch_normalization_inference(
            inputs,
            self.moving_mean,
            self.moving_variance,
            self.gamma,
            self.beta,
            epsilon=self.epsilon,
            axis=self.axis,
        )


class LayerNormalization(ScaledAndShifted):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with the statistics of each sample.

    Args:
        axis: Axis, or axes, over which mean and biased variance run.
        epsilon: Added to the variance.
        center, scale: Whether to add beta, to multiply by gamma.
        beta_initializer, ..., gamma_constraint: Of the weights.
        **kwargs: See `Layer`.

    Weights: gamma, beta, of the lengths of `axis`.

    Source: Ba, Kiros and Hinton 2016, "Layer normalization".

    >>> import pydl
    >>> LayerNormalization(epsilon=0.0)(pydl.tensor([[1.0, 3.0]])).numpy()
    array([[-1.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(epsilon, center, scale, **kwargs)
        self._declare("beta", beta_initializer, beta_regularizer, beta_constraint)
        self._declare("gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        self.axis = axis_or_axes(type(self).__name__, axis)

    def build(self, input_shape: Sequence[int | None]) -> None:
        self._lengths(input_shape, self.axis)
        self._axes = check.axes(self.label, self.axis, len(input_shape), input_shape)
        self._build_for(self._lengths(input_shape, self._axes))

    def call(self, inputs: Tensor) -> Tensor:
        return ops.layer_normalization(
            inputs, self.gamma, self.beta, axis=self._axes, epsilon=self.epsilon
        )


class GroupNormalization(ScaledAndShifted):
    """The channels in groups, each normalized over itself and all places of a sample.

    Args:
        groups: Number of groups, which divides the channels; -1 for one a channel.
        axis: Axis of the channels.
        epsilon, center, scale, ...: As for `LayerNormalization`.
        **kwargs: See `Layer`.

    Weights: gamma, beta, each (channels,).

    Source: Wu and He 2018, "Group normalization".

    >>> import pydl
    >>> GroupNormalization(1, epsilon=0.0)(pydl.tensor([[1.0, 3.0]])).numpy()
    array([[-1.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(epsilon, center, scale, **kwargs)
        self._declare("beta", beta_initializer, beta_regularizer, beta_constraint)
        self._declare("gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        self.groups = check.integer("GroupNormalization", "groups", groups)
        self.axis = check.integer("GroupNormalization", "axis", axis)
        if groups < 1 and groups != -1:
            raise ValueError(
                f"GroupNormalization: groups must be positive, or -1 for one a channel, "
                f"got {groups}"
            )

    def build(self, input_shape: Sequence[int | None]) -> None:
        (channels,) = self._lengths(input_shape, self.axis)
        if channels % self.groups:
            raise ValueError(
                f"{self.label}: {self.groups} groups do not divide the {channels} channels of "
                f"shape {tuple(input_shape)}"
            )
        self._build_for((channels,))

    def call(self, inputs: Tensor) -> Tensor:
        x = ops.moveaxis(inputs, self.axis, -1)
        channels = x.shape[-1]
        groups = channels if self.groups == -1 else self.groups
        parts = ops.reshape(x, (*x.shape[:-1], groups, channels // groups))
        over = (*range(1, x.ndim - 1), x.ndim)
        y = ops.reshape(ops.layer_normalization(parts, axis=over, epsilon=self.epsilon), x.shape)
        if self.gamma is not None:
            y = y * self.gamma
        if self.beta is not None:
            y = y + self.beta
        return ops.moveaxis(y, -1, self.axis)


class RMSNormalization(Elementwise):
    """y = scale x / sqrt(mean(x^2) + epsilon), the mean being over `axis`.

    Args:
        axis: Axis, or axes, of the mean.
        epsilon: Added to the mean of the squares.
        **kwargs: See `Layer`.

    Weights: scale, of the lengths of `axis`.

    Source: Zhang and Sennrich 2019, "Root mean square layer normalization".

    >>> import pydl
    >>> RMSNormalization(epsilon=0.0)(pydl.tensor([[3.0, -3.0]])).numpy()
    array([[ 1., -1.]], dtype=float32)
    """

    def __init__(
        self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.axis = axis_or_axes(type(self).__name__, axis)
        self.epsilon = epsilon

    def build(self, input_shape: Sequence[int | None]) -> None:
        self._axes = check.axes(self.label, self.axis, len(input_shape), input_shape)
        lengths = [input_shape[a] for a in self._axes]
        if None in lengths:
            raise ValueError(f"{self.label}: axis {self.axis} of {tuple(input_shape)} is not known")
        self.scale = self.add_weight(lengths, "ones", name="scale")  # type: ignore[arg-type]

    def call(self, inputs: Tensor) -> Tensor:
        mean = ops.mean(ops.square(inputs), axis=self._axes, keepdims=True)
        shape = [n if i in self._axes else 1 for i, n in enumerate(inputs.shape)]
        return inputs * ops.rsqrt(mean + self.epsilon) * ops.reshape(self.scale, shape)


class UnitNormalization(Elementwise):
    """y = x / |x|, the length being over `axis`; 0 stays 0.

    Args:
        axis: Axis, or axes, of the vectors.
        **kwargs: See `Layer`.

    >>> import pydl
    >>> UnitNormalization()(pydl.tensor([[3.0, 4.0]])).numpy()
    array([[0.6, 0.8]], dtype=float32)
    """

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis_or_axes(type(self).__name__, axis)

    def call(self, inputs: Tensor) -> Tensor:
        return ops.l2_normalize(inputs, axis=self.axis, epsilon=1e-24)
