"""Callbacks: hooks, order, logs, and what each callback does."""

from __future__ import annotations

import csv
import math
import sys
import warnings

import matplotlib
import numpy as np
import pytest

import pydl
from pydl import callbacks, layers, models, optimizers
from pydl.callbacks import progress
from pydl.models import Sequential


def data(n=8):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 3)).astype("f4"), rng.normal(size=(n, 1)).astype("f4")


def make(learning_rate=0.1, metrics=None):
    model = Sequential([layers.Input((3,)), layers.Dense(1)])
    model.compile(optimizers.SGD(learning_rate), "mse", metrics=metrics)
    return model


class Fake(callbacks.Callback):
    """Puts given values into the logs, one per epoch, so that others see them."""

    def __init__(self, **values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs.update({key: values[epoch] for key, values in self.values.items()})


def run(values, *others, epochs=None, key="val_loss"):
    """Train on logs that hold `values`; the history."""
    model = make()
    history = model.fit(
        *data(), epochs=epochs or len(values), callbacks=[Fake(**{key: values}), *others], verbose=0
    )
    return model, history


# Base and list


ALL_HOOKS = [
    name for name in vars(callbacks.Callback) if name.startswith("on_") and "on_batch" not in name
]


def test_every_hook_is_called():
    called = []

    class Everything(callbacks.Callback):
        pass

    for name in [*ALL_HOOKS, "on_batch_begin", "on_batch_end"]:
        setattr(Everything, name, lambda self, *args, name=name: called.append((name, args)))
    callback = Everything()
    x, y = data()
    model = make()
    model.fit(x, y, validation_data=(x, y), callbacks=[callback], verbose=0)
    model.evaluate(x, y, callbacks=[callback], verbose=0)
    model.predict(x, callbacks=[callback], verbose=0)
    names = [name for name, _ in called]
    assert set(names) == set(ALL_HOOKS)
    assert names.count("on_test_begin") == 2
    outputs = dict(called)["on_predict_batch_end"][1]["outputs"]
    np.testing.assert_array_equal(outputs, model.predict(x, verbose=0))
    assert callback.model is model


def test_batch_hooks_have_an_older_name():
    seen = []

    class Old(callbacks.Callback):
        def on_batch_begin(self, batch, logs=None):
            seen.append(("begin", batch))

        def on_batch_end(self, batch, logs=None):
            seen.append(("end", batch, logs["loss"] > 0))

    make().fit(*data(), batch_size=4, callbacks=[Old()], verbose=0)
    assert seen == [("begin", 0), ("end", 0, True), ("begin", 1), ("end", 1, True)]


def test_params_and_model():
    class Look(callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.seen = dict(self.params), self.model

    callback = Look()
    model = make()
    model.fit(*data(), batch_size=3, epochs=2, callbacks=callback, verbose=0)
    params, seen = callback.seen
    assert seen is model
    assert params == {"verbose": 0, "epochs": 2, "steps": 3, "do_validation": False}


def test_batch_logs_are_means_so_far():
    seen = []
    callback = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs))
    x, y = data(10)
    model = make(0.0, metrics=["mae"])
    model.fit(x, y, batch_size=4, shuffle=False, callbacks=[callback], verbose=0)
    for end, logs in zip([4, 8, 10], seen, strict=True):
        found = model.evaluate(x[:end], y[:end], verbose=0)
        np.testing.assert_allclose([logs["loss"], logs["mae"]], found, rtol=1e-6)


def test_user_callbacks_come_before_history_and_may_add_keys():
    _, history = run([3.0, 2.0], key="extra")
    assert history.history["extra"] == [3.0, 2.0]


def test_stop_in_a_batch_hook_ends_after_that_batch():
    class Stop(callbacks.Callback):
        batches = 0

        def on_train_batch_end(self, batch, logs=None):
            self.batches += 1
            self.model.stop_training = batch == 1

    callback = Stop()
    history = make().fit(*data(20), batch_size=4, epochs=3, callbacks=[callback], verbose=0)
    assert callback.batches == 2 and history.epoch == [0]


def test_callback_list_can_be_passed_again():
    lines = []
    callback = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: lines.append(epoch))
    model = make()
    given = callbacks.CallbackList([callback], model, {})
    model.fit(*data(), epochs=2, callbacks=given, verbose=0)
    assert lines == [0, 1]


