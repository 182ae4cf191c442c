"""Element-wise operations: one line for each kernel of the table, and what is made of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pydl import _core, check
from pydl.autograd import op
from pydl.ops.factory import binary, unary, write
from pydl.ops.promote import FLOATS, as_tensor, cast, is_weak, number, promote, result_type
from pydl.ops.unbroadcast import unbroadcast
from pydl.tensor import Tensor, dtype_of, to_array, wrap

__all__ = [
    "abs",
    "add",
    "astype",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_or",
    "bitwise_xor",
    "ceil",
    "celu",
    "clip",
    "cos",
    "cosh",
    "divide",
    "elu",
    "equal",
    "erf",
    "exp",
    "expm1",
    "floor",
    "floor_divide",
    "gelu",
    "gelu_erf",
    "gelu_tanh",
    "greater",
    "greater_equal",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "isfinite",
    "isinf",
    "isnan",
    "leaky_relu",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log2",
    "log10",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "mish",
    "multiply",
    "negative",
    "not_equal",
    "positive",
    "power",
    "reciprocal",
    "relu",
    "relu6",
    "remainder",
    "round",
    "rsqrt",
    "selu",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "sinh",
    "softplus",
    "softsign",
    "sqrt",
    "square",
    "stop_gradient",
    "subtract",
    "tan",
    "tanh",
    "trunc",
    "where",
]


def _keep(x: np.ndarray) -> np.ndarray:
    return x


def _no_bool(name: str, host: Any) -> Any:
    def checked(*arrays: np.ndarray) -> np.ndarray:
        if arrays[0].dtype == np.bool_:
            raise TypeError(f"{name}: needs numbers, got bool; use astype('int32') first")
        return host(*arrays)

    return checked


abs = unary("abs", "|x|", np.abs)
ceil = unary("ceil", "smallest integer >= x", _keep)
cos = unary("cos", "cos x")
cosh = unary("cosh", "cosh x")
erf = unary("erf", "2 / sqrt(pi) * integral of exp(-t^2) from 0 to x")
exp = unary("exp", "e^x")
expm1 = unary("expm1", "e^x - 1, exact near 0")
floor = unary("floor", "largest integer <= x", _keep)
isfinite = unary("isfinite", "whether x is neither infinite nor nan", np.isfinite)
isinf = unary("isinf", "whether x is infinite", np.isinf)
isnan = unary("isnan", "whether x is nan", np.isnan)
log = unary("log", "natural logarithm of x")
log10 = unary("log10", "logarithm of x to base 10")
log1p = unary("log1p", "log(1 + x), exact near 0")
log2 = unary("log2", "logarithm of x to base 2")
negative = unary("negative", "-x", _no_bool("negative", np.negative))
reciprocal = unary("reciprocal", "1 / x")
round = unary("round", "nearest integer, halves to even", _keep)
rsqrt = unary("rsqrt", "1 / sqrt(x)")
sign = unary("sign", "-1, 0 or 1 as x is negative, zero or positive", _no_bool("sign", np.sign))
sin = unary("sin", "sin x")
sinh = unary("sinh", "sinh x")
sqrt = unary("sqrt", "square root of x")
square = unary("square", "x^2", np.square)
tan = unary("tan", "tan x")
tanh = unary("tanh", "tanh x")
trunc = unary("trunc", "x without its fraction", _keep)

celu = unary("celu", "x for x > 0, alpha (e^(x / alpha) - 1) otherwise (Barron 2017)")
elu = unary("elu", "x for x > 0, alpha (e^x - 1) otherwise (Clevert et al. 2015)")
gelu_erf = unary("gelu", "x (1 + erf(x / sqrt 2)) / 2 (Hendrycks and Gimpel 2016)")
gelu_tanh = unary("gelu_tanh", "x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2")
hard_sigmoid = unary("hard_sigmoid", "clip(x / 6 + 1 / 2, 0, 1)")
hard_silu = unary("hard_silu", "x clip(x / 6 + 1 / 2, 0, 1) (Howard et al. 2019)")
hard_tanh = unary("hard_tanh", "clip(x, -1, 1)")
mish = unary("mish", "x tanh(log(1 + e^x)) (Misra 2019)")
_relu = unary("relu", "x for x > threshold, negative_slope (x - threshold) otherwise")
selu = unary("selu", "1.0507 elu(x, 1.67326) (Klambauer et al. 2017)")
sigmoid = unary("sigmoid", "1 / (1 + e^-x)")
silu = unary("silu", "x sigmoid(x) (Elfwing et al. 2017)")
softplus = unary("softplus", "log(1 + e^x)")
softsign = unary("softsign", "x / (1 + |x|)")
_clip = unary("clip", "min(max(x, lo), hi)")

add = binary("add", "a + b", np.add, gradient=(lambda g: g, lambda g: g))
subtract = binary(
    "subtract",
    "a - b",
    _no_bool("subtract", np.subtract),
    gradient=(lambda g: g, lambda g: negative(g)),
)
multiply = binary("multiply", "a b", np.multiply)
divide = binary("divide", "a / b", np.divide, to_float=True)
_power = binary("power", "a^b", np.power)
maximum = binary(
    "maximum", "the larger of a and b; nan wins; ties send the gradient to a", np.maximum
)
minimum = binary(
    "minimum", "the smaller of a and b; nan wins; ties send the gradient to a", np.minimum
)
floor_divide = binary("floor_divide", "largest integer <= a / b", np.floor_divide)
remainder = binary("remainder", "a - b floor(a / b), with the sign of b", np.remainder)
equal = binary("equal", "a == b", np.equal)
not_equal = binary("not_equal", "a != b", np.not_equal)
less = binary("less", "a < b", np.less)
less_equal = binary("less_equal", "a <= b", np.less_equal)
greater = binary("greater", "a > b", np.greater)
greater_equal = binary("greater_equal", "a >= b", np.greater_equal)


def positive(x: Any, /, *, out: Any = None) -> Tensor:
    """x itself; `out`, a Tensor or an array, takes a copy, without a gradient."""
    if out is None:
        return as_tensor(x, "positive")
    return write("positive", (x,), out, lambda _: to_array(x, None, "positive"))


def power(a: Any, b: Any, /, *, out: Any = None) -> Tensor:
    """a^b, element by element, with broadcasting. Exponents 1/2, 1, 2, 3 are exact shortcuts.

    The gradient for the exponent is 0 where a <= 0. `out`, a Tensor or an array, takes the result,
    without a gradient.

    >>> import pydl
    >>> pydl.power(pydl.tensor([1.0, 2.0, 3.0]), 2)
    Tensor([1., 4., 9.])
    """
    if is_weak(b) and isinstance(a, Tensor) and a.dtype in FLOATS:
        if b == 2:
            return square(a, out=out)
        if b == 1:
            return multiply(a, 1, out=out)
        if b == 0.5:
            return sqrt(a, out=out)
        if b == 3:
            return multiply(square(a), a, out=out)
    if not isinstance(a, Tensor) or a.dtype not in FLOATS:
        base, exponent = (np.asarray(x) for x in (a, b))
        if base.dtype.kind in "biu" and exponent.dtype.kind in "iu" and (exponent < 0).any():
            raise ValueError(
                f"power: integers to the negative power {exponent.min()}; use a float base"
            )
    return _power(a, b, out=out)


def relu(
    x: Any,
    /,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
    *,
    out: Any = None,
) -> Tensor:
    """x for x > threshold, negative_slope (x - threshold) otherwise; at most max_value.

    The gradient at the kink is that of the left side. `out`, a Tensor or an array, takes the
    result, without a gradient.

    >>> import pydl
    >>> pydl.relu(pydl.tensor([-1.0, 0.0, 2.0]))
    Tensor([0., 0., 2.])
    """
    numbers = type(negative_slope) is float and type(threshold) is float
    if max_value is None and numbers and not (negative_slope or threshold):
        return _relu(x, out=out)
    limit = math.inf if max_value is None else check.number("relu", "max_value", max_value)
    if not limit >= 0:
        raise ValueError(f"relu: max_value must be None or at least 0, got {max_value}")
    slope = check.number("relu", "negative_slope", negative_slope)
    return _relu(x, slope, limit, check.number("relu", "threshold", threshold), out=out)


relu.op_name = "relu"  # type: ignore[attr-defined]


def leaky_relu(x: Any, /, negative_slope: float = 0.2, *, out: Any = None) -> Tensor:
    """x for x > 0, negative_slope x otherwise (Maas et al. 2013).

    `out`, a Tensor or an array, takes the result, without a gradient.

    >>> import pydl
    >>> pydl.leaky_relu(pydl.tensor([-1.0, 2.0]))
    Tensor([-0.2,  2. ])
    """
    return relu(x, negative_slope, out=out)


def relu6(x: Any, /, *, out: Any = None) -> Tensor:
    """min(max(x, 0), 6) (Krizhevsky 2010); `out`, a Tensor or an array, takes the result."""
    return relu(x, max_value=6.0, out=out)


def gelu(x: Any, /, approximate: bool = False, *, out: Any = None) -> Tensor:
    """x P(X <= x) for a standard normal X; `approximate` uses tanh (Hendrycks and Gimpel 2016).

    `out`, a Tensor or an array, takes the result, without a gradient.

    >>> import pydl
    >>> pydl.gelu(pydl.tensor([0.0, 1.0]))
    Tensor([0.       , 0.8413447])
    """
    return gelu_tanh(x, out=out) if approximate else gelu_erf(x, out=out)


def clip(x: Any, /, min: Any = None, max: Any = None, *, out: Any = None) -> Tensor:
    """min(max(x, `min`), `max`), element by element; None is no bound. No gradient outside.

    `out`, a Tensor or an array, takes the result, without a gradient.

    >>> import pydl
    >>> pydl.clip(pydl.tensor([-2.0, 0.5, 2.0]), -1, 1)
    Tensor([-1. ,  0.5,  1. ])
    """
    x = as_tensor(x, "clip")
    low, high = -math.inf if min is None else min, math.inf if max is None else max
    weak = is_weak(low) and is_weak(high)
    if weak and x.dtype in FLOATS and low == low and high == high:
        return _clip(x, float(low), float(high), out=out)
    if min is not None:
        x = maximum(x, min, out=out if max is None else None)
    if max is not None:
        return minimum(x, max, out=out)
    return x if out is None or min is not None else positive(x, out=out)


@op(saves=("condition",))
def _where(condition: np.ndarray, a: np.ndarray, b: np.ndarray, /) -> np.ndarray:
    y = _core.where(condition, a, b)
    if y is None:
        check.broadcast("where", [condition.shape, a.shape, b.shape])
        y = np.where(condition, a, b)
    return y


@_where.gradient
def _(g: Tensor, y: Any, condition: Tensor, a: Tensor, b: Tensor) -> Any:
    return (
        None,
        lambda: unbroadcast(where(condition, g, 0.0), a),
        lambda: unbroadcast(where(condition, 0.0, g), b),
    )


def where(condition: Any, a: Any, b: Any, /) -> Tensor:
    """a where condition holds, b elsewhere, with broadcasting.

    >>> import pydl
    >>> pydl.where(pydl.tensor([True, False]), 1.0, pydl.tensor([5.0, 6.0]))
    Tensor([1., 6.])
    """
    chosen = to_array(condition, None, "where")
    if chosen.dtype != np.bool_:
        chosen = chosen != 0
    dtype = result_type(*(x if is_weak(x) else to_array(x, None, "where") for x in (a, b)))
    return _where(wrap(chosen), astype(_strong(a, dtype), dtype), astype(_strong(b, dtype), dtype))


def _strong(x: Any, dtype: Any) -> Tensor:
    return wrap(number("where", x, dtype)) if is_weak(x) else as_tensor(x, "where")


@op(saves=())
def _astype(x: np.ndarray, /, dtype: Any) -> np.ndarray:
    return cast(x, dtype)


@_astype.gradient
def _(g: Tensor, y: Any, x: Tensor, dtype: Any) -> Any:
    return (_astype(g, x.dtype),)


def astype(x: Any, dtype: Any, /, *, copy: bool = False) -> Tensor:
    """x as another dtype; floats to integers truncate toward zero, bool gives 0 and 1.

    >>> import pydl
    >>> pydl.astype(pydl.tensor([1.7, -1.7]), "int32")
    Tensor([ 1, -1], dtype=int32)
    """
    x = as_tensor(x, "astype")
    wanted = dtype_of(dtype, "astype")
    if x.dtype == wanted:
        return (
            multiply(x, 1) if copy and x.dtype in FLOATS else (wrap(x.data.copy()) if copy else x)
        )
    return _astype(x, wanted)


def _host(name: str, host: Any, formula: str, to_arrays: Any) -> Any:
    """An operation of NumPy on one or two operands, without a gradient."""
    if host.nin == 1:

        def function(x: Any, /) -> Tensor:
            return wrap(np.asarray(host(*to_arrays(name, (x,)))))
    else:

        def function(a: Any, b: Any, /) -> Tensor:  # type: ignore[misc]
            return wrap(np.asarray(host(*to_arrays(name, (a, b)))))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = formula
    return function


def _as_they_are(name: str, operands: tuple[Any, ...]) -> list[np.ndarray]:
    return [to_array(x, None, name) for x in operands]


def _logical(name: str, host: Any, formula: str) -> Any:
    return _host(name, host, f"{formula}, element by element; a bool tensor.", _as_they_are)


logical_and = _logical("logical_and", np.logical_and, "whether a and b are both nonzero")
logical_or = _logical("logical_or", np.logical_or, "whether a or b is nonzero")
logical_xor = _logical("logical_xor", np.logical_xor, "whether just one of a and b is nonzero")
logical_not = _logical("logical_not", np.logical_not, "whether x is zero")


def _integers(name: str, operands: tuple[Any, ...]) -> list[np.ndarray]:
    arrays = promote(name, operands)
    if arrays[0].dtype.kind not in "biu":
        raise TypeError(f"{name}: needs integers or bool, got {arrays[0].dtype}")
    return arrays


def _bitwise(name: str, host: Any, formula: str) -> Any:
    return _host(name, host, f"{formula}, element by element, of integers or bool.", _integers)


bitwise_and = _bitwise("bitwise_and", np.bitwise_and, "a & b")
bitwise_or = _bitwise("bitwise_or", np.bitwise_or, "a | b")
bitwise_xor = _bitwise("bitwise_xor", np.bitwise_xor, "a ^ b")
bitwise_invert = _bitwise("bitwise_invert", np.invert, "~x")


def stop_gradient(x: Any, /) -> Tensor:
    """The values of x as a constant: gradients do not flow through it.

    >>> import pydl
    >>> v = pydl.Variable([2.0])
    >>> pydl.stop_gradient(v * v).requires_grad
    False
    """
    x = as_tensor(x, "stop_gradient")
    out = wrap(x.data)
    out._base = getattr(x, "_base", x)
    return out
