"""Arrays for tests: layouts, special values, strategies."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

FLOATS = (np.float32, np.float64)
SPECIAL = np.array(
    [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, 2.0, 1e-30, -1e-30, 1e30, -1e30, 3.4e38]
)


def layouts(x: np.ndarray) -> dict[str, np.ndarray]:
    """The values of a vector x in memory layouts that kernels treat differently."""
    n = x.size
    wide = np.zeros(3 * n + 1, x.dtype)
    wide[1 : 3 * n + 1 : 3] = x
    matrix = np.ascontiguousarray(np.stack([x, x + 0], axis=1))
    return {
        "contiguous": x.copy(),
        "strided": wide[1 : 3 * n + 1 : 3],
        "reversed": x[::-1].copy()[::-1],
        "column": matrix[:, 0],
        "transposed": np.stack([x, x], axis=1).T,
        "stretched": np.broadcast_to(x, (3, n)),
        "stretched_inner": np.broadcast_to(x[:, None], (n, 3)),
    }


def strided_arrays(
    dtype: Any, max_dims: int = 4, max_side: int = 7, elements: Any = None
) -> st.SearchStrategy[np.ndarray]:
    """Arrays of any shape, sliced, reversed, transposed and stretched."""

    @st.composite
    def build(draw: Any) -> np.ndarray:
        shape = draw(hnp.array_shapes(min_dims=0, max_dims=max_dims, min_side=0, max_side=max_side))
        values = elements if elements is not None else st.floats(-10, 10, width=32)
        x = draw(hnp.arrays(dtype, shape, elements=values))
        return draw(views(x))

    return build()


def views(x: np.ndarray) -> st.SearchStrategy[np.ndarray]:
    """x with its axes in another order, reversed, thinned out or stretched."""

    @st.composite
    def build(draw: Any) -> np.ndarray:
        y = np.asarray(x).transpose(draw(st.permutations(range(np.ndim(x)))))
        steps = [draw(st.sampled_from([1, 1, -1, 2])) for _ in range(y.ndim)]
        y = y[(..., *(slice(None, None, s) for s in steps))]
        if draw(st.booleans()) and y.ndim < 5:
            y = np.broadcast_to(y, (draw(st.integers(1, 3)), *y.shape))
        return y

    return build()
