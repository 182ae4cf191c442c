"""Convolution and pooling against NumPy in float64, definitions written out tap by tap."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from arrays import FLOATS
from errors import raises
from hypothesis import given
from hypothesis import strategies as st

import pydl
from pydl import _core
from pydl.ops import convolution as internal
from pydl.ops import pooling
from pydl.ops.convolution import convolve
from pydl.testing import check_gradients

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


@st.composite
def convolutions(draw: Any) -> Any:
    axes = draw(st.sampled_from([1, 2, 2, 3]))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    inner, each = draw(st.integers(1, 9)), draw(st.sampled_from([1, 2, 5, 16, 17]))
    taps = [draw(st.integers(1, 4)) for _ in range(axes)]
    steps = [draw(st.integers(1, 3)) for _ in range(axes)]
    dilated = draw(st.booleans())
    strides, dilation = ([1] * axes, steps) if dilated else (steps, [1] * axes)
    padding = draw(st.sampled_from(["valid", "same", "causal"] if axes == 1 else ["valid", "same"]))
    least = [
        (k - 1) * d + 1 if padding == "valid" else 1 for k, d in zip(taps, dilation, strict=True)
    ]
    lengths = [draw(st.integers(n, n + 7)) for n in least]
    batch = draw(st.integers(0, 3))
    dtype = draw(st.sampled_from(FLOATS))
    r = rng(draw(st.integers(0, 99)))
    x = r.standard_normal((batch, *lengths, inner * groups)).astype(dtype)
    w = r.standard_normal((*taps, inner, each * groups)).astype(dtype)
    return x, w, strides, dilation, padding


@given(convolutions())
def test_conv_and_gradients(case: Any) -> None:
    check_conv(*case)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("x", "w", "strides", "padding"),
    [
        ((2, 12, 13, 32), (3, 3, 32, 64), 1, "same"),  # whole panels
        ((5, 20, 20, 8), (3, 3, 8, 24), 1, "same"),
        ((9, 7, 7, 40), (3, 3, 40, 48), 1, "same"),  # tiles run along the images
        ((2, 17, 16, 16), (5, 3, 16, 20), 2, "same"),
        ((2, 15, 16, 16), (1, 1, 16, 20), 2, "valid"),
        ((3, 9, 9, 16), (1, 1, 16, 20), 1, "valid"),  # a matrix product
        (
            (5, 20, 20, 16),
            (3, 3, 16, 3),
            1,
            "same",
        ),  # few filters: the kernel's gradient transposed
        ((2, 9, 700, 16), (2, 3, 16, 1), 1, "valid"),
        ((1, 3000, 3), (7, 3, 9), 1, "valid"),  # long rows
        ((2, 5, 5, 700), (2, 2, 700, 3), 1, "same"),  # several blocks of taps
        ((1, 30, 30, 1), (20, 20, 1, 2), 1, "valid"),
    ],
)
def test_shapes_that_choose_paths(x: Any, w: Any, strides: int, padding: str, dtype: Any) -> None:
    axes = len(x) - 2
    r = rng(1)
    case = r.standard_normal(x).astype(dtype), r.standard_normal(w).astype(dtype)
    check_conv(*case, [strides] * axes, [1] * axes, padding)


@pytest.mark.parametrize("dtype", FLOATS)
def test_frames_in_passes(dtype: Any) -> None:
    """More images than are framed at a time."""
    r = rng(2)
    x = r.standard_normal((9, 60, 60, 40)).astype(dtype)
    w = r.standard_normal((2, 2, 40, 3)).astype(dtype)
    check_conv(x, w, [1, 1], [1, 1], "same")
    d = r.standard_normal((2, 2, 40, 1)).astype(dtype)
    many = pydl.depthwise_conv(x, d, padding="same").numpy()
    for i in (0, 4, 8):
        one = pydl.depthwise_conv(x[i : i + 1], d, padding="same").numpy()
        np.testing.assert_array_equal(many[i : i + 1], one)


def test_no_whole_patches_in_memory() -> None:
    """Input, result and all scratch of a 5x5 convolution are far below 25 copies of the input."""
    code = """
import pydl
from pydl import _core
x, w = pydl.ones((16, 64, 64, 16)), pydl.ones((5, 5, 16, 16))
y = pydl.conv(x, w, padding="same")
print(_core.memory_stats()["peak"] / x.data.nbytes)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 6


