"""Symbolic tensors: shapes without values, and the calls of layers that they come from."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any

from pydl.layers.nest import held
from pydl.ops.symbols import NoValues

Shape = tuple[int | None, ...]


class Spec:
    """Shape and dtype of an output."""

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: Any, dtype: str) -> None:
        self.shape: Shape = tuple(shape)
        self.dtype = dtype


class SymbolicTensor:
    """What `Input` returns, and layers called on it: a shape, a dtype, and where it comes from.

    It has no values. Layers, operators and most operations of pydl take it and note the call;
    `Model(inputs, outputs)` makes a model of what was noted.

    >>> import pydl
    >>> x = pydl.Input((3,))
    >>> y = pydl.layers.Dense(2)(x) + 1.0
    >>> y.shape, y.dtype
    ((None, 2), 'float32')
    """

    __slots__ = ("__weakref__", "dtype", "index", "node", "shape")
    __array_ufunc__ = None  # so that NumPy's arrays leave operators to us

    # Notes the call of an operation, (name, args, kwargs) -> output; see layers.operation.
    note_call: Callable[..., Any]

    def __init__(self, spec: Spec, node: Node, index: int) -> None:
        self.shape = spec.shape
        self.dtype = spec.dtype
        self.node = node
        self.index = index  # among the outputs of the node

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def batch_input_shape(self) -> Shape:
        """The same as `shape`."""
        return self.shape

    @property
    def layer(self) -> Any:
        """The layer that it comes from."""
        return self.node.layer

    @property
    def name(self) -> str:
        """Name of the layer that it comes from."""
        return self.node.layer.name

    @property
    def key(self) -> tuple[Node, int]:
        """What makes it the same tensor as another."""
        return self.node, self.index

    def note(self, name: str, args: Any, kwargs: Any) -> Any:
        """Note the call of an operation that has this tensor among its operands."""
        return SymbolicTensor.note_call(name, args, kwargs)

    def __repr__(self) -> str:
        return f"<SymbolicTensor shape={self.shape}, dtype={self.dtype}, of {self.name!r}>"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise NoValues(self)

    def _refuse(self, *args: Any) -> Any:
        raise NoValues(self)

    __bool__ = __float__ = __int__ = __len__ = __iter__ = numpy = _refuse


class Node:
    """One call of a layer on symbolic tensors.

    A layer does not keep its nodes alive, and a node not its outputs, so that models that nobody
    uses are freed at once.
    """

    __slots__ = ("__weakref__", "args", "kwargs", "layer", "spec")

    def __init__(self, layer: Any, args: Any, kwargs: Any, spec: Any) -> None:
        self.layer = layer
        self.args = args
        self.kwargs = kwargs
        self.spec = spec  # of the outputs, nested as they are
        _nodes.setdefault(layer, []).append(weakref.ref(self))

    def __reduce__(self) -> Any:
        return Node, (self.layer, self.args, self.kwargs, self.spec)

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The symbolic tensors among the arguments, in order."""
        return list(held((self.args, self.kwargs), SymbolicTensor))

    @property
    def outputs(self) -> Any:
        """The outputs, nested as the layer returns them."""
        count = itertools.count()
        return replaced(lambda spec: SymbolicTensor(spec, self, next(count)), self.spec, Spec)

    @property
    def input(self) -> Any:
        """The first argument: a tensor, or several; the output of an InputLayer itself."""
        return self.args[0] if self.args else self.outputs


_nodes: weakref.WeakKeyDictionary[Any, list[weakref.ref[Node]]] = weakref.WeakKeyDictionary()


def nodes_of(layer: Any) -> list[Node]:
    """Return the calls of a layer on symbolic tensors that are still in use, the first first."""
    alive = [node for ref in _nodes.get(layer, ()) if (node := ref()) is not None]
    if layer in _nodes:
        _nodes[layer] = [weakref.ref(node) for node in alive]
    return alive


def holds_symbols(value: Any) -> bool:
    """Tell whether a value or nest holds a symbolic tensor."""
    return next(held(value, SymbolicTensor), None) is not None


def replaced(f: Callable[[Any], Any], value: Any, kind: type) -> Any:
    """Return a value with `f` applied to the instances of `kind` in lists, tuples, dictionaries."""
    if isinstance(value, kind):
        return f(value)
    if isinstance(value, dict):
        return {key: replaced(f, entry, kind) for key, entry in value.items()}
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)([replaced(f, entry, kind) for entry in value])
    return value
