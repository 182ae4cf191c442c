"""The layers most networks are made of: Dense, activations, and changes of shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pydl import activations, ops
from pydl.layers.arguments import axis_or_axes
from pydl.layers.base import Layer, deserialize
from pydl.layers.symbolic import Node, Spec, SymbolicTensor, nodes_of
from pydl.ops.windows import image_format
from pydl.tensor import Tensor
from pydl.warn import warn

_WITH_LOGITS = {id(activations.softmax): "softmax", id(activations.sigmoid): "sigmoid"}


def _logits_name(layer: Layer, activation: Any) -> str | None:
    """Return the activation that training may leave to the loss, None if the output is needed."""
    if layer.activity_regularizer is not None:
        return None
    return _WITH_LOGITS.get(id(activation))


def _activation(identifier: Any) -> Callable[..., Any]:
    """Return an activation; a configuration may also be that of a layer such as PReLU."""
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    return activations.get(identifier)


def _warn_single_softmax(layer: Layer, units: Any) -> None:
    """Warn that softmax over one unit is 1 whatever the weights."""
    if units == 1:
        warn(
            f"{layer.label}: softmax over one unit is always 1, so nothing is learnt; "
            "use 'sigmoid' for two classes"
        )


class Dense(Layer):
    """Fully connected layer on the last axis: y = activation(x @ kernel + bias).

    Args:
        units: Size of the output's last axis.
        activation: Name or callable; None is linear.
        use_bias: Whether to add a bias.
        kernel_initializer, bias_initializer: Start of the weights.
        kernel_regularizer, bias_regularizer: Penalties on the weights.
        activity_regularizer: Penalty on the output, divided by the batch size.
        kernel_constraint, bias_constraint: Applied to the weights after each update.
        **kwargs: See `Layer`.

    Input shape: (batch, ..., features). Output shape: (batch, ..., units).
    Weights: kernel (features, units), bias (units,).

    Raises:
        ValueError: `units` is not positive, or the input's last axis is not what the layer was
            built for.

    >>> import pydl
    >>> layer = Dense(2, activation="relu", kernel_initializer="ones")
    >>> layer(pydl.tensor([[1.0, 2.0, 3.0]])).numpy()
    array([[6., 6.]], dtype=float32)
    """

    casts_integers = True
    _takes_sparse = True
    supports_masking = True

    def __init__(
        self,
        units: int,
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
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        if isinstance(units, bool) or not isinstance(units, (int, np.integer)) or units < 1:
            raise ValueError(f"Dense: units must be a positive integer, got {units!r}")
        self.units = int(units)
        self.activation = _activation(activation)
        self.use_bias = use_bias
        self._declare("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self._declare("bias", bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: Sequence[int | None]) -> None:
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise ValueError(
                f"{self.label}: expected an input of rank 2 or more with a known last axis, "
                f"got shape {tuple(input_shape)}; add the missing axis with reshape"
            )
        self.kernel = self._declared("kernel", (input_shape[-1], self.units))
        self.bias = self._declared("bias", (self.units,)) if self.use_bias else None
        if self.activation is activations.softmax:
            _warn_single_softmax(self, self.units)

    def call(self, inputs: Tensor) -> Tensor:
        self._check_features(inputs.shape)
        activation = None if self.activation is activations.linear else self.activation
        return ops.dense(inputs, self.kernel, self.bias, activation)

    def call_logits(self, inputs: Tensor) -> Tensor:
        """Return x @ kernel + bias."""
        self._check_features(inputs.shape)
        return ops.dense(inputs, self.kernel, self.bias)

    def _check_features(self, shape: tuple[int, ...]) -> None:
        features = self.kernel.shape[0]
        if len(shape) < 2 or shape[-1] != features:
            raise ValueError(
                f"{self.label}: expected {features} features on axis -1, got shape {shape}; "
                f"the layer was built for {features}"
            )

    @property
    def logits_activation(self) -> str | None:
        return _logits_name(self, self.activation)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.units)


class Elementwise(Layer):
    """A layer whose output has the shape of its input."""

    casts_integers = True
    supports_masking = True

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)


class Activation(Elementwise):
    """y = activation(x).

    Args:
        activation: Name or callable.
        **kwargs: See `Layer`.

    >>> import pydl
    >>> Activation("relu")(pydl.tensor([[-1.0, 2.0]])).numpy()
    array([[0., 2.]], dtype=float32)
    """

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = _activation(activation)

    def build(self, input_shape: Sequence[int | None]) -> None:
        if self.activation is activations.softmax and input_shape:
            _warn_single_softmax(self, input_shape[-1])

    def call(self, inputs: Tensor) -> Tensor:
        return self.activation(inputs)

    def call_logits(self, inputs: Tensor) -> Tensor:
        """Return the input."""
        return inputs

    @property
    def logits_activation(self) -> str | None:
        return _logits_name(self, self.activation)


class ReLU(Elementwise):
    """y = min(x, max_value) where x >= threshold, else negative_slope * (x - threshold).

    Args:
        max_value: Upper bound, at least 0; None for no bound.
        negative_slope: Slope below the threshold, at least 0.
        threshold: Where the unit starts, at least 0.
        **kwargs: See `Layer`.

    >>> import pydl
    >>> ReLU(max_value=1.0)(pydl.tensor([[-1.0, 0.5, 3.0]])).numpy()
    array([[0. , 0.5, 1. ]], dtype=float32)
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold
        for name in ("max_value", "negative_slope", "threshold"):
            value = getattr(self, name)
            if value is None and name == "max_value":
                continue
            if value is None or not value >= 0:
                raise ValueError(f"ReLU: {name} must be at least 0, got {value!r}")

    def call(self, inputs: Tensor) -> Tensor:
        return ops.relu(
            inputs,
            negative_slope=self.negative_slope,
            max_value=self.max_value,
            threshold=self.threshold,
        )


