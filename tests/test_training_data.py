"""How fit, evaluate and predict read data: batches, splits, shuffling, generators, layouts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_helpers import Batches, Recorder, Seen, endless, linear, numbered, rows, seen_model

import pydl
from pydl import layers, optimizers, random
from pydl.models import Model, Sequential, sources
from pydl.models import data as data_module

# Batches


def test_default_batch_size_is_32_and_the_last_batch_is_smaller_and_used():
    model = seen_model()
    model.fit(*numbered(70), verbose=0, shuffle=False)
    assert [len(b) for b in model.seen[True]] == [32, 32, 6]
    np.testing.assert_array_equal(np.concatenate(model.seen[True]), np.arange(70))


@pytest.mark.parametrize(("n", "size"), [(7, 3), (6, 3), (2, 5), (1, 1)])
def test_number_of_steps(n, size):
    model = seen_model()
    model.fit(*numbered(n), batch_size=size, verbose=0)
    assert len(model.seen[True]) == math.ceil(n / size)


def test_batches_of_consecutive_rows_are_views():
    x, y = rows(10)
    source = sources.ArraySource("fit", x, y, batch_size=4)
    for bx, by, _, _ in source.batches(0):
        assert np.shares_memory(bx.numpy(), x) and np.shares_memory(by.numpy(), y)


@settings(max_examples=60)
@given(
    n=st.integers(1, 40),
    size=st.integers(1, 15),
    tail=st.lists(st.integers(0, 3), max_size=2),
    dtype=st.sampled_from(["f4", "f8", "u1", "i4", "?"]),
    shuffle=st.sampled_from([True, False, "batch"]),
    layout=st.sampled_from(["C", "F", "reversed", "broadcast"]),
)
def test_batches_hold_each_row_once(n, size, tail, dtype, shuffle, layout):
    rng = np.random.default_rng(n)
    x = rng.integers(0, 100, (n, *tail)).astype(dtype)
    if layout == "F":
        x = np.asfortranarray(x)
    elif layout == "reversed":
        x = x[::-1]
    elif layout == "broadcast":
        x = np.broadcast_to(x[:1], x.shape)
    source = sources.ArraySource(
        "fit", data_module.as_arrays(x, "fit", "x"), np.arange(n), batch_size=size, shuffle=shuffle
    )
    seen = []
    batches = list(source.batches(3))
    assert len(batches) == source.steps == math.ceil(n / size)
    for bx, by, weight, count in batches:
        order = by.numpy()
        assert weight is None and len(order) == count <= size
        np.testing.assert_array_equal(bx.numpy(), x[order])
        assert bx.dtype == ("f4" if dtype in ("f4", "f8") else dtype)
        seen.extend(order.tolist())
    assert sorted(seen) == list(range(n))
    if shuffle is False:
        assert seen == sorted(seen)


# Validation split


@pytest.mark.parametrize(("n", "split"), [(10, 0.2), (10, 0.25), (7, 0.5), (11, 0.3)])
def test_validation_split_takes_the_last_part_before_shuffling(n, split):
    model = seen_model()
    model.fit(*numbered(n), validation_split=split, verbose=0)
    first = math.floor(n * (1 - split))
    assert sorted(np.concatenate(model.seen[True])) == list(range(first))
    np.testing.assert_array_equal(np.concatenate(model.seen[False]), np.arange(first, n))


def test_validation_data_wins_over_the_split_and_is_never_shuffled():
    model = seen_model()
    x, y = numbered(10)
    model.fit(x, y, validation_split=0.5, validation_data=(x + 100, y), epochs=2, verbose=0)
    assert len(np.concatenate(model.seen[True])) == 20
    np.testing.assert_array_equal(np.concatenate(model.seen[False]), [*range(100, 110)] * 2)


@pytest.mark.parametrize(
    ("split", "text"),
    [
        (1.0, r"validation_split must be in \[0, 1\), got 1.0"),
        (-0.1, "validation_split"),
        (0.99, "validation_split=0.99 of 10 rows leaves no rows to train on"),
    ],
)
def test_bad_splits(split, text):
    model = linear(1)
    with pytest.raises(ValueError, match=text):
        model.fit(*numbered(10), validation_split=split, verbose=0)


# Shuffling


def orders(seed, epochs, shuffle=True, initial_epoch=0, n=50):
    random.set_random_seed(seed)
    model = seen_model()
    model.fit(
        *numbered(n), batch_size=8, epochs=epochs, initial_epoch=initial_epoch, verbose=0,
        shuffle=shuffle,
    )  # fmt: skip
    flat = np.concatenate(model.seen[True]).astype(int)
    return flat.reshape(epochs - initial_epoch, n)


def test_shuffle_is_one_new_permutation_per_epoch_given_by_seed_and_epoch():
    found = orders(1, 3)
    for order in found:
        assert sorted(order) == list(range(50))
    assert len({tuple(order) for order in found}) == 3
    np.testing.assert_array_equal(found, orders(1, 3))
    np.testing.assert_array_equal(found[2:], orders(1, 3, initial_epoch=2))
    assert not np.array_equal(found, orders(2, 3))


def test_shuffle_does_not_depend_on_the_history_of_draws():
    random.set_random_seed(1)
    random.normal((100,))
    model = seen_model()
    model.fit(*numbered(50), batch_size=8, verbose=0)
    np.testing.assert_array_equal(np.concatenate(model.seen[True]).astype(int), orders(1, 1)[0])


def test_shuffle_batch_keeps_the_batches():
    (order,) = orders(1, 1, shuffle="batch")
    for i in range(0, 50, 8):
        assert sorted(order[i : i + 8]) == list(range(i, min(i + 8, 50)))
    assert not np.array_equal(order, np.arange(50))


def test_x_y_and_weights_are_shuffled_together():
    x, _ = numbered(40)
    weights = np.arange(40, dtype="f4") + 1
    model = linear(1)
    model.set_weights([np.zeros((1, 1)), np.zeros(1)])
    history = model.fit(x, x * 2, sample_weight=weights, batch_size=7, verbose=0)
    expected = np.mean((2 * np.arange(40.0)) ** 2 * (np.arange(40) + 1))
    np.testing.assert_allclose(history.history["loss"], expected, rtol=1e-6)


# Generators


def test_generator_with_steps():
    x, y = rows(8)
    model = linear()
    history = model.fit(
        endless(x, y, 4), steps_per_epoch=2, epochs=3, verbose=0,
        validation_data=endless(x, y, 4), validation_steps=2,
    )  # fmt: skip
    expected = model.evaluate(x, y, verbose=0)
    np.testing.assert_allclose(history.history["loss"], [expected] * 3, rtol=1e-6)
    np.testing.assert_allclose(history.history["val_loss"], [expected] * 3, rtol=1e-6)
    found = model.evaluate(endless(x, y, 4), steps=2, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    predicted = model.predict((part for part, _ in endless(x, y, 4)), steps=2, verbose=0)
    np.testing.assert_array_equal(predicted, model.predict(x, batch_size=4, verbose=0))


def test_generator_may_yield_weights_and_class_weights_apply():
    x, _ = rows(4)
    y = np.array([[0], [1], [1], [0]])
    model = linear()
    loss = model.fit(iter([(x, y, np.full(4, 2.0))]), class_weight={1: 3.0}, verbose=0).history[
        "loss"
    ][0]
    direct = model.evaluate(x, y, sample_weight=np.array([2.0, 6, 6, 2]), verbose=0)
    np.testing.assert_allclose(loss, direct, rtol=1e-6)


def test_short_iterator_ends_the_epoch_with_a_warning():
    x, y = rows(4)
    with pytest.warns(UserWarning, match="the data ended after 3 steps"):
        history = linear().fit(iter([(x, y)] * 3), steps_per_epoch=5, verbose=0)
    assert len(history.history["loss"]) == 1
    with pytest.warns(UserWarning, match="the data ended after 0 steps"):
        history = linear().fit(iter([(x, y)] * 3), steps_per_epoch=3, epochs=2, verbose=0)
    assert len(history.history["loss"]) == 1


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
@pytest.mark.parametrize("built", [False, True])
def test_iterator_that_is_empty_from_the_start(method, built):
    model = linear()
    if not built:
        model = Sequential([layers.Dense(1)])
        model.compile("sgd", "mse")
    for empty in (iter([]), (x for x in ())):
        with pytest.raises(ValueError, match=f"{method}: x has no batches"):
            getattr(model, method)(empty, verbose=0)


def test_sequence_like_object():
    x, y = rows(10)
    batches = Batches(x, y, 3)
    model = linear()
    history = model.fit(batches, epochs=2, shuffle=False, verbose=0)
    assert batches.asked == [0, 1, 2, 3] * 2 and batches.ends == 2
    expected = model.evaluate(x, y, verbose=0)
    np.testing.assert_allclose(history.history["loss"], [expected] * 2, rtol=1e-6)
    batches.asked.clear()
    model.fit(batches, epochs=1, verbose=0)
    assert sorted(batches.asked) == [0, 1, 2, 3]


def test_iterable_starts_again_each_epoch():
    x, y = rows(4)

    class Loader:
        def __iter__(self):
            return iter([(x, y), (x, y)])

    recorder = Recorder()
    linear().fit(Loader(), epochs=2, callbacks=[recorder], verbose=0)
    assert recorder.events.count("batch 1 end") == 2


def test_generator_builds_the_model_and_loses_no_batch():
    x, y = numbered(6)
    model = Seen()
    model.compile(optimizers.SGD(0.0), "mse")
    model.fit(((x[i : i + 2], y[i : i + 2]) for i in (0, 2, 4)), verbose=0)
    np.testing.assert_array_equal(np.concatenate(model.seen[True]), np.arange(6))


def test_arrays_beside_a_generator_are_refused():
    x, y = rows(4)
    with pytest.raises(ValueError, match="fit: y must be None where x hands out batches"):
        linear().fit(endless(x, y, 2), y, steps_per_epoch=1, verbose=0)
    with pytest.raises(ValueError, match="fit: validation_split needs arrays"):
        linear().fit(endless(x, y, 2), steps_per_epoch=1, validation_split=0.5, verbose=0)
    with pytest.raises(
        ValueError, match=r"yields \(x, y\) or \(x, y, sample_weight\), got a tuple"
    ):
        linear().fit(iter([(x, y, y, y)]), verbose=0)


# Layouts and types


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.astype("f8"),
        lambda x: np.asfortranarray(x),
        lambda x: x[::-1][::-1],
        lambda x: np.repeat(x, 2, axis=0)[::2],
        lambda x: x.tolist(),
        lambda x: pydl.tensor(x),
        lambda x: x.astype(">f4"),
    ],
    ids=["float64", "fortran", "reversed", "strided", "list", "tensor", "big-endian"],
)
def test_any_layout_and_type_gives_the_same_result(change, shuffle):
    x, y = rows(20)
    model = linear(optimizer=optimizers.SGD(0.1))
    start = model.get_weights()
    random.set_random_seed(0)
    model.fit(x, y, batch_size=6, verbose=0, shuffle=shuffle)
    expected = model.get_weights()
    model.set_weights(start)
    random.set_random_seed(0)
    model.fit(change(x), change(y), batch_size=6, verbose=0, shuffle=shuffle)
    for found, wanted in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(model.predict(change(x), verbose=0), model.predict(x, verbose=0))


def test_integer_inputs_are_cast_for_layers_of_floats():
    x = np.arange(12, dtype="u1").reshape(4, 3)
    model = linear()
    np.testing.assert_array_equal(
        model.predict(x, verbose=0), model.predict(x.astype("f4"), verbose=0)
    )
    y = np.zeros((4, 1), "u1")
    assert model.evaluate(x, y, verbose=0) == model.evaluate(x.astype("f4"), y * 0.0, verbose=0)


def test_inputs_keep_their_values():
    x, y = rows(10)
    before = x.copy(), y.copy()
    linear(optimizer="rmsprop").fit(x, y, verbose=0)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])


class Sum(Model):
    """Two inputs, as a list or by name."""

    def __init__(self):
        super().__init__()
        self.unit = layers.Dense(1)

    def call(self, inputs):
        a, b = inputs.values() if isinstance(inputs, dict) else inputs
        return self.unit(a + b)


def test_several_inputs():
    x, y = rows(10)
    model = Sum()
    model.compile("sgd", "mse")
    model.fit([x, x], y, batch_size=4, verbose=0)
    model.fit({"a": x, "b": x}, y, batch_size=4, verbose=0)
    np.testing.assert_array_equal(
        model.predict([x, x], verbose=0), model.predict({"a": x, "b": x}, verbose=0)
    )
    with pytest.raises(ValueError, match=r"fit: x\[0\] has 10 rows, x\[1\] has 9"):
        model.fit([x, x[:9]], y, verbose=0)
    with pytest.raises(ValueError, match=r"fit: x\['a'\] has 10 rows, y has 9"):
        model.fit({"a": x, "b": x}, y[:9], verbose=0)


def test_predictions_are_arrays_of_their_own():
    class Same(Model):
        def call(self, inputs):
            return inputs

    x, _ = rows(3)
    found = Same().predict(x, verbose=0)
    found[:] = 0
    assert x.any()
    assert linear().predict(x, verbose=0).dtype == np.float32
