"""Weights for a model that is not built like the saved one: layer by layer, by place or by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pydl.saving.state import Arrays, difference, named_weights, weight_label, write
from pydl.tensor import Variable


class _Pair(NamedTuple):
    """A layer, its weights, and the arrays that the file has for it."""

    layer: Any
    weights: Sequence[Variable]
    arrays: Sequence[np.ndarray]

    @property
    def misfit(self) -> str:
        """What keeps the arrays from being the weights, "" if nothing does."""
        if not self.arrays:
            return f"{self.layer.label} is not in the file"
        if len(self.weights) != len(self.arrays):
            return (
                f"{self.layer.label} has {len(self.weights)} weights, in the file it has "
                f"{len(self.arrays)}"
            )
        texts = (
            difference(weight_label(self.layer, weight), weight.data, array)
            for weight, array in zip(self.weights, self.arrays, strict=True)
        )
        return next(filter(None, texts), "")


def names_by_layer(model: Any) -> list[tuple[str, list[str]]]:
    """Return the name of each layer of a model, and the names that its weights have in a file."""
    names = {id(w): name for name, (_, w) in named_weights(model).items()}
    return [(layer.name, [names[id(w)] for w in layer.weights]) for layer in model.layers]


def restore_fitting(
    who: str, model: Any, arrays: Arrays, layers: Any = None, skip_mismatch: bool = False
) -> list[str]:
    """Set the weights of the layers for which the file has some.

    Args:
        who: Who asks, for error texts.
        model: The model.
        arrays: The weights in the file by name.
        layers: What `names_by_layer` found for the saved model: layers are matched by name. None:
            by their place.
        skip_mismatch: Leave layers out that do not fit.

    Returns:
        What was left out, and why.

    Raises:
        ValueError: No layer fits, or one does not and is not to be skipped; nothing is changed.
    """
    if layers is None:
        pairs, unused = _by_place(model, arrays)
    else:
        pairs, unused = _by_name(who, model, arrays, layers), []
    left_out = [pair.misfit for pair in pairs if pair.misfit]
    fitting = [pair for pair in pairs if not pair.misfit]
    if left_out and not skip_mismatch:
        raise ValueError(f"{who}: {left_out[0]}")
    if unused:
        left_out.append(f"the model has no {', '.join(unused)}")
    if not fitting:
        raise ValueError(f"{who}: no layer fits: {'; '.join(left_out) or 'the model has none'}")
    write(
        [
            (weight, weight.data, array)
            for pair in fitting
            for weight, array in zip(pair.weights, pair.arrays, strict=True)
        ]
    )
    return left_out


def _by_place(model: Any, arrays: Arrays) -> tuple[list[_Pair], list[str]]:
    """Return the layers with the arrays of their paths, and the paths that the model lacks."""
    weights = named_weights(model)
    extra: dict[str, list[np.ndarray]] = {}
    for name, array in arrays.items():
        if name not in weights:
            extra.setdefault(name.rpartition("/")[0], []).append(array)
    owned: dict[int, list[str]] = {}
    for name, (layer, _) in weights.items():
        owned.setdefault(id(layer), []).append(name)
    pairs = []
    for names in owned.values():
        more = extra.pop(names[0].rpartition("/")[0], [])
        found = [arrays[name] for name in names if name in arrays]
        if len(found) == len(names):  # else some are other weights, not more of them
            found += more
        pairs.append(_Pair(weights[names[0]][0], [weights[name][1] for name in names], found))
    return pairs, list(extra)


def _by_name(who: str, model: Any, arrays: Arrays, layers: Any) -> list[_Pair]:
    """Return the layers whose names the file has, with their arrays in the order of the weights."""
    theirs = dict(layers)
    ours = [layer for layer in model.layers if layer.weights and layer.name in theirs]
    counts = (Counter(layer.name for layer in ours), Counter(name for name, _ in layers))
    twice = [layer.name for layer in ours if any(count[layer.name] > 1 for count in counts)]
    if twice:
        raise ValueError(f"{who}: by_name needs names of one layer each, got {twice[0]!r} twice")
    if not ours:
        raise ValueError(
            f"{who}: no layer has the name of one in the file, which has "
            f"{', '.join(repr(name) for name, weights in layers if weights) or 'none'}"
        )
    return [_Pair(x, x.weights, [arrays[name] for name in theirs[x.name]]) for x in ours]
