"""Callback: the hooks; CallbackList: several callbacks as one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

Logs = dict[str, Any]

_SPELLINGS = {
    "acc": "accuracy",
    "mae": "mean_absolute_error",
    "mse": "mean_squared_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
}
OTHER_SPELLING = {**_SPELLINGS, **{long: short for short, long in _SPELLINGS.items()}}


def other_key(key: str) -> str:
    """Return the other spelling of a key of the logs: val_acc for val_accuracy; else the key."""
    prefix, name = ("val_", key[4:]) if key.startswith("val_") else ("", key)
    return prefix + OTHER_SPELLING.get(name, name)


class Callback:
    """Base of the callbacks: subclasses override the hooks they need.

    Attributes:
        model: The model that runs, set before the first hook.
        params: {"epochs": ..., "steps": ..., "verbose": ...} of the run.

    `logs` maps names to numbers. What a hook adds to the logs of an epoch is recorded by `History`.
    Setting `self.model.stop_training = True` ends the training after the current epoch, or after
    the batch when it is done in a batch hook.

    >>> class Shout(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print(f"epoch {epoch} done")
    """

    _kept: tuple[str, ...] = ()  # attributes that a training which goes on needs again
    runs_last = False  # after all other callbacks, also those of `fit` itself
    _batch_data: Callable[[], Any] | None = None  # see CallbackList.batch
    _idle_hooks: Collection[str] = ()  # batch hooks of the class that this object does not need

    def __init__(self) -> None:
        self.model: Any = None
        self.params: dict[str, Any] = {}

    def set_params(self, params: dict[str, Any]) -> None:
        """Take the parameters of the run."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Take the model of the run."""
        self.model = model

    def get_state(self) -> dict[str, Any]:
        """Return what the callback has found out, for a training that goes on later.

        Numbers, strings, arrays, and lists and dictionaries of them; see `BackupAndRestore`.
        """
        return {name: getattr(self, name) for name in self._kept}

    def set_state(self, state: dict[str, Any]) -> None:
        """Set what `get_state` returned."""
        for name in self._kept:
            setattr(self, name, state[name])

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Run before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Run after the last epoch; `logs` are those of that epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Run before epoch `epoch`, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Run after an epoch and its validation."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Run before a training batch; another name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Run after a training batch; another name of `on_train_batch_end`."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Run before training batch `batch`, counted from 0 in each epoch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Run after a training batch; `logs` are means over the epoch so far."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Run before an evaluation, also before the validation of an epoch."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Run after an evaluation."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Run before a batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Run after a batch of an evaluation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Run before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Run after a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Run before a batch of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Run after a batch of a prediction; `logs["outputs"]` holds its result."""


class CallbackList:
    """Several callbacks as one; knows which batch hooks anybody listens to.

    Args:
        callbacks: The callbacks of the user.
        model: The model that runs.
        params: See `Callback`.
        last: Callbacks that run after those of the user.
    """

    def __init__(
        self,
        callbacks: Callback | CallbackList | Iterable[Callback] | None,
        model: Any,
        params: dict[str, Any],
        last: Iterable[Callback] = (),
    ) -> None:
        if isinstance(callbacks, CallbackList):
            given = list(callbacks.callbacks)
        elif callbacks is None:
            given = []
        else:
            given = [callbacks] if isinstance(callbacks, Callback) else list(callbacks)
        for callback in given:
            if not callable(getattr(callback, "on_epoch_end", None)):
                hint = "; pass an instance" if isinstance(callback, type) else ""
                raise TypeError(f"callbacks: expected Callback objects, got {callback!r}{hint}")
            if isinstance(callback, type):
                raise TypeError(
                    f"callbacks: pass an instance, {callback.__name__}(), not the class"
                )
        listed = [*given, *last]
        self.callbacks: list[Any] = sorted(listed, key=lambda c: getattr(c, "runs_last", False))
        for callback in self.callbacks:
            callback.set_params(params)
            callback.set_model(model)
            if hasattr(callback, "set_callbacks"):
                callback.set_callbacks(self.callbacks)
        self._batch_hooks = {
            hook: [(c, getattr(c, hook)) for c in self.callbacks if _overrides(c, hook)]
            for hook in _BATCH_HOOKS
        }

    def listens(self, hook: str) -> bool:
        """Tell whether any callback overrides a batch hook."""
        return bool(self._batch_hooks[hook])

    def batch(
        self, hook: str, batch: int, logs: Logs | None = None, data: Callable[[], Any] | None = None
    ) -> None:
        """Call a batch hook of every callback that overrides it.

        `data` returns the (x, y, sample weights) of the batch, for callbacks that look at them.
        """
        for callback, run in self._batch_hooks[hook]:
            callback._batch_data = data
            run(batch, logs)
            callback._batch_data = None  # it would keep the batch alive

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Return a function that calls hook `name` of every callback in order."""
        if not name.startswith("on_"):
            raise AttributeError(name)

        def run(*args: Any) -> None:
            for callback in self.callbacks:
                getattr(callback, name)(*args)

        return run


_BATCH_HOOKS = tuple(
    f"on_{phase}_batch_{end}" for phase in ("train", "test", "predict") for end in ("begin", "end")
)


def _overrides(callback: Any, hook: str) -> bool:
    """Tell whether a callback does anything in a batch hook."""
    if hook in getattr(callback, "_idle_hooks", ()):
        return False
    names = (hook, hook.replace("train_", "")) if "train" in hook else (hook,)
    return any(
        getattr(getattr(callback, name), "__func__", getattr(callback, name))
        is not getattr(Callback, name)
        for name in names
        if hasattr(callback, name)
    )