def test_hooks_nobody_overrides_are_not_called():
    class Quiet(callbacks.Callback):
        pass

    listed = callbacks.CallbackList([Quiet()], None, {}, last=[callbacks.History()])
    assert not listed.listens("on_train_batch_end")
    assert callbacks.CallbackList(callbacks.TerminateOnNaN(), None, {}).listens(
        "on_train_batch_end"
    )


# History


def test_history():
    x, y = data()
    model = make(metrics=["mae"])
    history = model.fit(
        x, y, epochs=4, initial_epoch=1, validation_data=(x, y), validation_freq=2, verbose=0
    )
    assert history is model.history and history.epoch == [1, 2, 3]
    assert {k: len(v) for k, v in history.history.items()} == {
        "loss": 3, "mae": 3, "val_loss": 2, "val_mae": 2,
    }  # fmt: skip
    assert all(type(v) is float for values in history.history.values() for v in values)
    assert model.fit(x, y, verbose=0).epoch == [0]
    assert len(history.history["loss"]) == 3


def test_validation_after_the_listed_epochs():
    x, y = data()
    history = make().fit(x, y, epochs=4, validation_data=(x, y), validation_freq=[1, 4], verbose=0)
    assert len(history.history["val_loss"]) == 2


def test_plot(tmp_path):
    matplotlib.use("Agg")
    x, y = data()
    history = make(metrics=["mae"]).fit(x, y, epochs=3, validation_data=(x, y), verbose=0)
    figure = history.plot(path=tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000
    assert [axes.get_title() for axes in figure.axes] == ["loss", "mae"]
    lines = figure.axes[0].get_lines()
    np.testing.assert_allclose(lines[0].get_ydata(), history.history["loss"])
    np.testing.assert_allclose(lines[1].get_ydata(), history.history["val_loss"])
    assert len(history.plot(keys=["mae"]).axes) == 1
    np.testing.assert_allclose(
        history.plot(keys=["mean_absolute_error"]).axes[0].get_lines()[0].get_ydata(),
        history.history["mae"],
    )
    history = make().fit(x, y, epochs=5, validation_data=(x, y), validation_freq=[1, 4], verbose=0)
    drawn = history.plot().axes[0].get_lines()[1]
    np.testing.assert_array_equal(drawn.get_xdata(), [1, 4])
    with pytest.raises(KeyError, match="'f1' was not recorded"):
        history.plot(keys=["f1"])
    with pytest.raises(ValueError, match="nothing was recorded yet"):
        callbacks.History().plot()


def test_plot_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"History.plot: needs matplotlib; install it with pip"):
        make().fit(*data(), verbose=0).plot()


# EarlyStopping


@pytest.mark.parametrize(
    ("values", "options", "epochs"),
    [
        ([3, 2, 2.5, 1, 0], {}, 3),
        ([3, 2, 2.5, 1, 0], {"patience": 1}, 3),
        ([3, 2, 2.5, 1, 0], {"patience": 2}, 5),
        ([3, 3, 3, 3, 3], {"patience": 2}, 3),
        ([3, 2.9, 2.8, 2.7], {"min_delta": 0.5}, 2),
        ([3, 2, 2.5, 0.5], {"baseline": 0.6, "patience": 2}, 3),
        ([3, 4, 5, 6], {"mode": "max", "patience": 1}, 4),
        ([3, 4, 5, 6, 7], {"start_from_epoch": 2, "patience": 1}, 4),
        ([3, 4], {}, 2),
        ([math.nan, math.nan, 1], {}, 2),
    ],
)
def test_early_stopping(values, options, epochs):
    _, history = run(values, callbacks.EarlyStopping(**options))
    assert len(history.epoch) == epochs


def test_early_stopping_by_accuracy_looks_for_the_highest():
    stopper = callbacks.EarlyStopping("accuracy")
    _, history = run([0.5, 0.6, 0.7, 0.6, 0.9], stopper, key="accuracy")
    assert len(history.epoch) == 4 and stopper.stopped_epoch == 3 and stopper.best == 0.7
    _, history = run([0.5, 0.6, 0.5, 0.9], callbacks.EarlyStopping("accuracy"), key="acc")
    assert len(history.epoch) == 3


