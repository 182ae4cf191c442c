"""Products of vectors, matrices and stacks of matrices."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pydl import _core, check
from pydl.autograd import op, recording
from pydl.ops import elementwise
from pydl.ops.elementwise import abs, astype, divide, equal, multiply, sqrt, square, where
from pydl.ops.factory import OPS, TABLE
from pydl.ops.nn import log_softmax, softmax
from pydl.ops.promote import FLOATS, as_tensor, result_type
from pydl.ops.reduce import max as max_over
from pydl.ops.reduce import sum as sum_over
from pydl.ops.shape import (
    broadcast_to,
    expand_dims,
    matrix_transpose,
    permute_dims,
    reshape,
    squeeze,
)
from pydl.ops.unbroadcast import unbroadcast
from pydl.sparse import SparseTensor, csr, is_sparse
from pydl.tensor import Tensor, wrap

_UNARY_INDEX = {row["name"]: i for i, row in enumerate(_core.ops) if row["kind"] == "unary"}


@op(saves=("a", "b"))
def _matmul(a: np.ndarray, b: np.ndarray, /) -> np.ndarray:
    y = _core.matmul(a, b)
    return np.matmul(a, b) if y is None else y


@_matmul.gradient
def _(g: Tensor, y: Any, a: Tensor, b: Tensor) -> Any:
    return (
        lambda: unbroadcast(_matmul(g, matrix_transpose(b)), a),
        lambda: unbroadcast(_matmul(matrix_transpose(a), g), b),
    )


_quick_matmul = _core.matmul_operator(_matmul)


def _both(who: str, a: Any, b: Any) -> tuple[Tensor, Tensor]:
    a, b = as_tensor(a, who), as_tensor(b, who)
    if a.dtype is b.dtype:
        return a, b
    dtype = result_type(a.data, b.data)
    return astype(a, dtype), astype(b, dtype)


def _sparse_pair(who: str, a: Any, b: Any) -> tuple[SparseTensor, Tensor]:
    if is_sparse(b):
        raise TypeError(
            f"{who}: a sparse matrix must be the left operand; use to_dense() on the right"
        )
    a, b = csr(a), as_tensor(b, who)
    dtype = result_type(a.data, b.data)
    return a.astype(dtype), astype(b, dtype)


def _matmul_sparse(a: Any, b: Any) -> Tensor:
    a, b = _sparse_pair("matmul", a, b)
    if b.ndim not in (1, 2) or b.shape[0] != a.shape[1]:
        raise ValueError(
            f"matmul: sparse {a.shape} @ {b.shape}: the right operand must be a matrix or vector "
            f"of {a.shape[1]} rows"
        )
    y = _sparse_dense(b if b.ndim == 2 else expand_dims(b, -1), None, a)
    return y if b.ndim == 2 else squeeze(y, -1)


def matmul(a: Any, b: Any, /) -> Tensor:
    """a @ b: matrix products over the last two axes, leading axes broadcast; vectors as in NumPy.

    y[..., i, j] = sum_k a[..., i, k] b[..., k, j]. ValueError where the inner sizes differ.

    a may be a SparseTensor or a SciPy sparse matrix, a constant; b then is a matrix or a vector.
    Where b is finite, the result has the bits of the dense product (a zero's sign may differ).

    >>> import pydl
    >>> pydl.matmul(pydl.tensor([[1.0, 2.0]]), pydl.tensor([[3.0], [4.0]]))
    Tensor([[11.]])
    """
    y = _quick_matmul(a, b)
    if y is not None:
        return y
    if is_sparse(a) or is_sparse(b):
        return _matmul_sparse(a, b)
    a, b = _both("matmul", a, b)
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(
            f"matmul: operands need an axis, got shapes {a.shape} and {b.shape}; use multiply"
        )
    inner = b.shape[-2] if b.ndim > 1 else b.shape[0]
    if a.shape[-1] != inner:
        raise ValueError(
            f"matmul: inner sizes differ, {a.shape} @ {b.shape}: {a.shape[-1]} against {inner}"
        )
    if a.ndim > 1 and b.ndim > 1:
        if b.ndim == 2 and a.ndim > 2:  # one large product instead of a batch
            y = _matmul(reshape(a, (math.prod(a.shape[:-1]), inner)), b)
            return reshape(y, (*a.shape[:-1], b.shape[1]))
        return _matmul(a, b)
    y = matmul(expand_dims(a, 0) if a.ndim == 1 else a, expand_dims(b, -1) if b.ndim == 1 else b)
    if b.ndim == 1:
        y = squeeze(y, -1)
    return (
        squeeze(y, -1 if b.ndim > 1 else y.ndim - 1)
        if a.ndim == 1 and b.ndim == 1
        else (squeeze(y, -2) if a.ndim == 1 else y)
    )


matmul.operator = _quick_matmul  # type: ignore[attr-defined]


# ---- activations fused into a product: ops whose gradient reads nothing but their output ---------


@functools.cache
def _named(name: str) -> Any:
    """The activation of this name: an element-wise op that takes one tensor, or one of three more.

    None for other names.
    """
    found: dict[str, Any] = {
        "linear": elementwise.positive,
        "softmax": softmax,
        "log_softmax": log_softmax,
    }
    if name in found or name not in elementwise.__all__:
        return found.get(name)
    function = getattr(elementwise, name)
    parameters = inspect.signature(function).parameters.values()
    needed = [p for p in parameters if p.default is p.empty and p.kind == p.POSITIONAL_ONLY]
    return function if len(needed) == 1 else None


def fusable(activation: Any, who: str) -> str | None:
    """The name of an activation that a product can apply itself; None for all others."""
    name = getattr(activation, "op_name", None)
    if isinstance(activation, str):
        name = activation
        if _named(name) is None:
            raise ValueError(
                f"{who}: activation must be the name of an element-wise op of one operand, "
                "'linear', 'softmax', 'log_softmax', or a function, as those of "
                f"pydl.activations; got {name!r}"
            )
    elif activation is not None and not callable(activation):
        raise TypeError(
            f"{who}: activation must be None, a name or a function of tensors, got {activation!r}"
        )
    row = TABLE.get(name or "")
    return row["name"] if row is not None and _from_output(row) else None


def _from_output(row: dict[str, Any]) -> bool:
    """Whether the gradient follows from the output: relu's, as y > 0 where x > 0."""
    fits = row["kind"] == "unary" and not row["to_bool"]
    return fits and (row["saves"] in ("", "y") or row["name"] == "relu")


def activation_arguments(fused: str | None) -> tuple[Any, ...]:
    """Index and parameters of a fused activation, as kernels take them."""
    if fused is None:
        return (-1,)
    return (_UNARY_INDEX[fused], tuple(TABLE[fused]["params"].values()))


def activation_gradient(fused: str | None, g: Tensor, y: Tensor) -> Tensor:
    """The gradient before a fused activation."""
    if fused is None:
        return g
    if recording():
        return OPS[fused].form(g, y, y, *TABLE[fused]["params"].values())
    backward = getattr(_core, fused + "_backward")
    return wrap(backward(g.data, y.data, y.data, *TABLE[fused]["params"].values()))


def activated(y: Tensor, activation: Any, fused: str | None) -> Tensor:
    """y after the activation, unless that was fused."""
    if activation is None or fused is not None:
        return y
    return activation(y) if callable(activation) else _named(activation)(y)


@op(saves=("x", "kernel", "y"))
def _dense(
    x: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray | None = None,
    /,
    activation: str | None = None,
) -> np.ndarray:
    return _core.matmul(x, kernel, bias, *activation_arguments(activation))


@_dense.gradient
def _(
    g: Tensor, y: Tensor, x: Tensor, kernel: Tensor, bias: Tensor | None, activation: str | None
) -> Any:
    g = activation_gradient(activation, g, y)
    return (
        lambda: _matmul(g, matrix_transpose(kernel)),
        lambda: _matmul(matrix_transpose(x), g),
        lambda: sum_over(g, axis=0),
    )


@op(saves=("y",))
def _sparse_dense(
    kernel: np.ndarray,
    bias: np.ndarray | None,
    /,
    x: SparseTensor,
    activation: str | None = None,
) -> np.ndarray:
    return x._product(kernel, bias, *activation_arguments(activation))


@_sparse_dense.gradient
def _(
    g: Tensor,
    y: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    x: SparseTensor,
    activation: str | None,
) -> Any:
    g = activation_gradient(activation, g, y)
    return lambda: wrap(x._transposed_product(g.data)), lambda: sum_over(g, axis=0)


@functools.cache
def _fused_arguments(activation: str | None) -> tuple[Any, ...] | None:
    """`activation_arguments` of a name that is fused, None for others."""
    fused = fusable(activation, "dense")
    return None if fused is None and activation is not None else activation_arguments(fused)


def _dense_of_constants(x: Any, kernel: Any, bias: Any, activation: Any) -> Tensor | None:
    """`dense` where no gradient is wanted and nothing has to be converted, else None.

    Small layers spend more time on those questions than on their product.
    """
    if not (isinstance(x, Tensor) and isinstance(kernel, Tensor) and isinstance(bias, Tensor)):
        return None
    if activation is not None and type(activation) is not str:
        return None
    if not (x._node is kernel._node is bias._node is None) and _core.recording():
        return None
    a, w, b = x.data, kernel.data, bias.data
    m, n = a.shape, w.shape
    if len(m) != 2 or len(n) != 2 or m[1] != n[0] or b.shape != n[1:] or not b.flags.c_contiguous:
        return None
    arguments = _fused_arguments(activation)
    if arguments is None or not (a.dtype == w.dtype == b.dtype):
        return None
    y = _core.matmul(a, w, b, *arguments)
    return None if y is None else wrap(y)


def dense(x: Any, kernel: Any, bias: Any = None, activation: Any = None) -> Tensor:
    """act(x @ kernel + bias) in one pass over the result.

    Args:
      x: (..., in), or a sparse matrix (see `matmul`); kernel: (in, out); bias: (out,) or None; all
        of one float dtype.
      activation: None, a function of tensors, or a name: of an element-wise op, "linear",
        "softmax" or "log_softmax". Those whose gradient needs only their output (relu, sigmoid,
        tanh, ...) are fused into the product.

    >>> import pydl
    >>> pydl.dense(pydl.ones((1, 2)), pydl.ones((2, 1)), pydl.tensor([-5.0]), "relu")
    Tensor([[0.]])
    """
    quick = _dense_of_constants(x, kernel, bias, activation)
    if quick is not None:
        return quick
    sparse = is_sparse(x)
    x, kernel = (_sparse_pair if sparse else _both)("dense", x, kernel)
    if x.ndim < 1 or kernel.ndim != 2 or x.shape[-1] != kernel.shape[0]:
        raise ValueError(
            f"dense: x of shape {x.shape} does not fit a kernel of shape {kernel.shape}"
        )
    if x.dtype not in FLOATS:
        raise TypeError(f"dense: needs float32 or float64, got {x.dtype}")
    if bias is not None:
        bias = astype(as_tensor(bias, "dense"), x.dtype)
        if bias.shape != kernel.shape[1:]:
            raise ValueError(
                f"dense: bias of shape {bias.shape} does not fit a kernel of shape {kernel.shape}"
            )
        if not bias.data.flags.c_contiguous:
            bias = bias.copy()
    fused = fusable(activation, "dense")
    flat = x if x.ndim == 2 else reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))
    y = _sparse_dense(kernel, bias, flat, fused) if sparse else _dense(flat, kernel, bias, fused)
    if x.ndim != 2:
        y = reshape(y, (*x.shape[:-1], kernel.shape[1]))
    return activated(y, activation, fused)


