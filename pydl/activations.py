"""Activation functions by name; `get` also accepts any callable on tensors, None means linear.

Most are ops under their Keras names.

>>> import pydl
>>> get("relu")(pydl.tensor([-1.0, 2.0])).numpy()
array([0., 2.], dtype=float32)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydl import ops
from pydl.ops import (
    gelu,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    log_softmax,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    tanh,
)
from pydl.registry import Registry
from pydl.tensor import Tensor

__all__ = [
    "celu",
    "elu",
    "exponential",
    "gelu",
    "get",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "swish",
    "tanh",
]

_registry: Registry[Any] = Registry("activation")

exponential = ops.exp
hard_swish = hard_silu
swish = silu


def linear(x: Any) -> Any:
    """Return `x` itself."""
    return x


def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """Return x for x > 0, else alpha (exp(x) - 1).

    >>> elu([-1.0, 2.0], alpha=2.0).numpy()
    array([-1.2642411,  2.       ], dtype=float32)
    """
    return ops.elu(x, alpha)


def celu(x: Any, alpha: float = 1.0) -> Tensor:
    """Return x for x > 0, else alpha (exp(x / alpha) - 1)."""
    return ops.celu(x, alpha)


for _function, *_names in (
    (linear, "linear"),
    (relu, "relu"),
    (leaky_relu, "leaky_relu"),
    (relu6, "relu6"),
    (sigmoid, "sigmoid"),
    (tanh, "tanh"),
    (softmax, "softmax"),
    (log_softmax, "log_softmax"),
    (elu, "elu"),
    (selu, "selu"),
    (celu, "celu"),
    (softplus, "softplus"),
    (softsign, "softsign"),
    (silu, "silu", "swish"),
    (gelu, "gelu"),
    (mish, "mish"),
    (exponential, "exponential"),
    (hard_tanh, "hard_tanh"),
    (hard_sigmoid, "hard_sigmoid"),
    (hard_silu, "hard_silu", "hard_swish"),
):
    _registry.register(_function, *_names)


def get(identifier: Any) -> Callable[..., Any]:
    """Return the activation for a string or callable; None means linear.

    Raises:
        ValueError: Unknown string, with close matches.
        TypeError: Something else.

    >>> get("swish") is silu
    True
    >>> get("rellu")
    Traceback (most recent call last):
    ValueError: unknown activation 'rellu'; did you mean 'relu' or 'relu6' or 'elu'?
    """
    return linear if identifier is None else _registry.get(identifier)
