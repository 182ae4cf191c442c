"""What errors and warnings point at: rows of a batch, and lines of the user's code."""

from __future__ import annotations

import numpy as np
import pytest
from errors import raises

import pydl
from pydl import callbacks, layers, losses, models


def classifier():
    model = models.Sequential([layers.Input((3,)), layers.Dense(4, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


X = np.ones((100, 3), "f4")


def test_positions_are_those_in_the_batch():
    y = np.zeros(100, int)
    y[77] = 9
    model = classifier()
    text = "sparse_categorical_crossentropy: label 9 at position {} is outside of [0, 4), the range of 4 classes"
    in_batch = text.format("13 of the batch")  # 77 - 2 * 32
    with raises(ValueError, in_batch):
        model.fit(X, y, shuffle=False, verbose=0)
    with raises(ValueError, in_batch):
        model.evaluate(X, y, verbose=0)
    with raises(ValueError, in_batch):  # eager
        model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
        model.fit(X, y, shuffle=False, verbose=0)
    for _ in range(3):
        with raises(ValueError, text.format("77")):
            model.train_on_batch(X, y)
    with raises(ValueError, text.format("77")):
        losses.sparse_categorical_crossentropy(y, model(X))


def test_positions_of_ids():
    model = models.Sequential(
        [layers.Input((3,), dtype="int32"), layers.Embedding(5, 2, name="e"), layers.Flatten()]
    )
    ids = np.zeros((100, 3), "i4")
    ids[77, 1] = 5
    text = "Embedding 'e': id 5 at position {} is outside of [0, 5), input_dim being 5"
    with raises(ValueError, text.format("[13, 1] of the batch")):
        model.predict(ids)
    with raises(ValueError, text.format("[77, 1]")):
        model.predict_on_batch(ids)


def test_errors_of_the_user_stay_as_they_are():
    def batches():
        yield X, np.zeros(100, int)
        raise ValueError("bad sample at position 3")

    with raises(ValueError, "bad sample at position 3"):
        classifier().fit(batches(), steps_per_epoch=2, verbose=0)


class Host(layers.Layer):
    def call(self, inputs):
        return inputs * float(pydl.ops.mean(inputs))


def host_model(metrics=()):
    model = models.Sequential([layers.Input((3,)), Host(), layers.Dense(4, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=list(metrics))
    return model


def many_steps(model):
    for _ in range(4):
        model.train_on_batch(X, np.zeros(100, int))


def calls(f):
    for _ in range(3):
        f(pydl.tensor([1.0]))


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (lambda: host_model().fit(X, np.zeros(100, int), verbose=0), "stay eager"),
        (lambda: host_model(["acc"]).fit(X, np.zeros(100, int), verbose=0), "stay eager"),
        (lambda: host_model().evaluate(X, np.zeros(100, int), verbose=0), "stay eager"),
        (lambda: many_steps(host_model(["acc"])), "stay eager"),
        (lambda: calls(pydl.function(lambda t: t * float(t[0]))), "stays eager"),
        (
            lambda: classifier().fit(
                X, np.zeros(100, int), verbose=0, callbacks=[callbacks.EarlyStopping()]
            ),
            "'val_loss' is not available",
        ),
        (
            lambda: classifier().fit(X, np.zeros(100, int), steps_per_epoch=9, verbose=0),
            "the data ended after 4 steps",
        ),
        (lambda: layers.Dense(1, "softmax").build((None, 3)), "softmax over one unit"),
    ],
)
def test_warnings_show_the_line_of_the_caller(run, text):
    with pytest.warns(UserWarning, match=text) as caught:
        run()
    assert {w.filename for w in caught} == {__file__}