class LeakyReLU(Elementwise):
    """y = max(x, 0) + negative_slope * min(x, 0).

    Args:
        negative_slope: Slope below 0, at least 0; also accepted as `alpha`.
        **kwargs: See `Layer`.

    Source: Maas et al. 2013, "Rectifier nonlinearities improve neural network acoustic models".

    >>> import pydl
    >>> LeakyReLU(0.5)(pydl.tensor([[-1.0, 2.0]])).numpy()
    array([[-0.5,  2. ]], dtype=float32)
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        negative_slope = kwargs.pop("alpha", negative_slope)
        super().__init__(**kwargs)
        if negative_slope is None or not negative_slope >= 0:
            raise ValueError(
                f"LeakyReLU: negative_slope must be at least 0, got {negative_slope!r}"
            )
        self.negative_slope = negative_slope

    def call(self, inputs: Tensor) -> Tensor:
        return activations.leaky_relu(inputs, negative_slope=self.negative_slope)


class ELU(Elementwise):
    """y = x for x > 0, else alpha * (exp(x) - 1).

    Args:
        alpha: Scale below 0.
        **kwargs: See `Layer`.

    Source: Clevert et al. 2015, "Fast and accurate deep network learning by exponential linear
    units (ELUs)".
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs: Tensor) -> Tensor:
        return activations.elu(inputs, self.alpha)


class PReLU(Elementwise):
    """y = max(x, 0) + alpha * min(x, 0), with a learnt alpha for each position.

    Args:
        alpha_initializer, alpha_regularizer, alpha_constraint: Of the weight.
        shared_axes: Axes of the input (from 1; 0 is the batch) along which one alpha serves.
        **kwargs: See `Layer`.

    Weights: alpha, the input's shape without the batch, 1 on the shared axes.

    Source: He et al. 2015, "Delving deep into rectifiers".

    >>> import pydl
    >>> PReLU("ones")(pydl.tensor([[-1.0, 2.0]])).numpy()
    array([[-1.,  2.]], dtype=float32)
    """

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._declare("alpha", alpha_initializer, alpha_regularizer, alpha_constraint)
        axes = (shared_axes,) if isinstance(shared_axes, int) else shared_axes
        self.shared_axes = None if axes is None else tuple(axes)

    def build(self, input_shape: Sequence[int | None]) -> None:
        shape = list(input_shape[1:])
        for axis in self.shared_axes or ():
            if not 1 <= axis <= len(shape):
                raise ValueError(
                    f"{self.label}: shared_axes must be between 1 and {len(shape)} for input shape "
                    f"{tuple(input_shape)}, got {axis}"
                )
            shape[axis - 1] = 1
        if None in shape:
            raise ValueError(
                f"{self.label}: the axes that are not shared must be known, "
                f"got shape {tuple(input_shape)}; name the free ones in shared_axes"
            )
        self.alpha = self._declared("alpha", shape)

    def call(self, inputs: Tensor) -> Tensor:
        return ops.relu(inputs) - self.alpha * ops.relu(-inputs)


