"""Saving and loading, there and back: layers, losses, metrics, models, weights of every type."""

from __future__ import annotations

import numpy as np
import pytest
from saving_helpers import bits, data, everything, network, start

import pydl
from pydl import callbacks, layers, losses, metrics, models, random
from pydl.metrics.base import registry as metric_registry
from pydl.models import Model, Sequential, load_model
from pydl.utils import register_keras_serializable


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
