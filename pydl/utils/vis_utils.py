"""A model as a picture: boxes for layers, arrows for what flows between them."""

from __future__ import annotations

import html
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydl import check
from pydl.figures import new_figure
from pydl.layers.graph import activation_of, layer_graph, shape_of

_RANKDIRS = ("TB", "LR", "BT", "RL")


class _Shown(NamedTuple):
    """What the box of a layer shows besides its class."""

    shapes: bool
    dtype: bool
    names: bool
    activations: bool
    trainable: bool


class Dot:
    """A graph in the language of graphviz.

    Attributes:
        source: The text.
    """

    def __init__(self, source: str) -> None:
        self.source = source

    def to_string(self) -> str:
        """Return the text."""
        return self.source

    def render(self, format: str = "svg") -> bytes:
        """Return the picture that graphviz's `dot` makes, in a format such as "svg" or "png".

        Raises:
            FileNotFoundError: graphviz is not installed.
            ValueError: `dot` does not know the format.
        """
        program = shutil.which("dot")
        if program is None:
            raise FileNotFoundError(
                "Dot.render: needs the program dot; install graphviz (apt-get install graphviz, "
                "brew install graphviz, or graphviz.org)"
            )
        done = subprocess.run(
            [program, f"-T{format}"], input=self.source.encode(), capture_output=True, check=False
        )
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            raise ValueError(f"Dot.render: dot failed: {lines[0] if lines else done.returncode}")
        return done.stdout

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Return what notebooks show."""
        if shutil.which("dot") is None:
            return {"text/plain": self.source}
        return {"image/svg+xml": self.render("svg").decode()}


def model_to_dot(
    model: Any,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
) -> Dot:
    """A model as a graph in the language of graphviz; the arguments are those of `plot_model`.

    Example:
        >>> import pydl
        >>> model = pydl.Sequential([pydl.Input((3,)), pydl.layers.Dense(2, name="out")])
        >>> "out" in pydl.utils.model_to_dot(model, show_layer_names=True).source
        True
    """
    shown = _Shown(
        show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable
    )
    layers, edges = _graph("model_to_dot", model, rankdir, expand_nested)
    return _dot(_boxes(layers, shown), edges, rankdir, dpi)


def _dot(boxes: dict[str, list[str]], edges: list[tuple[str, str]], rankdir: str, dpi: int) -> Dot:
    """Return a graph of boxes, each with its lines, under their paths."""
    lines = [
        "digraph model {",
        f'rankdir={rankdir}; dpi={dpi}; node [shape=plain, fontname="Helvetica"];',
    ]
    ids = {path: f"n{i}" for i, path in enumerate(boxes)}
    for path, (head, *rest) in boxes.items():
        cells = [f'<tr><td bgcolor="#1f3b5c"><font color="white">{html.escape(head)}</font></td>']
        cells += [f"<tr><td>{html.escape(text)}</td>" for text in rest]
        table = '<table border="0" cellborder="1" cellspacing="0" cellpadding="6">'
        lines.append(f"{ids[path]} [label=<{table}{'</tr>'.join(cells)}</tr></table>>];")
    lines += _clusters(ids, "")
    lines += [f"{ids[a]} -> {ids[b]};" for a, b in edges]
    return Dot("\n".join([*lines, "}\n"]))


def _clusters(ids: dict[str, str], prefix: str) -> Iterator[str]:
    """Yield a frame around the layers of each model inside another."""
    inside: dict[str, dict[str, str]] = {}
    for path, key in ids.items():
        name, slash, _ = path.removeprefix(prefix).partition("/")
        if slash:
            inside.setdefault(name, {})[path] = key
    for name, members in inside.items():
        frame = f"cluster_{next(iter(members.values()))}_{prefix.count('/')}"
        yield f'subgraph {frame} {{ label="{_quoted(name)}"; style=dashed; fontname="Helvetica";'
        yield f"{' '.join(f'{key};' for key in members.values())}"
        yield from _clusters(members, f"{prefix}{name}/")
        yield "}"


def _quoted(text: str) -> str:
    """Return a text as it stands between quotation marks."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def plot_model(
    model: Any,
    to_file: str | Path | None = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
) -> Dot:
    """Draw the layers of a model as boxes, with arrows for what flows between them.

    Graphviz's `dot` makes the picture where it is installed, else matplotlib.

    Args:
        model: A model.
        to_file: Where the picture goes; its ending tells the format: .png, .svg, .pdf, or .dot for
            the text. None writes nothing.
        show_shapes: Show the shapes of inputs and outputs.
        show_dtype: Show the float type of the layers.
        show_layer_names: Show the names of the layers, not only their classes.
        rankdir: Where the arrows point: 'TB' down, 'LR' to the right, 'BT' up, 'RL' to the left.
        expand_nested: Draw the layers of models inside the model.
        dpi: Dots in an inch.
        show_layer_activations: Show the activations.
        show_trainable: Show which layers are trained.

    Returns:
        The graph, which a notebook shows.

    Raises:
        TypeError: Not a model.
        ValueError: Unknown `rankdir` or ending of `to_file`, or a model without layers.
        ImportError: Neither graphviz nor matplotlib is installed.

    >>> import pydl
    >>> model = pydl.Sequential([pydl.Input((3,)), pydl.layers.Dense(2)])
    >>> "(None, 2)" in plot_model(model, to_file=None, show_shapes=True).source
    True
    """
    shown = _Shown(
        show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable
    )
    layers, edges = _graph("plot_model", model, rankdir, expand_nested)
    boxes = _boxes(layers, shown)
    dot = _dot(boxes, edges, rankdir, dpi)
    if to_file is None:
        return dot
    path = Path(to_file)
    kind = path.suffix[1:].lower()
    if kind in ("dot", "gv"):
        path.write_text(dot.source, encoding="utf-8")
    elif kind not in ("png", "svg", "pdf", "jpg", "jpeg"):
        raise ValueError(
            f"plot_model: to_file must end in .png, .svg, .pdf, .jpg or .dot, got {str(to_file)!r}"
        )
    elif shutil.which("dot") is not None:
        path.write_bytes(dot.render(kind))
    else:
        _draw(boxes, edges, rankdir).savefig(path, dpi=dpi)
    return dot


