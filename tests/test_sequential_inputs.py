"""What a Sequential takes and gives: its only input in a list or dictionary, its symbolic ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pydl
from pydl import layers, models

A = np.random.default_rng(0).standard_normal((40, 3), np.float32)
Y = A.sum(1, keepdims=True)


def made(known: bool) -> models.Sequential:
    pydl.utils.set_random_seed(0)
    entry = [layers.Input((3,))] if known else []
    model = models.Sequential([*entry, layers.Dense(4, "tanh"), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("wrap", [lambda a: [a], lambda a: (a,), lambda a: {"x": a}])
def test_a_single_entry_is_the_input(wrap: Any, known: bool) -> None:
    want, model = made(known), made(known)
    pydl.utils.set_random_seed(1)
    want.fit(A, Y, epochs=3, batch_size=16, verbose=0, validation_data=(A, Y))
    pydl.utils.set_random_seed(1)
    model.fit(wrap(A), Y, epochs=3, batch_size=16, verbose=0, validation_data=(wrap(A), Y))
    for a, b in zip(model.get_weights(), want.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert model.evaluate(wrap(A), Y, verbose=0) == want.evaluate(A, Y, verbose=0)
    predicted = want.predict(A, verbose=0)
    np.testing.assert_array_equal(model.predict(wrap(A), verbose=0), predicted)
    np.testing.assert_array_equal(model.predict_on_batch(wrap(A)), predicted)
    np.testing.assert_array_equal(model(wrap(pydl.tensor(A))).numpy(), predicted)
    assert model.train_on_batch(wrap(A), Y) == want.train_on_batch(A, Y)
    batches = [(wrap(A[:20]), Y[:20]), (wrap(A[20:]), Y[20:])]
    plain = [(A[:20], Y[:20]), (A[20:], Y[20:])]
    found = model.fit(iter(batches), verbose=0).history
    assert found == want.fit(iter(plain), verbose=0).history


def test_a_single_symbolic_entry() -> None:
    x = pydl.Input((3,))
    assert made(True)([x]).shape == (None, 1)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("given", [[A, A], {"a": A, "b": A}])
def test_several_entries_are_refused(given: Any, known: bool) -> None:
    text = r"takes one input, got 2 of shapes \(\d+, 3\), \(\d+, 3\); for several inputs use Model"
    for call in (
        lambda model: model.fit(given, Y, verbose=0),
        lambda model: model.predict(given, verbose=0),
        lambda model: model.evaluate(given, Y, verbose=0),
        lambda model: model(given),
    ):
        with pytest.raises(ValueError, match=text):
            call(made(known))


def test_a_first_layer_may_take_several() -> None:
    class Left(layers.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs["left"]

    a, b = pydl.Input((3,)), pydl.Input((3,))
    for first in (layers.Add(), layers.Lambda(lambda x: x[0] + x[1]), models.Model([a, b], a + b)):
        model = models.Sequential([first, layers.Dense(1)])
        for _ in range(2):  # not built, then built
            assert model([A, A]).shape == (40, 1)
    model = models.Sequential([Left()])
    for _ in range(2):
        np.testing.assert_array_equal(model({"left": A}).numpy(), A)


def test_numbers_in_lists_are_one_array() -> None:
    assert made(True)([[1.0, 2.0, 3.0]]).shape == (1, 1)
    assert made(False)([[1, 2, 3], [4, 5, 6]]).shape == (2, 1)


def test_inputs_and_outputs_are_lists() -> None:
    model = made(True)
    assert [t.key for t in model.inputs] == [model.input.key]
    assert [t.key for t in model.outputs] == [model.output.key]
    every = models.Model(inputs=model.inputs, outputs=[layer.output for layer in model.layers])
    hidden, last = every.predict(A, verbose=0)
    assert hidden.shape == (40, 4)
    np.testing.assert_array_equal(last, model.predict(A, verbose=0))
    with pytest.raises(AttributeError, match="has no inputs before it is part of a model"):
        _ = made(False).inputs
    with pytest.raises(AttributeError, match="has no outputs before it is part of a model"):
        _ = models.Sequential().outputs
