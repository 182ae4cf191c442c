"""Models: building, configuration, summary, hand-written loops."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
from model_helpers import Batches, Recorder, endless, linear, rows

import pydl
from pydl import callbacks, layers, losses, models, optimizers, random
from pydl.models import Model, Sequential

# Sequential


def test_delayed_build_and_late_layers():
    model = Sequential()
    model.add(layers.Dense(4))
    assert not model.built and model.weights == []
    model(rows(2)[0])
    assert model.built and model.output_shape == (None, 4)
    model.add(layers.Dense(2))
    assert model.output_shape == (None, 2) and len(model.weights) == 4
    assert model.pop().units == 2 and model.output_shape == (None, 4)


def test_declared_input_shapes():
    for first in (
        layers.Dense(4, input_shape=(3,)),
        layers.Dense(4, input_dim=3),
        Sequential([layers.Input((3,)), layers.Dense(4)]),
    ):
        model = Sequential([first, layers.Dense(1)])
        assert model.built and model.input_shape == (None, 3)
    model = Sequential([layers.Dense(1)])
    model.build((None, 7))
    assert model.count_params() == 8


@pytest.mark.parametrize(
    ("act", "error", "text"),
    [
        (lambda: Sequential([3]), TypeError, "Sequential: expected layers, got 3"),
        (lambda: Sequential([layers.Dense]), TypeError, "write it as a call"),
        (
            lambda: Sequential([layers.Dense(1, name="a"), layers.Dense(1, name="a")]),
            ValueError,
            "layer names must differ, 'a' is taken",
        ),
        (
            lambda: Sequential([layers.Dense(1), layers.Input((3,))]),
            ValueError,
            "Input must be the first entry",
        ),
        (lambda: Sequential().pop(), ValueError, "there is no layer to remove"),
        (lambda: Sequential().build((None, 3)), ValueError, "add layers before it is built"),
        (
            lambda: Sequential(
                [layers.Input((5,)), layers.Dense(4, name="a"), layers.Reshape((3,))]
            ),
            ValueError,
            r"cannot give 4 elements .*; it follows Dense 'a', whose output is \(None, 4\)",
        ),
    ],
)
def test_sequential_errors(act, error, text):
    with pytest.raises(error, match=text):
        act()


def test_get_layer():
    model = Sequential([layers.Dense(2, name="first"), layers.Dense(1, name="second")])
    assert model.get_layer("second") is model.layers[1] is model.get_layer(index=-1)
    with pytest.raises(ValueError, match="has no layer 'secnd'; did you mean 'second'"):
        model.get_layer("secnd")
    with pytest.raises(ValueError, match="index 2 is out of range for 2 layers"):
        model.get_layer(index=2)
    with pytest.raises(ValueError, match="pass either name or index"):
        model.get_layer()


def test_weights_round_trip():
    model = Sequential([layers.Input((3,)), layers.Dense(2), layers.BatchNormalization()])
    weights = [np.full(w.shape, i, "f4") for i, w in enumerate(model.weights)]
    model.set_weights(weights)
    for found, kept in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(found, kept)
    with pytest.raises(ValueError, match="set_weights expects 6 arrays, got 1"):
        model.set_weights(weights[:1])


def test_config_round_trip():
    model = Sequential([layers.Input((3,)), layers.Dense(2, "relu"), layers.Dense(1)], name="net")
    copy = Sequential.from_config(model.get_config())
    assert copy.name == "net" and [w.shape for w in copy.weights] == [
        w.shape for w in model.weights
    ]
    copy.set_weights(model.get_weights())
    x, _ = rows(4)
    np.testing.assert_array_equal(copy(x).numpy(), model(x).numpy())


def test_deep_copy_trains_by_itself():
    x, y = rows(8)
    model = linear(optimizer=optimizers.Adam(0.1))
    model.fit(x, y, verbose=0)
    twin = copy.deepcopy(model)
    before = model.get_weights()
    twin.fit(x, y, epochs=2, verbose=0, shuffle=False)
    for found, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, kept)
    model.fit(x, y, epochs=2, verbose=0, shuffle=False)
    for found, wanted in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_model_is_gone_with_its_last_reference():
    model = linear(optimizer="adam", metrics=["mae"])
    x, y = rows(8)
    history = model.fit(x, y, validation_split=0.5, callbacks=[Recorder()], verbose=2)
    assert history.model is model
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    kept = [weakref.ref(model), weakref.ref(model.layers[0].kernel)]
    del model
    gc.collect()
    assert [ref() for ref in kept] == [None, None] and history.model is None


def test_history_can_be_pickled():
    history = linear().fit(*rows(8), verbose=0)
    assert pickle.loads(pickle.dumps(history)).history == history.history


def test_subclass_of_sequential_with_a_call_of_its_own():
    class Doubled(Sequential):
        def call(self, inputs):
            return super().call(inputs) * 2

    model = Doubled([layers.Input((3,)), layers.Dense(2, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy", metrics=["mae"])
    x, _ = rows(4)
    np.testing.assert_allclose(model.predict(x, verbose=0).sum(axis=-1), 2, rtol=1e-6)
    assert np.isfinite(model.fit(x, np.eye(2)[[0, 1, 0, 1]], verbose=0).history["loss"][0])


# Summary


def test_summary():
    model = Sequential(name="net")
    model.add(layers.Input((784,)))
    model.add(layers.Dense(512, activation="relu", name="hidden"))
    model.add(layers.BatchNormalization(name="norm"))
    model.add(layers.Dense(10, activation="softmax", name="out"))
    lines = []
    model.summary(print_fn=lines.append)
    text = "\n".join(lines)
    assert text.startswith('Model: "net"\n')
    assert [row.split() for row in text.splitlines()[4:7]] == [
        ["hidden", "(Dense)", "(None,", "512)", "401,920"],
        ["norm", "(BatchNormalization)", "(None,", "512)", "2,048"],
        ["out", "(Dense)", "(None,", "10)", "5,130"],
    ]
    assert "Total params: 409,098 (1.56 MB)" in text
    assert "\nTrainable params: 408,074 " in text
    assert "\nNon-trainable params: 1,024 " in text
    model.layers[0].trainable = False
    lines.clear()
    model.summary(print_fn=lines.append, show_trainable=True)
    assert "Trainable params: 6,154 " in lines[0] and "Non-trainable params: 402,944 " in lines[0]
    assert lines[0].splitlines()[4].endswith("N") and lines[0].splitlines()[6].endswith("Y")


def test_summary_of_models_inside_a_model():
    x = layers.Input((4,), name="x")
    branches = [layers.Dense(3, name=name)(x) for name in ("left", "right")]
    graph = models.Model(x, layers.Add(name="sum")(branches), name="graph")
    chain = Sequential([layers.Dense(2, name="first"), layers.Dense(1, name="last")], name="chain")
    model = Sequential([layers.Input((4,)), graph, chain], name="outer")
    chain.layers[1].trainable = False

    def table(**kwargs):
        lines = []
        model.summary(print_fn=lines.append, **kwargs)
        return [line.split() for line in lines[0].splitlines()]

    flat = table()
    assert [row[0] for row in flat[4:6]] == ["graph", "chain"] and "Connected" not in flat[2]
    nested = table(expand_nested=True, show_trainable=True)
    assert [row[: 2 + (row[0] == "└")] for row in nested[4:12]] == [
        ["graph", "(Functional)"],
        ["└", "x", "(InputLayer)"],
        ["└", "left", "(Dense)"],
        ["└", "right", "(Dense)"],
        ["└", "sum", "(Add)"],
        ["chain", "(Sequential)"],
        ["└", "first", "(Dense)"],
        ["└", "last", "(Dense)"],
    ]
    assert nested[8][3:] == ["(None,", "3)", "0", "left[0][0],", "right[0][0]", "Y"]
    assert nested[10][3:] == ["(None,", "2)", "8", "Y"] and nested[11][3:] == [
        "(None,",
        "1)",
        "3",
        "N",
    ]
    assert nested[13:-1] == flat[7:-1]


def test_summary_of_a_model_that_is_not_built(capsys):
    Sequential([layers.Dense(3)]).summary()
    out = capsys.readouterr().out
    assert "?" in out and "0 (unbuilt)" in out and "Total params: 0" in out


def test_summary_keeps_to_its_width():
    model = Sequential([layers.Input((3,)), layers.Dense(3, name="a" * 60)])
    lines = []
    model.summary(line_length=60, print_fn=lines.append)
    assert all(len(line) <= 60 for line in lines[0].splitlines()[1:5])


# Hand-written loops


@pytest.mark.parametrize("face", ["tape", "backward", "minimize"])
def test_hand_written_loop_equals_fit(face):
    x, y = rows(8)
    model = linear(optimizer=optimizers.SGD(0.1))
    start = model.get_weights()
    model.fit(x, y, epochs=3, batch_size=8, shuffle=False, verbose=0)
    expected = model.get_weights()
    model.set_weights(start)
    optimizer, loss_of = optimizers.SGD(0.1), losses.MeanSquaredError()
    for _ in range(3):
        variables = model.trainable_variables
        if face == "tape":
            with pydl.GradientTape() as tape:
                loss = loss_of(y, model(x, training=True))
            pairs = zip(tape.gradient(loss, variables), variables, strict=True)
            optimizer.apply_gradients(pairs)
        elif face == "backward":
            loss_of(y, model(x, training=True)).backward()
            optimizer.apply_gradients([(v.grad, v) for v in variables])
            for v in variables:
                v.grad = None
        else:
            optimizer.minimize(lambda: loss_of(y, model(x, training=True)), variables)
    for found, wanted in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


# Interruption


def test_keyboard_interrupt_leaves_a_usable_model():
    class Interrupt(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                raise KeyboardInterrupt

    x, y = rows(100)
    model = linear(optimizer="adam", metrics=["mae"])
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, epochs=3, callbacks=[Interrupt()], verbose=1)
    assert int(model.optimizer.iterations) == 2
    history = model.fit(x, y, epochs=2, verbose=0)
    assert len(history.history["loss"]) == 2
    assert np.isfinite(model.evaluate(x, y, verbose=0)).all()


# Names of Keras 2


def test_keras_2_names():
    x, y = rows(8)
    model = linear(optimizer=optimizers.RMSprop(lr=0.01, decay=1e-3))
    assert len(model.fit(x, y, nb_epoch=2, verbose=0).epoch) == 2
    history = model.fit_generator(endless(x, y, 4), steps_per_epoch=2, epochs=2, verbose=0)
    assert len(history.epoch) == 2
    np.testing.assert_allclose(
        model.evaluate_generator(endless(x, y, 4), steps=2),
        model.evaluate(x, y, verbose=0),
        rtol=1e-6,
    )
    predicted = model.predict_generator(Batches(x, y, 4))
    np.testing.assert_array_equal(predicted, model.predict(x, batch_size=4, verbose=0))


def test_predict_classes():
    x, _ = rows(5)
    model = Sequential([layers.Input((3,)), layers.Dense(4, activation="softmax")])
    np.testing.assert_array_equal(model.predict_classes(x), model.predict(x, verbose=0).argmax(-1))
    model = Sequential([layers.Input((3,)), layers.Dense(1, activation="sigmoid")])
    np.testing.assert_array_equal(
        model.predict_classes(x), (model.predict(x, verbose=0) > 0.5).astype("i4")
    )


def test_float64_model():
    pydl.config.set_floatx("float64")
    x, y = rows(8)
    model = linear(optimizer=optimizers.SGD(0.1))
    history = model.fit(x.astype("f8"), y.astype("f8"), verbose=0)
    assert model.predict(x, verbose=0).dtype == np.float64
    assert history.history["loss"][0] > 0


def test_same_seed_same_bits_for_any_number_of_threads():
    x = np.random.default_rng(0).normal(size=(600, 300)).astype("f4")
    y = np.arange(600) % 10
    found = []
    for threads in (1, 2, 3):
        pydl.config.set_num_threads(threads)
        random.set_random_seed(3)
        model = Sequential(
            [
                layers.Input((300,)),
                layers.Dense(256, activation="relu"),
                layers.BatchNormalization(),
                layers.Dropout(0.3),
                layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile(optimizers.Adam(clipnorm=1.0), "sparse_categorical_crossentropy")
        model.fit(x, y, epochs=2, batch_size=128, verbose=0)
        found.append([w.tobytes() for w in model.get_weights()])
    assert found[0] == found[1] == found[2]


def test_models_with_several_optimizers():
    class Pair(Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = layers.Dense(1), layers.Dense(1)

        def compile(self, first, second):
            super().compile()
            self.optimizer, self.second, self.loss = first, second, losses.MeanSquaredError()

        def call(self, inputs):
            return self.a(inputs) + self.b(inputs)

        def train_step(self, data):
            x, y = data
            with pydl.GradientTape() as tape:
                loss = self.loss(y, self(x, training=True))
            a, b = tape.gradient(loss, [self.a.trainable_weights, self.b.trainable_weights])
            self.optimizer.apply(a, self.a.trainable_weights)
            self.second.apply(b, self.b.trainable_weights)
            return {"loss": loss}

    x, y = rows(8)
    model = Pair()
    model.compile(optimizers.SGD(0.1), optimizers.SGD(0.0))
    model(x)
    before = model.get_weights()
    history = model.fit(x, y, epochs=2, batch_size=8, verbose=0)
    assert history.history["loss"][1] < history.history["loss"][0]
    changed = [not np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True)]
    assert changed == [True, True, False, False]


def test_model_without_a_call_of_its_own():
    class Adversaries(Model):
        def __init__(self):
            super().__init__()
            self.generator = Sequential([layers.Dense(3)])
            self.critic = Sequential([layers.Dense(1, activation="sigmoid")])

        def train_step(self, data):
            (x,) = data
            noise = random.normal((len(x), 2))
            with pydl.GradientTape() as tape:
                made = self.critic(self.generator(noise, training=True), training=True)
                loss = losses.BinaryCrossentropy()(pydl.ones((len(x), 1)), made)
            variables = self.generator.trainable_variables
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            return {"generator_loss": loss}

    model = Adversaries()
    model.compile(optimizer="adam")
    history = model.fit(rows(20)[0], epochs=2, verbose=0)
    assert list(history.history) == ["generator_loss"] and len(model.weights) == 4