def _graph(
    who: str, model: Any, rankdir: str, expand: bool
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the layers and edges of a model after checks."""
    if not hasattr(model, "layers"):
        raise TypeError(f"{who}: expected a model, got {type(model).__name__}")
    check.choice(who, "rankdir", rankdir, _RANKDIRS)
    layers, edges = layer_graph(model, expand)
    if not layers:
        raise ValueError(f"{who}: the model {model.name!r} has no layers yet")
    return layers, edges


def _boxes(layers: dict[str, Any], shown: _Shown) -> dict[str, list[str]]:
    """Return what stands in the box of each layer, line by line."""
    return {path: _lines(path, layer, shown) for path, layer in layers.items()}


def _lines(path: str, layer: Any, shown: _Shown) -> list[str]:
    """Return what stands in the box of a layer."""
    kind = type(layer).__name__
    lines = [f"{path.rpartition('/')[2]} ({kind})" if shown.names else kind]
    activation = activation_of(layer)
    if shown.activations and activation:
        lines.append(f"Activation: {activation}")
    if shown.shapes:
        lines.append(f"Input shape: {shape_of(layer, 'input_shape')}")
        lines.append(f"Output shape: {shape_of(layer, 'output_shape')}")
    if shown.dtype:
        lines.append(f"Dtype: {layer.dtype}")
    if shown.trainable:
        lines.append("Trainable" if layer.trainable else "Non-trainable")
    return lines


def _draw(boxes: dict[str, list[str]], edges: list[tuple[str, str]], rankdir: str) -> Any:
    """Return a figure of the graph: each layer as far from the inputs as its longest path."""
    depth = dict.fromkeys(boxes, 0)
    for _ in boxes:  # as many rounds as the longest path has edges, at most
        before = dict(depth)
        for a, b in edges:
            if a != b:
                depth[b] = max(depth[b], min(depth[a] + 1, len(boxes)))
        if depth == before:
            break
    rows: dict[int, list[str]] = {}
    for path, level in depth.items():
        rows.setdefault(level, []).append(path)
    wide = 0.085 * max(len(text) for lines in boxes.values() for text in lines) + 0.6
    high = 0.24 * max(map(len, boxes.values())) + 0.7
    across = rankdir in ("LR", "RL")
    most, levels = max(map(len, rows.values())), max(rows) + 1
    place = {}
    for level, paths in rows.items():
        for i, path in enumerate(paths):
            side = (i + 0.5) * most / len(paths)
            along = level + 0.5 if rankdir in ("LR", "BT") else levels - level - 0.5
            place[path] = (along * wide, side * high) if across else (side * wide, along * high)
    width, height = (levels * wide, most * high) if across else (most * wide, levels * high)
    figure = new_figure("plot_model (without graphviz)", width, height)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.axis("off")
    boxed = {}
    for path, (x, y) in place.items():
        boxed[path] = axes.text(
            x, y, "\n".join(boxes[path]), ha="center", va="center", fontsize=8,
            bbox={"boxstyle": "square,pad=0.5", "facecolor": "#dce6f2", "edgecolor": "#1f3b5c"},
        )  # fmt: skip
    for a, b in edges:
        bend = 0.7 if depth[b] - depth[a] > 1 else 0.0  # past the boxes between
        axes.annotate(
            "", place[b], place[a],
            arrowprops={
                "arrowstyle": "->",
                "connectionstyle": f"arc3,rad={bend}",
                "patchA": boxed[a].get_bbox_patch(),
                "patchB": boxed[b].get_bbox_patch(),
            },
        )  # fmt: skip
    return figure