class Softmax(Elementwise):
    """y = exp(x) / sum(exp(x)) over `axis`.

    Args:
        axis: Axis, or several of them, over which the output sums to 1.
        **kwargs: See `Layer`.

    Called with a `mask`, positions where it is False get the weight 0.

    >>> import pydl
    >>> Softmax()(pydl.tensor([[0.0, 0.0]])).numpy()
    array([[0.5, 0.5]], dtype=float32)
    """

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis_or_axes(type(self).__name__, axis)

    def build(self, input_shape: Sequence[int | None]) -> None:
        if isinstance(self.axis, int) and -len(input_shape) <= self.axis < len(input_shape):
            _warn_single_softmax(self, input_shape[self.axis])

    def call(self, inputs: Tensor, mask: Any = None) -> Tensor:
        if mask is not None and mask.ndim == inputs.ndim:  # not that of whole positions
            inputs = ops.where(mask, inputs, -1e9)
        if isinstance(self.axis, int):
            return ops.softmax(inputs, axis=self.axis)
        return ops.exp(inputs - ops.logsumexp(inputs, axis=self.axis, keepdims=True))

    def call_logits(self, inputs: Tensor) -> Tensor:
        """Return the input."""
        return inputs

    @property
    def logits_activation(self) -> str | None:
        return _logits_name(self, activations.softmax) if self.axis == -1 else None


class Identity(Elementwise):
    """y = x.

    >>> import pydl
    >>> Identity()(pydl.tensor([[1.0]])).tolist()
    [[1.0]]
    """

    casts_integers = False

    def call(self, inputs: Any) -> Any:
        return inputs


