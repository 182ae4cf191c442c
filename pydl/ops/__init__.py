"""All operations, and the operators and methods of Tensor that are made of them."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from pydl import autograd
from pydl.ops import derivatives as _derivatives
from pydl.ops.convolution import *  # noqa: F403
from pydl.ops.convolution import __all__ as _conv
from pydl.ops.create import (
    arange,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    tril,
    triu,
    zeros,
    zeros_like,
)
from pydl.ops.crossentropy import *  # noqa: F403
from pydl.ops.crossentropy import __all__ as _crossentropy
from pydl.ops.elementwise import *  # noqa: F403
from pydl.ops.elementwise import __all__ as _elementwise
from pydl.ops.index import (
    argsort,
    diagonal,
    in_top_k,
    nonzero,
    one_hot,
    scatter,
    scatter_add,
    searchsorted,
    segment_sum,
    sequence_mask,
    sort,
    take,
    take_along_axis,
    top_k,
    unique_values,
)
from pydl.ops.linalg import dense, dot, einsum, matmul, norm, outer, tensordot, vecdot
from pydl.ops.nn import *  # noqa: F403
from pydl.ops.nn import __all__ as _nn
from pydl.ops.pooling import *  # noqa: F403
from pydl.ops.pooling import __all__ as _pooling
from pydl.ops.promote import FLOATS, as_tensor, is_weak, result_type
from pydl.ops.reduce import *  # noqa: F403
from pydl.ops.reduce import __all__ as _reduce
from pydl.ops.shape import (
    broadcast_arrays,
    broadcast_to,
    concat,
    copy,
    expand_dims,
    flatten,
    flip,
    getitem,
    matrix_transpose,
    moveaxis,
    pad,
    permute_dims,
    ravel,
    repeat,
    reshape,
    roll,
    setitem,
    split,
    squeeze,
    stack,
    swapaxes,
    tile,
    transpose,
    unstack,
)
from pydl.ops.symbols import traced
from pydl.tensor import Tensor, Variable, wrap

_STRUCTURAL = [
    "arange",
    "empty",
    "empty_like",
    "eye",
    "full",
    "full_like",
    "linspace",
    "ones",
    "ones_like",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
    "argsort",
    "diagonal",
    "in_top_k",
    "nonzero",
    "one_hot",
    "scatter",
    "scatter_add",
    "searchsorted",
    "segment_sum",
    "sequence_mask",
    "sort",
    "take",
    "take_along_axis",
    "top_k",
    "unique_values",
    "dense",
    "dot",
    "einsum",
    "matmul",
    "norm",
    "outer",
    "tensordot",
    "vecdot",
    "result_type",
    "broadcast_arrays",
    "broadcast_to",
    "concat",
    "copy",
    "expand_dims",
    "flatten",
    "flip",
    "matrix_transpose",
    "moveaxis",
    "pad",
    "permute_dims",
    "ravel",
    "repeat",
    "reshape",
    "roll",
    "split",
    "squeeze",
    "stack",
    "swapaxes",
    "tile",
    "transpose",
    "unstack",
]

# Other names of the same functions: NumPy's, Keras's, the array API's.
ALIASES = {
    "cast": "astype",
    "concatenate": "concat",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctanh": "atanh",
    "cumsum": "cumulative_sum",
    "gather": "take",
    "invert": "bitwise_invert",
    "mod": "remainder",
    "pow": "power",
    "swish": "silu",
    "true_divide": "divide",
}
ALIASES = {alias: name for alias, name in ALIASES.items() if name in globals()}
for _alias, _name in ALIASES.items():
    globals()[_alias] = globals()[_name]

__all__ = sorted(
    {*_conv, *_crossentropy, *_elementwise, *_nn, *_pooling, *_reduce, *_STRUCTURAL, *ALIASES}
)


def _swapped(function: Any) -> Any:
    def operator(b: Any, a: Any) -> Tensor:
        return function(a, b)

    return operator


def _guarded(function: Any) -> Any:
    """The operator, or NotImplemented for partners that are no numbers, so that theirs is tried."""
    quick = getattr(function, "operator", None)

    def operator(a: Any, b: Any) -> Any:
        if quick is not None:
            out = quick(a, b)
            if out is not None:
                return out
        if isinstance(b, (Tensor, float, int, np.ndarray, np.generic, list, tuple)):
            return function(a, b)
        return NotImplemented

    return operator


def _power(a: Any, b: Any, modulo: None = None) -> Tensor:
    return globals()["power"](a, b)


def _ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """NumPy's functions of tensors: pydl's op of that name, else NumPy's on the values."""
    out = options.pop("out", None)
    name = ALIASES.get(ufunc.__name__, ufunc.__name__)
    function = globals()[name] if name in _elementwise else None
    if method == "__call__" and function is not None and not options and out is None:
        return function(*inputs)
    if autograd.recording() and builtins.any(
        isinstance(x, Tensor) and x.requires_grad for x in inputs
    ):
        raise TypeError(
            f"numpy.{ufunc.__name__}: a tensor that wants a gradient cannot pass through NumPy; "
            "use pydl's function, or x.numpy() for the values"
        )
    arrays = [x.data if isinstance(x, Tensor) else x for x in inputs]
    if out is not None:
        options["out"] = tuple(x.data if isinstance(x, Tensor) else x for x in out)
    result = getattr(ufunc, method)(*arrays, **options)
    if out is not None:
        return out[0] if len(out) == 1 else out
    return wrap(np.asarray(result)) if not isinstance(result, tuple) else tuple(map(wrap, result))