def dot(a: Any, b: Any, /) -> Tensor:
    """Sum over the last axis of a and the second-to-last (or only) axis of b, as numpy.dot.

    >>> import pydl
    >>> pydl.dot(pydl.tensor([1.0, 2.0]), pydl.tensor([3.0, 4.0]))
    Tensor(11.)
    """
    a, b = _both("dot", a, b)
    if a.ndim == 0 or b.ndim == 0:
        return multiply(a, b)
    axis = b.ndim - 2 if b.ndim > 1 else 0
    if a.shape[-1] != b.shape[axis]:
        raise ValueError(
            f"dot: sizes differ, {a.shape} . {b.shape}: {a.shape[-1]} against {b.shape[axis]}"
        )
    return tensordot(a, b, ([a.ndim - 1], [axis]))


def vecdot(a: Any, b: Any, /, *, axis: int = -1) -> Tensor:
    """sum(a b) along one axis, with broadcasting."""
    a, b = as_tensor(a, "vecdot"), as_tensor(b, "vecdot")
    shapes = [a.data.shape, b.data.shape]
    check.broadcast("vecdot", shapes)
    axis = check.axis("vecdot", axis, max(map(len, shapes)))
    return sum_over(multiply(a, b), axis=axis)


def tensordot(a: Any, b: Any, /, axes: Any = 2) -> Tensor:
    """Sum of products over pairs of axes: the last n of a with the first n of b, or two lists.

    >>> import pydl
    >>> pydl.tensordot(pydl.ones((2, 3)), pydl.ones((3, 4)), 1).shape
    (2, 4)
    """
    a, b = _both("tensordot", a, b)
    if hasattr(axes, "__index__"):
        n = check.integer("tensordot", "axes", axes)
        if not 0 <= n <= min(a.ndim, b.ndim):
            raise ValueError(f"tensordot: axes={n} for shapes {a.shape} and {b.shape}")
        from_a, from_b = list(range(a.ndim - n, a.ndim)), list(range(n))
    else:
        if not isinstance(axes, (tuple, list)) or len(axes) != 2:
            raise TypeError(
                f"tensordot: axes must be an integer, or axes of a and axes of b, got {axes!r}"
            )
        from_a, from_b = pair = [list(check.integers("tensordot", "axes", v)) for v in axes]
        for found, x in zip(pair, (a, b), strict=True):
            check.axes("tensordot", found, x.ndim, x.shape)
            found[:] = [i % x.ndim for i in found]
    sizes_a, sizes_b = [a.shape[i] for i in from_a], [b.shape[i] for i in from_b]
    if sizes_a != sizes_b:
        raise ValueError(
            f"tensordot: axes {from_a} of {a.shape} and {from_b} of {b.shape} differ in size"
        )
    free_a = [i for i in range(a.ndim) if i not in from_a]
    free_b = [i for i in range(b.ndim) if i not in from_b]
    inner = math.prod(sizes_a)
    rows, columns = [a.shape[i] for i in free_a], [b.shape[i] for i in free_b]
    left = reshape(permute_dims(a, free_a + from_a), (math.prod(rows), inner))
    right = reshape(permute_dims(b, from_b + free_b), (inner, math.prod(columns)))
    return reshape(_matmul(left, right), (*rows, *columns))


