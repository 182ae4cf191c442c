"""Going on after loading, or after a kill: the same bits as without a break."""

from __future__ import annotations

import signal

import numpy as np
import pytest
from saving_helpers import bits, data, network, start

import pydl
from pydl import optimizers
from pydl.models import Model, load_model
from pydl.optimizers.base import registry as optimizer_registry

OPTIONS = [
    {},
    {"clipnorm": 0.5},
    {"use_ema": True, "ema_momentum": 0.9},
    {"gradient_accumulation_steps": 2},
    {"learning_rate": optimizers.schedules.CosineDecay(0.01, 10)},
    {"weight_decay": 0.01, "decay": 0.1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: next(iter(o), "plain"))
@pytest.mark.parametrize("name", optimizer_registry.names())
def test_optimizers_go_on(name, options, path):
    x, y = data(16)

    def run(model, steps):
        for _ in range(steps):
            model.train_on_batch(x, y)

    more = {"sgd": {"momentum": 0.9, "nesterov": True}, "rmsprop": {"centered": True}}
    optimizer = type(optimizers.get(name))(**{**more.get(name, {}), **options})
    model = network(optimizer)
    run(model, 3)
    model.save(path)
    copy = load_model(path)
    assert type(copy.optimizer) is type(optimizer)
    assert copy.optimizer.get_config() == optimizer.get_config()
    assert int(copy.optimizer.iterations.numpy()) == int(optimizer.iterations.numpy())
    for each in (model, copy):
        run(each, 4)
    assert bits(copy) == bits(model)


def test_amsgrad_and_weights_without_decay(path):
    x, y = data(16)
    model = network(optimizers.AdamW(amsgrad=True))
    model.optimizer.exclude_from_weight_decay([model.layers[0].kernel], ["bias"])
    model.train_on_batch(x, y)
    model.save(path)
    copy = load_model(path)
    for each in (model, copy):
        each.train_on_batch(x, y)
    assert bits(copy) == bits(model)


@pytest.mark.parametrize("seeds", ["other seed", "no seed"])
def test_fit_goes_on_with_the_same_bits(path, seeds):
    x, y = data()
    whole = network()
    whole.fit(x, y, epochs=5, verbose=0)
    model = network()
    model.fit(x, y, epochs=2, verbose=0)
    model.save(path)
    pydl.utils.set_random_seed(77)
    pydl.random.uniform((3,))
    copy = load_model(path)
    assert copy.epochs_done == 2
    if seeds == "other seed":  # after loading: the user's choice wins
        pydl.utils.set_random_seed(78)
    copy.fit(x, y, epochs=5, initial_epoch=copy.epochs_done, verbose=0)
    assert copy.epochs_done == 5
    assert (bits(copy) == bits(whole)) == (seeds == "no seed")


def test_the_order_of_the_rows_goes_on(path):
    seen = []

    class Watch(Model):
        def train_step(self, data):
            seen.append(data[0].numpy()[:, 0].tolist())
            return {"loss": 0.0}

        def call(self, inputs):
            return inputs

    x = np.arange(9, dtype="f4")[:, None]
    pydl.utils.set_random_seed(1)
    model = Watch()
    model.fit(x, batch_size=4, epochs=4, verbose=0)
    whole = seen[:]
    seen.clear()
    model.fit(x, batch_size=4, epochs=2, verbose=0)
    model.build((None, 1))
    model.save(path)
    copy = load_model(path)
    copy.fit(x, batch_size=4, epochs=4, initial_epoch=2, verbose=0)
    assert seen == whole


TRAIN = """
import os, signal, sys
import numpy as np
import pydl
from pydl import callbacks, layers, models, optimizers

path, optimizer, kill_after = sys.argv[1], sys.argv[2], int(sys.argv[3])
rng = np.random.default_rng(0)
x = rng.normal(size=(150, 12)).astype("f4")
y = rng.integers(0, 3, 150)

class Save(callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.save(path)
        if epoch + 1 == kill_after:
            os.kill(os.getpid(), signal.SIGKILL)

if os.path.exists(path):
    model = models.load_model(path)
else:
    pydl.utils.set_random_seed(11)
    model = models.Sequential([
        layers.Input((12,)), layers.Dense(16, "relu"), layers.BatchNormalization(),
        layers.Dropout(0.4), layers.Dense(3, "softmax"),
    ])
    made = {"sgd": optimizers.SGD(0.05, 0.9), "rmsprop": "rmsprop", "adam": "adam"}[optimizer]
    model.compile(made, "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(
    x, y, epochs=5, initial_epoch=model.epochs_done, verbose=0, callbacks=[Save()],
    validation_split=0.2,
)
print(b"".join(w.tobytes() for w in model.get_weights()).hex())
print(history.history)
"""


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam"])
def test_a_killed_training_goes_on_with_the_same_bits(optimizer, tmp_path):
    whole = start(TRAIN, tmp_path / "whole.safetensors", optimizer, 0)
    path = tmp_path / "killed.safetensors"
    killed = start(TRAIN, path, optimizer, 2)
    assert killed.communicate()[0] == "" and killed.returncode == -signal.SIGKILL
    assert load_model(path).epochs_done == 2
    resumed = start(TRAIN, path, optimizer, 0)
    expected, found = (child.communicate()[0].splitlines() for child in (whole, resumed))
    assert len(expected[0]) > 1000 and found[0] == expected[0]
    before, after = (eval(lines[1]) for lines in (expected, found))
    assert after == {key: values[2:] for key, values in before.items()}


# Recorded plans


def test_weights_are_loaded_under_a_recorded_plan(path):
    """What is recorded reads the new weights, and is not recorded anew."""
    x, y = data()
    model = network("sgd")
    model.fit(x, y, epochs=2, batch_size=16, verbose=0)
    model.save(path)
    model.fit(x, y, epochs=2, batch_size=16, verbose=0)
    arrays = [w.data for w in model.weights]
    version = pydl.config.version()
    model.load_weights(path)
    assert pydl.config.version() == version
    assert all(w.data is a for w, a in zip(model.weights, arrays, strict=True))
    copy = load_model(path, compile=False)
    assert model.predict(x).tobytes() == copy.predict(x).tobytes()


def test_saving_and_fitting_leave_plans_alone(path):
    """A plan of something else is not thrown away."""
    x, y = data()
    model = network("sgd")
    model.fit(x, y, epochs=2, batch_size=16, verbose=0)
    version = pydl.config.version()
    model.save(path)
    model.load_weights(path)
    model.fit(x, y, epochs=2, batch_size=16, verbose=0)
    assert pydl.config.version() == version
