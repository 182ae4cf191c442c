"""Checks for tests: gradients against differences, distances in units in the last place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pydl.autograd import gradients
from pydl.tensor import Tensor, to_array, wrap


def ulp_distance(actual: Any, expected: Any, dtype: Any = None) -> np.ndarray:
    """|actual - expected| in units in the last place of `dtype` (that of actual) at expected.

    expected is float64, exact as far as dtype goes. Equal infinities and nan against nan are 0;
    an infinity against the largest finite value that rounds there counts in finite steps. Where
    expected is below the smallest normal number, anything from 0 to that number is 0 units away,
    since kernels flush such numbers.

    >>> import numpy as np
    >>> ulp_distance(np.float32([1.0000001]), [1.0])
    array([1.])
    """
    got = np.asarray(actual)
    info = np.finfo(got.dtype if dtype is None else dtype)
    a, b = got.astype(np.longdouble), np.asarray(expected).astype(np.longdouble)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        largest = np.longdouble(info.max)
        exponent = np.floor(np.log2(np.maximum(np.abs(b), info.tiny)))
        unit = np.exp2(np.minimum(exponent, info.maxexp - 1)) * np.longdouble(info.eps)
        beyond = np.abs(b) >= largest * (1 + np.longdouble(info.eps) / 4)
        limit = np.where(beyond, np.copysign(np.longdouble(np.inf), b), b)
        distance = np.abs(
            np.clip(a, -2 * largest, 2 * largest) - np.clip(limit, -2 * largest, 2 * largest)
        )
        distance = distance / unit
    flushed = (np.abs(b) < info.tiny) & (np.abs(a) <= info.tiny)
    same = (a == limit) | (np.isnan(a) & np.isnan(b)) | flushed
    wrong = np.isnan(a) != np.isnan(b)
    return np.where(same, 0.0, np.where(wrong, np.inf, distance)).astype(np.float64)


def assert_ulp(actual: Any, expected: Any, max_ulp: float) -> None:
    """AssertionError where an element is further than `max_ulp` from float64 `expected`."""
    got, wanted = np.asarray(actual), np.asarray(expected)
    if got.shape != wanted.shape:
        raise AssertionError(f"shape {got.shape}, expected {wanted.shape}")
    distance = ulp_distance(got, wanted)
    if distance.size and distance.max() > max_ulp:
        i = np.unravel_index(int(distance.argmax()), distance.shape)
        raise AssertionError(
            f"{distance[i]:.2f} ULP at {tuple(map(int, i))}: got {got[i]!r}, "
            f"expected {wanted[i]!r}, allowed {max_ulp}"
        )


def check_gradients(f: Callable[..., Any], *args: Any, seed: int = 0, directions: int = 2) -> None:
    """AssertionError unless f's gradient agrees with central differences in random directions.

    f takes and returns tensors (one, or a tuple whose first counts). Float arguments are converted
    to float64 and differentiated together; others are passed as they are. For a random cotangent w
    and direction u, w . J u by backward is compared with Richardson's extrapolation of
    (phi(h) - phi(-h)) / 2h, phi(t) = w . f(x + t u), within the error that its two step sizes show.

    Args:
      seed: of the random directions.
      directions: how many are tried.

    >>> import pydl
    >>> check_gradients(pydl.tanh, [0.5, -1.0])
    """
    rng = np.random.default_rng(seed)
    arrays = [to_array(a, None, "check_gradients") for a in args]
    is_float = [a.dtype.kind == "f" for a in arrays]
    if not any(is_float):
        raise TypeError("check_gradients: needs at least one float argument")
    arrays = [a.astype(np.float64) if yes else a for a, yes in zip(arrays, is_float, strict=True)]

    def run(values: list[np.ndarray], record: bool) -> tuple[list[Tensor], Tensor]:
        tensors = [wrap(np.array(v)) for v in values]
        if record:
            for t, yes in zip(tensors, is_float, strict=True):
                if yes:
                    t.requires_grad = True
        y = f(*tensors)
        return tensors, y[0] if isinstance(y, tuple) else y

    for _ in range(directions):
        tensors, y = run(arrays, True)
        if not isinstance(y, Tensor) or y.dtype.kind != "f":
            raise TypeError("check_gradients: f must return a float tensor")
        w = rng.standard_normal(y.shape)
        u = [
            rng.standard_normal(a.shape) if yes else None
            for a, yes in zip(arrays, is_float, strict=True)
        ]
        sources = [t for t, yes in zip(tensors, is_float, strict=True) if yes]
        found = gradients(y, sources, w.astype(y.dtype))
        analytic, scale = 0.0, 0.0
        for g, v in zip(found, (v for v in u if v is not None), strict=True):
            if g is not None:
                analytic += float(np.sum(g.data * v))
                scale += float(np.sum(np.abs(g.data * v)))

        def phi(t: float, u: Any = u, w: Any = w) -> tuple[float, float]:
            moved = [a if v is None else a + t * v for a, v in zip(arrays, u, strict=True)]
            terms = w * run(moved, False)[1].data
            return float(np.sum(terms)), float(np.sum(np.abs(terms)))

        h = 1e-4
        coarse = (phi(h)[0] - phi(-h)[0]) / (2 * h)
        fine = (phi(h / 2)[0] - phi(-h / 2)[0]) / h
        numeric = (4 * fine - coarse) / 3
        rounding = 64 * np.finfo(np.float64).eps * (phi(0.0)[1] / h + scale)
        allowed = 4 * abs(fine - coarse) + rounding
        if not abs(analytic - numeric) <= allowed:
            raise AssertionError(
                f"check_gradients: backward gives {analytic:.12g}, differences give {numeric:.12g} "
                f"(allowed error {allowed:.2g})"
            )
