"""ModelCheckpoint and BackupAndRestore: which files there are, and trainings that go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from errors import raises
from model_helpers import linear, rows
from safetensors.numpy import load_file

import pydl
from pydl import callbacks, layers, losses, metrics, optimizers
from pydl.callbacks import BackupAndRestore, ModelCheckpoint
from pydl.metrics.base import registry as metric_registry
from pydl.models import Model, Sequential, load_model


class Values(callbacks.Callback):
    """Puts numbers into the logs of the epochs."""

    def __init__(self, *values, key="val_loss"):
        super().__init__()
        self.values, self.key = values, key

    def on_epoch_end(self, epoch, logs=None):
        logs[self.key] = self.values[epoch]


def fit(model, *given, epochs=1, n=8, **options):
    x, y = rows(n)
    options = {"batch_size": 2, "verbose": 0, **options}
    return model.fit(x, y, epochs=epochs, callbacks=list(given), **options)


# ModelCheckpoint


def test_names_are_filled_in(tmp_path):
    path = tmp_path / "new" / "deep" / "{epoch:02d}-{val_loss:.2f}-{loss:.0e}.safetensors"
    fit(linear(), Values(0.5, 0.25), ModelCheckpoint(path), epochs=2)
    found = sorted(os.listdir(tmp_path / "new" / "deep"))
    assert [name.split("-")[:2] for name in found] == [["01", "0.50"], ["02", "0.25"]]
    assert load_model(tmp_path / "new" / "deep" / found[1]).epochs_done == 2


def test_both_spellings_of_a_metric(tmp_path):
    model = linear(metrics=["mae"])
    fit(model, ModelCheckpoint(tmp_path / "{mean_absolute_error:.0f}{mae:.0f}.safetensors"))
    assert len(os.listdir(tmp_path)) == 1


def test_an_unknown_name(tmp_path):
    with pytest.raises(ValueError, match=r"cannot fill in '.*': 'lost'; there are: loss, epoch$"):
        fit(linear(), ModelCheckpoint(tmp_path / "{lost}.safetensors"))
    with pytest.raises(ValueError, match="cannot fill in"):
        fit(linear(), ModelCheckpoint(tmp_path / "{epoch:.2q}.safetensors"))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("mode", "monitor", "values", "saved"),
    [
        ("auto", "val_loss", (3.0, 4.0, 2.0, 2.0), [1, 3]),
        ("auto", "val_accuracy", (0.5, 0.4, 0.6, 0.6), [1, 3]),
        ("max", "val_loss", (3.0, 4.0, 2.0, 5.0), [1, 2, 4]),
        ("min", "odd", (1.0, float("nan"), 0.5, 0.7), [1, 3]),
    ],
)
def test_save_best_only(mode, monitor, values, saved, tmp_path):
    keep = ModelCheckpoint(
        tmp_path / "{epoch}.safetensors", monitor, save_best_only=True, mode=mode
    )
    fit(linear(), Values(*values, key=monitor), keep, epochs=4)
    assert sorted(os.listdir(tmp_path)) == [f"{epoch}.safetensors" for epoch in saved]


def test_the_best_of_all_fits(tmp_path):
    path = tmp_path / "best.safetensors"
    keep = ModelCheckpoint(path, save_best_only=True, initial_value_threshold=2.0)
    model = linear()
    fit(model, Values(2.0, 3.0), keep, epochs=2)
    assert not path.exists() and keep.best == 2.0
    fit(model, Values(1.0), keep)
    assert path.exists() and keep.best == 1.0
    before = path.stat().st_mtime_ns
    fit(model, Values(1.5), keep)
    assert path.stat().st_mtime_ns == before and keep.best == 1.0


def test_a_missing_quantity_warns(tmp_path):
    keep = ModelCheckpoint(tmp_path / "m.safetensors", save_best_only=True)
    with pytest.warns(UserWarning, match="ModelCheckpoint: 'val_loss' is not available; there are"):
        fit(linear(), keep)
    assert os.listdir(tmp_path) == []
    with pytest.raises(ValueError, match="ModelCheckpoint: cannot tell whether"):
        fit(linear(), ModelCheckpoint(tmp_path / "m", "odd", save_best_only=True))
    fit(linear(), ModelCheckpoint(tmp_path / "m.safetensors", "odd"))  # which then does not matter


def test_save_freq_counts_batches(tmp_path):
    path = tmp_path / "{epoch}-{batch}.safetensors"
    fit(linear(), ModelCheckpoint(path, save_freq=3), epochs=3)  # of 4 batches
    assert sorted(os.listdir(tmp_path)) == [
        f"{name}.safetensors" for name in ("1-3", "2-2", "3-1", "3-4")
    ]


def test_weights_only(tmp_path):
    path = tmp_path / "weights.safetensors"
    model = linear()
    fit(model, ModelCheckpoint(path, save_weights_only=True))
    assert sorted(load_file(path)) == ["weights/dense/bias", "weights/dense/kernel"]
    other = linear()
    other.load_weights(path)
    assert other.get_weights()[0].tobytes() == model.get_weights()[0].tobytes()


def test_what_is_printed(tmp_path, capsys):
    path = tmp_path / "m.safetensors"
    keep = ModelCheckpoint(path, save_best_only=True, verbose=1)
    fit(linear(), Values(2.0, 3.0), keep, epochs=2)
    fit(linear(), ModelCheckpoint(path, verbose=1, save_freq=4))
    assert capsys.readouterr().out.splitlines() == [
        f"Epoch 1: val_loss improved from inf to 2, saved to {path}",
        "Epoch 2: val_loss did not improve from 2",
        f"Epoch 1, batch 4: saved to {path}",
    ]


@pytest.mark.parametrize("kind", [ModelCheckpoint, BackupAndRestore])
def test_arguments(kind, tmp_path):
    for frequency in (0, -1, True, 1.5, "batch", None):
        with raises(
            ValueError,
            f"{kind.__name__}: save_freq must be 'epoch' or a positive number of batches, "
            f"got {frequency!r}",
        ):
            kind(tmp_path / "m", save_freq=frequency)


def test_endings_and_modes():
    for name in ("best.keras", "{epoch}.h5"):
        with pytest.raises(ValueError, match=r"ModelCheckpoint: .* use the ending '\.safetensors'"):
            ModelCheckpoint(name)
    with pytest.raises(ValueError, match="mode must be"):
        ModelCheckpoint("m", mode="best")
    with raises(ValueError, "BackupAndRestore: backup_dir must name a folder"):
        BackupAndRestore("")


# BackupAndRestore


class Stop(callbacks.Callback):
    """Ends the process, or raises, in the batch of a number."""

    def __init__(self, at, error=KeyboardInterrupt):
        super().__init__()
        self.left, self.error = at, error

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise self.error


def network(optimizer=None, chosen=("acc", "mae")):
    pydl.utils.set_random_seed(3)
    model = Sequential(
        [
            layers.Input((8,)),
            layers.Dense(12, "relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(1, "sigmoid"),
        ]
    )
    model.compile(optimizer or "adam", "binary_crossentropy", metrics=list(chosen))
    return model


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 8)).astype("f4")
    return x, (x[:, :1] > 0).astype("f4")


def run(model, folder, *more, frequency="epoch", epochs=6):
    x, y = data()
    watching = [
        callbacks.EarlyStopping(patience=3, restore_best_weights=True),
        callbacks.ReduceLROnPlateau(patience=1, min_delta=0.05),
        callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
        BackupAndRestore(folder, frequency),
    ]
    return model.fit(
        x, y, batch_size=16, epochs=epochs, validation_split=0.2, verbose=0,
        callbacks=watching + list(more),
    )  # fmt: skip


def bits(model):
    return [w.tobytes() for w in model.get_weights()]


@pytest.mark.parametrize("frequency", ["epoch", 1, 2, 3])
@pytest.mark.parametrize("at", [1, 3, 4, 8, 12])
def test_an_interrupted_fit_goes_on(frequency, at, tmp_path):
    whole = network()
    expected = run(whole, tmp_path / "whole", frequency=frequency)
    folder = tmp_path / "backup"
    with pytest.raises(KeyboardInterrupt):
        run(network(), folder, Stop(at), frequency=frequency)
    epoch_long = 3
    saved = at > epoch_long if frequency == "epoch" else at - 1 >= frequency
    assert folder.exists() == saved
    model = network()
    pydl.random.uniform((5,))
    history = run(model, folder, frequency=frequency)
    assert bits(model) == bits(whole)
    assert dict(history.history) == dict(expected.history) and history.epoch == expected.epoch
    assert model.epochs_done == whole.epochs_done
    assert not folder.exists()  # it has come to its end


def test_each_restart_does_less(tmp_path):
    begins = []

    class Watch(callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            begins.append((self.epoch, batch))

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

    x, y = data()
    for _ in range(3):
        begins.clear()
        with pytest.raises(KeyboardInterrupt):
            network().fit(
                x, y, batch_size=16, epochs=9, verbose=0,
                callbacks=[Watch(), Stop(7), BackupAndRestore(tmp_path / "b", 2)],
            )  # fmt: skip
    assert begins[0] == (3, 0)  # twice 6 batches of the 4 in an epoch are kept
    assert begins[-1] == (4, 2)


def test_a_training_that_had_stopped_stays_stopped(tmp_path):
    """Killed between the last backup and the end of fit."""

    class Killed(callbacks.Callback):
        def on_train_end(self, logs=None):
            raise KeyboardInterrupt

    whole = network()
    expected = run(whole, tmp_path / "whole", epochs=50)
    assert len(expected.epoch) < 50
    with pytest.raises(KeyboardInterrupt):
        run(network(), tmp_path / "b", Killed(), epochs=50)
    model = network()
    history = run(model, tmp_path / "b", epochs=50)
    assert history.epoch == expected.epoch and bits(model) == bits(whole)


def test_moving_averages_end_the_training(tmp_path):
    class Killed(callbacks.Callback):
        def on_train_end(self, logs=None):
            raise KeyboardInterrupt

    def averaged():
        return network(optimizers.SGD(0.1, use_ema=True))

    x, y = data()
    whole = averaged()
    whole.fit(x, y, epochs=2, verbose=0)
    model = averaged()
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, epochs=2, verbose=0, callbacks=[BackupAndRestore(tmp_path / "b"), Killed()])
    model = averaged()
    model.fit(x, y, epochs=2, verbose=0, callbacks=[BackupAndRestore(tmp_path / "b")])
    assert bits(model) == bits(whole)


@pytest.mark.parametrize(
    "name", [*(n for n in metric_registry.names() if n not in ("mean", "sum")), "a loss"]
)
def test_metrics_go_on_inside_an_epoch(name, tmp_path):
    several = name.startswith(("accuracy", "sparse", "categorical", "top_k", "f1", "kl_"))
    made = {
        "a loss": lambda: losses.Huber(0.5),
        "mean_io_u": lambda: metrics.MeanIoU(num_classes=2),
        "f1_score": lambda: metrics.F1Score(),
    }.get(name, lambda: metrics.get(name))

    def model():
        pydl.utils.set_random_seed(4)
        layer = layers.Dense(6, "softmax") if several else layers.Dense(1, "sigmoid")
        model = Sequential([layers.Input((8,)), layer])
        loss = "sparse_categorical_crossentropy" if name.startswith("sparse") else "mse"
        model.compile("adam", loss, metrics=[made()])
        return model

    x, y = data()
    if several:
        y = np.eye(6, dtype="f4")[np.arange(60) % 6]
    if name.startswith("sparse"):
        y = np.arange(60) % 6
    found = []
    for parts in (False, True):
        keep = BackupAndRestore(tmp_path / str(parts), 2)
        options = {"batch_size": 16, "verbose": 0}
        if parts:
            with pytest.raises(KeyboardInterrupt):
                model().fit(x, y, callbacks=[keep, Stop(3)], **options)
            assert keep.path.exists()
        logs = model().fit(x, y, callbacks=[keep], **options).history
        found.append({key: np.asarray(value).tolist() for key, value in logs.items()})
    assert found[0] == found[1] and len(found[0]) == 2


def test_own_train_steps_and_metrics(tmp_path):
    class Count(metrics.Metric):
        def __init__(self):
            super().__init__("count")
            self.n = self.add_variable((), "zeros", name="n")
            self.batches = 0

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.n.assign_add(len(y_true))
            self.batches += 1

        def reset_state(self):
            super().reset_state()
            self.batches = 0

        def result(self):
            return self.n.item() + 1000 * self.batches

    class Own(Model):
        def __init__(self):
            super().__init__()
            self.unit, self.count = layers.Dense(1), Count()

        def call(self, inputs):
            return self.unit(inputs)

        def train_step(self, data):
            y = data[1]
            logs = super().train_step(data)
            self.count.update_state(y, y)
            return {**logs, "count": self.count.result()}

    def model():
        pydl.utils.set_random_seed(1)
        made = Own()
        made.compile("rmsprop", "mse")
        return made

    x, y = data()
    whole = model()
    expected = whole.fit(x, y, epochs=2, batch_size=16, verbose=0).history
    with pytest.raises(KeyboardInterrupt):
        model().fit(
            x, y, epochs=2, batch_size=16, verbose=0,
            callbacks=[Stop(7), BackupAndRestore(tmp_path / "b", 1)],
        )  # fmt: skip
    copy = model()
    found = copy.fit(
        x, y, epochs=2, batch_size=16, verbose=0, callbacks=BackupAndRestore(tmp_path / "b", 1)
    )
    assert found.history == expected and expected["count"] == [4060.0, 4060.0]
    assert bits(copy) == bits(whole)


def test_a_generator_goes_on_at_the_epoch(tmp_path):
    x, y = data()

    def batches():
        while True:
            for i in range(0, 60, 20):
                yield x[i : i + 20], y[i : i + 20]

    whole = network()
    whole.fit(batches(), steps_per_epoch=3, epochs=3, verbose=0)
    with pytest.raises(KeyboardInterrupt):
        network().fit(
            batches(), steps_per_epoch=3, epochs=3, verbose=0,
            callbacks=[BackupAndRestore(tmp_path / "b"), Stop(5)],
        )  # fmt: skip
    model = network()
    model.fit(
        batches(),
        steps_per_epoch=3,
        epochs=3,
        verbose=0,
        callbacks=[BackupAndRestore(tmp_path / "b")],
    )
    assert bits(model) == bits(whole)


def test_the_backup_can_be_kept(tmp_path):
    x, y = data()
    model = network()
    keep = BackupAndRestore(tmp_path / "b", delete_checkpoint=False)
    model.fit(x, y, epochs=2, verbose=0, callbacks=[keep])
    assert os.listdir(tmp_path / "b") == ["training.safetensors"]
    history = network().fit(x, y, epochs=3, verbose=0, callbacks=[keep])
    assert history.epoch == [0, 1, 2] and len(history.history["loss"]) == 3


def test_a_backup_of_something_else(tmp_path):
    x, y = data()
    keep = BackupAndRestore(tmp_path / "b", delete_checkpoint=False)
    network().fit(x, y, verbose=0, callbacks=[keep])
    other = Sequential([layers.Input((8,)), layers.Dense(1)])
    other.compile("sgd", "mse")
    before = bits(other)
    with pytest.raises(
        ValueError, match=r"does not fit this training: .* remove it to start afresh"
    ):
        other.fit(x, y, verbose=0, callbacks=[keep])
    with pytest.raises(ValueError, match=r"does not fit this training: .*velocity"):
        network("lion").fit(x, y, verbose=0, callbacks=[keep])
    network().save(keep.path)
    with pytest.raises(ValueError, match="the file holds 'model', not a backup; remove it"):
        network().fit(x, y, verbose=0, callbacks=[keep])
    keep.path.write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"BackupAndRestore: .* is damaged"):
        network().fit(x, y, verbose=0, callbacks=[keep])
    assert bits(other) == before


def test_other_files_in_the_folder_stay(tmp_path):
    (tmp_path / "notes.txt").write_text("keep")
    fit(linear(), BackupAndRestore(tmp_path))
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_state_of_callbacks_is_by_class(tmp_path):
    """A callback that was not there starts afresh; one of the same class goes on."""
    x, y = data()
    stopper = callbacks.EarlyStopping("loss", patience=9)
    keep = BackupAndRestore(tmp_path / "b", delete_checkpoint=False)
    network().fit(x, y, epochs=2, verbose=0, callbacks=[keep, stopper])
    fresh, more = callbacks.EarlyStopping("loss", patience=9), callbacks.ReduceLROnPlateau("loss")
    network().fit(x, y, epochs=2, verbose=0, callbacks=[more, fresh, keep])
    assert fresh.best == stopper.best and np.isinf(more.best)


KILLED = """
import os, signal, sys
import numpy as np
import pydl
from pydl import callbacks, layers, models, optimizers

