"""Saving and loading: round trips, the same bits after resuming, and files that are not what they
should be.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from errors import raises
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import pydl
from pydl import callbacks, layers, losses, metrics, models, optimizers, random, saving
from pydl.metrics.base import registry as metric_registry
from pydl.models import Model, Sequential, load_model
from pydl.optimizers.base import registry as optimizer_registry
from pydl.saving import container, files
from pydl.utils import custom_object_scope, register_keras_serializable

FOLDER = Path(__file__).parent


def data(n=48, features=6):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, features)).astype("f4")
    return x, (x[:, :1] > 0).astype("f4")


def network(optimizer="adam", **options):
    pydl.utils.set_random_seed(5)
    model = Sequential(
        [
            layers.Input((6,)),
            layers.Dense(8, "relu", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(1, "sigmoid"),
        ]
    )
    options = {"loss": "binary_crossentropy", "metrics": ["acc"], **options}
    model.compile(optimizer, **options)
    return model


def bits(model):
    return [w.tobytes() for w in model.get_weights()]


def everything(model):
    """All that a file of a model holds, in a form that can be compared."""
    arrays, numbers = saving.state.capture(model)
    plain = (numbers, model.get_config(), model.get_compile_config(), model.optimizer.get_config())
    return {name: a.tobytes() for name, a in arrays.items()}, json.dumps(plain, default=str)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


# Round trips


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Dense(3, "tanh", kernel_constraint="max_norm", bias_initializer="ones"),
        lambda: layers.Activation("softmax"),
        lambda: layers.ReLU(2.0, 0.1, 0.5),
        lambda: layers.LeakyReLU(0.2),
        lambda: layers.ELU(0.5),
        lambda: layers.PReLU("ones", alpha_regularizer="l1"),
        lambda: layers.Softmax(),
        lambda: layers.BatchNormalization(momentum=0.5, scale=False, trainable=False),
        lambda: layers.Dropout(0.5, seed=3),
        lambda: layers.Flatten(),
        lambda: layers.Reshape((3, -1)),
        lambda: layers.Identity(),
        lambda: Sequential([layers.Dense(4), Sequential([layers.Dense(2, dtype="float64")])]),
    ],
)
def test_layers(layer, path):
    model = Sequential([layers.Input((6,), name="first"), layer(), layers.Dense(1)], name="mine")
    model.set_weights([np.full_like(w, i + 0.1) for i, w in enumerate(model.get_weights())])
    model.save(path)
    copy = load_model(path)
    assert copy.get_config() == model.get_config()
    assert bits(copy) == bits(model)
    assert [type(a) for a in copy.layers] == [type(a) for a in model.layers]
    assert [w.trainable for w in copy.weights] == [w.trainable for w in model.weights]
    assert len(copy.trainable_weights) == len(model.trainable_weights)
    x = data()[0]
    assert copy.predict(x).tobytes() == model.predict(x).tobytes()
    assert not copy.compiled and copy.epochs_done == 0


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


@pytest.mark.parametrize("name", losses._registry.names())
def test_losses(name, path):
    model = network(loss=losses.get(name))
    model.compile("sgd", losses.get(name))
    model.save(path)
    copy = load_model(path)
    assert type(copy.loss) is type(model.loss)
    assert copy.loss.get_config() == model.loss.get_config()


@pytest.mark.parametrize("name", metric_registry.names())
def test_metrics(name, path):
    options = {"mean_io_u": {"num_classes": 2}}.get(name, {})
    metric = metric_registry[name](**options) if options else metrics.get(name)
    model = network(metrics=[metric], weighted_metrics=[name] if not options else None)
    model.save(path)
    copy = load_model(path)
    assert copy.get_compile_config() == model.get_compile_config()
    for old, new in zip(model.metrics, copy.metrics, strict=True):
        assert (type(new), new.name) == (type(old), old.name)


def test_compile_settings_of_all_kinds(path):
    @register_keras_serializable("Tests")
    def distance(y_true, y_pred):
        return pydl.abs(y_true - y_pred)

    def spread(y_true, y_pred):
        return pydl.square(y_true - y_pred)

    chosen = [
        "mae", distance, spread, losses.Huber(0.5), metrics.AUC(num_thresholds=7),
        metrics.mean_squared_error, metrics.MeanMetricWrapper(distance, "far"),
    ]  # fmt: skip
    model = network(loss=losses.FunctionLoss(distance), metrics=chosen, run_eagerly=True)
    x, y = data()
    model.fit(x, y, verbose=0)
    model.save(path)
    copy = load_model(path, custom_objects={"spread": spread})
    assert copy.evaluate(x, y, return_dict=True, verbose=0) == model.evaluate(
        x, y, return_dict=True, verbose=0
    )
    assert copy._compiled.run_eagerly
    with pytest.raises(ValueError, match=r"custom_objects=\{'spread': spread\}"):
        load_model(path)
    assert not load_model(path, compile=False).compiled


def test_losses_by_output(path):
    model = Two()
    model(np.zeros((1, 3), "f4"))
    model.compile("sgd", {"a": "mse", "b": losses.Huber()}, {"a": 2.0}, {"b": ["mae", "mse"]})
    x = np.ones((4, 3), "f4")
    y = {"a": np.ones((4, 1), "f4"), "b": np.ones((4, 2), "f4")}
    before = model.evaluate(x, y, verbose=0)
    model.save(path)
    assert load_model(path).evaluate(x, y, verbose=0) == before


class Two(Model):
    def __init__(self):
        super().__init__()
        self.a, self.b = layers.Dense(1), layers.Dense(2)
        self.parts = [layers.Dense(3), {"deep": layers.Dropout(0.5)}]

    def call(self, inputs):
        hidden = self.parts[1]["deep"](self.parts[0](inputs))
        return {"a": self.a(hidden), "b": self.b(hidden)}


class Scaled(Model):
    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self._factor = factor
        self.unit = layers.Dense(1)

    def build(self, input_shape):
        self.shift = self.add_weight((1,), "ones", name="shift")
        super().build(input_shape)

    def call(self, inputs):
        return self.unit(inputs) * self._factor + self.shift


def test_subclassed_models(path):
    model = Scaled(2.0)
    model(np.ones((1, 3), "f4"))
    with pytest.raises(NotImplementedError, match=r"'factor'.*save_weights works without it"):
        model.save(path)
    assert not path.exists()
    model.save_weights(path)
    assert sorted(load_file(path)) == [
        "weights/dense/bias", "weights/dense/kernel", "weights/shift"
    ]  # fmt: skip
    copy = Scaled(2.0)
    copy.build((None, 3))
    copy.load_weights(path)
    assert bits(copy) == bits(model)

    class Whole(Scaled):
        def get_config(self):
            return {**super().get_config(), "factor": self._factor}

    model = Whole(3.0, name="whole")
    model(np.ones((1, 3), "f4"))
    model.save(path)
    copy = load_model(path)
    assert type(copy) is Whole and copy._factor == 3.0 and copy.name == "whole"
    assert bits(copy) == bits(model)


@register_keras_serializable("Tests")
def doubled(x):
    return 2 * x


def test_functional_models(path):
    pydl.utils.set_random_seed(2)
    a, b = layers.Input((4,), name="a"), layers.Input((4,), name="b")
    shared, inner = layers.Dense(4, "relu"), Sequential([layers.Dense(4), layers.Dense(4)])
    late = layers.Dense(4)(shared(b))
    joined = layers.Add()([inner(shared(a)), late])
    joined = layers.Dropout(0.4)(layers.Lambda(doubled)(joined))
    outputs = [layers.Dense(4, name="one")(joined), layers.Dense(4, name="two")(joined)]
    model = Model([a, b], outputs)
    model.compile("rmsprop", ["mse", "mae"], metrics={"two": ["mse"]})
    x = [np.random.default_rng(i).normal(size=(40, 4)).astype("f4") for i in range(2)]
    model.fit(x, x, epochs=2, verbose=0)
    model.save(path)
    copy = load_model(path)
    assert copy.get_config() == model.get_config()
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    assert bits(copy) == bits(model)
    for each in (model, copy):
        each.fit(x, x, epochs=4, initial_epoch=2, verbose=0)
    assert bits(copy) == bits(model)
    clone = models.clone_model(model)
    assert bits(clone) != bits(model)
    clone.load_weights(path)
    clone.save(path)
    assert bits(load_model(path)) == bits(clone)
    text = models.model_from_json(model.to_json())
    assert text.get_config() == model.get_config()
    model = Model(a, layers.Lambda(lambda x: x)(a))
    with pytest.raises(ValueError, match=r"layers/1/config/function has no name"):
        model.save(path)


def test_names_of_layers_do_not_matter_for_weights(path):
    model = network()
    model.save_weights(path)
    copy = Sequential(
        [
            layers.Input((6,)),
            layers.Dense(8, "relu", name="encoder"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(1),
        ]
    )
    assert bits(copy) != bits(model)
    copy.load_weights(path)
    assert bits(copy) == bits(model)
    model.save(path)
    copy.set_weights([np.zeros_like(w) for w in copy.get_weights()])
    copy.load_weights(path)
    assert bits(copy) == bits(model)


def test_any_bits_and_types(path):
    class Odd(layers.Layer):
        def build(self, input_shape):
            self.count = self.add_weight((), "zeros", dtype="int64", trainable=False, name="n")
            self.flags = self.add_weight((3,), "zeros", dtype="bool", trainable=False, name="f")
            self.none = self.add_weight((0, 2), "zeros", name="none")
            self.wide = self.add_weight((5,), "zeros", dtype="float64", name="n")

        def call(self, inputs):
            return inputs

    model = Sequential([layers.Input((2,)), Odd()])
    wide = np.array([np.nan, -0.0, np.inf, 5e-324, 1 / 3])
    wide[:1].view("u8")[0] |= np.uint64(0x1234)
    values = {"none": np.zeros((0, 2)), "f": np.array([1, 0, 1], bool)}
    for w in model.weights:
        value = values.get(w.name, wide if w.dtype == np.float64 else np.int64(2**60 + 1))
        np.copyto(w.data, value)
    model.save(path)
    copy = load_model(path)
    assert bits(copy) == bits(model)
    assert [w.dtype for w in copy.weights] == [w.dtype for w in model.weights]


def test_frozen_layers_stay_as_they_were_at_compile(path):
    x, y = data()
    model = network()
    model.layers[0].trainable = False
    model.compile("sgd", "mse")
    model.layers[0].trainable, model.layers[3].trainable = True, False
    model.save(path)
    copy = load_model(path)
    assert [layer.trainable for layer in copy.layers] == [True, True, True, False]
    for each in (model, copy):
        each.fit(x, y, verbose=0)
    assert bits(copy) == bits(model)
    kernels = [layer.kernel.numpy() for layer in (network().layers[0], copy.layers[0])]
    assert kernels[0].tobytes() == kernels[1].tobytes()


def test_json_and_clone():
    model = network()
    text = model.to_json(indent=1)
    for copy in (models.model_from_json(text), models.clone_model(model)):
        assert copy.get_config() == model.get_config()
        assert bits(copy) != bits(model) and not copy.compiled
    for bad in ("", "[1]", "{}", '{"class_name": "Dense", "config": {"units": 2}}', "[" * 10**5,
                '{"class_name": "Sequential", "config": {}}'):  # fmt: skip
        with pytest.raises(ValueError, match="model_from_json: "):
            models.model_from_json(bad)
    other = models.clone_model(Two())
    assert type(other) is Two and not other.built


def test_loading_leaves_the_global_random_numbers_alone(path):
    network().save(path)
    before = random.global_state()
    load_model(path)
    assert random.global_state().tolist() == before.tolist()


# Going on


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


# Files


def test_path_endings(tmp_path):
    model = network()
    for name in ("model.keras", "model.h5", "MODEL.H5", "model.weights.h5", "m.hdf5"):
        for call in (model.save, model.save_weights, model.load_weights, load_model):
            with pytest.raises(
                ValueError, match=r"format of Keras.*use the ending '\.safetensors'"
            ):
                call(tmp_path / name)
    with pytest.raises(TypeError, match="expected a path, got int 3"):
        model.save(3)
    model.save(str(tmp_path / "without an ending"))
    assert bits(load_model(os.fspath(tmp_path / "without an ending"))) == bits(model)
    with pytest.raises(IsADirectoryError, match="name a file in it"):
        model.save(tmp_path)
    with pytest.raises(FileNotFoundError, match="folder must exist"):
        model.save(tmp_path / "none" / "m.safetensors")
    for call in (load_model, model.load_weights):
        with pytest.raises(FileNotFoundError, match="there is no file"):
            call(tmp_path / "none.safetensors")
        with pytest.raises(ValueError, match="is not a file"):
            call(tmp_path)


def test_overwrite_modes_and_links(tmp_path, path):
    model = network()
    model.save(path)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask()
    with pytest.raises(FileExistsError, match="pass overwrite=True"):
        model.save(path, overwrite=False)
    with pytest.raises(FileExistsError):
        model.save_weights(path, overwrite=False)
    path.chmod(0o640)
    link = tmp_path / "link.safetensors"
    link.symlink_to(path)
    model.save(link)
    assert link.is_symlink() and path.stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(tmp_path)) == ["link.safetensors", "model.safetensors"]


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_not_built(path):
    model = Sequential([layers.Dense(2)])
    text = "is not built, so it has no weights yet; call it on data, or model.build"
    for call in (model.save, model.save_weights, model.load_weights):
        with pytest.raises(ValueError, match=text):
            call(path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda: network(loss=lambda t, p: t - p), "compile/loss"),
        (lambda: network(metrics=["mae", lambda t, p: t - p]), "compile/metrics/1"),
        (lambda: network(optimizers.SGD(lambda: 0.1)), "compile/optimizer/config/learning_rate"),
        (
            lambda: Sequential([layers.Input((2,)), layers.Dense(2, lambda x: x)]),
            "model/config/layers/1/config/activation",
        ),
        (
            lambda: Sequential([layers.Input((2,)), layers.Activation(pydl.ops.square)]),
            "model/config/layers/1/config/activation",
        ),
    ],
)
def test_functions_without_a_name(make, where, path):
    model = make()
    path.write_bytes(b"before")
    with pytest.raises(ValueError, match=f"^save: .* at {where} has no name that a file can hold"):
        model.save(path)
    assert path.read_bytes() == b"before" and len(os.listdir(path.parent)) == 1
    model.save_weights(path)


def test_what_json_cannot_hold(path):
    class Keeps(layers.Layer):
        def __init__(self, thing, **kwargs):
            super().__init__(**kwargs)
            self.thing = thing

        def call(self, inputs):
            return inputs

    for thing, text in (
        (object(), "cannot save a object at model/config/layers/1/config/thing"),
        ({1: 2}, "the key 1 at model/config/layers/1/config/thing must be a string"),
    ):
        with pytest.raises(TypeError, match=text):
            Sequential([layers.Input((2,)), Keeps(thing)]).save(path)
    model = Sequential([layers.Input((2,)), Keeps({"a": (1, np.float32(0.1)), "b": np.ones(2)})])
    model.save(path)
    assert load_model(path).layers[0].thing == {"a": [1, float(np.float32(0.1))], "b": [1.0, 1.0]}


def full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_failing_disk_leaves_the_file_of_before(step, path, monkeypatch):
    model = network()
    model.save(path)
    before = path.read_bytes()
    model.set_weights([w + 1 for w in model.get_weights()])
    with monkeypatch.context() as patch:
        patch.setattr(files.os, step, full_disk)
        with pytest.raises(
            OSError, match=r"save: cannot write .*: No space left on device"
        ) as info:
            model.save(path)
    assert info.value.errno == errno.ENOSPC
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


def test_a_write_of_some_bytes_goes_on(path, monkeypatch):
    model = network()
    write = os.write
    monkeypatch.setattr(files.os, "write", lambda fd, view: write(fd, view[:7]))
    model.save(path)
    assert bits(load_model(path)) == bits(model)


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs the permission to mount a small tmpfs: {error}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(small_disk):
    path = small_disk / "model.safetensors"
    model = network()
    model.save(path)
    before = path.read_bytes()
    large = Sequential([layers.Input((200,)), layers.Dense(200)])
    with pytest.raises(OSError, match=r"save: cannot write .*: No space left on device"):
        large.save(path)
    assert path.read_bytes() == before and os.listdir(small_disk) == [path.name]
    model.save(path)


def test_leftovers_of_killed_writers_go_away(path):
    for name in (".model.safetensors.0a0a0a0a.tmp", ".other.safetensors.0a0a0a0a.tmp"):
        (path.parent / name).write_bytes(b"half")
    held, name = files._new_file(path)  # a writer at work
    network().save(path)
    assert sorted(os.listdir(path.parent)) == sorted(
        [".other.safetensors.0a0a0a0a.tmp", os.path.basename(name), path.name]
    )
    os.close(held)


SAVE_IN_A_LOOP = """
import sys
import numpy as np
from pydl import layers, models

