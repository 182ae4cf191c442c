"""Operation: a function of pydl's as a layer, made where one meets a symbolic tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl import ops
from pydl.layers.base import Layer, layer_names
from pydl.layers.symbolic import SymbolicTensor, replaced
from pydl.tensor import Tensor, Variable, wrap


class _Operand:
    """The place of an input among the arguments of an operation."""

    def __init__(self, index: int) -> None:
        self.index = index


class Operation(Layer):
    """y = function(*args, **kwargs), some of the arguments being the inputs.

    Symbolic tensors make such layers of operators and operations; `pydl.concatenate([a, b])` is
    one that has two inputs.

    Args:
        function: Name of an operation, as in `pydl`.
        args, kwargs: Its arguments, as they are or as `get_config` writes them.
        name: See `Layer`.

    >>> import pydl
    >>> x = pydl.Input((2,))
    >>> model = pydl.Model(x, pydl.exp(x) * 2.0)
    >>> model(pydl.zeros((1, 2))).tolist()
    [[2.0, 2.0]]
    """

    def __init__(
        self, function: str, args: Any = (), kwargs: Any = None, name: str | None = None
    ) -> None:
        super().__init__(name=layer_names.next(function) if name is None else name)
        self.function = function
        self._arguments = _decoded(list(args)), _decoded(dict(kwargs or {}))

    def call(self, inputs: Any) -> Any:
        """Return what the function returns for these inputs."""
        args, kwargs = replaced(lambda place: inputs[place.index], self._arguments, _Operand)
        return getattr(ops, self.function)(*args, **kwargs)

    def _as_tensors(self, inputs: Any) -> Any:
        return inputs

    def get_config(self) -> dict[str, Any]:
        """Return the function's name and its arguments as plain data."""
        args, kwargs = self._arguments
        return {
            "function": self.function,
            "args": _encoded(list(args)),
            "kwargs": _encoded(kwargs),
            "name": self.name,
        }


def _note(name: str, args: Any, kwargs: Any) -> Any:
    """Return the output of an operation on symbolic tensors."""
    inputs: list[Any] = []

    def place(tensor: Any) -> _Operand:
        inputs.append(tensor)
        return _Operand(len(inputs) - 1)

    if name == "getitem" and isinstance(args[1], SymbolicTensor):
        raise TypeError("indexing: a symbolic tensor is no index; use take(x, indices, axis=1)")
    placed = replaced(place, (list(args), dict(kwargs)), SymbolicTensor)
    _encoded(placed)  # raises for what cannot be written down
    return Operation(name, *placed)(inputs)


def _encoded(value: Any) -> Any:
    """Return an argument as plain data."""
    if isinstance(value, _Operand):
        return {"operand": value.index}
    if isinstance(value, slice):
        return {"slice": [value.start, value.stop, value.step]}
    if value is Ellipsis:
        return {"ellipsis": True}
    if isinstance(value, tuple):
        return {"tuple": [_encoded(entry) for entry in value]}
    if isinstance(value, list):
        return [_encoded(entry) for entry in value]
    if isinstance(value, dict):
        return {"dict": {key: _encoded(entry) for key, entry in value.items()}}
    if isinstance(value, Variable):
        raise TypeError(
            f"Operation: the Variable {value.name!r} meets a symbolic tensor; make it a weight of "
            "a Layer, so that the model trains and saves it"
        )
    if isinstance(value, Tensor):
        value = value.data
    if isinstance(value, (np.ndarray, np.generic)):
        return {"array": value.tolist(), "dtype": value.dtype.name}
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return np.dtype(value).name
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"Operation: an argument {value!r} cannot be kept with a symbolic tensor; use a Lambda "
        "layer, or a Layer of your own"
    )


def _decoded(value: Any) -> Any:
    """Return the argument of plain data."""
    if isinstance(value, list):
        return [_decoded(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    if "operand" in value:
        return _Operand(value["operand"])
    if "slice" in value:
        return slice(*value["slice"])
    if "ellipsis" in value:
        return Ellipsis
    if "tuple" in value:
        return tuple(_decoded(entry) for entry in value["tuple"])
    if "array" in value:
        return wrap(np.array(value["array"], value["dtype"]))
    return {key: _decoded(entry) for key, entry in value.get("dict", value).items()}


def _operator(name: str, swapped: bool = False) -> Any:
    """Return an operator of symbolic tensors that notes the call of an operation."""
    if swapped:
        return lambda self, other: _note(name, (other, self), {})
    return lambda self, *others: _note(name, (self, *others), {})


def _method(name: str) -> Any:
    """Return a method of symbolic tensors that notes the call of an operation."""
    return lambda self, *args, **kwargs: _note(name, (self, *args), kwargs)


SymbolicTensor.note_call = staticmethod(_note)
for _name, _target in {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "power",
    "matmul": "matmul",
}.items():
    setattr(SymbolicTensor, f"__{_name}__", _operator(_target))
    setattr(SymbolicTensor, f"__r{_name}__", _operator(_target, swapped=True))
for _name, _target in {
    "neg": "negative",
    "abs": "abs",
    "getitem": "getitem",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}.items():
    setattr(SymbolicTensor, f"__{_name}__", _operator(_target))
for _name in ("astype", "max", "mean", "min", "reshape", "squeeze", "sum", "transpose"):
    setattr(SymbolicTensor, _name, _method(_name))
