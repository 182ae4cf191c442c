"""Normalization layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydl import check, constraints, initializers, ops, regularizers
from pydl.autograd import no_grad
from pydl.layers.core import Elementwise
from pydl.tensor import Tensor, Variable


class BatchNormalization(Elementwise):
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
        super().__init__(**kwargs)
        if not 0 <= momentum <= 1:
            raise ValueError(f"{self.label}: momentum must be between 0 and 1, got {momentum!r}")
        if not epsilon >= 0:
            raise ValueError(f"{self.label}: epsilon must be at least 0, got {epsilon!r}")
        self.axis = check.integer("BatchNormalization", "axis", axis)
        self.momentum = momentum
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)

    def build(self, input_shape: Sequence[int | None]) -> None:
        rank = len(input_shape)
        features = input_shape[self.axis] if -rank <= self.axis < rank else None
        if features is None or self.axis % rank == 0:
            raise ValueError(
                f"{self.label}: axis {self.axis} must be a known axis other than the batch, "
                f"got shape {tuple(input_shape)}"
            )
        shape = (features,)
        self.gamma = self._trained("gamma", shape) if self.scale else None
        self.beta = self._trained("beta", shape) if self.center else None
        self.moving_mean = self.add_weight(
            shape, self.moving_mean_initializer, trainable=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, trainable=False, name="moving_variance"
        )

    def _trained(self, name: str, shape: Any) -> Variable:
        """Return the weight gamma or beta."""
        return self.add_weight(
            shape,
            getattr(self, f"{name}_initializer"),
            regularizer=getattr(self, f"{name}_regularizer"),
            constraint=getattr(self, f"{name}_constraint"),
            name=name,
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
