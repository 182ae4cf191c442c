"""Weights from a file for a model that is built differently: skip_mismatch and by_name."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from errors import raises

from pydl import Model, layers, models


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


def network(*units, features=3):
    """A network of Dense layers: units, or (name, units)."""
    found = [u if isinstance(u, tuple) else (None, u) for u in units]
    return models.Sequential(
        [layers.Input((features,)), *(layers.Dense(n, name=name) for name, n in found)]
    )


def values(model):
    return [w.copy() for w in model.get_weights()]


def same(a, b):
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("whole", [False, True])
def test_layers_that_do_not_fit_are_left_out(path, whole):
    old, new = network(4, 2), network(4, ("head", 5))
    (old.save if whole else old.save_weights)(path)
    before = values(new)
    text = "the weight kernel of Dense 'head' has shape (4, 5), in the file it has (4, 2)"
    with raises(ValueError, f"load_weights: {text}"):
        new.load_weights(path)
    assert same(values(new), before)
    with pytest.warns(UserWarning) as caught:
        new.load_weights(path, skip_mismatch=True)
    assert [str(w.message) for w in caught] == [f"load_weights: left out: {text}"]
    assert caught[0].filename == __file__
    assert same(values(new), values(old)[:2] + before[2:])


def test_all_that_is_left_out_is_named(path):
    old = models.Sequential(
        [layers.Input((3,)), layers.Dense(4), layers.Dense(4, use_bias=False), layers.Dense(2)]
    )
    new = models.Sequential(
        [
            layers.Input((3,)),
            layers.Dense(4, name="same"),
            layers.Dense(4, name="biased"),
            layers.BatchNormalization(name="more"),
        ]
    )
    old.save_weights(path)
    before = values(new)
    with pytest.warns(UserWarning) as caught:
        new.load_weights(path, skip_mismatch=True)
    assert str(caught[0].message) == (
        "load_weights: left out: Dense 'biased' has 2 weights, in the file it has 1; "
        "BatchNormalization 'more' is not in the file; the model has no dense_2"
    )
    assert same(values(new), values(old)[:2] + before[2:])
    with pytest.warns(UserWarning, match="Dense 'dense.*' has 1 weights, in the file it has 2"):
        new.save_weights(path)
        old.load_weights(path, skip_mismatch=True)


def test_other_types_do_not_fit(path):
    network(4, 2).save_weights(path)
    wide = models.Sequential([layers.Input((3,)), layers.Dense(4, dtype="float64", name="wide")])
    text = "the weight kernel of Dense 'wide' is of float64, in the file it is of float32"
    with raises(ValueError, f"load_weights: no layer fits: {text}; the model has no dense_1"):
        wide.load_weights(path, skip_mismatch=True)


def test_nothing_is_said_where_all_fits(path):
    old, new = network(4, 2), network(4, 2)
    old.save_weights(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        new.load_weights(path, skip_mismatch=True)
    assert same(values(new), values(old))


@pytest.mark.parametrize("whole", [False, True])
def test_by_name(path, whole):
    old = network(("a", 3), ("b", 3), ("c", 2))
    new = network(("b", 3), ("new", 3), ("a", 3))
    (old.save if whole else old.save_weights)(path)
    before = values(new)
    new.load_weights(path, by_name=True)
    assert same(values(new), values(old)[2:4] + before[2:4] + values(old)[:2])


def test_by_name_takes_a_model_inside_as_one_layer(path):
    class Outer(Model):
        def __init__(self, encoder):
            super().__init__()
            self.extra = layers.Dense(4, name="extra")
            self.encoder = encoder

        def call(self, x):
            return self.encoder(self.extra(x))

    def encoder():
        inner = network(4, 2, features=4)
        inner.name = "encoder"
        return inner

    old = models.Sequential([layers.Input((4,)), encoder()])
    new = Outer(encoder())
    new(np.ones((1, 4), "f4"))
    old.save_weights(path)
    new.load_weights(path, by_name=True)
    assert same(new.encoder.get_weights(), old.get_weights())


def test_by_name_that_does_not_fit(path):
    old = network(("a", 4), ("b", 2))
    old.save_weights(path)
    new = network(("a", 4), ("b", 5))
    before = values(new)
    text = "the weight kernel of Dense 'b' has shape (4, 5), in the file it has (4, 2)"
    with raises(ValueError, f"load_weights: {text}"):
        new.load_weights(path, by_name=True)
    assert same(values(new), before)
    with pytest.warns(UserWarning) as caught:
        new.load_weights(path, skip_mismatch=True, by_name=True)
    assert str(caught[0].message) == f"load_weights: left out: {text}"
    assert same(values(new), values(old)[:2] + before[2:])
    with raises(
        ValueError,
        "load_weights: no layer has the name of one in the file, which has 'a', 'b'",
    ):
        network(("x", 4)).load_weights(path, by_name=True)


def test_by_name_needs_one_layer_for_a_name(path):
    network(("a", 4)).save_weights(path)

    class Two(Model):
        def __init__(self):
            super().__init__()
            self.one, self.two = layers.Dense(4, name="a"), layers.Dense(4, name="a")

        def call(self, x):
            return self.two(self.one(x))

    model = Two()
    model(np.ones((1, 3), "f4"))
    with raises(ValueError, "load_weights: by_name needs names of one layer each, got 'a' twice"):
        model.load_weights(path, by_name=True)


def test_plans_go_on_with_the_weights_that_were_loaded(path):
    old, new = network(4, 2), network(4, 5)
    old.save_weights(path)
    x = np.ones((2, 3), "f4")
    for _ in range(4):
        new.predict(x)
    with pytest.warns(UserWarning, match="left out"):
        new.load_weights(path, skip_mismatch=True)
    copy = network(4, 5)
    copy.set_weights(new.get_weights())
    assert np.array_equal(new.predict(x), copy.predict(x))
