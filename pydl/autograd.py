"""Reverse-mode differentiation: the graph and the walk through it.

Every recorded operation leaves a Node. `backward` walks the nodes from the last to the first, hands
each its output's gradient, and adds up what its gradient function returns. No recursion, so a
chain of any length will do.

With `create_graph` the gradient functions are recorded too, so that gradients have gradients. A
function that calls a fused kernel then takes another way, made of operations (it asks
`recording()`); where it has none, what it returns cannot be differentiated, and says so.
"""

from __future__ import annotations

import contextlib
import functools
import heapq
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from pydl import _core
from pydl.tensor import LEAF, Tensor, constant, tick, to_array, wrap


class _State(threading.local):
    depth = 0  # gradient computations around the code that runs now


_state = _State()
# Whether operations are recorded, for each thread; the short way of the operators reads it in C++.
recording: Callable[[], bool] = _core.recording
set_recording: Callable[[bool], bool] = _core.set_recording  # returns what it was


class Node:
    """One recorded operation: what its gradient function needs."""

    __slots__ = ("inputs", "number", "op", "outputs", "static")

    def __init__(self, op: Any, inputs: tuple[Any, ...], outputs: Any, static: dict[str, Any]):
        self.op = op
        self.inputs = inputs
        self.outputs = outputs  # array, or a tuple of arrays, if the gradient reads them
        self.static = static
        self.number = tick()


_core.register_classes(Tensor, Node)


@contextlib.contextmanager
def no_grad() -> Iterator[None]:
    """Operations inside are not recorded.

    >>> import pydl
    >>> v = pydl.Variable([1.0])
    >>> with pydl.no_grad():
    ...     y = v * 2
    >>> y.requires_grad
    False
    """
    before = set_recording(False)
    try:
        yield
    finally:
        set_recording(before)


def op(
    function: Any = None,
    *,
    saves: Sequence[str] | None = None,
    variadic: bool = False,
    view: bool = False,
) -> Any:
    """Makes a differentiable operation of a function on arrays.

    Parameters before `/` are tensors, and the function receives their arrays (None stays None);
    the others are static. It returns an array, or a tuple: one differentiable result and constants.
    `@name.gradient` attaches the gradient, `(g, y, *inputs, **static)` -> for each input a Tensor,
    None, or a function without arguments that is called only if that input wants a gradient.

    A gradient made of operations can be differentiated again. One that calls kernels cannot; with
    `@name.gradient(twice=True)` it promises to use operations where `recording()` holds.

    Args:
      saves: inputs, and "y", whose values the gradient reads; default: all inputs and "y".
      variadic: the only tensor parameter is a sequence of tensors.
      view: the result shows the memory of the first input.
    """
    if function is None:
        return functools.partial(op, saves=saves, variadic=variadic, view=view)
    code = function.__code__  # inspect.signature would cost milliseconds over all operations
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    count = code.co_posonlyargcount
    static_names = names[count:]
    last = function.__defaults__ or ()
    defaults = dict(zip(names[code.co_argcount - len(last) : code.co_argcount], last, strict=True))
    defaults.update(function.__kwdefaults__ or {})
    optional = sum(name in defaults for name in names[:count])
    defaults = {name: value for name, value in defaults.items() if name in static_names}
    label = function.__name__
    keeps_output = saves is None or "y" in saves

    def call(*args: Any, **kwargs: Any) -> Any:
        if len(args) < count - optional:
            function(*args, **kwargs)  # raises the usual TypeError
        inputs = args[0] if variadic else args[:count]
        arrays: list[Any] = []
        wanted = False  # some input wants a gradient
        for x in inputs:
            if isinstance(x, Tensor):
                arrays.append(x.data)
                wanted = wanted or x._node is not None
            else:
                arrays.append(None if x is None else to_array(x, None, label))
        if variadic:
            result = function(arrays, *args[1:], **kwargs)
        else:
            result = function(*arrays, *args[count:], **kwargs)
        many = type(result) is tuple
        y = result[0] if many else result
        if type(y) is not np.ndarray:  # NumPy makes a scalar of an array without axes
            y = np.asarray(y)
        out = wrap(y)
        if view and isinstance(inputs[0], Tensor):
            out._base = getattr(inputs[0], "_base", inputs[0])
        if wanted and y.dtype.kind == "f" and recording():
            tensors = tuple(
                x if isinstance(x, Tensor) or a is None else wrap(a)
                for x, a in zip(inputs, arrays, strict=True)
            )
            static = {**defaults, **dict(zip(static_names, args[count:], strict=False)), **kwargs}
            out._node = Node(call, tensors, result if keeps_output else None, static)
        return (out, *(wrap(aux) for aux in result[1:])) if many else out

    functools.update_wrapper(call, function)
    define_gradient(
        call,
        saves,
        range(count) if saves is None else ([names.index(s) for s in saves if s != "y"]),
    )
    return call


