"""The table that `summary` prints."""

from __future__ import annotations

import itertools
from typing import Any

from pydl.layers.graph import shape_of


def summarize(
    model: Any,
    line_length: int | None = None,
    show_trainable: bool = False,
    expand_nested: bool = False,
) -> str:
    """Return the table of a model's layers, output shapes and numbers of weights."""
    cells = _rows(model, expand_nested)
    shown = [True, True, True, any(row[3] for row in cells), show_trainable]
    names = ["Layer (type)", "Output Shape", "Param #", "Connected to", "Trainable"]
    head, *rows = (list(itertools.compress(row, shown)) for row in [names, *cells])
    widths = [max(len(row[i]) for row in [head, *rows]) + 2 for i in range(len(head))]
    widths[0], widths[1] = max(widths[0], 30), max(widths[1], 22)
    if line_length is not None:
        fixed = widths[2:]
        room = max(line_length - sum(fixed) - 1, 20)
        widths = [room * 55 // 100, room - room * 55 // 100, *fixed]
    total = sum(widths) + 1

    def line(cells: list[str]) -> str:
        parts = []
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            cell = cell if len(cell) <= width - 1 else cell[: width - 2] + "…"
            parts.append(cell.rjust(width) if i == 2 else f" {cell}".ljust(width))
        return "".join(parts).rstrip()

    counts = _counts(model)
    return "\n".join(
        [
            f'Model: "{model.name}"',
            "_" * total,
            line(head),
            "=" * total,
            *(line(row) for row in rows),
            "=" * total,
            *(f"{name} params: {count:,} ({_bytes(size)})" for name, count, size in counts),
            "_" * total,
        ]
    )


def _rows(model: Any, expand_nested: bool, depth: int = 0) -> list[list[str]]:
    """Return the cells of all columns for each layer, "" where a layer's inputs are plain."""
    layers = model.layers
    connections = getattr(model, "_connections", list)() or [""] * len(layers)
    branch = "   " * depth + "└ " if depth else ""
    rows: list[list[str]] = []
    for layer, shape, inputs in zip(layers, _output_shapes(model), connections, strict=True):
        name = f"{branch}{layer.name} ({type(layer).__name__})"
        count = f"{sum(w.size for w in layer.weights):,}" if layer.built else "0 (unbuilt)"
        rows.append([name, shape, count, inputs, "Y" if layer.trainable else "N"])
        if expand_nested and hasattr(layer, "layers"):
            rows += _rows(layer, True, depth + 1)
    return rows


def _output_shapes(model: Any) -> list[str]:
    """Return the output shape of each layer as text, "?" where it is unknown."""
    specs_of = getattr(model, "_output_specs", None)
    if specs_of is not None:
        return [_text(shape) for shape in specs_of()]
    shapes_of = getattr(model, "_shapes", None)
    if shapes_of is not None and model.built:
        return [_text(shape) for shape in shapes_of(model.input_shape)]
    return [_output_shape(layer) for layer in model.layers]


def _output_shape(layer: Any) -> str:
    """Return the output shape of a layer that has been called, else "?"."""
    shape = shape_of(layer, "output_shape")
    return shape if shape == "?" else _text(shape)


def _text(shape: Any) -> str:
    """Return a shape, or several of them, as they are written."""
    if isinstance(shape, dict):
        return ", ".join(f"{key}: {_text(value)}" for key, value in shape.items())
    if isinstance(shape, list):
        return "[" + ", ".join(map(_text, shape)) + "]"
    return str(tuple(shape))


def _counts(model: Any) -> list[tuple[str, int, int]]:
    """Return (name, number of weights, bytes) of all, trainable and other weights."""
    groups = {
        "Total": model.weights,
        "Trainable": model.trainable_weights,
        "Non-trainable": model.non_trainable_weights,
    }
    return [
        (name, sum(w.size for w in group), sum(w.nbytes for w in group))
        for name, group in groups.items()
    ]


def _bytes(size: float) -> str:
    """Return a number of bytes in the unit that suits it."""
    for unit in ("B", "KB", "MB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} GB"
