"""The table that `summary` prints."""

from __future__ import annotations

from typing import Any


def summarize(model: Any, line_length: int | None = None, show_trainable: bool = False) -> str:
    """Return the table of a model's layers, output shapes and numbers of weights."""
    connections: list[str] = getattr(model, "_connections", list)()
    rows = _rows(model, connections if any(connections) else [], show_trainable)
    head = ["Layer (type)", "Output Shape", "Param #"]
    head += ["Connected to"] * any(connections) + ["Trainable"] * show_trainable
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


def _rows(model: Any, connections: list[str], show_trainable: bool) -> list[list[str]]:
    """Return a row of cells for each layer; `connections` are the cells of a column, or none."""
    layers = model.layers
    shapes = _output_shapes(model)
    rows: list[list[str]] = []
    for layer, shape in zip(layers, shapes, strict=True):
        count = f"{sum(w.size for w in layer.weights):,}" if layer.built else "0 (unbuilt)"
        row = [f"{layer.name} ({type(layer).__name__})", shape, count]
        if connections:
            row.append(connections[len(rows)])
        if show_trainable:
            row.append("Y" if layer.trainable else "N")
        rows.append(row)
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
    try:
        return _text(layer.output_shape)
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return "?"


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
