"""Functional models: graphs of layers on symbolic tensors, trained, summarised, configured."""

from __future__ import annotations

import gc
import json
import pickle
import re
import warnings
import weakref

import numpy as np
import pytest
from errors import raises
from plan_helpers import assert_same

import pydl
from pydl import layers, models, optimizers
from pydl.layers.base import layer_names


@pytest.fixture(autouse=True)
def _fresh_names():
    layer_names.reset()


RNG = np.random.default_rng(0)
XA, XB = RNG.normal(size=(50, 3)).astype("f4"), RNG.normal(size=(50, 2)).astype("f4")
Y1, Y2 = RNG.normal(size=(50, 1)).astype("f4"), RNG.integers(0, 3, 50)


def two_by_two(named: bool = False) -> models.Model:
    """Two inputs, a shared layer, operators, two outputs."""
    a, b = layers.Input((3,), name="a"), layers.Input((2,), name="b")
    joined = layers.concatenate([a, b])
    hidden = layers.Dense(4, activation="relu")(joined)
    shared = layers.Dense(4, activation="tanh", name="shared")
    one = layers.Dense(1, name="one")(shared(hidden) + shared(layers.Dropout(0.2)(hidden * 2.0)))
    two = layers.Dense(3, activation="softmax", name="two")(hidden[:, 1:])
    if named:
        return models.Model({"a": a, "b": b}, {"first": one, "second": two})
    return models.Model([a, b], [one, two])


def test_a_line_computes_what_sequential_does():
    x = layers.Input((3,))
    stack = [layers.Dense(4, activation="relu"), layers.Dense(2)]
    model = models.Model(x, stack[1](stack[0](x)))
    assert type(model) is models.Functional
    assert model.name == "functional"
    assert (model.input_shape, model.output_shape, model.count_params()) == (
        (None, 3), (None, 2), 26,
    )  # fmt: skip
    other = models.Sequential([layers.Input((3,)), layers.Dense(4, "relu"), layers.Dense(2)])
    other.set_weights(model.get_weights())
    np.testing.assert_array_equal(model(XA).numpy(), other(XA).numpy())
    assert [type(layer).__name__ for layer in model.layers] == ["InputLayer", "Dense", "Dense"]
    assert model.get_layer("dense_1") is stack[1]


def test_values_of_a_graph():
    model = two_by_two()
    k, b, ks, bs, k1, b1, k2, b2 = (w.astype("f8") for w in model.get_weights())
    hidden = np.maximum(np.concatenate([XA, XB], 1) @ k + b, 0)
    one = (np.tanh(hidden @ ks + bs) + np.tanh(2 * hidden @ ks + bs)) @ k1 + b1
    two = np.exp(hidden[:, 1:] @ k2 + b2)
    found = model.predict([XA, XB], verbose=0)
    assert isinstance(found, list)
    np.testing.assert_allclose(found[0], one, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[1], two / two.sum(1, keepdims=True), rtol=1e-5, atol=1e-6)


def test_shared_layer_has_one_set_of_weights_and_adds_gradients():
    a, b = layers.Input((3,)), layers.Input((3,))
    unit = layers.Dense(1, use_bias=False, dtype="float64")
    model = models.Model([a, b], layers.subtract([unit(a), unit(b)], dtype="float64"))
    assert len(model.weights) == 1
    x, z = RNG.normal(size=(2, 6, 3))
    with pydl.GradientTape() as tape:
        y = pydl.sum(model([x.astype("f4"), z.astype("f4")]))
    expected = (x.astype("f4").astype("f8") - z.astype("f4")).sum(0)[:, None]
    np.testing.assert_allclose(tape.gradient(y, unit.kernel).numpy(), expected, rtol=1e-12)
    assert len(layers.symbolic.nodes_of(unit)) == 2


# Training


