"""Masks: where they come from, through which layers they go, and what losses and metrics do."""

from __future__ import annotations

import json

import numpy as np
import pytest
from layer_checks import check_layer

import pydl
from pydl import layers, losses, models, optimizers
from pydl.layers.base import mask_of

RNG = np.random.default_rng(0)
IDS = np.array([[1, 2, 0, 0], [3, 1, 4, 0], [2, 0, 0, 0], [1, 1, 2, 3]])
MASK = IDS != 0


def masked(shape=(4, 4, 3), name=None):
    """A tensor with a mask, and its values."""
    values = RNG.normal(size=shape).astype("f4")
    values[~MASK] = 0
    return layers.Masking(name=name)(values), values


def test_masking():
    check_layer(
        layers.Masking, {"mask_value": 2.0}, (3, 4, 5), output_shape=(3, 4, 5), expected=lambda x: x
    )
    x = RNG.normal(size=(2, 3, 2)).astype("f4")
    x[0, 1] = x[1, 2] = -1.0
    x[1, 0, 0] = -1.0  # one feature of two: counts
    y = layers.Masking(-1.0)(x)
    kept = (x != -1).any(-1)
    np.testing.assert_array_equal(mask_of(y).numpy(), kept)
    np.testing.assert_array_equal(y.numpy(), np.where(kept[..., None], x, 0))


def test_embedding_makes_a_mask_if_asked():
    assert mask_of(layers.Embedding(5, 2)(IDS)) is None
    np.testing.assert_array_equal(
        mask_of(layers.Embedding(5, 2, mask_zero=True)(IDS)).numpy(), MASK
    )


@pytest.mark.parametrize(
    ("layer", "passes"),
    [
        (layers.Dense(2), True),
        (layers.Activation("relu"), True),
        (layers.Dropout(0.5), True),
        (layers.LayerNormalization(), True),
        (layers.BatchNormalization(), True),
        (layers.Lambda(lambda x: x * 2), False),
        (layers.Lambda(lambda x: x), False),
        (layers.Lambda(lambda x: x * 2, mask=lambda x, mask: mask), True),
        (layers.Flatten(), False),
        (layers.Conv1D(2, 1), False),
        (layers.GlobalAveragePooling1D(), False),
        (models.Sequential([layers.Dense(2), layers.Dense(3)]), True),
    ],
)
def test_layers_pass_masks_on_or_drop_them(layer, passes):
    x, _ = masked()
    found = mask_of(layer(x))
    if passes:
        np.testing.assert_array_equal(found.numpy(), MASK)
    else:
        assert found is None


def test_layers_of_the_user():
    class Passes(layers.Layer):
        supports_masking = True

        def call(self, x):
            return x + 1.0

    class Takes(layers.Layer):
        def call(self, x, mask=None):
            self.seen = mask
            return x * 1.0

        def compute_mask(self, x, mask=None):
            return None if mask is None else mask[:, ::-1]

    x, _ = masked()
    takes = Takes()
    y = takes(Passes()(x))
    np.testing.assert_array_equal(takes.seen.numpy(), MASK)
    np.testing.assert_array_equal(mask_of(y).numpy(), MASK[:, ::-1])
    takes(x, mask=np.ones((4, 4), bool))
    assert takes.seen.all()


def test_merging_layers():
    a, av = masked()
    b = layers.Masking()(np.roll(av, 1, axis=0))
    other = np.roll(MASK, 1, axis=0)
    plain = pydl.tensor(RNG.normal(size=(4, 4, 3)).astype("f4"))
    for name in ("Add", "Average", "Maximum", "Minimum", "Multiply"):
        y = getattr(layers, name)()([a, b])
        np.testing.assert_array_equal(mask_of(y).numpy(), MASK | other)
        assert mask_of(getattr(layers, name)()([a, plain])) is None
    np.testing.assert_array_equal(mask_of(layers.Concatenate(-1)([a, b])).numpy(), MASK | other)
    np.testing.assert_array_equal(
        mask_of(layers.Concatenate(1)([a, b])).numpy(), np.concatenate([MASK, other], 1)
    )
    np.testing.assert_array_equal(
        mask_of(layers.Concatenate(1)([a, plain])).numpy(),
        np.concatenate([MASK, np.ones((4, 4), bool)], 1),
    )
    bv = b.numpy()
    one, two = MASK[..., None], other[..., None]
    product = np.where(one, av, 1) * np.where(two, bv, 1) * (one | two)
    np.testing.assert_array_equal(layers.Multiply()([a, b]).numpy(), product)
    largest = np.maximum(np.where(one, av, np.where(two, bv, av)), np.where(two, bv, av))
    np.testing.assert_array_equal(layers.Maximum()([a, b]).numpy(), largest)
    assert mask_of(layers.Dot(1)([a, b])) is None


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_global_average_pooling_is_over_the_steps_that_count(keepdims, first):
    x = RNG.normal(size=(4, 4, 3)).astype("f4")
    layer = layers.GlobalAveragePooling1D(
        "channels_first" if first else "channels_last", keepdims=keepdims, dtype="float64"
    )
    given = x.transpose(0, 2, 1) if first else x
    y = layer(given, mask=pydl.tensor(MASK)).numpy()
    weights = MASK[..., None] / MASK.sum(1)[:, None, None]
    expected = (x.astype("f8") * weights).sum(1)
    np.testing.assert_allclose(y.reshape(4, 3), expected, rtol=1e-12)
    shape = layer.compute_output_shape(given.shape)
    assert y.shape == shape


