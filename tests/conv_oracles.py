"""Convolution written out tap by tap in float64, for the tests of convolution and pooling."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import pydl

EPS = {np.float32: 2.0**-23, np.float64: 2.0**-52}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def meetings(lengths: Any, taps: Any, counts: Any, strides: Any, dilation: Any, before: Any) -> Any:
    """(tap, window, pixel) for every tap of every window that meets a pixel."""
    axes = range(len(lengths))
    for t in itertools.product(*map(range, taps)):
        for o in itertools.product(*map(range, counts)):
            p = tuple(o[i] * strides[i] + t[i] * dilation[i] - before[i] for i in axes)
            if all(0 <= p[i] < lengths[i] for i in axes):
                yield t, o, p


def geometry(
    lengths: Any, taps: Any, strides: Any, dilation: Any, padding: str
) -> tuple[list[int], list[int]]:
    """Windows and zeros before, from the definitions of valid, same and causal."""
    counts, before = [], []
    for n, k, s, d in zip(lengths, taps, strides, dilation, strict=True):
        span = (k - 1) * d + 1
        if padding == "valid":
            counts.append((n - span) // s + 1)
            before.append(0)
            continue
        counts.append(-(-n // s))
        zeros = max((counts[-1] - 1) * s + span - n, 0)
        before.append(span - 1 if padding == "causal" else zeros // 2)
    return counts, before


class Oracle:
    """Result and gradients of one convolution, in float64, with sums of absolute values."""

    def __init__(self, x: Any, w: Any, counts: Any, strides: Any, dilation: Any, before: Any):
        self.x, self.w = np.asarray(x, np.float64), np.asarray(w, np.float64)
        self.lengths, self.taps, self.counts = x.shape[1:-1], w.shape[:-2], tuple(counts)
        self.walk = list(meetings(self.lengths, self.taps, counts, strides, dilation, before))
        self.inner, self.filters = w.shape[-2:]
        self.groups = x.shape[-1] // self.inner

    def parts(self) -> Any:
        each = self.filters // self.groups
        for q in range(self.groups):
            yield slice(q * self.inner, (q + 1) * self.inner), slice(q * each, (q + 1) * each)

    def forward(self, x: Any, w: Any) -> np.ndarray:
        y = np.zeros((len(x), *self.counts, self.filters))
        for t, o, p in self.walk:
            for c, f in self.parts():
                y[(slice(None), *o, f)] += x[(slice(None), *p, c)] @ w[(*t, slice(None), f)]
        return y

    def backward(self, g: Any, x: Any, w: Any) -> tuple[np.ndarray, np.ndarray]:
        dx, dw = np.zeros(x.shape), np.zeros(w.shape)
        for t, o, p in self.walk:
            for c, f in self.parts():
                go = g[(slice(None), *o, f)]
                dx[(slice(None), *p, c)] += go @ w[(*t, slice(None), f)].T
                dw[(*t, slice(None), f)] += x[(slice(None), *p, c)].T @ go
        return dx, dw


def assert_near(actual: Any, expected: np.ndarray, magnitude: np.ndarray, terms: int) -> None:
    """|actual - expected| <= terms eps magnitude, the bound of a sum in any order."""
    actual = np.asarray(actual)
    assert actual.shape == expected.shape
    bound = (terms + 2) * EPS[actual.dtype.type] * magnitude
    excess = np.abs(actual.astype(np.float64) - expected) - bound
    assert (excess <= 0).all(), f"over the bound by {excess.max()}"


def check_conv(x: Any, w: Any, strides: Any, dilation: Any, padding: str) -> None:
    taps = w.shape[:-2]
    counts, before = geometry(x.shape[1:-1], taps, strides, dilation, padding)
    oracle = Oracle(x, w, counts, strides, dilation, before)
    tx, tw = (pydl.tensor(a, requires_grad=True) for a in (x, w))
    y = pydl.conv(tx, tw, strides, padding, dilation_rate=dilation)
    assert y.dtype == x.dtype
    g = rng(9).standard_normal(y.shape).astype(x.dtype)
    y.backward(pydl.tensor(g))
    wide = oracle.x, oracle.w
    size = [np.abs(a) for a in wide]
    assert_near(y.numpy(), oracle.forward(*wide), oracle.forward(*size), w[..., 0].size)
    dx, dw = oracle.backward(np.asarray(g, np.float64), *wide)
    mx, mw = oracle.backward(np.abs(np.asarray(g, np.float64)), *size)
    assert_near(tx.grad.numpy(), dx, mx, w[..., 0, :].size)
    assert_near(tw.grad.numpy(), dw, mw, g[..., 0].size)
