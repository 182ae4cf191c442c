"""Functional: a model made of the calls of layers on symbolic tensors."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pydl import ops
from pydl.layers import Dense, InputLayer
from pydl.layers.base import Layer, deserialize
from pydl.layers.core import as_declared
from pydl.layers.nest import held, is_shape, map_shapes, map_tensors
from pydl.layers.symbolic import Node, Spec, SymbolicTensor, replaced
from pydl.models.base import Model
from pydl.registry import serialize
from pydl.tensor import Tensor

Key = tuple[Node, int]  # one output of a call


class Functional(Model):
    """A model from symbolic inputs to symbolic outputs; `Model(inputs, outputs)` makes one.

    Its layers are those between the two. A layer that was called twice is there once, with one set
    of weights. `Model(model.input, model.get_layer("hidden").output)` shares the layers of `model`.

    Args:
        inputs: What `Input` returned, or another symbolic tensor; or a list or dictionary of them.
        outputs: A symbolic tensor, or a list or dictionary of them.
        trainable: False freezes the weights.
        name: Name; None makes one.

    Raises:
        TypeError: Something else than symbolic tensors.
        ValueError: An output needs an input that is not given, or two layers have one name.

    >>> import pydl
    >>> a, b = pydl.Input((3,), name="a"), pydl.Input((2,), name="b")
    >>> hidden = pydl.layers.Dense(4, activation="relu")(pydl.layers.concatenate([a, b]))
    >>> model = pydl.Model([a, b], pydl.layers.Dense(1)(hidden))
    >>> model([pydl.ones((5, 3)), pydl.ones((5, 2))]).shape
    (5, 1)
    """

    def __init__(
        self,
        inputs: Any = None,
        outputs: Any = None,
        *,
        trainable: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        inputs = _either("input", inputs, kwargs)
        outputs = _either("output", outputs, kwargs)
        for argument, nest in (("inputs", inputs), ("outputs", outputs)):
            _check_symbols(argument, nest)
        super().__init__(trainable=True, name=name, **kwargs)
        self._set_graph(inputs, outputs)
        if not trainable:
            self.trainable = False

    def _set_graph(self, inputs: Any, outputs: Any) -> None:
        """Make the list of layers, and of the calls to run, from inputs to outputs."""
        start = list(held(inputs, SymbolicTensor))
        if len({t.key for t in start}) < len(start):
            raise ValueError("Model: an input is given twice")
        end = list(held(outputs, SymbolicTensor))
        self._symbolic_inputs, self._symbolic_outputs = inputs, outputs
        # An intermediate tensor may be an input: then an input layer stands for what makes it.
        self._entries: list[Layer] = [
            InputLayer(batch_input_shape=t.shape, dtype=t.dtype) if t.node.args else t.layer
            for t in start
        ]
        entries = dict(zip((t.key for t in start), self._entries, strict=True))
        self._nodes, order = _calls(entries, end)
        self._layers: list[Layer] = _sorted_layers(entries, self._nodes, order)
        names = [layer.name for layer in self._layers]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"Model: layer names must differ, {name!r} is there twice; pass name="
                )
        self._program = _Program(start, self._nodes, end)
        self._keep_integers = [self._goes_to_ids(t.key) for t in start]
        self.built = True
        self._built_for = self.input_shape

    @property
    def layers(self) -> list[Layer]:
        """The layers, those next to the inputs first, the inputs included."""
        return list(self._layers)

    @property
    def input(self) -> Any:
        """The symbolic inputs, nested as they were given."""
        return self._symbolic_inputs

    @property
    def output(self) -> Any:
        """The symbolic outputs, nested as they were given."""
        return self._symbolic_outputs

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The symbolic inputs as a list."""
        return list(held(self._symbolic_inputs, SymbolicTensor))

    @property
    def outputs(self) -> list[SymbolicTensor]:
        """The symbolic outputs as a list."""
        return list(held(self._symbolic_outputs, SymbolicTensor))

    @property
    def input_names(self) -> list[str]:
        """The names of the input layers."""
        return [layer.name for layer in self._entries]

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs: keys of a dictionary, else the layers they come from."""
        if isinstance(self._symbolic_outputs, Mapping):
            return list(self._symbolic_outputs)
        names: list[str] = []
        for t in self.outputs:
            count = sum(other.name == t.name for other in self.outputs[: len(names)])
            names.append(f"{t.name}_{count}" if count else t.name)
        return names

    @property
    def input_shape(self) -> Any:
        """Shapes of the inputs, nested as they were given."""
        return replaced(lambda t: t.shape, self._symbolic_inputs, SymbolicTensor)

    @property
    def output_shape(self) -> Any:
        """Shapes of the outputs, nested as they were given."""
        return replaced(lambda t: t.shape, self._symbolic_outputs, SymbolicTensor)

    def build(self, input_shape: Any = None) -> None:
        """Do nothing: the layers are built."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shapes of the outputs for shapes of the inputs, nested as those."""
        shapes = input_shape if not is_shape(input_shape) else [input_shape]
        values = dict(zip((t.key for t in self.inputs), self._in_order(shapes), strict=True))
        values = {key: tuple(shape) for key, shape in values.items()}
        for node in self._nodes:
            _shapes_through(node, values)
        return replaced(lambda t: values[t.key], self._symbolic_outputs, SymbolicTensor)

    def _output_spec(self, inputs: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Return the shapes for these inputs, and the dtypes that the outputs have."""
        if type(self).call is not Functional.call:
            return super()._output_spec(inputs, args, kwargs)
        shapes = self.compute_output_shape(map_tensors(lambda t: t.shape, inputs))
        dtypes = iter(t.dtype for t in self.outputs)
        return map_shapes(lambda shape: Spec(shape, next(dtypes)), shapes)

    def _in_order(self, nest: Any) -> list[Any]:
        """Return what is given for the inputs in their order."""
        wanted = self._symbolic_inputs
        if isinstance(nest, Mapping):
            names = list(wanted) if isinstance(wanted, Mapping) else self.input_names
            missing = [name for name in names if name not in nest]
            if missing:
                raise ValueError(
                    f"{self.label}: the input {missing[0]!r} is missing; got {list(nest)}"
                )
            return [nest[name] for name in names]
        found = list(nest) if isinstance(nest, (list, tuple)) else [nest]
        count = len(self.inputs)
        if len(found) != count:
            raise ValueError(
                f"{self.label}: takes {count} inputs ({', '.join(self.input_names)}), "
                f"got {len(found)}"
            )
        return found

    def call(self, inputs: Any) -> Any:
        """Return the outputs, nested as they were given."""
        values = [
            self._fitted(spec, value, keep)
            for spec, value, keep in zip(
                self.inputs, self._in_order(inputs), self._keep_integers, strict=True
            )
        ]
        found = iter(self._program.run(values, self._emit_logits))
        return replaced(lambda t: next(found), self._symbolic_outputs, SymbolicTensor)

    def _fitted(self, spec: SymbolicTensor, value: Any, keep_integers: bool) -> Any:
        """Return an input as its layer declares it; an axis of 1 at the end may come or go."""
        shape, wanted = tuple(value.shape), spec.shape
        if isinstance(value, Tensor):
            if len(shape) + 1 == len(wanted) and wanted[-1] == 1:
                value = ops.expand_dims(value, -1)
            elif len(shape) - 1 == len(wanted) and shape[-1] == 1:
                value = ops.squeeze(value, -1)
            value = as_declared(value, spec.dtype, keep_integers)
        fits = len(value.shape) == len(wanted) and all(
            m is None or m == n for m, n in zip(wanted[1:], value.shape[1:], strict=False)
        )
        if not fits:
            hint = ""
            if len(value.shape) == len(wanted) - 1 and wanted[-1] is not None:
                hint = "; is the last axis missing?"
            raise ValueError(
                f"{self.label}: the input {spec.name!r} has shape {wanted}, got {shape}{hint}"
            )
        return value

    @property
    def logits_activations(self) -> list[str | None]:
        """For each output, the activation that training may leave to the loss."""
        if type(self).call is not Functional.call:
            return [None] * len(self.outputs)
        return [
            t.layer.logits_activation
            if self._program.ends_with(t.key) and isinstance(t.node.args[0], SymbolicTensor)
            else None
            for t in self.outputs
        ]

    @property
    def logits_activation(self) -> str | None:
        activations = self.logits_activations
        return activations[0] if len(activations) == 1 else None

    def call_logits(self, inputs: Tensor) -> Tensor:
        """Return what the activation of the only output gets."""
        self._emit_logits = (True,)
        try:
            return self.call(inputs)
        finally:
            self._emit_logits = ()

    def _first_dense(self) -> list[Dense]:
        if type(self).call is not Functional.call or len(self.inputs) != 1:
            return []
        layers = [n.layer for n in self._users(self.inputs[0].key)]
        dense = [layer for layer in layers if type(layer) is Dense]
        return dense if len(dense) == len(layers) else []

    def _users(self, key: Key) -> list[Node]:
        """Return the calls that take a tensor."""
        return [n for n in self._nodes if any(t.key == key for t in n.inputs)]

    def _goes_to_ids(self, key: Key) -> bool:
        """Tell whether an input goes to layers that take integers and nowhere else."""
        users = self._users(key)
        return bool(users) and all(n.layer.takes_integers for n in users)

    @property
    def takes_integers(self) -> bool:  # type: ignore[override]
        """Whether integers stay integers for all inputs."""
        return all(
            keep or np.dtype(t.dtype).kind != "f"
            for t, keep in zip(self.inputs, self._keep_integers, strict=True)
        )

    def _connections(self) -> list[str]:
        """Return for each layer the tensors it takes, as text; empty strings if that is a line."""
        calls: dict[int, list[Node]] = defaultdict(list)
        uses: dict[Key, int] = defaultdict(int)
        for node in self._nodes:
            calls[id(node.layer)].append(node)
            for t in node.inputs:
                uses[t.key] += 1
        line = len(self.inputs) == 1 and all(
            len(nodes) == 1 and len(nodes[0].inputs) < 2 for nodes in calls.values()
        )
        if line and all(count == 1 for count in uses.values()) and len(self.outputs) == 1:
            return [""] * len(self._layers)
        place = self._place(calls)
        return [
            ", ".join(
                "{}[{}][{}]".format(*place(t)) for node in calls[id(layer)] for t in node.inputs
            )
            for layer in self._layers
        ]

    def _place(self, calls: dict[int, list[Node]]) -> Callable[[SymbolicTensor], list[Any]]:
        """Return the function of a tensor that gives its layer's name, call and index."""
        entries = dict(zip((t.key for t in self.inputs), self._entries, strict=True))

        def place(t: SymbolicTensor) -> list[Any]:
            if t.key in entries:
                return [entries[t.key].name, 0, 0]
            return [t.name, calls[id(t.layer)].index(t.node), t.index]

        return place

    def _output_specs(self) -> list[Any]:
        """Return the shapes of each layer's output, in its first call."""
        shapes = {id(layer): layer.batch_input_shape for layer in self._entries}
        for node in self._nodes:
            found = replaced(lambda spec: spec.shape, node.spec, Spec)
            shapes.setdefault(id(node.layer), found)
        return [shapes[id(layer)] for layer in self._layers]

    # Configuration

    def get_config(self) -> dict[str, Any]:
        """Return layers and calls as plain data, in Keras's layout, without the weights."""
        calls: dict[int, list[Node]] = defaultdict(list)
        for node in self._nodes:
            calls[id(node.layer)].append(node)
        place = self._place(calls)
        start = {id(layer) for layer in self._entries}

        def tensor(t: SymbolicTensor) -> dict[str, Any]:
            return {
                "class_name": "__keras_tensor__",
                "config": {
                    "shape": list(t.shape),
                    "dtype": t.dtype,
                    "keras_history": place(t),
                },
            }

        entries = []
        for layer in self._layers:
            nodes = [
                {
                    "args": serialize(replaced(tensor, list(node.args), SymbolicTensor)),
                    "kwargs": serialize(replaced(tensor, node.kwargs, SymbolicTensor)),
                }
                for node in calls[id(layer)]
            ]
            if id(layer) in start:
                nodes = [{"args": [], "kwargs": {}}]
            entries.append({**serialize(layer), "name": layer.name, "inbound_nodes": nodes})
        return {
            "name": self.name,
            "trainable": self._trainable,
            "layers": entries,
            "input_layers": replaced(place, self._symbolic_inputs, SymbolicTensor),
            "output_layers": replaced(place, self._symbolic_outputs, SymbolicTensor),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Functional:
        """Return a new model made from what `get_config` returned."""
        layers = {entry["name"]: deserialize(entry) for entry in config["layers"]}
        pending = {entry["name"]: list(entry["inbound_nodes"]) for entry in config["layers"]}
        made: dict[str, list[Any]] = defaultdict(list)  # the outputs of each call

        def tensor(place: Sequence[Any]) -> SymbolicTensor:
            name, call, index = place
            return list(held(made[name][call], SymbolicTensor))[index]

        def ready(value: Any) -> bool:
            return all(place[1] < len(made[place[0]]) for place in _places(value))

        while any(pending.values()):
            done = 0
            for name, calls in pending.items():
                while calls and ready(calls[0]):
                    call = calls.pop(0)
                    layer = layers[name]
                    if isinstance(layer, InputLayer):
                        made[name].append(layer.symbol())
                    else:
                        args, kwargs = (_filled(call[part], tensor) for part in ("args", "kwargs"))
                        made[name].append(layer(*args, **kwargs))
                    done += 1
            if not done:
                raise ValueError(f"{cls.__name__}: the calls in the configuration form a circle")
        ends = (_tensors_at(config[key], tensor) for key in ("input_layers", "output_layers"))
        model = cls(*ends, name=config.get("name"))
        if not config.get("trainable", True):
            model._trainable = False
        return model


@functools.cache
def functional_class(cls: Any) -> Any:
    """Return a class of models that is functional where `cls` says nothing else."""
    return type(
        cls.__name__,
        (cls, Functional),
        {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__},
    )


class _Program:
    """The calls of layers in an order in which they can run.

    Args:
        inputs: The symbolic tensors whose values are given.
        nodes: The calls.
        outputs: The symbolic tensors whose values are returned.
    """

    def __init__(
        self, inputs: list[SymbolicTensor], nodes: list[Node], outputs: list[SymbolicTensor]
    ) -> None:
        self.inputs = [t.key for t in inputs]
        self.outputs = [t.key for t in outputs]
        self.steps = nodes
        self.uses: dict[Key, int] = defaultdict(int)
        for key in self.outputs:
            self.uses[key] += 1
        last: dict[Key, int] = {}
        for i, node in enumerate(self.steps):
            for t in node.inputs:
                self.uses[t.key] += 1
                last[t.key] = i
        kept = set(self.outputs)
        self.frees: list[list[Key]] = [[] for _ in self.steps]  # after each step
        for key, i in last.items():
            if key not in kept:
                self.frees[i].append(key)

    def ends_with(self, key: Key) -> bool:
        """Tell whether an output is the only one of a call, and used nowhere else."""
        node = key[0]
        return node in self.steps and self.uses[key] == 1 and isinstance(node.spec, Spec)

    def run(self, inputs: Sequence[Any], logits: Sequence[Any]) -> list[Any]:
        """Return the outputs; `logits` tells for which of them to leave out the activation."""
        values: dict[Key, Any] = dict(zip(self.inputs, inputs, strict=True))
        bare = {key[0] for key, yes in zip(self.outputs, logits, strict=False) if yes}
        for node, freed in zip(self.steps, self.frees, strict=True):
            args, kwargs = replaced(
                lambda t: values[t.key], (node.args, node.kwargs), SymbolicTensor
            )
            if node in bare:
                outputs: Any = node.layer.logits(*args)
            else:
                outputs = node.layer(*args, **kwargs)
            for i, value in enumerate(held(outputs, Tensor)):
                values.setdefault((node, i), value)
            args = kwargs = outputs = None  # so that what is freed is free at once
            for key in freed:
                del values[key]
        return [values[key] for key in self.outputs]


def _either(old: str, nest: Any, kwargs: dict[str, Any]) -> Any:
    """Return an argument that may come under its name in Keras 1, which is taken out of kwargs."""
    given = kwargs.pop(old, None)
    if given is not None and nest is not None:
        raise TypeError(f"Model: {old} is the older name of {old}s; got both, pass {old}s alone")
    return nest if given is None else given


def _check_symbols(argument: str, nest: Any) -> None:
    """Raise unless a nest holds symbolic tensors and nothing else, and at least one."""

    def check(leaf: Any) -> None:
        if not isinstance(leaf, SymbolicTensor):
            hint = "; pass what Input returned" if argument == "inputs" else ""
            raise TypeError(
                f"Model: {argument} must be symbolic tensors, got {type(leaf).__name__}{hint}"
            )

    map_tensors(check, nest)
    if not list(held(nest, SymbolicTensor)):
        raise ValueError(f"Model: {argument} is empty")


def _calls(
    entries: Mapping[Key, Layer], outputs: list[SymbolicTensor]
) -> tuple[list[Node], dict[int, int]]:
    """Return the calls between inputs and outputs, each after those it needs.

    And for each layer, by id, when it was first met on the way back from the outputs. A stack in
    place of recursion: networks may be deep.
    """
    nodes: dict[Node, None] = {}
    order: dict[int, int] = {}
    stack = [(output, output, False) for output in reversed(outputs)]
    while stack:
        t, user, left = stack.pop()
        if left:
            nodes[t.node] = None
            continue
        entry = entries.get(t.key)
        order.setdefault(id(t.layer if entry is None else entry), len(order))
        if entry is not None or t.node in nodes:
            continue
        if not t.node.inputs:
            raise ValueError(
                f"Model: {user.layer.label} needs the input {t.name!r}, which is not among inputs"
            )
        stack.append((t, user, True))
        stack += [(x, t, False) for x in reversed(t.node.inputs)]
    return list(nodes), order


def _sorted_layers(
    entries: Mapping[Key, Layer], nodes: list[Node], order: dict[int, int]
) -> list[Layer]:
    """Return the layers by their distance from the outputs, the furthest first, as Keras does."""
    depths: dict[Node, int] = defaultdict(int)
    distances: dict[int, int] = defaultdict(int)  # of layers
    for node in reversed(nodes):
        depth = max(depths[node], distances[id(node.layer)])
        distances[id(node.layer)] = depths[node] = depth
        for t in node.inputs:
            if t.key in entries:
                entry = id(entries[t.key])
                distances[entry] = max(depth + 1, distances[entry])
            else:
                depths[t.node] = max(depth + 1, depths[t.node])
    layers = {id(layer): layer for layer in (*entries.values(), *(n.layer for n in nodes))}
    return sorted(
        layers.values(),
        key=lambda layer: (-distances[id(layer)], order.get(id(layer), -1)),
    )


def _shapes_through(node: Node, values: dict[Key, Any]) -> None:
    """Add the shapes of a call's outputs to those known."""
    given = replaced(lambda t: values[t.key], node.args[0], SymbolicTensor)
    shapes = node.layer.compute_output_shape(given)
    if is_shape(shapes):
        shapes = [shapes]
    for i, shape in enumerate(shapes.values() if isinstance(shapes, Mapping) else shapes):
        values.setdefault((node, i), tuple(shape))


def _is_place(value: Any) -> bool:
    """Tell whether a value of a configuration stands for a tensor."""
    return isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__"


def _places(value: Any) -> Iterator[Any]:
    """Yield the (layer, call, index) of all tensors in a configuration."""
    if _is_place(value):
        yield value["config"]["keras_history"]
    elif isinstance(value, (Mapping, list, tuple)):
        for entry in value.values() if isinstance(value, Mapping) else value:
            yield from _places(entry)


def _filled(value: Any, tensor: Callable[[Any], Any]) -> Any:
    """Return arguments of a configuration with tensors in place of what stands for them."""
    if _is_place(value):
        return tensor(value["config"]["keras_history"])
    if isinstance(value, Mapping):
        return {key: _filled(entry, tensor) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_filled(entry, tensor) for entry in value]
    return value


def _tensors_at(nest: Any, tensor: Callable[[Any], Any]) -> Any:
    """Return the tensors at a place [name, call, index], or at several in a list or dictionary."""
    if isinstance(nest, Mapping):
        return {key: _tensors_at(entry, tensor) for key, entry in nest.items()}
    if nest and isinstance(nest[0], str):
        return tensor(nest)
    return [_tensors_at(entry, tensor) for entry in nest]
