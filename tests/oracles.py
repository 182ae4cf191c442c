"""What every element-wise kernel must compute, in NumPy; an op without an entry fails the suite."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np

PI = 4 * np.arctan(np.longdouble(1))


def _exact(function: Any, x: Any) -> np.longdouble:
    with mpmath.workprec(80):
        if not np.isfinite(x):
            return np.longdouble(function(float(x)))
        high = np.float64(x)
        value = function(mpmath.mpf(float(high)) + mpmath.mpf(float(x - high)))
        if value == 0 == x:
            return x  # mpmath has no negative zero
        head = float(value)
        return np.longdouble(head) + np.longdouble(float(value - head))


def _vectorized(double: Any, exact: Any) -> Callable[..., Any]:
    """`double` for float64 arrays, mpmath's `exact` for long double ones."""
    fast = np.vectorize(double, otypes=[np.float64])
    slow = np.vectorize(lambda x: _exact(exact, x), otypes=[np.longdouble])
    return lambda x: slow(x) if x.dtype == np.longdouble else fast(x)


_erf = _vectorized(math.erf, mpmath.erf)
_two_cdf = _vectorized(  # twice the cumulative normal distribution
    lambda x: math.erfc(-x / math.sqrt(2)), lambda x: mpmath.erfc(-x / mpmath.sqrt(2))
)


def _softplus(x: Any) -> Any:
    return np.logaddexp(0, x)


def _sigmoid(x: Any) -> Any:
    return np.exp(-np.logaddexp(0, -x))


def _relu(x: Any, negative_slope: float, max_value: float, threshold: float) -> Any:
    left = 0 * np.isfinite(x) if negative_slope == 0 else negative_slope * (x - threshold)
    y = np.where(x > threshold, x, left)
    return np.where(np.isnan(x), x, np.where(x >= max_value, max_value, y))


def _elu(x: Any, alpha: float) -> Any:
    return np.where(x > 0, x, alpha * np.expm1(np.where(x > 0, 0, x)))


def _selu(x: Any) -> Any:
    return 1.0507009873554805 * _elu(x, 1.6732632423543772)


def _gelu(x: Any) -> Any:
    return np.where(x == -np.inf, -0.0, 0.5 * x * _two_cdf(x))


def _gelu_tanh(x: Any) -> Any:
    # x (1 + tanh u) / 2 = x sigmoid(2 u), which keeps its digits on the left tail
    u = np.sqrt(2 / PI) * (x + np.longdouble("0.044715") * x**3)
    return np.where(x == -np.inf, -0.0, x * _sigmoid(2 * u))


def _hard_sigmoid(x: Any) -> Any:
    return np.clip(x / 6 + 0.5, 0, 1)


def _times(x: Any, factor: Any) -> Any:
    return np.where(x == -np.inf, -0.0, x * factor)


UNARY: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "ceil": np.ceil,
    "celu": lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.where(x > 0, 0, x) / alpha)),
    "clip": lambda x, lo, hi: np.clip(x, lo, hi),
    "cos": np.cos,
    "cosh": np.cosh,
    "elu": _elu,
    "erf": _erf,
    "exp": np.exp,
    "expm1": np.expm1,
    "floor": np.floor,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": lambda x: _times(x, _hard_sigmoid(x)),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "isfinite": np.isfinite,
    "isinf": np.isinf,
    "isnan": np.isnan,
    "log": np.log,
    "log10": np.log10,
    "log1p": np.log1p,
    "log2": np.log2,
    "mish": lambda x: _times(x, np.tanh(_softplus(x))),
    "negative": np.negative,
    "reciprocal": np.reciprocal,
    "relu": _relu,
    "round": np.round,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "selu": _selu,
    "sigmoid": _sigmoid,
    "sign": np.sign,
    "silu": lambda x: _times(x, _sigmoid(x)),
    "sin": np.sin,
    "sinh": np.sinh,
    "softplus": _softplus,
    "softsign": lambda x: np.where(np.isinf(x), np.sign(x), x / (1 + np.abs(x))),
    "sqrt": np.sqrt,
    "square": np.square,
    "tan": np.tan,
    "tanh": np.tanh,
    "trunc": np.trunc,
}

BINARY: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "arctan2": np.arctan2,
    "divide": np.divide,
    "equal": np.equal,
    "floor_divide": np.floor_divide,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "multiply": np.multiply,
    "not_equal": np.not_equal,
    "power": np.power,
    "remainder": np.remainder,
    "subtract": np.subtract,
}