def _array_function(
    self: Tensor, function: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """numpy.mean(x) and the like: pydl's op of that name, else NumPy's on the values."""
    name = ALIASES.get(function.__name__, function.__name__)
    wanted = False  # a gradient

    def values(x: Any) -> Any:
        nonlocal wanted
        if isinstance(x, Tensor):
            wanted = wanted or x.requires_grad
            return x.data
        if isinstance(x, (list, tuple)):
            return type(x)(values(v) for v in x)
        return x

    arrays = values(args), {k: values(v) for k, v in kwargs.items()}
    wanted = wanted and autograd.recording()
    if name in __all__ and function.__module__ == "numpy":
        try:
            return globals()[name](*args, **kwargs)
        except TypeError:  # arguments that only NumPy's has
            if wanted:
                raise
    result = function(*arrays[0], **arrays[1])
    if isinstance(result, (np.ndarray, np.generic)):
        if wanted and result.dtype.kind == "f":
            raise TypeError(
                f"numpy.{function.__name__}: a tensor that wants a gradient cannot pass through "
                "NumPy; use pydl's function, or x.numpy() for the values"
            )
        return wrap(np.asarray(result))
    return result


def _in_place(function: Any, sign: str) -> Any:
    """v += x and the like for Variables."""

    def operator(self: Variable, value: Any) -> Variable:
        if autograd.recording() and (
            self.requires_grad or (isinstance(value, Tensor) and value.requires_grad)
        ):
            raise RuntimeError(
                f"v {sign}= x: would change a Variable in place, which is not recorded; do it "
                f"under no_grad() or with assign, or write v = v {sign} x for a new tensor"
            )
        with autograd.no_grad():
            array = value.data if isinstance(value, Tensor) else value
            if self.dtype in FLOATS and (
                is_weak(value)
                or (
                    isinstance(array, np.ndarray)
                    and (array.dtype, array.shape) == (self.dtype, self.shape)
                )
            ):
                return function(self, value, out=self)
            return self.assign(function(self, value))

    return operator


def _iterate(self: Tensor) -> Any:
    if self.ndim == 0:
        raise TypeError("iteration over a tensor without axes")
    return (getitem(self, i) for i in range(len(self)))


def _attach() -> None:
    g = globals()
    operators = {
        "add": "add",
        "sub": "subtract",
        "mul": "multiply",
        "truediv": "divide",
        "floordiv": "floor_divide",
        "mod": "remainder",
        "matmul": "matmul",
        "and": "bitwise_and",
        "or": "bitwise_or",
        "xor": "bitwise_xor",
    }
    for name, target in operators.items():
        setattr(Tensor, f"__{name}__", _guarded(g[target]))
        setattr(Tensor, f"__r{name}__", _swapped(getattr(Tensor, f"__{name}__")))
    comparisons = {
        "eq": "equal",
        "ne": "not_equal",
        "lt": "less",
        "le": "less_equal",
        "gt": "greater",
        "ge": "greater_equal",
    }
    for name, target in comparisons.items():
        setattr(Tensor, f"__{name}__", _guarded(g[target]))
    single = {"neg": "negative", "pos": "positive", "abs": "abs", "invert": "bitwise_invert"}
    for name, target in single.items():
        setattr(Tensor, f"__{name}__", g[target])
    Tensor.__pow__ = _power  # type: ignore[method-assign]
    Tensor.__rpow__ = _swapped(_power)  # type: ignore[method-assign]
    Tensor.__getitem__ = getitem  # type: ignore[method-assign]
    Tensor.__setitem__ = setitem  # type: ignore[method-assign]
    Tensor.__iter__ = _iterate  # type: ignore[method-assign]
    Tensor.__array_ufunc__ = _ufunc  # type: ignore[attr-defined]
    Tensor.__array_function__ = _array_function  # type: ignore[attr-defined]
    for name, sign in (("add", "+"), ("sub", "-"), ("mul", "*"), ("truediv", "/"), ("pow", "**")):
        function = g["power" if name == "pow" else operators[name]]
        setattr(Variable, f"__i{name}__", _in_place(function, sign))
    Tensor.T = property(transpose)  # type: ignore[assignment]
    Tensor.mT = property(matrix_transpose)  # type: ignore[assignment]

    methods = [
        "abs",
        "all",
        "any",
        "argmax",
        "argmin",
        "argsort",
        "astype",
        "ceil",
        "clip",
        "conj",
        "copy",
        "cos",
        "cumulative_sum",
        "cumsum",
        "diagonal",
        "dot",
        "exp",
        "expand_dims",
        "flatten",
        "floor",
        "log",
        "matmul",
        "max",
        "mean",
        "min",
        "moveaxis",
        "norm",
        "prod",
        "ravel",
        "repeat",
        "reshape",
        "round",
        "sigmoid",
        "sin",
        "sort",
        "split",
        "sqrt",
        "square",
        "squeeze",
        "std",
        "sum",
        "swapaxes",
        "take",
        "tanh",
        "transpose",
        "relu",
        "var",
    ]
    for name in methods:
        if name in g:
            setattr(Tensor, name, g[name])
    Tensor.backward = autograd.backward  # type: ignore[attr-defined]


_attach()

# Those made of a kernel see to symbolic tensors themselves, where they are slow anyway.
for _name in {*__all__, "getitem"}:
    _function = globals()[_name]
    if not hasattr(_function, "op_name") and _function.__module__.startswith("pydl.ops."):
        globals()[_name] = traced(_function)