class Flatten(Layer):
    """All axes but the batch become one; (batch,) becomes (batch, 1).

    Args:
        data_format: "channels_last" (also None) or "channels_first", which moves the channels
            behind the other axes first.
        **kwargs: See `Layer`.

    >>> import pydl
    >>> Flatten()(pydl.zeros((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = None if data_format is None else image_format("Flatten", data_format)

    def call(self, inputs: Tensor) -> Tensor:
        if self.data_format == "channels_first" and inputs.ndim > 2:
            inputs = ops.transpose(inputs, (0, *range(2, inputs.ndim), 1))
        return ops.reshape(inputs, (inputs.shape[0], math.prod(inputs.shape[1:])))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return input_shape[0], _product(input_shape[1:])


def _product(shape: Sequence[int | None]) -> int | None:
    """Return the product of the sizes, None if one is free."""
    known = [n for n in shape if n is not None]
    return math.prod(known) if len(known) == len(shape) else None


class Reshape(Layer):
    """Each sample gets the shape `target_shape`, which holds one -1 at most.

    Args:
        target_shape: Shape without the batch axis.
        **kwargs: See `Layer`.

    Raises:
        ValueError: The number of elements does not fit.

    >>> import pydl
    >>> Reshape((2, -1))(pydl.zeros((5, 6))).shape
    (5, 2, 3)
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        shape = tuple(target_shape) if not isinstance(target_shape, int) else (target_shape,)
        if sum(n == -1 for n in shape) > 1 or any(n < -1 for n in shape):
            raise ValueError(
                f"Reshape: target_shape holds sizes and at most one -1, got {target_shape!r}"
            )
        self.target_shape = shape

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.compute_output_shape(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        return ops.reshape(inputs, self.compute_output_shape(inputs.shape))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        given = math.prod(n for n in self.target_shape if n != -1)
        size = _product(input_shape[1:])
        if size is None:
            return (input_shape[0], *(None if n == -1 else n for n in self.target_shape))
        fits = size == given if -1 not in self.target_shape else given and size % given == 0
        if not fits:
            raise ValueError(
                f"{self.label}: cannot give {size} elements of shape {tuple(input_shape[1:])} "
                f"the shape {self.target_shape}"
            )
        return (input_shape[0], *(size // given if n == -1 else n for n in self.target_shape))


class InputLayer(Layer):
    """Says what the input of a model looks like.

    Args:
        shape: Shape without the batch axis, None where an axis is free.
        batch_size: Size of the batch axis, None for any.
        dtype: Type of the input; None takes `config.floatx()`. Models cast their inputs to it.
        name: See `Layer`.
        batch_shape: Shape with the batch axis, in the place of `shape` and `batch_size`.

    >>> InputLayer((784,)).batch_input_shape
    (None, 784)
    """

    def __init__(
        self,
        shape: Sequence[int | None] | int | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        name: str | None = None,
        batch_shape: Sequence[int | None] | None = None,
        **kwargs: Any,
    ) -> None:
        if batch_shape is not None:
            if shape is not None or batch_size is not None:
                raise ValueError(
                    f"InputLayer: batch_shape {tuple(batch_shape)} says all; got shape {shape} and "
                    f"batch_size {batch_size} too"
                )
            kwargs["batch_input_shape"] = batch_shape
        if shape is not None:
            kwargs["input_shape"] = shape
        input_dtype = None if dtype is None else np.dtype(dtype)
        floats = input_dtype is not None and input_dtype.kind == "f"
        super().__init__(
            dtype=input_dtype if floats else None, name=name, batch_size=batch_size, **kwargs
        )
        if self.batch_input_shape is None:
            raise ValueError("InputLayer: shape is needed, without the batch axis: Input((784,))")
        self.shape = self.batch_input_shape[1:]
        self.batch_size = self.batch_input_shape[0]
        self.input_dtype = input_dtype.name if input_dtype is not None else self.dtype
        self.build(self.batch_input_shape)

    def symbol(self) -> SymbolicTensor:
        """Return the symbolic tensor that stands for the input."""
        nodes = nodes_of(self)
        spec = Spec(self.batch_input_shape, self.input_dtype)
        return (nodes[0] if nodes else Node(self, (), {}, spec)).outputs

    def build(self, input_shape: Sequence[int | None]) -> None:
        pass

    def call(self, inputs: Tensor) -> Tensor:
        return inputs

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            "shape": list(self.shape),
            "batch_size": self.batch_size,
            "dtype": self.input_dtype,
            "name": self.name,
        }


def as_declared(value: Any, dtype: str, keep_integers: bool) -> Any:
    """Return an input of a model in the type that the model declares for it.

    Args:
        value: The input; what is no Tensor, as a SparseTensor, is returned as it is.
        dtype: The declared type. Floats stay what they are where it is a float type.
        keep_integers: Whether integers stay what they are, as ids do.
    """
    if not isinstance(value, Tensor):
        return value
    wanted, kind = np.dtype(dtype), value.dtype.kind
    stays = kind == wanted.kind == "f" or (keep_integers and kind in "iu" and wanted.kind in "fiu")
    if value.dtype == wanted or stays:
        return value
    return ops.astype(value, wanted)


def Input(
    shape: Sequence[int | None] | int | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    name: str | None = None,
    batch_shape: Sequence[int | None] | None = None,
) -> SymbolicTensor:
    """Return the input of a model: the shape of one sample, None where an axis is free.

    Layers called on it make a model's graph, see `pydl.Model`; it may also be the first entry of a
    `Sequential`.

    Args:
        shape: Shape without the batch axis.
        batch_size: Size of the batch axis, None for any.
        dtype: Type of the input; None takes `config.floatx()`. Models cast their inputs to it;
            only integers that go to Embedding layers alone stay where it is a float type.
        name: Name of the input.
        batch_shape: Shape with the batch axis, in the place of `shape` and `batch_size`.

    Raises:
        ValueError: No shape, both kinds of it, or a size that is not positive.

    >>> Input((28, 28, 1)).shape
    (None, 28, 28, 1)
    """
    return InputLayer(shape, batch_size, dtype, name, batch_shape).symbol()
