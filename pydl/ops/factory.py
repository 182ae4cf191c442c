"""Makes Python functions of the element-wise kernels in the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pydl import _core, check
from pydl.autograd import Node, define_gradient, recording
from pydl.ops.promote import FLOATS, cast, is_weak, promote
from pydl.ops.symbols import NoValues
from pydl.ops.unbroadcast import unbroadcast
from pydl.tensor import Tensor, constant, to_array, wrap

TABLE: dict[str, dict[str, Any]] = {row["name"]: row for row in _core.ops}
_INDEX = {
    row["name"]: i
    for kind in ("unary", "binary")
    for i, row in enumerate(row for row in _core.ops if row["kind"] == kind)
}

new = Tensor.__new__

# The operations by their kernel. `derivatives.py` gives each a `form`: its gradient made of
# operations, for gradients of gradients.
OPS: dict[str, Any] = {}


def _document(function: Any, name: str, formula: str) -> None:
    row = TABLE[name]
    function.op_name = name  # by which `dense` knows that it may fuse this function
    function.__name__ = function.__qualname__ = name
    function.__module__ = "pydl.ops.elementwise"  # where pickle finds it
    bound = f"Within {row['max_ulp']:g} ULP of the exact value in float32."
    gradient = "" if row["differentiable"] else " No gradient."
    what = "element by element" + (", with broadcasting" if row["kind"] == "binary" else "")
    out = "`out`, a Tensor or an array, takes the result, without a gradient."
    function.__doc__ = f"{formula}, {what}. {bound}{gradient}\n\n{out}"


def _bind(
    name: str, defaults: dict[str, float], params: tuple[float, ...], named: dict[str, float]
) -> tuple[float, ...]:
    """Parameters given by position and by name, in the kernel's order."""
    free = list(defaults)[len(params) :]
    wrong = [repr(n) for n in named if n not in free]
    if wrong or len(params) > len(defaults):
        takes = ", ".join(("x", *defaults, "out=None"))
        what = f"argument {wrong[0]}" if wrong else f"argument after {len(defaults) + 1} of them"
        raise TypeError(f"{name}: unexpected {what}; takes {takes}")
    given = {**dict(zip(defaults, params, strict=False)), **named}
    for key, value in given.items():
        check.number(name, key, value)
    return tuple({**defaults, **given}.values())


def unary(name: str, formula: str, host: Callable[..., Any] | None = None) -> Any:
    """The operation of one kernel x -> y.

    `host`: NumPy's function for integers and bool, where their result is no float.
    """
    kernel = getattr(_core, name)
    row = TABLE[name]
    keeps_output = "y" in row["saves"]
    needs_input = "x" in row["saves"]
    defaults = tuple(row["params"].values())

    def compute(x: Any, params: tuple[float, ...], out: np.ndarray | None = None) -> np.ndarray:
        into = {} if out is None else {"out": out}
        y = kernel(x.data if isinstance(x, Tensor) else x, *params, **into)
        if y is None:
            data = to_array(x, None, name)
            if host is not None and data.dtype not in FLOATS:
                y = np.asarray(host(data))
            else:
                y = kernel(promote(name, (data,), to_float=True)[0], *params, **into)
        return y

    def call(x: Any, /, *params: float, out: Any = None, **named: float) -> Tensor:
        if params or named:
            ready = not named and len(params) <= len(defaults)
            for p in params:
                ready = ready and type(p) is float
            if not ready:
                params = _bind(name, row["params"], params, named)
        elif out is None:
            quick = operator(x)
            if quick is not None:
                return quick
        if out is not None:
            return write(name, (x,), out, lambda array: compute(x, params, array))
        result = new(Tensor)
        try:
            result.data = y = compute(x, params)
        except NoValues as error:
            return error.operand.note(name, (x, *params), {})
        if row["differentiable"] and recording() and isinstance(x, Tensor) and x._node is not None:
            result._node = Node(
                call, (x,), y if keeps_output else None, {"params": params or defaults}
            )
        else:
            result._node = None
        return result

    operator = _core.unary_operator(_INDEX[name], call, keeps_output, {"params": defaults})
    _document(call, name, formula)
    define_gradient(call, row["saves"], (0,) if needs_input else ())
    if row["differentiable"]:
        kernel_backward = getattr(_core, name + "_backward")

        def rule(g: Tensor, y: Any, x: Tensor, params: tuple[float, ...]) -> Any:
            if recording():
                return (call.form(g, y, x, *params),)  # type: ignore[attr-defined]
            saved_y = None if y is None else y.data
            return (
                wrap(kernel_backward(g.data, x.data if needs_input else None, saved_y, *params)),
            )

        call.rule = rule  # type: ignore[attr-defined]
        OPS[name] = call
    return call