folder, name, frequency, kill_after = sys.argv[1:]
pydl.utils.set_random_seed(9)
rng = np.random.default_rng(0)
x, y = rng.normal(size=(160, 10)).astype("f4"), rng.integers(0, 3, 160)

class Kill(callbacks.Callback):
    steps = 0
    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps == int(kill_after):
            os.kill(os.getpid(), signal.SIGKILL)

model = models.Sequential([
    layers.Input((10,)), layers.Dense(16, "relu"), layers.BatchNormalization(),
    layers.Dropout(0.4), layers.Dense(3, "softmax"),
])
made = {"sgd": optimizers.SGD(0.05, 0.9), "rmsprop": "rmsprop", "adam": "adam"}[name]
model.compile(made, "sparse_categorical_crossentropy", metrics=["accuracy"])
every = frequency if frequency == "epoch" else int(frequency)
more = [Kill()] if int(kill_after) else []
history = model.fit(
    x, y, epochs=5, verbose=0, callbacks=[callbacks.BackupAndRestore(folder, every), *more]
)
print(b"".join(w.tobytes() for w in model.get_weights()).hex(), history.history)
"""


@pytest.mark.parametrize("frequency", ["epoch", "2"])
@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam"])
def test_a_killed_script_is_started_again(optimizer, frequency, tmp_path):
    def script(folder, kill_after):
        return subprocess.Popen(
            [sys.executable, "-c", KILLED, str(folder), optimizer, frequency, str(kill_after)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    whole, killed = script(tmp_path / "whole", 0), script(tmp_path / "b", 14)
    expected = whole.communicate()[0]
    assert killed.communicate()[0] == "" and killed.returncode == -signal.SIGKILL
    assert script(tmp_path / "b", 0).communicate()[0] == expected and len(expected) > 1000
