"""Embedding, Permute, RepeatVector, Lambda, and the layers that add noise or penalties."""

from __future__ import annotations

import json

import numpy as np
import pytest
from errors import raises
from layer_checks import check_layer

import pydl
from pydl import layers


def test_embedding_looks_up_rows():
    layer = layers.Embedding(5, 3, dtype="float64")
    ids = np.array([[0, 4, 4], [1, 2, 0]])
    y = layer(ids)
    table = layer.get_weights()[0]
    np.testing.assert_array_equal(y.numpy(), table[ids])
    assert (table.shape, layer.embeddings.name) == ((5, 3), "embeddings")
    assert np.abs(table).max() <= 0.05
    assert layer.output_shape == (None, 3, 3)
    for dtype in ("int32", "int64", "uint8", "int16", "float32"):
        np.testing.assert_array_equal(layer(ids.astype(dtype)).numpy(), table[ids])
    config = layer.get_config()
    assert "weights" not in config
    copy = layers.deserialize(json.loads(json.dumps(layers.serialize(layer))))
    copy(ids)
    copy.set_weights([table])
    np.testing.assert_array_equal(copy(ids).numpy(), y.numpy())


def test_embedding_gradient_is_zero_but_for_used_rows_and_duplicates_add_up():
    layer = layers.Embedding(6, 2, dtype="float64")
    ids = np.array([[3, 1], [3, 3]])
    layer(ids)
    g = np.random.default_rng(0).normal(size=(2, 2, 2))
    with pydl.GradientTape() as tape:
        loss = pydl.sum(layer(ids) * g)
    expected = np.zeros((6, 2))
    np.add.at(expected, ids, g)
    np.testing.assert_allclose(tape.gradient(loss, layer.embeddings).numpy(), expected, rtol=1e-14)


def test_embedding_starts_with_given_weights():
    table = np.arange(6.0).reshape(3, 2)
    for given in (table, [table]):
        layer = layers.Embedding(3, 2, weights=given, input_length=7)
        assert layer.built
        np.testing.assert_array_equal(layer(np.array([2, 0])).numpy(), table[[2, 0]])
    constant = layers.Embedding(3, 2, embeddings_initializer=pydl.initializers.Constant(table))
    np.testing.assert_array_equal(constant(np.array([1])).numpy(), table[[1]])


def test_embedding_checks_ids():
    layer = layers.Embedding(5, 3, name="e")
    text = "Embedding 'e': id 5 at position [1, 0] is outside of [0, 5), input_dim being 5"
    with raises(ValueError, text):
        layer(np.array([[0, 4], [5, 1]]))
    text = "Embedding 'e': id -1 at position 2 is outside of [0, 5), input_dim being 5"
    with raises(ValueError, text):
        layer(np.array([0, 4, -1]))
    with raises(ValueError, "Embedding: input_dim must be a positive integer, got 0"):
        layers.Embedding(0, 3)
    with raises(ValueError, "Embedding: output_dim must be a positive integer, got True"):
        layers.Embedding(3, True)


def text_model():
    return pydl.Sequential(
        [
            layers.Embedding(10, 4),
            layers.Flatten(),
            layers.Dense(5, activation="softmax"),
        ]
    )


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_embedding_trains_recorded_as_eager(dtype):
    from plan_helpers import assert_same

    rng = np.random.default_rng(0)
    ids, y = rng.integers(0, 10, (40, 6)).astype(dtype), rng.integers(0, 5, 40)
    model = assert_same(text_model, lambda m: m.fit(ids, y, epochs=3, batch_size=8, verbose=0))
    bad = ids.copy()
    bad[13, 2] = 10
    with pytest.raises(ValueError, match="id 10 at position"):
        model.fit(bad, y, epochs=1, batch_size=8, verbose=0)


def test_permute_and_repeat_vector():
    check_layer(
        layers.Permute, {"dims": (3, 1, 2)}, (2, 3, 4, 5), output_shape=(2, 5, 3, 4),
        expected=lambda x: x.transpose(0, 3, 1, 2),
    )  # fmt: skip
    check_layer(
        layers.RepeatVector, {"n": 3}, (2, 4), output_shape=(2, 3, 4),
        expected=lambda x: np.stack([x] * 3, 1),
    )  # fmt: skip
    with raises(ValueError, "Permute: dims must hold 1 to 2 once each, got (0, 1)"):
        layers.Permute((0, 1))
    text = "Permute 'p': dims (2, 1) are for 3 axes, got shape (None, 4)"
    with raises(ValueError, text):
        layers.Permute((2, 1), name="p")(np.zeros((2, 4)))
    text = "RepeatVector 'r': expected 2 axes (batch, features), got shape (None, 3, 4)"
    with raises(ValueError, text):
        layers.RepeatVector(2, name="r")(np.zeros((2, 3, 4)))
    with raises(ValueError, "RepeatVector: n must be a positive integer, got 0"):
        layers.RepeatVector(0)