@pytest.mark.parametrize(
    ("values", "best"), [([3, 1, 2, 2], 1), ([3, 2, 1, 1.5, 2], 2), ([3, 2, 1], 2), ([1, 2, 3], 0)]
)
def test_best_weights_are_restored_stopped_or_not(values, best):
    kept = []
    keep = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: kept.append(keep.model.get_weights())
    )
    model, _ = run(values, keep, callbacks.EarlyStopping(patience=2, restore_best_weights=True))
    for found, wanted in zip(model.get_weights(), kept[best], strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_missing_quantity_warns_and_lists_the_keys():
    with pytest.warns(UserWarning, match="'val_loss' is not available; there are: loss, mae"):
        history = make(metrics=["mae"]).fit(
            *data(), epochs=2, callbacks=[callbacks.EarlyStopping()], verbose=0
        )
    assert len(history.epoch) == 2


def test_direction_of_an_unknown_quantity_must_be_given():
    with pytest.raises(ValueError, match="cannot tell whether a higher or a lower 'val_wealth'"):
        run([1.0], callbacks.EarlyStopping("val_wealth"), key="val_wealth")
    run([1.0], callbacks.EarlyStopping("val_wealth", mode="max"), key="val_wealth")
    with pytest.raises(ValueError, match="EarlyStopping: mode must be 'auto', 'min' or 'max'"):
        callbacks.EarlyStopping(mode="most")


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("loss", -1), ("val_out_loss", -1), ("val_accuracy", 1), ("acc", 1), ("val_acc_1", 1),
        ("categorical_accuracy", 1), ("mae", -1), ("val_mean_absolute_error", -1), ("auc", 1),
        ("binary_crossentropy", -1), ("out_a_accuracy", 1),
    ],
)  # fmt: skip
def test_direction_by_name(name, sign):
    stopper = callbacks.EarlyStopping(name)
    stopper.on_train_begin()
    assert stopper._sign == sign


def test_early_stopping_says_so(capsys):
    run([3, 4, 5], callbacks.EarlyStopping(verbose=1, restore_best_weights=True))
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 2: early stopping",
        "Weights of the best epoch, 1, are restored",
    ]


# Learning rates


def test_reduce_lr_on_plateau():
    reduce = callbacks.ReduceLROnPlateau(factor=0.5, patience=2, min_lr=0.03)
    model, history = run([3, 2, 2, 2, 2, 2, 2, 2], reduce)
    np.testing.assert_allclose(
        history.history["learning_rate"], [0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.03, 0.03]
    )
    assert float(model.optimizer.learning_rate) == 0.03


def test_reduce_lr_waits_for_the_cooldown():
    reduce = callbacks.ReduceLROnPlateau(factor=0.5, patience=1, cooldown=2)
    _, history = run([3, 3, 3, 3, 3, 3], reduce)
    np.testing.assert_allclose(
        history.history["learning_rate"], [0.1, 0.1, 0.05, 0.05, 0.025, 0.025]
    )


def test_reduce_lr_factor():
    with pytest.raises(ValueError, match=r"factor must be in \[0, 1\), got 1"):
        callbacks.ReduceLROnPlateau(factor=1)


@pytest.mark.parametrize("schedule", [lambda e: 0.1 / (e + 1), lambda e, lr: lr / 2 if e else lr])
def test_learning_rate_scheduler(schedule):
    model = make()
    history = model.fit(
        *data(), epochs=2, callbacks=[callbacks.LearningRateScheduler(schedule)], verbose=0
    )
    assert history.history["learning_rate"] == [0.1, 0.05]
    with pytest.raises(TypeError, match="the schedule must return a number, got None"):
        model.fit(*data(), callbacks=[callbacks.LearningRateScheduler(lambda e: None)], verbose=0)
    with pytest.raises(TypeError, match="schedule must be callable, got 3"):
        callbacks.LearningRateScheduler(3)


# Others