@pytest.mark.parametrize(
    ("loss", "weights", "metrics"),
    [
        (["mse", "sparse_categorical_crossentropy"], [1.0, 0.5], [["mae"], ["accuracy"]]),
        (
            {"two": "sparse_categorical_crossentropy", "one": "mse"},
            {"two": 0.5},
            {"two": ["accuracy"], "one": "mae"},
        ),
    ],
)
def test_several_outputs(loss, weights, metrics):
    model = two_by_two()
    model.compile(optimizers.SGD(0.0), loss, loss_weights=weights, metrics=metrics)
    history = model.fit([XA, XB], [Y1, Y2], epochs=2, verbose=0, validation_split=0.2)
    names = ["loss", "one_loss", "two_loss", "one_mae", "two_accuracy"]
    assert list(history.history) == names + [f"val_{name}" for name in names]
    results = model.evaluate([XA, XB], [Y1, Y2], verbose=0)
    assert model.metrics_names == names
    p1, p2 = (p.astype("f8") for p in model.predict([XA, XB], verbose=0))
    mse, cross = ((p1 - Y1) ** 2).mean(), -np.log(p2[range(50), Y2]).mean()
    expected = [mse + 0.5 * cross, mse, cross, abs(p1 - Y1).mean(), (p2.argmax(1) == Y2).mean()]
    np.testing.assert_allclose(results, expected, rtol=1e-5)
    by_name = model.evaluate([XA, XB], {"two": Y2, "one": Y1}, verbose=0, return_dict=True)
    assert list(by_name.values()) == results


def test_dictionaries_of_inputs_and_outputs():
    model = two_by_two(named=True)
    model.compile(
        "sgd",
        {"first": "mse", "second": "sparse_categorical_crossentropy"},
        metrics={"second": ["accuracy"]},
    )
    x, y = {"b": XB, "a": XA, "unused": XA}, {"second": Y2, "first": Y1}
    history = model.fit(x, y, epochs=2, verbose=0)
    assert list(history.history) == ["loss", "first_loss", "second_loss", "second_accuracy"]
    found = model.predict({"a": XA, "b": XB}, verbose=0)
    assert list(found) == ["first", "second"]
    np.testing.assert_array_equal(model([XA, XB])["first"].numpy(), model(x)["first"].numpy())


def test_single_output_by_name():
    x = layers.Input((3,))
    model = models.Model(x, layers.Dense(1, name="price")(x))
    model.compile("sgd", {"price": "mse"}, metrics={"price": "mae"})
    history = model.fit(XA, {"price": Y1}, epochs=1, verbose=0)
    assert list(history.history) == ["loss", "mae"]
    with pytest.raises(ValueError, match="'cost', which is no output"):
        model.compile("sgd", {"cost": "mse"})


def fit_two(model):
    return model.fit([XA, XB], [Y1, Y2], epochs=4, batch_size=16, verbose=0, validation_split=0.2)


def test_recorded_training_has_the_bits_of_eager_training():
    options = {
        "loss": ["mse", "sparse_categorical_crossentropy"],
        "metrics": lambda: [["mae"], ["accuracy"]],
        "optimizer": "adam",
    }
    model = assert_same(two_by_two, fit_two, **options)
    names = [launch.name for launch in model.plan([XA, XB], [Y1, Y2]).launches]
    assert "sparse_crossentropy" in " ".join(names) or any("crossentropy" in n for n in names)


def test_metrics_of_the_user_follow_recorded_steps_with_several_outputs():
    def distance(t, p):
        return pydl.mean(pydl.abs(t - p), axis=-1)

    assert_same(
        two_by_two,
        fit_two,
        loss=["mse", "sparse_categorical_crossentropy"],
        metrics=lambda: [[distance], ["accuracy"]],
    )


def test_losses_of_several_outputs_are_computed_from_logits():
    model = two_by_two()
    model.get_layer("two").kernel.assign(np.full((3, 3), 100.0) * [[-1, 0, 1]])
    model.compile(optimizers.SGD(0.0), ["mse", "sparse_categorical_crossentropy"])
    loss = model.evaluate([XA * 100, XB], [Y1, np.zeros(50, int)], verbose=0)[2]
    assert loss > 1000  # probabilities would be clipped to 1e-7: at most 16.1


