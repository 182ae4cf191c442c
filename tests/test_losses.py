"""Losses: values, reductions, weights, masks, alignment, forms for logits, and error texts."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
from errors import raises
from hypothesis import given
from hypothesis import strategies as st

import pydl
import pydl.testing
from pydl import losses
from pydl.losses import functions

EPS = 1e-7
F32 = np.finfo(np.float32).eps


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def unit(x):
    return x / np.maximum(np.sqrt((x**2).sum(-1, keepdims=True)), EPS)


def signs(t):
    return 2 * t - 1 if np.isin(t, (0, 1)).all() else t


def entropy(t, p):
    return -(t * np.log(p) + (1 - t) * np.log(1 - p))


def clip(p):
    return np.clip(p, EPS, 1 - EPS)


def normalized(p):
    return clip(p / p.sum(-1, keepdims=True))


def huber(t, p, delta=1.0):
    d = np.abs(t - p)
    return np.where(d <= delta, d**2 / 2, delta * d - delta**2 / 2).mean(-1)


def log_ratio(p):
    return np.log(np.maximum(p, EPS) + 1)


def kl(t, p):
    t, p = np.clip(t, EPS, 1), np.clip(p, EPS, 1)
    return (t * np.log(t / p)).sum(-1)


def focal(t, p, gamma=2.0):
    return ((1 - (t * p + (1 - t) * (1 - p))) ** gamma * entropy(t, clip(p))).mean(-1)


EXPECTED = {
    "mean_squared_error": lambda t, p: ((t - p) ** 2).mean(-1),
    "mean_absolute_error": lambda t, p: np.abs(t - p).mean(-1),
    "mean_absolute_percentage_error": lambda t, p: (
        100 * (np.abs(t - p) / np.maximum(np.abs(t), EPS)).mean(-1)
    ),
    "mean_squared_logarithmic_error": lambda t, p: ((log_ratio(p) - log_ratio(t)) ** 2).mean(-1),
    "huber": huber,
    "log_cosh": lambda t, p: np.log(np.cosh(p - t)).mean(-1),
    "poisson": lambda t, p: (p - t * np.log(p + EPS)).mean(-1),
    "cosine_similarity": lambda t, p: -(unit(t) * unit(p)).sum(-1),
    "hinge": lambda t, p: np.maximum(1 - signs(t) * p, 0).mean(-1),
    "squared_hinge": lambda t, p: (np.maximum(1 - signs(t) * p, 0) ** 2).mean(-1),
    "categorical_hinge": lambda t, p: np.maximum(((1 - t) * p).max(-1) - (t * p).sum(-1) + 1, 0),
    "kl_divergence": kl,
    "binary_crossentropy": lambda t, p: entropy(t, clip(p)).mean(-1),
    "binary_focal_crossentropy": focal,
    "categorical_crossentropy": lambda t, p: -(t * np.log(normalized(p))).sum(-1),
}
CLASSES = {
    cls.fn.__name__: cls
    for cls in vars(losses).values()
    if isinstance(cls, type) and hasattr(cls, "fn")
}
RANDOM = np.random.default_rng(0)


def example(name, shape=(6, 4)):
    """Return targets and predictions in float32, away from kinks and clipping."""
    rng = np.random.default_rng(7)
    p = rng.uniform(0.05, 0.95, shape)
    t = rng.uniform(0.05, 0.95, shape)
    if "hinge" in name or "binary" in name:
        t = rng.integers(0, 2, shape)
    if name == "categorical_hinge" or name == "categorical_crossentropy":
        t = np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
    if name in ("huber", "log_cosh"):
        p = p * 6
    return t.astype(np.float32), p.astype(np.float32)


# Values


@pytest.mark.parametrize("name", sorted(EXPECTED))
@pytest.mark.parametrize("shape", [(6, 4), (3, 2, 5), (1, 1)])
def test_values_of_functions(name, shape):
    t, p = example(name, shape)
    value = getattr(losses, name)(t, p)
    expected = EXPECTED[name](t.astype(np.float64), p.astype(np.float64))
    assert value.shape == shape[:-1]
    assert value.dtype == np.float32
    # a handful of roundings for each of the entries that are added up
    bound = 32 * shape[-1] * F32 * max(np.abs(expected).max(), 1)
    np.testing.assert_allclose(value.numpy(), expected, rtol=0, atol=bound)


def test_every_loss_has_a_case():
    assert {*EXPECTED, "sparse_categorical_crossentropy"} == set(CLASSES)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_gradients(name):
    t, p = example(name)
    t, p = t.astype(np.float64), p.astype(np.float64)
    pydl.testing.check_gradients(lambda p: getattr(losses, name)(t, p), p)


@pytest.mark.parametrize("name", ["binary_crossentropy", "categorical_crossentropy"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_logits(name, smoothing):
    t, _ = example(name)
    t = t.astype(np.float64)
    x = RANDOM.normal(0, 3, t.shape)
    s = t * (1 - smoothing) + smoothing / (2 if name[0] == "b" else t.shape[-1])
    p = sigmoid(x) if name[0] == "b" else softmax(x)
    expected = entropy(s, p).mean(-1) if name[0] == "b" else -(s * np.log(p)).sum(-1)
    fn = getattr(losses, name)
    np.testing.assert_allclose(
        fn(t, pydl.tensor(x), from_logits=True, label_smoothing=smoothing).numpy(),
        expected,
        rtol=1e-13,
    )
    np.testing.assert_allclose(
        fn(t, pydl.tensor(p), label_smoothing=smoothing).numpy(), expected, rtol=1e-12
    )
    pydl.testing.check_gradients(lambda x: fn(t, x, from_logits=True, label_smoothing=smoothing), x)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "int8", "float32", "bool"])
@pytest.mark.parametrize("column", [False, True])
def test_sparse_categorical_crossentropy(dtype, column):
    labels = np.array([0, 1, 1, 0, 1]).astype(dtype)
    x = RANDOM.normal(0, 2, (5, 2))
    p = softmax(x)
    expected = -np.log(p[np.arange(5), labels.astype(int)])
    labels = labels[:, None] if column else labels
    functions._warn_once.cache_clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            value = losses.sparse_categorical_crossentropy(labels, pydl.tensor(p))
            logits = losses.sparse_categorical_crossentropy(
                labels, pydl.tensor(x), from_logits=True
            )
    np.testing.assert_allclose(value.numpy(), expected, rtol=1e-13)
    np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-13)
    assert [str(w.message) for w in caught] == [
        "sparse_categorical_crossentropy: labels are floats; they are cut to integers, "
        "pass an integer array"
    ] * (dtype == "float32")


def test_sparse_equals_dense():
    labels = RANDOM.integers(0, 7, (3, 4))
    p = softmax(RANDOM.normal(size=(3, 4, 7))).astype(np.float32)
    one_hot = np.eye(7, dtype=np.float32)[labels]
    for from_logits in (False, True):
        np.testing.assert_allclose(
            losses.sparse_categorical_crossentropy(labels, p, from_logits=from_logits).numpy(),
            losses.categorical_crossentropy(one_hot, p, from_logits=from_logits).numpy(),
            rtol=16 * F32,
        )


def test_axis_of_classes():
    labels = RANDOM.integers(0, 3, (2, 5))
    p = np.moveaxis(softmax(RANDOM.normal(size=(2, 5, 3))), -1, 1)
    expected = -np.log(np.take_along_axis(p, labels[:, None], 1))[:, 0]
    one_hot = np.moveaxis(np.eye(3)[labels], -1, 1)
    for value in (
        losses.sparse_categorical_crossentropy(labels, p, axis=1),
        losses.sparse_categorical_crossentropy(labels[:, None], p, axis=1),
        losses.sparse_categorical_crossentropy(labels, np.log(p), from_logits=True, axis=1),
        losses.categorical_crossentropy(one_hot, p, axis=1),
        losses.categorical_crossentropy(one_hot, np.log(p), from_logits=True, axis=1),
    ):
        np.testing.assert_allclose(value.numpy(), expected, rtol=1e-12)


def test_sparse_gradients():
    labels = np.array([2, 0, 1])
    x = RANDOM.normal(size=(3, 4))
    for from_logits, data in ((False, softmax(x)), (True, x)):
        pydl.testing.check_gradients(
            lambda p, f=from_logits: losses.sparse_categorical_crossentropy(
                labels, p, from_logits=f
            ),
            data,
        )


def test_clipping_of_probabilities():
    for loss, t, p in (
        (losses.binary_crossentropy, [[1.0], [0.0]], [[0.0], [1.0]]),
        (losses.binary_crossentropy, [[1.0], [0.0]], [[-3.0], [7.0]]),
        (losses.categorical_crossentropy, [[1.0, 0.0]], [[0.0, 2.0]]),
        (losses.sparse_categorical_crossentropy, [0], [[0.0, 2.0]]),
    ):
        p = pydl.tensor(p, requires_grad=True)
        value = loss(t, p)
        # float32 holds 1 - 1e-7 as 1 - 2^-23
        np.testing.assert_allclose(value.numpy(), -math.log(EPS), rtol=0.015)
        value.sum().backward()
        np.testing.assert_array_equal(p.grad.numpy()[:, :1], 0)
    # a value inside keeps its gradient
    p = pydl.tensor([[0.25]], requires_grad=True)
    losses.binary_crossentropy([[1.0]], p).sum().backward()
    np.testing.assert_allclose(p.grad.numpy(), [[-4.0]], rtol=4 * F32)


def test_logits_stay_finite_where_probabilities_saturate():
    x = pydl.tensor([[1000.0, -1000.0]], requires_grad=True)
    loss = losses.categorical_crossentropy([[0.0, 1.0]], x, from_logits=True)
    assert loss.numpy().tolist() == [2000.0]
    loss.sum().backward()
    assert x.grad.numpy().tolist() == [[1.0, -1.0]]


def test_normalisation_of_probabilities():
    t = np.float32([[0, 1, 0]])
    p = np.float32([[1, 2, 5]])
    for value in (
        losses.categorical_crossentropy(t, p),
        losses.sparse_categorical_crossentropy([1], p),
    ):
        np.testing.assert_allclose(value.numpy(), [math.log(4)], rtol=4 * F32)


def test_integers_and_lists():
    assert losses.mean_squared_error([[1, 2]], [[1, 4]]).numpy().tolist() == [2.0]
    value = losses.mean_squared_error(np.array([[1, 2]]), pydl.tensor([[1.0, 4.0]]))
    assert value.dtype == np.float32
    pydl.config.set_floatx("float64")
    assert losses.mean_squared_error([[1, 2]], [[1, 4]]).dtype == np.float64


# Alignment


def test_alignment_of_shapes():
    n = np.arange(6, dtype=np.float32)
    for t, p in ((n, n[:, None] + 1), (n[:, None], n + 1), (n[:, None], n[:, None] + 1)):
        value = losses.mean_squared_error(t, p)
        assert value.numpy().tolist() == [1.0] * 6
    cube = np.zeros((2, 3, 1), np.float32)
    assert losses.mean_squared_error(cube, cube[..., 0]).shape == (2,)
    assert losses.mean_squared_error(cube[..., 0], cube).shape == (2,)
    for t, p in (((6,), (6, 2)), ((6, 1), (6, 2)), ((6,), (1, 6)), ((2, 6), (6,)), ((5,), (6,))):
        with raises(
            ValueError,
            f"mean_squared_error: y_true has shape {t}, y_pred has shape {p}; they must be equal",
        ):
            losses.mean_squared_error(np.zeros(t), np.zeros(p))


def test_two_vectors_hold_one_sample_per_entry():
    t, p = np.float32([1, 2, 3]), np.float32([1, 1, 1])
    for name in ("mse", "mae", "huber", "bce", "hinge", "log_cosh"):
        loss = losses.get(name)
        loss.reduction = "none"
        assert loss(t, p).shape == (3,), name
    assert losses.MeanSquaredError()(t, p, [0, 0, 3]).item() == 4.0
    np.testing.assert_allclose(
        losses.CategoricalCrossentropy()([0.0, 1.0], [0.5, 0.5]).item(), math.log(2), rtol=1e-6
    )


# Reductions, weights and masks


def test_reductions():
    t, p = example("mean_squared_error", (4, 3, 2))
    values = EXPECTED["mean_squared_error"](t.astype(np.float64), p.astype(np.float64))
    weights = np.array([[1.0, 0, 2], [3, 1, 1], [0, 0, 0], [1, 1, 5]])
    for reduction, plain, weighted in (
        ("sum_over_batch_size", values.mean(), (values * weights).mean()),
        ("mean", values.mean(), (values * weights).mean()),
        ("sum", values.sum(), (values * weights).sum()),
        ("mean_with_sample_weight", values.mean(), (values * weights).sum() / weights.sum()),
        ("none", values, values * weights),
        (None, values, values * weights),
    ):
        loss = losses.MeanSquaredError(reduction=reduction)
        np.testing.assert_allclose(loss(t, p).numpy(), plain, rtol=32 * F32)
        np.testing.assert_allclose(loss(t, p, weights).numpy(), weighted, rtol=32 * F32)
    with raises(
        ValueError,
        "MeanSquaredError: reduction must be one of ('sum_over_batch_size', 'sum', 'mean', "
        "'mean_with_sample_weight', 'none') or None, got 'average'",
    ):
        losses.MeanSquaredError(reduction="average")


def test_shapes_of_sample_weights():
    t, p = example("mean_squared_error", (4, 3, 2))
    values = EXPECTED["mean_squared_error"](t.astype(np.float64), p.astype(np.float64))
    per_sample = np.array([1.0, 2, 0, 4])
    loss = losses.MeanSquaredError()
    expected = (values * per_sample[:, None]).mean()
    for weights in (per_sample, per_sample[:, None], per_sample[:, None, None], list(per_sample)):
        np.testing.assert_allclose(loss(t, p, weights).item(), expected, rtol=32 * F32)
    np.testing.assert_allclose(loss(t, p, 2.0).item(), 2 * values.mean(), rtol=32 * F32)
    for shape in ((3,), (4, 2), (4, 3, 2), (5, 1), (1, 1, 1, 1, 1)):
        with raises(
            ValueError,
            f"sample_weight: shape {shape} does not fit per-sample values of shape (4, 3); "
            "pass one weight per sample",
        ):
            loss(t, p, np.ones(shape))


def test_masks():
    t, p = example("mean_squared_error", (4, 3, 2))
    values = EXPECTED["mean_squared_error"](t.astype(np.float64), p.astype(np.float64))
    mask = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1]], bool)
    p[2] = np.nan  # what is masked does not count, whatever it is
    loss = losses.MeanSquaredError()
    np.testing.assert_allclose(loss(t, p, mask=mask).item(), values[mask].mean(), rtol=32 * F32)
    weights = np.array([1.0, 2, 3, 4])
    np.testing.assert_allclose(
        loss(t, p, weights, mask=mask).item(),
        (values * weights[:, None])[mask].sum() / mask.sum(),
        rtol=32 * F32,
    )
    total = losses.MeanSquaredError(reduction="sum")
    np.testing.assert_allclose(total(t, p, mask=mask).item(), values[mask].sum(), rtol=32 * F32)
    assert loss(t, p, mask=np.zeros((4, 3), bool)).item() == 0


def test_ignore_class():
    labels = np.array([[0, -1, 2], [-1, -1, 1]])
    x = RANDOM.normal(size=(2, 3, 4)).astype(np.float32)
    kept = labels >= 0
    values = -np.log(np.take_along_axis(softmax(x.astype(np.float64)), labels[..., None] % 4, -1))
    values = values[..., 0] * kept
    for from_logits, data in ((True, x), (False, softmax(x))):
        each = losses.sparse_categorical_crossentropy(
            labels, data, from_logits=from_logits, ignore_class=-1
        )
        np.testing.assert_allclose(each.numpy(), values, rtol=64 * F32)
        loss = losses.SparseCategoricalCrossentropy(from_logits, ignore_class=-1)
        expected = values.sum() / kept.sum()
        np.testing.assert_allclose(loss(labels, data).item(), expected, rtol=64 * F32)
        np.testing.assert_allclose(loss(labels[..., None], data).item(), expected, rtol=64 * F32)
    hooked = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    np.testing.assert_allclose(hooked.call_with_logits(labels, x).item(), expected, rtol=64 * F32)


def test_empty_batches_are_zero():
    for name in ("mse", "categorical_crossentropy", "bce"):
        assert losses.get(name)(np.zeros((0, 3)), np.zeros((0, 3))).item() == 0
    empty = losses.SparseCategoricalCrossentropy()(np.zeros(0, int), np.zeros((0, 3)))
    assert empty.item() == 0


# Form for logits


def test_call_with_logits():
    x = RANDOM.normal(size=(5, 3)).astype(np.float32)
    one_hot = np.eye(3, dtype=np.float32)[[0, 2, 1, 1, 0]]
    weights = [1.0, 2.0, 0.0, 1.0, 1.0]
    for loss, activation, t in (
        (losses.CategoricalCrossentropy(label_smoothing=0.1), "softmax", one_hot),
        (losses.SparseCategoricalCrossentropy(), "softmax", np.array([0, 2, 1, 1, 0])),
        (losses.BinaryCrossentropy(label_smoothing=0.1), "sigmoid", one_hot),
    ):
        assert loss.logits_activation == activation
        p = getattr(pydl, activation)(pydl.tensor(x))
        np.testing.assert_allclose(
            loss.call_with_logits(t, x, weights).item(), loss(t, p, weights).item(), rtol=32 * F32
        )
        logits = pydl.tensor(x, requires_grad=True)
        loss.call_with_logits(t, logits).backward()
        reference = pydl.tensor(x, requires_grad=True)
        loss(t, getattr(pydl, activation)(reference)).backward()
        np.testing.assert_allclose(
            logits.grad.numpy(), reference.grad.numpy(), rtol=0, atol=16 * F32
        )
        assert type(loss)(from_logits=True).logits_activation is None
        assert type(loss)(axis=1).logits_activation is None
    assert losses.MeanSquaredError().logits_activation is None
    with raises(NotImplementedError, "MeanSquaredError has no form for logits"):
        losses.MeanSquaredError().call_with_logits(one_hot, x)

    class Own(losses.BinaryCrossentropy):
        def call(self, y_true, y_pred):
            return 2 * super().call(y_true, y_pred)

    assert Own().logits_activation is None


# Names and configurations


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_configurations(name):
    loss = CLASSES[name](reduction="sum", name="mine")
    config = json.loads(json.dumps(loss.get_config()))
    clone = losses.get({"class_name": type(loss).__name__, "config": config})
    assert type(clone) is type(loss)
    assert clone.get_config() == loss.get_config()
    assert (clone.reduction, clone.name) == ("sum", "mine")


def test_get():
    for alias, name in (
        ("mse", "mean_squared_error"),
        ("MAE", "mean_absolute_error"),
        ("mape", "mean_absolute_percentage_error"),
        ("msle", "mean_squared_logarithmic_error"),
        ("bce", "binary_crossentropy"),
        ("kld", "kl_divergence"),
        ("logcosh", "log_cosh"),
        ("CategoricalCrossentropy", "categorical_crossentropy"),
    ):
        assert losses.get(alias).name == name
    for name, cls in CLASSES.items():
        assert type(losses.get(name)) is cls
        assert type(losses.get(getattr(losses, name))) is cls
        assert type(losses.get(cls)) is cls
    assert losses.get("huber").name == "huber_loss"
    loss = losses.Huber(2.0)
    assert losses.get(loss) is loss

    def mine(y_true, y_pred):
        return pydl.max(pydl.abs(y_true - y_pred), axis=-1)

    found = losses.get(mine)
    assert found.name == "mine"
    assert found([[1.0, 3.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 0.0]]).item() == 2.0
    assert found([[1.0, 3.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 0.0]], [1.0, 0.0]).item() == 1.5
    scalar = losses.get(lambda t, p: pydl.sum(p))
    assert scalar([0.0], [2.0, 3.0]).item() == 5.0
    with raises(
        ValueError,
        "unknown loss 'mean_square_error'; did you mean 'mean_squared_error' or "
        "'mean_squared_logarithmic_error' or 'mean_absolute_error'?",
    ):
        losses.get("mean_square_error")
    with raises(TypeError, "loss: expected a name, an instance or a callable, got int 3"):
        losses.get(3)


def test_crossentropy_by_shape():
    for true, pred, expected in (
        ((4,), (4, 1), losses.BinaryCrossentropy),
        ((4, 1), (4, 1), losses.BinaryCrossentropy),
        ((4,), (4, 3), losses.SparseCategoricalCrossentropy),
        ((4, 1), (4, 3), losses.SparseCategoricalCrossentropy),
        ((4, 3), (4, 3), losses.CategoricalCrossentropy),
        ((4, 5), (4, 5, 3), losses.SparseCategoricalCrossentropy),
    ):
        assert type(losses.resolve_crossentropy(true, pred)) is expected


# Errors


def test_label_errors():
    x = np.zeros((2, 4), np.float32)
    for from_logits in (False, True):
        for labels, label, position in (([0, 4], 4, 1), ([-1, 0], -1, 0)):
            with raises(
                ValueError,
                f"sparse_categorical_crossentropy: label {label} at position {position} is outside "
                "of [0, 4), the range of 4 classes",
            ):
                losses.sparse_categorical_crossentropy(labels, x, from_logits=from_logits)
    with raises(
        ValueError,
        "sparse_categorical_crossentropy: y_true must hold one label for each of (2,), got shape "
        "(2, 4); use categorical_crossentropy for one-hot labels",
    ):
        losses.sparse_categorical_crossentropy(x, x)
    with raises(
        ValueError,
        "sparse_categorical_crossentropy: y_true must hold one label for each of (2,), got shape "
        "(3,)",
    ):
        losses.sparse_categorical_crossentropy([0, 1, 2], x)
    with pytest.raises(ValueError, match="labels must be integers, got nan or inf"):
        losses.sparse_categorical_crossentropy([0.0, math.nan], x)


def test_one_hot_errors():
    p = np.zeros((2, 4), np.float32)
    with raises(
        ValueError,
        "categorical_crossentropy: y_true has 3 classes on axis -1, y_pred has 4; shapes (2, 3) "
        "and (2, 4)",
    ):
        losses.categorical_crossentropy(np.zeros((2, 3)), p)
    for shape in ((2,), (2, 1)):
        with raises(
            ValueError,
            f"categorical_crossentropy: y_true of shape {shape} is not one-hot for y_pred of shape "
            "(2, 4); use sparse_categorical_crossentropy for integer labels, or "
            "utils.to_categorical",
        ):
            losses.categorical_crossentropy(np.zeros(shape), p)
    for smoothing in (-0.1, 1.5):
        for loss in (losses.CategoricalCrossentropy, losses.BinaryCrossentropy):
            with raises(
                ValueError,
                f"{loss.__name__}: label_smoothing must be between 0 and 1, got {smoothing}",
            ):
                loss(label_smoothing=smoothing)


# Properties


@given(
    st.lists(st.integers(0, 5), min_size=2, max_size=4),
    st.sampled_from(["mse", "mae", "bce", "categorical_crossentropy", "cosine_similarity", "kld"]),
    st.integers(0, 2**32 - 1),
)
def test_mean_is_that_of_the_function(shape, name, seed):
    rng = np.random.default_rng(seed)
    t = rng.uniform(0.1, 0.9, shape).astype(np.float32)
    p = rng.uniform(0.1, 0.9, shape).astype(np.float32)
    loss = losses.get(name)
    if shape[-1] == 0 and name == "categorical_crossentropy":
        with pytest.raises(ValueError, match="with a class or more, got"):
            loss(t, p)
        return
    if 0 in shape:
        assert loss(t, p).item() == 0 or shape[-1] == 0
        return
    values = type(loss).fn(t, p).numpy().astype(np.float64)
    assert values.shape == tuple(shape[:-1])
    bound = (values.size + 8) * F32 * np.abs(values).mean()
    np.testing.assert_allclose(loss(t, p).item(), values.mean(), rtol=0, atol=bound + F32)


def test_non_contiguous_arrays():
    t, p = example("mean_squared_error", (6, 8))
    dense = losses.mean_squared_error(np.ascontiguousarray(t[::-2, ::3]), p[::-2, ::3].copy())
    np.testing.assert_array_equal(
        losses.mean_squared_error(t[::-2, ::3], p[::-2, ::3]).numpy(), dense.numpy()
    )
