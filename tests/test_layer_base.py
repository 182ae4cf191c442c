"""The base of the layers: weights, freezing, calls, losses, shapes and configurations."""

from __future__ import annotations

import copy
import pickle
import threading
import warnings

import numpy as np
import pytest
from errors import raises

import pydl
from pydl import layers, regularizers
from pydl.layers.base import layer_names, learning_phase, set_learning_phase
from pydl.layers.weights import Weight


@pytest.fixture(autouse=True)
def _fresh_names():
    layer_names.reset()
    yield
    set_learning_phase(0)


# Weights


def test_get_and_set_weights():
    layer = layers.Dense(2)
    with raises(
        ValueError,
        "Dense 'dense': has no weights to count before it is built; call it on data or call "
        "build(input_shape)",
    ):
        layer.count_params()
    with raises(
        ValueError,
        "Dense 'dense': set_weights expects 0 arrays, got 2; the layer is not built yet",
    ):
        layer.set_weights([1, 2])
    layer.build((None, 3))
    assert layer.count_params() == 8
    kernel = layer.get_weights()[0]
    kernel[:] = 5  # a copy
    assert not (layer.kernel.numpy() == 5).any()
    layer.set_weights([kernel.tolist(), [1, 2]])
    np.testing.assert_array_equal(layer.kernel.numpy(), kernel)
    np.testing.assert_array_equal(layer.bias.numpy(), [1, 2])
    with raises(ValueError, "Dense 'dense': set_weights expects 2 arrays, got 1"):
        layer.set_weights([kernel])
    with raises(
        ValueError,
        "Dense 'dense': weight 1 (bias) has shape (2,), got an array of shape (3,)",
    ):
        layer.set_weights([kernel + 1, [1, 2, 3]])
    np.testing.assert_array_equal(layer.kernel.numpy(), kernel)


def test_add_weight():
    class Custom(layers.Layer):
        def __init__(self):
            super().__init__()
            self.scale = self.add_weight(name="scale")
            self.steps = self.add_weight((2,), dtype="int32", trainable=False, name="steps")

        def build(self, input_shape):
            self.table = self.add_weight(input_shape[-1], lambda shape, dtype: np.full(shape, 3.0))

        def call(self, inputs):
            return inputs * self.table + self.scale

    layer = Custom()
    assert layer(np.ones((2, 4))).numpy().tolist() == [[3.0] * 4] * 2
    assert [w.shape for w in layer.weights] == [(), (4,), (2,)]
    assert layer.steps.dtype == np.int32
    assert layer.scale.item() == 0
    assert layer.non_trainable_weights == [layer.steps]
    with raises(
        ValueError,
        "Custom 'custom': the shape of a weight must be known and not negative, got (None, 2)",
    ):
        layer.add_weight((None, 2))
    with raises(
        ValueError,
        "Custom 'custom': the initializer of w returned shape (3,), expected (2,)",
    ):
        layer.add_weight((2,), lambda shape, dtype: np.zeros(3), name="w")


def test_regularizers_and_constraints_of_weights():
    layer = layers.Dense(
        1,
        kernel_initializer="ones",
        kernel_regularizer=regularizers.l2(0.5),
        bias_constraint="non_neg",
    )
    layer.build((None, 3))
    assert [p.item() for p in layer.losses] == [1.5]
    assert layer.bias.constraint(pydl.tensor([-1.0, 2.0])).numpy().tolist() == [0.0, 2.0]
    assert layer.kernel.constraint is None
    layer.losses[0].backward()
    np.testing.assert_array_equal(layer.kernel.grad.numpy(), np.ones((3, 1)))
    layer.trainable = False
    assert layer.losses == []


