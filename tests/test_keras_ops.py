"""Operations under keras.ops's names that are made of others: scatter and the cross-entropies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from arrays import FLOATS
from errors import raises
from hypothesis import given
from hypothesis import strategies as st

import pydl
from pydl.testing import check_gradients


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(st.data())
def test_scatter(data: Any) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    depth = data.draw(st.integers(1, len(shape)))
    outer = tuple(data.draw(st.lists(st.integers(0, 5), max_size=2)))
    r = rng(data.draw(st.integers(0, 99)))
    index = np.stack([r.integers(-n, n, outer) for n in shape[:depth]], axis=-1)
    dtype = data.draw(st.sampled_from([np.float32, np.float64, np.int32, np.int64]))
    values = r.integers(-9, 9, (*outer, *shape[depth:])).astype(dtype)
    expected = np.zeros(shape, dtype)
    np.add.at(expected, tuple(np.moveaxis(index, -1, 0)), values)
    got = pydl.scatter(index, values, shape)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got.numpy(), expected)


def test_scatter_add_at_one_position() -> None:
    y = pydl.scatter_add(pydl.zeros(3), 1, pydl.tensor(2.0))
    np.testing.assert_array_equal(y.numpy(), [0, 2, 0])


def test_scatter_gradient() -> None:
    index = np.array([[0, 1], [2, 0], [0, 1]])
    check_gradients(lambda v: pydl.scatter(index, v, (3, 2, 4)), rng(1).standard_normal((3, 4)))


def test_scatter_errors() -> None:
    v = np.ones(2, np.float32)
    with raises(IndexError, "scatter: index 3 is out of range for an axis of length 3"):
        pydl.scatter([[0], [3]], v, (3,))
    with raises(TypeError, "scatter: indices must be integers, got float64"):
        pydl.scatter(np.zeros((2, 1)), v, (3,))
    with raises(
        ValueError,
        "scatter: values must have shape (2, 5) for indices of shape (2, 1) and shape (3, 5), "
        "got (2,)",
    ):
        pydl.scatter([[0], [1]], v, (3, 5))
    with raises(
        ValueError,
        "scatter: indices must have shape (..., depth) with 1 <= depth <= 1 for shape (3,), "
        "got (2, 2)",
    ):
        pydl.scatter([[0, 1], [1, 1]], v, (3,))


def log_probabilities(x: np.ndarray, from_logits: bool, axis: int) -> np.ndarray:
    x = x.astype(np.float64)
    if from_logits:
        x = x - x.max(axis, keepdims=True)
        return x - np.log(np.exp(x).sum(axis, keepdims=True))
    e = pydl.config.epsilon()
    return np.log(np.clip(x / x.sum(axis, keepdims=True), e, 1 - e))


@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("dtype", FLOATS)
def test_categorical(dtype: Any, from_logits: bool, axis: int) -> None:
    r = rng(2)
    x = r.uniform(0.1, 1, (4, 5, 6)).astype(dtype)
    t = r.uniform(0, 1, x.shape).astype(dtype)
    labels = r.integers(0, 4, x.sum(axis).shape)
    logp = log_probabilities(x, from_logits, axis)
    tolerance = {"rtol": 40 * float(np.finfo(dtype).eps)}
    y = pydl.categorical_crossentropy(t, x, from_logits, axis)
    assert y.dtype == dtype
    np.testing.assert_allclose(y.numpy(), -(t * logp).sum(axis), **tolerance)
    expected = -np.take_along_axis(logp, np.expand_dims(labels, axis), axis).squeeze(axis)
    for shaped in (labels, labels[..., None]):
        y = pydl.sparse_categorical_crossentropy(shaped, x, from_logits, axis)
        np.testing.assert_allclose(y.numpy(), expected, **tolerance)
    check_gradients(lambda t, x: pydl.categorical_crossentropy(t, x, from_logits, axis), t, x)
    check_gradients(lambda x: pydl.sparse_categorical_crossentropy(labels, x, from_logits, axis), x)


@pytest.mark.parametrize("dtype", FLOATS)
def test_binary(dtype: Any) -> None:
    r = rng(3)
    t, p = r.uniform(0, 1, (3, 7)).astype(dtype), r.uniform(0.05, 0.95, (3, 7)).astype(dtype)
    x = np.log(p / (1 - p))
    expected = -(t * np.log(p) + (1 - t) * np.log(1 - np.float64(p)))
    tolerance = {"rtol": 100 * float(np.finfo(dtype).eps)}
    np.testing.assert_allclose(pydl.binary_crossentropy(t, p).numpy(), expected, **tolerance)
    np.testing.assert_allclose(pydl.binary_crossentropy(t, x, True).numpy(), expected, **tolerance)
    for logits in (False, True):
        check_gradients(lambda t, p, f=logits: pydl.binary_crossentropy(t, p, f), t, p)


def test_probabilities_are_clipped() -> None:
    e = np.float32(pydl.config.epsilon())
    worst = -np.log(np.float64(e))
    for y in (
        pydl.binary_crossentropy([1.0], [0.0]),
        pydl.categorical_crossentropy([[0.0, 1.0]], [[1.0, 0.0]]),
        pydl.sparse_categorical_crossentropy([1], [[1.0, 0.0]]),
    ):
        np.testing.assert_allclose(y.numpy(), worst, rtol=1e-6)


def test_crossentropy_errors() -> None:
    x = np.full((2, 3), 1 / 3)
    for from_logits in (False, True):
        with raises(
            ValueError,
            "sparse_categorical_crossentropy: label 3 at position 1 is outside of [0, 3), the "
            "range of 3 classes",
        ):
            pydl.sparse_categorical_crossentropy([0, 3], x, from_logits)
        with pytest.raises(TypeError, match="crossentropy: target must be integers, got float32"):
            pydl.sparse_categorical_crossentropy([0.0, 1.0], x, from_logits)
        with pytest.raises(ValueError, match="axis 2 is out of range"):
            pydl.categorical_crossentropy(x, x, from_logits, 2)
        for name in ("categorical_crossentropy", "binary_crossentropy"):
            text = f"{name}: target and output must have one shape, got (2, 2) and (2, 3)"
            with raises(ValueError, text):
                getattr(pydl, name)(x[:, :2], x, from_logits)
        text = "output must have shape (..., classes) with a class or more, got (3, 0)"
        none = np.ones((3, 0))
        with raises(ValueError, f"categorical_crossentropy: {text}"):
            pydl.categorical_crossentropy(none, none, from_logits)
        with raises(ValueError, f"sparse_categorical_crossentropy: {text}"):
            pydl.sparse_categorical_crossentropy([0, 0, 0], none, from_logits)
        with raises(ValueError, f"categorical_crossentropy: {text}"):
            pydl.categorical_crossentropy(none.T, none.T, from_logits, 0)
        text = "target must have shape (2,) or (2, 1) for output of shape (2, 3), got (3,)"
        with raises(ValueError, f"sparse_categorical_crossentropy: {text}"):
            pydl.sparse_categorical_crossentropy([0, 0, 0], x, from_logits)
