"""The state of a model by name: weights, optimizer, random counters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pydl import random
from pydl.layers.nest import held
from pydl.layers.weights import WeightOwner
from pydl.random import SeedGenerator
from pydl.registry import NameCounter, free_name, snake_case
from pydl.tensor import Variable

GLOBAL_RANDOM = "random/global"
Arrays = dict[str, np.ndarray]


def layer_paths(model: Any) -> list[tuple[str, Any]]:
    """Return the model and all layers inside it with their paths, in the order of the weights.

    A path is made of classes, counted inside each layer: "sequential/dense_1". So it does not
    depend on automatic names, which count all layers of the process. The model's own is "".
    """
    found: dict[int, tuple[str, Any]] = {}
    stack: list[tuple[str, WeightOwner]] = [("", model)]
    while stack:
        path, layer = stack.pop()
        if id(layer) in found:
            continue
        found[id(layer)] = (path, layer)
        names = NameCounter()
        inside = {id(child): child for child in layer._sublayers()}
        prefix = f"{path}/" if path else ""
        children = [
            (prefix + names.next(snake_case(type(child).__name__)), child)
            for child in inside.values()
        ]
        stack.extend(reversed(children))
    return list(found.values())


def named_weights(model: Any) -> dict[str, tuple[Any, Variable]]:
    """Return {"dense/kernel": (layer, weight)} for all weights, in their order."""
    found: dict[str, tuple[Any, Variable]] = {}
    known: set[int] = set()
    for path, layer in layer_paths(model):
        for weight in layer._own_weights():
            if id(weight) not in known:
                known.add(id(weight))
                name = f"{path}/{weight.name or 'variable'}".lstrip("/")
                found[free_name(name, found)] = (layer, weight)
    return found


def random_states(model: Any) -> Arrays:
    """Return the states of the random generators that the layers hold."""
    found: dict[str, np.ndarray] = {}
    known: set[int] = set()
    for path, layer in layer_paths(model):
        for attribute, value in vars(layer).items():
            for generator in held(value, SeedGenerator):
                if id(generator) not in known:
                    known.add(id(generator))
                    found[free_name(f"random/{path or 'model'}/{attribute}", found)] = (
                        generator.state
                    )
    return found


def weight_arrays(model: Any) -> Arrays:
    """Return the weights under the names they have in a file."""
    return {f"weights/{name}": w.data for name, (_, w) in named_weights(model).items()}


def capture(model: Any) -> tuple[Arrays, dict[str, Any]]:
    """Return all that training changes: arrays by name, and plain numbers."""
    arrays = {**weight_arrays(model), **random_states(model), GLOBAL_RANDOM: random.global_state()}
    numbers: dict[str, Any] = {"epochs_done": model.epochs_done}
    optimizer = model.optimizer
    if model.compiled and optimizer is not None:
        names = {id(w): name for name, (_, w) in named_weights(model).items()}
        arrays |= {f"optimizer/{name}": v.data for name, v in optimizer.state(names).items()}
        numbers["gradients_accumulated"] = optimizer._calls
    return arrays, numbers


def restore_weights(who: str, model: Any, arrays: Arrays) -> None:
    """Set the weights from arrays of a file.

    Raises:
        ValueError: The weights differ in names, shapes or types; nothing is changed.
    """
    write(_weight_targets(who, model, arrays))


def restore(who: str, model: Any, arrays: Arrays, numbers: Mapping[str, Any]) -> None:
    """Set all that `capture` returned but the global random generator.

    Everything is written into the arrays that are there, which recorded steps read.

    Raises:
        ValueError: Something does not fit the model; nothing is changed.
    """
    targets = _weight_targets(who, model, arrays)
    states = random_states(model)
    given = under("random/", arrays)
    given.pop(GLOBAL_RANDOM, None)
    targets += _matched(who, {name: (None, s) for name, s in states.items()}, given, str)
    optimizer = model.optimizer if model.compiled else None
    calls = numbers.get("gradients_accumulated", 0)
    if optimizer is not None and "gradients_accumulated" in numbers:
        targets += _optimizer_targets(who, model, arrays)
    for number in (calls, numbers.get("epochs_done", 0)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise ValueError(f"{who}: the counters of the training must be numbers, got {number!r}")
    write(targets)
    if optimizer is not None:
        optimizer._calls = calls
    model.epochs_done = numbers.get("epochs_done", 0)


Targets = list[tuple[Variable | None, np.ndarray, np.ndarray]]


def under(prefix: str, arrays: Arrays) -> Arrays:
    """Return the arrays whose names begin so."""
    return {name: array for name, array in arrays.items() if name.startswith(prefix)}


def weight_label(layer: Any, weight: Variable) -> str:
    """Return how error texts name a weight."""
    return f"the weight {weight.name or 'without a name'} of {layer.label}"


def difference(label: str, array: np.ndarray, found: np.ndarray) -> str:
    """Return what keeps an array of a file from taking the place of another, "" if nothing does."""
    if found.shape != array.shape:
        return f"{label} has shape {array.shape}, in the file it has {found.shape}"
    if found.dtype != array.dtype:
        return f"{label} is of {array.dtype}, in the file it is of {found.dtype}"
    return ""


def _weight_targets(who: str, model: Any, arrays: Arrays) -> Targets:
    """Return the weights, and what they shall be."""
    weights = named_weights(model)
    have = {f"weights/{name}": (w, w.data) for name, (_, w) in weights.items()}

    def label(name: str) -> str:
        return weight_label(*weights[name.removeprefix("weights/")])

    return _matched(who, have, under("weights/", arrays), label)


def _optimizer_targets(who: str, model: Any, arrays: Arrays) -> Targets:
    """Return the state of the optimizer, and what it shall be."""
    optimizer = model.optimizer
    weights = named_weights(model)
    given = under("optimizer/", arrays)
    owners = {name.removeprefix("optimizer/").rpartition("/")[0] for name in given}
    optimizer.build([w for name, (_, w) in weights.items() if name in owners])
    state = optimizer.state({id(w): name for name, (_, w) in weights.items()})
    have = {f"optimizer/{name}": (v, v.data) for name, v in state.items()}
    kind = type(optimizer).__name__
    return _matched(who, have, given, lambda name: f"the state {name!r} of {kind}")


def _matched(
    who: str,
    have: Mapping[str, tuple[Variable | None, np.ndarray]],
    given: Arrays,
    label: Callable[[str], str],
) -> Targets:
    """Return what is there and what it shall be, or raise ValueError where they do not fit."""
    for name, (_, array) in have.items():
        found = given.get(name)
        if found is None:
            raise ValueError(
                f"{who}: {label(name)} is not in the file, which has {len(given)} arrays of this "
                f"kind where the model has {len(have)}; the models are not built alike"
            )
        text = difference(label(name), array, found)
        if text:
            raise ValueError(f"{who}: {text}")
    extra = [name for name in given if name not in have]
    if extra:
        raise ValueError(
            f"{who}: the file has {len(given)} arrays where the model has {len(have)}; the model "
            f"has no {extra[0]!r}"
        )
    return [(variable, array, given[name]) for name, (variable, array) in have.items()]


def write(targets: Targets) -> None:
    """Set the arrays, bit by bit."""
    for variable, array, value in targets:
        np.copyto(array, value)
        if variable is not None:
            variable.changed_in_place()
