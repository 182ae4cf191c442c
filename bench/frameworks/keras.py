"""Keras on the back end that KERAS_BACKEND names."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from bench import course, data

to_numpy = np.asarray


def version() -> str:
    return f"{keras.__version__} ({keras.backend.backend()})"


def _model(units: Sequence[int], hidden: str, output: str, loss: str, metrics: list[str]) -> Any:
    activations = [hidden] * (len(units) - 2) + [output]
    model = keras.Sequential(
        [
            keras.Input((units[0],)),
            *(
                keras.layers.Dense(n, activation=a)
                for n, a in zip(units[1:], activations, strict=True)
            ),
        ]
    )
    optimizer = keras.optimizers.RMSprop(data.LEARNING_RATE, rho=data.RHO, epsilon=data.EPSILON)
    model.compile(optimizer=optimizer, loss=loss, metrics=metrics)
    model.set_weights(data.mlp_weights(units))
    return model


def step(units: Sequence[int], hidden: str, output: str, loss: str, batch: int) -> Any:
    model = _model(units, hidden, output, loss, [])
    pairs = itertools.cycle(data.batches(units, batch, loss))
    return lambda: model.train_on_batch(*next(pairs))


def course_task(name: str) -> Callable[[], float] | None:
    return course.task(keras, name)


def epoch(units: Sequence[int], hidden: str, output: str, loss: str, batch: int, rows: int) -> Any:
    model = _model(units, hidden, output, loss, ["accuracy"])
    x, y = data.training_set(units, rows, loss)
    return lambda: model.fit(x, y, batch_size=batch, epochs=1, verbose=0).history["loss"][-1]
