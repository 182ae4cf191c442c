"""Saving classes and functions of users: names that a file can hold, and those that it cannot."""

from __future__ import annotations

import os

import numpy as np
import pytest
from errors import raises
from safetensors.numpy import load_file
from saving_helpers import bits, data, network, start

import pydl
from pydl import layers, losses, metrics, optimizers, saving
from pydl.models import Model, Sequential, load_model
from pydl.utils import custom_object_scope, register_keras_serializable


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


# What a file cannot hold


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