@pytest.mark.parametrize("dtype", FLOATS)
def test_any_layout(dtype: Any) -> None:
    r = rng(3)
    x = r.standard_normal((4, 6, 18, 3)).astype(dtype)[::2, :, ::-2]
    w = r.standard_normal((5, 2, 3, 3)).astype(dtype).transpose(1, 2, 3, 0)[..., ::-1]
    expected = pydl.conv(np.ascontiguousarray(x), np.ascontiguousarray(w)).numpy()
    np.testing.assert_array_equal(pydl.conv(x, w).numpy(), expected)
    first = pydl.conv(np.moveaxis(x, -1, 1), w, data_format="channels_first").numpy()
    np.testing.assert_array_equal(np.moveaxis(first, 1, -1), expected)


def test_operands_promote() -> None:
    x, w = np.ones((1, 4, 2), np.float32), np.ones((2, 2, 3))
    assert pydl.conv(x, w).dtype == np.float64


def results(x: Any, w: Any, d: Any, strides: int) -> list[np.ndarray]:
    tx, tw, td = (pydl.tensor(a, requires_grad=True) for a in (x, w, d))
    y = pydl.conv(tx, tw, strides, "same")
    z = pydl.depthwise_conv(tx, td, strides, "same")
    p, a = (f(tx, 3, 2, "same") for f in (pydl.max_pool, pydl.average_pool))
    total = (y * y).sum() + (z * z).sum() + (p * p).sum() + (a * a).sum()
    total.backward()
    return [t.numpy() for t in (y, z, p, a, tx.grad, tw.grad, td.grad)]


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("dtype", FLOATS)
def test_same_bits_for_any_number_of_threads(dtype: Any, strides: int) -> None:
    r = rng(4)
    x = r.standard_normal((6, 24, 23, 24)).astype(dtype)
    w = r.standard_normal((3, 3, 24, 40)).astype(dtype)
    d = r.standard_normal((3, 3, 24, 1)).astype(dtype)
    pydl.config.set_num_threads(1)
    expected = results(x, w, d, strides)
    for threads in (2, 3, 4):
        pydl.config.set_num_threads(threads)
        for got, one in zip(results(x, w, d, strides), expected, strict=True):
            np.testing.assert_array_equal(got, one)


def test_recorded() -> None:
    """A plan repeats convolution, pooling and their gradients with the same bits."""
    r = rng(13)
    shapes = (3, 3, 16, 20), (3, 3, 16, 2), (20,), (1, 1, 22, 3)
    w, d, b, few = (pydl.Variable(r.standard_normal(s).astype(np.float32)) for s in shapes)

    def step(x: Any) -> Any:
        with pydl.GradientTape() as tape:
            y = convolve("conv", x, w, b, 2, "same", "channels_first", 1, "relu")
            z = pydl.depthwise_conv(x, d, 2, "same", "channels_first")[:, :2]
            y = pydl.concatenate([y, z], axis=1)
            y = pydl.max_pool(y, 2, data_format="channels_first")
            y = pydl.conv(y, few, data_format="channels_first")
            y = pydl.average_pool(y, 2, 1, "same", "channels_first")
            loss = (y * y).sum()
        return loss, tape.gradient(loss, [w, d, b, few])

    function = pydl.function(step)
    for i in range(5):
        x = pydl.tensor(rng(20 + i).standard_normal((5, 16, 14, 13)).astype(np.float32))
        loss, gradients = function(x)
        expected, wanted = step(x)
        assert loss.numpy() == expected.numpy()
        for got, one in zip(gradients, wanted, strict=True):
            np.testing.assert_array_equal(got.numpy(), one.numpy())
    assert not function.failure and len(function.plans) == 1


def test_an_element_is_one_chain() -> None:
    """Batch, filters and path change no bit of a pixel."""
    r = rng(5)
    x = r.standard_normal((17, 9, 9, 20)).astype(np.float32)
    w = r.standard_normal((3, 3, 20, 70)).astype(np.float32)
    y = pydl.conv(x, w, padding="same").numpy()
    np.testing.assert_array_equal(pydl.conv(x[3:4], w, padding="same").numpy(), y[3:4])
    np.testing.assert_array_equal(pydl.conv(x, w[..., :5], padding="same").numpy(), y[..., :5])
    patches = np.stack([x[:, i : i + 7, j : j + 7] for i in range(3) for j in range(3)], axis=3)
    product = pydl.matmul(patches.reshape(-1, 180), w.reshape(180, 70)).numpy()
    inner = pydl.conv(x, w).numpy().reshape(-1, 70)
    np.testing.assert_array_equal(inner, product)
    np.testing.assert_array_equal(y[:, 1:-1, 1:-1].reshape(-1, 70), product)