# Parts of models, models in models


def test_intermediate_outputs_share_the_layers():
    model = two_by_two()
    inner = models.Model(model.input, model.get_layer("shared").output)
    assert inner.layers[-1] is model.get_layer("shared")
    before = inner.predict([XA, XB], verbose=0)
    model.get_layer("shared").bias.assign([1.0, 1.0, 1.0, 1.0])
    assert np.abs(inner.predict([XA, XB], verbose=0) - before).max() > 0.01
    hidden = model.get_layer("dense").output
    upper = models.Model(hidden, model.output)
    assert type(upper.layers[0]) is layers.InputLayer
    assert "dense" not in [layer.name for layer in upper.layers]
    lower = models.Model(model.input, hidden)
    for part, whole in zip(upper(lower([XA, XB])), model([XA, XB]), strict=True):
        np.testing.assert_array_equal(part.numpy(), whole.numpy())


def test_intermediate_outputs_of_sequential():
    model = models.Sequential([layers.Dense(4, activation="relu"), layers.Dense(2)])
    with pytest.raises(AttributeError, match="Dense 'dense': has no output before"):
        _ = model.layers[0].output
    with pytest.raises(AttributeError, match="Sequential 'sequential': has no input before"):
        _ = model.input
    model.compile("sgd", "mse")
    model.fit(XA, XB, epochs=1, verbose=0)
    inner = models.Model(model.input, [layer.output for layer in model.layers])
    hidden, out = inner.predict(XA, verbose=0)
    np.testing.assert_array_equal(out, model.predict(XA, verbose=0))
    np.testing.assert_array_equal(hidden, model.layers[0](XA).numpy())
    assert model.layers[0].input.shape == (None, 3)
    assert model.output.shape == (None, 2)


def test_models_are_layers():
    base = models.Sequential([layers.Input((3,)), layers.Dense(4, "relu")], name="base")
    a, b = layers.Input((3,)), layers.Input((3,))
    siamese = models.Model([a, b], layers.Dense(1)(abs(base(a) - base(b))))
    assert siamese.layers[2] is base
    assert len(siamese.weights) == 4
    x = layers.Input((3,))
    outer = models.Model(x, siamese([x, x * 2.0]))
    np.testing.assert_array_equal(outer(XA).numpy(), siamese([XA, XA * 2]).numpy())
    stack = models.Sequential([outer, layers.Dense(2)])
    assert stack.output_shape == (None, 2)
    assert outer.compute_output_shape((7, 3)) == (7, 1)


def test_a_subclass_may_be_functional():
    class Net(models.Model):
        def __init__(self):
            x = layers.Input((3,))
            super().__init__(x, layers.Dense(1)(x), name="net")

        def train_step(self, data):
            self.steps = getattr(self, "steps", 0) + 1
            return super().train_step(data)

    model = Net()
    assert isinstance(model, Net)
    assert isinstance(model, models.Functional)
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(XA, Y1, epochs=1, batch_size=25, verbose=0)
    assert model.steps == 2


def test_user_layers_with_arguments_and_several_outputs():
    class Halves(layers.Layer):
        def call(self, x, scale, shift=None):
            return x[:, :1] * scale, x[:, 1:] + shift

    a, b = layers.Input((3,)), layers.Input((1,))
    left, right = Halves()(a, 2.0, shift=b)
    assert (left.shape, right.shape) == ((None, 1), (None, 2))
    model = models.Model([a, b], right + left)
    z = XB[:, :1]
    np.testing.assert_allclose(model([XA, z]).numpy(), XA[:, 1:] + z + XA[:, :1] * 2, rtol=1e-6)


