"""A model seen as a graph: which layers it has, what each takes, and what flows between them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from pydl.autograd import Node
from pydl.layers.base import Layer
from pydl.layers.core import InputLayer
from pydl.layers.nest import held, map_shapes
from pydl.ops import zeros
from pydl.tensor import Tensor


class Call(NamedTuple):
    """One call of a layer: its inputs and what it returned, Tensors or nests of them."""

    layer: Layer
    inputs: Any
    outputs: Any


@contextlib.contextmanager
def watch_calls(layers: Iterable[Layer]) -> Iterator[list[Call]]:
    """Note the calls of layers while the block runs, in the order in which they end.

    Where the training leaves the last activation to the loss, the output noted is what that
    activation gets.
    """
    calls: list[Call] = []

    def watching(layer: Layer, method: Callable[..., Any]) -> Callable[..., Any]:
        def watched(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            before = len(calls)
            outputs = method(inputs, *args, **kwargs)
            inner = [call for call in calls[before:] if call.layer is layer]
            if not inner:  # call() that goes on to call_logits() is one call
                calls.append(Call(layer, inputs, outputs))
            return outputs

        return watched

    found = list({id(layer): layer for layer in layers}.values())
    for layer in found:  # past __setattr__: nothing that a recorded step knows has changed
        for name in ("call", "call_logits"):
            vars(layer)[name] = watching(layer, getattr(layer, name))
    try:
        yield calls
    finally:
        for layer in found:
            del vars(layer)["call"], vars(layer)["call_logits"]


def inner_layers(model: Any) -> list[tuple[str, Layer]]:
    """Return (path, layer) of all layers of a model, those of models inside it in their place.

    The path of a layer inside the model `encoder` is "encoder/name".
    """
    found = []
    for layer in model.layers:
        if hasattr(layer, "layers"):
            found += [(f"{layer.name}/{path}", inner) for path, inner in inner_layers(layer)]
        else:
            found.append((layer.name, layer))
    return found


def shape_of(layer: Any, which: str) -> Any:
    """Return `input_shape` or `output_shape` of a layer, "?" where it is not known yet."""
    try:
        return getattr(layer, which)
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return "?"


def activation_of(layer: Any) -> str:
    """Return the name of a layer's activation, "" where it has none."""
    activation = getattr(layer, "activation", None)
    return "" if activation is None else getattr(activation, "__name__", type(activation).__name__)


def layer_edges(model: Any) -> list[tuple[Layer, list[Layer]]]:
    """Return the layers of a model, each with the layers whose outputs it takes.

    The input layers come first, then the others in the order of their first calls. For a model
    that only computes in `call`, the edges are those seen in a run on zeros; before it is built
    there are none.
    """
    nodes = getattr(model, "_nodes", None)
    if nodes:  # calls of layers on symbolic tensors
        starts = getattr(model, "_entries", ())  # a Sequential has its input layer among the nodes
        entries = (
            {t.key: entry for t, entry in zip(model.inputs, starts, strict=True)} if starts else {}
        )
        pairs = [(node.layer, [entries.get(t.key, t.layer) for t in node.inputs]) for node in nodes]
        return _merged([(layer, []) for layer in entries.values()] + pairs)
    chain = getattr(model, "_layers", None)
    if chain is not None:
        start = getattr(model, "_input", None)
        chain = ([] if start is None else [start]) + chain
        return [(layer, chain[i - 1 : i] if i else []) for i, layer in enumerate(chain)]
    if not model.built:
        return [(layer, []) for layer in model.layers]
    return _traced(model)


def _merged(pairs: list[tuple[Layer, list[Layer]]]) -> list[tuple[Layer, list[Layer]]]:
    """Return each layer once, with the sources of all its calls, each once."""
    found: dict[int, tuple[Layer, list[Layer]]] = {}
    for layer, sources in pairs:
        known = found.setdefault(id(layer), (layer, []))[1]
        known += [s for i, s in enumerate(sources) if s not in known and s not in sources[:i]]
    return list(found.values())


def _traced(model: Any) -> list[tuple[Layer, list[Layer]]]:
    """Return what a run on zeros shows."""

    def start(shape: Any) -> Tensor:
        x = zeros(tuple(2 if n is None else n for n in shape), dtype=model.dtype)
        x.requires_grad = True  # so that all that follows is recorded
        return x

    layers = model.layers
    with watch_calls(layers) as calls:
        model(map_shapes(start, model.input_shape), training=False)
    makers: dict[int, Layer] = {}  # of the tensors that earlier calls returned
    pairs = []
    for call in calls:
        sources = [s for t in held(call.inputs, Tensor) for s in _sources(t, makers)]
        pairs.append((call.layer, sources))
        makers.update((_key(t), call.layer) for t in held(call.outputs, Tensor))
    seen = {id(call.layer) for call in calls}
    return _merged(pairs + [(layer, []) for layer in layers if id(layer) not in seen])


def _key(tensor: Tensor) -> int:
    """Return what a tensor is known by: how it was computed, or itself where it was not."""
    computed = isinstance(tensor._node, Node)
    return id(tensor._node) if computed else id(tensor)


def _sources(tensor: Tensor, makers: dict[int, Layer]) -> list[Layer]:
    """Return the layers that a tensor comes from, also through operations between layers."""
    found: list[Layer] = []
    seen: set[int] = set()
    stack = [tensor]
    while stack:
        t = stack.pop()
        key = _key(t)
        if key in seen:
            continue
        seen.add(key)
        if key in makers:
            found.append(makers[key])
        elif isinstance(t._node, Node):
            stack += [x for x in reversed(t._node.inputs) if isinstance(x, Tensor)]
    return found


def layer_graph(
    model: Any, expand: bool = False, prefix: str = ""
) -> tuple[dict[str, Layer], list[tuple[str, str]]]:
    """Return {path: layer} and the edges (path, path) of a model.

    With `expand`, the layers of a model inside it take its place, but for its input layers; see
    `inner_layers` for paths.
    """
    layers: dict[str, Layer] = {}
    edges: list[tuple[str, str]] = []
    enters: dict[int, list[list[str]]] = {}  # of each layer: where each of its inputs goes
    leaves: dict[int, list[str]] = {}  # and where its outputs come from
    pairs = layer_edges(model)
    for layer, _ in pairs:
        path = f"{prefix}{layer.name}"
        if not (expand and hasattr(layer, "layers")):
            layers[path] = layer
            enters[id(layer)], leaves[id(layer)] = [[path]], [path]
            continue
        inner, inner_edges = layer_graph(layer, True, f"{path}/")
        inputs = [p for p, found in inner.items() if isinstance(found, InputLayer)]
        ends = {f"{path}/{t.name}" for t in getattr(layer, "outputs", ())}
        starts = [[b for a, b in inner_edges if a == p] for p in inputs]
        used, fed = ({edge[i] for edge in inner_edges} for i in (0, 1))
        enters[id(layer)] = starts or [[p for p in inner if p not in fed]]
        leaves[id(layer)] = [p for p in inner if (p in ends if ends else p not in used)]
        layers.update((p, found) for p, found in inner.items() if p not in inputs)
        edges += [(a, b) for a, b in inner_edges if a not in inputs]
    for layer, sources in pairs:
        into = enters[id(layer)]
        everywhere = [b for several in into for b in several]
        for i, source in enumerate(sources):
            targets = into[i] if len(into) == len(sources) else everywhere
            edges += [(a, b) for a in leaves[id(source)] for b in targets]
    return layers, list(dict.fromkeys(edges))
