"""The conventions of the training loop, one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_helpers import Batches, Recorder, Seen, Two, endless, linear, numbered, rows, seen_model

import pydl
from pydl import callbacks, layers, metrics, optimizers, random
from pydl.models import Model, Sequential, sources
from pydl.models import data as data_module

# 1. Batches


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


# 2. Validation split


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


# 3. Shuffling


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


# 4. Order of events


def test_order_of_events():
    recorder = Recorder()
    model = linear()
    x, y = rows(4)
    model.fit(x, y, batch_size=2, epochs=2, validation_data=(x, y), callbacks=[recorder], verbose=0)
    epoch = [
        "epoch {} begin", "batch 0 begin", "batch 0 end", "batch 1 begin", "batch 1 end",
        "test begin", "test batch 0", "test batch 1", "test end", "epoch {} end",
    ]  # fmt: skip
    expected = [event.format(e) for e in range(2) for event in epoch]
    assert recorder.events == ["train begin", *expected, "train end"]


def test_stop_training_ends_after_the_epoch():
    class Stop(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    history = linear().fit(*rows(4), epochs=5, callbacks=[Stop()], verbose=0)
    assert history.epoch == [0, 1]


def test_metrics_are_reset_each_epoch():
    x, y = rows(10)
    history = linear(metrics=["mae"]).fit(x, y, epochs=3, verbose=0, batch_size=4, shuffle=False)
    for values in history.history.values():
        assert len(set(values)) == 1


def test_validation_has_inference_behaviour():
    model = Sequential([layers.Input((4,)), layers.Dropout(0.5), layers.Dense(1)])
    model.compile(optimizers.SGD(0.0), "mse")
    x, y = rows(64, 4)
    history = model.fit(x, y, validation_data=(x, y), verbose=0)
    assert history.history["val_loss"][0] == model.evaluate(x, y, verbose=0)
    assert history.history["loss"][0] != history.history["val_loss"][0]


# 5. Loss of an epoch


def test_epoch_loss_is_the_mean_over_samples_in_float64():
    x, y = rows(10)
    model = linear()
    history = model.fit(x, y, batch_size=4, verbose=0, shuffle=False)
    e = np.square(x.astype("f8") @ model.get_weights()[0] + model.get_weights()[1] - y)
    per_batch = [np.mean(e[i : i + 4]) for i in (0, 4, 8)]
    expected = (per_batch[0] * 4 + per_batch[1] * 4 + per_batch[2] * 2) / 10
    np.testing.assert_allclose(history.history["loss"], expected, rtol=8 * np.finfo("f4").eps)
    assert history.history["loss"][0] == pytest.approx(model.evaluate(x, y, verbose=0), rel=1e-6)


def test_penalties_are_in_the_loss_of_training_and_evaluation():
    model = Sequential(
        [
            layers.Input((3,)),
            layers.Dense(4, kernel_regularizer="l2", activity_regularizer="l1"),
            layers.Dense(1, bias_regularizer=lambda w: (w * w).sum() + 1.0),
        ]
    )
    model.compile(optimizers.SGD(0.0), "mse")
    x, y = rows(6)
    kernel, bias, kernel2, bias2 = model.get_weights()
    hidden = x @ kernel + bias
    expected = (
        np.mean((hidden @ kernel2 + bias2 - y) ** 2)
        + 0.01 * np.sum(kernel**2)
        + 0.01 * np.sum(np.abs(hidden)) / 6
        + 1.0
    )
    history = model.fit(x, y, verbose=0)
    for found in (history.history["loss"][0], model.evaluate(x, y, verbose=0)):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_loss_is_measured_while_the_weights_change():
    x, y = rows(8)
    model = linear(optimizer=optimizers.SGD(0.1))
    losses_seen = []
    twin = linear(optimizer=optimizers.SGD(0.1))
    twin.set_weights(model.get_weights())
    history = model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    losses_seen = [twin.train_on_batch(x[i : i + 4], y[i : i + 4]) for i in (0, 4)]
    assert history.history["loss"][0] == np.mean(losses_seen)


# 6. Metrics


def test_metrics_are_sums_over_samples():
    x, y = rows(10)
    model = linear(metrics=["mae"])
    found = model.fit(x, y, batch_size=4, verbose=0).history["mae"][0]
    e = np.abs(x.astype("f8") @ model.get_weights()[0] + model.get_weights()[1] - y)
    np.testing.assert_allclose(found, np.mean(e), rtol=8 * np.finfo("f4").eps)


def test_accumulation_does_not_lose_small_batches():
    x = np.zeros((40_000, 1), "f4")
    y = np.full((40_000, 1), 0.1, "f4")
    model = linear(1, metrics=["mae"])
    model.set_weights([np.zeros((1, 1)), np.zeros(1)])
    found = model.evaluate(x, y, batch_size=20, verbose=0)
    np.testing.assert_allclose(found, [np.float64(np.float32(0.1)) ** 2, 0.1], rtol=2e-7)


# 7. Weights


def test_sample_weight_divisor_is_the_number_of_elements():
    x, y = rows(6)
    model = linear(weighted_metrics=["mae"], metrics=["mse"])
    weight = np.array([0, 1, 2, 3, 4, 5.0])
    e = (x @ model.get_weights()[0] + model.get_weights()[1] - y)[:, 0]
    loss, mse, mae = model.evaluate(x, y, sample_weight=weight, verbose=0)
    np.testing.assert_allclose(loss, np.sum(weight * e**2) / 6, rtol=1e-6)
    np.testing.assert_allclose(mse, np.mean(e**2), rtol=1e-6)
    np.testing.assert_allclose(mae, np.sum(weight * abs(e)) / weight.sum(), rtol=1e-6)
    history = model.fit(x, y, sample_weight=weight, batch_size=4, verbose=0)
    np.testing.assert_allclose(history.history["loss"][0], loss, rtol=1e-6)


@pytest.mark.parametrize("one_hot", [False, True])
def test_class_weight_multiplies_per_sample_losses(one_hot):
    x, _ = rows(6)
    labels = np.array([0, 1, 2, 0, 1, 2])
    model = Sequential([layers.Input((3,)), layers.Dense(3, activation="softmax")])
    loss = "categorical_crossentropy" if one_hot else "sparse_categorical_crossentropy"
    model.compile(optimizers.SGD(0.0), loss)
    y = np.eye(3)[labels] if one_hot else labels
    p = model.predict(x, verbose=0)[np.arange(6), labels].astype("f8")
    weight = np.array([1.0, 5.0, 0.5])[labels]
    sample_weight = np.arange(6.0)
    history = model.fit(x, y, class_weight={1: 5.0, 2: 0.5}, sample_weight=sample_weight, verbose=0)
    expected = np.sum(-np.log(p) * weight * sample_weight) / 6
    np.testing.assert_allclose(history.history["loss"][0], expected, rtol=1e-5)


def test_class_weight_needs_classes():
    with pytest.raises(ValueError, match=r"class_weight needs one class for each row of y"):
        linear().fit(*rows(6), class_weight={0: 2.0}, verbose=0)


# 8. Names in the history


@pytest.mark.parametrize("name", ["accuracy", "acc"])
def test_history_keys_are_the_names_given(name):
    x, _ = rows(8)
    y = np.eye(2)[[0, 1] * 4]
    model = Sequential([layers.Input((3,)), layers.Dense(2, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy", metrics=[name, "mae"])
    history = model.fit(x, y, verbose=0, validation_split=0.25)
    assert list(history.history) == ["loss", name, "mae", "val_loss", f"val_{name}", "val_mae"]
    assert history.history["acc"] is history.history["accuracy"] is history.history[name]
    assert history.history["val_acc"] is history.history["val_accuracy"]
    assert history.history.get("accuracy") is history.history.get("acc") is not None
    assert "acc" in history.history or "accuracy" in history.history
    assert history.history.get("auc") is None
    assert history.history["mean_absolute_error"] is history.history["mae"]
    with pytest.raises(KeyError, match="'auc' was not recorded; recorded are 'loss'"):
        history.history["auc"]


def test_functions_and_instances_use_their_own_names_and_repeats_get_numbers():
    def worst(y_true, y_pred):
        return pydl.max(pydl.abs(y_true - y_pred), axis=-1)

    model = linear(metrics=["mse", worst, "mse", metrics.MeanAbsoluteError(name="distance")])
    history = model.fit(*rows(4), verbose=0)
    assert list(history.history) == ["loss", "mse", "worst", "mse_1", "distance"]
    assert model.metrics_names == list(history.history)


def test_several_outputs_by_name():
    x, y = rows(8)
    model = Two()
    model.compile(
        optimizers.SGD(0.0),
        loss={"a": "mse", "b": "mae"},
        loss_weights={"a": 2.0, "b": 0.5},
        metrics={"a": ["mae"]},
    )
    target = {"b": np.zeros((8, 2)), "a": y}
    history = model.fit(x, target, verbose=0)
    assert list(history.history) == ["loss", "a_loss", "b_loss", "a_mae"]
    last = {key: values[0] for key, values in history.history.items()}
    np.testing.assert_allclose(last["loss"], 2 * last["a_loss"] + 0.5 * last["b_loss"], rtol=1e-6)
    found = model.evaluate(x, target, verbose=0)
    np.testing.assert_allclose(found, list(last.values()), rtol=1e-6)
    assert set(model.predict(x, verbose=0)) == {"a", "b"}


def test_several_outputs_in_order():
    x, y = rows(8)
    model = Two(named=False)
    model.compile(optimizers.SGD(0.0), loss=["mse", None], metrics=[["mae"], ["mse", "mae"]])
    history = model.fit(x, [y, np.zeros((8, 2))], verbose=0)
    assert list(history.history) == [
        "loss", "output_1_loss", "output_1_mae", "output_2_mse", "output_2_mae",
    ]  # fmt: skip
    a, b = model.predict(x, verbose=0, batch_size=3)
    assert a.shape == (8, 1) and b.shape == (8, 2)


# 9. Generators


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


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("result", [None, 0.5, [1.0]])
def test_steps_of_ones_own_must_return_a_dictionary(eager, result):
    class Own(Sequential):
        def train_step(self, data):
            return result

        test_step = train_step

    x, y = rows(8)
    model = Own([layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=eager)
    kind = type(result).__name__
    for data in ((x, y), (iter([(x, y)] * 4),)):
        with pytest.raises(TypeError, match=f"Own: train_step must return a dict.* got {kind}; "):
            model.fit(*data, verbose=0)
    with pytest.raises(TypeError, match="train_step must return"):
        model.train_on_batch(x, y)
    with pytest.raises(TypeError, match="Own: test_step must return a dictionary"):
        model.evaluate(x, y, verbose=0)


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


# 10. Output


def test_verbose_0_prints_nothing(capsys):
    x, y = rows(8)
    model = linear()
    model.fit(x, y, epochs=2, verbose=0)
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    out = capsys.readouterr()
    assert out.out == "" and out.err == ""


def test_verbose_2_prints_one_line_per_epoch(capsys):
    x, y = rows(8)
    linear(metrics=["mae"]).fit(x, y, epochs=2, verbose=2, validation_data=(x, y))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[1].startswith("Epoch 2/2 - ")
    assert all(name in lines[0] for name in ("loss: ", "mae: ", "val_loss: ", "val_mae: "))


def test_verbose_auto_is_2_where_the_output_is_no_terminal(capsys):
    x, y = rows(8)
    linear().fit(x, y)
    assert capsys.readouterr().out.startswith("Epoch 1/1 - ")


def test_progress_bar_shows_steps_and_results(capsys):
    x, y = rows(70)
    linear(metrics=["mae"]).fit(x, y, epochs=2, verbose=1, validation_data=(x, y))
    out = capsys.readouterr().out
    assert "Epoch 1/2: 100%" in out and "3/3" in out and "val_mae: " in out


def test_bad_verbose():
    with pytest.raises(ValueError, match="verbose must be 0, 1, 2 or 'auto', got 7"):
        linear().fit(*rows(4), verbose=7)


# 11. Data


def test_weights_are_in_layer_order_kernel_before_bias():
    model = Sequential([layers.Input((3,)), layers.Dense(4), layers.Dense(2)])
    assert [w.shape for w in model.trainable_weights] == [(3, 4), (4,), (4, 2), (2,)]
    assert [w.name for w in model.weights] == ["kernel", "bias"] * 2


def test_batches_of_consecutive_rows_are_views():
    x, y = rows(10)
    source = sources.ArraySource("fit", x, y, batch_size=4)
    for bx, by, _, _ in source.batches(0):
        assert np.shares_memory(bx.numpy(), x) and np.shares_memory(by.numpy(), y)


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