CALLS = {
    "conv": (lambda x, w: pydl.conv(x, w, 2, "same"), (2, 5, 6, 4), (3, 2, 4, 3)),
    "groups": (lambda x, w: pydl.conv(x, w), (2, 5, 4), (3, 2, 6)),
    "one channel a group": (lambda x, w: pydl.conv(x, w), (2, 5, 4), (3, 1, 8)),
    "dilated": (lambda x, w: pydl.conv(x, w, dilation_rate=2), (1, 7, 6, 2), (3, 2, 2, 3)),
    "causal": (lambda x, w: pydl.conv(x, w, 2, "causal"), (2, 7, 3), (3, 3, 2)),
    "3-D": (lambda x, w: pydl.conv(x, w, (1, 2, 1), "same"), (1, 3, 4, 3, 2), (2, 3, 1, 2, 3)),
    "first": (
        lambda x, w: pydl.conv(x, w, data_format="channels_first"),
        (2, 4, 5, 6),
        (3, 2, 4, 3),
    ),
    "depthwise": (lambda x, w: pydl.depthwise_conv(x, w, 2, "same"), (2, 5, 6, 9), (3, 2, 9, 2)),
    "depthwise dilated": (
        lambda x, w: pydl.depthwise_conv(x, w, dilation_rate=2),
        (2, 7, 4),
        (3, 4, 1),
    ),
    "transpose": (lambda x, w: pydl.conv_transpose(x, w, 2, "same"), (2, 3, 4, 3), (3, 2, 5, 3)),
    "transpose valid": (
        lambda x, w: pydl.conv_transpose(x, w, 3, "valid", 1),
        (2, 3, 4),
        (2, 5, 4),
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_gradients(name: str) -> None:
    f, x, w = CALLS[name]
    check_gradients(f, rng(6).standard_normal(x), rng(7).standard_normal(w))


def test_gradients_of_gradients() -> None:
    """The products that a convolution's gradient is made of can be differentiated themselves."""
    steps = (2, 1), (1, 1), (1, 0)
    x, g, w = (
        rng(i).standard_normal(s) for i, s in enumerate([(2, 6, 5, 4), (2, 3, 4, 6), (3, 2, 2, 6)])
    )
    check_gradients(lambda x, g: internal._conv_kernel(x, g, (3, 2), steps, 2), x, g)
    check_gradients(lambda g, w: internal._conv_input(g, w, (6, 5), steps, 2), g, w)
    g, w = g[..., :4], w[..., 0, :4]
    check_gradients(lambda x, g: internal._depthwise_kernel(x, g, (3, 2), steps, 1), x, g)
    check_gradients(lambda g, w: internal._depthwise_input(g, w, (6, 5), steps, 1), g, w)
    window = (2, 2), (2, 1), (0, 0)
    check_gradients(lambda g: pooling._average_pool_input(g, (6, 5), window), g)


def test_separable_is_depthwise_then_pointwise() -> None:
    r = rng(8)
    x, d, p = (r.standard_normal(s) for s in ((2, 6, 5, 3), (3, 3, 3, 2), (1, 1, 6, 4)))
    y = pydl.separable_conv(x, d, p, 2, "same")
    np.testing.assert_allclose(y.numpy(), pydl.depthwise_conv(x, d, 2, "same").numpy() @ p[0, 0])
    check_gradients(lambda *a: pydl.separable_conv(*a, 2, "same"), x, d, p)


@pytest.mark.parametrize("channels", [1, 7, 8, 16, 17, 32, 33, 64, 70])
@pytest.mark.parametrize("dtype", FLOATS)
def test_depthwise_is_a_convolution_of_each_channel(dtype: Any, channels: int) -> None:
    r = rng(channels)
    x = r.standard_normal((2, 6, 9, channels)).astype(dtype)
    w = r.standard_normal((3, 3, channels, 1)).astype(dtype)
    tx, tw = (pydl.tensor(a, requires_grad=True) for a in (x, w))
    y = pydl.depthwise_conv(tx, tw, padding="same")
    counts, before = geometry((6, 9), (3, 3), (1, 1), (1, 1), "same")
    oracle = Oracle(x, w.reshape(3, 3, 1, channels), counts, (1, 1), (1, 1), before)
    assert_near(
        y.numpy(),
        oracle.forward(oracle.x, oracle.w),
        oracle.forward(np.abs(oracle.x), np.abs(oracle.w)),
        9,
    )
    g = r.standard_normal(y.shape).astype(dtype)
    y.backward(pydl.tensor(g))
    dx, dw = oracle.backward(np.asarray(g, np.float64), oracle.x, oracle.w)
    mx, mw = oracle.backward(np.abs(np.asarray(g, np.float64)), np.abs(oracle.x), np.abs(oracle.w))
    assert_near(tx.grad.numpy(), dx, mx, 9)
    assert_near(tw.grad.numpy(), dw.reshape(w.shape), mw.reshape(w.shape), g[..., 0].size)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("taps", "stride"), [(3, 1), (3, 2), (2, 3), (4, 2), (1, 2)])
def test_transpose_is_the_gradient_of_conv(taps: int, stride: int, padding: str) -> None:
    r = rng(10)
    x, w = r.standard_normal((2, 5, 4, 3)), r.standard_normal((taps, taps, 6, 3))
    y = pydl.conv_transpose(x, w, stride, padding)
    side = (
        (lambda n: n * stride)
        if padding == "same"
        else (lambda n: (n - 1) * stride + max(taps, stride))
    )
    assert y.shape == (2, side(5), side(4), 6)
    big = pydl.tensor(np.zeros(y.shape), requires_grad=True)
    forward = pydl.conv(big, w, stride, padding)
    if forward.shape == x.shape:
        forward.backward(pydl.tensor(x))
        np.testing.assert_allclose(big.grad.numpy(), y.numpy(), atol=1e-12)


def test_transpose_with_output_padding() -> None:
    x, w = np.ones((1, 4, 1)), np.arange(1.0, 4).reshape(3, 1, 1)
    y = pydl.conv_transpose(x, w, 2, "valid", 1).numpy()[0, :, 0]
    np.testing.assert_array_equal(y, [1, 2, 4, 2, 4, 2, 4, 2, 3, 0])
    y = pydl.conv_transpose(x, w, 2, "same", 0).numpy()[0, :, 0]
    np.testing.assert_array_equal(y, [2, 4, 2, 4, 2, 4, 2])


# ---- bias and activation -----------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [(3, 3, 4, 20), (1, 1, 4, 20), (3, 3, 1, 8)])
@pytest.mark.parametrize("activation", [None, "relu", "sigmoid", "silu", pydl.exp])
def test_bias_and_activation(activation: Any, kernel: Any) -> None:
    r = rng(11)
    x, w, b = (r.standard_normal(s) for s in ((3, 5, 20, 4), kernel, kernel[-1:]))
    f = getattr(pydl, activation) if isinstance(activation, str) else activation or (lambda y: y)

    def fused(x: Any, w: Any, b: Any) -> Any:
        return convolve("conv", x, w, b, 1, "same", None, 1, activation)

    expected = f(pydl.conv(x, w, padding="same") + b)
    np.testing.assert_allclose(fused(x, w, b).numpy(), expected.numpy(), rtol=1e-12)
    check_gradients(fused, x, w, b)


# ---- pooling -----------------------------------------------------------------------------------


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


# ---- special values and errors -----------------------------------------------------------------


def test_nan_and_inf_stay_where_they_are_seen() -> None:
    x = np.zeros((1, 9, 9, 2), np.float32)
    x[0, 4, 4] = np.nan, np.inf
    y = pydl.conv(x, np.ones((3, 3, 2, 5), np.float32), padding="same").numpy()
    seen = np.zeros((9, 9), bool)
    seen[3:6, 3:6] = True
    np.testing.assert_array_equal(np.isnan(y[0]), np.broadcast_to(seen[..., None], (9, 9, 5)))


def test_empty() -> None:
    assert pydl.conv(np.ones((0, 5, 5, 2)), np.ones((3, 3, 2, 4))).shape == (0, 3, 3, 4)
    assert pydl.conv(np.ones((2, 5, 5, 2)), np.ones((3, 3, 2, 0))).shape == (2, 3, 3, 0)
    w = pydl.tensor(np.ones((3, 3, 2, 4)), requires_grad=True)
    pydl.conv(np.ones((0, 5, 5, 2)), w).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), 0)
    assert pydl.max_pool(np.ones((0, 4, 2)), 2).shape == (0, 2, 2)