def diverge(x, y, lr=0.0, generator=False, loss="mse", **compile_args):
    """Train three layers until TerminateOnNaN stops it; returns that and the model."""
    pydl.utils.set_random_seed(0)  # some first weights leave relu at zero, which never diverges
    model = models.Sequential(
        [
            layers.Input((x.shape[1],)),
            layers.Dense(8, "relu", name="first"),
            models.Sequential([layers.Dense(8, "relu", name="mid")], name="inner"),
            layers.Dense(1, name="last"),
        ]
    )
    model.compile(optimizers.SGD(lr), loss, **compile_args)
    stop = callbacks.TerminateOnNaN()
    if generator:
        source = ((x[i : i + 4], y[i : i + 4]) for _ in range(9) for i in range(0, len(x), 4))
        model.fit(source, steps_per_epoch=len(x) // 4, epochs=9, callbacks=[stop], verbose=0)
    else:
        model.fit(x, y, batch_size=4, epochs=9, shuffle=False, callbacks=[stop], verbose=0)
    return stop, model


WAYS = [{}, {"run_eagerly": True}, {"generator": True}]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("broken", ["x", "y"])
def test_terminate_on_nan_in_the_data(capsys, way, broken):
    x, y = np.ones((12, 3), np.float32), np.ones((12, 1), np.float32)
    (x if broken == "x" else y)[6] = np.nan
    stop, model = diverge(x, y, **way)
    assert (stop.batch, stop.layer) == (1, None)
    assert model.history.epoch == [0] and math.isnan(model.history.history["loss"][0])
    count = "3 nan of 12" if broken == "x" else "1 nan of 4"
    assert capsys.readouterr().out == (
        f"Batch 1: the loss is nan: {broken} of the batch holds {count} values; training stops\n"
    )


@pytest.mark.parametrize("way", WAYS)
def test_terminate_on_nan_names_the_layer(capsys, way):
    """Overflow in the layer inside the inner model, whatever the update made of the weights."""

    def poison(batch, logs):
        if batch == 2:
            mid.kernel.assign(np.full((8, 8), 3e38, np.float32))
            first.bias.assign(np.full(8, 30, np.float32))

    x, y = np.ones((16, 3), np.float32), np.ones((16, 1), np.float32)
    model = models.Sequential(
        [
            layers.Input((3,)),
            first := layers.Dense(8, "relu", name="first"),
            models.Sequential([mid := layers.Dense(8, "relu", name="mid")], name="inner"),
            layers.Dense(1, name="last"),
        ]
    )
    model.compile(optimizers.SGD(0.001), "mse", run_eagerly="run_eagerly" in way)
    stop = callbacks.TerminateOnNaN()
    hooks = [callbacks.LambdaCallback(on_train_batch_begin=poison), stop]
    if "generator" in way:
        batches = ((x[:4], y[:4]) for _ in range(4))
        model.fit(batches, steps_per_epoch=4, callbacks=hooks, verbose=0)
    else:
        model.fit(x, y, batch_size=4, callbacks=hooks, verbose=0)
    assert (stop.batch, stop.layer) == (2, "inner/mid")
    text = capsys.readouterr().out
    assert text.startswith("Batch 2: the loss is ")
    assert ", first in 'inner/mid': it gave 32 infinite of 32 values for inputs of up to 3" in text
    # the weights stay as the step left them
    assert not all(np.isfinite(w).all() for w in model.get_weights())


@pytest.mark.parametrize("way", WAYS)
def test_terminate_on_nan_when_training_diverges(capsys, way):
    rng = np.random.default_rng(0)
    x = 1000 * rng.normal(size=(40, 3)).astype(np.float32)
    stop, _ = diverge(x, x.sum(1, keepdims=True), 1.0, **way)
    assert stop.batch >= 1 and stop.layer is not None
    assert f", first in {stop.layer!r}: " in capsys.readouterr().out


def test_terminate_on_nan_in_the_update(capsys):
    x, y = np.ones((8, 3), np.float32), np.full((8, 1), 1e18, np.float32)
    stop, _ = diverge(x, y, 1e30)  # a finite loss, gradients whose updates are not
    assert (stop.batch, stop.layer) == (1, "last")
    assert "first in 'last': the step before it left" in capsys.readouterr().out


def test_terminate_on_nan_in_the_loss(capsys):
    x = np.ones((8, 3), np.float32)
    stop, _ = diverge(x, np.ones((8, 1), np.float32), loss=lambda t, p: p * 0 + np.inf)
    assert (stop.batch, stop.layer) == (0, "last")
    assert "its outputs are finite, up to" in capsys.readouterr().out


def test_terminate_on_nan_leaves_the_training_as_it_is():
    x, y = data()
    pydl.utils.set_random_seed(1)
    plain = make()
    plain.fit(x, y, epochs=2, verbose=0)
    pydl.utils.set_random_seed(1)
    watched = make()
    stop = callbacks.TerminateOnNaN()
    watched.fit(x, y, epochs=2, verbose=0, callbacks=[stop])
    assert stop.batch is None and stop._batch_data is None
    for a, b in zip(plain.get_weights(), watched.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_lambda_callback():
    with pytest.raises(TypeError, match="there is no hook 'on_epoch_middle'"):
        callbacks.LambdaCallback(on_epoch_middle=print)
    seen = []
    make().fit(
        *data(),
        callbacks=[
            callbacks.LambdaCallback(
                on_train_begin=lambda logs: seen.append("begin"),
                on_epoch_end=lambda epoch, logs: seen.append(epoch),
                on_train_batch_begin=lambda batch, logs: seen.append("batch"),
                on_test_begin=lambda logs: seen.append("never"),
            )
        ],
        verbose=0,
    )
    assert seen == ["begin", "batch", 0]


def test_csv_logger(tmp_path):
    path = tmp_path / "log.csv"
    x, y = data()
    model = make(metrics=["mae"])
    options = {"validation_data": (x, y), "validation_freq": 2, "verbose": 0}
    history = model.fit(x, y, epochs=2, callbacks=[callbacks.CSVLogger(path)], **options)
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["epoch", "loss", "mae", "val_loss", "val_mae"]
    assert rows[1][0] == "0" and rows[1][3:] == ["NA", "NA"]
    assert float(rows[2][1]) == history.history["loss"][1]
    logger = callbacks.CSVLogger(path, append=True)
    model.fit(x, y, epochs=3, initial_epoch=2, callbacks=[logger], **options)
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows] == ["epoch", "0", "1", "2"]
    model.fit(x, y, callbacks=[callbacks.CSVLogger(path, separator=";")], verbose=0)
    assert path.read_text().splitlines()[0] == "epoch;loss;mae"


# Progress


class Clock:
    """A clock that moves by itself, to count redraws."""

    def __init__(self, step):
        self.now, self.step = 0.0, step

    def perf_counter(self):
        self.now += self.step
        return self.now


def test_bar_is_redrawn_at_most_every_50_ms_and_asks_for_results_only_then(monkeypatch):
    asked = []

    def results(logs):
        asked.append(logs)
        return {"loss": 0.5}

    monkeypatch.setattr(progress, "time", Clock(0.001))
    bar = callbacks.ProgbarLogger(1, results)
    bar.begin("Epoch 1/1", 1000)
    for i in range(1000):
        bar.tick(i + 1)
    bar.finish({"loss": 0.25})
    assert 15 <= len(asked) <= 1000 * 0.001 / 0.05


def test_last_line_of_an_epoch_is_whole_and_printed_once(capsys, monkeypatch):
    monkeypatch.setattr(progress, "is_terminal", lambda: True)
    monkeypatch.setattr(progress.shutil, "get_terminal_size", lambda: (40, 20))
    x, y = data()
    make(metrics=["mae"]).fit(x, y, epochs=2, validation_data=(x, y), verbose=1)
    lines = capsys.readouterr().out.split("\n")
    assert len(lines) == 3 and lines[2] == ""
    for epoch, line in enumerate(lines[:2], 1):
        last = line.split("\r")[-1]
        assert last.startswith(f"Epoch {epoch}/2: 100%") and "val_mae: " in last
        assert all(len(drawn) <= 40 for drawn in line.split("\r")[:-1])


def test_bar_of_unknown_length(capsys):
    x, y = data()
    make().fit(iter([(x, y)] * 3), verbose=1)
    assert "3/3" in capsys.readouterr().out


def test_bar_is_closed_after_an_error(capsys):
    class Break(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        make().fit(*data(), callbacks=[Break()], verbose=1)
    capsys.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make().fit(*data(), verbose=1)
    assert capsys.readouterr().out.count("Epoch 1/1: 100%") >= 1


def test_evaluation_shows_its_results(capsys):
    x, y = data(80)
    make(metrics=["mae"]).evaluate(x, y)
    out = capsys.readouterr().out
    assert out.startswith("Evaluation - ") and "loss: " in out and "mae: " in out
    make().predict(x, verbose=1)
    assert "Prediction: 100%" in capsys.readouterr().out
    make().predict(x[:1])
    assert capsys.readouterr().out == ""