def outer(a: Any, b: Any, /) -> Tensor:
    """a[i] b[j] for all i and j; operands are flattened."""
    a, b = as_tensor(a, "outer"), as_tensor(b, "outer")
    return multiply(reshape(a, (a.size, 1)), reshape(b, (1, b.size)))


def _parse(subscripts: str, operands: Sequence[Tensor]) -> tuple[list[str], str]:
    text = subscripts.replace(" ", "")
    left, arrow, output = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise ValueError(f"einsum: {len(terms)} terms in {subscripts!r}, {len(operands)} operands")
    spare = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in text]
    widest = 0
    for i, (term, x) in enumerate(zip(terms, operands, strict=True)):
        named = len(term.replace("...", ""))
        if "..." in term:
            extra = x.ndim - named
            if extra < 0:
                raise ValueError(f"einsum: {term!r} does not fit shape {x.shape}")
            widest = max(widest, extra)
            terms[i] = term.replace("...", "".join(spare[:widest][::-1][widest - extra :]))
        elif named != x.ndim:
            raise ValueError(f"einsum: {term!r} has {named} axes, the operand has shape {x.shape}")
    dots = "".join(spare[:widest][::-1])
    if arrow:
        output = output.replace("...", dots)
    else:
        joined = "".join(terms)
        output = dots + "".join(sorted(c for c in set(joined) if joined.count(c) == 1))
    for letter in output:
        if output.count(letter) > 1 or not any(letter in t for t in terms):
            raise ValueError(f"einsum: bad output index {letter!r} in {subscripts!r}")
    return terms, output