X, W = np.ones((1, 5, 5, 4)), np.ones((3, 3, 4, 8))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: pydl.conv(X, np.ones((7, 3, 4, 8))),
            ValueError,
            "conv: a window of (7, 3) pixels does not fit into (5, 5) with padding 'valid'; "
            "use padding='same', or larger inputs",
        ),
        (
            lambda: pydl.conv(X, np.ones((3, 3, 3, 8))),
            ValueError,
            "conv: kernel of shape (3, 3, 3, 8) does not fit 4 channels; its last axes are "
            "(channels / groups, filters), and groups divides the filters",
        ),
        (
            lambda: pydl.conv(X, np.ones((3, 3, 2, 7))),
            ValueError,
            "conv: kernel of shape (3, 3, 2, 7) does not fit 4 channels; its last axes are "
            "(channels / groups, filters), and groups divides the filters",
        ),
        (
            lambda: pydl.conv(X, np.ones((3, 4, 8))),
            ValueError,
            "conv: kernel must have 4 axes, (..., channels / groups, filters), for inputs of "
            "shape (1, 5, 5, 4), got shape (3, 4, 8)",
        ),
        (
            lambda: pydl.conv(np.ones((5, 4)), np.ones((3, 4))),
            ValueError,
            "conv: inputs must have a batch, one to three spatial axes and channels, got shape (5, 4)",
        ),
        (
            lambda: pydl.conv(X, W, 2, dilation_rate=2),
            ValueError,
            "conv: strides above 1 and dilation_rate above 1 exclude each other, got (2, 2) and (2, 2)",
        ),
        (
            lambda: pydl.conv(X, W, 0),
            ValueError,
            "conv: strides must be 1 or more, got 0",
        ),
        (
            lambda: pydl.conv(X, W, (1, 2, 3)),
            ValueError,
            "conv: strides must be an integer or 2 of them, one for each spatial axis, got (1, 2, 3)",
        ),
        (
            lambda: pydl.conv(X, W, 1.5),
            TypeError,
            "conv: strides must be an integer, got 1.5",
        ),
        (
            lambda: pydl.conv(X, W, padding="causal"),
            ValueError,
            "conv: padding must be one of 'valid', 'same', got 'causal'",
        ),
        (
            lambda: pydl.conv(X, W, data_format="nchw"),
            ValueError,
            "conv: data_format must be 'channels_last' or 'channels_first', got 'nchw'",
        ),
        (
            lambda: pydl.conv(X.astype(int), W),
            TypeError,
            "conv: needs float32 or float64, got int64; cast it to a float dtype",
        ),
        (
            lambda: pydl.depthwise_conv(X, np.ones((3, 3, 3, 1))),
            ValueError,
            "depthwise_conv: kernel of shape (3, 3, 3, 1) does not fit 4 channels; its last axes "
            "are (channels, multiplier)",
        ),
        (
            lambda: pydl.conv_transpose(X, W),
            ValueError,
            "conv_transpose: kernel of shape (3, 3, 4, 8) does not fit 4 channels; its last axes "
            "are (filters, channels)",
        ),
        (
            lambda: pydl.conv_transpose(X, np.ones((3, 3, 8, 4)), 2, output_padding=2),
            ValueError,
            "conv_transpose: output_padding must be below strides, got 2 and (2, 2)",
        ),
        (
            lambda: pydl.conv_transpose(X, np.ones((3, 3, 8, 4)), 2, output_padding=-1),
            ValueError,
            "conv_transpose: output_padding must be 0 or more, got -1",
        ),
        (
            lambda: pydl.max_pool(X, 6),
            ValueError,
            "max_pool: a window of (6, 6) pixels does not fit into (5, 5) with padding 'valid'; "
            "use padding='same', or larger inputs",
        ),
        (
            lambda: pydl.max_pool(X.astype(int), 2),
            TypeError,
            "max_pool: needs float32 or float64, got int64; cast the inputs to a float dtype",
        ),
        (
            lambda: pydl.average_pool(X, -2),
            ValueError,
            "average_pool: pool_size must be 1 or more, got -2",
        ),
        (
            lambda: pydl.max_pool(np.ones((1, 0, 4)), 2, padding="same"),
            ValueError,
            "max_pool: there is no pixel in inputs of shape (1, 0, 4)",
        ),
    ],
)
def test_errors(call: Any, error: Any, text: str) -> None:
    with raises(error, text):
        call()


