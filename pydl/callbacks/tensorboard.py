"""TensorBoard: the curves, weights and graph of a training."""

from __future__ import annotations

import time
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from pydl import check
from pydl.callbacks.base import Callback, Logs
from pydl.layers.graph import inner_layers
from pydl.registry import free_name
from pydl.tensorboard import SummaryWriter


class TensorBoard(Callback):
    """Write what a training does for TensorBoard, which shows it: `tensorboard --logdir logs`.

    Written are, into the folders `train` and `validation` of `log_dir`, as Keras does: after each
    epoch `epoch_<name>` of the loss, of each metric and of the learning rate, at the number of the
    epoch; after each validation and `evaluate` `evaluation_<name>_vs_iterations`, at the number of
    updates; and what the arguments ask for.

    Args:
        log_dir: Folder of the run.
        histogram_freq: Write histograms of the weights, `<layer>/<weight>/histogram`, every so
            many epochs; 0: never.
        write_graph: Write the layers and how they are connected.
        write_images: Write the weights as pictures too, `<layer>/<weight>/image`, with the
            histograms.
        write_steps_per_second: Write `epoch_steps_per_second`, and `batch_steps_per_second` where
            `update_freq` asks for values of batches.
        update_freq: 'epoch'; or 'batch', or an integer n: write `batch_<name>` after every batch,
            or every n batches, too, which slows the training down.
        profile_batch: Must be 0; `model.plan(x, y).profile()` shows what a step consists of.
        embeddings_freq: Write the matrices of Embedding layers every so many epochs; 0: never.
        embeddings_metadata: File with a label for each row of the embeddings, relative to the
            folder `train`; or {layer name: file}.

    Raises:
        ImportError: In `fit` and `evaluate`: tensorboard is missing; it comes with
            `pip install 'pydl[tensorboard]'`.
        ValueError: An argument out of range.

    >>> from pydl.callbacks import TensorBoard
    >>> callback = TensorBoard("logs/first", histogram_freq=1)
    """

    def __init__(
        self,
        log_dir: str | Path = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: int | str = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: str | Path | Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        who = "TensorBoard"
        for name, value in (
            ("histogram_freq", histogram_freq),
            ("embeddings_freq", embeddings_freq),
        ):
            if check.integer(who, name, value) < 0:
                raise ValueError(f"{who}: {name} must not be negative, got {value}")
        if update_freq not in ("epoch", "batch"):
            if isinstance(update_freq, str):
                raise ValueError(
                    f"{who}: update_freq must be 'epoch', 'batch' or an integer, "
                    f"got {update_freq!r}"
                )
            check.positive_integer(who, "update_freq", update_freq)
        if profile_batch not in (0, None, False):
            raise ValueError(
                f"{who}: profile_batch must be 0, got {profile_batch!r}; use "
                "model.plan(x, y).profile() to see what a step consists of"
            )
        self.log_dir = str(log_dir)
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.write_images = write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = 1 if update_freq == "batch" else update_freq
        self.embeddings_freq = embeddings_freq
        self.embeddings_metadata = embeddings_metadata
        self._writers: dict[str, SummaryWriter] = {}
        self._training = False
        self._batches = 0
        if update_freq == "epoch":  # then batches may run many at a time
            own = ("on_train_batch_begin", "on_train_batch_end")
            self._idle_hooks = {h for h in own if getattr(type(self), h) is getattr(TensorBoard, h)}

    def _writer(self, run: str) -> SummaryWriter:
        """Return the writer of "train" or "validation"."""
        if run not in self._writers:
            self._writers[run] = SummaryWriter(Path(self.log_dir) / run)
        return self._writers[run]

    def _close(self) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _scalars(self, run: str, prefix: str, logs: Logs, suffix: str, step: int) -> None:
        """Write the numbers among some logs."""
        for name, value in logs.items():
            if isinstance(value, Real):
                self._writer(run).scalar(f"{prefix}_{name}{suffix}", value, step)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._close()  # of a training that ended with an error
        self._training = True
        self._batches = 0
        writer = self._writer("train")  # a missing package is found before the first epoch
        if self.write_graph:
            writer.graph(self.model)
            writer.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._training = False
        self._close()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch_start = time.perf_counter(), self._iterations()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        train = {key: value for key, value in logs.items() if not key.startswith("val_")}
        held_out = {key[4:]: value for key, value in logs.items() if key.startswith("val_")}
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is not None:
            train["learning_rate"] = float(optimizer.learning_rate)
        if self.write_steps_per_second:
            start, iterations = self._epoch_start
            seconds = max(time.perf_counter() - start, 1e-9)
            train["steps_per_second"] = (self._iterations() - iterations) / seconds
        self._scalars("train", "epoch", train, "", epoch)
        self._scalars("validation", "epoch", held_out, "", epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._write_embeddings()
        for writer in self._writers.values():
            writer.flush()

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._batch_start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if isinstance(self.update_freq, str) or self._batches % self.update_freq:
            return
        values = dict(logs or {})
        if self.write_steps_per_second:
            seconds = max(time.perf_counter() - self._batch_start, 1e-9)
            values["steps_per_second"] = 1 / seconds
        self._scalars("train", "batch", values, "", self._batches)

    def on_test_end(self, logs: Logs | None = None) -> None:
        step = self._iterations()
        self._scalars("validation", "evaluation", logs or {}, "_vs_iterations", step)
        if not self._training:
            self._close()

    def _iterations(self) -> int:
        """Return how many updates the optimizer has made."""
        optimizer = getattr(self.model, "optimizer", None)
        return 0 if optimizer is None else int(np.asarray(optimizer.iterations))

    def _write_weights(self, epoch: int) -> None:
        """Write histograms, and pictures, of all weights."""
        writer, used = self._writer("train"), set[str]()
        for path, layer in inner_layers(self.model):
            for weight in layer.weights:
                tag = free_name(f"{path}/{weight.name or 'weight'}", used)
                used.add(tag)  # a layer may hold two layers with weights of one name
                values = weight.numpy()
                writer.histogram(f"{tag}/histogram", values, epoch)
                picture = _picture(values) if self.write_images else None
                if picture is not None:
                    writer.image(f"{tag}/image", picture, epoch)

    def _write_embeddings(self) -> None:
        """Write the matrices of the Embedding layers."""
        given = self.embeddings_metadata
        for path, layer in inner_layers(self.model):
            if hasattr(layer, "embeddings"):
                file = given.get(layer.name) if isinstance(given, Mapping) else given
                self._writer("train").embedding(path, layer.embeddings.numpy(), file)


def _picture(values: np.ndarray) -> np.ndarray | None:
    """Return a weight as pictures, as Keras does, its values stretched to [0, 1]."""
    w = np.squeeze(values).astype(np.float64)
    if not w.size or not 1 <= w.ndim <= 4:
        return None
    if w.ndim == 1:
        w = w[None, :, None]
    elif w.ndim == 2:
        w = (w.T if w.shape[0] > w.shape[1] else w)[..., None]
    elif w.ndim == 3:  # a picture for each filter
        w = w.transpose(2, 0, 1)[..., None]
    elif w.shape[-1] not in (1, 3, 4):
        return None
    finite = w[np.isfinite(w)]
    if not finite.size:
        return None
    low, high = finite.min(), finite.max()
    return (w - low) / (high - low if high > low else 1.0)