model = models.Sequential([layers.Input((300,)), layers.Dense(300)])
for i in range(10**9):
    model.set_weights([np.full_like(w, i) for w in model.get_weights()])
    model.save(sys.argv[1])
    print(i, flush=True)
"""


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_at_any_moment(kills, path):
    rng = np.random.default_rng(kills)
    last = -1
    for _ in range(kills):
        child = start(SAVE_IN_A_LOOP, path)
        child.stdout.readline()
        time.sleep(rng.uniform(0, 0.05))
        child.kill()
        done = child.communicate()[0].split()
        values = [np.unique(w) for w in load_model(path).get_weights()]
        assert len(values[0]) == 1 and values[0] == values[1]
        assert values[0] >= (int(done[-1]) if done else 0)
        last = values[0]
    assert last >= 0
    network().save(path)
    assert os.listdir(path.parent) == [path.name]


def start(script, *arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


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


# Bad files


def rewritten(path, change):
    """Change the content of a file, with a checksum that fits."""
    content, arrays = container.read("test", path)
    change(content, arrays)
    container.write("test", path, content, arrays)


@given(st.data())
def test_damaged_bytes(tmp_path_factory, data):
    """A changed file raises ValueError, or is the model that was saved."""
    path = tmp_path_factory.mktemp("damaged") / "model.safetensors"
    model = small_model()
    model.save(path)
    good = path.read_bytes()
    bad = bytearray(good)
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "zero"]))
    at = data.draw(st.integers(0, 2**16)) % len(good)  # the length goes with automatic names
    if kind == "flip":
        bad[at] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del bad[at:]
    elif kind == "insert":
        bad[at:at] = data.draw(st.binary(min_size=1, max_size=9))
    else:
        bad[at : at + 64] = bytes(len(bad[at : at + 64]))
    path.write_bytes(bad)
    try:
        copy = load_model(path)
    except ValueError as error:
        assert str(path) in str(error)
    else:
        assert everything(copy) == everything(model)
    before = bits(model)
    try:
        model.load_weights(path)
    except ValueError as error:
        assert str(error).startswith("load_weights: ")
    assert bits(model) == before


def small_model():
    model = Sequential([layers.Input((2,)), layers.Dense(2), layers.Dropout(0.5, seed=1)])
    model.compile(optimizers.Adam(), "mse")
    model.train_on_batch(np.ones((2, 2), "f4"), np.ones((2, 2), "f4"))
    return model


@given(st.binary(max_size=200))
def test_foreign_bytes(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("foreign") / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"load_model: .* is damaged, or no safetensors file"):
        load_model(path)


@pytest.mark.parametrize(
    "head",
    [
        (2**63).to_bytes(8, "little"),
        (10**11).to_bytes(8, "little") + b"{}",
        b"\x02" + bytes(7) + b"{}",
        (10**5).to_bytes(8, "little") + b"[" * 10**5,
        (10**5).to_bytes(8, "little") + b'{"a":' * 20000,
    ],
)
def test_hostile_headers(head, path):
    path.write_bytes(head)
    with pytest.raises(ValueError, match="load_model: "):
        load_model(path)


def test_other_safetensors_files(path):
    save_file({"kernel": np.zeros(3, "f4")}, path)
    for metadata in (None, {"format": "pt"}):
        save_file({"kernel": np.zeros(3, "f4")}, path, metadata)
        for call in (load_model, network().load_weights):
            with pytest.raises(ValueError, match=r"that pydl did not save.*load_file"):
                call(path)
    network().save_weights(path)
    with pytest.raises(ValueError, match=r"holds 'weights', not a whole model.*load_weights"):
        load_model(path)


def test_newer_versions(path, monkeypatch):
    model = network()
    monkeypatch.setattr(container, "FORMAT_VERSION", 7)
    model.save(path)
    monkeypatch.undo()
    for call in (load_model, model.load_weights):
        with pytest.raises(
            ValueError, match=r"in format 7, .* reads formats up to 1; upgrade pydl"
        ):
            call(path)


BOMB = '{"a":' * 5000 + "1" + "}" * 5000


@pytest.mark.parametrize("text", [BOMB, "[" * 100_000, "[]", "9" * 5000, "{", "\\ud800", ""])
def test_hostile_json(text, path):
    arrays = {"weights/a": np.zeros(1, "f4")}
    metadata = {"format": "pydl", "format_version": "1", "content": text}
    save_file(arrays, path, {**metadata, "checksum": container._checksum(text, arrays)})
    with pytest.raises(ValueError, match="load_model: "):
        load_model(path)
    save_file(arrays, path, {**metadata, "checksum": "none"})
    with pytest.raises(ValueError, match="its bytes are not those that were written"):
        load_model(path)


def first_layer(content):
    return content["model"]["config"]["layers"][1]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda c, a: c.pop("model"), "'model' is missing"),
        (lambda c, a: c.pop("training"), "'training' is missing"),
        (lambda c, a: c.update(model=[1]), "the architecture must be a dictionary"),
        (
            lambda c, a: c.update(model={"class_name": "Dense", "config": {"units": 2}}),
            "not a model",
        ),
        (lambda c, a: c.update(trainable=[True]), "trainable: expected 4 truth values"),
        (lambda c, a: c.update(trained=[1, 1, 1]), "trainable: expected 4 truth values"),
        (lambda c, a: first_layer(c).update(class_name="Dens"), "did you mean 'Dense'"),
        (lambda c, a: first_layer(c).update(class_name="os>system"), r"\{'system': system\}"),
        (lambda c, a: first_layer(c).update(class_name=["Dense"]), "unhashable"),
        (lambda c, a: first_layer(c).update(class_name="glorot_uniform"), "unknown layer class"),
        (lambda c, a: first_layer(c).update(config=3), "not iterable"),
        (lambda c, a: first_layer(c)["config"].update(units=-1), "positive integer"),
        (lambda c, a: first_layer(c)["config"].update(units=10**15), "more memory than"),
        (lambda c, a: first_layer(c)["config"].update(units=3), r"\(2, 3\).*\(2, 2\)"),
        (lambda c, a: first_layer(c)["config"].update(dtype="float64"), "float64.*float32"),
        (lambda c, a: first_layer(c)["config"].update(shell="rm"), "unknown argument 'shell'"),
        (lambda c, a: first_layer(c)["config"].update(name=None), None),
        (lambda c, a: c["model"]["config"].update(build_input_shape="abc"), None),
        (lambda c, a: c["model"].update(input_shape={"a": 3}), None),
        (lambda c, a: c["compile"].update(optimizer="adamm"), "did you mean"),
        (
            lambda c, a: c["compile"].update(optimizer={"class_name": "SGD", "config": {}}),
            "no 'optimizer/dense",
        ),
        (
            lambda c, a: c["compile"].update(loss={"class_name": "Dense", "config": {}}),
            "unknown loss",
        ),
        (lambda c, a: c["compile"].update(evil=1), "evil"),
        (lambda c, a: c["training"].update(epochs_done="x"), "must be numbers"),
        (lambda c, a: c["training"].update(gradients_accumulated=-1), "must be numbers"),
        (
            lambda c, a: a.pop("weights/dense/bias"),
            "the weight bias of Dense 'd' is not in the file",
        ),
        (lambda c, a: a.pop("optimizer/iterations"), "'optimizer/iterations' of Adam is not in"),
        (lambda c, a: a.pop("random/global"), "'random/global' is missing"),
        (lambda c, a: a.pop("random/dropout/seed_generator"), "seed_generator is not in the file"),
        (lambda c, a: a.update({"random/global": np.zeros(2)}), "is not one"),
        (lambda c, a: a.update({"weights/x": np.zeros(2)}), "the model has no 'weights/x'"),
        (
            lambda c, a: a.update({"weights/dense/kernel": np.zeros((2, 2), "i4")}),
            "is of float32, in the file it is of int32",
        ),
        (
            lambda c, a: a.update({"optimizer/dense/kernel/momentum": np.zeros((3, 2), "f4")}),
            r"'optimizer/dense/kernel/momentum' of Adam has shape \(2, 2\), in the file it has \(3, 2\)",
        ),
    ],
)
def test_hostile_content(change, text, path):
    model = Sequential([layers.Input((2,)), layers.Dense(2, name="d"), layers.Dropout(0.5)])
    model.compile(optimizers.Adam(), "mse")
    model.train_on_batch(np.ones((2, 2), "f4"), np.ones((2, 2), "f4"))
    model.save(path)
    rewritten(path, change)
    if text is None:  # harmless
        assert bits(load_model(path)) == bits(model)
        return
    with pytest.raises(ValueError, match=text) as info:
        load_model(path)
    assert str(info.value).startswith("load_model: ")


def test_weights_of_another_model(path):
    network().save_weights(path)
    model = Sequential([layers.Input((6,)), layers.Dense(9, name="wide"), layers.Dense(1)])
    before = bits(model)
    with raises(
        ValueError,
        "load_weights: the weight kernel of Dense 'wide' has shape (6, 9), in the file it has (6, 8)",
    ):
        model.load_weights(path)
    with pytest.raises(ValueError, match="has 8 arrays where the model has 2"):
        Sequential([layers.Input((6,)), layers.Dense(8)]).load_weights(path)
    with pytest.raises(ValueError, match="of Dense 'more' is not in the file, which has 8 arrays"):
        copy = network()
        copy.add(layers.Dense(1, name="more"))
        copy.load_weights(path)
    assert bits(model) == before


# Classes and functions of users


def test_classes_that_are_not_known(path):
    script = f"""
