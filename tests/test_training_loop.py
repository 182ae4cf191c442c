"""What the training loop does and tells: order of events, loss, metrics, weights, names, output."""

from __future__ import annotations

import numpy as np
import pytest
from model_helpers import Recorder, Two, linear, rows

import pydl
from pydl import callbacks, layers, metrics, optimizers
from pydl.models import Model, Sequential

# Order of events


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


# Loss of an epoch


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


# Metrics


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


# Weights


def test_weights_are_in_layer_order_kernel_before_bias():
    model = Sequential([layers.Input((3,)), layers.Dense(4), layers.Dense(2)])
    assert [w.shape for w in model.trainable_weights] == [(3, 4), (4,), (4, 2), (2,)]
    assert [w.name for w in model.weights] == ["kernel", "bias"] * 2


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


# Names in the history


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


def test_weighted_metrics_beside_equal_ones_are_called_as_keras_calls_them():
    model = linear(metrics=["mse"], weighted_metrics=["mse", "mae", "mse"])
    x, y = rows(4)
    history = model.fit(x, y, sample_weight=np.array([1.0, 2.0, 3.0, 4.0]), verbose=0)
    names = ["loss", "mse", "weighted_mse", "mae", "weighted_mse_1"]
    assert list(history.history) == model.metrics_names == names
    assert history.history["mse"] != history.history["weighted_mse"]
    start = layers.Input((2,))
    outputs = {name: layers.Dense(1, name=name)(start) for name in ("a", "b")}
    model = Model(start, outputs)
    model.compile("sgd", "mse", metrics={"a": "mae"}, weighted_metrics={"a": "mae", "b": "mae"})
    model.train_on_batch(np.ones((3, 2)), {"a": np.ones((3, 1)), "b": np.ones((3, 1))})
    assert model.metrics_names[3:] == ["a_mae", "a_weighted_mae", "b_mae"]


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


# Output


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


@pytest.mark.parametrize("name", ["steps_per_epoch", "validation_steps"])
def test_no_steps_are_refused(name: str) -> None:
    model = Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.zeros((4, 2)), np.zeros(4)
    with pytest.raises(ValueError, match=f"fit: {name} must be a positive integer, got 0"):
        model.fit(x, y, verbose=0, validation_data=(x, y), **{name: 0})
    with pytest.raises(ValueError, match="evaluate: steps must be a positive integer, got -1"):
        model.evaluate(x, y, verbose=0, steps=-1)
