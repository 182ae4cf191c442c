"""The four tasks of the course, end to end: one text for pydl and for Keras, which share names."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

VARIABLE = "PYDL_BENCH_COURSE"  # names the file of `prepare`, for workers that have no pydl
WORDS = 10000


def prepare() -> str | None:
    """Writes the data sets to a file for all workers; None where PYDL_DATA_DIR names none."""
    if not os.environ.get("PYDL_DATA_DIR"):
        return None
    from pydl import datasets, utils

    def bits(sequences: Any) -> np.ndarray:
        return np.packbits(utils.multi_hot(sequences, WORDS) != 0, axis=1)

    found: dict[str, Any] = {}
    (x, y), (x_test, y_test) = datasets.mnist.load_data()
    found.update(mnist_x=np.concatenate([x, x_test]), mnist_y=np.concatenate([y, y_test]))
    for name, module in (("imdb", datasets.imdb), ("reuters", datasets.reuters)):
        (x, y), (x_test, y_test) = module.load_data(num_words=WORDS)
        found[f"{name}_x"] = np.concatenate([bits(x), bits(x_test)])
        found[f"{name}_y"] = np.concatenate([y, y_test])
        found[f"{name}_rows"] = len(x)
        if name == "imdb":  # the last 20 words of each review, 0 in front of shorter ones
            both = [([0] * 20 + words)[-20:] for words in (*x, *x_test)]
            found["imdb_last20"] = np.array(both, np.int16)
    (x, y), (x_test, y_test) = datasets.boston_housing.load_data()
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    found.update(boston_x=(x - mean) / deviation, boston_y=y)
    found.update(boston_x_test=(x_test - mean) / deviation, boston_y_test=y_test)
    path = Path(tempfile.mkdtemp(), "course.npz")
    np.savez(path, **found)
    return str(path)


def load(name: str) -> dict[str, np.ndarray]:
    with np.load(os.environ[VARIABLE], allow_pickle=False) as file:
        return {k.removeprefix(f"{name}_"): file[k] for k in file.files if k.startswith(name)}


def words(x: np.ndarray) -> np.ndarray:
    return np.unpackbits(x, axis=1, count=WORDS).astype(np.float32)


def classifier(keras: Any, units: tuple[int, ...], last: str) -> Any:
    dense = keras.layers.Dense
    return keras.models.Sequential(
        [*(dense(n, activation="relu") for n in units[:-1]), dense(units[-1], activation=last)]
    )


def mnist(keras: Any) -> Callable[[], float]:
    """784-512-10 on digits, 5 epochs; the test accuracy."""
    d = load("mnist")
    x = d["x"].reshape(-1, 784).astype(np.float32) / 255
    y = np.eye(10, dtype=np.float32)[d["y"]]

    def run() -> float:
        model = classifier(keras, (512, 10), "softmax")
        model.compile("rmsprop", "categorical_crossentropy", metrics=["accuracy"])
        model.fit(x[:60000], y[:60000], epochs=5, batch_size=128, verbose=0)
        return model.evaluate(x[60000:], y[60000:], verbose=0)[1]

    return run


def imdb(keras: Any) -> Callable[[], float]:
    """10000-16-16-1 on film reviews, 20 epochs with validation; the best validation accuracy."""
    d = load("imdb")
    x, y, rows = words(d["x"]), d["y"].astype(np.float32), int(d["rows"])

    def run() -> float:
        model = classifier(keras, (16, 16, 1), "sigmoid")
        model.compile("rmsprop", "binary_crossentropy", metrics=["accuracy"])
        history = model.fit(
            x[10000:rows], y[10000:rows], epochs=20, batch_size=512, verbose=0,
            validation_data=(x[:10000], y[:10000]),
        )  # fmt: skip
        model.evaluate(x[rows:], y[rows:], verbose=0)
        return max(history.history["val_accuracy"])

    return run


def reuters(keras: Any) -> Callable[[], float]:
    """10000-64-64-46 on newswires, 8 epochs with validation; the test accuracy."""
    d = load("reuters")
    x, y, rows = words(d["x"]), np.eye(46, dtype=np.float32)[d["y"]], int(d["rows"])

    def run() -> float:
        model = classifier(keras, (64, 64, 46), "softmax")
        model.compile("rmsprop", "categorical_crossentropy", metrics=["accuracy"])
        model.fit(
            x[1000:rows], y[1000:rows], epochs=8, batch_size=512, verbose=0,
            validation_data=(x[:1000], y[:1000]),
        )  # fmt: skip
        return model.evaluate(x[rows:], y[rows:], verbose=0)[1]

    return run


def boston(keras: Any) -> Callable[[], float]:
    """13-64-64-1 on house prices, 4 folds of 100 epochs, batch 1; the mean absolute error."""
    d = load("boston")
    x, y = d["x"].astype(np.float32), d["y"].astype(np.float32)
    folds, n = 4, len(x) // 4

    def run() -> float:
        errors = []
        for i in range(folds):
            held_out = slice(i * n, (i + 1) * n)
            rest = np.delete(np.arange(len(x)), held_out)
            model = classifier(keras, (64, 64, 1), "linear")
            model.compile("rmsprop", "mse", metrics=["mae"])
            model.fit(x[rest], y[rest], epochs=100, batch_size=1, verbose=0)
            errors.append(model.evaluate(x[held_out], y[held_out], verbose=0)[1])
        return float(np.mean(errors))

    return run


TASKS: dict[str, Callable[[Any], Callable[[], float]]] = {
    "mnist": mnist,
    "imdb": imdb,
    "reuters": reuters,
    "boston": boston,
}


def task(keras: Any, name: str) -> Callable[[], float] | None:
    """The task, or None where its data are missing."""
    return TASKS[name](keras) if os.environ.get(VARIABLE) else None
