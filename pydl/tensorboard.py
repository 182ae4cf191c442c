"""SummaryWriter: numbers, histograms, pictures and graphs for TensorBoard to show.

The files are written by the `tensorboard` package, which is imported when it is first needed;
TensorFlow is not.
"""

from __future__ import annotations

import functools
import importlib
import io
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from pydl import check
from pydl.figures import histogram_range
from pydl.layers.graph import activation_of, layer_graph, shape_of
from pydl.tensor import to_array
from pydl.warn import warn


@functools.cache
def _package() -> Any:
    """Return what is needed of the tensorboard package.

    Raises:
        ImportError: It is missing; it comes with `pip install 'pydl[tensorboard]'`.
    """
    protos = ("attr_value", "event", "graph", "summary", "tensor_shape", "types")
    try:
        found = {
            name: importlib.import_module(f"tensorboard.compat.proto.{name}_pb2") for name in protos
        }
        writer = importlib.import_module("tensorboard.summary.writer.event_file_writer")
    except ImportError as error:
        raise ImportError(
            "SummaryWriter: needs the package tensorboard; install it with "
            "pip install 'pydl[tensorboard]'"
        ) from error
    return SimpleNamespace(EventFileWriter=writer.EventFileWriter, **found)


class SummaryWriter:
    """Writes what TensorBoard shows: `tensorboard --logdir logs`.

    Everything has a tag, under which it is found, and a step, the place on the horizontal axis.
    Tags with a common part before "/" are shown together.

    Args:
        log_dir: Folder of the run, made if it is missing; each writer adds a file to it. Folders
            beside each other are runs that TensorBoard compares.

    Raises:
        ImportError: tensorboard is missing; it comes with `pip install 'pydl[tensorboard]'`.

    >>> import tempfile
    >>> from pydl.tensorboard import SummaryWriter
    >>> with tempfile.TemporaryDirectory() as folder, SummaryWriter(folder) as writer:
    ...     for step in range(3):
    ...         writer.scalar("loss", 1 / (step + 1), step)
    """

    def __init__(self, log_dir: str | Path = "logs") -> None:
        self._package = _package()
        self.log_dir = str(log_dir)
        self._writer: Any = self._package.EventFileWriter(self.log_dir)

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def scalar(self, tag: str, value: Any, step: int) -> None:
        """Write a number: an int, a float, or an array or Tensor of one element.

        Raises:
            TypeError: Not a number.
        """
        number = _numbers("scalar", tag, value)
        if number.size != 1:
            raise TypeError(
                f"SummaryWriter.scalar: {tag!r} must be one number, got shape {number.shape}; "
                "use histogram for many"
            )
        self._add(tag, step, simple_value=float(number.reshape(())))

    def histogram(self, tag: str, values: Any, step: int, buckets: int = 30) -> None:
        """Write how values are distributed over so many buckets of equal width.

        Values that are nan or infinite are left out; a warning says so if no others are left.
        """
        check.positive_integer("SummaryWriter.histogram", "buckets", buckets)
        flat = _numbers("histogram", tag, values).reshape(-1)
        finite = flat[np.isfinite(flat)].astype(np.float64)
        if not finite.size:
            warn(
                f"SummaryWriter.histogram: {tag!r} has no finite values at step {step}, "
                "nothing is written"
            )
            return
        counts, edges = np.histogram(finite, buckets, histogram_range(finite, buckets))
        with np.errstate(over="ignore"):
            squares = np.square(finite).sum()
        histogram = self._package.summary.HistogramProto(
            min=finite.min(),
            max=finite.max(),
            num=finite.size,
            sum=finite.sum(),
            sum_squares=squares,
            bucket_limit=edges[1:],
            bucket=counts,
        )
        self._add(tag, step, histo=histogram)

    def image(self, tag: str, image: Any, step: int) -> None:
        """Write a picture, or several of one size.

        Args:
            tag, step: See the class.
            image: (H, W), (H, W, C) or (N, H, W, C) with C of 1, 3 or 4 (grey, RGB, RGBA); uint8,
                or floats in [0, 1], which are clipped to that.

        Raises:
            ValueError: Another shape.
        """
        pixels = _numbers("image", tag, image)
        if pixels.ndim == 2:
            pixels = pixels[..., None]
        if pixels.ndim == 3:
            pixels = pixels[None]
        if pixels.ndim != 4 or pixels.shape[-1] not in (1, 3, 4) or 0 in pixels.shape:
            raise ValueError(
                f"SummaryWriter.image: {tag!r} must be (H, W), (H, W, C) or (N, H, W, C) with C "
                f"of 1, 3 or 4, got {np.shape(image)}"
            )
        if pixels.dtype != np.uint8:
            floats = np.nan_to_num(pixels.astype(np.float64), nan=0.0, posinf=1.0, neginf=0.0)
            pixels = np.round(np.clip(floats, 0, 1) * 255).astype(np.uint8)
        height, width = pixels.shape[1:3]
        sizes = [str(width).encode(), str(height).encode()]
        metadata = importlib.import_module("tensorboard.plugins.image.metadata")
        tensor_util = importlib.import_module("tensorboard.util.tensor_util")
        strings = np.array([*sizes, *map(_png, pixels)], object)
        self._add(
            tag,
            step,
            tensor=tensor_util.make_tensor_proto(strings),
            metadata=metadata.create_summary_metadata("", ""),
        )

    def graph(self, model: Any) -> None:
        """Write the layers of a model and what flows between them, for the tab Graphs.

        Raises:
            TypeError: Not a model.
        """
        if not hasattr(model, "layers"):
            raise TypeError(f"SummaryWriter.graph: expected a model, got {type(model).__name__}")
        layers, edges = layer_graph(model, expand=True)
        graph = self._package.graph.GraphDef()
        graph.versions.producer = 22
        nodes = {}
        for path, layer in layers.items():
            node = graph.node.add(name=path, op=type(layer).__name__)
            self._describe(node, layer)
            nodes[path] = node
        for source, path in edges:
            nodes[path].input.append(source)
        event = self._package.event.Event(
            wall_time=time.time(), graph_def=graph.SerializeToString()
        )
        self._open().add_event(event)

    def _describe(self, node: Any, layer: Any) -> None:
        """Add what the Graphs tab shows of a layer: its shape, number of weights, activation."""
        shapes = shape_of(layer, "output_shape")
        if isinstance(shapes, tuple) and all(n is None or isinstance(n, int) for n in shapes):
            shape = self._package.tensor_shape.TensorShapeProto()
            for n in shapes:
                shape.dim.add(size=-1 if n is None else n)
            node.attr["_output_shapes"].list.shape.append(shape)
        texts = {
            "shape": str(shapes),
            "trainable": str(layer.trainable),
            "activation": activation_of(layer),
        }
        if layer.built:
            texts["weights"] = ", ".join(f"{w.name} {w.shape}" for w in layer.weights)
            texts["params"] = f"{layer.count_params():,}"
        for name, text in texts.items():
            if text:
                node.attr[name].s = text.encode()

    def embedding(self, tag: str, matrix: Any, metadata_path: str | Path | None = None) -> None:
        """Write a matrix (n, size) of n points for the tab Projector, in place of an older one.

        Args:
            tag: Name of the matrix.
            matrix: One row for each point.
            metadata_path: A file with a line for each point, its label, relative to the folder of
                the run.
        """
        rows = _numbers("embedding", tag, matrix)
        if rows.ndim != 2:
            raise ValueError(
                f"SummaryWriter.embedding: {tag!r} must be (n, size), got {rows.shape}"
            )
        self._open()
        folder = Path(self.log_dir)
        file = f"{tag.replace('/', '_')}.tsv"
        np.savetxt(folder / file, rows, "%.7g", "\t")
        projector = importlib.import_module("tensorboard.plugins.projector")
        text_format = importlib.import_module("google.protobuf.text_format")
        config, path = projector.ProjectorConfig(), folder / "projector_config.pbtxt"
        if path.exists():
            text_format.Parse(path.read_text(encoding="utf-8"), config)
        known = [entry for entry in config.embeddings if entry.tensor_name == tag]
        entry = known[0] if known else config.embeddings.add(tensor_name=tag)
        entry.tensor_path = file
        if metadata_path is not None:
            entry.metadata_path = str(metadata_path)
        path.write_text(text_format.MessageToString(config), encoding="utf-8")

    def flush(self) -> None:
        """Bring what was written to the disk; this happens every two minutes by itself."""
        self._open().flush()

    def close(self) -> None:
        """Flush and close the file; the writer cannot be used any more."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self) -> Any:
        """Return the open file."""
        if self._writer is None:
            raise ValueError(f"SummaryWriter: the writer of {self.log_dir!r} is closed")
        return self._writer

    def _add(self, tag: str, step: int, **value: Any) -> None:
        """Write a value under a tag."""
        if not isinstance(tag, str) or not tag:
            raise TypeError(f"SummaryWriter: tag must be a text that is not empty, got {tag!r}")
        summary = self._package.summary.Summary
        event = self._package.event.Event(
            wall_time=time.time(),
            step=check.integer("SummaryWriter", "step", step),
            summary=summary(value=[summary.Value(tag=tag, **value)]),
        )
        self._open().add_event(event)


def _numbers(method: str, tag: Any, value: Any) -> npt.NDArray[Any]:
    """Return numbers as an array."""
    return np.asarray(to_array(value, None, f"SummaryWriter.{method}: {tag!r}"))


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return a picture (H, W, C) as a PNG file."""
    image = importlib.import_module("PIL.Image")  # Pillow comes with tensorboard
    buffer = io.BytesIO()
    image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "PNG")
    return buffer.getvalue()