def test_kernels_refuse_what_would_leave_memory() -> None:
    x = np.ones((1, 4, 4, 2))
    with pytest.raises(ValueError, match="window lies outside"):
        _core.max_pool(x, [9, 9], [2, 2], [2, 2], [0, 0])
    with pytest.raises(ValueError, match="kernel does not fit"):
        _core.conv(x, np.ones((2, 2, 3, 4)), None, [3, 3], [1, 1], [1, 1], [0, 0])
    with pytest.raises(ValueError, match="do not fit"):
        _core.conv_kernel_grad(x, np.ones((2, 3, 3, 4)), [2, 2], [1, 1], [1, 1], [0, 0], 1)


FAR = 2**31 - 1


@pytest.mark.parametrize("distance", [FAR + 1, 2**60, 2**61, 2**62, 2**63 - 1, 2**63, 2**200])
def test_distances_beyond_any_image(distance: int) -> None:
    x, w = np.ones((1, 5, 5, 3), np.float32), np.ones((3, 3, 3, 3), np.float32)
    each = {
        "conv": lambda **a: pydl.conv(x, w, padding="same", **a),
        "depthwise_conv": lambda **a: pydl.depthwise_conv(x, w, padding="same", **a),
        "conv_transpose": lambda **a: pydl.conv_transpose(x, w, padding="same", **a),
    }
    for who, call in each.items():
        for value in (distance, (distance, 3)):
            with raises(ValueError, f"{who}: dilation_rate must be at most {FAR}, got {value}"):
                call(dilation_rate=value)
        with raises(ValueError, f"{who}: strides must be at most {FAR}, got {distance}"):
            call(strides=distance)
    for pool in (pydl.max_pool, pydl.average_pool):
        with raises(
            ValueError, f"{pool.__name__}: pool_size must be at most {FAR}, got {distance}"
        ):
            pool(x, distance, padding="same")
        with raises(ValueError, f"{pool.__name__}: strides must be at most {FAR}, got {distance}"):
            pool(x, 2, distance)


