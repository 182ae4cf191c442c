"""Training like that of Keras: fit without shuffling, callbacks, history."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_helpers import (
    close,
    keras,
    seeds,  # noqa: F401 (a fixture of every test here)
    uniform,
)

import pydl
import pydl.callbacks


def both_models(optimizer: Any = "rmsprop") -> tuple[Any, Any]:
    def make(package: Any) -> Any:
        layers = package.layers
        model = package.Sequential(
            [
                layers.Input((6,)),
                layers.Dense(8, activation="relu"),
                layers.BatchNormalization(),
                layers.Dense(3, activation="softmax"),
            ]
        )
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    ours, theirs = make(pydl), make(keras)
    ours.set_weights(theirs.get_weights())
    return ours, theirs


def rows() -> tuple[np.ndarray, np.ndarray]:
    x = uniform((90, 6))
    return x, (x[:, :3].argmax(1)).astype(np.int32)


def same_history(ours: Any, theirs: Any, tolerance: float = 1e-4) -> None:
    """Within 1e-4: an epoch feeds the rounding of one step to the next."""
    assert set(ours.history) == set(theirs.history)
    for key, values in theirs.history.items():
        close(ours.history[key], values, tolerance)


@pytest.mark.parametrize("weights", ["none", "class", "sample"])
def test_fit(weights: str) -> None:
    x, y = rows()
    arguments: dict[str, Any] = {"batch_size": 16, "epochs": 4, "shuffle": False, "verbose": 0}
    if weights == "class":
        arguments["class_weight"] = {0: 1.0, 1: 2.0, 2: 0.5}
    if weights == "sample":
        arguments["sample_weight"] = uniform((90,), 0, 2, 4)
    if weights == "none":
        arguments["validation_split"] = 0.2
    ours, theirs = both_models()
    same_history(ours.fit(x, y, **arguments), theirs.fit(x, y, **arguments))


CALLBACKS = [
    ("EarlyStopping", {"monitor": "val_loss", "patience": 1, "min_delta": 0.02}),
    ("EarlyStopping", {"monitor": "loss", "patience": 0, "baseline": 0.1, "restore_best_weights": True}),
    ("ReduceLROnPlateau", {"monitor": "val_loss", "patience": 1, "factor": 0.3, "min_delta": 0.05}),
    ("LearningRateScheduler", {"schedule": lambda epoch, lr: lr * 0.7}),
]  # fmt: skip


@pytest.mark.parametrize("case", CALLBACKS, ids=lambda c: c[0])
def test_callback(case: Any) -> None:
    name, arguments = case
    x, y = rows()
    ours, theirs = both_models()
    histories = [
        model.fit(
            x, y, batch_size=16, epochs=8, shuffle=False, validation_split=0.2, verbose=0,
            callbacks=[getattr(package.callbacks, name)(**arguments)],
        )
        for package, model in ((pydl, ours), (keras, theirs))
    ]  # fmt: skip
    same_history(*histories)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        close(a, b, 1e-3)  # eight epochs


def test_csv_logger(tmp_path: Path) -> None:
    """With validation; without, Keras adds columns of "NA" for it, and pydl does not."""
    x, y = rows()
    files = []
    for package, model in zip((pydl, keras), both_models(), strict=True):
        files.append(tmp_path / f"{package.__name__}.csv")
        callback = package.callbacks.CSVLogger(str(files[-1]))
        model.fit(
            x, y, batch_size=16, epochs=3, shuffle=False, validation_split=0.2, verbose=0,
            callbacks=[callback],
        )  # fmt: skip
    ours, theirs = ([row.split(",") for row in f.read_text().split()] for f in files)
    assert ours[0] == theirs[0]
    close(np.array(ours[1:], float), np.array(theirs[1:], float), 1e-4)


def test_model_checkpoint_keeps_the_same_epochs(tmp_path: Path) -> None:
    x, y = rows()
    kept = []
    for package, model, ending in zip(
        (pydl, keras), both_models(), ("safetensors", "keras"), strict=True
    ):
        folder = tmp_path / package.__name__
        folder.mkdir()
        callback = package.callbacks.ModelCheckpoint(
            str(folder / ("{epoch:02d}." + ending)), monitor="val_loss", save_best_only=True
        )
        model.fit(
            x, y, batch_size=16, epochs=6, shuffle=False, validation_split=0.2, verbose=0,
            callbacks=[callback],
        )  # fmt: skip
        kept.append(sorted(path.stem for path in folder.iterdir()))
    assert kept[0] == kept[1]


def test_terminate_on_nan_stops_at_the_same_batch() -> None:
    x, y = rows()
    x[40, 0] = np.nan
    batches = []
    for package, model in zip((pydl, keras), both_models(), strict=True):
        seen: list[int] = []
        callbacks = [
            package.callbacks.TerminateOnNaN(),
            package.callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs, s=seen: s.append(batch)
            ),
        ]
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0, callbacks=callbacks)
        batches.append(seen)
    assert batches[0] == batches[1]


def test_hooks_run_in_the_same_order() -> None:
    x, y = rows()
    hooks = [
        f"on_{what}_{when}"
        for what in (
            "train",
            "epoch",
            "train_batch",
            "test",
            "test_batch",
            "predict",
            "predict_batch",
        )
        for when in ("begin", "end")
    ]
    calls = []
    for package, model in zip((pydl, keras), both_models(), strict=True):
        seen: list[Any] = []

        def hook(name: str, seen: list[Any] = seen) -> Any:
            return lambda self, *arguments, **logs: seen.append(
                (name, *(a for a in arguments if isinstance(a, int)))
            )

        recorder = type("Recorder", (package.callbacks.Callback,), {h: hook(h) for h in hooks})()
        model.fit(
            x, y, batch_size=16, epochs=2, validation_split=0.2, verbose=0, callbacks=[recorder]
        )
        model.evaluate(x, y, verbose=0, callbacks=[recorder])
        model.predict(x, verbose=0, callbacks=[recorder])
        calls.append(seen)
    assert calls[0] == calls[1]
