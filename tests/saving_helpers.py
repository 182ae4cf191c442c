"""A compiled model with its data, what makes two models the same, and scripts run beside a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np

import pydl
from pydl import layers, saving
from pydl.models import Sequential


def data(n=48, features=6):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, features)).astype("f4")
    return x, (x[:, :1] > 0).astype("f4")


def network(optimizer="adam", **options):
    pydl.utils.set_random_seed(5)
    model = Sequential(
        [
            layers.Input((6,)),
            layers.Dense(8, "relu", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(1, "sigmoid"),
        ]
    )
    options = {"loss": "binary_crossentropy", "metrics": ["acc"], **options}
    model.compile(optimizer, **options)
    return model


def bits(model):
    return [w.tobytes() for w in model.get_weights()]


def everything(model):
    """All that a file of a model holds, in a form that can be compared."""
    arrays, numbers = saving.state.capture(model)
    plain = (numbers, model.get_config(), model.get_compile_config(), model.optimizer.get_config())
    return {name: a.tobytes() for name, a in arrays.items()}, json.dumps(plain, default=str)


def start(script, *arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
