"""History: what `fit` returns."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydl.callbacks.base import Callback, Logs, other_key
from pydl.figures import finish, new_figure


class _HistoryDict(dict[str, list[Any]]):
    """{key: values of the epochs}; also answers to the other spelling of a key."""

    def __missing__(self, key: str) -> list[float]:
        other = other_key(key)
        if other != key and other in self:
            return self[other]
        raise KeyError(f"{key!r} was not recorded; recorded are {', '.join(map(repr, self))}")

    def get(self, key: str, default: Any = None) -> Any:
        """Return the values under either spelling, or the default."""
        return self[key] if key in self or other_key(key) in self else default


class History(Callback):
    """The loss and metrics of each epoch; `fit` returns it.

    Attributes:
        history: {name: list of values, one per epoch}. 'acc' also answers to 'accuracy', 'mae' to
            'mean_absolute_error', and the other way round.
        epoch: Numbers of the epochs, from 0.
        model: The model that was trained, None when it is gone. The model keeps its history, so
            the history must not keep the model.
    """

    _kept = ("epoch", "history", "_epochs")
    _model: Callable[[], Any] | None = None

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[Any]] = _HistoryDict()
        self.epoch: list[int] = []
        self._epochs: dict[str, list[int]] = {}  # of each key: those that have a value

    @property
    def model(self) -> Any:
        """The model that was trained, None when it is gone."""
        return None if self._model is None else self._model()

    @model.setter
    def model(self, value: Any) -> None:
        self._model = None if value is None else weakref.ref(value)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_model"}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state({**state, "history": _HistoryDict(state["history"])})

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []
        self.history.clear()
        self._epochs.clear()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for key, value in (logs or {}).items():
            self.history.setdefault(key, []).append(value)
            self._epochs.setdefault(key, []).append(epoch)

    def plot(self, keys: Iterable[str] | None = None, path: str | Path | None = None) -> Any:
        """Draw the curves: one panel per quantity, training and validation in each.

        Args:
            keys: Names to draw, without 'val_'; None: all.
            path: Also save the picture there.

        Returns:
            The matplotlib figure.

        Raises:
            ImportError: matplotlib is missing; it comes with `pip install 'pydl[plot]'`.
        """
        names = [keys] if isinstance(keys, str) else list(self.history if keys is None else keys)
        names = [k for k in names if not k.startswith("val_")]
        if not names:
            raise ValueError("History.plot: nothing was recorded yet")
        figure = new_figure("History.plot", 4.5 * len(names), 3.4)
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            self._draw(axes, name, "o-", "training")
            if self.history.get(f"val_{name}") is not None:
                self._draw(axes, f"val_{name}", "s--", "validation")
                axes.legend()
            axes.set_xlabel("epoch")
            axes.set_title(name.replace("_", " "))
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(alpha=0.3)
        return finish(figure, path)

    def _draw(self, axes: Any, key: str, style: str, label: str) -> None:
        """Draw the curve of one key over the epochs that have a value, counted from 1."""
        values = self.history[key]
        key = key if key in self._epochs else other_key(key)
        epochs = [epoch + 1 for epoch in self._epochs[key]]
        axes.plot(epochs, values, style, markersize=3, label=label)