def test_operations_on_symbolic_tensors():
    x = layers.Input((4, 2))
    outputs = [
        -x, 1.0 - x, x / 2, 2.0 / x, x**2, abs(x), x[:, ::2], x[..., 0], x @ np.ones((2, 3), "f4"),
        pydl.concatenate([x, x], axis=1), pydl.stack([x, x], axis=1), pydl.exp(x), pydl.relu(x),
        pydl.sum(x, axis=-1), x.mean(axis=1), pydl.softmax(x), pydl.maximum(x, 0.0), np.float32(2) * x,
        pydl.transpose(x, (0, 2, 1)), pydl.where(x > 0, x, 0.0), pydl.clip(x, -1, 1), x - x[:, :1],
    ]  # fmt: skip
    model = models.Model(x, outputs)
    copy = models.Functional.from_config(json.loads(json.dumps(model.get_config())))
    v = RNG.normal(size=(5, 4, 2)).astype("f4")
    t = pydl.tensor(v)
    expected = [
        -t, 1.0 - t, t / 2, 2.0 / t, t**2, abs(t), t[:, ::2], t[..., 0], t @ np.ones((2, 3), "f4"),
        pydl.concatenate([t, t], axis=1), pydl.stack([t, t], axis=1), pydl.exp(t), pydl.relu(t),
        pydl.sum(t, axis=-1), t.mean(axis=1), pydl.softmax(t), pydl.maximum(t, 0.0), np.float32(2) * t,
        pydl.transpose(t, (0, 2, 1)), pydl.where(t > 0, t, 0.0), pydl.clip(t, -1, 1), t - t[:, :1],
    ]  # fmt: skip
    for y, found, again, wanted in zip(outputs, model(v), copy(v), expected, strict=True):
        np.testing.assert_array_equal(found.numpy(), wanted.numpy())
        np.testing.assert_array_equal(again.numpy(), wanted.numpy())
        assert y.shape == (None, *wanted.shape[1:])


# Summary and configuration


def test_summary_tells_what_is_connected(capsys):
    model = two_by_two()
    model.summary()
    text = capsys.readouterr().out
    assert "Connected to" in text
    assert "shared[0][0], shared[1][0]" in text
    assert "Total params: 61" in text
    x = layers.Input((3,))
    models.Model(x, layers.Dense(1)(layers.Dense(2)(x))).summary()
    assert "Connected to" not in capsys.readouterr().out


def test_configuration_in_the_layout_of_keras():
    x = layers.Input((3,), name="x")
    y = layers.Dense(2, name="y")(x)
    config = models.Model(x, y, name="m").get_config()
    assert config["name"] == "m"
    assert config["input_layers"] == ["x", 0, 0]
    assert config["output_layers"] == ["y", 0, 0]
    first, second = config["layers"]
    assert (first["class_name"], first["name"], first["inbound_nodes"]) == (
        "InputLayer", "x", [{"args": [], "kwargs": {}}],
    )  # fmt: skip
    assert second["inbound_nodes"] == [
        {
            "args": [
                {
                    "class_name": "__keras_tensor__",
                    "config": {
                        "shape": [None, 3],
                        "dtype": "float32",
                        "keras_history": ["x", 0, 0],
                    },
                }
            ],
            "kwargs": {},
        }
    ]


@pytest.mark.parametrize("named", [False, True])
def test_round_trip_of_the_configuration(named):
    model = two_by_two(named)
    entry = json.loads(json.dumps(layers.serialize(model)))
    assert entry["class_name"] == "Functional"
    copy = layers.deserialize(entry)
    assert copy.get_config() == model.get_config()
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    copy.set_weights(model.get_weights())
    for found, wanted in zip(
        pydl.models.data.flatten(copy.predict([XA, XB], verbose=0)),
        pydl.models.data.flatten(model.predict([XA, XB], verbose=0)),
        strict=True,
    ):
        np.testing.assert_array_equal(found, wanted)