def test_custom_layers_track_what_they_hold():
    class Block(layers.Layer):
        def __init__(self, units):
            super().__init__()
            self.units = units
            self.first = layers.Dense(units)
            self.rest = []
            self.rest.append(layers.Dense(units))
            self.named = {"norm": layers.BatchNormalization()}
            self.pair = (layers.Dropout(0.5), layers.Dense(1))
            self.gain = pydl.Variable(2.0, name="gain")

        def call(self, inputs, training=False):
            x = self.rest[0](self.first(inputs))
            x = self.pair[0](self.named["norm"](x), training=training)
            return self.pair[1](x) * self.gain

    block = Block(4)
    assert block.weights == [block.gain]
    block(np.ones((2, 3)))
    names = [w.name for w in block.weights]
    assert names == [
        "gain",
        *("kernel", "bias"),
        *("kernel", "bias"),
        *("gamma", "beta", "moving_mean", "moving_variance"),
        *("kernel", "bias"),
    ]
    assert block.count_params() == 1 + 16 + 20 + 16 + 5
    assert len(block.trainable_weights) == 9
    assert [w.name for w in block.non_trainable_weights] == ["moving_mean", "moving_variance"]
    assert block.variables == block.weights
    assert block.trainable_variables == block.trainable_weights
    assert block.non_trainable_variables == block.non_trainable_weights

    block.first.trainable = False
    assert len(block.trainable_weights) == 7
    assert all(w.trainable for w in block.first.weights)  # other models may still train them
    block.trainable = False
    assert block.trainable_weights == []
    assert not block.rest[0].trainable
    block.trainable = True
    assert len(block.trainable_weights) == 9

    copied = Block(4)
    copied(np.ones((2, 3)))
    copied.set_weights(block.get_weights())
    x = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_array_equal(block(x).numpy(), copied(x).numpy())
    assert block.compute_output_shape((None, 3)) == (None, 1)


def test_shared_and_mutually_referring_layers_count_once():
    class Node(layers.Layer):
        def __init__(self, dense):
            super().__init__()
            self.a = dense
            self.b = dense
            self.parent = None

        def call(self, inputs):
            return self.a(inputs)

    dense = layers.Dense(2)
    outer, inner = Node(dense), Node(dense)
    outer.child, inner.parent = inner, outer
    outer(np.ones((1, 2)))
    assert outer.weights == [dense.kernel, dense.bias]
    assert inner.trainable_weights == outer.trainable_weights


def test_forgotten_super_init():
    class Bad(layers.Layer):
        def __init__(self):
            self.units = 3

    with raises(RuntimeError, "Bad: call super().__init__() in __init__ before the layer is used"):
        Bad()(np.ones((1, 2)))
    with raises(
        AttributeError, "'Dense' object has no attribute 'kernel'; the layer is not built yet"
    ):
        _ = layers.Dense(1).kernel


def test_copies_and_pickles_are_independent():
    layer = layers.Dense(2, kernel_regularizer="l2", bias_constraint="non_neg")
    x = np.ones((2, 3))
    y = layer(x).numpy()
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(other(x).numpy(), y)
        assert isinstance(other.kernel, Weight)
        assert other.weights == [other.kernel, other.bias]
        assert other.kernel.regularizer.l2 == 0.01
        assert type(other.bias.constraint).__name__ == "NonNeg"
        other.kernel.assign_add(1.0)
        np.testing.assert_array_equal(layer(x).numpy(), y)


# Calls


