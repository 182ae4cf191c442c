"""Models cast their inputs to the dtype that is declared for them, as in Keras 3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from plan_helpers import assert_same

import pydl
from pydl import layers, models

BYTES = np.array([[200, 100], [3, 250], [129, 0]], np.uint8)


class Shifted(layers.Layer):
    def call(self, inputs: Any) -> Any:
        return inputs - 128


def functional(f: Callable[[Any], Any]) -> models.Model:
    x = pydl.Input((2,))
    return models.Model(x, f(x))


MODELS: list[tuple[Callable[[], models.Model], Callable[[np.ndarray], np.ndarray]]] = [
    (lambda: functional(lambda x: x * 2), lambda x: x * 2),
    (lambda: functional(lambda x: x - 128), lambda x: x - 128),
    (lambda: functional(lambda x: layers.average([x, x])), lambda x: x),
    (lambda: functional(Shifted()), lambda x: x - 128),
    (lambda: functional(lambda x: layers.Flatten()(x) * 2), lambda x: x * 2),
    (
        lambda: functional(models.Sequential([layers.Lambda(lambda x: x * 2)])),
        lambda x: x * 2,
    ),
    (
        lambda: models.Sequential([layers.Input((2,)), layers.Lambda(lambda x: x - 128)]),
        lambda x: x - 128,
    ),
    (lambda: models.Sequential([layers.Lambda(lambda x: x - 128)]), lambda x: x - 128),
    (lambda: models.Sequential([Shifted(), Shifted()]), lambda x: x - 256),
    (
        lambda: models.Sequential([functional(lambda x: x * 2), Shifted()]),
        lambda x: x * 2 - 128,
    ),
]


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
@pytest.mark.parametrize(("make", "want"), MODELS)
def test_integers_become_the_floats_that_are_declared(make, want, dtype):
    x = BYTES.astype(dtype)
    expected = want(BYTES.astype(np.float32))
    for eager in (False, True):
        model = make()
        model.compile("sgd", "mse", run_eagerly=eager)
        for _ in range(3):  # eager, recorded, repeated
            found = model.predict(x, verbose=0)
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, expected)
            np.testing.assert_array_equal(model.predict_on_batch(x), expected)
            assert model.evaluate(x, expected, verbose=0) == 0
            assert model.test_on_batch(x, expected) == 0
            assert model.train_on_batch(x, expected) == 0
        for given in (x, pydl.tensor(x), x.tolist()):
            assert model(given).dtype == np.float32
            np.testing.assert_array_equal(model(given).numpy(), expected)


def test_bools_become_floats():
    flags = np.array([[True, False]])
    assert functional(lambda x: x + x).predict(flags, verbose=0).tolist() == [[2.0, 0.0]]


@pytest.mark.parametrize("declared", ["int32", "uint8", "int64"])
@pytest.mark.parametrize("given", ["uint8", "int32", "float32"])
def test_declared_integers_stay_integers(declared, given):
    x = pydl.Input((2,), dtype=declared)
    entry = layers.Input((2,), dtype=declared)
    want = BYTES.astype(declared) * np.array(2, declared)
    for model in (
        models.Model(x, x * 2),
        models.Sequential([entry, layers.Lambda(lambda x: x * 2)]),
    ):
        found = model.predict(BYTES.astype(given), verbose=0)
        assert found.dtype == declared
        np.testing.assert_array_equal(found, want)


def test_ids_are_not_cast_to_floats():
    seen = []

    class Ids(layers.Embedding):
        def call(self, inputs):
            seen.append(inputs.dtype)
            return super().call(inputs)

    x = pydl.Input((2,))
    alone = models.Sequential([Ids(256, 3)])
    for model in (
        alone,
        models.Sequential([layers.Input((2,)), Ids(256, 3)]),
        models.Model(x, Ids(256, 3)(x)),
        models.Model(x, alone(x)),
        models.Sequential([alone]),
        models.Sequential([models.Model(x, Ids(256, 3)(x))]),
    ):
        model(BYTES)
        assert seen.pop() == np.uint8
    both = models.Model(x, layers.concatenate([layers.Flatten()(Ids(256, 3)(x)), x * 2]))
    np.testing.assert_array_equal(both(BYTES).numpy()[:, 6:], BYTES.astype(np.float32) * 2)


@pytest.mark.parametrize("given", ["int64", "int32"])
@pytest.mark.filterwarnings("error")  # no step that stays eager
def test_declared_ids_are_recorded_in_either_width(given):
    def make():
        x = pydl.Input((3,), dtype="int32")
        y = layers.Dense(1)(layers.Flatten()(layers.Embedding(9, 2)(x)))
        entry = layers.Input((3,), dtype="int32")
        chain = [entry, layers.Embedding(9, 2), layers.Flatten(), layers.Dense(1)]
        return [models.Model(x, y), models.Sequential(chain)]

    ids = np.random.default_rng(0).integers(0, 9, (40, 3))
    for model, expected in zip(make(), make(), strict=True):
        expected.set_weights(model.get_weights())
        for m, x in ((model, ids.astype(given)), (expected, ids.astype("int32"))):
            m.compile("sgd", "mse")
            m.fit(x, np.ones(40), epochs=3, batch_size=8, shuffle=False, verbose=0)
        found = model.predict(ids.astype(given), verbose=0)
        np.testing.assert_array_equal(found, expected.predict(ids.astype("int32"), verbose=0))


@pytest.mark.parametrize("entry", [[layers.Input((4, 4))], []])
def test_training_on_bytes_has_the_bits_of_training_on_floats(entry):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (70, 4, 4), np.uint8), rng.integers(0, 5, 70)

    def make():
        return models.Sequential(
            [*entry, Shifted(), layers.Flatten(), layers.Dense(5, activation="softmax")]
        )

    results = []
    for x in (images, images.astype(np.float32)):
        model = assert_same(
            make, lambda m, x=x: m.fit(x, labels, epochs=3, batch_size=16, verbose=0)
        )
        results.append([w.tobytes() for w in model.get_weights()])
    assert results[0] == results[1]


def test_a_plan_casts_each_batch_once():
    def launches(x):
        model = models.Sequential([layers.Input((4, 4)), layers.Flatten(), layers.Dense(2)])
        model.compile("sgd", "mse")
        plan = model.plan(x, np.zeros((64, 2), np.float32), batch_size=8)
        return [launch.name for launch in plan.launches]

    images = np.zeros((64, 4, 4), np.uint8)
    names = launches(images)
    assert names.count("copy") == 1  # the cast
    assert names.index("copy") > names.index("take")  # of the gathered rows
    assert "copy" not in launches(images.astype(np.float32))


def test_symbolic_outputs_of_models_have_the_dtype_of_their_values():
    ids = pydl.Input((2,), dtype="int32")
    inner = pydl.Input((2,), dtype="int32")
    for model in (
        models.Sequential([layers.Embedding(9, 3)]),
        models.Sequential([layers.Input((2,), dtype="int32"), layers.Embedding(9, 3)]),
        models.Model(inner, layers.Embedding(9, 3)(inner)),
        models.Sequential([layers.Lambda(lambda x: x * 2)]),
    ):
        found = model(ids)
        assert found.dtype == "float32"
        rest = models.Model(found, found * 0.5)
        assert rest(np.full((1, *found.shape[1:]), 0.5)).numpy().max() == 0.25
