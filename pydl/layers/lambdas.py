"""Lambda: a function of the user's as a layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydl.layers.base import Layer
from pydl.layers.nest import is_shape, map_shapes
from pydl.registry import Registry

_functions: Registry[Any] = Registry("function")


class Lambda(Layer):
    """y = function(x, **arguments).

    Args:
        function: A function of tensors. If it has parameters named `mask` or `training`, it gets
            them.
        output_shape: Shape of a sample of the output, or a function of the input's shape; None
            finds it by a run.
        mask: The output's mask, or a function (inputs, mask) that returns it.
        arguments: Further arguments by name.
        **kwargs: See `Layer`.

    A saved model names the function, which must be known where it is loaded; see
    `utils.register_keras_serializable`. A `lambda` has no name and cannot be saved.

    >>> import pydl
    >>> Lambda(lambda x, factor: x * factor, arguments={"factor": 2.0})(pydl.ones((1, 2))).tolist()
    [[2.0, 2.0]]
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise TypeError(f"Lambda: needs a function, got {type(function).__name__}")
        self.function = function
        self._given_shape = output_shape
        self.mask = mask
        self.arguments = dict(arguments or {})
        self.supports_masking = self._makes_mask = mask is not None
        try:
            names = inspect.signature(function).parameters
        except ValueError:  # some functions of C have none
            names = {}  # type: ignore[assignment]
        self._passes = [name for name in ("mask", "training") if name in names]

    def call(self, inputs: Any, mask: Any = None, training: bool = False) -> Any:
        """Return what the function returns."""
        known = {"mask": mask, "training": training}
        return self.function(inputs, **self.arguments, **{n: known[n] for n in self._passes})

    def compute_output_shape(self, input_shape: Any) -> Any:
        given = self._given_shape
        if given is None:
            return super().compute_output_shape(input_shape)
        if callable(given):
            return given(input_shape)
        first: Any = input_shape
        while not is_shape(first):
            first = next(iter(first.values() if isinstance(first, Mapping) else first))
        if not isinstance(given, (Sequence, Mapping)):
            given = (given,)
        return map_shapes(lambda shape: (first[0], *shape), given)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments; the function itself, which is no plain data."""
        values = super()._read_config(strict=False)
        values["output_shape"] = self._given_shape
        return values

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Lambda:
        """Return a new layer made with the arguments in `config`."""
        named = {
            key: _functions[config[key]]
            for key in ("function", "mask", "output_shape")
            if isinstance(config.get(key), str)
        }
        return cls(**{**config, **named})