def test_training_is_passed_down():
    seen = []

    class Inner(layers.Layer):
        def call(self, inputs, training=None):
            seen.append(training)
            return inputs

    class Outer(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = Inner()

        def call(self, inputs):
            return self.inner(inputs)

    class Explicit(Outer):
        def call(self, inputs, training=None):
            return self.inner(inputs, training=False)

    class Eager(layers.Layer):
        def call(self, inputs, training=True):
            seen.append(training)
            return inputs

    x = np.ones((1, 1))
    Inner()(x), Inner()(x, training=True), Outer()(x), Outer()(x, training=True)
    assert seen == [False, True, False, True]
    seen.clear()
    Explicit()(x, training=True), Eager()(x), Eager()(x, training=False)
    assert seen == [False, True, False]
    seen.clear()
    set_learning_phase(1)
    assert learning_phase()
    Outer()(x), Outer()(x, training=False)
    assert seen == [True, False]
    set_learning_phase(0)
    with raises(ValueError, "set_learning_phase: expected 0 or 1, got 2"):
        set_learning_phase(2)


def test_training_does_not_leak_after_an_error():
    class Fails(layers.Layer):
        def call(self, inputs, training=None):
            raise RuntimeError(str(training))

    with pytest.raises(RuntimeError, match="True"):
        Fails()(np.ones((1, 1)), training=True)
    with pytest.raises(RuntimeError, match="False"):
        Fails()(np.ones((1, 1)))


def test_masks_and_further_arguments_are_passed():
    class Masked(layers.Layer):
        supports_masking = True

        def call(self, inputs, scale=1.0, mask=None):
            return inputs * scale if mask is None else inputs * mask * scale

    x = np.ones((1, 2), np.float32)
    assert Masked()(x).numpy().tolist() == [[1.0, 1.0]]
    assert Masked()(x, 3.0).numpy().tolist() == [[3.0, 3.0]]
    mask = np.array([[True, False]])
    assert Masked()(x, scale=2.0, mask=mask).numpy().tolist() == [[2.0, 0.0]]
    assert Masked().compute_mask(x, mask) is mask
    assert layers.Dense(1).compute_mask(x, mask) is mask
    assert layers.Flatten().compute_mask(x, mask) is None
    layers.Dense(1)(x, mask=mask)  # not an argument of its call
    y = layers.Softmax()(x, mask=mask).numpy()
    np.testing.assert_array_equal(y, [[1.0, 0.0]])


def test_losses_of_a_call():
    class Penalised(layers.Layer):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1, activity_regularizer="l1", kernel_initializer="ones")
            self.extra = layers.Dense(1, kernel_regularizer="l2", kernel_initializer="ones")

        def call(self, inputs, twice=False):
            self.add_loss(pydl.mean(inputs))
            y = self.dense(inputs)
            return self.extra(self.dense(inputs) if twice else y)

    layer = Penalised()
    x = np.full((4, 2), 3.0, np.float32)
    layer(x)
    # mean of the input; 0.01 * sum of 4 outputs of 6 / batch of 4; 0.01 * 1^2
    np.testing.assert_allclose([v.item() for v in layer.losses], [3.0, 0.06, 0.01], rtol=1e-6)
    layer(x)
    assert len(layer.losses) == 3
    layer(x, twice=True)
    np.testing.assert_allclose([v.item() for v in layer.losses], [3.0, 0.06, 0.06, 0.01], rtol=1e-6)
    layer(x)
    assert len(layer.losses) == 3
    layer.dense(x)
    assert len(layer.dense.losses) == 1


def test_call_logits():
    x = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    for name in ("softmax", "sigmoid"):
        dense = layers.Dense(4, activation=name)
        y = dense(x)
        assert dense.logits_activation == name
        logits = dense.call_logits(pydl.tensor(x))
        np.testing.assert_array_equal(y.numpy(), getattr(pydl, name)(logits).numpy())
        activation = layers.Activation(name)
        assert activation.logits_activation == name
        assert activation.call_logits(logits) is logits
    assert layers.Softmax().logits_activation == "softmax"
    assert layers.Softmax(axis=1).logits_activation is None
    assert layers.Dense(1, activation="relu").logits_activation is None
    assert layers.Dense(1, "sigmoid", activity_regularizer="l2").logits_activation is None
    with raises(NotImplementedError, "Flatten 'flatten': has no softmax or sigmoid to leave out"):
        layers.Flatten().call_logits(pydl.ones((1, 1)))