def _diagonal(x: Tensor, term: str) -> tuple[Tensor, str]:
    """x with each repeated index taken once, along its diagonal."""
    for letter in sorted(set(term)):
        while term.count(letter) > 1:
            i, j = term.index(letter), term.rindex(letter)
            if x.shape[i] != x.shape[j]:
                raise ValueError(
                    f"einsum: index {letter!r} has sizes {x.shape[i]} and {x.shape[j]}"
                )
            rest = [k for k in range(x.ndim) if k not in (i, j)]
            positions = np.arange(x.shape[i])
            x = permute_dims(x, [i, j, *rest])[positions, positions]
            term = letter + "".join(term[k] for k in rest)
    return x, term


def _contract(a: Tensor, ta: str, b: Tensor, tb: str, needed: set[str]) -> tuple[Tensor, str]:
    shared = [c for c in ta if c in tb]
    batch = [c for c in shared if c in needed]
    inner = [c for c in shared if c not in needed]
    free_a, free_b = [c for c in ta if c not in tb], [c for c in tb if c not in ta]
    size = {c: max(n, 1) if n != 0 else 0 for c, n in zip(ta, a.shape, strict=True)}
    for c, n in zip(tb, b.shape, strict=True):
        if c in size and size[c] != n and 1 not in (size[c], n):
            raise ValueError(f"einsum: index {c!r} has sizes {size[c]} and {n}")
        size[c] = n if size.get(c, 1) == 1 else size[c]
    a = broadcast_to(a, tuple(size[c] for c in ta))
    b = broadcast_to(b, tuple(size[c] for c in tb))

    def total(letters: list[str]) -> int:
        return math.prod(size[c] for c in letters)

    head = tuple(size[c] for c in batch)
    left = permute_dims(a, [ta.index(c) for c in batch + free_a + inner])
    right = permute_dims(b, [tb.index(c) for c in batch + inner + free_b])
    y = _matmul(
        reshape(left, (*head, total(free_a), total(inner))),
        reshape(right, (*head, total(inner), total(free_b))),
    )
    letters = batch + free_a + free_b
    return reshape(y, tuple(size[c] for c in letters)), "".join(letters)


