"""Convolution against NumPy in float64, the definition written out tap by tap."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from arrays import FLOATS
from conv_oracles import Oracle, assert_near, check_conv, geometry, rng
from hypothesis import given
from hypothesis import strategies as st

import pydl
from pydl.ops import convolution as internal
from pydl.ops import pooling
from pydl.ops.convolution import convolve
from pydl.testing import check_gradients


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
