"""Softmax, cross-entropy, normalisation and gather kernels against NumPy in a wider type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from arrays import FLOATS, views
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import pydl
from pydl import _core, ops
from pydl.testing import check_gradients

LENGTHS = [1, 2, 3, 7, 8, 9, 10, 15, 16, 17, 31, 32, 33, 47, 48, 49, 64, 65, 100, 1000, 5000]
ROWS = [0, 1, 3, 7, 8, 9, 16, 17]
LABEL_DTYPES = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]


def wide(x: Any) -> np.ndarray:
    """The type of the oracle: float64 for float32, the longest there is for float64."""
    x = np.asarray(x)
    return x.astype(np.longdouble if x.dtype == np.float64 else np.float64)


def assert_within(actual: Any, expected: np.ndarray, bound: Any) -> None:
    """|actual - expected| <= bound, element by element; nan only where nan is expected."""
    got = wide(actual)
    assert got.shape == expected.shape
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    same = (got == expected) | np.isnan(expected)
    with np.errstate(invalid="ignore"):
        error = np.where(same, 0, np.abs(got - expected))
    excess = error - bound
    assert not (excess > 0).any(), (
        f"{(excess > 0).sum()} of {excess.size} elements are off; the worst by {excess.max():.3g} "
        f"over the bound, at {np.unravel_index(int(excess.argmax()), excess.shape)}"
    )


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def eps(x: Any) -> float:
    return float(np.finfo(np.asarray(x).dtype).eps)


def tiny(x: Any) -> float:
    return float(np.finfo(np.asarray(x).dtype).tiny)


def log_softmax_oracle(x: np.ndarray) -> np.ndarray:
    x = wide(x)
    with np.errstate(invalid="ignore", divide="ignore"):
        shifted = x - x.max(-1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def relative_bound(x: np.ndarray) -> np.ndarray:
    """Of softmax: what exp makes of the rounding of x - m, exp itself, the sum and the quotient."""
    spread = wide(x).max(-1, keepdims=True) - wide(x)
    return eps(x) * (0.5 * spread + 4 + 0.5 * x.shape[-1])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", LENGTHS)
def test_softmax_rows(n: int, dtype: Any) -> None:
    for rows in ROWS:
        x = rng(n).normal(0, 4, (rows, n)).astype(dtype)
        log_y = log_softmax_oracle(x) if rows else wide(x)
        y, bound = np.exp(log_y), relative_bound(x) if rows else 0
        assert_within(_core.softmax(x), y if rows else wide(x), y * bound + tiny(x))
        assert_within(_core.log_softmax(x), log_y, bound + eps(x) * np.abs(log_y))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", LENGTHS)
def test_softmax_gradients(n: int, dtype: Any) -> None:
    r = rng(n)
    x, g = (r.normal(0, 2, (9, n)).astype(dtype) for _ in range(2))
    y = _core.softmax(x)
    magnitude = np.abs(wide(g)) * wide(y)
    bound = eps(x) * (3 + 0.5 * n) * magnitude.sum(-1, keepdims=True)
    expected = wide(y) * (wide(g) - (wide(g) * wide(y)).sum(-1, keepdims=True))
    bound = wide(y) * (bound + 2 * eps(x) * np.abs(wide(g)))
    assert_within(_core.softmax_backward(g, y), expected, bound + tiny(x))
    y = _core.log_softmax(x)
    p, total = np.exp(wide(y)), wide(g).sum(-1, keepdims=True)
    bound = eps(x) * (p * (0.5 * n + 3) * np.abs(wide(g)).sum(-1, keepdims=True) + np.abs(wide(g)))
    assert_within(_core.log_softmax_backward(g, y), wide(g) - p * total, bound)


@pytest.mark.parametrize("n", [2, 10, 40])
@pytest.mark.parametrize("dtype", FLOATS)
def test_softmax_special_values(n: int, dtype: Any) -> None:
    x = np.zeros((6, n), dtype)
    x[0, 0] = 1e30
    x[1, 0] = -np.inf
    x[2, 1] = np.nan
    x[3, 1] = np.inf
    x[4] = -np.inf
    x[5] = -1e30
    y = _core.softmax(x)
    np.testing.assert_array_equal(y[0], np.eye(n)[0])
    assert y[1, 0] == 0 and abs(y[1].sum() - 1) < n * eps(x)
    assert np.isnan(y[2:5]).all()
    np.testing.assert_array_equal(y[5], y[5, 0])
    log_y = _core.log_softmax(x)
    assert log_y[0, 0] == 0 and log_y[0, 1] == dtype(-1e30)
    assert log_y[1, 0] == -np.inf
    assert np.isnan(log_y[2:5]).all()


@given(st.data())
def test_softmax_any_layout_and_axis(data: Any) -> None:
    x = data.draw(
        hnp.arrays(
            data.draw(st.sampled_from(FLOATS)),
            hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=7),
            elements=st.floats(-10, 10, width=32),
        ).flatmap(views)
    )
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    for function, oracle in (
        (ops.softmax, lambda v: np.exp(log_softmax_oracle(v))),
        (ops.log_softmax, log_softmax_oracle),
    ):
        y = function(x, axis=axis)
        assert y.dtype == x.dtype
        if x.size == 0:
            assert y.shape == x.shape
            continue
        expected = np.moveaxis(oracle(np.moveaxis(x, axis, -1)), -1, axis)
        bound = eps(x) * (10 + 0.5 * x.shape[axis]) * (1 + np.abs(expected))
        assert_within(y.data, expected, bound)


def test_softmax_gradient_by_differences() -> None:
    x = rng().normal(size=(3, 4, 5))
    for axis in (-1, 0, 1):
        check_gradients(lambda t, axis=axis: ops.softmax(t, axis=axis), x)
        check_gradients(lambda t, axis=axis: ops.log_softmax(t, axis=axis), x)
    check_gradients(ops.softmax, rng().normal(size=(3, 70)))


def test_softmax_of_integers_and_errors() -> None:
    assert ops.softmax([1, 2]).dtype == np.float32
    with pytest.raises(ValueError, match=r"softmax: axis 2 is out of range for shape \(2, 3\)"):
        ops.softmax(np.zeros((2, 3)), axis=2)
    with pytest.raises(ValueError, match="softmax: axis -1 is out of range"):
        ops.softmax(1.0)


@pytest.mark.parametrize("n", [3, 10, 32, 33, 600])
def test_a_row_does_not_depend_on_its_neighbours(n: int) -> None:
    x = rng().normal(size=(50, n)).astype(np.float32)
    labels = rng().integers(0, n, 50)
    all_rows = _core.softmax(x), *_core.sparse_crossentropy(labels, x, "")
    for i in (0, 1, 7, 31, 49):
        row = slice(i, i + 1)
        one = _core.softmax(x[row]), *_core.sparse_crossentropy(labels[row], x[row], "")
        for a, b in zip(all_rows, one, strict=True):
            assert a[row].tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", LENGTHS)
def test_sparse_crossentropy(n: int, dtype: Any) -> None:
    for rows in ROWS:
        r = rng(rows)
        x = r.normal(0, 3, (rows, n)).astype(dtype)
        labels = r.integers(0, n, rows)
        loss, p = _core.sparse_crossentropy(labels, x, "")
        if rows == 0:
            assert loss.shape == (0,) and p.shape == (0, n)
            continue
        log_y = log_softmax_oracle(x)
        picked = np.take_along_axis(log_y, labels[:, None], -1)[:, 0]
        bound = relative_bound(x)
        assert p.tobytes() == _core.softmax(x).tobytes()
        limit = np.take_along_axis(bound, labels[:, None], -1)[:, 0] + 4 * eps(x) * np.abs(picked)
        assert_within(loss, -picked, limit)
        g = r.normal(size=rows).astype(dtype)
        one_hot = np.eye(n)[labels]
        expected = wide(g)[:, None] * (wide(p) - one_hot)
        dx = _core.sparse_crossentropy_backward(g, p, labels)
        assert_within(dx, expected, 2 * eps(x) * np.abs(expected) + tiny(x))


@pytest.mark.parametrize("label_dtype", LABEL_DTYPES)
def test_sparse_crossentropy_label_types(label_dtype: Any) -> None:
    x = rng().normal(size=(20, 5)).astype(np.float32)
    labels = rng().integers(0, 5, 20)
    expected = ops.sparse_categorical_crossentropy_with_logits(labels, x).data
    typed = labels.astype(label_dtype)
    for given_labels in (typed, typed[:, None], np.repeat(typed, 2)[::2]):
        got = ops.sparse_categorical_crossentropy_with_logits(given_labels, x)
        assert got.shape == (20,)
        assert got.data.tobytes() == expected.tobytes()


def test_sparse_crossentropy_more_axes_and_gradient() -> None:
    r = rng()
    x, labels = r.normal(size=(2, 3, 4)), r.integers(0, 4, (2, 3))
    assert ops.sparse_categorical_crossentropy_with_logits(labels, x).shape == (2, 3)
    check_gradients(lambda t: ops.sparse_categorical_crossentropy_with_logits(labels, t), x)
    x, labels = r.normal(size=(5, 50)), r.integers(0, 50, (5, 1))
    check_gradients(lambda t: ops.sparse_categorical_crossentropy_with_logits(labels, t), x)


@pytest.mark.parametrize("label_dtype", LABEL_DTYPES)
def test_sparse_crossentropy_labels_out_of_range(label_dtype: Any) -> None:
    x = np.zeros((3, 10), np.float32)
    labels = np.array([1, 2, 10], label_dtype)
    message = (
        r"sparse_categorical_crossentropy_with_logits: label 10 at position 2 is outside of \[0, 10\), "
        "the range of 10 classes"
    )
    with pytest.raises(ValueError, match=message):
        ops.sparse_categorical_crossentropy_with_logits(labels, x)
    if np.dtype(label_dtype).kind == "i":
        with pytest.raises(ValueError, match="label -1 at position 0"):
            ops.sparse_categorical_crossentropy_with_logits(np.array([-1, 0, 0], label_dtype), x)


def test_crossentropy_errors() -> None:
    x = np.zeros((3, 10), np.float32)
    with pytest.raises(TypeError, match="_with_logits: labels must be integers, got float32; cast"):
        ops.sparse_categorical_crossentropy_with_logits(np.zeros(3, np.float32), x)
    with pytest.raises(
        ValueError,
        match=r"have shape \(3,\) or \(3, 1\) for logits of shape \(3, 10\), got \(10,\)",
    ):
        ops.sparse_categorical_crossentropy_with_logits(np.zeros(10, np.int64), x)
    with pytest.raises(
        ValueError,
        match=r"^categorical_crossentropy_with_logits: labels and logits must have one shape, got \(3,\)",
    ):
        ops.categorical_crossentropy_with_logits(np.zeros(3, np.float32), x)
    for shape in ((), (3, 0)):
        empty = np.zeros(shape, np.float32)
        message = r"logits must have shape \(..., classes\) with a class or more, got \("
        with pytest.raises(ValueError, match=message):
            ops.categorical_crossentropy_with_logits(empty, empty)
        with pytest.raises(ValueError, match=message):
            ops.sparse_categorical_crossentropy_with_logits(np.zeros(3, np.int64), empty)
    with pytest.raises(
        ValueError, match=r"binary_crossentropy_with_logits: .* got \(3, 1\) and \(3, 10\)"
    ):
        ops.binary_crossentropy_with_logits(np.zeros((3, 1)), x)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", LENGTHS)
def test_dense_crossentropy(n: int, dtype: Any) -> None:
    r = rng(n)
    x = r.normal(0, 3, (9, n)).astype(dtype)
    t = r.uniform(0, 1, (9, n)).astype(dtype)
    loss, p, sums = _core.crossentropy(t, x)
    log_y = log_softmax_oracle(x)
    terms = wide(t) * -log_y
    limit = (wide(t) * relative_bound(x)).sum(-1) + eps(x) * (4 + 0.5 * n) * terms.sum(-1)
    assert_within(loss, terms.sum(-1), limit)
    assert_within(sums, wide(t).sum(-1), 0.5 * n * eps(x) * wide(t).sum(-1))
    assert p.tobytes() == _core.softmax(x).tobytes()
    g = r.normal(size=9).astype(dtype)
    product = wide(p) * wide(sums)[:, None]
    expected = wide(g)[:, None] * (product - wide(t))
    bound = 2 * eps(x) * np.abs(wide(g))[:, None] * (product + wide(t))
    assert_within(_core.crossentropy_backward(g, p, t, sums), expected, bound)


def test_dense_crossentropy_ignores_impossible_classes_without_weight() -> None:
    for n in (3, 40):
        x, t = np.zeros((1, n), np.float32), np.zeros((1, n), np.float32)
        x[0, 0], t[0, 1] = -np.inf, 1
        loss = ops.categorical_crossentropy_with_logits(t, x).data
        np.testing.assert_allclose(loss, np.log(n - 1), rtol=4 * n * eps(x))


def test_dense_crossentropy_gradients() -> None:
    r = rng()
    for shape in ((4, 6), (2, 3, 40)):
        x, t = r.normal(size=shape), r.uniform(size=shape)
        check_gradients(ops.categorical_crossentropy_with_logits, t, x)
    labels = np.array([[0, 1], [1, 0]])
    x = r.normal(size=(2, 2)).astype(np.float32)
    dense = ops.categorical_crossentropy_with_logits(labels, x).data
    sparse = ops.sparse_categorical_crossentropy_with_logits([1, 0], x).data
    np.testing.assert_allclose(dense, sparse, rtol=4 * eps(x))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 33, 1000])
def test_binary_crossentropy(n: int, dtype: Any) -> None:
    r = rng(n)
    x = r.normal(0, 6, n).astype(dtype)
    t = r.integers(0, 2, n).astype(dtype)
    z = wide(x)
    expected = np.log1p(np.exp(-np.abs(z))) + (np.maximum(z, 0) - z * wide(t))
    loss = ops.binary_crossentropy_with_logits(t, x)
    assert_within(loss.data, expected, 4 * eps(x) * expected + tiny(x))
    g = r.normal(size=n).astype(dtype)
    p = 1 / (1 + np.exp(-z))
    dx = _core.binary_crossentropy_backward(g, t, x)
    assert_within(dx, wide(g) * (p - wide(t)), 4 * eps(x) * np.abs(wide(g)))


def test_binary_crossentropy_far_out_and_gradients() -> None:
    x = np.array([1000.0, -1000.0, 1000.0, -1000.0], np.float32)
    loss = ops.binary_crossentropy_with_logits([1, 0, 0, 1], x).data
    np.testing.assert_array_equal(loss, [0, 0, 1000, 1000])
    r = rng()
    t, x = r.uniform(size=(3, 5)), r.normal(size=(3, 5))
    check_gradients(ops.binary_crossentropy_with_logits, t, x)


def batch_oracle(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = wide(x).reshape(-1, x.shape[-1])
    return rows.mean(0), rows.var(0)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("offset", [0.0, 1e3])
@pytest.mark.parametrize("rows", [1, 2, 17, 255, 256, 257, 1000, 3000])
def test_batch_normalization(rows: int, offset: float, dtype: Any) -> None:
    for channels in (1, 3, 8, 16, 31, 32, 33, 70):
        r = rng(channels)
        x = (r.normal(0, 2, (rows, channels)) + offset).astype(dtype)
        gamma, beta = (r.normal(size=channels).astype(dtype) for _ in range(2))
        y, mean, variance = _core.batch_normalization(x, gamma, beta, 1e-3)
        mean_64, variance_64 = batch_oracle(x)
        size = np.abs(wide(x)).max(0)
        assert_within(mean, mean_64, 4 * eps(x) * size)
        # summing 256 squares one by one, then the tree; and what the rounded mean leaves
        terms = 0.5 * min(rows, 256) + 8
        limit = terms * eps(x) * variance_64 + (4 * eps(x) * size) ** 2
        assert_within(variance, variance_64, limit)
        rstd = 1 / np.sqrt(wide(variance) + 1e-3)
        d = wide(x) - wide(mean)
        expected = d * rstd * wide(gamma) + wide(beta)
        magnitude = np.abs(d * rstd * wide(gamma)) + np.abs(wide(beta))
        assert_within(y, expected, 4 * eps(x) * magnitude + tiny(x))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("rows", [1, 17, 256, 257, 1500])
def test_batch_normalization_gradient_kernel(rows: int, dtype: Any) -> None:
    for channels in (1, 8, 31, 32, 70):
        r = rng(channels)
        x, g = (r.normal(size=(rows, channels)).astype(dtype) for _ in range(2))
        gamma = r.normal(size=channels).astype(dtype)
        _, mean, variance = _core.batch_normalization(x, gamma, None, 1e-3)
        dx, dgamma, dbeta = _core.batch_normalization_backward(g, x, mean, variance, gamma, 1e-3)
        rstd = 1 / np.sqrt(wide(variance) + 1e-3)
        normal = (wide(x) - wide(mean)) * rstd
        terms = (0.5 * min(rows, 256) + 8) * eps(x)
        sum_g, sum_gx = wide(g).sum(0), (wide(g) * normal).sum(0)
        size_g, size_gx = np.abs(wide(g)).sum(0), np.abs(wide(g) * normal).sum(0)
        assert_within(dbeta, sum_g, terms * size_g)
        assert_within(dgamma, sum_gx, (terms + 4 * eps(x)) * size_gx)
        scale = np.abs(wide(gamma)) * rstd
        expected = wide(gamma) * rstd * (wide(g) - sum_g / rows - normal * sum_gx / rows)
        size = scale * (np.abs(wide(g)) + size_g / rows + np.abs(normal) * size_gx / rows)
        assert_within(dx, expected, (terms + 8 * eps(x)) * size)


def test_batch_normalization_op() -> None:
    r = rng()
    x, gamma, beta = r.normal(size=(6, 5)), r.normal(size=5), r.normal(size=5)
    check_gradients(lambda *a: ops.batch_normalization(*a), x, gamma, beta)
    check_gradients(lambda a: ops.batch_normalization(a), x)
    check_gradients(lambda a, b: ops.batch_normalization(a, None, b), x, beta)
    images = r.normal(size=(2, 5, 3, 4))
    check_gradients(lambda *a: ops.batch_normalization(*a, axis=1), images, gamma, beta)
    y, mean, variance = ops.batch_normalization(images, gamma, beta, axis=1, epsilon=0.1)
    moved = np.moveaxis(images, 1, -1)
    again = ops.batch_normalization(moved, gamma, beta, epsilon=0.1)
    assert mean.shape == variance.shape == (5,)
    np.testing.assert_array_equal(np.moveaxis(y.data, 1, -1), again[0].data)
    assert not mean.requires_grad and not variance.requires_grad


def test_batch_normalization_inference() -> None:
    r = rng()
    x = r.normal(size=(4, 3, 5))
    mean, gamma, beta = (r.normal(size=5) for _ in range(3))
    variance = r.uniform(0.5, 2, 5)
    y = ops.batch_normalization_inference(x, mean, variance, gamma, beta, epsilon=0.01)
    expected = (wide(x) - mean) / np.sqrt(wide(variance) + 0.01) * gamma + beta
    assert_within(y.data, expected, 8 * eps(x) * (np.abs(expected) + np.abs(beta)))
    check_gradients(ops.batch_normalization_inference, x, mean, variance, gamma, beta)
    check_gradients(ops.batch_normalization_inference, x, mean, variance)
    assert ops.batch_normalization_inference(x[:0], mean, variance).shape == (0, 3, 5)


def test_batch_normalization_errors() -> None:
    with pytest.raises(ValueError, match=r"an empty batch has no mean, got shape \(0, 3\)"):
        ops.batch_normalization(np.zeros((0, 3)))
    with pytest.raises(
        ValueError, match=r"gamma must have shape \(3,\) for x of shape \(2, 3\), got \(2,\)"
    ):
        ops.batch_normalization(np.zeros((2, 3)), np.ones(2))
    with pytest.raises(ValueError, match=r"variance must have shape \(3,\)"):
        ops.batch_normalization_inference(np.zeros((2, 3)), np.zeros(3), np.ones(4))
    with pytest.raises(ValueError, match="must have an axis of channels"):
        ops.batch_normalization(1.0)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [*LENGTHS, 9000])
def test_layer_normalization(n: int, dtype: Any) -> None:
    r = rng(n)
    x, g = (r.normal(1, 2, (5, n)).astype(dtype) for _ in range(2))
    gamma, beta = (r.normal(size=n).astype(dtype) for _ in range(2))
    y, mean, rstd = _core.layer_normalization(x, n, gamma, beta, 1e-3)
    size = np.abs(wide(x)).max(-1)
    assert_within(mean, wide(x).mean(-1), 16 * eps(x) * size)
    rstd_64 = 1 / np.sqrt(wide(x).var(-1) + 1e-3)
    assert_within(rstd, rstd_64, 16 * eps(x) * rstd_64 + (16 * eps(x) * size * rstd_64) ** 2)
    normal = (wide(x) - wide(mean)[:, None]) * wide(rstd)[:, None]
    expected = normal * gamma + beta
    assert_within(y, expected, 4 * eps(x) * (np.abs(normal * gamma) + np.abs(beta)))

    dx, dgamma, dbeta = _core.layer_normalization_backward(g, x, n, mean, rstd, gamma, True)
    h = wide(g) * gamma
    mean_h, mean_hx = h.mean(-1, keepdims=True), (h * normal).mean(-1, keepdims=True)
    expected = (h - mean_h - normal * mean_hx) * wide(rstd)[:, None]
    mean_size = np.abs(h).mean(-1, keepdims=True)
    size = np.abs(h) + mean_size + np.abs(normal) * np.abs(h * normal).mean(-1, keepdims=True)
    assert_within(dx, expected, 16 * eps(x) * size * wide(rstd)[:, None])
    assert_within(dbeta, wide(g).sum(0), 4 * eps(x) * np.abs(wide(g)).sum(0))
    assert_within(dgamma, (wide(g) * normal).sum(0), 8 * eps(x) * np.abs(wide(g) * normal).sum(0))


def test_layer_normalization_op() -> None:
    r = rng()
    x = r.normal(size=(3, 4, 5))
    for axis, shape in ((-1, (5,)), (1, (4,)), ((1, 2), (4, 5)), ((0, 2), (3, 5))):
        gamma, beta = r.normal(size=shape), r.normal(size=shape)
        check_gradients(
            lambda *a, axis=axis: ops.layer_normalization(*a, axis=axis), x, gamma, beta
        )
        axes = axis if isinstance(axis, tuple) else (axis,)
        d = wide(x) - wide(x).mean(axes, keepdims=True)
        expected = d / np.sqrt(wide(x).var(axes, keepdims=True) + 1e-3)
        y = ops.layer_normalization(x, axis=axis).data
        assert_within(y, expected, 32 * eps(x) * (1 + np.abs(expected)))
    check_gradients(ops.layer_normalization, x)
    assert ops.layer_normalization(x[:0]).shape == (0, 4, 5)
    with pytest.raises(ValueError, match=r"beta must have shape \(5,\)"):
        ops.layer_normalization(x, None, np.zeros(4))
    with pytest.raises(ValueError, match="needs at least one axis"):
        ops.layer_normalization(x, axis=())


@given(st.data())
def test_normalization_any_layout(data: Any) -> None:
    x = data.draw(
        hnp.arrays(
            np.float64,
            hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=7),
            elements=st.floats(-10, 10, width=32),
        ).flatmap(views)
    )
    if x.size == 0:
        return
    n = x.shape[-1]
    copy = np.ascontiguousarray(x)
    assert ops.layer_normalization(x).data.tobytes() == ops.layer_normalization(copy).data.tobytes()
    for a, b in zip(ops.batch_normalization(x), ops.batch_normalization(copy), strict=True):
        assert a.data.tobytes() == b.data.tobytes()
    assert ops.batch_normalization(x)[1].shape == (n,)


def everything(x: np.ndarray, g: np.ndarray, labels: np.ndarray) -> list[bytes]:
    """Bytes of what all kernels here make of a matrix."""
    n = x.shape[1]
    p = _core.softmax(x)
    row = np.ascontiguousarray(g[:, 0])
    y, mean, variance = _core.batch_normalization(x, None, None, 1e-3)
    z, row_mean, rstd = _core.layer_normalization(x, n, None, None, 1e-3)
    results = [
        p,
        _core.softmax_backward(g, p),
        _core.log_softmax(x),
        *_core.sparse_crossentropy(labels, x, ""),
        _core.sparse_crossentropy_backward(row, p, labels),
        *_core.crossentropy(p, x),
        _core.binary_crossentropy(p, x),
        *(y, mean, variance, z, row_mean, rstd),
        *_core.batch_normalization_backward(g, x, mean, variance, None, 1e-3),
        *_core.layer_normalization_backward(g, x, n, row_mean, rstd, None, True),
        _core.take(x, labels % len(x), 0),
        _core.scatter_add(labels % 50, x, 50),
        _core.one_hot(labels, n, x),
    ]
    return [r.tobytes() for r in results]


@pytest.mark.parametrize("shape", [(5000, 10), (3000, 33), (300, 600), (2, 100_000)])
def test_bits_do_not_depend_on_threads(shape: tuple[int, int]) -> None:
    r = rng()
    x, g = (r.normal(size=shape).astype(np.float32) for _ in range(2))
    labels = r.integers(0, shape[1], shape[0])
    results = []
    for threads in (1, 2, 3):
        pydl.config.set_num_threads(threads)
        results.append(everything(x, g, labels))
    assert results[0] == results[1] == results[2]


def test_l2_normalize() -> None:
    x = rng().normal(size=(3, 4))
    expected = x / np.sqrt((x**2).sum(0, keepdims=True))
    assert_within(ops.l2_normalize(x, axis=0).data, wide(expected), 8 * eps(x))
    np.testing.assert_array_equal(ops.l2_normalize(np.zeros(3)).data, np.zeros(3))
    check_gradients(ops.l2_normalize, x)
    check_gradients(lambda t: ops.l2_normalize(t, axis=None), x)


@pytest.mark.parametrize("dtype", ["bool", "int8", "int16", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
def test_take(dtype: str, index_dtype: Any) -> None:
    x = rng().integers(0, 100, (4, 5, 6)).astype(dtype)
    for axis, shape in ((0, (3,)), (1, (2, 2)), (2, ()), (1, (0,))):
        index = rng(1).integers(-x.shape[axis], x.shape[axis], shape).astype(index_dtype)
        got = _core.take(x, np.asarray(index), axis)
        assert got.dtype == x.dtype
        np.testing.assert_array_equal(got, np.take(x, index, axis))
        for width in (8, 16, 32, 64, 65):  # features, of which some are usual
            wide_rows = np.broadcast_to(x[..., :1], (4, 5, width))
            got = _core.take(wide_rows, np.asarray(index % 4), 0)
            np.testing.assert_array_equal(got, wide_rows[index % 4])
        np.testing.assert_array_equal(
            _core.take(x.T, np.asarray(index), 2 - axis), np.take(x.T, index, 2 - axis)
        )
    with pytest.raises(
        IndexError, match=r"take: index 4 at position 1 is out of range .* length 4"
    ):
        _core.take(x, np.array([0, 4]), 0)
    with pytest.raises(IndexError, match="index -6 at position 0"):
        _core.take(x, np.array([-6]), 1)


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32", "float64"])
def test_scatter_add(dtype: str) -> None:
    shapes = ((5, 3, 40), (1, 1, 10), (100, 64, 3000), (7, 2, 0), (9, 33, 256), (300, 17, 1025))
    for rows, columns, count in shapes:
        r = rng(rows)
        index = r.integers(-rows, rows, count)
        x = r.normal(0, 10, (count, columns)).astype(dtype)
        expected = np.zeros((rows, columns), dtype)
        np.add.at(expected, index, x)  # in order, as the kernel does
        assert _core.scatter_add(index, x, rows).tobytes() == expected.tobytes()
    with pytest.raises(IndexError, match="scatter_add: index 3"):
        _core.scatter_add(np.array([3]), np.zeros((1, 2)), 3)
    with pytest.raises(ValueError, match="must start with that of the indices"):
        _core.scatter_add(np.array([0, 1]), np.zeros((1, 2)), 3)


@pytest.mark.parametrize("dtype", ["bool", "int8", "int16", "int32", "int64", "float32", "float64"])
def test_one_hot(dtype: str) -> None:
    index = np.array([[0, 2], [3, -1], [1, 2**40]])
    expected = (index[..., None] == np.arange(3)).astype(dtype)
    got = _core.one_hot(index, 3, np.empty(0, dtype))
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)
    assert _core.one_hot(index, 0, np.empty(0, dtype)).shape == (3, 2, 0)
