"""Pooling against NumPy in float64."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from arrays import FLOATS
from conv_oracles import assert_near, geometry, meetings, rng
from hypothesis import given
from hypothesis import strategies as st

import pydl
from pydl.testing import check_gradients


def pool_oracle(x: Any, window: Any, strides: Any, padding: str, reduce: Any) -> np.ndarray:
    counts, before = geometry(x.shape[1:-1], window, strides, [1] * len(window), padding)
    y = np.empty((len(x), *counts, x.shape[-1]))
    for o in itertools.product(*map(range, counts)):
        cut = [
            slice(max(i * s - b, 0), i * s - b + k)
            for i, s, b, k in zip(o, strides, before, window, strict=True)
        ]
        part = x[(slice(None), *cut)].astype(np.float64)
        y[(slice(None), *o)] = reduce(part, axis=tuple(range(1, part.ndim - 1)))
    return y


@st.composite
def poolings(draw: Any) -> Any:
    axes = draw(st.sampled_from([1, 2, 2, 3]))
    window = [draw(st.integers(1, 4)) for _ in range(axes)]
    strides = draw(st.sampled_from([None, [draw(st.integers(1, 4)) for _ in range(axes)]]))
    lengths = [draw(st.integers(k, k + 7)) for k in window]
    channels = draw(st.sampled_from([1, 3, 8, 16, 19, 64, 70]))
    shape = (draw(st.integers(0, 3)), *lengths, channels)
    r = rng(draw(st.integers(0, 99)))
    values = r.choice([0.0, -0.0, 1, 2, -1, np.inf, -np.inf, np.nan, 0.5], shape)
    x = values if draw(st.booleans()) else r.standard_normal(shape)
    return (
        x.astype(draw(st.sampled_from(FLOATS))),
        window,
        strides,
        draw(st.sampled_from(["valid", "same"])),
    )


@given(poolings())
def test_max_pool(case: Any) -> None:
    x, window, strides, padding = case
    steps = window if strides is None else strides
    tx = pydl.tensor(x, requires_grad=True)
    y = pydl.max_pool(tx, window, strides, padding)
    np.testing.assert_array_equal(y.numpy(), pool_oracle(x, window, steps, padding, np.max))
    g = rng(0).integers(1, 9, y.shape).astype(x.dtype)
    y.backward(pydl.tensor(g))
    counts, before = geometry(x.shape[1:-1], window, steps, [1] * len(window), padding)
    expected, free = np.zeros(x.shape), np.ones(y.shape, bool)
    got = y.numpy()
    ones = [1] * len(window)
    for _, o, p in meetings(x.shape[1:-1], window, counts, steps, ones, before):
        at, to = (slice(None), *o), (slice(None), *p)
        hit = ((x[to] == got[at]) | np.isnan(x[to])) & free[at]
        expected[to] += np.where(hit, g[at], 0)
        free[at] &= ~hit
    np.testing.assert_array_equal(tx.grad.numpy(), expected)

    # the gradient is linear in what flows in; its transpose takes from where that goes
    leaf = pydl.tensor(g, requires_grad=True)
    with pydl.GradientTape() as outer:
        with pydl.GradientTape() as inner:
            y = pydl.max_pool(tx, window, strides, padding)
        found = inner.gradient(y, tx, leaf)
    d = rng(1).integers(1, 9, x.shape).astype(x.dtype)
    taken, free = np.zeros(got.shape), np.ones(got.shape, bool)
    for _, o, p in meetings(x.shape[1:-1], window, counts, steps, ones, before):
        at, to = (slice(None), *o), (slice(None), *p)
        hit = ((x[to] == got[at]) | np.isnan(x[to])) & free[at]
        taken[at] += np.where(hit, d[to], 0)
        free[at] &= ~hit
    np.testing.assert_array_equal(outer.gradient(found, leaf, d).numpy(), taken)


@given(poolings())
def test_average_pool(case: Any) -> None:
    x, window, strides, padding = case
    x = np.where(np.isfinite(x), x, 3).astype(x.dtype)
    steps = window if strides is None else strides
    y = pydl.average_pool(x, window, strides, padding).numpy()
    size = pool_oracle(np.abs(x), window, steps, padding, np.mean)
    assert_near(y, pool_oracle(x, window, steps, padding, np.mean), size, int(np.prod(window)))
    if x.size:
        check_gradients(lambda t: pydl.average_pool(t, window, strides, padding), x[:1, ..., :3])


def test_pool_gradient_goes_to_the_first_maximum() -> None:
    x = pydl.tensor(np.ones((1, 4, 4, 1)), requires_grad=True)
    pydl.max_pool(x, 2).sum().backward()
    np.testing.assert_array_equal(
        x.grad.numpy()[0, ..., 0], [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    )


def test_pool_channels_first() -> None:
    x = rng(12).standard_normal((2, 3, 6, 7))
    for f in (pydl.max_pool, pydl.average_pool):
        expected = f(np.moveaxis(x, 1, -1), 2).numpy()
        got = f(x, 2, data_format="channels_first").numpy()
        np.testing.assert_array_equal(np.moveaxis(got, 1, -1), expected)
