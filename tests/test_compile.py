"""compile: losses on logits, frozen weights, single batches, and the errors of fit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from model_helpers import Two, linear, rows

from pydl import callbacks, layers, losses, optimizers, sparse
from pydl.models import Sequential

# Errors


@pytest.mark.parametrize(
    ("act", "error", "text"),
    [
        (lambda m, x, y: m.fit(x, y[:400]), ValueError, "fit: x has 404 rows, y has 400"),
        (lambda m, x, y: m.evaluate(x[:3], y), ValueError, "evaluate: x has 3 rows, y has 404"),
        (
            lambda m, x, y: m.fit(x, y, sample_weight=np.ones(3)),
            ValueError,
            "fit: x has 404 rows, sample_weight has 3",
        ),
        (
            lambda m, x, y: m.fit(x, y, validation_data=(x, y[:9])),
            ValueError,
            "fit: validation_data: x has 404 rows, y has 9",
        ),
        (lambda m, x, y: m.fit(x, y, batch_size=0), ValueError, "batch_size must be a positive"),
        (lambda m, x, y: m.fit(x, y, batch_size=2.5), ValueError, "batch_size must be a positive"),
        (lambda m, x, y: m.fit(x, y, epochs=-1), ValueError, "epochs must be an integer"),
        (lambda m, x, y: m.fit(x, y, shuffle="all"), ValueError, "shuffle must be True, False or"),
        (lambda m, x, y: m.fit(x[:0], y[:0]), ValueError, "fit: x has no rows"),
        (lambda m, x, y: m.fit(np.float32(1), y), ValueError, "fit: x needs a batch axis"),
        (lambda m, x, y: m.fit(x.astype(str), y), TypeError, "fit: x: unsupported dtype"),
        (lambda m, x, y: m.fit([[1, 2], [3]], y), ValueError, "nested sequences must have equal"),
        (lambda m, x, y: m.fit(y=y), ValueError, "fit: x is missing"),
        (
            lambda m, x, y: m.fit(x, sparse.csr(y.reshape(-1, 1))),
            TypeError,
            "fit: y is a sparse matrix; pass y.to_dense",
        ),
        (lambda m, x, y: m.fit(x), ValueError, "the loss needs targets and y is missing"),
        (lambda m, x, y: m.fit(x, y, callbacks=[3]), TypeError, "callbacks: expected Callback"),
        (
            lambda m, x, y: m.fit(x, y, callbacks=[callbacks.History]),
            TypeError,
            "pass an instance",
        ),
        (lambda m, x, y: m.fit(x, y, validation_data=3), ValueError, "validation_data must be"),
        (
            lambda m, x, y: m.predict(x[:, :2]),
            ValueError,
            r"expected 3 features on axis -1, got shape \(32, 2\)",
        ),
    ],
)
def test_data_errors(act, error, text):
    x, y = rows(404)
    model = linear()
    before = model.get_weights()
    with pytest.raises(error, match=text):
        act(model, x, y)
    for found, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, kept)


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_training_needs_compile(method):
    model = Sequential([layers.Dense(1)])
    with pytest.raises(RuntimeError, match=rf"{method}: .* is not compiled; call model.compile"):
        getattr(model, method)(*rows(4))


def test_predict_needs_no_compile():
    assert Sequential([layers.Dense(2)]).predict(rows(5)[0], verbose=0).shape == (5, 2)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"loss": "msee"}, ValueError, "unknown loss 'msee'; did you mean 'mean_squared_error'"),
        ({"optimizer": "rmspro"}, ValueError, "unknown optimizer 'rmspro'; did you mean 'rmsprop'"),
        ({"metrics": ["acuracy"]}, ValueError, "unknown metric 'acuracy'; did you mean 'accuracy'"),
        ({"loss_weights": "accuracy"}, TypeError, "loss_weights must hold numbers"),
    ],
)
def test_compile_errors(options, error, text):
    with pytest.raises(error, match=text):
        model = linear(**options)
        model.fit(*rows(4), verbose=0)


def test_outputs_that_compile_does_not_know():
    x, y = rows(4)
    model = Two()
    model.compile("sgd", loss={"a": "mse", "c": "mse"})
    with pytest.raises(ValueError, match="compile: loss names 'c', which is no output"):
        model.fit(x, {"a": y}, verbose=0)
    model = Two(named=False)
    model.compile("sgd", loss=["mse", "mse", "mse"])
    with pytest.raises(ValueError, match="compile: loss has 3 entries, the model has 2 outputs"):
        model.fit(x, [y, y], verbose=0)
    model.compile("sgd", loss="mse")
    with pytest.raises(ValueError, match="fit: y has 3 arrays, the model has 2 outputs"):
        model.fit(x, [y, y, y], verbose=0)


def test_loss_without_reduction_is_refused():
    with pytest.raises(ValueError, match="the loss must reduce to one number"):
        linear(loss=losses.MeanSquaredError(reduction=None)).fit(*rows(4), verbose=0)


def test_labels_sorted_by_class_and_validation_split_warn_once(monkeypatch):
    monkeypatch.setattr("pydl.models.sources._warned_sorted", False)
    x, _ = rows(20)
    y = np.repeat([0, 1], 10)
    model = linear()
    with pytest.warns(UserWarning, match="the labels are sorted by class"):
        model.fit(x, y, validation_split=0.2, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(x, y, validation_split=0.2, verbose=0)


def test_mixed_labels_and_regression_targets_do_not_warn(monkeypatch):
    monkeypatch.setattr("pydl.models.sources._warned_sorted", False)
    x, _ = rows(20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        linear().fit(x, np.tile([0, 1], 10), validation_split=0.2, verbose=0)
        linear().fit(x, np.sort(x[:, 0]), validation_split=0.2, verbose=0)


# Softmax or sigmoid with their crossentropy


@pytest.mark.parametrize("last", ["dense", "activation", "nested"])
@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_matching_crossentropy_uses_the_logits(kind, last):
    units = 1 if kind == "sigmoid" else 3
    loss = "binary_crossentropy" if kind == "sigmoid" else "sparse_categorical_crossentropy"
    if last == "dense":
        stack = [layers.Dense(units, activation=kind)]
    elif last == "activation":
        stack = [layers.Dense(units), layers.Activation(kind)]
    else:
        stack = [Sequential([layers.Dense(units), layers.Activation(kind)])]
    model = Sequential([layers.Input((2,)), *stack])
    model.compile(optimizers.SGD(0.0), loss, metrics=["accuracy", loss])
    kernel = np.array([[1000.0] * units, [-1000.0] * units]) * np.arange(1, units + 1)
    model.set_weights([kernel, np.zeros(units)])
    x = np.array([[1.0, 0.0], [0.0, 1.0]], "f4")
    y = np.array([0, 1])
    values = model.evaluate(x, y, verbose=0)
    # Far out the logits' form is exact where probabilities would be clipped.
    expected = (1000 + 1000) / 2 if kind == "sigmoid" else (2000 + 1000) / 2
    assert values[0] == expected
    assert values[2] < 20
    logs = model.train_on_batch(x, y, return_dict=True)
    assert logs["loss"] == expected and set(logs) == {"loss", "accuracy", loss}
    p = model.predict(x, verbose=0)
    assert p.min() == 0.0 and p.max() == 1.0


def test_linear_output_is_taken_as_a_probability_and_clipped():
    model = linear(loss="binary_crossentropy", optimizer=optimizers.SGD(0.1))
    model.set_weights([np.zeros((3, 1)), [2.0]])
    x, _ = rows(4)
    loss = model.train_on_batch(x, np.zeros((4, 1)))
    np.testing.assert_allclose(loss, -np.log(np.float32(1) - np.float32(1 - 1e-7)), rtol=0.2)
    assert model.get_weights()[1] == 2.0  # no gradient where it is clipped


def test_crossentropy_goes_by_shapes():
    x, _ = rows(4)
    y = np.array([0, 1, 2, 0])
    model = Sequential([layers.Input((3,)), layers.Dense(3, activation="softmax")])
    found = []
    for loss, target in [
        ("crossentropy", y),
        ("sparse_categorical_crossentropy", y),
        ("crossentropy", np.eye(3)[y]),
        ("ce", y[:, None]),
    ]:
        model.compile("sgd", loss)
        found.append(model.evaluate(x, target, verbose=0))
    np.testing.assert_allclose(found, found[0], rtol=1e-6)


# Frozen weights, compile


def test_trained_weights_are_fixed_at_compile():
    discriminator = Sequential([layers.Input((2,)), layers.Dense(1)])
    generator = Sequential([layers.Input((3,)), layers.Dense(2)])
    discriminator.compile(optimizers.SGD(0.1), "mse")
    discriminator.trainable = False
    combined = Sequential([layers.Input((3,)), generator, discriminator])
    combined.compile(optimizers.SGD(0.1), "mse")
    assert discriminator.trainable_weights == [] and len(combined.trainable_weights) == 2
    x, y = rows(4)
    d, g = discriminator.get_weights(), generator.get_weights()
    combined.train_on_batch(x, y)
    assert all(np.array_equal(a, b) for a, b in zip(discriminator.get_weights(), d, strict=True))
    assert not np.array_equal(generator.get_weights()[0], g[0])
    discriminator.train_on_batch(x[:, :2], y)
    assert not np.array_equal(discriminator.get_weights()[0], d[0])


@pytest.mark.parametrize("built", [True, False])
def test_freezing_after_compile_waits_for_the_next_compile(built):
    model = Sequential(([layers.Input((3,))] if built else []) + [layers.Dense(2), layers.Dense(1)])
    model.compile(optimizers.SGD(0.1), "mse")
    model.layers[0].trainable = False
    x, y = rows(4)
    model(x)
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    assert not np.array_equal(model.get_weights()[0], before[0])
    model.compile(optimizers.SGD(0.1), "mse")
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    assert np.array_equal(model.get_weights()[0], before[0])
    assert not np.array_equal(model.get_weights()[2], before[2])


def test_compile_again_keeps_weights_and_renews_optimizer_and_metrics():
    x, y = rows(4)
    model = linear(optimizer="adam", metrics=["mae"])
    model.fit(x, y, verbose=0)
    weights = model.get_weights()
    model.compile("adam", "mae")
    assert int(model.optimizer.iterations) == 0 and model.metrics_names == ["loss"]
    for a, b in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_model_without_trainable_weights_warns():
    model = linear()
    model.trainable = False
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="has no trainable weights"):
        model.fit(*rows(4), verbose=0)


# Single batches


def test_train_on_batch_returns_the_values_of_that_batch():
    x, y = rows(8)
    model = linear(optimizer=optimizers.SGD(0.1), metrics=["mae"])
    before = model.evaluate(x, y, verbose=0)
    assert model.train_on_batch(x, y) == before
    after = model.test_on_batch(x, y)
    assert after[0] < before[0]
    assert model.train_on_batch(x, y, return_dict=True) == dict(
        zip(["loss", "mae"], after, strict=True)
    )
    np.testing.assert_array_equal(model.predict_on_batch(x), model(x).numpy())


def test_train_on_batch_builds_the_model():
    model = Sequential([layers.Dense(4, "relu"), layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = rows(4)
    first = model.train_on_batch(x, y)
    assert model.train_on_batch(x, y) < first