def define_gradient(call: Any, saves: Sequence[str] | None, saved_inputs: Any) -> None:
    """Gives an operation the attributes that backward reads."""

    def gradient(rule: Any = None, *, twice: bool | None = None) -> Any:
        if rule is None:
            return functools.partial(gradient, twice=twice)
        call.rule = rule
        call.twice = twice
        return rule

    call.rule = None
    call.twice = None
    call.gradient = gradient
    call.keeps_output = saves is None or "y" in saves
    call.saves_all = saves is None
    call.saved_inputs = tuple(saved_inputs)


# What a gradient function that calls kernels names; `wrap(` of arrays that others made as well.
_OF_ARRAYS = frozenset({"_core", "data", "numpy", "wrap"})


def _differentiable(call: Any) -> bool:
    """Whether the gradient function of an operation is made of operations where they record."""
    if call.twice is None:
        pending, names = [call.rule.__code__], set()
        while pending:
            code = pending.pop()
            names.update(code.co_names)
            pending += [c for c in code.co_consts if hasattr(c, "co_names")]
        call.twice = not names & _OF_ARRAYS
    return call.twice


def _refuse(g: Any, y: Any, *inputs: Any, name: str) -> Any:
    raise NotImplementedError(
        f"{name}: its gradient is one fused kernel, which has no gradient itself; use other "
        "operations where gradients of gradients are wanted"
    )


def _once() -> None: ...


define_gradient(_once, (), ())
_once.rule = _refuse  # type: ignore[attr-defined]
_once.twice = True  # type: ignore[attr-defined]


def _check_unchanged(node: Node) -> None:
    call = node.op
    saved = range(len(node.inputs)) if call.saves_all else call.saved_inputs
    for i in saved:
        x = node.inputs[i] if i < len(node.inputs) else None
        if x is not None and x.version > node.number:
            raise RuntimeError(
                f"backward: input {i} of {call.__name__.lstrip('_')}, of shape {x.shape}, was "
                "changed in place after it was used; compute the gradient before the change"
            )


def add_gradients(a: np.ndarray, b: np.ndarray, owned: bool) -> np.ndarray:
    if a.shape != b.shape or a.dtype != b.dtype:
        raise RuntimeError(f"backward: gradients of shapes {a.shape} and {b.shape} meet")
    return _core.add(a, b, a if owned else None)


class _Sums:
    """Gradients added up by owner: the first borrowed, the second makes a buffer."""

    def __init__(self, create_graph: bool) -> None:
        self.create_graph = create_graph
        self.total: dict[Any, Tensor] = {}
        self.owned: set[Any] = set()

    def add(self, key: Any, g: Tensor) -> bool:
        """Adds; True where this is the first gradient of `key`."""
        before = self.total.get(key)
        if before is None:
            self.total[key] = g
            return True
        if self.create_graph:
            self.total[key] = before + g
        else:
            self.total[key] = wrap(add_gradients(before.data, g.data, key in self.owned))
        self.owned.add(key)
        return False


def _run(
    target: Tensor, seed: Tensor, retain: bool, sources: Sequence[Any] | None, create_graph: bool
) -> _Sums:
    """Gradients of `target` for the leaves (keyed by tensor) and for nodes in `sources`."""
    sums = _Sums(create_graph)
    if target._node is LEAF:
        sums.add(target, seed)
        return sums
    wanted = {t._node for t in sources or () if isinstance(t._node, Node)}
    heap: list[tuple[int, Node]] = [(-target._node.number, target._node)]
    sums.add(target._node, seed)
    while heap:
        node = heapq.heappop(heap)[1]
        g = sums.total[node] if node in wanted else sums.total.pop(node)
        if node.inputs is None:
            raise RuntimeError(
                "backward: this graph was already used and freed; pass retain_graph=True "
                "(or GradientTape(persistent=True)) to the first call"
            )
        call = node.op
        if call.rule is None:
            raise NotImplementedError(
                f"backward: {call.__name__} has no gradient; attach one with "
                f"@{call.__name__}.gradient, or wrap its inputs in stop_gradient"
            )
        _check_unchanged(node)
        outputs = node.outputs
        again = node if create_graph else None  # what the output itself comes from
        if type(outputs) is tuple:
            y: Any = (wrap(outputs[0], again), *map(wrap, outputs[1:]))
        else:
            y = None if outputs is None else wrap(outputs, again)
        inputs = node.inputs
        if create_graph and not _differentiable(call):
            results = _rule_once(call, g, y, inputs, node.static)
        else:
            results = call.rule(g, y, *inputs, **node.static)
        for x, dx in zip(node.inputs, results, strict=True):
            if x is None or x._node is None:
                continue
            if not isinstance(dx, Tensor):
                if dx is None:
                    continue
                dx = dx()
            if dx.data.shape != x.data.shape:
                raise RuntimeError(
                    f"backward: {call.__name__} made a gradient of shape {dx.data.shape} "
                    f"for an input of shape {x.data.shape}"
                )
            if x._node is LEAF:
                sums.add(x, dx)
            elif sums.add(x._node, dx):
                heapq.heappush(heap, (-x._node.number, x._node))
        if not retain:
            node.inputs = node.outputs = None  # type: ignore[assignment]
    return sums


