"""Pictures of what a model does: activations and gradients, and the confusion of classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pydl.autograd import gradients, no_grad
from pydl.figures import finish, histogram_range, new_figure
from pydl.layers import InputLayer
from pydl.layers.graph import inner_layers, watch_calls
from pydl.layers.nest import held
from pydl.metrics import confusion_matrix
from pydl.models.data import tensors
from pydl.models.sources import arrays_of
from pydl.tensor import Tensor


def plot_activations(
    model: Any, x: Any, y: Any = None, bins: int = 50, path: str | Path | None = None
) -> Any:
    """Draw a histogram of the outputs of each layer, and of the gradients of the loss by them.

    Gradients are drawn as log10 of their magnitudes on one axis for all layers: where they vanish,
    the histograms move to the left from layer to layer, the last layer being the lowest.

    Args:
        model: A model.
        x: Some hundred rows of input; they run as one batch, with inference behaviour.
        y: Their targets; None draws no gradients. The model must be compiled with a loss. Where
            the loss takes over the last activation (softmax or sigmoid with the crossentropy that
            goes with it), the last gradient is that by what the activation gets.
        bins: Of each histogram.
        path: Also save the picture there.

    Returns:
        The matplotlib figure: a row of axes for each layer, the first column for the outputs, the
        second for the gradients.

    Raises:
        ImportError: matplotlib is missing; it comes with `pip install 'pydl[plot]'`.
        RuntimeError: `y` is given, and the model is not compiled.
    """
    who = "plot_activations"
    outputs = _outputs(model, x, who)
    if not outputs:
        raise ValueError(f"{who}: the model {model.name!r} has no layers to look at")
    slopes = None if y is None else _slopes(model, x, y, who)
    columns = 1 if slopes is None else 2
    figure = new_figure(who, 4.6 * columns, 1.7 * len(outputs) + 0.4)
    grid = figure.subplots(len(outputs), columns, squeeze=False)
    for (name, values), axes in zip(outputs.items(), grid[:, 0], strict=True):
        finite = values[np.isfinite(values)].astype(np.float64)
        ends = histogram_range(finite, bins) if finite.size else None
        axes.hist(finite, bins, range=ends, color="tab:blue")
        zeros = (finite == 0).mean() if finite.size else 0.0
        axes.set_title(
            f"{name}: mean {_mean(finite):.3g}, std {_mean(finite, np.std):.3g}, "
            f"zeros {zeros:.0%}{_not_finite(values)}",
            fontsize=9,
        )
    grid[-1, 0].set_xlabel("output")
    if slopes is not None:
        _draw_slopes(grid[:, 1], [slopes.get(name) for name in outputs], bins)
    return finish(figure, path)


def _outputs(model: Any, x: Any, who: str) -> dict[str, np.ndarray]:
    """Return the outputs of each layer, flat, by the layer's path."""
    batch = tensors(arrays_of(who, x, None, None)[0])
    layers = _drawn(model)
    with no_grad(), watch_calls(layers[path] for path in layers) as calls:
        model(batch, training=False)
    return _by_path(model, calls, [[t.numpy() for t in held(c.outputs, Tensor)] for c in calls])


def _slopes(model: Any, x: Any, y: Any, who: str) -> dict[str, np.ndarray]:
    """Return the gradients of the loss by each layer's outputs, flat, by the layer's path."""
    compiled = model._need_compiled(who)
    x, y, _ = (tensors(nest) for nest in arrays_of(who, x, y, None))
    for t in held(x, Tensor):
        if t.dtype.kind == "f":
            t.requires_grad = True  # so that frozen layers have gradients too
    with watch_calls(_drawn(model).values()) as calls:
        _, loss, _ = model._forward(compiled, x, y, None, False)
    outputs = [list(held(call.outputs, Tensor)) for call in calls]
    found = iter(gradients(loss, [t for several in outputs for t in several]))
    arrays = [[g.numpy() for _ in several if (g := next(found)) is not None] for several in outputs]
    return _by_path(model, calls, arrays)


