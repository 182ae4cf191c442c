"""Small models and data that the tests of models and of the training loop share."""

from __future__ import annotations

import math

import numpy as np

from pydl import callbacks, layers, optimizers
from pydl.models import Model, Sequential


def rows(n, features=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, features)).astype("f4")
    return x, rng.normal(size=(n, 1)).astype("f4")


def linear(features=3, **compile_options):
    """One linear unit that does not move, unless a learning rate is given."""
    model = Sequential([layers.Input((features,)), layers.Dense(1)])
    model.compile(**{"optimizer": optimizers.SGD(0.0), "loss": "mse", **compile_options})
    return model


class Recorder(callbacks.Callback):
    """Notes what happens in order."""

    def __init__(self):
        super().__init__()
        self.events = []
        self.logs = []

    def on_train_begin(self, logs=None):
        self.events.append("train begin")

    def on_train_end(self, logs=None):
        self.events.append("train end")

    def on_epoch_begin(self, epoch, logs=None):
        self.events.append(f"epoch {epoch} begin")

    def on_epoch_end(self, epoch, logs=None):
        self.events.append(f"epoch {epoch} end")
        self.logs.append(dict(logs))

    def on_train_batch_begin(self, batch, logs=None):
        self.events.append(f"batch {batch} begin")

    def on_train_batch_end(self, batch, logs=None):
        self.events.append(f"batch {batch} end")

    def on_test_begin(self, logs=None):
        self.events.append("test begin")

    def on_test_batch_end(self, batch, logs=None):
        self.events.append(f"test batch {batch}")

    def on_test_end(self, logs=None):
        self.events.append("test end")


class Seen(Model):
    """Keeps the rows of each call, in training and in inference."""

    def __init__(self):
        super().__init__()
        self.unit = layers.Dense(1)
        self.seen = {True: [], False: []}

    def call(self, inputs, training=False):
        self.seen[bool(training)].append(np.array(inputs.numpy()[:, 0]))
        return self.unit(inputs)


def seen_model():
    model = Seen()
    model.compile(optimizers.SGD(0.0), "mse")
    model(np.zeros((1, 1), "f4"))
    model.seen[False].clear()
    return model


def numbered(n):
    """Rows whose only feature is their number."""
    return np.arange(n, dtype="f4")[:, None], np.zeros((n, 1), "f4")


class Two(Model):
    """Two outputs under the names 'a' and 'b', or as a list."""

    def __init__(self, named=True):
        super().__init__()
        self.a, self.b, self.named = layers.Dense(1), layers.Dense(2), named

    def call(self, inputs):
        a, b = self.a(inputs), self.b(inputs)
        return {"a": a, "b": b} if self.named else [a, b]


def endless(x, y, size):
    while True:
        for i in range(0, len(x), size):
            yield x[i : i + size], y[i : i + size]


class Batches:
    """A Sequence-like object."""

    def __init__(self, x, y, size):
        self.x, self.y, self.size = x, y, size
        self.asked, self.ends = [], 0

    def __len__(self):
        return math.ceil(len(self.x) / self.size)

    def __getitem__(self, i):
        self.asked.append(i)
        part = slice(i * self.size, (i + 1) * self.size)
        return self.x[part], self.y[part]

    def on_epoch_end(self):
        self.ends += 1
