"""Convolution and pooling: wrong arguments, and distances beyond any image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conv_oracles import assert_near, check_conv, rng
from errors import raises

import pydl
from pydl import _core

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
    with raises(
        MemoryError,
        "pydl: cannot allocate 7.86e+07 GiB for shape (1, 83886080, 83886080, 3) of float32",
    ):
        pydl.conv_transpose(x, w, 2**24)