def _rule_once(call: Any, g: Tensor, y: Any, inputs: Any, static: Any) -> list[Any]:
    """What a gradient function that calls kernels returns, with a node that refuses a gradient."""
    operands = (g, *inputs)
    name = {"name": call.__name__.lstrip("_")}
    before = set_recording(False)
    try:
        found: list[Any] = []
        for x, dx in zip(inputs, call.rule(g, y, *inputs, **static), strict=True):
            if x is None or x._node is None or dx is None:
                found.append(None)
                continue
            dx = wrap((dx if isinstance(dx, Tensor) else dx()).data)
            if any(t is not None and t._node is not None for t in operands):
                dx._node = Node(_once, operands, None, name)
            found.append(dx)
    finally:
        set_recording(before)
    return found


def _start(
    target: Tensor, seed: Tensor, retain: bool, sources: Any = None, create_graph: bool = False
) -> _Sums:
    before = set_recording(create_graph)
    try:
        return _run(target, seed, retain or create_graph, sources, create_graph)
    finally:
        set_recording(before)


def nested(own: int) -> bool:
    """Whether other gradient computations are around, which may want gradients of gradients."""
    return _state.depth > own


def backward(
    target: Tensor, gradient: Any = None, retain_graph: bool = False, create_graph: bool = False
) -> None:
    """Adds d target / d leaf to the `.grad` of every leaf that target was computed from.

    Args:
      target: a scalar, or any tensor with `gradient`.
      gradient: what flows into target, of its shape; default 1 for a scalar.
      retain_graph: keeps the graph, so that backward can be called again.
      create_graph: records the gradients too, so that they have gradients; keeps the graph.

    Raises:
      ValueError: target is not a scalar and no gradient is given, or its shape differs.
      RuntimeError: nothing was recorded, the graph was freed, or a saved tensor was changed.
      NotImplementedError: an operation on the way has no gradient.

    >>> import pydl
    >>> x = pydl.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    Tensor([2., 4.])
    """
    if target._node is None:
        raise RuntimeError(
            "backward: nothing was recorded for this tensor; it must be computed from a trainable "
            "Variable or a tensor with requires_grad=True, outside of no_grad()"
        )
    if gradient is None:
        if target.size != 1:
            raise ValueError(
                f"backward: y has shape {target.shape}; pass a gradient of that shape, "
                "or reduce to a scalar first"
            )
        seed = wrap(constant(np.ones(target.shape, target.dtype)))
    else:
        seed = _seed(gradient, target, "backward")
        if seed.shape != target.shape:
            raise ValueError(
                f"backward: gradient has shape {seed.shape}, y has shape {target.shape}"
            )
    sums = _start(target, seed, retain_graph, create_graph=create_graph)
    for leaf, g in sums.total.items():
        if create_graph:
            leaf.grad = g if leaf.grad is None else leaf.grad + g
        elif leaf.grad is None:
            leaf.grad = wrap(g.data if leaf in sums.owned else g.data.copy())
        else:
            leaf.grad = wrap(add_gradients(leaf.grad.data, g.data, False))


def _seed(gradient: Any, target: Tensor, who: str) -> Tensor:
    """What flows into a target, as a tensor of its dtype; one that has a graph keeps it."""
    if isinstance(gradient, Tensor) and gradient.dtype == target.dtype:
        return gradient
    return wrap(to_array(gradient, target.dtype, who))


def gradients(
    target: Tensor,
    sources: Sequence[Tensor],
    seed: Any = None,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> list[Tensor | None]:
    """d sum(target) / d source for each source, None where unconnected; `.grad` stays untouched.

    With `create_graph` the gradients are recorded too, so that they have gradients.
    """
    if target._node is None:
        return [None] * len(sources)
    if seed is None:
        start = wrap(constant(np.ones(target.shape, target.dtype)))
    else:
        start = _seed(seed, target, "gradients")
    total = _start(target, start, retain_graph, sources, create_graph).total
    found = [total.get(s if s._node is LEAF else s._node) for s in sources]
    return [g if g is None or create_graph else wrap(g.data) for g in found]


@contextlib.contextmanager
def recording_for_gradient() -> Iterator[None]:
    before = set_recording(True)
    _state.depth += 1
    try:
        yield
    finally:
        set_recording(before)
        _state.depth -= 1