def test_lambda():
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("f4")
    layer = layers.Lambda(lambda x, factor: x * factor, arguments={"factor": 2.0})
    np.testing.assert_array_equal(layer(x).numpy(), 2 * x)
    assert layer.output_shape == (None, 3)
    doubled = layers.Lambda(lambda x: pydl.concatenate([x, x], axis=-1), output_shape=(6,))
    assert doubled.compute_output_shape((None, 3)) == (None, 6)
    assert doubled(layers.Input((3,))).shape == (None, 6)
    by_function = layers.Lambda(lambda x: x, output_shape=lambda shape: (*shape, "seen"))
    assert by_function.compute_output_shape((None, 3)) == (None, 3, "seen")
    modes = layers.Lambda(lambda x, training: x if training else -x)
    np.testing.assert_array_equal(modes(x).numpy(), -x)
    np.testing.assert_array_equal(modes(x, training=True).numpy(), x)
    two = layers.Lambda(lambda xs: xs[0] - xs[1])
    np.testing.assert_array_equal(two([x, 2 * x]).numpy(), -x)
    with raises(TypeError, "Lambda: needs a function, got int"):
        layers.Lambda(3)


# Noise


def test_gaussian_noise_and_dropout():
    pydl.utils.set_random_seed(0)
    x = np.full((200, 300), 2.0, "f4")
    for layer, mean, deviation in (
        (layers.GaussianNoise(0.5), 2.0, 0.5),
        (layers.GaussianDropout(0.2), 2.0, 1.0),
    ):
        assert layer(x) is not None
        np.testing.assert_array_equal(layer(x).numpy(), x)
        y = layer(x, training=True).numpy()
        assert abs(y.mean() - mean) < 5 * deviation / y.size**0.5
        assert abs(y.std() - deviation) < 5 * deviation / (2 * y.size) ** 0.5
        assert (layer(x, training=True).numpy() != y).any()
    first, second = (layers.GaussianNoise(0.5, seed=3)(x, training=True).numpy() for _ in "ab")
    np.testing.assert_array_equal(first, second)
    for cls, kwargs in (
        (layers.GaussianNoise, {"stddev": 0.1}),
        (layers.GaussianDropout, {"rate": 0.1}),
    ):
        check_layer(cls, kwargs, (3, 4), output_shape=(3, 4), expected=lambda x: x)
    with raises(ValueError, "GaussianDropout: rate must be below 1, for a finite variance"):
        layers.GaussianDropout(1.0)
    with raises(ValueError, "GaussianNoise: stddev must be between 0 and 1, got 2"):
        layers.GaussianNoise(2)


@pytest.mark.parametrize(
    ("cls", "kwargs", "shape", "axes"),
    [
        (layers.SpatialDropout1D, {}, (50, 7, 40), (1,)),
        (layers.SpatialDropout2D, {}, (50, 3, 4, 40), (1, 2)),
        (layers.SpatialDropout2D, {"data_format": "channels_first"}, (50, 40, 3, 4), (2, 3)),
    ],
)
def test_spatial_dropout_drops_whole_features(cls, kwargs, shape, axes):
    layer = cls(0.25, seed=0, **kwargs)
    x = np.ones(shape, "f4")
    np.testing.assert_array_equal(layer(x).numpy(), x)
    y = layer(x, training=True).numpy()
    np.testing.assert_array_equal(y.min(axes), y.max(axes))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    dropped = (y.min(axes) == 0).mean()
    assert abs(dropped - 0.25) < 5 * (0.25 * 0.75 / 2000) ** 0.5
    assert layers.deserialize(json.loads(json.dumps(layers.serialize(layer)))).rate == 0.25
    with pytest.raises(ValueError, match="axes, got shape"):
        cls(0.5, **kwargs)(np.ones((2, 3)))


def test_activity_regularization_adds_to_the_loss():
    x = np.array([[1.0, -2.0], [3.0, 0.0]], "f4")
    layer = layers.ActivityRegularization(l1=0.1, l2=0.01)
    np.testing.assert_array_equal(layer(x).numpy(), x)
    (penalty,) = layer.losses
    np.testing.assert_allclose(penalty.item(), (0.1 * 6 + 0.01 * 14) / 2, rtol=1e-6)
    config = layer.get_config()
    assert (config["l1"], config["l2"]) == (0.1, 0.01)
    copy = layers.ActivityRegularization.from_config(config)
    assert copy.get_config() == config
    model = pydl.Sequential([layers.Input((2,)), layers.ActivityRegularization(l2=1.0)])
    model.compile("sgd", "mse")
    np.testing.assert_allclose(model.evaluate(x, x, verbose=0), 7.0, rtol=1e-6)
