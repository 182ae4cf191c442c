"""The gradients of the element-wise operations, made of operations.

Backward uses fused kernels; these are for gradients of gradients, where what backward computes
must be recorded. One line for each operation: (g, y, x, parameters) -> g dy/dx, or for two operands
(g, y, a, b) for either. Where a branch is not taken its operands are kept finite, since the
gradient of `where` passes through both.
"""

from __future__ import annotations

import math
from typing import Any

from pydl.ops.elementwise import (
    abs,
    cos,
    cosh,
    exp,
    floor_divide,
    log,
    minimum,
    multiply,
    power,
    sigmoid,
    sign,
    sin,
    sinh,
    softplus,
    square,
    tanh,
    where,
)
from pydl.ops.elementwise import erf as _erf
from pydl.ops.factory import OPS
from pydl.tensor import Tensor


def _zero(g: Tensor, *_: Any) -> Tensor:
    return multiply(g, 0.0)


def _where(condition: Any, g: Tensor) -> Tensor:
    """g where the condition holds, else 0."""
    return where(condition, g, 0.0)


def _inside(x: Tensor, low: float, high: float, g: Tensor) -> Tensor:
    """g where low < x < high, else 0."""
    return _where(x > low, _where(x < high, g))


def _relu(g: Tensor, y: Any, x: Tensor, slope: float, most: float, threshold: float) -> Tensor:
    below = where(x > threshold, g, multiply(g, slope))
    return below if most == math.inf else _where(x < most, below)


def _gelu_slope(x: Tensor) -> Tensor:
    density = exp(square(x) * -0.5) * (1 / math.sqrt(2 * math.pi))
    return (_erf(x * math.sqrt(0.5)) + 1.0) * 0.5 + x * density


def _gelu_tanh_slope(x: Tensor) -> Tensor:
    scale = math.sqrt(2 / math.pi)
    t = tanh((x + x * square(x) * 0.044715) * scale)
    inner = (square(x) * (3 * 0.044715) + 1.0) * scale
    return (t + 1.0) * 0.5 + x * (1.0 - square(t)) * inner * 0.5


def _mish_slope(x: Tensor) -> Tensor:
    t = tanh(softplus(x))
    return t + x * (1.0 - square(t)) * sigmoid(x)


def _silu_slope(x: Tensor) -> Tensor:
    s = sigmoid(x)
    return s + x * s * (1.0 - s)


_SELU, _SELU_ALPHA = 1.0507009873554805, 1.7580993408473766

_UNARY: dict[str, Any] = {
    "abs": lambda g, y, x: g * sign(x),
    "ceil": _zero,
    "celu": lambda g, y, x, alpha: where(x > 0, g, g * exp(minimum(x, 0.0) / alpha)),
    "clip": lambda g, y, x, low, high: _where(x >= low, _where(x <= high, g)),
    "cos": lambda g, y, x: -g * sin(x),
    "cosh": lambda g, y, x: g * sinh(x),
    "elu": lambda g, y, x, alpha: where(x > 0, g, g * exp(minimum(x, 0.0)) * alpha),
    "erf": lambda g, y, x: g * exp(-square(x)) * (2 / math.sqrt(math.pi)),
    "exp": lambda g, y, x: g * y,
    "expm1": lambda g, y, x: g * (y + 1.0),
    "floor": _zero,
    "gelu": lambda g, y, x: g * _gelu_slope(x),
    "gelu_tanh": lambda g, y, x: g * _gelu_tanh_slope(x),
    "hard_sigmoid": lambda g, y, x: _inside(x, -3.0, 3.0, g / 6.0),
    "hard_silu": lambda g, y, x: where(x >= 3.0, g, _where(x > -3.0, g * (x * 2.0 + 3.0) / 6.0)),
    "hard_tanh": lambda g, y, x: _inside(x, -1.0, 1.0, g),
    "log": lambda g, y, x: g / x,
    "log10": lambda g, y, x: g / x * math.log10(math.e),
    "log1p": lambda g, y, x: g / (x + 1.0),
    "log2": lambda g, y, x: g / x * math.log2(math.e),
    "mish": lambda g, y, x: g * _mish_slope(x),
    "negative": lambda g, y, x: -g,
    "reciprocal": lambda g, y, x: -g * square(y),
    "relu": _relu,
    "round": _zero,
    "rsqrt": lambda g, y, x: g * y * square(y) * -0.5,
    "selu": lambda g, y, x: g * where(y > 0, _SELU, y + _SELU_ALPHA),
    "sigmoid": lambda g, y, x: g * y * (1.0 - y),
    "sign": _zero,
    "silu": lambda g, y, x: g * _silu_slope(x),
    "sin": lambda g, y, x: g * cos(x),
    "sinh": lambda g, y, x: g * cosh(x),
    "softplus": lambda g, y, x: g * sigmoid(x),
    "softsign": lambda g, y, x: g / square(abs(x) + 1.0),
    "sqrt": lambda g, y, x: g / (y * 2.0),
    "square": lambda g, y, x: g * x * 2.0,
    "tan": lambda g, y, x: g * (square(y) + 1.0),
    "tanh": lambda g, y, x: g * (1.0 - square(y)),
    "trunc": _zero,
}


def _power_base(g: Tensor, y: Any, a: Tensor, b: Tensor) -> Tensor:
    return _where(b != 0, g * b * power(a, b - 1.0))


def _power_exponent(g: Tensor, y: Any, a: Tensor, b: Tensor) -> Tensor:
    return _where(a > 0, g * y * log(where(a > 0, a, 1.0)))


_BINARY: dict[str, Any] = {
    "divide": (lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b),
    "floor_divide": (_zero, _zero),
    "maximum": (
        lambda g, y, a, b: _where(a >= b, g),
        lambda g, y, a, b: where(a >= b, 0.0, g),
    ),
    "minimum": (
        lambda g, y, a, b: _where(a <= b, g),
        lambda g, y, a, b: where(a <= b, 0.0, g),
    ),
    "multiply": (lambda g, y, a, b: g * b, lambda g, y, a, b: g * a),
    "power": (_power_base, _power_exponent),
    "remainder": (lambda g, y, a, b: g, lambda g, y, a, b: -g * floor_divide(a, b)),
}

for _name, _form in {**_UNARY, **_BINARY}.items():
    OPS[_name].form = _form
    OPS[_name].twice = True
