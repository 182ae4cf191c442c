"""Keras's `backend`, usually imported as K: settings under their old names, and functions.

The functions work on Tensors, and on symbolic tensors, which `function` turns into values.
Gradients are those of Tensors; see `pydl.GradientTape` too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pydl import ops, random
from pydl.autograd import gradients as _gradients
from pydl.autograd import no_grad
from pydl.config import (
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from pydl.layers import Input
from pydl.layers.base import layer_names, learning_phase, set_learning_phase
from pydl.layers.symbolic import SymbolicTensor
from pydl.models import Model
from pydl.ops import (
    abs,
    argmax,
    argmin,
    clip,
    dot,
    exp,
    expand_dims,
    flatten,
    log,
    max,
    maximum,
    mean,
    min,
    minimum,
    prod,
    reshape,
    sqrt,
    square,
    squeeze,
    sum,
    transpose,
)
from pydl.tensor import Tensor, Variable, is_tensor

__all__ = [
    "abs",
    "argmax",
    "argmin",
    "batch_flatten",
    "cast",
    "clear_session",
    "clip",
    "concatenate",
    "constant",
    "dot",
    "epsilon",
    "eval",
    "exp",
    "expand_dims",
    "flatten",
    "floatx",
    "function",
    "get_value",
    "gradients",
    "image_data_format",
    "int_shape",
    "learning_phase",
    "log",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "ndim",
    "permute_dimensions",
    "placeholder",
    "pow",
    "prod",
    "random_normal",
    "random_uniform",
    "reshape",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "set_learning_phase",
    "set_value",
    "shape",
    "sqrt",
    "square",
    "squeeze",
    "sum",
    "transpose",
    "variable",
]


def clear_session() -> None:
    """Starts automatic layer names and the default random generator anew.

    Models that exist keep working.

    >>> import pydl
    >>> pydl.backend.clear_session()
    >>> pydl.layers.Dense(1).name
    'dense'
    """
    layer_names.reset()
    random.reset()


def variable(value: Any, dtype: Any = None, name: str | None = None) -> Variable:
    """A Variable; floats and integers become `floatx()` unless a dtype is given.

    >>> variable([[1, 2]])
    Variable([[1., 2.]], requires_grad=True)
    """
    return Variable(value, dtype=floatx() if dtype is None else dtype, name=name)


def constant(
    value: Any, dtype: Any = None, shape: Sequence[int] | None = None, name: str | None = None
) -> Tensor:
    """A Tensor, spread to `shape` if that is given; `floatx()` unless a dtype is given.

    >>> constant(3, shape=(1, 2))
    Tensor([[3., 3.]])
    """
    array = np.asarray(value, floatx() if dtype is None else dtype)
    return Tensor(array if shape is None else np.broadcast_to(array, shape).copy())


def placeholder(
    shape: Sequence[int | None], dtype: Any = None, name: str | None = None
) -> SymbolicTensor:
    """A symbolic tensor, to be given a value later; `shape` has the batch axis.

    >>> x = placeholder((None, 3))
    >>> f = function([x], [mean(square(x), axis=1)])
    >>> f([[[1.0, 2.0, 3.0]]])
    [array([4.6666665], dtype=float32)]
    """
    batch, *rest = shape
    return Input(tuple(rest), batch_size=batch, dtype=dtype, name=name)


def function(inputs: Sequence[Any], outputs: Sequence[Any]) -> Callable[..., list[Any]]:
    """A function of a list of arrays that returns the values of symbolic tensors.

    Args:
        inputs: Symbolic tensors, as `model.input`; and `learning_phase()`, whose value then says
            whether layers behave as in training.
        outputs: What to compute, as `model.layers[1].output`.
    """
    given = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    symbols = [x for x in given if not isinstance(x, bool)]
    model = Model(symbols, list(outputs) if isinstance(outputs, (list, tuple)) else [outputs])

    def run(values: Sequence[Any]) -> list[Any]:
        if len(values) != len(given):
            raise ValueError(f"function: takes {len(given)} values, got {len(values)}")
        pairs = list(zip(given, values, strict=True))
        training = any(bool(value) for x, value in pairs if isinstance(x, bool))
        arrays = [np.asarray(value) for x, value in pairs if not isinstance(x, bool)]
        with no_grad():
            return [t.numpy() for t in model(arrays, training=training)]

    return run


def gradients(loss: Tensor, variables: Any) -> list[Tensor | None]:
    """The gradients of a loss that was computed from Variables, None where it was not.

    The loss may come from a Tensor whose `requires_grad` was set, too.

    >>> v = variable([1.0, 3.0])
    >>> gradients(sum(square(v)), [v])
    [Tensor([2., 6.])]
    """
    listed = list(variables) if isinstance(variables, (list, tuple)) else [variables]
    for x in (loss, *listed):
        if not is_tensor(x):
            raise TypeError(
                f"gradients: expected Tensors with values, got {x!r}; compute the loss from "
                "Variables, or use pydl.GradientTape"
            )
    return _gradients(loss, listed, retain_graph=True)


def shape(x: Any) -> Tensor:
    """The shape of a Tensor as a Tensor of integers."""
    return Tensor(np.array(np.shape(x), np.int32))


def int_shape(x: Any) -> tuple[int | None, ...]:
    """The shape of a Tensor as a tuple.

    >>> int_shape(constant([[1, 2]]))
    (1, 2)
    """
    return tuple(x.shape if hasattr(x, "shape") else np.shape(x))


def ndim(x: Any) -> int:
    """The number of axes of a Tensor."""
    return len(int_shape(x))


def eval(x: Any) -> Any:
    """The values of a Tensor as a NumPy array, of a scalar as a NumPy number."""
    return np.array(x)[()]


get_value = eval


def set_value(x: Variable, value: Any) -> None:
    """Give a Variable new values."""
    x.assign(value)


def cast(x: Any, dtype: Any) -> Tensor:
    """A Tensor in another dtype."""
    return ops.astype(x, dtype)


def pow(x: Any, a: Any) -> Tensor:
    """x to the power a, element by element."""
    return ops.power(x, a)


def concatenate(tensors: Sequence[Any], axis: int = -1) -> Tensor:
    """Tensors one after the other along an axis, by default the last one."""
    return ops.concat(tensors, axis)


def permute_dimensions(x: Any, pattern: Sequence[int]) -> Tensor:
    """A Tensor with its axes in another order.

    >>> permute_dimensions(constant([[1, 2]]), (1, 0))
    Tensor([[1.],
            [2.]])
    """
    return ops.transpose(x, pattern)


def batch_flatten(x: Any) -> Tensor:
    """All axes but the first made one.

    >>> batch_flatten(constant(0, shape=(2, 3, 4))).shape
    (2, 12)
    """
    return ops.reshape(x, (x.shape[0], -1))


def random_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: int | None = None
) -> Tensor:
    """Numbers of a normal distribution; see `pydl.random.normal`."""
    return random.normal(shape, mean, stddev, dtype, seed)


def random_uniform(
    shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: int | None = None
) -> Tensor:
    """Numbers of a uniform distribution; see `pydl.random.uniform`."""
    return random.uniform(shape, minval, maxval, dtype, seed)
