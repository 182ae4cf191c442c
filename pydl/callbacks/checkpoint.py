"""Callbacks that write files: checkpoints of the model, and a backup to go on from."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from pydl import random
from pydl.callbacks.base import Callback, Logs, other_key
from pydl.callbacks.monitors import _Monitor
from pydl.registry import NameCounter
from pydl.saving import container, state
from pydl.saving.files import checked_path
from pydl.saving.plain import pack, unpack


def _frequency(who: str, save_freq: Any) -> int | None:
    """Return the number of batches between two files, None for one each epoch."""
    if save_freq == "epoch":
        return None
    if isinstance(save_freq, bool) or not isinstance(save_freq, int) or save_freq < 1:
        raise ValueError(
            f"{who}: save_freq must be 'epoch' or a positive number of batches, got {save_freq!r}"
        )
    return save_freq


class ModelCheckpoint(_Monitor):
    """Save the model, or its weights, after each epoch or every so many batches.

    Each file takes the place of an older one of its name when it is complete; see `Model.save`.
    Put it behind callbacks that change the learning rate.

    Args:
        filepath: The file, best with the ending ".safetensors". "{epoch:02d}", counted from 1,
            "{batch}", counted from 1, and the names in the logs, as "{val_loss:.3f}", are filled
            in. Its folder is made if it is missing.
        monitor: Name in the logs, for `save_best_only`.
        verbose: 1: print what is saved.
        save_best_only: Save only when the monitored quantity is better than ever, also in earlier
            calls of `fit`.
        save_weights_only: Save the weights alone, for `model.load_weights`.
        mode: 'min', 'max', or 'auto': by the name.
        save_freq: 'epoch', or a number of batches.
        initial_value_threshold: The value to be better than at first.

    Raises:
        ValueError: An ending of another format, or a bad mode or frequency.

    >>> keep_best = ModelCheckpoint("runs/best.safetensors", save_best_only=True)
    """

    _kept = ("best", "_batches")

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, 0.0)
        self.filepath = str(checked_path("ModelCheckpoint", filepath))
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self.initial_value_threshold = initial_value_threshold
        self.best = math.nan
        self._every = _frequency("ModelCheckpoint", save_freq)
        self._epoch = 0
        self._batches = 0  # since the last file
        if self._every is not None:
            self.on_train_batch_end = self._count_batch  # type: ignore[method-assign]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if self.save_best_only and math.isnan(self.best):
            self._find_direction()
            threshold = self.initial_value_threshold
            self.best = self._worst() if threshold is None else float(threshold)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def _count_batch(self, batch: int, logs: Logs | None = None) -> None:
        """Save when there were enough batches."""
        self._batches += 1
        if self._batches == self._every:
            self._batches = 0
            self._save({"epoch": self._epoch + 1, "batch": batch + 1}, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self._every is None:
            self._save({"epoch": epoch + 1}, logs or {})

    def _save(self, place: dict[str, int], logs: Logs) -> None:
        """Save the model, if it is to be saved now."""
        at = ", ".join(f"{name} {number}" for name, number in place.items()).capitalize()
        news, value = "", None
        if self.save_best_only:
            value = self._value(logs)
            if value is None:
                return
            if not self._improves(value, self.best):
                if self.verbose:
                    print(f"{at}: {self.monitor} did not improve from {self.best:.5g}")
                return
            news = f"{self.monitor} improved from {self.best:.5g} to {value:.5g}, "
        path = self._path({**{other_key(key): v for key, v in logs.items()}, **logs, **place})
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        if self.save_best_only and value is not None:
            self.best = value
        if self.verbose:
            print(f"{at}: {news}saved to {path}")

    def _path(self, names: dict[str, Any]) -> Path:
        """Return the path with the names filled in."""
        try:
            return Path(self.filepath.format(**names))
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(
                f"ModelCheckpoint: cannot fill in {self.filepath!r}: {error}; there are: "
                f"{', '.join(names)}"
            ) from error


class BackupAndRestore(Callback):
    """Write all that the training has changed to a folder; the same `fit` goes on from there.

    A script that was killed is started again as it was; `fit` then finds the backup and goes on
    with the same bits as if it had never stopped, where the data are arrays. With a `save_freq` in
    batches this holds inside an epoch too. The backup holds weights, optimizer, random generators
    (the global one as well), metrics, and the state of `History`, `EarlyStopping`,
    `ReduceLROnPlateau`, `ModelCheckpoint`, and of other callbacks that name attributes in `_kept`.
    `LearningRateScheduler` needs none: the rate is the optimizer's. Not held are the position of a
    generator, and the random numbers of Python and NumPy.

    It runs after all other callbacks. The hyperparameters are those of the script.

    Args:
        backup_dir: The folder, for one training alone.
        save_freq: 'epoch', or a number of batches.
        delete_checkpoint: Remove the backup when the training has come to its end.

    Raises:
        ValueError: In `fit`: the backup is of another model.

    >>> keep_going = BackupAndRestore("runs/backup")
    """

    runs_last = True

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not str(backup_dir):
            raise ValueError("BackupAndRestore: backup_dir must name a folder")
        self.backup_dir = Path(backup_dir)
        self.save_freq = save_freq
        self.delete_checkpoint = delete_checkpoint
        self._every = _frequency("BackupAndRestore", save_freq)
        self._epoch = 0
        self._batches = 0  # since the last backup
        self._others: dict[str, Callback] = {}
        self._inside: tuple[int, tuple[Any, Any]] | None = None  # an epoch to go on inside of
        if self._every is not None:
            self.on_train_batch_end = self._count_batch  # type: ignore[method-assign]

    @property
    def path(self) -> Path:
        """The file of the backup."""
        return self.backup_dir / "training.safetensors"

    def set_callbacks(self, callbacks: list[Any]) -> None:
        """Take the callbacks whose state belongs to the backup."""
        names = NameCounter()
        self._others = {
            names.next(type(callback).__name__): callback
            for callback in callbacks
            if isinstance(callback, Callback) and callback is not self
        }

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._batches = 0
        self._inside = None
        if not self.path.exists():
            return
        content, arrays = self._read()
        epoch, batch = content["position"]
        if content["stopped"]:
            epoch, batch = self.params["epochs"], 0
        elif batch:
            self._inside = epoch, (content, arrays)
        self.model._start_at = epoch, batch

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch
        if self._inside is not None and self._inside[0] == epoch:
            # Once more, after what the other callbacks do at the begin of an epoch.
            self._restore(*self._inside[1])
        self._inside = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self._every is None:
            self._back_up(epoch + 1, 0)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.delete_checkpoint and self.path.exists():
            self.path.unlink()
            if not any(self.backup_dir.iterdir()):
                self.backup_dir.rmdir()

    def _count_batch(self, batch: int, logs: Logs | None = None) -> None:
        """Write the backup when there were enough batches."""
        self._batches += 1
        if self._batches == self._every:
            self._batches = 0
            self._back_up(self._epoch, batch + 1)

    def _back_up(self, epoch: int, batch: int) -> None:
        """Write the backup; `fit` shall go on at this batch."""
        who = "BackupAndRestore"
        arrays, numbers = state.capture(self.model)
        callbacks = {name: callback.get_state() for name, callback in self._others.items()}
        metrics = [metric.get_state() for metric in self.model.metrics] if batch else []
        content = {
            "kind": "backup",
            "position": [epoch, batch],
            "stopped": bool(self.model.stop_training),
            "training": numbers,
            "callbacks": pack(who, callbacks, "callbacks", arrays),
            "metrics": pack(who, metrics, "metrics", arrays),
        }
        self.backup_dir.mkdir(parents=True, exist_ok=True)
        container.write(who, self.path, content, arrays)

    def _read(self) -> tuple[dict[str, Any], state.Arrays]:
        """Return what the backup holds, after it is restored."""
        content, arrays = container.read("BackupAndRestore", self.path)
        try:
            if content.get("kind") != "backup":
                raise ValueError(f"the file holds {content.get('kind')!r}, not a backup")
            self._restore(content, arrays)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"BackupAndRestore: {str(self.path)!r} does not fit this training: {error}; remove "
                "it to start afresh"
            ) from error
        return content, arrays

    def _restore(self, content: dict[str, Any], arrays: state.Arrays) -> None:
        """Set what the training has changed."""
        own = ("weights/", "optimizer/", "random/")
        trained = {name: array for name, array in arrays.items() if name.startswith(own)}
        state.restore("BackupAndRestore", self.model, trained, content["training"])
        random.set_global_state(arrays[state.GLOBAL_RANDOM])
        for name, kept in unpack(content["callbacks"], arrays).items():
            if name in self._others:
                self._others[name].set_state(kept)
        kept_metrics = unpack(content["metrics"], arrays)
        if kept_metrics:
            for metric, kept in zip(self.model.metrics, kept_metrics, strict=True):
                metric.set_state(kept)