def binary(
    name: str,
    formula: str,
    host: Callable[..., Any],
    *,
    to_float: bool = False,
    gradient: tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]] | None = None,
) -> Any:
    """The operation of one kernel a, b -> y.

    `host` is NumPy's function for integers and bool; `to_float` turns them into floats instead.
    `gradient` are two functions of g alone, for a and b, where the fused kernels would only copy;
    default: the fused kernels.
    """
    kernel = getattr(_core, name)
    differentiable = TABLE[name]["differentiable"]
    compares = TABLE[name]["to_bool"]

    def call(a: Any, b: Any, /, *, out: Any = None) -> Tensor:
        if out is not None:
            return write(name, (a, b), out, lambda array: compute(a, b, array))
        quick = operator(a, b)
        return quick if quick is not None else promoted(a, b)

    def compute(a: Any, b: Any, out: np.ndarray | None = None) -> np.ndarray:
        pair = promote(name, (a, b), to_float, compares)
        y = kernel(*pair, out)
        if y is None:
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                y = np.asarray(host(*pair))
        return y

    def promoted(a: Any, b: Any) -> Tensor:
        out = new(Tensor)
        try:
            out.data = y = compute(a, b)
        except NoValues as error:
            return error.operand.note(name, (a, b), {})
        out._node = None
        if (
            differentiable
            and recording()
            and (
                (isinstance(a, Tensor) and a._node is not None)
                or (isinstance(b, Tensor) and b._node is not None)
            )
            and y.dtype.kind == "f"
        ):
            inputs = (as_operand(a, y, name), as_operand(b, y, name))
            out._node = Node(call, inputs, y if gradient is None else None, {})
        return out

    operator = _core.binary_operator(_INDEX[name], call, gradient is None, {})
    call.operator = operator  # type: ignore[attr-defined]
    _document(call, name, formula)
    define_gradient(call, () if gradient else ("a", "b", "y"), () if gradient else (0, 1))
    if gradient is not None:

        def simple_rule(g: Tensor, y: Any, a: Tensor, b: Tensor) -> Any:
            return (
                lambda: unbroadcast(gradient[0](g), a),
                lambda: unbroadcast(gradient[1](g), b),
            )

        call.rule = simple_rule  # type: ignore[attr-defined]
    elif differentiable:
        grad_a, grad_b = getattr(_core, name + "_grad_a"), getattr(_core, name + "_grad_b")

        def rule(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Any:
            if recording():
                of_a, of_b = call.form  # type: ignore[attr-defined]
                return (
                    lambda: unbroadcast(of_a(g, y, a, b), a),
                    lambda: unbroadcast(of_b(g, y, a, b), b),
                )
            x0, x1 = cast(a.data, g.dtype), cast(b.data, g.dtype)
            return (
                lambda: unbroadcast(wrap(grad_a(g.data, x0, x1, y.data)), a),
                lambda: unbroadcast(wrap(grad_b(g.data, x0, x1, y.data)), b),
            )

        call.rule = rule  # type: ignore[attr-defined]
        OPS[name] = call
    return call


def write(
    name: str, operands: tuple[Any, ...], out: Any, compute: Callable[[np.ndarray], np.ndarray]
) -> Tensor:
    """`out`, a Tensor or an array, with a result in it; nothing is recorded.

    `compute(array)` writes to the array and returns it, or returns a new one that NumPy made.
    """
    if not isinstance(out, (Tensor, np.ndarray)):
        raise TypeError(f"{name}: out must be a Tensor or an array, got {type(out).__name__}")
    if recording() and any(isinstance(x, Tensor) and x.requires_grad for x in (*operands, out)):
        raise RuntimeError(
            f"{name}: what is written to out is not recorded, but an operand or out wants a "
            "gradient; leave out away, or do it under no_grad()"
        )
    array = out.data if isinstance(out, Tensor) else out
    y = compute(array)
    if y is not array:
        if array.dtype != y.dtype:
            raise TypeError(f"{name}: out must have dtype {y.dtype}, got {array.dtype}")
        if array.shape != y.shape:
            raise ValueError(f"{name}: out must have shape {y.shape}, got {array.shape}")
        if not array.flags.writeable:
            raise ValueError(f"{name}: out is read-only")
        _core.copy(y, array)
    if not isinstance(out, Tensor):
        return wrap(out)
    out.changed_in_place()
    return out


def as_operand(x: Any, y: np.ndarray, who: str) -> Tensor:
    """What a node keeps of an operand: the tensor, or a constant of the result's dtype."""
    if isinstance(x, Tensor):
        return x
    return wrap(constant(np.asarray(x, y.dtype)) if is_weak(x) else to_array(x, None, who))
