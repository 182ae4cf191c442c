"""What a layer owns: its weights, those of the layers inside it, and whether they are trained."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from pydl import constraints, initializers, regularizers
from pydl.layers.nest import held
from pydl.registry import Configurable
from pydl.tensor import Tensor, Variable


class _Room(threading.local):
    """How many bytes of weights the layers built on one thread may still make; None: any."""

    left: int | None = None


_room = _Room()


@contextlib.contextmanager
def blank_weights(room: int) -> Iterator[None]:
    """Let `add_weight` make zeros instead of initial values, `room` bytes altogether.

    For weights that are overwritten: a file that lies about sizes cannot ask for more memory than
    it has itself, and no random numbers are drawn.
    """
    before = _room.left
    _room.left = room
    try:
        yield
    finally:
        _room.left = before


def _blank(owner: str, shape: Sequence[int], dtype: np.dtype[Any], name: str | None) -> np.ndarray:
    """Return zeros for a weight, if there is room."""
    left = (_room.left or 0) - math.prod(map(int, shape)) * dtype.itemsize
    if left < 0:
        raise ValueError(
            f"{owner}: the weight {name or ''} of shape {tuple(shape)} needs more memory than all "
            "weights of the file"
        )
    _room.left = left
    return np.zeros(shape, dtype)


class Weight(Variable):
    """A Variable that a layer made; it carries its penalty and its constraint."""

    __slots__ = ("constraint", "regularizer")

    def __init__(
        self,
        initial_value: Any,
        trainable: bool = True,
        dtype: Any = None,
        name: str | None = None,
        regularizer: Callable[[Tensor], Any] | None = None,
        constraint: Callable[[Tensor], Any] | None = None,
    ) -> None:
        super().__init__(initial_value, trainable, dtype, name)
        self.regularizer = regularizer
        self.constraint = constraint

    def __reduce__(self) -> Any:
        arguments = (self.data, self.trainable, None, self.name, self.regularizer, self.constraint)
        return Weight, arguments

    def __deepcopy__(self, memo: dict[int, Any]) -> Weight:
        return Weight(*self.__reduce__()[1])


class WeightOwner(Configurable):
    """The part of `Layer` that holds weights.

    Attributes that are Variables or layers, also inside lists, tuples and dictionaries, belong to
    the owner; they are looked for when they are asked for, so a list may grow later.
    """

    name: str
    built: bool
    _dtype: np.dtype[Any]
    _trainable: bool
    _weights: list[Variable]  # made by add_weight, in order

    @property
    def label(self) -> str:
        """Class and name, as error texts begin: Dense 'dense_1'."""
        return f"{type(self).__name__} {self.name!r}"

    def add_weight(
        self,
        shape: Sequence[int] | int = (),
        initializer: Any = None,
        *,
        dtype: Any = None,
        trainable: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        name: str | None = None,
    ) -> Weight:
        """Return a new Variable that belongs to the layer.

        Args:
            shape: Shape of the weight.
            initializer: See `pydl.initializers`; None is "glorot_uniform", or "zeros" for a scalar,
                an integer or a bool.
            dtype: None takes the layer's.
            trainable: False for state that no gradient changes.
            regularizer: Penalty added to the loss.
            constraint: Applied after each update.
            name: Name of the Variable, such as "kernel".
        """
        shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        if not all(isinstance(n, (int, np.integer)) and n >= 0 for n in shape):
            raise ValueError(
                f"{self.label}: the shape of a weight must be known and not negative, got {shape}"
            )
        dtype = np.dtype(self._dtype if dtype is None else dtype)
        if initializer is None:
            initializer = "glorot_uniform" if dtype.kind == "f" and shape else "zeros"
        if _room.left is None:
            value = initializers.get(initializer)(shape, dtype.name)  # type: ignore[misc]
        else:
            value = _blank(self.label, shape, dtype, name)
        if np.shape(value) != shape:
            raise ValueError(
                f"{self.label}: the initializer of {name or 'a weight'} returned shape "
                f"{np.shape(value)}, expected {shape}"
            )
        weight = Weight(
            value,
            trainable,
            dtype,
            name,
            regularizer=regularizers.get(regularizer),
            constraint=constraints.get(constraint),
        )
        self._weights.append(weight)
        return weight

    def _declare(self, name: str, initializer: Any, regularizer: Any, constraint: Any) -> None:
        """Keep how a weight of this name is made, as kernel_initializer and so on."""
        setattr(self, f"{name}_initializer", initializers.get(initializer))
        setattr(self, f"{name}_regularizer", regularizers.get(regularizer))
        setattr(self, f"{name}_constraint", constraints.get(constraint))

    def _declared(self, name: str, shape: Any, called: str | None = None) -> Weight:
        """Return a new weight, made as `_declare` said; `called` is its own name, if another."""
        return self.add_weight(
            shape,
            getattr(self, f"{name}_initializer"),
            regularizer=getattr(self, f"{name}_regularizer"),
            constraint=getattr(self, f"{name}_constraint"),
            name=called or name,
        )

    def _sublayers(self) -> Iterator[Any]:
        """Yield the layers held by attributes, in the order they were set."""
        for value in vars(self).values():
            if isinstance(value, (WeightOwner, list, tuple, dict)):
                yield from held(value, WeightOwner)

    def _flatten_layers(self) -> list[Any]:
        """Return the layer and all layers inside it, each once, depth first."""
        return self._walk(lambda layer: True)

    def _walk(self, enters: Callable[[Any], bool]) -> list[Any]:
        """Return the layers that `enters` holds for and what is inside them, each once.

        Depth first. A stack, not a closure that calls itself: deleted models would wait for the
        garbage collector.
        """
        found: dict[int, WeightOwner] = {}
        stack: list[WeightOwner] = [self]
        while stack:
            layer = stack.pop()
            if id(layer) in found or not enters(layer):
                continue
            found[id(layer)] = layer
            stack.extend(reversed(list(layer._sublayers())))
        return list(found.values())

    def _own_weights(self) -> list[Variable]:
        """Return the Variables held by this layer itself: trainable first, in order of making."""
        found = [
            weight
            for value in vars(self).values()
            if isinstance(value, (Variable, list, tuple, dict))
            for weight in held(value, Variable)
        ]
        own = list({id(w): w for w in (*self._weights, *found)}.values())
        return [w for w in own if w.trainable] + [w for w in own if not w.trainable]

    @property
    def weights(self) -> list[Variable]:
        """All Variables of the layer and the layers inside it."""
        found = {id(w): w for layer in self._flatten_layers() for w in layer._own_weights()}
        return list(found.values())

    @property
    def trainable_weights(self) -> list[Variable]:
        """The Variables that training changes: none while the layer is frozen."""
        found: dict[int, Variable] = {}
        for layer in self._walk(lambda layer: layer._trainable):
            found.update((id(w), w) for w in layer._own_weights() if w.trainable)
        return list(found.values())

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The Variables that training leaves alone."""
        trained = {id(w) for w in self.trainable_weights}
        return [w for w in self.weights if id(w) not in trained]

    @property
    def variables(self) -> list[Variable]:
        """The same as `weights`."""
        return self.weights

    @property
    def trainable_variables(self) -> list[Variable]:
        """The same as `trainable_weights`."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The same as `non_trainable_weights`."""
        return self.non_trainable_weights

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights; setting it reaches the layers inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self._flatten_layers():
            layer._trainable = bool(value)

    def count_params(self) -> int:
        """Return the number of weight values.

        Raises:
            ValueError: The layer is not built.
        """
        if not self.built:
            raise ValueError(
                f"{self.label}: has no weights to count before it is built; "
                "call it on data or call build(input_shape)"
            )
        return sum(w.size for w in self.weights)

    def get_weights(self) -> list[np.ndarray]:
        """Return copies of the weights as arrays, in the order of `weights`."""
        return [np.array(w.numpy()) for w in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set the weights from arrays in the order of `weights`.

        Raises:
            ValueError: The number or a shape does not match; nothing is changed.
        """
        variables = self.weights
        if len(weights) != len(variables):
            hint = "" if self.built else "; the layer is not built yet"
            raise ValueError(
                f"{self.label}: set_weights expects {len(variables)} arrays, "
                f"got {len(weights)}{hint}"
            )
        for index, (variable, value) in enumerate(zip(variables, weights, strict=True)):
            if np.shape(value) != variable.shape:
                raise ValueError(
                    f"{self.label}: weight {index} ({variable.name}) has shape {variable.shape}, "
                    f"got an array of shape {np.shape(value)}"
                )
        for variable, value in zip(variables, weights, strict=True):
            variable.assign(value)