def test_windows_beyond_any_image() -> None:
    x, w = np.ones((1, 5, 5, 3), np.float32), np.ones((3, 3, 3, 3), np.float32)
    for op in (pydl.conv, pydl.depthwise_conv, pydl.conv_transpose):
        text = (
            f"{op.__name__}: a window must have at most {FAR} pixels on an axis, got "
            f"({2 * FAR + 1}, 7) from (3, 3) taps with dilation_rate ({FAR}, 3)"
        )
        with raises(ValueError, text):
            op(x, w, padding="same", dilation_rate=(FAR, 3))
    text = f"conv_transpose: shape (1, {5 * FAR}, {5 * FAR}, 3) has too many elements"
    with raises(ValueError, text + " for memory"):
        pydl.conv_transpose(x, w, FAR)


@pytest.mark.parametrize("padding", ["same", "causal"])
@pytest.mark.parametrize(
    ("taps", "distance"), [(2, 9), (3, 7), (4, 30), (3, 2**30 - 1), (2, FAR - 1)]
)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_taps_that_meet_no_pixel(padding: str, taps: int, distance: int, groups: int) -> None:
    """They add nothing, and their gradient is 0."""
    r = rng(taps)
    x = r.standard_normal((2, 8, 4))
    w = r.standard_normal((taps, 4 // groups, 4))
    check_conv(x, w, [1], [distance], padding)


@pytest.mark.parametrize("distance", [4000, 2**30 - 1])
def test_far_taps_cost_no_memory(distance: int) -> None:
    x, w = rng(1).standard_normal((1, 8, 8, 2)), rng(2).standard_normal((3, 3, 2, 2))
    before = _core.memory_stats()["peak"]
    y = pydl.conv(x, w, padding="same", dilation_rate=distance)
    assert_near(y.numpy(), x @ w[1, 1], np.abs(x) @ np.abs(w[1, 1]), 2)
    y = pydl.conv_transpose(x, w, padding="same", dilation_rate=distance)
    assert_near(y.numpy(), x @ w[1, 1].T, np.abs(x) @ np.abs(w[1, 1]).T, 2)
    y = pydl.depthwise_conv(x, w[..., :1], padding="same", dilation_rate=distance)
    assert_near(y.numpy(), x * w[1, 1, :, 0], np.abs(x * w[1, 1, :, 0]), 1)
    assert _core.memory_stats()["peak"] - before < 1 << 20


@pytest.mark.parametrize("stride", [9, 1000, FAR])
def test_strides_beyond_the_image(stride: int) -> None:
    r = rng(3)
    x, w = r.standard_normal((2, 7, 6, 4)), r.standard_normal((3, 2, 4, 4))
    for groups in (1, 2, 4):
        check_conv(x, w[:, :, : 4 // groups], [stride] * 2, [1, 1], "same")
    for pool in (pydl.max_pool, pydl.average_pool):
        t = pydl.tensor(x, requires_grad=True)
        y = pool(t, 3, stride, "same")
        assert y.shape == (2, 1, 1, 4)
        y.sum().backward()
        assert_near(t.grad.numpy().sum((1, 2)), np.ones((2, 4)), np.ones((2, 4)), 9)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("strides", [[9, 10], [1, 70], [40, 3]])
def test_many_pixels_that_no_tap_meets(strides: list[int], groups: int) -> None:
    r = rng(5)
    x, w = r.standard_normal((2, 31, 72, 4)), r.standard_normal((3, 2, 4 // groups, 4))
    for padding in ("same", "valid"):
        check_conv(x, w, strides, [1, 1], padding)


@pytest.mark.parametrize("pool", [pydl.max_pool, pydl.average_pool])
def test_windows_larger_than_the_image(pool: Any) -> None:
    x = rng(4).standard_normal((2, 7, 6, 4))
    t = pydl.tensor(x, requires_grad=True)
    y = pool(t, FAR, 1000, "same")
    want = x.max((1, 2)) if pool is pydl.max_pool else x.mean((1, 2))
    assert_near(y.numpy()[:, 0, 0], want, np.abs(x).sum((1, 2)), 42)
    y.sum().backward()
    assert_near(t.grad.numpy().sum((1, 2)), np.ones((2, 4)), np.ones((2, 4)), 42)


def test_transposed_empty_axes() -> None:
    """By Keras's formula: (n - 1) strides + max(k, strides), and n strides with "same"."""
    w = np.ones((3, 5, 4))
    x = np.ones((2, 0, 4))
    assert pydl.conv_transpose(x, w).tolist() == np.zeros((2, 2, 5)).tolist()
    assert pydl.conv_transpose(x, w, 2).tolist() == np.zeros((2, 1, 5)).tolist()
    assert pydl.conv_transpose(x, w, 4).shape == (2, 0, 5)
    for stride in (1, 2, 4):
        assert pydl.conv_transpose(x, w, stride, "same").shape == (2, 0, 5)
    with raises(ValueError, "conv_transpose: nothing is left of an axis of length 0 with 3 taps"):
        pydl.conv_transpose(x, w, 4, "same", output_padding=1)
    t = pydl.tensor(w, requires_grad=True)
    pydl.conv_transpose(x, t).sum().backward()
    assert t.grad.tolist() == np.zeros(w.shape).tolist()


@pytest.mark.parametrize(
    ("strides", "dilation", "before"),
    [(1, 2**61, 0), (2**62, 1, 0), (1, 1, 2**62), (1, 1, -(2**62))],
)
def test_kernels_refuse_what_would_overflow(strides: int, dilation: int, before: int) -> None:
    x, w = np.ones((1, 5, 5, 3)), np.ones((3, 3, 3, 3))
    rest = [strides] * 2, [dilation] * 2, [before] * 2
    n, k = [5, 5], [3, 3]
    for call in (
        lambda: _core.conv(x, w, None, n, *rest),
        lambda: _core.conv_input_grad(x, w, n, *rest, 1),
        lambda: _core.conv_kernel_grad(x, x, k, *rest, 1),
        lambda: _core.depthwise_conv(x, w[..., 0], n, *rest),
        lambda: _core.depthwise_conv_input_grad(x, w[..., 0], n, *rest),
        lambda: _core.depthwise_conv_kernel_grad(x, x, k, *rest),
    ):
        with pytest.raises(ValueError, match="a number is too large"):
            call()


def test_a_result_too_large_for_memory() -> None:
    x, w = np.ones((1, 5, 5, 3), np.float32), np.ones((3, 3, 3, 3), np.float32)
    with raises(MemoryError, "pydl: cannot allocate 7.86e+07 GiB"):
        pydl.conv_transpose(x, w, 2**24)