def test_round_trip_of_nested_models_and_intermediate_inputs():
    base = models.Sequential([layers.Input((3,)), layers.Dense(4, "relu")], name="base")
    x = layers.Input((3,))
    hidden = base(x)
    model = models.Model(hidden, layers.Dense(1)(layers.add([hidden, layers.Dense(4)(hidden)])))
    whole = models.Model(x, model(hidden))
    for m, data in ((model, np.ones((2, 4), "f4")), (whole, XA)):
        copy = layers.deserialize(json.loads(json.dumps(layers.serialize(m))))
        copy.set_weights(m.get_weights())
        np.testing.assert_array_equal(copy(data).numpy(), m(data).numpy())


def test_pickle():
    model = two_by_two()
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy([XA, XB])[0].numpy(), model([XA, XB])[0].numpy())


def test_models_that_nobody_uses_are_freed_at_once():
    gc.collect()
    gc.disable()
    try:
        model = two_by_two()
        kept = [weakref.ref(model), weakref.ref(model.layers[2]), weakref.ref(model.weights[0])]
        del model
        assert [ref() for ref in kept] == [None] * 3
    finally:
        gc.enable()


def test_making_models_leaves_plans_alone():
    before = pydl.config.version()
    two_by_two()
    x = layers.Input((None,), dtype="int32")
    h = layers.Masking()(layers.Embedding(4, 3, mask_zero=True)(x))
    h = layers.Lambda(lambda x: x * 2.0, mask=lambda x, mask: mask)(h)
    models.Model(x, layers.GlobalAveragePooling1D()(layers.LayerNormalization()(h)))
    image = layers.Input((8, 8, 3))
    y = layers.Conv2DTranspose(2, 3, 2, output_padding=1)(layers.SeparableConv2D(2, 3)(image))
    models.Model(image, layers.GroupNormalization(1)(layers.UpSampling2D()(y)))
    models.Sequential([layers.Dense(2)]).build((None, 3))
    assert pydl.config.version() == before


def test_deep_graphs_need_no_recursion():
    x = y = layers.Input((1,))
    for _ in range(1500):
        y = y + 1.0
    assert models.Model(x, y)(np.zeros((1, 1), "f4")).item() == 1500.0


# Inputs and errors


def test_inputs_are_fitted_and_checked():
    x = layers.Input((1,), name="x")
    model = models.Model(x, layers.Dense(1)(x), name="m")
    assert model(np.zeros(5, "f4")).shape == (5, 1)
    with raises(ValueError, "Functional 'm': the input 'x' has shape (None, 1), got (5, 3)"):
        model(np.zeros((5, 3), "f4"))
    two = two_by_two()
    with raises(ValueError, "Functional 'functional': takes 2 inputs (a, b), got 1"):
        two(XA)
    with raises(ValueError, "Functional 'functional': the input 'b' is missing; got ['a']"):
        two({"a": XA})
    with raises(
        ValueError, "Functional 'functional': the input 'b' has shape (None, 2), got (50, 3)"
    ):
        two([XA, XA])