def _drawn(model: Any) -> dict[str, Any]:
    """Return {path: layer} of the layers that compute something."""
    if not hasattr(model, "layers"):
        raise TypeError(f"plot_activations: expected a model, got {type(model).__name__}")
    return {p: layer for p, layer in inner_layers(model) if not isinstance(layer, InputLayer)}


def _by_path(model: Any, calls: list[Any], arrays: list[list[np.ndarray]]) -> dict[str, np.ndarray]:
    """Return the values of all calls of each layer, flat, in the order of the calls."""
    paths = {id(layer): path for path, layer in inner_layers(model)}
    found: dict[str, list[np.ndarray]] = {}
    for call, several in zip(calls, arrays, strict=True):
        found.setdefault(paths[id(call.layer)], []).extend(a.reshape(-1) for a in several)
    return {path: np.concatenate(parts) for path, parts in found.items() if parts}


def _draw_slopes(column: Any, slopes: list[np.ndarray | None], bins: int) -> None:
    """Draw the histograms of gradients on one axis of powers of ten."""
    powers = []
    for values in slopes:
        size = np.abs([] if values is None else values[np.isfinite(values)]).astype(np.float64)
        powers.append(np.log10(size[size > 0]))
    ends = [end for p in powers if p.size for end in (p.min(), p.max())] or [-1.0, 0.0]
    edges = np.linspace(min(ends), max(max(ends), min(ends) + 1), bins + 1)
    for axes, values, p in zip(column, slopes, powers, strict=True):
        axes.hist(p, edges, color="tab:red")
        axes.set_xlim(edges[0], edges[-1])
        if values is None:
            axes.set_title("no gradient", fontsize=9)
            continue
        size = np.abs(values[np.isfinite(values)])
        axes.set_title(
            f"gradient: mean magnitude {_mean(size):.2e}, zeros {_mean(size == 0):.0%}"
            f"{_not_finite(values)}",
            fontsize=9,
        )
    column[-1].set_xlabel("log10 |gradient by output|")


def _mean(values: np.ndarray, statistic: Any = np.mean) -> float:
    """Return the mean, or another statistic, in float64; nan if there are no values."""
    return float(statistic(values, dtype=np.float64)) if values.size else float("nan")


def _not_finite(values: np.ndarray) -> str:
    """Return how many values are nan or infinite, as the end of a title."""
    count = int(values.size - np.isfinite(values).sum())
    return f", {count} not finite" if count else ""


def plot_confusion_matrix(
    y_true: Any,
    y_pred: Any,
    class_names: Sequence[str] | None = None,
    normalize: bool = False,
    path: str | Path | None = None,
) -> Any:
    """Draw how often each class (rows) was taken for each (columns).

    Args:
        y_true, y_pred: Labels, one-hot rows or scores; see `metrics.confusion_matrix`.
        class_names: Names of the classes, in order of the labels.
        normalize: Show shares of each row.
        path: Also save the picture there.

    Returns:
        The matplotlib figure.

    Raises:
        ImportError: matplotlib is missing; it comes with `pip install 'pydl[plot]'`.
        ValueError: A label has no name, or `y_true` and `y_pred` do not fit together.
    """
    counts = confusion_matrix(y_true, y_pred, None if class_names is None else len(class_names))
    classes = len(counts)
    names = [str(i) for i in range(classes)] if class_names is None else list(class_names)
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    side = max(3.6, 0.42 * classes + 1.6)
    figure = new_figure("plot_confusion_matrix", side + 0.8, side)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the row", fraction=0.046)
    upright = max(map(len, names), default=0) <= 3
    axes.set_xticks(range(classes), names, rotation=0 if upright else 45)
    if not upright:
        for label in axes.get_xticklabels():
            label.set_ha("right")
    axes.set_yticks(range(classes), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    right = np.trace(counts) / max(counts.sum(), 1)
    axes.set_title(f"{counts.sum():,} rows, {right:.2%} right", fontsize=10)
    if classes <= 30:
        for i in range(classes):
            for j in range(classes):
                if counts[i, j]:
                    text = f"{shares[i, j]:.2f}" if normalize else f"{counts[i, j]}"
                    color = "white" if shares[i, j] > 0.5 else "black"
                    axes.text(j, i, text, ha="center", va="center", color=color, fontsize=8)
    return finish(figure, path)
