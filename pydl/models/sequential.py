"""Sequential: layers one after the other."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pydl.layers import Dense, InputLayer, Lambda
from pydl.layers.base import Layer, deserialize
from pydl.layers.core import as_declared
from pydl.layers.merging import Merge
from pydl.layers.nest import held, is_shape, map_shapes
from pydl.layers.symbolic import Node, Spec, SymbolicTensor
from pydl.models.base import Model
from pydl.models.functional import Functional
from pydl.registry import serialize
from pydl.tensor import Tensor


class Sequential(Model):
    """Layers that each take the output of the one before.

    The input shape comes from `Input(shape)` as the first entry, from `input_shape=` of the first
    layer, from `build`, or from the first data.

    Args:
        layers: The layers.
        trainable: False freezes the weights.
        name: Name; None makes one.

    Raises:
        TypeError: An entry is not a layer.
        ValueError: Two layers of one name, or layers that do not fit together.

    >>> import pydl
    >>> model = Sequential([pydl.layers.Input((3,)), pydl.layers.Dense(2)])
    >>> model.output_shape, model.count_params()
    ((None, 2), 8)
    """

    def __init__(
        self, layers: Iterable[Any] | None = None, trainable: bool = True, name: str | None = None
    ) -> None:
        super().__init__(trainable=trainable, name=name)
        if layers is not None and not isinstance(layers, Iterable):
            raise TypeError(
                f"Sequential: layers must be a list of layers, got one {type(layers).__name__}"
            )
        self._layers: list[Layer] = []
        self._shape: Any = None  # of the input, once the model was built
        self._input: InputLayer | None = None
        self._entry: InputLayer | None = None  # stands for an Input that was not given
        self._nodes: list[Node] = []  # the layers' calls on symbolic tensors, once built
        for layer in layers or ():
            self._append(layer)
        self._build_if_known()

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the input."""
        return list(self._layers)

    @property
    def _input_dtype(self) -> str:
        """The type to which the input is cast, but for integers that the first layer takes."""
        return self._layers[0].dtype if self._input is None else self._input.input_dtype

    @property
    def takes_integers(self) -> bool:  # type: ignore[override]
        """Whether integers stay integers."""
        if not self._layers:
            return False
        return self._layers[0].takes_integers or np.dtype(self._input_dtype).kind != "f"

    def _output_dtype(self, dtype: str) -> str:
        """Return the dtype of the last layer's output for an input of this one."""
        if not self._layers:
            return dtype
        if not (self._layers[0].takes_integers and np.dtype(dtype).kind in "iu"):
            dtype = self._input_dtype
        for layer in self._layers:
            dtype = layer._output_dtype(dtype)
        return dtype

    def _first_dense(self) -> list[Dense]:
        plain = type(self).call is Sequential.call and type(self).__call__ is Sequential.__call__
        first = self._layers[0] if self._layers else None
        return [first] if plain and type(first) is Dense else []

    def add(self, layer: Any) -> None:
        """Append a layer."""
        self._append(layer)
        self._build_if_known()

    def pop(self) -> Layer:
        """Remove the last layer and return it.

        Raises:
            ValueError: There is none.
        """
        if not self._layers:
            raise ValueError(f"Sequential {self.name!r}: there is no layer to remove")
        layer = self._layers.pop()
        self._changed()
        self._build_if_known()
        return layer

    def _append(self, layer: Any) -> None:
        """Append a layer after checking it."""
        if isinstance(layer, SymbolicTensor) and isinstance(layer.layer, InputLayer):
            layer = layer.layer
        if not isinstance(layer, Layer):
            hint = "; write it as a call, for example Dense(10)" if isinstance(layer, type) else ""
            raise TypeError(f"Sequential: expected layers, got {layer!r}{hint}")
        if isinstance(layer, InputLayer):
            if self._layers or self._input is not None:
                raise ValueError("Sequential: Input must be the first entry")
            self._input = layer
        elif any(layer is other for other in self._layers):
            raise ValueError(f"Sequential: the layer {layer.name!r} is in the model already")
        elif any(layer.name == other.name for other in self._layers):
            raise ValueError(
                f"Sequential: layer names must differ, {layer.name!r} is taken; pass name="
            )
        else:
            self._layers.append(layer)
        self._changed()

    def _changed(self) -> None:
        """Forget what was known about the old list of layers."""
        self.built = False
        if self._compiled is not None:
            self._compiled.trained = None

    def _build_if_known(self) -> None:
        """Build as soon as the input shape is known."""
        shape = None
        if self._input is not None:
            shape = self._input.batch_input_shape
        elif self._layers:
            shape = _declared(self._layers[0])
        if shape is None:
            shape = self._shape
        if shape is not None and self._layers:
            self.build(shape)

    def build(self, input_shape: Any) -> None:
        """Make the weights of all layers for `input_shape` (batch axis included)."""
        if not self._layers:
            raise ValueError(f"Sequential {self.name!r}: add layers before it is built")
        shapes = self._shapes(input_shape, build=True)
        self._shape = input_shape
        self._note_calls(shapes)

    def _note_calls(self, shapes: list[Any]) -> None:
        """Make the symbolic tensors between the layers, which `layer.output` returns."""
        self._nodes = []
        if not is_shape(self._shape):
            return
        if self._input is None and (
            self._entry is None or self._entry.batch_input_shape != tuple(self._shape)
        ):
            self._entry = InputLayer(batch_input_shape=self._shape)
        x = (self._input or self._entry).symbol()  # type: ignore[union-attr]
        self._nodes.append(x.node)
        dtype = x.dtype
        for layer, shape in zip(self._layers, shapes, strict=True):
            dtype = layer._output_dtype(dtype)
            spec = map_shapes(functools.partial(Spec, dtype=dtype), shape)
            self._nodes.append(Node(layer, (x,), {}, spec))
            x = self._nodes[-1].outputs

    @property
    def input(self) -> Any:
        """The symbolic input of the model."""
        return self._node(0)

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The symbolic input as a list."""
        return list(held(self.input, SymbolicTensor))

    @property
    def outputs(self) -> list[SymbolicTensor]:
        """The symbolic output, or outputs, as a list."""
        return list(held(self.output, SymbolicTensor))

    @property
    def output(self) -> Any:
        """The symbolic output of the last layer."""
        return self._node(-1)

    def _node(self, index: int) -> Any:
        """Return the output of one of the calls."""
        if not self.built or not self._nodes:
            raise AttributeError  # __getattr__ says why
        return self._nodes[index].outputs

    def _shapes(self, input_shape: Any, build: bool = False) -> list[Any]:
        """Return the output shape of each layer, and build the layers on the way if asked."""
        shape = tuple(input_shape) if isinstance(input_shape, Sequence) else input_shape
        found = []
        for i, layer in enumerate(self._layers):
            try:
                if build and not layer.built:
                    layer.build(shape)
                shape = layer.compute_output_shape(shape)
            except ValueError as error:
                raise self._named(error, i, shape) from error
            found.append(shape)
        return found

    def _named(self, error: ValueError, index: int, shape: Any) -> ValueError:
        """Return an error of a layer with the name of the layer before it."""
        if index == 0 or "; it follows " in str(error):
            return error
        return ValueError(
            f"{error}; it follows {self._layers[index - 1].label}, whose output is {shape}"
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the last layer's output."""
        return self._shapes(input_shape)[-1] if self._layers else input_shape

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the output for an array, or for a list or dictionary that holds only one."""
        if not isinstance(inputs, Tensor):
            inputs = self._only(inputs)
        return super().__call__(inputs, *args, **kwargs)

    def _only(self, inputs: Any) -> Any:
        """Return what a list or dictionary holds, where the first layer takes one tensor.

        Raises:
            ValueError: It holds several.
        """
        if not isinstance(inputs, (list, tuple, Mapping)) or self._takes_nest():
            return inputs
        entries = list(inputs.values() if isinstance(inputs, Mapping) else inputs)
        if not isinstance(inputs, Mapping) and not any(hasattr(e, "shape") for e in entries):
            return inputs  # an array as plain numbers
        if len(entries) != 1:
            shapes = ", ".join(str(tuple(np.shape(entry))) for entry in entries)
            raise ValueError(
                f"{self.label}: takes one input, got {len(entries)} of shapes {shapes}; for "
                "several inputs use Model(inputs, outputs)"
            )
        return entries[0]

    def _takes_nest(self) -> bool:
        """Tell whether the first layer may take a list or dictionary of tensors."""
        if self._shape is not None or not self._layers:
            return self._shape is None or not is_shape(self._shape)
        first = self._layers[0]
        users = type(first).__module__.partition(".")[0] != "pydl"
        return users or isinstance(first, (Merge, Lambda, Model))

    def call(self, inputs: Any) -> Any:
        """Return the output of the last layer."""
        if self._emit_logits:
            return self.call_logits(inputs)
        return self._through(self._layers, inputs)

    def call_logits(self, inputs: Tensor) -> Tensor:
        """Return what the activation of the last layer gets."""
        last = self._layers[-1]
        return last.logits(self._through(self._layers[:-1], inputs))

    def _through(self, layers: Sequence[Layer], x: Any) -> Any:
        """Return the output of some layers; errors name the layer before."""
        if self._layers:
            x = as_declared(x, self._input_dtype, self._layers[0].takes_integers)
        i = 0
        try:
            for i, layer in enumerate(layers):  # noqa: B007  (the handler needs i)
                x = layer(x)
        except ValueError as error:
            raise self._named(error, i, getattr(x, "shape", None)) from error
        return x

    @property
    def logits_activation(self) -> str | None:
        if not self._layers or type(self).call is not Sequential.call:
            return None
        return self._layers[-1].logits_activation

    def get_config(self) -> dict[str, Any]:
        """Return the layers' configurations, so that `from_config` makes a copy without weights."""
        entries = ([self._input] if self._input is not None else []) + self._layers
        return {
            "name": self.name,
            "trainable": self._trainable,
            "layers": [serialize(layer) for layer in entries],
            "build_input_shape": None if self._shape is None else list(self._shape),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Sequential:
        """Return a new model made from what `get_config` returned."""
        layers = [deserialize(entry) for entry in config["layers"]]
        model = cls(layers, config.get("trainable", True), config.get("name"))
        shape = config.get("build_input_shape")
        if shape is not None and not model.built:
            model.build(tuple(shape))
        return model


def _declared(layer: Layer) -> Any:
    """Return the input shape that a first layer declares, also inside a nested model."""
    if isinstance(layer, Sequential):
        if layer._input is not None:
            return layer._input.batch_input_shape
        return layer._shape or (_declared(layer._layers[0]) if layer._layers else None)
    if isinstance(layer, Functional) and len(layer.inputs) == 1:
        return layer.inputs[0].shape
    return layer.batch_input_shape