def test_errors():
    a, b = layers.Input((3,), name="a"), layers.Input((3,), name="b")
    y = layers.add([a, b], name="sum")
    with raises(ValueError, "Model: Add 'sum' needs the input 'b', which is not among inputs"):
        models.Model(a, y)
    with raises(
        TypeError,
        "Model: inputs must be symbolic tensors, got ndarray; pass what Input returned",
    ):
        models.Model(XA, y)
    with raises(TypeError, "Model: outputs must be symbolic tensors, got Dense"):
        models.Model(a, layers.Dense(1))
    with raises(ValueError, "Model: an input is given twice"):
        models.Model([a, a], a * 2.0)
    with raises(ValueError, "Model: layer names must differ, 'one' is there twice; pass name="):
        models.Model(a, layers.Dense(1, name="one")(layers.Dense(1, name="one")(a)))
    hidden = layers.Dense(4, name="h")(a)
    with pytest.raises(ValueError, match="; it follows Dense 'h', whose output is"):
        layers.Reshape((3,), name="r")(hidden)
    with pytest.raises(TypeError, match="has no values; use it as the input of a layer"):
        bool(a)
    with pytest.raises(TypeError, match="has no values"):
        np.asarray(a)
    with pytest.raises(TypeError, match="make it a weight of a Layer"):
        a * pydl.Variable([1.0, 2.0, 3.0], name="w")


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize(
    "targets",
    [
        lambda y: [y, None],
        lambda y: (y, None),
        lambda y: {"a": y, "b": None},
        lambda y: {"a": y},
        lambda y: [y, y],
    ],
)
def test_an_output_without_a_loss_needs_no_targets(targets, eager):
    x = np.random.default_rng(0).standard_normal((20, 3), np.float32)
    y = x[:, :1]
    pydl.utils.set_random_seed(0)
    entry = layers.Input((3,))
    a, b = layers.Dense(1, name="a"), layers.Dense(1, name="b")
    model = models.Model(entry, [a(entry), b(entry)])
    alone = models.Model(entry, a.output)
    model.compile("sgd", ["mse", None], metrics=[["mae"], None], run_eagerly=eager)
    alone.compile("sgd", "mse", metrics=["mae"], run_eagerly=eager)
    start, given = model.get_weights(), targets(y)

    def run(model, y):
        model.optimizer = optimizers.SGD()
        for layer, weights in ((a, start[:2]), (b, start[2:])):
            layer.set_weights(weights)
        pydl.utils.set_random_seed(1)
        history = model.fit(x, y, epochs=4, batch_size=8, validation_split=0.2, verbose=0)
        return (
            history.history["loss"],
            history.history["val_loss"],
            model.train_on_batch(x, y)[0],
            model.evaluate(x, y, verbose=0)[0],
            a.kernel.numpy().tolist(),
        )

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "SGD: no gradients for kernel, bias")
        found = run(model, given)
    assert found == run(alone, y)
    np.testing.assert_array_equal(b.kernel.numpy(), start[2])


def test_names_of_keras_1():
    class Doubling(models.Model):
        def __init__(self):
            x = layers.Input((3,))
            super().__init__(input=x, output=x * 2)

    x = layers.Input((3,))
    for model in (
        models.Model(input=x, output=x * 2),
        models.Model(x, output=x * 2),
        models.Model(output=x * 2, inputs=x),
        Doubling(),
    ):
        assert isinstance(model, models.Functional)
        np.testing.assert_array_equal(model(XA).numpy(), XA * 2)
    with raises(TypeError, "Model: input is the older name of inputs; got both, pass inputs alone"):
        models.Model(inputs=x, outputs=x, input=x)
    with raises(TypeError, "Model: outputs must be symbolic tensors, got NoneType"):
        models.Model(input=x)


def test_errors_of_operations_show_the_free_axes():
    x = layers.Input((4,))
    tried = "; tried with 2 in place of None in (None, 4)"
    with raises(
        ValueError,
        "add: shapes (2, 4) and (20, 4) do not broadcast: axis -2 is 2 against 20" + tried,
    ):
        x + np.ones((20, 4))
    with raises(
        ValueError,
        "add: shapes (3, 4) and (2, 4) do not broadcast: axis -2 is 3 against 2"
        "; tried with 3 in place of None in (None, 4)",
    ):
        x + np.ones((2, 4))
    with raises(
        ValueError,
        "add: shapes (2, 4) and (2, 5) do not broadcast: axis -1 is 4 against 5" + tried
        + ", (None, 5)",
    ):  # fmt: skip
        x + layers.Input((5,))
    with pytest.raises(IndexError, match=re.escape(tried)):
        x[:, 9]
    product = layers.Lambda(lambda x: x @ np.ones((3, 2), np.float32))
    with pytest.raises(ValueError, match=re.escape(tried)):
        product(x)
    with pytest.raises(ValueError, match=re.escape(tried)):
        models.Sequential([layers.Input((4,)), product])
    with raises(
        ValueError, "add: shapes (2, 4) and (20, 4) do not broadcast: axis -2 is 2 against 20"
    ):
        layers.Input((4,), batch_size=2) + np.ones((20, 4))