def test_softmax_takes_masks_of_its_own_shape_only():
    x = pydl.tensor(RNG.normal(size=(2, 3)).astype("f4"))
    mask = np.array([[True, True, False]] * 2)
    y = layers.Softmax()(x, mask=mask).numpy()
    np.testing.assert_allclose(y[:, :2].sum(1), 1, rtol=1e-6)
    z, values = masked()
    np.testing.assert_array_equal(layers.Softmax()(z).numpy(), pydl.softmax(values).numpy())


# Losses and metrics


def tagger(activation="softmax"):
    return models.Sequential(
        [
            layers.Embedding(5, 6, mask_zero=True),
            layers.Dense(8, activation="tanh"),
            layers.Dense(3, activation=activation),
        ]
    )


TAGS = RNG.integers(0, 3, IDS.shape)


@pytest.mark.parametrize("activation", ["softmax", "relu"])
def test_masked_loss_and_metrics_are_means_over_valid_entries(activation):
    pydl.utils.set_random_seed(1)
    model = tagger(activation)
    loss = "sparse_categorical_crossentropy" if activation == "softmax" else "mse"
    y = TAGS if activation == "softmax" else RNG.normal(size=(4, 4, 3)).astype("f4")
    metric = "accuracy" if activation == "softmax" else "mae"
    model.compile(optimizers.SGD(0.0), loss, metrics=[metric], weighted_metrics=[metric])
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    plain = model.evaluate(IDS, y, verbose=0, batch_size=4)
    weighted = model.evaluate(IDS, y, sample_weight=weights, verbose=0, batch_size=4)
    p = model.predict(IDS, verbose=0).astype("f8")
    if activation == "softmax":
        entries = -np.log(np.take_along_axis(p, TAGS[..., None], -1))[..., 0]
        scores = (p.argmax(-1) == TAGS).astype("f8")
    else:
        entries, scores = ((p - y) ** 2).mean(-1), abs(p - y).mean(-1)
    w = weights[:, None] * MASK
    expected = [entries[MASK].mean(), scores[MASK].mean(), scores[MASK].mean()]
    np.testing.assert_allclose(plain, expected, rtol=1e-5)
    expected = [
        (entries * w).sum() / MASK.sum(), scores[MASK].mean(), (scores * w).sum() / w.sum(),
    ]  # fmt: skip
    np.testing.assert_allclose(weighted, expected, rtol=1e-5)


def test_loss_functions_with_masks():
    t, p = RNG.normal(size=(2, 4, 4, 3))
    values = ((t - p) ** 2).mean(-1)
    mask = pydl.tensor(MASK)
    for reduction, expected in (
        ("sum_over_batch_size", values[MASK].mean()),
        ("sum", values[MASK].sum()),
        ("none", np.where(MASK, values * MASK.size / MASK.sum(), 0)),
    ):
        loss = losses.MeanSquaredError(reduction=reduction)
        if reduction == "none":
            expected = np.where(MASK, values, 0)
        np.testing.assert_allclose(loss(t, p, mask=mask).numpy(), expected, rtol=1e-12)
    nothing = losses.MeanSquaredError()(t, np.full_like(p, np.nan), mask=np.zeros((4, 4), bool))
    assert nothing.item() == 0.0


def test_masked_training_is_recorded_with_the_bits_of_eager_training():
    from plan_helpers import assert_same

    ids = np.concatenate([IDS, IDS[::-1]] * 3)
    tags = np.concatenate([TAGS, TAGS[::-1]] * 3)
    for metrics in (["accuracy"], [lambda t, p: pydl.mean(p, axis=-1)]):
        assert_same(
            tagger,
            lambda m: m.fit(ids, tags, epochs=4, batch_size=8, verbose=0, validation_split=0.25),
            metrics=lambda metrics=metrics: list(metrics),
        )


def test_masks_in_functional_models():
    x = layers.Input((None,), dtype="int32")
    h = layers.Embedding(5, 6, mask_zero=True)(x)
    model = models.Model(x, layers.Dense(1)(layers.GlobalAveragePooling1D()(layers.Dense(4)(h))))
    short, long = np.array([[1, 2]], "i4"), np.array([[1, 2, 0, 0, 0]], "i4")
    np.testing.assert_allclose(model(short).numpy(), model(long).numpy(), rtol=1e-6)
    copy = layers.deserialize(json.loads(json.dumps(layers.serialize(model))))
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy(long).numpy(), model(long).numpy())


def test_a_masked_step_gets_no_gradient():
    table = pydl.layers.Embedding(5, 2, mask_zero=True)
    out = layers.Dense(1)
    loss = losses.MeanSquaredError()
    with pydl.GradientTape() as tape:
        y = out(table(IDS))
        value = loss(np.zeros((4, 4, 1), "f4"), y, mask=mask_of(y))
    g = tape.gradient(value, table.embeddings).numpy()
    assert (g[0] == 0).all()
    assert (g[1] != 0).all()
