"""Models and data for the tests of recorded training, and the comparison with eager runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import pydl
from pydl import callbacks, layers, models


def data(rows: int = 100, features: int = 12, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, features), np.float32)
    return x, rng.integers(0, classes, rows)


def classifier(*inner: Any) -> models.Sequential:
    return models.Sequential(
        [layers.Dense(16, activation="relu"), *inner, layers.Dense(5, activation="softmax")]
    )


def trained(
    make: Callable[[], models.Model],
    fit: Callable[[models.Model], Any],
    eager: bool,
    **compile: Any,
) -> tuple[list[bytes], Any, models.Model]:
    """The weights, optimizer state and results of one run."""
    pydl.utils.set_random_seed(7)
    model = make()
    options = {"optimizer": "rmsprop", "loss": "sparse_categorical_crossentropy"}
    model.compile(**{**options, "metrics": ["accuracy"], **compile}, run_eagerly=eager)
    results = fit(model)
    if isinstance(results, callbacks.History):
        results = results.history
    arrays = [*model.get_weights(), *(v.numpy() for v in model.optimizer.variables)]
    return [a.tobytes() for a in arrays], results, model


def assert_same(
    make: Callable[[], models.Model],
    fit: Callable[[models.Model], Any],
    records: bool = True,
    **compile: Any,
) -> models.Model:
    """Eager and recorded runs agree byte for byte; `records`: and the second one is recorded."""
    compile = {
        key: value if callable(value) else (lambda v=value: v) for key, value in compile.items()
    }
    fresh = lambda: {key: value() for key, value in compile.items()}  # noqa: E731
    want, want_results, _ = trained(make, fit, True, **fresh())
    with warnings.catch_warnings():
        warnings.simplefilter("error" if records else "ignore")
        found, results, model = trained(make, fit, False, **fresh())
    assert found == want
    assert repr(results) == repr(want_results)
    return model


def one_hot_fit(model: models.Model) -> Any:
    x, y = data()
    return model.fit(x, np.eye(5, dtype=np.float32)[y], epochs=8, batch_size=16, verbose=0)


class TwoInputs(models.Model):
    """A subclass with dropout, two inputs and a loss of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = layers.Dense(8, activation="tanh"), layers.Dense(8)
        self.out = layers.Dense(5, activation="softmax")

    def call(self, inputs: Any, training: bool = False) -> Any:
        a, b = inputs
        h = self.left(a) * pydl.sigmoid(self.right(b))
        self.add_loss(pydl.mean(pydl.square(h)) * 0.1)
        return self.out(pydl.random.dropout(h, 0.2) if training else h)


class OnHost(layers.Layer):
    """A layer that computes with NumPy."""

    def call(self, inputs: Any) -> Any:
        return inputs + pydl.tensor(np.tanh(inputs.numpy()) * 0)
