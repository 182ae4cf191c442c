"""Callbacks that watch one quantity: early stopping, and a learning rate that falls."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from pydl import check
from pydl.callbacks.base import Callback, Logs, other_key
from pydl.warn import warn


class _Monitor(Callback):
    """What callbacks that watch one quantity share: which value is better."""

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            raise ValueError(
                f"{type(self).__name__}: mode must be 'auto', 'min' or 'max', got {mode!r}"
            )
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(min_delta)
        self._sign = {"min": -1.0, "max": 1.0}.get(mode, 0.0)

    def _find_direction(self) -> None:
        """Settle what 'auto' means for the monitored quantity."""
        if self._sign:
            return
        name = self.monitor.removeprefix("val_")
        if _is_named(name, _HIGHER_IS_BETTER):
            self._sign = 1.0
        elif name == "loss" or name.endswith("_loss") or _is_named(name, _LOWER_IS_BETTER):
            self._sign = -1.0
        else:
            raise ValueError(
                f"{type(self).__name__}: cannot tell whether a higher or a lower "
                f"{self.monitor!r} is better; pass mode='max' or mode='min'"
            )

    def _value(self, logs: Logs | None) -> float | None:
        """Return the monitored value, or warn and return None."""
        logs = logs or {}
        for key in (self.monitor, other_key(self.monitor)):
            if key in logs:
                return float(logs[key])
        names = ", ".join(logs) or "none"
        warn(f"{type(self).__name__}: {self.monitor!r} is not available; there are: {names}")
        return None

    def _improves(self, value: float, best: float) -> bool:
        """Tell whether a value is better than the best by more than min_delta."""
        return self._sign * (value - best) > self.min_delta

    def _worst(self) -> float:
        """Return what every value improves on."""
        return -self._sign * math.inf


_HIGHER_IS_BETTER = ("acc", "accuracy", "auc", "precision", "recall", "f1_score", "r2_score",
                     "mean_io_u", "iou", "true_positives", "true_negatives")  # fmt: skip
_LOWER_IS_BETTER = ("mse", "mae", "mape", "msle", "bce", "crossentropy", "error", "hinge",
                    "kl_divergence", "poisson", "log_cosh", "huber", "divergence",
                    "false_positives", "false_negatives")  # fmt: skip


def _is_named(name: str, endings: Iterable[str]) -> bool:
    """Tell whether a metric's name, without a counter, is or ends with one of the words."""
    stem, _, number = name.rpartition("_")
    name = stem if number.isdigit() else name
    return any(name == word or name.endswith(f"_{word}") for word in endings)


class EarlyStopping(_Monitor):
    """Stop when a quantity has not improved for `patience` epochs.

    Args:
        monitor: Name in the logs.
        min_delta: An improvement is a change for the better by more than this.
        patience: Epochs without improvement that are allowed.
        verbose: 1: print when it stops.
        mode: 'min', 'max', or 'auto': by the name.
        baseline: The value to improve on at first.
        restore_best_weights: At the end of training, also without a stop, go back to the weights
            of the best epoch.
        start_from_epoch: Epochs before it are not looked at.

    Each `fit` starts afresh, unless `BackupAndRestore` goes on with one that was interrupted.

    >>> stopper = EarlyStopping(monitor="val_loss", patience=2, restore_best_weights=True)
    """

    _kept = ("best", "best_epoch", "best_weights", "stopped_epoch", "wait")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = check.integer("EarlyStopping", "patience", patience)
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.best = math.nan
        self.best_epoch = 0
        self.best_weights: list[np.ndarray] | None = None
        self.stopped_epoch = 0
        self.wait = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._find_direction()
        self.best = self._worst()
        self.best_epoch = 0
        self.best_weights = None
        self.stopped_epoch = 0
        self.wait = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self._value(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights = self.model.get_weights()
            self.best_epoch = epoch
        self.wait += 1
        if self._improves(value, self.best):
            self.best = value
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._improves(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                print(f"Weights of the best epoch, {self.best_epoch + 1}, are restored")
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(_Monitor):
    """Multiply the learning rate by `factor` when a quantity has stopped improving.

    Args:
        monitor: Name in the logs.
        factor: Below 1.
        patience: Epochs without improvement that are allowed.
        verbose: 1: print each change.
        mode: 'min', 'max', or 'auto': by the name.
        min_delta: An improvement is a change for the better by more than this.
        cooldown: Epochs after a change that do not count.
        min_lr: Lower bound of the learning rate.

    Each `fit` starts afresh, unless `BackupAndRestore` goes on with one that was interrupted.

    Raises:
        ValueError: `factor` is not below 1.
    """

    _kept = ("best", "wait", "cooldown_counter")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if not 0 <= factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor must be in [0, 1), got {factor}")
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.best = math.nan
        self.wait = 0
        self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._find_direction()
        self.best = self._worst()
        self.wait = 0
        self.cooldown_counter = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = {} if logs is None else logs
        rate = float(self.model.optimizer.learning_rate)
        logs["learning_rate"] = rate
        value = self._value(logs)
        if value is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self._improves(value, self.best):
            self.best = value
            self.wait = 0
        elif self.cooldown_counter <= 0:
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                rate = max(rate * self.factor, self.min_lr)
                self.model.optimizer.learning_rate = rate
                self.cooldown_counter = self.cooldown
                self.wait = 0
                if self.verbose:
                    print(f"Epoch {epoch + 1}: learning rate reduced to {rate:g}")