def einsum(subscripts: str, *operands: Any) -> Tensor:
    """Einstein's summation, contracted from left to right by matrix products.

    >>> import pydl
    >>> pydl.einsum("ij,jk->ik", pydl.ones((2, 3)), pydl.ones((3, 4))).shape
    (2, 4)
    """
    if not isinstance(subscripts, str):
        raise TypeError(
            "einsum: subscripts must be a string, as 'ij,jk->ik', got a "
            f"{type(subscripts).__name__}"
        )
    if not operands:
        raise ValueError("einsum: needs at least one operand")
    tensors = [as_tensor(x, "einsum") for x in operands]
    dtype = result_type(*(t.data for t in tensors))
    terms, output = _parse(subscripts, tensors)
    pairs = [_diagonal(astype(t, dtype), term) for t, term in zip(tensors, terms, strict=True)]
    for i, (x, term) in enumerate(pairs):  # indices that stand in one operand only, and not outside
        others = set(output).union(*(t for j, (_, t) in enumerate(pairs) if j != i))
        lonely = tuple(k for k, c in enumerate(term) if c not in others)
        if lonely:
            pairs[i] = sum_over(x, axis=lonely), "".join(c for c in term if c in others)
    y, letters = pairs[0]
    for i, (x, term) in enumerate(pairs[1:], start=2):
        needed = set(output).union(*(t for _, t in pairs[i:]))
        y, letters = _contract(y, letters, x, term, needed)
    return permute_dims(y, [letters.index(c) for c in output])


@op(saves=("y",))
def _root(x: np.ndarray, /) -> np.ndarray:
    return _core.sqrt(x)


@_root.gradient
def _(g: Tensor, y: Tensor, x: Tensor) -> Any:
    zero = equal(y, 0.0)
    return (where(zero, 0.0, divide(multiply(g, 0.5), where(zero, 1.0, y))),)


def norm(x: Any, /, ord: Any = 2, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Vector norm (sum |x|^ord)^(1/ord) over the axes; ord may be 1, 2, inf or another number > 0.

    Its gradient is 0 where it is 0.

    >>> import pydl
    >>> pydl.norm(pydl.tensor([3.0, 4.0]))
    Tensor(5.)
    """
    x = as_tensor(x, "norm")
    if ord in (2, "euclidean", "fro", None):
        squares = sum_over(square(x), axis=axis, keepdims=keepdims)
        return _root(squares) if squares.dtype in FLOATS else sqrt(squares)
    if ord == 1:
        return sum_over(abs(x), axis=axis, keepdims=keepdims)
    if ord in (math.inf, "inf"):
        return max_over(abs(x), axis=axis, keepdims=keepdims)
    if not isinstance(ord, (int, float)) or ord <= 0:
        raise ValueError(f"norm: ord must be a positive number, inf or 'fro', got {ord!r}")
    return sum_over(abs(x) ** ord, axis=axis, keepdims=keepdims) ** (1.0 / ord)
