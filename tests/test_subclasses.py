"""Models of one's own: subclasses, steps, losses that layers add."""

from __future__ import annotations

import numpy as np
import pytest
from model_helpers import Two, linear, rows

import pydl
from pydl import layers, metrics, models, optimizers
from pydl.models import Model, Sequential


def test_own_train_step():
    class Halved(Model):
        def __init__(self):
            super().__init__()
            self.unit = layers.Dense(1)
            self.tracker = metrics.Mean(name="half")

        def call(self, inputs):
            return self.unit(inputs)

        def train_step(self, data):
            x, y = data
            with pydl.GradientTape() as tape:
                loss = pydl.mean(pydl.square(y - self(x, training=True))) / 2
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            self.tracker.update_state(loss)
            return {"half": self.tracker.result()}

        @property
        def metrics(self):
            return [self.tracker]

    x, y = rows(8)
    model = Halved()
    model.compile(optimizers.SGD(0.1))
    history = model.fit(x, y, epochs=3, batch_size=4, verbose=0)
    assert list(history.history) == ["half"]
    assert history.history["half"][2] < history.history["half"][0]
    assert model.train_on_batch(x, y) == pytest.approx(
        np.mean((model(x).numpy() - y) ** 2) / 2, rel=0.5
    )


def test_train_step_may_call_the_usual_one():
    class Counted(Sequential):
        steps = 0

        def train_step(self, data):
            self.steps += 1
            return {**super().train_step(data), "steps": self.steps}

        def test_step(self, data):
            x, y, weight = models.unpack_x_y_sample_weight(data)
            assert weight is None
            return super().test_step((x, y))

    model = Counted([layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = rows(8)
    history = model.fit(x, y, batch_size=4, epochs=2, validation_data=(x, y), verbose=0)
    assert history.history["steps"] == [2.0, 4.0] and "val_loss" in history.history


def test_own_loss_and_metrics():
    class Custom(Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            base = super().compute_loss(x, y, y_pred, sample_weight, training)
            return base + 1.0

        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            found = super().compute_metrics(x, y, y_pred, sample_weight)
            self.called = True
            return found

    model = Custom([layers.Input((3,)), layers.Dense(1, activation="sigmoid")])
    model.compile(optimizers.SGD(0.0), "binary_crossentropy", metrics=["mae"])
    x, _ = rows(4)
    y = np.array([[0], [1], [0], [1]])
    plain = Sequential(model.layers)
    plain.compile(optimizers.SGD(0.0), "binary_crossentropy", metrics=["mae"])
    loss, mae = model.evaluate(x, y, verbose=0)
    expected = plain.evaluate(x, y, verbose=0)
    np.testing.assert_allclose([loss - 1.0, mae], expected, rtol=1e-5)
    assert model.called


def test_model_as_a_layer_and_as_an_attribute():
    inner = Sequential([layers.Dense(4, "relu"), layers.Dense(2)])

    class Outer(Model):
        def __init__(self):
            super().__init__()
            self.inner = inner
            self.unit = layers.Dense(1)

        def call(self, inputs):
            return self.unit(self.inner(inputs))

    model = Outer()
    model.compile(optimizers.SGD(0.1), "mse")
    x, y = rows(8)
    model.fit(x, y, verbose=0)
    assert len(model.trainable_weights) == 6 and model.layers == [inner, model.unit]
    stack = Sequential([layers.Input((3,)), inner, layers.Dense(1)])
    stack.compile(optimizers.SGD(0.1), "mse")
    before = inner.get_weights()[0]
    stack.fit(x, y, verbose=0)
    assert not np.array_equal(before, inner.get_weights()[0])


def test_subclass_can_be_built_from_a_shape():
    model = Two()
    model.build((None, 3))
    assert len(model.weights) == 4


def test_subclass_in_a_stack_is_built_with_it():
    class Block(Model):
        def __init__(self):
            super().__init__()
            self.unit = layers.Dense(4, activation="relu")
            self.norm = layers.BatchNormalization()

        def call(self, inputs):
            return self.norm(self.unit(inputs))

    model = Sequential([layers.Input((3,)), Block(), layers.Dense(1)])
    assert model.output_shape == (None, 1) and len(model.weights) == 8
    model.compile("adam", "mse")
    x, y = rows(8)
    history = model.fit(x, y, epochs=2, verbose=0)
    assert len(model._compiled.trained) == 6
    assert history.history["loss"][1] < history.history["loss"][0]
    lines = []
    model.summary(print_fn=lines.append)
    assert "block (Block)" in lines[0] and "(None, 4)" in lines[0]


def test_failed_first_call_leaves_the_model_unbuilt():
    model = Two()
    with pytest.raises(ValueError):
        model(np.zeros(3, "f4"))
    assert not model.built
    model(rows(2)[0])
    assert model.built


def test_added_losses_alone_can_train():
    class Shrink(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight((input_shape[-1],), "ones")

        def call(self, inputs):
            self.add_loss(pydl.sum(pydl.square(self.w)))
            return inputs * self.w

    model = Sequential([layers.Input((3,)), Shrink()])
    model.compile(optimizers.SGD(0.25))
    x, _ = rows(4)
    history = model.fit(x, epochs=2, verbose=0)
    assert history.history["loss"] == [3.0, 0.75]


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
@pytest.mark.parametrize("inner", [False, True])
def test_losses_added_outside_of_call_are_refused(method, inner):
    model = linear()
    x, y = rows(4)
    owner = model.layers[0] if inner else model
    owner.add_loss(pydl.ones(()))
    with pytest.raises(
        ValueError, match=f"{method}: add_loss of .* outside of its call, .* self.a"
    ):
        getattr(model, method)(x, y)
    model(x)
    model.add_loss(pydl.ones(()))
    with pytest.raises(ValueError, match="would not count"):
        getattr(model, method)(x, y)
    getattr(model, method)(x, y)


def test_losses_of_symbolic_tensors_and_functions_are_refused():
    inputs = layers.Input((3,))
    codes = layers.Dense(2)(inputs)
    model = Model(inputs, layers.Dense(3)(codes))
    hint = r"; call self\.add_loss\(\.\.\.\) in the call of a layer"
    for loss in (pydl.mean(pydl.square(codes)), lambda: pydl.ones(())):
        with pytest.raises(ValueError, match="add_loss needs a Tensor, got a .*" + hint):
            model.add_loss(loss)
        with pytest.raises(ValueError, match=r"Dense 'dense.*': add_loss needs a Tensor"):
            model.layers[1].add_loss(loss)


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("by", ["compute_loss", "losses"])
def test_losses_added_in_a_step_of_ones_own_count(eager, by):
    class Own(Sequential):
        def train_step(self, data):
            x, y = data
            with pydl.GradientTape() as tape:
                y_pred = self.layers[0](x)
                self.add_loss(3.0 * pydl.mean(pydl.square(self.layers[0].kernel)))
                if by == "losses":
                    loss = pydl.mean(pydl.square(y - y_pred)) + sum(self.losses)
                else:
                    loss = self.compute_loss(x, y, y_pred)
            weights = self.trainable_weights
            self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
            return {"loss": loss}

    x, y = rows(4)
    model = Own([layers.Input((3,)), layers.Dense(1, kernel_initializer="ones")])
    model.compile(optimizers.SGD(0.0), "mse", run_eagerly=eager)
    want = float(np.mean((x.sum(axis=1, keepdims=True) - y) ** 2)) + 3.0
    for _ in range(2):
        found = model.fit(x, y, epochs=4, verbose=0).history["loss"]
        np.testing.assert_allclose(found, [want] * 4, rtol=1e-6)


def test_model_without_any_loss():
    model = linear(loss=None)
    with pytest.raises(ValueError, match="has no loss; pass loss= to compile"):
        model.fit(*rows(4), verbose=0)
