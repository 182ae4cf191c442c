"""Learning rate schedules by epoch, functions as callbacks, a log file, a stop at nan."""

from __future__ import annotations

import csv
import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from pydl.callbacks.base import Callback, Logs


class LearningRateScheduler(Callback):
    """Set the learning rate at the begin of each epoch.

    Args:
        schedule: (epoch, learning rate) -> learning rate, or (epoch) -> learning rate.
        verbose: 1: print each rate.

    >>> halve = LearningRateScheduler(lambda epoch, lr: lr / 2 if epoch else lr)
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        if not callable(schedule):
            raise TypeError(f"LearningRateScheduler: schedule must be callable, got {schedule!r}")
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        now = float(optimizer.learning_rate)
        rate = self.schedule(epoch, now) if _takes_two(self.schedule) else self.schedule(epoch)
        if np.ndim(rate) or np.asarray(rate).dtype.kind not in "iuf":
            raise TypeError(
                f"LearningRateScheduler: the schedule must return a number, got {rate!r}"
            )
        optimizer.learning_rate = float(rate)
        if self.verbose:
            print(f"Epoch {epoch + 1}: learning rate is {float(rate):g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


def _takes_two(function: Callable[..., Any]) -> bool:
    """Tell whether a function can be called with two positional arguments."""
    try:
        inspect.signature(function).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # no signature, as for some built-ins
        return True
    return True


class TerminateOnNaN(Callback):
    """Stop the training at the first batch whose loss is nan or infinite, and say where it arose.

    It keeps a copy of the weights, made before each batch, so that it can run the batch again and
    look at what each layer gives.

    Attributes:
        batch: Number of the batch in its epoch, None while all is well.
        layer: Name of the layer whose output or weights were the first that are not finite, None
            where it was the data or the loss.
    """

    batch: int | None = None
    layer: str | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.batch = self.layer = None
        self._weights: list[Any] = []
        self._before: list[np.ndarray] = []

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        if not self._weights:
            self._weights = list(getattr(self.model, "weights", ()))
            self._before = [np.empty_like(weight.numpy()) for weight in self._weights]
        for kept, weight in zip(self._before, self._weights, strict=True):
            np.copyto(kept, weight.numpy())

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        self.batch = batch
        where = ""
        if self._batch_data is not None and hasattr(self.model, "_find_nonfinite"):
            self.layer, how = self.model._find_nonfinite(self._batch_data, self._before)
            where = f": {how}" if self.layer is None else f", first in {self.layer!r}: {how}"
        print(f"Batch {batch}: the loss is {loss}{where}; training stops")
        self.model.stop_training = True


class LambdaCallback(Callback):
    """A callback made of functions, named as the hooks.

    >>> shout = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch))
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **kwargs: Callable[..., Any],
    ) -> None:
        super().__init__()
        hooks = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **kwargs,
        }
        for name, function in hooks.items():
            if not name.startswith("on_") or not hasattr(Callback, name):
                raise TypeError(f"LambdaCallback: there is no hook {name!r}")
            if function is not None:
                setattr(self, name, function)


class CSVLogger(Callback):
    """Write the logs of each epoch to a file: epoch (from 0), then the names in order.

    Args:
        filename: The file.
        separator: Between the columns.
        append: Add to the file rather than replace it.
    """

    def __init__(self, filename: str | Path, separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename = Path(filename)
        self.separator = separator
        self.append = append
        self._file: IO[str] | None = None
        self._keys: list[str] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._keys = []
        self._has_header = False
        if self.append and self.filename.exists():
            with open(self.filename, newline="", encoding="utf-8") as file:
                header = next(csv.reader(file, delimiter=self.separator), [])
            self._keys = header[1:]
            self._has_header = bool(header)
        self._file = open(  # noqa: SIM115  (closed at the end of the training)
            self.filename, "a" if self.append else "w", newline="", encoding="utf-8"
        )
        self._writer = csv.writer(self._file, delimiter=self.separator)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        if self._file is None:
            return
        if not self._keys:
            # Validation that has not run yet gets its columns from the start.
            self._keys = sorted(logs)
            if self.params.get("do_validation") and not any(k.startswith("val_") for k in logs):
                self._keys += [f"val_{key}" for key in self._keys]
        if not self._has_header:
            self._writer.writerow(["epoch", *self._keys])
            self._has_header = True
        self._writer.writerow([epoch, *(logs.get(key, "NA") for key in self._keys)])
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