import numpy as np
from pydl import layers, models
class Twice(layers.Layer):
    def call(self, inputs):
        return 2 * inputs
models.Sequential([layers.Input((2,)), Twice()]).save({str(path)!r})
"""
    assert start(script).wait() == 0
    with pytest.raises(ValueError, match="unknown layer class '__main__>Twice'; before loading, "):
        load_model(path)

    class Double(layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    for custom in ({"Twice": Double}, {"__main__>Twice": Double}):
        model = load_model(path, custom_objects=custom)
        assert type(model.layers[0]) is Double
    with custom_object_scope({"Twice": Double}):
        assert type(load_model(path).layers[0]) is Double
    with pytest.raises(ValueError, match="unknown layer class"):
        load_model(path)
    with pytest.raises(ValueError, match="'__main__>Twice' is the class Huber, which is none"):
        load_model(path, custom_objects={"Twice": losses.Huber})
    with pytest.raises(TypeError, match="custom_objects must be a dictionary"):
        load_model(path, custom_objects=[Double])


def test_registered_names():
    @register_keras_serializable("Shop", "Till")
    class Counter(layers.Layer):
        def call(self, inputs):
            return inputs

    layer = Counter(name="c")
    config = layers.serialize(layer)
    assert config["class_name"] == layer.registered_name == "Shop>Till"
    assert type(layers.deserialize(config)) is Counter
    assert saving.get_custom_objects()["Shop>Till"] is Counter

    @register_keras_serializable("Shop")
    class Error(losses.Loss):
        def call(self, y_true, y_pred):
            return y_true - y_pred

    assert type(losses.get(layers.serialize(Error()))) is Error
    with raises(ValueError, "layer class: 'Shop>Error' is the class Error, which is none"):
        layers.deserialize({"class_name": "Shop>Error", "config": {}})

    @register_keras_serializable()
    def thrice(x):
        return 3 * x

    dense = layers.Dense(1, thrice)
    assert dense.get_config()["activation"] == "Custom>thrice"
    assert layers.Dense.from_config(dense.get_config()).activation is thrice
    with raises(ValueError, "layer class: 'Custom>thrice' makes none"):
        layers.deserialize({"class_name": "Custom>thrice", "config": {}})
    with pytest.raises(ValueError, match="use it with parentheses"):
        register_keras_serializable(thrice)
    with pytest.raises(ValueError, match="needs a method get_config"):
        register_keras_serializable()(int)


def test_custom_parts_of_compile(path):
    class Slow(optimizers.SGD):
        pass

    class Falling(optimizers.schedules.LearningRateSchedule):
        def __init__(self, first):
            self.first = first

        def __call__(self, step):
            return self.first / (1 + step)

    class Count(metrics.Mean):
        def update_state(self, y_true, y_pred, sample_weight=None):
            super().update_state(y_true)

    def rate():
        return 0.25

    model = network(Slow(Falling(0.5)), metrics=[Count()])
    model.save(path)
    copy = load_model(path)
    assert type(copy.optimizer) is Slow and copy.optimizer._schedule.first == 0.5
    assert type(copy.metrics[1]) is Count
    network(optimizers.SGD(rate)).save(path)
    copy = load_model(path, custom_objects={"rate": rate})
    assert float(copy.optimizer.learning_rate) == 0.25


def test_variables_outside_the_model_are_left_out_loudly(path):
    model = network("sgd")
    stranger = pydl.Variable([1.0])
    model.optimizer.apply_gradients([(np.ones(1, "f4"), stranger)])
    with pytest.warns(UserWarning, match="variables outside the model"):
        model.save(path)
    load_model(path)


def test_importing_pydl_does_not_import_safetensors():
    script = "import sys, pydl; pydl.models.Sequential; print('safetensors' in sys.modules)"
    assert start(script).communicate()[0].strip() == "False"


def test_checkpoints_are_whole_models(path):
    x, y = data()
    model = network()
    model.fit(x, y, epochs=2, verbose=0, callbacks=[callbacks.ModelCheckpoint(path)])
    assert everything(load_model(path))[0] == everything(model)[0]
