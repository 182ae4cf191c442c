"""What flows through a model: numbers about each layer's output, and where the first nan arises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from pydl.autograd import no_grad
from pydl.layers.graph import inner_layers, watch_calls
from pydl.layers.nest import held
from pydl.tensor import Tensor


class LayerOutput(NamedTuple):
    """A row of `debug`: numbers about one output of a layer, mean and std of the finite values."""

    layer: str
    type: str
    shape: tuple[int, ...]
    mean: float
    std: float
    zeros: float  # share of the values that are 0
    dead: float  # share of the units, along the last axis, that are 0 for every row
    nan: int
    inf: int


def debug_rows(model: Any, x: Any) -> list[LayerOutput]:
    """Return a row for each output of each layer, with inference behaviour."""
    paths = {id(layer): path for path, layer in inner_layers(model)}
    with no_grad(), watch_calls(layer for _, layer in inner_layers(model)) as calls:
        model(x, training=False)
    return [
        _row(paths[id(call.layer)], type(call.layer).__name__, output.numpy())
        for call in calls
        for output in held(call.outputs, Tensor)
    ]


def _row(path: str, kind: str, values: np.ndarray) -> LayerOutput:
    """Return the row of one output."""
    finite = values[np.isfinite(values)].astype(np.float64)
    mean, std = (float(finite.mean()), float(finite.std())) if finite.size else (np.nan, np.nan)
    zero = values == 0
    units = zero.reshape(-1, zero.shape[-1]) if zero.ndim > 1 else zero.reshape(-1, 1)
    zeros, dead = (float(zero.mean()), float(units.all(axis=0).mean())) if zero.size else (0.0, 0.0)
    nan, inf = int(np.isnan(values).sum()), int(np.isinf(values).sum())
    return LayerOutput(path, kind, values.shape, mean, std, zeros, dead, nan, inf)


def debug_table(rows: Sequence[LayerOutput]) -> str:
    """Return rows as text, with a line for each that calls for one."""
    cells = [("Layer (type)", "Output", "Mean", "Std", "Zeros", "Dead", "NaN", "Inf")]
    for r in rows:
        shares = f"{r.zeros:.1%}", f"{r.dead:.1%}", f"{r.nan:,}", f"{r.inf:,}"
        numbers = f"{r.mean:.4g}", f"{r.std:.4g}", *shares
        cells.append((f"{r.layer} ({r.type})", str(r.shape), *numbers))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        left = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join(left + right))
    lines.insert(1, "-" * len(lines[0]))
    for r in rows:
        if r.nan or r.inf:
            lines.append(f"{r.layer}: the first output that is not finite")
            break
    lines += [
        f"{r.layer}: {r.dead:.0%} of the units are 0 for every row; dead ReLUs learn nothing: try "
        "a smaller learning rate, scaled inputs, kernel_initializer='he_normal' or LeakyReLU"
        for r in rows
        if r.dead >= 0.5 and r.shape[0] > 1 and not r.type.endswith("Dropout")
    ]
    return "\n".join(lines)


def find_nonfinite(
    model: Any, batch: Callable[[], tuple[Any, Any, Any]], before: Sequence[np.ndarray]
) -> tuple[str | None, str]:
    """Return the layer in which the first nan or infinity of a training step arose, and how.

    Args:
        model: The model, after the step.
        batch: Returns the (x, y, sample weights) of the step.
        before: The values of `model.weights` before the step.
    """
    x, y, _ = batch()
    for name, nest in (("x", x), ("y", y)):
        bad = [t for t in held(nest, Tensor) if not _finite(t)]
        if bad:
            return None, f"{name} of the batch holds {_count(bad[0].numpy())}"
    found = inner_layers(model)
    values = {id(w): value for w, value in zip(model.weights, before, strict=True)}
    for path, layer in reversed(found):  # gradients come from the end
        for weight in layer.weights:
            if not np.isfinite(values[id(weight)]).all():
                return path, (
                    f"the step before it left {_count(values[id(weight)])} in {weight.name or 'it'}"
                )
    after = [np.array(w.numpy()) for w in model.weights]
    _assign(model, before)
    try:
        with no_grad(), watch_calls(layer for _, layer in found) as calls:
            model(x, training=True)
    finally:
        _assign(model, after)
    paths = {id(layer): path for path, layer in found}
    for call in calls:
        for output in held(call.outputs, Tensor):
            if not _finite(output):
                return paths[id(call.layer)], (
                    f"it gave {_count(output.numpy())} for inputs of up to "
                    f"{_largest(call.inputs):.3g}"
                )
    if not calls:
        return None, "the model has no layers to look at"
    last = calls[-1]
    return paths[id(last.layer)], (
        f"its outputs are finite, up to {_largest(last.outputs):.3g}; their loss, or a penalty, "
        "is not"
    )


def _largest(nest: Any) -> float:
    """Return the largest magnitude in some Tensors."""
    return max((float(np.abs(t.numpy()).max(initial=0)) for t in held(nest, Tensor)), default=0.0)


def _assign(model: Any, values: Sequence[np.ndarray]) -> None:
    """Set the weights of a model."""
    for weight, value in zip(model.weights, values, strict=True):
        weight.assign(value)


def _finite(tensor: Tensor) -> bool:
    """Tell whether all values of a tensor are finite."""
    return bool(np.isfinite(tensor.numpy()).all())


def _count(values: np.ndarray) -> str:
    """Return how many values are nan or infinite, as text."""
    nan, inf = int(np.isnan(values).sum()), int(np.isinf(values).sum())
    counts = [f"{n:,} {name}" for n, name in ((nan, "nan"), (inf, "infinite")) if n]
    return f"{' and '.join(counts)} of {values.size:,} values"