def test_softmax_over_one_unit_warns():
    text = "softmax over one unit is always 1"
    for layer in (layers.Dense(1, "softmax"), layers.Activation("softmax"), layers.Softmax()):
        with pytest.warns(UserWarning, match=text):
            layer.build((None, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layers.Dense(2, activation="softmax").build((None, 1))
        layers.Softmax().build((None, 2))


def test_activations_that_are_layers():
    layer = layers.Dense(3, activation=layers.PReLU("ones"))
    x = np.random.default_rng(0).normal(size=(2, 4))
    y = layer(x)
    assert [w.name for w in layer.weights] == ["kernel", "bias", "alpha"]
    np.testing.assert_allclose(y.numpy(), x.astype(np.float32) @ layer.kernel.numpy(), rtol=1e-5)
    clone = layers.Dense.from_config(layer.get_config())
    assert isinstance(clone.activation, layers.PReLU)
    clone(x)
    clone.set_weights(layer.get_weights())
    np.testing.assert_array_equal(clone(x).numpy(), y.numpy())


def test_threads_do_not_share_the_training_flag():
    seen = {}

    class Slow(layers.Layer):
        def call(self, inputs, training=None):
            barrier.wait(10)
            seen[threading.current_thread().name] = inner(inputs)
            return inputs

    class Inner(layers.Layer):
        def call(self, inputs, training=None):
            return training

    barrier, inner = threading.Barrier(2), Inner()
    inner.build((None, 1))
    x = np.ones((1, 1))
    threads = [
        threading.Thread(target=Slow(), args=(x,), kwargs={"training": t}, name=str(t))
        for t in (True, False)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"True": True, "False": False}


# Shapes and configurations of custom layers


def test_default_output_shape_and_shape_attributes():
    class Pairs(layers.Layer):
        def call(self, inputs):
            return [inputs @ inputs.mT, pydl.sum(inputs, axis=-1)]

    layer = Pairs()
    assert layer.compute_output_shape((None, None, 3)) == [(None, None, None), (None, None)]
    assert layer.compute_output_shape((None, 4, 3)) == [(None, 4, 4), (None, 4)]
    assert layer.input_shape == (None, None, 3)
    dense = layers.Dense(5)
    with pytest.raises(AttributeError, match="has no output_shape before it is built"):
        _ = dense.output_shape
    dense(np.zeros((7, 2, 3)))
    assert (dense.input_shape, dense.output_shape) == ((None, 2, 3), (None, 2, 5))


def test_configurations_of_custom_layers():
    class Scale(layers.Layer):
        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, inputs):
            return inputs * self.factor

    class Hidden(layers.Layer):
        def __init__(self, factor):
            super().__init__()
            self._factor = factor

    class Own(Hidden):
        def get_config(self):
            return {**super().get_config(), "factor": self._factor}

    layer = Scale(3, name="scale_it", trainable=False)
    config = layer.get_config()
    assert config["factor"] == 3
    clone = layers.deserialize(layers.serialize(layer))
    assert (type(clone), clone.factor, clone.name, clone.trainable) == (Scale, 3, "scale_it", False)
    assert layers.serialize(layer)["class_name"].endswith("Scale")
    assert layers.serialize(layer)["class_name"] != "Scale"
    with pytest.raises(NotImplementedError, match="Hidden: get_config reads the argument 'factor'"):
        Hidden(2).get_config()
    assert Own.from_config(Own(2).get_config())._factor == 2
    with raises(ValueError, "unknown layer class 'Dens'; did you mean 'Dense'?"):
        layers.deserialize({"class_name": "Dens", "config": {}})
    with pytest.raises(ValueError, match="a configuration has the keys 'class_name' and 'config'"):
        layers.deserialize({"units": 3})


def test_a_custom_class_does_not_replace_a_layer_of_the_library():
    class Dense(layers.Layer):
        pass

    assert type(layers.deserialize({"class_name": "Dense", "config": {"units": 2}})) is layers.Dense
    assert type(layers.deserialize(layers.serialize(Dense()))) is Dense


def test_gradient_tape_trains_a_custom_layer():
    class Line(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight((input_shape[-1], 1), "zeros", name="w")

        def call(self, inputs):
            return inputs @ self.w

    x = np.random.default_rng(0).normal(size=(32, 3)).astype(np.float32)
    y = x @ np.float32([[1], [-2], [3]])
    layer = Line()
    for _ in range(200):
        with pydl.GradientTape() as tape:
            loss = pydl.mean(pydl.square(layer(x) - y))
        (g,) = tape.gradient(loss, layer.trainable_weights)
        layer.w.assign_sub(0.2 * g.numpy())
    np.testing.assert_allclose(layer.w.numpy(), [[1], [-2], [3]], atol=1e-3)
